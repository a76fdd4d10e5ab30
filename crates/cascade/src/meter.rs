//! Loudness in four steps, so that a tree of thousands of open microphones does not flood its links.

use std::time::{Duration, Instant};

/// A step down waits that long, so that pauses between words are not told.
const HOLD: Duration = Duration::from_secs(2);
/// Least time between two changes of one site.
const GAP: Duration = Duration::from_secs(1);

/// 0: silent (below −60 dBov), 1: soft, 2: speech (from −40), 3: loud (from −25).
fn step(dbov: i8) -> u8 {
    match dbov {
        ..-60 => 0,
        -60..-40 => 1,
        -40..-25 => 2,
        _ => 3,
    }
}

/// The loudness of one site.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meter {
    shown: u8,
    changed: Option<Instant>,
    /// Since when everything was below `shown`, and the loudest of that.
    lower: Option<(Instant, u8)>,
}

impl Meter {
    /// A measurement; gives the step when another one is to be told.
    pub fn measure(&mut self, now: Instant, dbov: i8) -> Option<u8> {
        let heard = step(dbov);
        if heard >= self.shown {
            self.lower = None;
        }
        let next = if heard < self.shown {
            let (since, most) = self.lower.unwrap_or((now, heard));
            let most = most.max(heard);
            self.lower = Some((since, most));
            if now.saturating_duration_since(since) >= HOLD { most } else { self.shown }
        } else {
            heard
        };
        let early = self.changed.is_some_and(|at| now.saturating_duration_since(at) < GAP);
        if next == self.shown || early {
            return None;
        }
        *self = Meter { shown: next, changed: Some(now), lower: None };
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_shows_at_once_and_pauses_do_not() {
        #[allow(clippy::disallowed_methods)]
        let start = Instant::now();
        let mut meter = Meter::default();
        let mut told = Vec::new();
        for tick in 0..200_u64 {
            // Words of 400 ms with pauses of 600 ms for ten seconds, then silence.
            let level = if tick < 100 && tick % 10 < 4 { -30 } else { -80 };
            let now = start + Duration::from_millis(tick * 100);
            if let Some(step) = meter.measure(now, level) {
                told.push((tick, step));
            }
        }
        assert_eq!(told, [(0, 2), (114, 0)]);
    }

    #[test]
    fn a_flapping_microphone_is_told_once_a_second_at_most() {
        #[allow(clippy::disallowed_methods)]
        let start = Instant::now();
        let mut meter = Meter::default();
        let told = (0..6_000_u64).filter(|tick| {
            let level = [-80, -50, -30, -10][(tick * 7 % 4) as usize];
            meter.measure(start + Duration::from_millis(tick * 10), level).is_some()
        });
        assert!(told.count() <= 60);
    }
}
