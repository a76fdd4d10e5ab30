//! Keys pressed, as telephone events (RFC 4733 2.3, 2.5).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |     event     |E|R| volume    |          duration             |
//! ```

use crate::packet::Packet;
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const KEYS: &[u8; 16] = b"0123456789*#ABCD";

/// One key press.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Press {
    /// `0`–`9`, `*`, `#`, `A`–`D`.
    pub digit: char,
    /// How long it was held, as far as was heard.
    pub duration: Duration,
}

/// The key of an event number; None for other events (flash, tones).
pub fn digit(event: u8) -> Option<char> {
    KEYS.get(usize::from(event)).map(|k| char::from(*k))
}

/// The event number of a key.
pub fn event(digit: char) -> Option<u8> {
    KEYS.iter().position(|k| char::from(*k) == digit.to_ascii_uppercase()).and_then(|p| u8::try_from(p).ok())
}

#[derive(Debug)]
struct Held {
    ssrc: u32,
    timestamp: u32,
    digit: char,
    duration: u16,
    clock_rate: u32,
    last: Instant,
}

/// Nothing heard of a key for so long: its end was lost.
const RELEASE: Duration = Duration::from_millis(200);
/// Presses kept for a caller who does not fetch them.
const MAX_PRESSES: usize = 32;

/// Turns packets of telephone-event payload types into key presses: one each, however often its end is repeated or lost.
#[derive(Debug, Default)]
pub struct Receiver {
    held: Option<Held>,
    /// Source, timestamp and digit of presses already told, newest last: packets of them still come.
    told: VecDeque<(u32, u32, char)>,
    presses: VecDeque<Press>,
    malformed: u64,
}

impl Receiver {
    /// Takes one packet. `clock_rate`: of its payload type in Hz, mostly 8,000; 48,000 beside Opus. Fetch presses with [`Self::poll`].
    pub fn insert(&mut self, now: Instant, packet: &Packet, clock_rate: u32) {
        let Some(&[number, flags, d0, d1]) = packet.payload.first_chunk::<4>() else {
            self.malformed += 1;
            return;
        };
        let Some(digit) = digit(number) else { return };
        let key = (packet.ssrc, packet.timestamp, digit);
        if self.told.contains(&key) {
            return;
        }
        let duration = u16::from_be_bytes([d0, d1]);
        match &mut self.held {
            Some(h) if (h.ssrc, h.timestamp, h.digit) == key => {
                h.duration = h.duration.max(duration);
                h.last = now;
            }
            _ => {
                self.release();
                let (ssrc, timestamp, clock_rate) = (packet.ssrc, packet.timestamp, clock_rate.max(1));
                self.held = Some(Held { ssrc, timestamp, digit, duration, clock_rate, last: now });
            }
        }
        if flags & 0x80 != 0 {
            self.release();
        }
    }

    /// The next key press.
    pub fn poll(&mut self) -> Option<Press> {
        self.presses.pop_front()
    }

    /// Ends a press whose end was lost.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.release();
        }
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.held.as_ref().map(|h| h.last + RELEASE)
    }

    /// Packets that were too short.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    fn release(&mut self) {
        let Some(h) = self.held.take() else { return };
        if self.told.len() >= 8 {
            self.told.pop_front();
        }
        self.told.push_back((h.ssrc, h.timestamp, h.digit));
        if self.presses.len() < MAX_PRESSES {
            let us = u64::from(h.duration) * 1_000_000 / u64::from(h.clock_rate);
            self.presses.push_back(Press { digit: h.digit, duration: Duration::from_micros(us) });
        }
    }
}

/// One telephone-event payload to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Four bytes.
    pub bytes: Bytes,
    /// Set on the first packet of a press.
    pub marker: bool,
    /// Ticks before now at which the press began: all packets of a press carry the timestamp of its beginning.
    pub age: u32,
}

/// Sends key presses: a packet every 20 ms while the key is held, its end three times, a pause between keys.
#[derive(Debug)]
pub struct Sender {
    ticks: u32,
    queue: VecDeque<(u8, u32)>,
    now: Option<(u8, u32, u32)>,
    pause: u32,
}

impl Sender {
    /// `clock_rate`: of the negotiated telephone-event payload type.
    pub fn new(clock_rate: u32) -> Self {
        Self { ticks: clock_rate.max(50) / 50, queue: VecDeque::new(), now: None, pause: 0 }
    }

    /// Presses a key for `duration` (at least 40 ms, at most 5 s) after those before it. False for an unknown key or a full queue.
    pub fn press(&mut self, digit: char, duration: Duration) -> bool {
        let Some(number) = event(digit).filter(|_| self.queue.len() < 64) else { return false };
        let steps = (duration.as_millis() / 20).clamp(2, 250) as u32;
        self.queue.push_back((number, steps));
        true
    }

    /// Whether nothing is left to send.
    pub fn is_idle(&self) -> bool {
        self.now.is_none() && self.queue.is_empty()
    }

    /// What to send in this 20 ms instead of sound; call it every 20 ms. The end comes three times in the same step.
    pub fn poll(&mut self) -> Vec<Payload> {
        if self.pause > 0 {
            self.pause -= 1;
            return Vec::new();
        }
        let (number, step, steps) = match self.now {
            Some(n) => n,
            None => match self.queue.pop_front() {
                Some((number, steps)) => (number, 0, steps),
                None => return Vec::new(),
            },
        };
        let step = step + 1;
        let end = step >= steps;
        let duration = u16::try_from(step * self.ticks).unwrap_or(u16::MAX);
        let [d0, d1] = duration.to_be_bytes();
        let payload = Payload {
            bytes: Bytes::copy_from_slice(&[number, if end { 0x80 } else { 0 } | 10, d0, d1]),
            marker: step == 1,
            age: (step - 1) * self.ticks,
        };
        self.now = (!end).then_some((number, step, steps));
        if end {
            self.pause = 3;
            vec![payload; 3]
        } else {
            vec![payload]
        }
    }
}
