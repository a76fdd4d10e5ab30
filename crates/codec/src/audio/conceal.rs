//! Packet-loss concealment for codecs that have none (G.711, G.722), after the idea of ITU-T G.711 appendix I but without its delay: the last pitch period is
//! repeated, whole for 10 ms, then fading to nothing at 60 ms; the first 5 ms after a gap are cross-faded.

/// Concealment at one low rate.
pub(super) struct Concealer {
    /// Samples per millisecond.
    per_ms: usize,
    /// The last [`HISTORY_MS`] heard or made up.
    history: Vec<f32>,
    gap: Option<Gap>,
}

/// Where we are in a gap.
struct Gap {
    /// One pitch period, its end bent so that it flows into its beginning.
    period: Vec<f32>,
    /// Samples made up so far.
    made: usize,
    /// Step between what was heard last and where the period begins: taken away over a quarter of the period.
    step: f32,
}

const HISTORY_MS: usize = 45;
const WHOLE_MS: usize = 10;
const SILENT_MS: usize = 60;
const CROSS_MS: usize = 5;
/// Pitch of 66–400 Hz.
const LONGEST_PERIOD_MS: usize = 15;

impl Concealer {
    pub(super) fn new(rate_hz: usize) -> Self {
        let per_ms = rate_hz / 1000;
        Self { per_ms, history: vec![0.0; HISTORY_MS * per_ms], gap: None }
    }

    /// Sound that came: smooths the way out of a gap.
    pub(super) fn heard(&mut self, pcm: &mut [f32]) {
        if let Some(mut gap) = self.gap.take() {
            let length = (CROSS_MS * self.per_ms).min(pcm.len());
            for (i, sample) in pcm.iter_mut().take(length).enumerate() {
                let share = (i + 1) as f32 / (length + 1) as f32;
                *sample = *sample * share + gap.next(self.per_ms) * (1.0 - share);
            }
        }
        self.remember(pcm);
    }

    /// Sound that did not come: `count` samples made up, into `out`.
    pub(super) fn lost(&mut self, count: usize, out: &mut Vec<f32>) {
        let start = out.len();
        let mut gap = self.gap.take().unwrap_or_else(|| self.begin());
        out.extend((0..count).map(|_| gap.next(self.per_ms)));
        self.gap = Some(gap);
        let made = out.get(start..).unwrap_or_default().to_vec();
        self.remember(&made);
    }

    fn remember(&mut self, pcm: &[f32]) {
        let keep = HISTORY_MS * self.per_ms;
        self.history.extend_from_slice(pcm);
        let surplus = self.history.len().saturating_sub(keep);
        self.history.drain(..surplus);
    }

    fn begin(&self) -> Gap {
        let length = self.period();
        let end = self.history.len();
        let tail = |back: usize| self.history.get(end.saturating_sub(back)..).unwrap_or_default();
        let mut period = tail(length).to_vec();
        // The last quarter goes over into what stood before the beginning of the period: so it joins itself.
        let quarter = (length / 4).max(1);
        let before = tail(length + quarter);
        let ending = period.iter_mut().skip(length - quarter);
        for (i, (sample, earlier)) in ending.zip(before).enumerate() {
            let share = (i + 1) as f32 / (quarter + 1) as f32;
            *sample = *sample * (1.0 - share) + earlier * share;
        }
        let last = tail(1).first().copied().unwrap_or(0.0);
        let expected = before.get(quarter.saturating_sub(1)).copied().unwrap_or(0.0);
        Gap { period, made: 0, step: last - expected }
    }

    /// The lag at which the last 20 ms resemble what was before, in samples.
    fn period(&self) -> usize {
        let window = 20 * self.per_ms;
        let (shortest, longest) = (self.per_ms * 5 / 2, LONGEST_PERIOD_MS * self.per_ms);
        let end = self.history.len();
        let recent = self.history.get(end.saturating_sub(window)..).unwrap_or_default();
        let likeness = |lag: usize| {
            let earlier = self.history.get(end.saturating_sub(window + lag)..end - lag).unwrap_or_default();
            let (mut cross, mut energy) = (0.0f32, 1.0f32);
            for (a, b) in recent.iter().zip(earlier) {
                cross += a * b;
                energy += b * b;
            }
            cross / energy.sqrt()
        };
        let best = (shortest..=longest).max_by(|&a, &b| likeness(a).total_cmp(&likeness(b)));
        best.unwrap_or(longest)
    }
}

impl Gap {
    fn next(&mut self, per_ms: usize) -> f32 {
        let at = self.made;
        self.made += 1;
        let (whole, silent) = (WHOLE_MS * per_ms, SILENT_MS * per_ms);
        if at >= silent {
            return 0.0;
        }
        let gain = if at < whole { 1.0 } else { (silent - at) as f32 / (silent - whole) as f32 };
        let quarter = (self.period.len() / 4).max(1);
        let bridge = self.step * (1.0 - (at + 1) as f32 / quarter as f32).max(0.0);
        let sample = self.period.get(at % self.period.len().max(1)).copied().unwrap_or(0.0);
        (sample + bridge) * gain
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f32::consts::TAU;

    fn vowel(n: usize, rate: f32) -> f32 {
        let t = n as f32 / rate;
        4000.0 * ((TAU * 130.0 * t).sin() + 0.5 * (TAU * 390.0 * t).sin() + 0.3 * (TAU * 910.0 * t).sin())
    }

    #[test]
    fn a_vowel_goes_on_through_a_lost_packet() {
        for rate in [8000usize, 16000] {
            let mut concealer = Concealer::new(rate);
            let frame = rate / 50;
            let mut sound: Vec<f32> = Vec::new();
            for k in 0..10 {
                let mut pcm: Vec<f32> = (k * frame..(k + 1) * frame).map(|n| vowel(n, rate as f32)).collect();
                if k == 5 {
                    concealer.lost(frame, &mut sound);
                } else {
                    concealer.heard(&mut pcm);
                    sound.extend(&pcm);
                }
            }
            let wanted = |n: usize| vowel(n, rate as f32);
            // The first 10 ms of the gap follow the vowel closely ...
            let (mut noise, mut signal) = (0.0, 0.0);
            for (n, made) in sound.iter().enumerate().skip(5 * frame).take(frame / 2) {
                noise += (made - wanted(n)).powi(2);
                signal += wanted(n).powi(2);
            }
            assert!(noise < signal * 0.1, "{rate}: {}", noise / signal);
            // ... and no step anywhere is much larger than the vowel's own.
            let own = (1..4000).map(|n| (wanted(n) - wanted(n - 1)).abs()).fold(0.0, f32::max);
            let worst = sound.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
            assert!(worst < own * 1.3, "{rate}: {worst} against {own}");
        }
    }

    #[test]
    fn a_long_gap_becomes_silence() {
        let mut concealer = Concealer::new(8000);
        let mut pcm: Vec<f32> = (0..1600).map(|n| vowel(n, 8000.0)).collect();
        concealer.heard(&mut pcm);
        let mut out = Vec::new();
        for _ in 0..5 {
            concealer.lost(160, &mut out);
        }
        assert!(out[..80].iter().any(|s| s.abs() > 2000.0));
        assert!(out[480..].iter().all(|&s| s == 0.0));
    }

    #[test]
    fn silence_stays_silence() {
        let mut out = Vec::new();
        Concealer::new(16000).lost(320, &mut out);
        assert!(out.iter().all(|&s| s == 0.0));
    }
}
