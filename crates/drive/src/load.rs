//! How busy a thread is.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Over this time.
const WINDOW: Duration = Duration::from_millis(500);

/// The share of its time a thread works instead of waiting for work. Time in which it wanted to work and was not let counts as work: that is what makes
/// its packets late.
#[derive(Debug, Default)]
pub struct Load {
    /// Of the last whole window, ‰.
    permille: AtomicU32,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    worked: Duration,
}

impl Load {
    /// The thread has worked so long, up to `now`. Called by that thread alone.
    pub fn worked(&self, time: Duration, now: Instant) {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let began = *window.began.get_or_insert(now);
        window.worked += time;
        let length = now.saturating_duration_since(began);
        if length >= WINDOW {
            let share = window.worked.as_secs_f64() / length.as_secs_f64();
            self.permille.store((share * 1000.0).min(1000.0) as u32, Relaxed);
            *window = Window { began: Some(now), worked: Duration::ZERO };
        }
    }

    /// 0–1, over about the last half second.
    pub fn share(&self) -> f32 {
        self.permille.load(Relaxed) as f32 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_that_of_the_last_window() {
        let (load, start) = (Load::default(), crate::Clock::now());
        assert_eq!(load.share(), 0.0);
        for n in 1..=120 {
            load.worked(Duration::from_millis(3), start + Duration::from_millis(10 * n));
        }
        assert!((load.share() - 0.3).abs() < 0.02, "{}", load.share());
        for n in 121..=240 {
            load.worked(Duration::from_millis(9), start + Duration::from_millis(10 * n));
        }
        assert!((load.share() - 0.9).abs() < 0.02, "{}", load.share());
    }
}
