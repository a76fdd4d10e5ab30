//! Sound at 2 kHz: where noise, hum and echo are looked for, at a twenty-fourth of the work.

use super::{FRAME, Frame};

/// Samples of 20 ms.
pub const SLICE: usize = 40;
/// Samples per second.
pub const RATE: usize = 2_000;
const FIRST: usize = 12;

/// 20 ms at 2 kHz.
pub type Slice = [f32; SLICE];

/// From 48 to 2 kHz: the mean of twelve, then ¼ ½ ¼. Frames are given in order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Narrow {
    last: f32,
}

impl Narrow {
    /// The next 20 ms.
    pub fn run(&mut self, frame: &Frame) -> Slice {
        let mut mid = [0.0_f32; FRAME / FIRST];
        for (mean, twelve) in mid.iter_mut().zip(frame.chunks_exact(FIRST)) {
            *mean = twelve.iter().sum::<f32>() / FIRST as f32;
        }
        let mut out = [0.0; SLICE];
        for (sample, pair) in out.iter_mut().zip(mid.chunks_exact(2)) {
            if let [a, b] = *pair {
                *sample = 0.25 * self.last + 0.5 * a + 0.25 * b;
                self.last = b;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(hz: f32) -> f32 {
        let mut narrow = Narrow::default();
        let mut power = 0.0;
        for n in 0..10 {
            let frame: Frame = std::array::from_fn(|i| {
                (std::f32::consts::TAU * hz * (n * FRAME + i) as f32 / 48_000.0).sin()
            });
            power = narrow.run(&frame).iter().map(|s| s * s).sum::<f32>() / SLICE as f32;
        }
        10.0 * (2.0 * power).log10()
    }

    #[test]
    fn the_band_of_voices_passes_and_what_is_above_does_not_fold_down() {
        assert!(level(100.0).abs() < 0.5 && level(500.0) > -2.0);
        assert!(level(2_000.0) < -20.0 && level(4_050.0) < -25.0, "{} {}", level(2_000.0), level(4_050.0));
    }
}
