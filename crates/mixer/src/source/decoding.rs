//! The decoder of one source, as a job.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cau_codec::video::{Decode, Decoder, decode};
use cau_rtp::h264::Unit;

use super::Shown;
use crate::job::Work;

/// Access units that wait for the decoder at most; then everything up to the next key frame falls out.
const QUEUE: usize = 45;
/// When a key frame comes while more than this wait, they are left out.
const BEHIND: usize = 6;
/// Access units decoded in one run, so that one source that catches up does not hold a thread.
const RUN: usize = 8;
/// A hurt picture is held back this long, waiting for the key frame, before it is shown as it is.
const HOLD: Duration = Duration::from_millis(300);
/// The same when a card stands there: time for three requests. Nobody misses a picture yet, and everybody would see the damage.
const HOLD_FIRST: Duration = Duration::from_millis(1500);

/// What the decoder tells the media thread.
#[derive(Debug, Default)]
pub struct Signals {
    wants_key: AtomicBool,
    dropped: AtomicU64,
    errors: AtomicU64,
}

impl Signals {
    /// A key frame is needed (told once).
    pub fn take_wants_key(&self) -> bool {
        self.wants_key.swap(false, Ordering::AcqRel)
    }

    /// Access units left out since the last call.
    pub fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::AcqRel)
    }

    /// Errors of the decoder since the last call.
    pub fn take_errors(&self) -> u64 {
        self.errors.swap(0, Ordering::AcqRel)
    }
}

/// Access units in, pictures out.
pub struct Decoding {
    queue: Mutex<Queue>,
    state: Mutex<State>,
    shown: Arc<Shown>,
    /// To the media thread.
    pub signals: Signals,
}

#[derive(Default)]
struct Queue {
    units: VecDeque<Input>,
    /// Everything is dropped up to the next key frame.
    to_key: bool,
}

struct Input {
    unit: Arc<Unit>,
    /// Something before it was lost.
    after_loss: bool,
}

#[derive(Default)]
struct State {
    decoder: Option<Box<dyn Decode>>,
    /// Since when pictures are hurt.
    hurt: Option<Instant>,
}

impl Decoding {
    /// A decoder that shows its pictures in `shown`.
    pub fn new(shown: Arc<Shown>) -> Self {
        let queue = Queue { units: VecDeque::new(), to_key: true };
        Self { queue: Mutex::new(queue), state: Mutex::default(), shown, signals: Signals::default() }
    }

    /// Hands over an access unit; `after_loss` when something before it was lost. The caller schedules the task.
    pub fn push(&self, unit: Arc<Unit>, after_loss: bool) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut dropped = 0;
        // A stream that never sends an IDR picture can be begun where it says, with flaws for a moment.
        let start = unit.key || unit.recovery && queue.to_key;
        if unit.key && (queue.units.len() > BEHIND || queue.to_key) {
            dropped = queue.units.len();
            queue.units.clear();
        }
        if start {
            queue.to_key = false;
        } else if queue.units.len() >= QUEUE {
            dropped = queue.units.len();
            queue.units.clear();
            queue.to_key = true;
        }
        if queue.to_key {
            dropped += 1;
            self.signals.wants_key.store(true, Ordering::Release);
        } else {
            queue.units.push_back(Input { unit, after_loss });
        }
        drop(queue);
        self.signals.dropped.fetch_add(dropped as u64, Ordering::AcqRel);
    }

    fn next(&self) -> Option<Input> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).units.pop_front()
    }

    fn decode(&self, state: &mut State, input: &Input) {
        if state.decoder.is_none() {
            match Decoder::new(decode::Limits::default()) {
                Ok(decoder) => state.decoder = Some(Box::new(decoder)),
                Err(e) => {
                    tracing::error!("no video decoder: {e}");
                    self.signals.errors.fetch_add(1, Ordering::AcqRel);
                    return;
                }
            }
        }
        let Some(decoder) = state.decoder.as_mut() else { return };
        let unit = &input.unit;
        if !unit.key && (unit.damaged || input.after_loss) {
            state.hurt.get_or_insert(unit.arrived);
        }
        match decoder.decode(&unit.nals, i64::from(unit.timestamp)) {
            Ok(Some(decoded)) => {
                if decoded.key && decoded.damage == decode::Damage::None && !unit.damaged {
                    state.hurt = None;
                } else if decoded.damage != decode::Damage::None {
                    state.hurt.get_or_insert(unit.arrived);
                }
                let hold = if self.shown.has_picture() { HOLD } else { HOLD_FIRST };
                let held =
                    state.hurt.is_some_and(|since| unit.arrived.saturating_duration_since(since) < hold);
                if state.hurt.is_some() {
                    self.signals.wants_key.store(true, Ordering::Release);
                }
                if !held {
                    self.shown.publish(decoded.picture);
                }
            }
            Ok(None) => {}
            Err(e) => {
                self.signals.errors.fetch_add(1, Ordering::AcqRel);
                state.hurt.get_or_insert(unit.arrived);
                if e.wants_key() {
                    self.signals.wants_key.store(true, Ordering::Release);
                }
            }
        }
    }

    /// Nothing waits to be decoded.
    pub fn is_idle(&self) -> bool {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).units.is_empty()
    }
}

impl Work for Decoding {
    fn work(&self, _: Instant) -> bool {
        // Only this job takes the lock, and it is never run twice at once: no waiting.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..RUN {
            let Some(input) = self.next() else { return false };
            self.decode(&mut state, &input);
        }
        !self.is_idle()
    }
}
