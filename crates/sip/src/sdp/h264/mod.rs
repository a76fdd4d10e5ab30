//! H.264 over RTP in descriptions (RFC 6184 8).

mod level;
mod limits;
mod parameters;
mod profile;

pub use level::Level;
pub use limits::{Limits, Receive};
pub use parameters::Parameters;
pub(super) use parameters::write;
pub use profile::{Profile, ProfileLevelId};

/// Packetization mode (RFC 6184 6.2). Interleaved mode (2) is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// 0: every packet is one NAL unit, which must fit into the MTU.
    SingleNal = 0,
    /// 1: STAP-A and FU-A are allowed too.
    NonInterleaved = 1,
}

impl Mode {
    /// 0 or 1.
    pub fn number(self) -> u8 {
        self as u8
    }
}
