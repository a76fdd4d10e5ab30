//! Puts the packets of one stream into order: a bounded wait for what is missing, no more than the line has been seen to need.

use crate::packet::Packet;
use crate::seq::{Unwrap16, diff};
use crate::sorted::Sorted;
use std::time::{Duration, Instant};

/// Bounds of a [`Reorder`].
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// How long a gap is waited for while the line has not been seen to reorder.
    pub wait_min: Duration,
    /// How long a gap is waited for at most. Set it to a round trip and more when retransmission is asked for.
    pub wait_max: Duration,
    /// Packets held behind a gap at most; one more and the gap is given up.
    pub max_held: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { wait_min: Duration::from_millis(20), wait_max: Duration::from_millis(60), max_held: 512 }
    }
}

/// What comes out, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The next packet and when it came.
    Packet(Instant, Packet),
    /// So many packets were given up.
    Gap(u32),
    /// The sequence or the source began anew; nobody knows what is missing.
    Restart,
}

/// What was dropped, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets given up.
    pub lost: u64,
    /// Packets that came after they had been given up.
    pub late: u64,
    /// Packets that came twice.
    pub duplicate: u64,
    /// Sequence jumps and changes of source taken as a new start.
    pub restarts: u64,
}

/// Steps of sequence forward and back that are taken as loss and lateness; beyond, the sender began anew.
const MAX_AHEAD: i32 = 3_000;
const MAX_BEHIND: i32 = -512;

/// The buffer. After [`Reorder::insert`] and at [`Reorder::poll_timeout`] call [`Reorder::poll`] until it gives None.
#[derive(Debug)]
pub struct Reorder {
    config: Config,
    counters: Counters,
    ssrc: Option<u32>,
    order: Unwrap16,
    next: Option<u64>,
    held: Sorted<u64, (Instant, Packet)>,
    gap_since: Option<Instant>,
    wait: Duration,
    given_up: Option<(u64, u64, Instant)>,
    /// What was held when the sender began anew comes out first, then the restart, then this packet.
    anew: Option<(Instant, Packet)>,
}

impl Reorder {
    /// Nothing received yet.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            counters: Counters::default(),
            ssrc: None,
            order: Unwrap16::default(),
            next: None,
            held: Sorted::new(),
            gap_since: None,
            wait: config.wait_min.min(config.wait_max),
            given_up: None,
            anew: None,
        }
    }

    /// Takes one packet. The buffer must have been polled empty since the one before.
    pub fn insert(&mut self, now: Instant, packet: Packet) {
        let step = self.next.map_or(0, |next| diff(packet.seq, next as u16));
        let other = self.ssrc.is_some_and(|s| s != packet.ssrc);
        if other || !(MAX_BEHIND..=MAX_AHEAD).contains(&step) {
            self.counters.restarts += 1;
            self.anew = Some((now, packet));
            return;
        }
        if step < 0 {
            let number = self.next.unwrap_or(0).saturating_add_signed(i64::from(step));
            self.note_behind(now, number);
            return;
        }
        self.accept(now, packet);
    }

    fn accept(&mut self, now: Instant, packet: Packet) {
        self.ssrc = Some(packet.ssrc);
        let number = self.order.extend(packet.seq);
        self.next.get_or_insert(number);
        if !self.held.insert(number, (now, packet)) {
            self.counters.duplicate += 1;
        }
    }

    /// The next thing in order; None when there is nothing, or a gap is still waited for.
    pub fn poll(&mut self, now: Instant) -> Option<Item> {
        let Some((number, _)) = self.held.first() else {
            self.gap_since = None;
            return self.begin_anew();
        };
        let next = self.next.unwrap_or(number);
        if number <= next {
            let (_, (arrived, packet)) = self.held.pop_first()?;
            self.next = Some(number + 1);
            self.gap_since = None;
            return Some(Item::Packet(arrived, packet));
        }
        let since = match self.gap_since {
            Some(since) => since,
            // Known since the first packet behind it came.
            None => self.held.values().map(|h| h.0).min()?,
        };
        self.gap_since = Some(since);
        let patient = now.saturating_duration_since(since) < self.wait;
        if patient && self.held.len() <= self.config.max_held && self.anew.is_none() {
            return None;
        }
        self.given_up = Some((next, number, since));
        self.next = Some(number);
        self.gap_since = None;
        self.counters.lost += number - next;
        Some(Item::Gap(u32::try_from(number - next).unwrap_or(u32::MAX)))
    }

    fn begin_anew(&mut self) -> Option<Item> {
        let (at, packet) = self.anew.take()?;
        self.order = Unwrap16::default();
        self.next = None;
        self.given_up = None;
        self.wait = self.config.wait_min.min(self.config.wait_max);
        self.accept(at, packet);
        Some(Item::Restart)
    }

    /// A packet behind what was already given out. Lateness teaches how long to wait.
    fn note_behind(&mut self, now: Instant, number: u64) {
        match self.given_up {
            Some((from, to, since)) if (from..to).contains(&number) => {
                self.counters.late += 1;
                let needed = now.saturating_duration_since(since) * 5 / 4;
                if needed <= self.config.wait_max * 2 {
                    self.wait = self.wait.max(needed).min(self.config.wait_max);
                }
            }
            _ => self.counters.duplicate += 1,
        }
    }

    /// Sequence numbers that are waited for, at most `max` of them, the oldest first.
    pub fn missing(&self, max: usize) -> Vec<u16> {
        let mut next = self.next.unwrap_or(0);
        let mut missing = Vec::new();
        for key in self.held.keys() {
            missing.extend((next..key).take(max.saturating_sub(missing.len())).map(|number| number as u16));
            next = key + 1;
        }
        missing
    }

    /// When a gap will have been waited for long enough.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.gap_since.map(|t| t + self.wait)
    }

    /// How long a gap is waited for at present.
    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// Changes the bounds of waiting.
    pub fn set_wait(&mut self, min: Duration, max: Duration) {
        self.config.wait_min = min;
        self.config.wait_max = max.max(min);
        self.wait = self.wait.clamp(min, self.config.wait_max);
    }

    /// Whether nothing is held back.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// What was dropped so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}
