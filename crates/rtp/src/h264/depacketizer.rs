//! From RTP packets to access units (RFC 6184 5.6–5.8, 7.1), over loss, reordering and the habits of old devices.

use super::assembler::Assembler;
use super::sps::Sps;
use super::unit::Unit;
use crate::packet::Packet;
use crate::reorder::{self, Item, Reorder};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bounds of a [`Depacketizer`].
#[derive(Debug, Clone)]
pub struct Config {
    /// How long missing packets are waited for.
    pub reorder: reorder::Config,
    /// Bytes of one picture at most.
    pub max_unit: usize,
    /// NAL units of one picture at most.
    pub max_nals: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { reorder: reorder::Config::default(), max_unit: 4 << 20, max_nals: 2_048 }
    }
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A picture.
    Unit(Unit),
    /// A gap was given up: what follows may refer to pictures that never came.
    Lost(Lost),
}

/// Packets that did not come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// How many; 0 when nobody knows: the sender began anew, or all of a picture was unusable.
    pub packets: u32,
    /// When they were given up.
    pub at: Instant,
}

/// What was dropped or odd, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Pictures given out.
    pub units: u64,
    /// Of those with parts missing.
    pub damaged: u64,
    /// Packets given up.
    pub lost: u64,
    /// Packets that came after they had been given up.
    pub late: u64,
    /// Packets that came twice.
    pub duplicate: u64,
    /// Sequence jumps and changes of source taken as a new start.
    pub restarts: u64,
    /// Payloads that are empty, cut off, of a reserved type or nonsense.
    pub malformed: u64,
    /// Fragments without their beginning or end.
    pub orphan_fragments: u64,
    /// Fragments with start and end in one packet (forbidden, taken).
    pub whole_fragments: u64,
    /// Packets of interleaved mode (STAP-B, MTAP, FU-B; never negotiated, taken in the order they come).
    pub interleaved: u64,
    /// NAL units of scalable layers, left out.
    pub scalable: u64,
    /// Pictures that ended without a marker though nothing was lost.
    pub unmarked: u64,
    /// Pictures whose marker came before their end.
    pub early_markers: u64,
    /// NAL units beyond the bounds.
    pub too_big: u64,
    /// IDR pictures without parameter sets anywhere.
    pub parameterless: u64,
    /// Events thrown away because nobody fetched them.
    pub overflow: u64,
}

/// Events kept for a caller who does not fetch them.
const MAX_EVENTS: usize = 256;

/// Reassembles pictures of one incoming stream.
///
/// Packets may come in any order; a gap is waited for 20 ms, and up to 60 ms once packets have been seen to come late. Both packetization
/// modes are always taken. A picture ends with the marker or, with devices that forget it, when the timestamp changes or nothing comes for
/// 40 ms. A change of SSRC needs no call: the new source begins on its own.
#[derive(Debug)]
pub struct Depacketizer {
    counters: Counters,
    order: Reorder,
    assembler: Assembler,
    events: VecDeque<Event>,
}

impl Default for Depacketizer {
    fn default() -> Self {
        Self::new(Config::default())
    }
}

impl Depacketizer {
    /// Nothing received yet.
    pub fn new(config: Config) -> Self {
        Self {
            counters: Counters::default(),
            order: Reorder::new(config.reorder),
            assembler: Assembler::new(config.max_unit, config.max_nals),
            events: VecDeque::new(),
        }
    }

    /// Parameter sets from the description (`sprop-parameter-sets`, decoded): used until others come in band.
    pub fn out_of_band(&mut self, nals: &[Bytes]) {
        self.assembler.parameters.out_of_band(nals);
    }

    /// Takes one packet of the negotiated H.264 payload types. Fetch what became ready with [`Self::poll_event`].
    pub fn insert(&mut self, now: Instant, packet: Packet) {
        self.order.insert(now, packet);
        self.drain(now);
    }

    /// Gives up gaps that were waited for long enough and ends pictures of senders that forget markers.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.drain(now);
        if self.idle_end().is_some_and(|at| at <= now) {
            let unit = self.assembler.finish(&mut self.counters);
            self.give(unit);
        }
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.order.poll_timeout(), self.idle_end()].into_iter().flatten().min()
    }

    /// The next picture or loss, in order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What was dropped or odd so far.
    pub fn counters(&self) -> Counters {
        let o = self.order.counters();
        Counters { lost: o.lost, late: o.late, duplicate: o.duplicate, restarts: o.restarts, ..self.counters }
    }

    /// How long a gap is waited for at present.
    pub fn wait(&self) -> Duration {
        self.order.wait()
    }

    /// Changes the bounds of waiting, when retransmission is asked for or no longer.
    pub fn set_wait(&mut self, min: Duration, max: Duration) {
        self.order.set_wait(min, max);
    }

    /// Sequence numbers that are waited for, at most `max` of them.
    pub fn missing(&self, max: usize) -> Vec<u16> {
        self.order.missing(max)
    }

    /// The last sequence parameter set of the stream: size, profile, level.
    pub fn sps(&self) -> Option<&Sps> {
        self.assembler.parameters.active()
    }

    fn idle_end(&self) -> Option<Instant> {
        self.order.is_empty().then(|| self.assembler.idle_end()).flatten()
    }

    fn drain(&mut self, now: Instant) {
        while let Some(item) = self.order.poll(now) {
            match item {
                Item::Packet(arrived, packet) => {
                    for unit in self.assembler.take(arrived, &packet, &mut self.counters) {
                        self.give(unit);
                    }
                    if std::mem::take(&mut self.assembler.vanished) {
                        self.event(Event::Lost(Lost { packets: 0, at: now }));
                    }
                }
                Item::Gap(packets) => {
                    self.assembler.gap(&mut self.counters);
                    self.event(Event::Lost(Lost { packets, at: now }));
                }
                Item::Restart => {
                    let unit = self.assembler.restart(&mut self.counters);
                    self.give(unit);
                    self.event(Event::Lost(Lost { packets: 0, at: now }));
                }
            }
        }
    }

    fn give(&mut self, unit: Option<Unit>) {
        if let Some(unit) = unit {
            self.event(Event::Unit(unit));
        }
    }

    fn event(&mut self, event: Event) {
        if self.events.len() >= MAX_EVENTS {
            self.events.pop_front();
            self.counters.overflow += 1;
        }
        self.events.push_back(event);
    }
}
