//! Pictures to H.264. Which encoder is the default, and why: docs/decisions/0001-encoder.md.

mod openh264;
mod x264;

use bytes::Bytes;

pub use openh264::OpenH264;
pub use x264::X264;

use super::picture::Image;

/// One view's encoder: works on the thread that calls it, adds no delay (a picture in, its bits out), has no B pictures.
pub trait Encode: Send {
    /// Encodes one picture of the size of [`Settings`]. `timestamp` is in ticks of 90 kHz and must grow; the rate control takes the time
    /// between pictures from it, so pictures may be left out. `force_key` asks for an IDR picture. Without `force_key` only the very first
    /// picture is a key frame, unless [`Settings::key_interval`] is set.
    fn encode(&mut self, picture: &dyn Image, timestamp: i64, force_key: bool) -> Result<Encoded, Error>;

    /// The target from the next picture on, in kbit/s, without a key frame. Values are held to 16–50,000.
    fn set_bitrate(&mut self, kbps: u32) -> Result<(), Error>;

    /// What it was made with; `kbps` follows [`Encode::set_bitrate`].
    fn settings(&self) -> &Settings;
}

/// An encoded picture.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// NAL units without start codes, in order; SPS and PPS stand before each IDR picture. Empty when the rate control left the picture out.
    pub nals: Vec<Bytes>,
    /// An IDR picture.
    pub key: bool,
}

impl Encoded {
    /// Bytes of all NAL units.
    pub fn len(&self) -> usize {
        self.nals.iter().map(Bytes::len).sum()
    }

    /// Was the picture left out?
    pub fn is_empty(&self) -> bool {
        self.nals.is_empty()
    }
}

/// Which encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Kind {
    /// libx264 through libavcodec: holds its rate by VBV.
    #[default]
    X264,
    /// Cisco's OpenH264: BSD licence, no VBV.
    OpenH264,
}

/// H.264 profile (ITU-T H.264 annex A).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Profile {
    /// What every device decodes.
    #[default]
    ConstrainedBaseline,
    /// With CABAC.
    Main,
    /// With 8×8 transform.
    High,
}

/// What an encoder is made with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Settings {
    /// Pixels, even, 16–1920.
    pub width: u32,
    /// Pixels, even, 16–1920.
    pub height: u32,
    /// Pictures per second aimed at, 1–60.
    pub fps: u32,
    /// Target in kbit/s, 16–50,000.
    pub kbps: u32,
    /// Longest NAL unit in bytes (packetization mode 0: one NAL unit is one packet), at least 500; None: one slice per picture.
    pub max_nal_bytes: Option<usize>,
    /// Pictures from key frame to key frame; None: only when asked, which is how conferences go.
    pub key_interval: Option<u32>,
    /// Profile.
    pub profile: Profile,
    /// `level_idc` to announce (31 = level 3.1); None: the lowest that fits.
    pub level: Option<u8>,
}

impl Settings {
    /// Constrained baseline of this size and rate, one slice, key frames on demand.
    pub fn new(width: u32, height: u32, fps: u32, kbps: u32) -> Self {
        Self {
            width,
            height,
            fps,
            kbps,
            max_nal_bytes: None,
            key_interval: None,
            profile: Profile::ConstrainedBaseline,
            level: None,
        }
    }

    fn check(&self) -> Result<(), Error> {
        let side = |n: u32| (16..=1920).contains(&n) && n.is_multiple_of(2);
        let fits = side(self.width)
            && side(self.height)
            && (1..=60).contains(&self.fps)
            && RATES.contains(&self.kbps)
            && self.max_nal_bytes.is_none_or(|n| (MIN_NAL..=65_000).contains(&n))
            && self.key_interval != Some(0);
        if fits { Ok(()) } else { Err(Error::Settings(Box::new(self.clone()))) }
    }

    /// Does a picture fit?
    fn check_picture(&self, width: u32, height: u32) -> Result<(), Error> {
        if (width, height) == (self.width, self.height) {
            return Ok(());
        }
        Err(Error::PictureSize { width, height, wanted_width: self.width, wanted_height: self.height })
    }
}

const RATES: std::ops::RangeInclusive<u32> = 16..=50_000;
/// What OpenH264 takes at least.
const MIN_NAL: usize = 500;

/// Why there is no encoder, or no bits.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting out of its range.
    #[error("settings out of range: {0:?}")]
    Settings(Box<Settings>),
    /// The picture is not of the size set.
    #[error("picture of {width}x{height} for an encoder of {wanted_width}x{wanted_height}")]
    PictureSize {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Width of the settings.
        wanted_width: u32,
        /// Height of the settings.
        wanted_height: u32,
    },
    /// The library could not be set up.
    #[error("no encoder: {0}")]
    Setup(String),
    /// The library failed on a picture; make a new encoder.
    #[error("encoder failed: {0}")]
    Failed(String),
}

/// An encoder of the given kind.
pub fn new(kind: Kind, settings: Settings) -> Result<Box<dyn Encode>, Error> {
    Ok(match kind {
        Kind::X264 => Box::new(X264::new(settings)?),
        Kind::OpenH264 => Box::new(OpenH264::new(settings)?),
    })
}
