//! When a key frame is made for those who ask.

use std::time::{Duration, Instant};

/// A request that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Picture loss indication.
    Pli,
    /// Full intra request with its number, per asker (RFC 5104 4.3.1.1): the same number again is the same request.
    Fir {
        /// Who asks.
        from: u32,
        /// The number.
        seq: u8,
    },
    /// Full intra-frame request of RFC 2032.
    FirRfc2032,
    /// SIP INFO.
    Info,
}

/// Time between two key frames made for requests, once the allowance is used up …
const INTERVAL: Duration = Duration::from_secs(1);
/// … and where key frames are all that heals a picture.
const QUICK: Duration = Duration::from_millis(300);
/// The same FIR number after this long is taken as a new request: some devices never count.
const REPEAT: Duration = Duration::from_secs(2);
/// Askers remembered.
const MAX_ASKERS: usize = 64;

/// Turns a storm of requests into at most one key frame a second (or in 300 ms), after a small allowance; no request is forgotten, it is put off.
#[derive(Debug)]
pub struct Responder {
    interval: Duration,
    allowance: u32,
    tokens: u32,
    refilled: Option<Instant>,
    last_key: Option<Instant>,
    pending: bool,
    rtt: Duration,
    numbers: Vec<(u32, u8, Instant)>,
    heard: u64,
}

impl Default for Responder {
    fn default() -> Self {
        Self::new(2)
    }
}

impl Responder {
    /// `allowance`: key frames that may be made in quick succession before the rate of one a second holds; at least 1.
    pub fn new(allowance: u32) -> Self {
        let allowance = allowance.max(1);
        Self {
            interval: INTERVAL,
            allowance,
            tokens: allowance,
            refilled: None,
            last_key: None,
            pending: false,
            rtt: Duration::ZERO,
            numbers: Vec::new(),
            heard: 0,
        }
    }

    /// Key frames are all that heals its picture: lost packets cannot be sent again.
    pub fn set_quick(&mut self, quick: bool) {
        self.interval = if quick { QUICK } else { INTERVAL };
    }

    /// Round trip to the asker: what was asked less than that after a key frame was asked before it came there.
    pub fn set_rtt(&mut self, rtt: Duration) {
        self.rtt = rtt.min(INTERVAL);
    }

    /// A request came. True: make a key frame now.
    pub fn handle(&mut self, now: Instant, heard: Heard) -> bool {
        self.heard += 1;
        if let Heard::Fir { from, seq } = heard
            && self.repeated(now, from, seq)
        {
            return false;
        }
        if self.last_key.is_some_and(|k| now.saturating_duration_since(k) < self.rtt) {
            return false;
        }
        self.pending = true;
        self.poll(now)
    }

    /// True: a request that was put off is due, make a key frame now.
    pub fn poll(&mut self, now: Instant) -> bool {
        if !self.pending {
            return false;
        }
        self.refill(now);
        if self.tokens == 0 {
            return false;
        }
        self.tokens -= 1;
        self.pending = false;
        self.last_key = Some(now);
        true
    }

    /// When [`Self::poll`] will say yes.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let at = self.refilled?;
        self.pending.then_some(if self.tokens > 0 { at } else { at + self.interval })
    }

    /// A key frame was made for another reason (new scene, size): it answers what was put off.
    pub fn key_sent(&mut self, now: Instant) {
        self.pending = false;
        self.last_key = Some(now);
    }

    /// Requests heard so far.
    pub fn heard(&self) -> u64 {
        self.heard
    }

    fn refill(&mut self, now: Instant) {
        let since = *self.refilled.get_or_insert(now);
        let gained =
            (now.saturating_duration_since(since).as_millis() / self.interval.as_millis()).min(1_000) as u32;
        if gained > 0 {
            self.refilled = Some(if self.tokens + gained >= self.allowance {
                now
            } else {
                since + self.interval * gained
            });
            self.tokens = self.allowance.min(self.tokens + gained);
        } else if self.tokens == self.allowance {
            self.refilled = Some(now);
        }
    }

    fn repeated(&mut self, now: Instant, from: u32, seq: u8) -> bool {
        if let Some((_, last, at)) = self.numbers.iter_mut().find(|(f, _, _)| *f == from) {
            let same = *last == seq && now.saturating_duration_since(*at) < REPEAT;
            if !same {
                (*last, *at) = (seq, now);
            }
            return same;
        }
        if self.numbers.len() >= MAX_ASKERS {
            self.numbers.remove(0);
        }
        self.numbers.push((from, seq, now));
        false
    }
}
