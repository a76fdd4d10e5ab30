//! Pictures, and what turns them into H.264 and back.

mod colour;
pub mod decode;
pub mod encode;
mod gaps;
mod nal;
mod picture;
mod pool;

pub use colour::Colour;
pub use decode::{Decode, Decoded, Decoder};
pub use encode::{Encode, Encoded};
pub use picture::{Canvas, Image, Picture, Planes, PlanesMut};
pub use pool::{Pool, PoolError};
