//! What a phone received, in figures.

use std::time::{Duration, Instant};

use serde::Serialize;

/// A stretch without a new picture that people call a freeze.
pub(super) const FREEZE: Duration = Duration::from_millis(500);

/// A stretch in which a picture is seen to stand.
pub(super) const STANDS: Duration = Duration::from_millis(200);

/// One line, sound or pictures.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Line {
    /// RTP packets received, duplicates not counted.
    pub packets: u64,
    /// Payload bytes received.
    pub octets: u64,
    /// Packets that did not come.
    pub lost: i64,
    /// Interarrival jitter in ms.
    pub jitter_ms: f64,
    /// RTP packets sent.
    pub sent: u64,
    /// Round trip by the reports, in ms.
    pub rtt_ms: Option<f64>,
    /// Share of our packets the other side says it lost, 0–1.
    pub remote_loss: Option<f32>,
    /// When the first packet came.
    #[serde(skip)]
    pub first_packet: Option<Instant>,
    /// When the last packet came.
    #[serde(skip)]
    pub last_packet: Option<Instant>,
}

/// What one phone received and sent.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stats {
    /// Sound.
    pub audio: Line,
    /// Pictures.
    pub video: Line,
    /// Sound codec agreed on.
    pub codec: Option<crate::plan::Codec>,
    /// Packetization mode agreed on.
    pub mode: Option<u8>,
    /// Whole pictures.
    pub pictures: u64,
    /// Pictures with parts missing.
    pub damaged: u64,
    /// Key frames among them.
    pub key_frames: u64,
    /// Pictures per second, from the first to the last.
    pub fps: f64,
    /// Stretches of more than 500 ms without a new picture, after the first decodable one.
    pub freezes: u64,
    /// The longest stretch without a new picture, in ms.
    pub longest_gap_ms: f64,
    /// Stretches of more than 60 ms without sound.
    pub sound_gaps: u64,
    /// The longest stretch without sound, in ms.
    pub longest_sound_gap_ms: f64,
    /// Time in stretches of more than 200 ms without a whole picture that refers to whole ones, of …
    pub stood_ms: f64,
    /// … the time since the first decodable picture.
    pub watched_ms: f64,
    /// Sound played, where the persona plays it: packets and what stood in for missing ones, of which …
    pub played: u64,
    /// … so many had no copy in the packet behind them and had to be made up.
    pub made_up: u64,
    /// Packets of pictures we sent again because they were asked for.
    pub repeated: u64,
    /// Packets of pictures we asked for again.
    pub asked_again: u64,
    /// Key frames the other side asked for, by any way.
    pub asked: u64,
    /// Key frames we asked for.
    pub asks: u64,
    /// Limits of our rate the other side set (TMMBR).
    pub limits: u64,
    /// Pictures and packets of sound that were not judged because the eye was too slow: what it saw says nothing then.
    pub missed: u64,
    /// When the first packet of a key frame came.
    #[serde(skip)]
    pub first_key: Option<Instant>,
    /// When the first whole key frame was there: the first decodable picture.
    #[serde(skip)]
    pub first_decodable: Option<Instant>,
}

/// Counts stretches without anything new.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gaps {
    last: Option<Instant>,
    pub count: u64,
    pub longest: Duration,
    /// All that count together.
    pub total: Duration,
}

impl Gaps {
    /// Something new came; a stretch longer than `limit` counts.
    pub fn mark(&mut self, now: Instant, limit: Duration) {
        if let Some(last) = self.last.replace(now) {
            self.close(now.saturating_duration_since(last), limit);
        }
    }

    /// Nothing is expected for now (hold): the stretch does not count.
    pub fn pause(&mut self) {
        self.last = None;
    }

    /// As it would be if something came now: a stretch that is still open counts.
    pub fn at(mut self, now: Instant, limit: Duration) -> Self {
        if self.last.is_some() {
            self.mark(now, limit);
        }
        self
    }

    fn close(&mut self, stretch: Duration, limit: Duration) {
        self.longest = self.longest.max(stretch);
        if stretch > limit {
            self.count += 1;
            self.total += stretch;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_stretch_that_is_still_open_counts_and_a_hold_does_not() {
        #[allow(clippy::disallowed_methods, reason = "any moment will do")]
        let start = Instant::now();
        let ms = |n| start + Duration::from_millis(n);
        let mut gaps = Gaps::default();
        gaps.mark(ms(0), FREEZE);
        gaps.mark(ms(400), FREEZE);
        gaps.mark(ms(1_000), FREEZE);
        assert_eq!(
            (gaps.count, gaps.longest, gaps.total),
            (1, Duration::from_millis(600), Duration::from_millis(600))
        );
        assert_eq!(gaps.at(ms(2_000), FREEZE).count, 2);
        assert_eq!(gaps.count, 1, "looking does not change it");
        gaps.pause();
        gaps.mark(ms(9_000), FREEZE);
        assert_eq!(gaps.count, 1);
    }
}
