//! One direction of a line.

use crate::loss::{Loss, State};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What the line does to packets. The default does nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What it loses.
    pub loss: Loss,
    /// Time every packet takes.
    pub delay: Duration,
    /// Up to this much more, evenly distributed; order is kept unless `reorder` says otherwise.
    pub jitter: Duration,
    /// Probability that a packet is held back by `reorder_by` while those behind it pass.
    pub reorder: f64,
    /// How long.
    pub reorder_by: Duration,
    /// Probability that a packet comes twice.
    pub duplicate: f64,
    /// Bits per second it carries, IP and UDP headers (28 bytes) counted; None without limit.
    pub rate: Option<u64>,
    /// Bytes that may wait for the rate; more falls out at the end of the queue. With a rate of None nothing waits.
    pub queue: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            loss: Loss::None,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            reorder: 0.0,
            reorder_by: Duration::from_millis(10),
            duplicate: 0.0,
            rate: None,
            queue: 64 << 10,
        }
    }
}

/// What happened to packets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Put in.
    pub inserted: u64,
    /// Given out, copies counted.
    pub delivered: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Fallen out of the full queue.
    pub overflow: u64,
    /// Held back behind others.
    pub reordered: u64,
    /// Doubled.
    pub duplicated: u64,
}

/// Bytes of IPv4 and UDP headers.
const OVERHEAD: usize = 28;
/// Packets under way at most, whatever the configuration.
const MAX_PACKETS: usize = 1 << 16;

/// One direction of a line, carrying packets of type `T`.
#[derive(Debug)]
pub struct Link<T> {
    config: Config,
    rng: SmallRng,
    state: State,
    counters: Counters,
    /// By time of arrival and order of insertion.
    flying: BTreeMap<(Instant, u64), T>,
    count: u64,
    /// When the queue will have been sent.
    busy: Option<Instant>,
    /// Arrival of the last packet that keeps order.
    latest: Option<Instant>,
}

impl<T: Clone> Link<T> {
    /// An empty line.
    pub fn new(config: Config, seed: u64) -> Self {
        Self {
            config,
            rng: SmallRng::seed_from_u64(seed),
            state: State::default(),
            counters: Counters::default(),
            flying: BTreeMap::new(),
            count: 0,
            busy: None,
            latest: None,
        }
    }

    /// Changes what the line does; packets under way keep their times.
    pub fn configure(&mut self, config: Config) {
        self.config = config;
    }

    /// Puts in a packet of `len` bytes (UDP payload).
    pub fn insert_sized(&mut self, now: Instant, packet: T, len: usize) {
        self.counters.inserted += 1;
        if self.state.loses(self.config.loss, &mut self.rng) {
            self.counters.lost += 1;
            return;
        }
        let Some(sent) = self.serialize(now, len) else {
            self.counters.overflow += 1;
            return;
        };
        let jitter = self.config.jitter.mul_f64(self.rng.random::<f64>());
        let mut arrival = sent + self.config.delay + jitter;
        if self.rng.random::<f64>() < self.config.reorder {
            self.counters.reordered += 1;
            arrival += self.config.reorder_by;
        } else {
            arrival = self.latest.map_or(arrival, |l| l.max(arrival));
            self.latest = Some(arrival);
        }
        if self.rng.random::<f64>() < self.config.duplicate {
            self.counters.duplicated += 1;
            self.fly(arrival, packet.clone());
        }
        self.fly(arrival, packet);
    }

    /// When the packet has left the sender's interface; None when the queue is full.
    fn serialize(&mut self, now: Instant, len: usize) -> Option<Instant> {
        let Some(rate) = self.config.rate.filter(|r| *r > 0) else { return Some(now) };
        let begin = self.busy.map_or(now, |b| b.max(now));
        let waiting = (begin - now).as_secs_f64() * rate as f64 / 8.0;
        if waiting + (len + OVERHEAD) as f64 > self.config.queue as f64 {
            return None;
        }
        let end = begin + Duration::from_secs_f64((len + OVERHEAD) as f64 * 8.0 / rate as f64);
        self.busy = Some(end);
        Some(end)
    }

    fn fly(&mut self, arrival: Instant, packet: T) {
        if self.flying.len() >= MAX_PACKETS {
            self.counters.overflow += 1;
            return;
        }
        self.count += 1;
        self.flying.insert((arrival, self.count), packet);
    }

