//! Sum wide, subtract self, limit once.

use super::{FRAME, Frame};

/// Up to this many sites are all in the mix.
pub const ALL: usize = 16;
/// Above [`ALL`], this many of the loudest.
pub const LOUDEST: usize = 8;
/// dB by which a site outside the mix must be louder than one inside to take its place.
const HYSTERESIS: f32 = 3.0;

/// One source in the eyes of the mixer.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Smoothed level, dBov.
    pub level: f32,
    /// In the mix until now.
    pub was_in: bool,
    /// Holds the floor: always in.
    pub floor: bool,
}

/// Which of the candidates are in the mix.
pub fn admit(candidates: &[Candidate]) -> Vec<bool> {
    if candidates.len() <= ALL {
        return vec![true; candidates.len()];
    }
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    let weight = |i: usize| {
        candidates.get(i).map_or(f32::MIN, |c| {
            if c.floor { f32::MAX } else { c.level + if c.was_in { HYSTERESIS } else { 0.0 } }
        })
    };
    order.sort_by(|a, b| weight(*b).total_cmp(&weight(*a)));
    let floor = candidates.iter().filter(|c| c.floor).count();
    let mut chosen = vec![false; candidates.len()];
    for i in order.into_iter().take(LOUDEST + floor) {
        if let Some(c) = chosen.get_mut(i) {
            *c = true;
        }
    }
    chosen
}

/// Gain of one source, moved over a frame so that muting, admitting and volume never click.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fader {
    gain: f32,
}

impl Fader {
    /// Scales the frame from the last gain to `target`; false when nothing of it is left.
    pub fn run(&mut self, frame: &mut Frame, target: f32) -> bool {
        let from = self.gain;
        self.gain = target;
        if from == 0.0 && target == 0.0 {
            return false;
        }
        if from == target {
            if target != 1.0 {
                frame.iter_mut().for_each(|s| *s *= target);
            }
            return true;
        }
        let step = (target - from) / FRAME as f32;
        let mut gain = from;
        for sample in frame {
            gain += step;
            *sample *= gain;
        }
        true
    }

    /// Nothing of the source is left in the sum.
    pub fn is_closed(&self) -> bool {
        self.gain == 0.0
    }

    /// Nothing came: the next frame starts at `target` without a ramp.
    pub fn rest(&mut self, target: f32) {
        self.gain = target;
    }
}

/// Adds `frame` to `sum`.
pub fn add(sum: &mut Frame, frame: &Frame) {
    for (s, f) in sum.iter_mut().zip(frame) {
        *s += f;
    }
}

/// `sum` without `own`.
pub fn minus(sum: &Frame, own: &Frame) -> Frame {
    let mut out = *sum;
    for (o, f) in out.iter_mut().zip(own) {
        *o -= f;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(level: f32, was_in: bool) -> Candidate {
        Candidate { level, was_in, floor: false }
    }

    #[test]
    fn up_to_sixteen_everybody_is_heard_and_above_that_the_loudest_eight() {
        let some: Vec<_> = (0..16).map(|_| candidate(-60.0, false)).collect();
        assert!(admit(&some).iter().all(|a| *a));
        let many: Vec<_> = (0..30).map(|i| candidate(-10.0 - i as f32, false)).collect();
        let chosen = admit(&many);
        assert_eq!(chosen.iter().filter(|a| **a).count(), LOUDEST);
        assert!(chosen[..LOUDEST].iter().all(|a| *a));
    }

    #[test]
    fn the_floor_holder_is_heard_beside_the_loudest() {
        let mut many: Vec<_> = (0..30).map(|i| candidate(-10.0 - i as f32, false)).collect();
        many[29].floor = true;
        let chosen = admit(&many);
        assert!(chosen[29]);
        assert_eq!(chosen.iter().filter(|a| **a).count(), LOUDEST + 1);
    }

    #[test]
    fn who_is_in_stays_in_unless_another_is_clearly_louder() {
        let mut many: Vec<_> = (0..20).map(|i| candidate(-20.0, i < 8)).collect();
        many[15].level = -18.0;
        assert!(!admit(&many)[15], "2 dB louder is not enough");
        many[15].level = -16.0;
        assert!(admit(&many)[15]);
    }

    #[test]
    fn subtracting_oneself_leaves_nothing_of_oneself() {
        let own: Frame = std::array::from_fn(|i| (i as f32 * 0.1).sin() * 0.3);
        let other: Frame = std::array::from_fn(|i| (i as f32 * 0.07).sin() * 0.3);
        let mut sum = [0.0; FRAME];
        add(&mut sum, &own);
        add(&mut sum, &other);
        let heard = minus(&sum, &own);
        let error = heard.iter().zip(&other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(error < 1e-6);
    }

    #[test]
    fn a_fader_never_jumps() {
        let mut f = Fader::default();
        let mut frame = [1.0; FRAME];
        assert!(f.run(&mut frame, 1.0));
        assert!(frame[0] < 0.01 && frame[FRAME - 1] > 0.99);
        let mut frame = [1.0; FRAME];
        assert!(f.run(&mut frame, 0.0));
        assert!(frame[0] > 0.99 && frame[FRAME - 1] < 0.01);
        assert!(!f.run(&mut [1.0; FRAME], 0.0));
    }
}
