//! What a line gets that loses packets by itself: each packet more than once, and less where lost ones cannot be had again
//! (docs/adaptation.md, *Packets sent twice*).

use super::share::Share;

/// Packets that loss is averaged over, how many must have been seen, and how many of those lost before it is called bad.
const MEMORY: f32 = 800.0;
const SURE: f32 = 100.0;
const SURELY_LOST: f32 = 4.0;
/// From so much loss on each packet is sent twice, and three times: where lost packets cannot be had again …
const WITHOUT: [f32; 2] = [0.005, 0.07];
/// … and where they can: beyond, asking does not keep up, as requests and repetitions are lost, too.
const WITH: [f32; 2] = [0.08, 0.15];
/// Below this share of the first threshold the line is good again; the same weather until it is this factor better or worse.
const BACK: f32 = 0.6;
const SAME: f32 = 1.3;
/// A picture of less than this, kbit/s, is not worth being safe.
const LEAST: u32 = 64;
/// kbit/s for all of the packets lost in spite of it, by the square root of their share: 670 at 1 %.
const STEADY: f32 = 67.0;
/// Packets are lost in company: so much of what is lost once is lost again a moment later, beside what chance takes.
const COMPANY: f32 = 0.1;

/// One receiver's line.
#[derive(Debug, Clone)]
pub(super) struct Lossy {
    repeats: bool,
    lately: Share,
    /// Loss, 0–1, that it is held to have; `None`: none to speak of. Every change may be a key frame, so it follows in steps.
    weather: Option<f32>,
    /// Somebody says what the line loses while packets come twice.
    measured: bool,
}

impl Lossy {
    /// `repeats`: lost packets can be had again.
    pub(super) fn new(repeats: bool) -> Self {
        Self { repeats, lately: Share::default(), weather: None, measured: true }
    }

    /// Negotiated anew.
    pub(super) fn set_repeats(&mut self, repeats: bool) {
        if repeats != self.repeats {
            *self = Self::new(repeats);
        }
    }

    /// `loss`, 0–1, of so many packets.
    pub(super) fn note(&mut self, loss: f32, packets: f32) {
        self.lately.fade(packets, MEMORY);
        self.lately.add(loss * packets, packets);
        if self.lately.of < SURE {
            return;
        }
        let loss = self.lately.mean();
        let [from, _] = self.thresholds();
        self.weather = match self.weather {
            None => (loss >= from && self.lately.lost >= SURELY_LOST).then_some(loss),
            Some(_) if loss < from * BACK => None,
            Some(before) if loss > before * SAME || loss * SAME < before => Some(loss),
            same => same,
        };
    }

    /// Nobody says any more what the line loses.
    pub(super) fn forget(&mut self) {
        *self = Self::new(self.repeats);
    }

    /// Whether the sound is reported on: without, copies are not begun again.
    pub(super) fn set_measured(&mut self, measured: bool) {
        self.measured = measured;
    }

    fn thresholds(&self) -> [f32; 2] {
        if self.repeats { WITH } else { WITHOUT }
    }

    /// It loses packets.
    pub(super) fn is_bad(&self) -> bool {
        self.weather.is_some()
    }

    /// Nothing but key frames heals what is lost on it.
    pub(super) fn is_fragile(&self) -> bool {
        !self.repeats && self.is_bad()
    }

    /// How often each packet is sent when all of them may take `kbps`.
    pub(super) fn copies(&self, kbps: u32) -> u32 {
        let Some(loss) = self.weather.filter(|_| self.measured) else { return 1 };
        let wanted = 1 + self.thresholds().iter().filter(|from| loss >= **from).count() as u32;
        // Between the first threshold and where it is good again.
        let wanted = wanted.max(2);
        (2..=wanted).rev().find(|n| kbps / n >= LEAST).unwrap_or(1)
    }

    /// kbit/s with headers that a picture may have at most when each packet is sent so often; `None`: no bound.
    pub(super) fn cap(&self, copies: u32) -> Option<u32> {
        let loss = self.weather.filter(|_| !self.repeats)?;
        let left = (1..copies).fold(loss, |left, _| left * (loss + COMPANY));
        Some((STEADY / left.sqrt()) as u32)
    }
}