    /// The next packet that has arrived by `now`.
    pub fn poll(&mut self, now: Instant) -> Option<T> {
        let first = self.flying.first_entry().filter(|e| e.key().0 <= now)?;
        self.counters.delivered += 1;
        Some(first.remove())
    }

    /// When the next packet arrives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.flying.first_key_value().map(|(k, _)| k.0)
    }

    /// Packets under way.
    pub fn len(&self) -> usize {
        self.flying.len()
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.flying.is_empty()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

impl<T: Clone + AsRef<[u8]>> Link<T> {
    /// Puts in a packet of bytes.
    pub fn insert(&mut self, now: Instant, packet: T) {
        let len = packet.as_ref().len();
        self.insert_sized(now, packet, len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::disallowed_methods)] // any instant will do to count from
    fn start() -> Instant {
        Instant::now()
    }

    const MS: Duration = Duration::from_millis(1);

    fn run(config: Config, seed: u64, packets: u32, every: Duration) -> (Vec<(Duration, u32)>, Counters) {
        let t0 = start();
        let mut link = Link::new(config, seed);
        let mut out = Vec::new();
        for i in 0..packets {
            link.insert_sized(t0 + every * i, i, 172);
        }
        while let Some(at) = link.poll_timeout() {
            while let Some(p) = link.poll(at) {
                out.push((at - t0, p));
            }
        }
        (out, link.counters())
    }

    #[test]
    fn a_perfect_line_changes_nothing() {
        let (out, counters) = run(Config::default(), 1, 100, 20 * MS);
        assert!(out.iter().enumerate().all(|(i, (at, p))| *p == i as u32 && *at == 20 * MS * *p));
        assert_eq!(counters.delivered, 100);
    }

    #[test]
    fn the_same_seed_gives_the_same_line() {
        let bad = Config {
            loss: Loss::bursts(0.05, 3.0),
            jitter: 40 * MS,
            reorder: 0.05,
            duplicate: 0.02,
            ..Config::default()
        };
        assert_eq!(run(bad.clone(), 7, 2_000, 20 * MS), run(bad.clone(), 7, 2_000, 20 * MS));
        assert_ne!(run(bad.clone(), 7, 2_000, 20 * MS).0, run(bad, 8, 2_000, 20 * MS).0);
    }

    #[test]
    fn bursts_lose_their_share_in_their_length() {
        let (out, counters) =
            run(Config { loss: Loss::bursts(0.05, 4.0), ..Config::default() }, 3, 60_000, MS);
        let share = counters.lost as f64 / 60_000.0;
        assert!((0.04..0.06).contains(&share), "{share}");
        let gaps = out.windows(2).filter(|w| w[1].1 != w[0].1 + 1).count();
        let length = counters.lost as f64 / gaps as f64;
        assert!((3.4..4.6).contains(&length), "{length}");
    }

    #[test]
    fn jitter_keeps_order_and_reordering_does_not() {
        let jitter = Config { jitter: 50 * MS, delay: 10 * MS, ..Config::default() };
        let (out, _) = run(jitter.clone(), 5, 1_000, 20 * MS);
        assert!(out.windows(2).all(|w| w[0].1 < w[1].1));
        assert!(out.iter().all(|(at, p)| *at >= 10 * MS + 20 * MS * *p && *at <= 60 * MS + 20 * MS * *p));
        let (out, counters) =
            run(Config { reorder: 0.1, reorder_by: 30 * MS, ..Config::default() }, 5, 1_000, 20 * MS);
        assert!(counters.reordered > 50 && out.windows(2).any(|w| w[0].1 > w[1].1));
        assert_eq!(out.len(), 1_000);
    }

    #[test]
    fn a_rate_delays_a_burst_and_its_queue_is_bounded() {
        // 200 bytes on the wire at 1.6 Mbit/s take 1 ms each; the queue holds ten.
        let (out, counters) =
            run(Config { rate: Some(1_600_000), queue: 2_000, ..Config::default() }, 1, 50, Duration::ZERO);
        assert_eq!(
            out.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
            (1..=10).map(|i| MS * i).collect::<Vec<_>>()
        );
        assert_eq!((counters.delivered, counters.overflow), (10, 40));
    }

    #[test]
    fn duplicates_arrive_beside_their_twins() {
        let (out, counters) = run(Config { duplicate: 1.0, ..Config::default() }, 1, 10, MS);
        assert_eq!(out.len(), 20);
        assert_eq!(counters.duplicated, 10);
    }
}
