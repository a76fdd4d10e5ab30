//! What a receiver can take, in macroblocks and bits (RFC 6184 8.1).

use super::Level;

/// Computed limits of a receiver. A stream fits when it keeps all of them, whatever level it is labelled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Macroblocks of 16×16 per second.
    pub max_mbps: u32,
    /// Macroblocks per frame.
    pub max_fs: u32,
    /// Macroblocks the decoder can keep as reference and reordering frames.
    pub max_dpb_mbs: u32,
    /// kbit/s the decoder can take. What the line can take is said by `b=`, see [`crate::sdp::Video::max_kbps`].
    pub max_br_kbps: u32,
    /// Macroblocks per second when all are skipped ones; at least `max_mbps`.
    pub max_smbps: u32,
    /// The largest NAL unit the receiver likes (`max-rcmd-nalu-size`), bytes.
    pub max_nal_bytes: Option<u32>,
    /// Frames per second at any size (`max-fps`, in 1/100 on the wire), rounded down, at least 1.
    pub max_fps: Option<u32>,
}

impl Limits {
    /// Whether pictures of `width`×`height` pixels at `fps` frames per second may be sent: size, rate, and no side longer than
    /// √(8·MaxFS) macroblocks (ITU-T H.264 A.3.1).
    pub fn fits(&self, width: u32, height: u32, fps: u32) -> bool {
        let (w, h) = (u64::from(width.div_ceil(16)), u64::from(height.div_ceil(16)));
        let (fs, side) = (u64::from(self.max_fs), 8 * u64::from(self.max_fs));
        w * h <= fs
            && w * w <= side
            && h * h <= side
            && w * h * u64::from(fps) <= u64::from(self.max_mbps)
            && self.max_fps.is_none_or(|most| fps <= most)
    }
}

/// What a decoder of ours can take; says the level and the `max-*` parameters we write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receive {
    /// Macroblocks per frame.
    pub max_fs: u32,
    /// Macroblocks per second.
    pub max_mbps: u32,
}

impl Receive {
    /// 1280×720 at 30 frames/s: exactly level 3.1.
    pub const HD720: Self = Self { max_fs: 3_600, max_mbps: 108_000 };
    /// 1280×720 at 60 frames/s: exactly level 3.2.
    pub const HD720_60: Self = Self { max_fs: 5_120, max_mbps: 216_000 };
    /// 1920×1080 at 30 frames/s: exactly level 4.
    pub const HD1080: Self = Self { max_fs: 8_192, max_mbps: 245_760 };

    /// The highest level that is covered.
    pub fn level(&self) -> Level {
        Level::within(self.max_fs, self.max_mbps)
    }
}
