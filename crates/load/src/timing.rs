//! How long pictures and sound took, and whether lips go with voices.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{hear, pattern::IDENTITIES, studio::Beacons};

/// Values kept of each kind.
const KEPT: usize = 20_000;
/// Pictures a burst is compared with: those of about a second before it.
const RECENT: usize = 30;
/// Samples per second.
const RATE: usize = cau_codec::audio::RATE as usize;
/// Bursts are looked for in pieces of this length, with so much of the piece before that each is whole in one.
const PIECE: usize = RATE;
const BEFORE: usize = RATE / 5;

/// What a decoding phone measured, in ms. Only of identities that one phone alone sends.
#[derive(Clone, Debug, Default)]
pub struct Delays {
    /// From a judged picture's leaving to the coming of the last packet of a picture that shows it.
    pub picture_ms: Vec<f32>,
    /// From a burst's leaving to its playing, were it played as it comes; the codecs' own delay on the way to the bridge and from it left out.
    pub sound_ms: Vec<f32>,
    /// How much later than its sound a site's picture comes; negative: earlier.
    pub lips_ms: Vec<f32>,
}

impl Delays {
    /// Adds what another one measured.
    pub fn add(&mut self, other: Self) {
        let pairs = [
            (&mut self.picture_ms, other.picture_ms),
            (&mut self.sound_ms, other.sound_ms),
            (&mut self.lips_ms, other.lips_ms),
        ];
        for (to, from) in pairs {
            to.extend(from.into_iter().take(KEPT.saturating_sub(to.len())));
        }
    }
}

/// Measures for one phone.
#[derive(Default)]
pub(crate) struct Clockwork {
    recent: [VecDeque<f32>; IDENTITIES as usize],
    samples: Vec<f32>,
    /// Where in `samples` a packet begins, and when it came.
    marks: VecDeque<(usize, Instant)>,
    new: Delays,
}

impl Clockwork {
    /// A picture with this bar came at `at`.
    pub fn saw(&mut self, beacons: &Beacons, bar: (u8, u16), at: Instant) {
        let Some(took) = beacons.picture_took(bar.0, bar.1, at) else { return };
        self.new.picture_ms.push(millis(took));
        if let Some(recent) = self.recent.get_mut(usize::from(bar.0)) {
            if recent.len() == RECENT {
                recent.pop_front();
            }
            recent.push_back(millis(took));
        }
    }

    /// Decoded sound that came at `at`; `lag`: how late the codec puts a burst.
    pub fn heard(&mut self, beacons: &Beacons, samples: &[i16], at: Instant, lag: Duration) {
        self.marks.push_back((self.samples.len(), at));
        self.samples.extend(samples.iter().map(|s| f32::from(*s) / 32_768.0));
        if self.samples.len() < PIECE + BEFORE {
            return;
        }
        let loud = hear::heard(&self.samples, RATE as u32);
        for id in (0..IDENTITIES).filter(|id| loud >> id & 1 == 1) {
            self.find(beacons, id, lag);
        }
        self.samples.drain(..PIECE);
        // The packet in which the rest begins stays.
        while self.marks.get(1).is_some_and(|(place, _)| *place <= PIECE) {
            self.marks.pop_front();
        }
        let shift = |place: &mut usize| *place = place.saturating_sub(PIECE);
        self.marks.iter_mut().for_each(|(place, _)| shift(place));
    }

    /// A pause: what comes has nothing to do with what came.
    pub fn rest(&mut self) {
        self.samples.clear();
        self.marks.clear();
    }

    /// What was measured since the last call.
    pub fn take(&mut self) -> Delays {
        std::mem::take(&mut self.new)
    }

    fn find(&mut self, beacons: &Beacons, id: u8, lag: Duration) {
        // Each burst is found once: those that begin in the last part are found in the next piece.
        let found = hear::burst(&self.samples, RATE as u32, id, BEFORE / 2);
        let Some(begins) = found.filter(|k| *k < PIECE + BEFORE / 2) else { return };
        let Some((place, came)) = self.marks.iter().rev().find(|(place, _)| *place <= begins) else { return };
        let heard = *came + Duration::from_secs_f64((begins - place) as f64 / RATE as f64);
        let Some(took) = beacons.burst_took(id, heard) else { return };
        let sound = millis(took) - millis(lag);
        self.new.sound_ms.push(sound);
        let mut recent: Vec<f32> = self.recent.get(usize::from(id)).into_iter().flatten().copied().collect();
        if recent.len() >= RECENT / 2 {
            recent.sort_by(f32::total_cmp);
            self.new.lips_ms.push(recent[recent.len() / 2] - sound);
        }
    }
}

fn millis(d: Duration) -> f32 {
    d.as_secs_f32() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{pattern, plan::PhoneId};

    #[test]
    fn every_burst_is_measured_once_and_lips_are_the_difference() {
        #[allow(clippy::disallowed_methods, reason = "any moment will do")]
        let start = Instant::now();
        let beacons = Beacons::new(start);
        let mut clockwork = Clockwork::default();
        let sound: Vec<i16> =
            pattern::sound(4, 48_000, 0, 10 * RATE).iter().map(|s| (s * 32_767.0) as i16).collect();
        // Sound leaves every 20 ms and takes 36; pictures take 70.
        for (n, frame) in sound.chunks(960).enumerate() {
            let sent = start + Duration::from_millis(1_000 + 20 * n as u64);
            if n % 50 == 0 {
                beacons.burst(4, PhoneId(1), sent);
            }
            beacons.picture(4, PhoneId(1), n as u16, sent);
            clockwork.saw(&beacons, (4, n as u16), sent + Duration::from_millis(70));
            clockwork.heard(&beacons, frame, sent + Duration::from_millis(36), Duration::ZERO);
        }
        let found = clockwork.take();
        assert_eq!(found.picture_ms.len(), 500);
        assert!((7..=10).contains(&found.sound_ms.len()), "{}", found.sound_ms.len());
        assert!(found.sound_ms.iter().all(|ms| (ms - 36.0).abs() < 1.5), "{:?}", found.sound_ms);
        assert!(found.lips_ms.iter().all(|ms| (ms - 34.0).abs() < 1.5), "{:?}", found.lips_ms);
    }
}
