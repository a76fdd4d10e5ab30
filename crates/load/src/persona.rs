//! Habits of real hardware, played by the phone.

use std::time::Duration;

use cau_netem::Loss;
use serde::{Deserialize, Serialize};

/// When the phone sends a key frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyFrames {
    /// Every second, and at once when asked by PLI, FIR or INFO.
    #[default]
    Regular,
    /// One at the start, then only when asked by PLI, FIR or INFO.
    Asked,
    /// One at the start, then only when asked by INFO; RTCP requests are not understood.
    InfoOnly,
    /// When asked, but only after [`Persona::key_frame_delay`].
    Late,
    /// One at the start, then never again.
    Never,
}

/// Which packetization modes of RFC 6184 the phone offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Modes {
    /// Mode 1 first, then mode 0.
    #[default]
    Both,
    /// Only single NAL units (old hardware).
    Zero,
    /// Only mode 1.
    One,
}

/// What one simulated endpoint does differently from a well-behaved one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Persona {
    /// Packetization modes offered.
    pub modes: Modes,
    /// Key frame habit.
    pub key_frames: KeyFrames,
    /// Delay of [`KeyFrames::Late`].
    pub key_frame_delay: Duration,
    /// Sends sender reports.
    pub sender_reports: bool,
    /// Changes the video SSRC this long after the call stands.
    pub ssrc_change_after: Option<Duration>,
    /// Changes the picture's size to three quarters this long after the call stands.
    pub size_change_after: Option<Duration>,
    /// Sends a re-INVITE this long after the call stands; zero: at once after the ACK.
    pub reinvite_after: Option<Duration>,
    /// Pads the INVITE to at least this many bytes with headers and SDP attributes nobody knows.
    pub invite_bytes: usize,
    /// Asks for a key frame when its picture is hurt or does not come.
    pub asks_key_frames: bool,
    /// Asks for a key frame this often, whatever it gets, as broken devices do; 20 times a second at most.
    pub pesters: Option<Duration>,
    /// Offers NACK (RFC 4585): asks for packets of pictures again, and sends its own again.
    pub nack: bool,
    /// Plays what it gets as a device does: waits for late packets of pictures, and takes sound through a playout buffer, so that what had to be made up
    /// is counted.
    pub plays: bool,
    /// Offers without SDP in the INVITE (late offer).
    pub late_offer: bool,
    /// Offers TMMBR (RFC 5104) and sends less when asked by it.
    pub obeys_limits: bool,
    /// What its line does to packets, both ways; `None`: nothing.
    pub line: Option<Road>,
    /// Its pictures are decoded for one second in so many, where they are decoded at all; up to 1: always.
    pub glimpse: u32,
}

/// A bad line, as `cau_netem` plays it in each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Road {
    /// Share of packets lost, per cent.
    pub loss_percent: f64,
    /// Packets lost in a row on average; up to 1: each for itself.
    pub burst: f64,
    /// Time every packet takes, ms.
    pub delay_ms: f64,
    /// Up to this much more, ms.
    pub jitter_ms: f64,
    /// What it carries, kbit/s; 0: without limit.
    pub kbps: u64,
}

impl Road {
    /// As the emulator wants it.
    pub(crate) fn config(self) -> cau_netem::Config {
        let share = (self.loss_percent / 100.0).clamp(0.0, 1.0);
        let ms = |v: f64| Duration::from_secs_f64((v / 1000.0).clamp(0.0, 60.0));
        cau_netem::Config {
            loss: match share {
                0.0 => Loss::None,
                _ if self.burst > 1.0 => Loss::bursts(share, self.burst),
                _ => Loss::Random(share),
            },
            delay: ms(self.delay_ms),
            jitter: ms(self.jitter_ms),
            rate: (self.kbps > 0).then_some(self.kbps.saturating_mul(1000)),
            ..cau_netem::Config::default()
        }
    }
}

impl Default for Persona {
    fn default() -> Self {
        Self {
            modes: Modes::Both,
            key_frames: KeyFrames::Regular,
            key_frame_delay: Duration::from_millis(1500),
            sender_reports: true,
            ssrc_change_after: None,
            size_change_after: None,
            reinvite_after: None,
            invite_bytes: 0,
            asks_key_frames: true,
            pesters: None,
            nack: false,
            plays: false,
            late_offer: false,
            obeys_limits: true,
            line: None,
            glimpse: 1,
        }
    }
}
