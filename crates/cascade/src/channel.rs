//! One connection that stands: numbers, keep-alive, round trip.

use std::time::{Duration, Instant};

use crate::ConnId;
use crate::wire::{Body, Frame};

/// The slave sends a ping after that long without sending anything; the answer keeps its master alive for it.
pub const KEEP_ALIVE: Duration = Duration::from_secs(2);
/// The master does so only when that is late.
pub(crate) const MASTER_KEEP_ALIVE: Duration = Duration::from_secs(3);
/// The round trip is measured at least so often.
const MEASURE: Duration = Duration::from_secs(30);
/// Who was not heard of for that long is gone.
pub const SILENCE: Duration = Duration::from_secs(7);
/// Messages one connection may send in a second.
const MOST_PER_SECOND: u32 = 400;

/// What is wrong with a message that could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Of another session, or its number was there already: dropped.
    Replay,
    /// Numbers are missing: the connection cannot be trusted.
    Gap,
    /// Too many messages: the connection is closed.
    Flood,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Channel {
    pub conn: ConnId,
    pub session: u64,
    sent_seq: u64,
    heard_seq: u64,
    sent: Instant,
    heard: Instant,
    /// How long it may send nothing.
    keep_alive: Duration,
    ping: Option<(u64, Instant)>,
    measured: Option<Instant>,
    rtt: Option<Duration>,
    second: (Instant, u32),
}

impl Channel {
    pub fn new(now: Instant, conn: ConnId, session: u64, keep_alive: Duration) -> Channel {
        Channel {
            conn,
            session,
            sent_seq: 0,
            heard_seq: 0,
            sent: now,
            heard: now,
            keep_alive,
            ping: None,
            measured: None,
            rtt: None,
            second: (now, 0),
        }
    }

    /// The text of the next message.
    pub fn write(&mut self, now: Instant, body: Body) -> Vec<u8> {
        self.sent_seq += 1;
        self.sent = now;
        Frame { session: self.session, seq: self.sent_seq, body }.write()
    }

    /// Whether a message counts.
    pub fn check(&mut self, now: Instant, frame: &Frame) -> Result<(), Fault> {
        if now.saturating_duration_since(self.second.0) >= Duration::from_secs(1) {
            self.second = (now, 0);
        }
        self.second.1 += 1;
        if self.second.1 > MOST_PER_SECOND {
            return Err(Fault::Flood);
        }
        if frame.session != self.session || frame.seq <= self.heard_seq {
            return Err(Fault::Replay);
        }
        if frame.seq != self.heard_seq + 1 {
            return Err(Fault::Gap);
        }
        self.heard_seq = frame.seq;
        self.heard = now;
        Ok(())
    }

    /// A pong came.
    pub fn pong(&mut self, now: Instant, id: u64) {
        if let Some((_, at)) = self.ping.take_if(|(sent, _)| *sent == id) {
            self.measured = Some(now);
            let measured = now.saturating_duration_since(at);
            // A retransmission below makes one of many long: smoothed, quicker down than up.
            self.rtt = Some(self.rtt.map_or(measured, |rtt| {
                if measured < rtt { (rtt + measured) / 2 } else { (rtt * 7 + measured) / 8 }
            }));
        }
    }

    /// Half a round trip; zero before it was measured.
    pub fn one_way(&self) -> Duration {
        self.rtt.unwrap_or_default() / 2
    }

    /// The ping that is due.
    pub fn ping_due(&mut self, now: Instant) -> Option<Body> {
        let stale = self.ping.is_none() && self.measured.is_none_or(|at| at + MEASURE <= now);
        if !stale && now.saturating_duration_since(self.sent) < self.keep_alive {
            return None;
        }
        let id = self.sent_seq;
        self.ping = Some((id, now));
        Some(Body::Ping { id })
    }

    /// Whether the other side was not heard of for too long.
    pub fn is_silent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) >= SILENCE
    }

    /// It counts as heard of now: it had to be silent before.
    pub fn heard_of(&mut self, now: Instant) {
        self.heard = now;
    }

    /// When it was heard of last.
    pub fn heard(&self) -> Instant {
        self.heard
    }

    pub fn poll_timeout(&self) -> Instant {
        let measure =
            self.measured.filter(|_| self.ping.is_none()).map_or(self.heard + SILENCE, |at| at + MEASURE);
        (self.sent + self.keep_alive).min(self.heard + SILENCE).min(measure)
    }
}
