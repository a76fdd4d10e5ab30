//! What the phones send: pictures and sound encoded once and shared by all of them.

mod library;
mod sound;
pub mod stock;
mod video;

pub use library::{Ground, Library};
pub use sound::Sound;
pub use video::{Pattern, Shape, Unit, Video, access_units};

/// Why there is no clip.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The video encoder refused.
    #[error("encoding the pattern: {0}")]
    Encode(#[from] cau_codec::video::encode::Error),
    /// A natural clip cannot be decoded.
    #[error("decoding the clip: {0}")]
    Decode(#[from] cau_codec::video::decode::Error),
    /// The stream holds no key frame, or nothing at all.
    #[error("the clip holds no key frame")]
    NoKeyFrame,
    /// The size cannot be painted.
    #[error("a picture of {0}x{1} cannot be")]
    Size(u32, u32),
    /// The sound cannot be read or encoded.
    #[error("the sound: {0}")]
    Sound(String),
    /// The sound cannot be encoded.
    #[error("encoding the sound: {0}")]
    EncodeSound(#[from] cau_codec::audio::Error),
}
