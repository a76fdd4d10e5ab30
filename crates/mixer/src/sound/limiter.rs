//! Keeps a sum of voices within full scale by a slow gain; clipping would put new tones into the mix.

use super::{FRAME, Frame};

/// Sub-blocks of one frame over which the gain is worked out: 1 ms each.
const BLOCKS: usize = 20;
const BLOCK: usize = FRAME / BLOCKS;
/// Largest sample let through, −3 dBov: codecs overshoot what they are given, and a decoder at full scale clips (Opus) or, in devices whose
/// G.722 does not saturate, wraps round with a loud crack.
const CEILING: f32 = 0.707;
/// Gain wins back 6 dB in 0.5 s: factor per block of 1 ms.
const RELEASE: f32 = 1.001_387;
/// After a peak the gain stays where it is for so many blocks: winning back between the peaks of two voices that beat would put new tones into
/// the mix, and one of them may be the one that was taken out of it.
const HOLD: u32 = 150;
/// A peak that comes this near to what the gain allows counts as one.
const NEAR: f32 = 1.05;
/// Gain falls by at most this factor per block where there is time to see the peak come (12 dB in 4 ms).
const ATTACK: f32 = 0.707;

/// The gain of one mix. Frames must be given in order.
#[derive(Clone, Copy, Debug)]
pub struct Limiter {
    gain: f32,
    /// Blocks for which the gain is still held.
    hold: u32,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { gain: 1.0, hold: 0 }
    }
}

impl Limiter {
    /// Scales the frame so that no sample exceeds full scale.
    pub fn run(&mut self, frame: &mut Frame) {
        let mut allowed = [1.0_f32; BLOCKS];
        let mut quiet = true;
        for (most, block) in allowed.iter_mut().zip(frame.chunks_exact(BLOCK)) {
            let peak = block.iter().fold(0.0_f32, |p, s| p.max(s.abs()));
            if peak > CEILING {
                *most = CEILING / peak;
                quiet = false;
            }
        }
        if quiet && self.gain >= 1.0 {
            return;
        }
        // Backwards: begin to go down before the peak, where the frame still lets us.
        let mut next = 1.0_f32;
        for most in allowed.iter_mut().rev() {
            *most = most.min(next / ATTACK);
            next = *most;
        }
        // At a boundary the gain is what both neighbours allow, so that the line between two boundaries is allowed too.
        let first = allowed.first().copied().unwrap_or(1.0);
        let mut from = self.gain.min(first);
        for (i, block) in frame.chunks_exact_mut(BLOCK).enumerate() {
            let here = allowed.get(i).copied().unwrap_or(1.0);
            let after = allowed.get(i + 1).copied().unwrap_or(1.0);
            let allowed = here.min(after);
            if allowed < from * NEAR && allowed < 1.0 {
                self.hold = HOLD;
            }
            let wanted = if self.hold > 0 { from } else { from * RELEASE };
            self.hold = self.hold.saturating_sub(1);
            let to = wanted.min(allowed).min(1.0);
            let step = (to - from) / BLOCK as f32;
            let mut gain = from;
            for sample in block {
                gain += step;
                *sample *= gain;
            }
            from = to;
        }
        self.gain = from;
    }

    /// The gain at the end of the last frame, 0–1.
    pub fn gain(&self) -> f32 {
        self.gain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f32, level: f32, n: usize) -> Frame {
        std::array::from_fn(|i| {
            level * (std::f32::consts::TAU * hz * (n * FRAME + i) as f32 / 48_000.0).sin()
        })
    }

    #[test]
    fn what_fits_is_not_touched() {
        let mut l = Limiter::default();
        let mut f = tone(500.0, 0.7, 0);
        let before = f;
        l.run(&mut f);
        assert_eq!(f, before);
    }

    #[test]
    fn sixteen_loud_voices_stay_within_full_scale_without_new_tones() {
        let mut l = Limiter::default();
        let mut distortion = 0.0_f64;
        let mut power = 0.0_f64;
        for n in 0..100 {
            let mut f = tone(500.0, 8.0, n);
            l.run(&mut f);
            assert!(f.iter().all(|s| s.abs() <= 1.0), "frame {n}");
            if n > 20 {
                // Third harmonic, where clipping would put it.
                let (mut re, mut im) = (0.0, 0.0);
                for (i, s) in f.iter().enumerate() {
                    let p = std::f64::consts::TAU * 1500.0 * (n * FRAME + i) as f64 / 48_000.0;
                    re += f64::from(*s) * p.cos();
                    im += f64::from(*s) * p.sin();
                    power += f64::from(*s).powi(2);
                }
                distortion += (re * re + im * im) * 2.0 / FRAME as f64;
            }
        }
        let db = 10.0 * (distortion / power).log10();
        assert!(db < -50.0, "third harmonic at {db:.1} dB");
    }

    #[test]
    fn voices_that_beat_put_nothing_where_the_missing_one_would_be() {
        let mut l = Limiter::default();
        // Five of six tones 120 Hz apart: what a gain that follows their beat would add lies just where the sixth is missing.
        let (mut re, mut im) = (0.0, 0.0);
        let frames = 50..100;
        for n in 0..frames.end {
            let tones = [440.0, 680.0, 800.0, 920.0, 1040.0].map(|hz| tone(hz, 0.3, n));
            let mut f: Frame = std::array::from_fn(|i| tones.iter().map(|t| t[i]).sum());
            l.run(&mut f);
            for (i, s) in f.iter().enumerate().filter(|_| frames.contains(&n)) {
                let p = std::f64::consts::TAU * 560.0 * (n * FRAME + i) as f64 / 48_000.0;
                re += f64::from(*s) * p.cos();
                im += f64::from(*s) * p.sin();
            }
        }
        let level = 2.0 * (re * re + im * im).sqrt() / (frames.len() * FRAME) as f64;
        let db = 20.0 * (level / 0.3).log10();
        assert!(db < -60.0, "{db:.1} dB beside one of the tones");
    }

    #[test]
    fn the_gain_comes_back_slowly() {
        let mut l = Limiter::default();
        l.run(&mut tone(500.0, 4.0, 0));
        let low = l.gain();
        assert!(low < 0.3);
        l.run(&mut tone(500.0, 0.1, 1));
        assert!(l.gain() < low * 1.1, "not in one frame");
        for n in 2..100 {
            l.run(&mut tone(500.0, 0.1, n));
        }
        assert!(l.gain() > 0.99);
    }

    #[test]
    fn a_sudden_peak_late_in_a_frame_is_seen_coming() {
        let mut l = Limiter::default();
        let mut f = [0.5; FRAME];
        f[900..].fill(3.0);
        l.run(&mut f);
        let jump = f.windows(2).take(890).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
        assert!(jump < 0.01, "no step before the peak: {jump}");
        assert!(f.iter().all(|s| *s <= 1.0));
    }
}
