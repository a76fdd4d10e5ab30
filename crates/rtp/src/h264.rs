//! H.264 over RTP (RFC 6184): NAL units, access units, packets, parameter sets.

mod assembler;
mod depacketizer;
pub mod nal;
mod packetizer;
mod params;
pub mod pps;
pub mod sps;
mod unit;

pub use depacketizer::{Config, Counters, Depacketizer, Event, Lost};
pub use nal::starts_key_frame;
pub use packetizer::{DEFAULT_BUDGET, Mode, Packetized, Packetizer, Payload};
pub use unit::Unit;
