//! `a=fmtp` of one H.264 payload type.

use bytes::Bytes;

use super::{Level, Limits, Mode, ProfileLevelId, Receive};
use crate::sdp::{Fmtp, base64};

/// The most parameter sets taken from `sprop-parameter-sets`.
const MAX_PARAMETER_SETS: usize = 16;

/// What the description says of one H.264 payload type (RFC 6184 8.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// Profile and default level; [`ProfileLevelId::ABSENT`] when missing or unreadable.
    pub profile_level: ProfileLevelId,
    /// Packetization mode; a missing parameter means mode 0.
    pub mode: Mode,
    /// Whether `packetization-mode` was written.
    pub mode_written: bool,
    /// `level-asymmetry-allowed=1`.
    pub level_asymmetry: bool,
    /// `max-recv-level`, when above the default level.
    pub max_recv_level: Option<Level>,
    /// `max-mbps`, macroblocks per second.
    pub max_mbps: Option<u32>,
    /// `max-smbps`, static macroblocks per second.
    pub max_smbps: Option<u32>,
    /// `max-fs`, macroblocks.
    pub max_fs: Option<u32>,
    /// `max-dpb`, in units of 8/3 macroblocks.
    pub max_dpb: Option<u32>,
    /// `max-br`, 1000 bit/s.
    pub max_br: Option<u32>,
    /// `max-rcmd-nalu-size`, bytes.
    pub max_rcmd_nalu_size: Option<u32>,
    /// `max-fps` (ITU-T H.241, Cisco), 1/100 frames per second.
    pub max_fps: Option<u32>,
    /// Parameter sets of `sprop-parameter-sets`, in order; unreadable ones are left out.
    pub parameter_sets: Vec<Bytes>,
}

impl Parameters {
    /// Reads the parameters; `None` for a packetization mode that is not taken (2, or nonsense).
    pub fn read(fmtp: &Fmtp) -> Option<Self> {
        let mode = match fmtp.value("packetization-mode") {
            None | Some("0") => Mode::SingleNal,
            Some("1") => Mode::NonInterleaved,
            Some(_) => return None,
        };
        // A zero says nothing: nobody offers to receive pictures of no size.
        let limit = |key| fmtp.number(key).filter(|n| *n > 0);
        let profile_level =
            fmtp.value("profile-level-id").and_then(ProfileLevelId::parse).unwrap_or(ProfileLevelId::ABSENT);
        Some(Self {
            profile_level,
            mode,
            mode_written: fmtp.value("packetization-mode").is_some(),
            level_asymmetry: fmtp.is_set("level-asymmetry-allowed"),
            max_recv_level: fmtp.value("max-recv-level").and_then(|text| {
                let ProfileLevelId([idc, ..]) = profile_level;
                let ProfileLevelId([iop, level, _]) = ProfileLevelId::parse(text)?;
                Some(ProfileLevelId([idc, iop, level]).level()).filter(|l| *l > profile_level.level())
            }),
            max_mbps: limit("max-mbps"),
            max_smbps: limit("max-smbps"),
            max_fs: limit("max-fs"),
            max_dpb: limit("max-dpb"),
            max_br: limit("max-br"),
            max_rcmd_nalu_size: limit("max-rcmd-nalu-size"),
            max_fps: limit("max-fps"),
            parameter_sets: fmtp.value("sprop-parameter-sets").map(parameter_sets).unwrap_or_default(),
        })
    }

    /// The highest level its writer receives when levels may differ, else its default level.
    pub fn receive_level(&self, asymmetric: bool) -> Level {
        let level = self.profile_level.level();
        if asymmetric { self.max_recv_level.unwrap_or(level) } else { level }
    }

    /// What may be sent to the writer when `level` is the level to use: the level's limits, each replaced by what the writer
    /// says. A value below the level's is against RFC 6184 but meant by those who write it, so it counts too.
    pub fn limits(&self, level: Level) -> Limits {
        let base = level.limits();
        let max_mbps = self.max_mbps.unwrap_or(base.max_mbps);
        Limits {
            max_mbps,
            max_fs: self.max_fs.unwrap_or(base.max_fs),
            // 8/3 macroblocks are 1024 bytes; the formula of RFC 6184 has the fraction upside down.
            max_dpb_mbs: self.max_dpb.map_or(base.max_dpb_mbs, |n| (n / 3).saturating_mul(8)),
            max_br_kbps: self.max_br.unwrap_or(base.max_br_kbps),
            max_smbps: self.max_smbps.unwrap_or(max_mbps).max(max_mbps),
            max_nal_bytes: self.max_rcmd_nalu_size,
            max_fps: self.max_fps.map(|n| (n / 100).max(1)),
        }
    }
}

/// Our own `a=fmtp` value for a payload type. The `max-*` are written even when they only repeat the level: devices ask for them.
pub(in crate::sdp) fn write(
    profile_level: ProfileLevelId,
    mode: Option<Mode>,
    receive: &Receive,
    max_kbps: u32,
) -> String {
    let mut out = format!("profile-level-id={profile_level};level-asymmetry-allowed=1");
    if let Some(mode) = mode {
        out.push_str(&format!(";packetization-mode={}", mode.number()));
    }
    out.push_str(&format!(";max-mbps={};max-fs={}", receive.max_mbps, receive.max_fs));
    if max_kbps > profile_level.level().limits().max_br_kbps {
        out.push_str(&format!(";max-br={max_kbps}"));
    }
    out
}

/// Comma-separated base64.
fn parameter_sets(text: &str) -> Vec<Bytes> {
    let sets = text.split(',').take(MAX_PARAMETER_SETS).filter_map(|set| base64::decode(set.trim()));
    sets.filter(|set| !set.is_empty()).map(Bytes::from).collect()
}
