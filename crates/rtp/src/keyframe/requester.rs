//! Which request to send next, and when.

use std::time::{Duration, Instant};

/// A way to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ask {
    /// Picture loss indication in a compound packet.
    Pli,
    /// Full intra request of RFC 5104 in a compound packet.
    Fir,
    /// SIP INFO with `application/media_control+xml` (RFC 5168).
    Info,
    /// Full intra-frame request of RFC 2032.
    FirRfc2032,
}

/// What the description negotiated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Feedback {
    /// `nack pli`.
    pub pli: bool,
    /// `ccm fir`.
    pub fir: bool,
}

/// Time between two requests for one key frame.
const SPACING: Duration = Duration::from_millis(500);
/// A source that has just sent a key frame is left in peace so long, whoever asks.
const PEACE: Duration = Duration::from_secs(1);
/// The longest pause between requests to a source that never answers.
const PATIENCE: Duration = Duration::from_secs(8);
/// A key frame that completes sooner after a request than this was not made for it.
const SOON: Duration = Duration::from_millis(8);

/// Asks one source: what was negotiated first, then the other RTCP message, then INFO, then RFC 2032; 500 ms apart, slower with every round that
/// is not answered; first of all what the device was seen to obey.
#[derive(Debug)]
pub struct Requester {
    feedback: Feedback,
    info: bool,
    wanted: Option<Instant>,
    next: Option<Instant>,
    step: u32,
    asked: Option<(Instant, Ask)>,
    asked_before: Option<Ask>,
    last_key: Option<Instant>,
    obeys: Option<Ask>,
    disobeyed: u32,
    sent: u64,
}

impl Requester {
    /// `info`: whether the call can carry INFO requests.
    pub fn new(feedback: Feedback, info: bool) -> Self {
        Self {
            feedback,
            info,
            wanted: None,
            next: None,
            step: 0,
            asked: None,
            asked_before: None,
            last_key: None,
            obeys: None,
            disobeyed: 0,
            sent: 0,
        }
    }

    /// A new description: keeps what was learnt of the device.
    pub fn negotiated(&mut self, feedback: Feedback) {
        self.feedback = feedback;
    }

    /// The source could not answer before (on hold, silent) and can now: what is wanted is asked for from the first request on,
    /// without the long pauses that unanswered ones have led to.
    pub fn renew(&mut self, now: Instant) {
        if self.wanted.take().is_some() {
            self.request(now);
        }
    }

    /// A key frame is needed (picture hurt, new viewer, call set up). Asking again while one is wanted changes nothing.
    pub fn request(&mut self, now: Instant) {
        if self.wanted.is_some() {
            return;
        }
        self.wanted = Some(now);
        self.step = 0;
        self.asked_before = None;
        let peace = self.last_key.map(|k| k + PEACE);
        let spacing = self.asked.map(|(a, _)| a + SPACING);
        self.next = [peace, spacing, Some(now)].into_iter().flatten().max();
    }

    /// A whole, undamaged key frame came, asked for or not.
    pub fn key_frame(&mut self, now: Instant) {
        if self.wanted.take().is_some()
            && let Some((at, ask)) = self.asked.filter(|_| self.step > 0)
        {
            let soon = now.saturating_duration_since(at) < SOON;
            let obeyed = if soon { self.asked_before } else { Some(ask) };
            if obeyed.is_some() {
                self.obeys = obeyed;
                self.disobeyed = 0;
            }
        }
        self.last_key = Some(now);
        self.next = None;
        self.step = 0;
    }

    /// The request to send now, if one is due.
    pub fn poll(&mut self, now: Instant) -> Option<Ask> {
        self.wanted?;
        if self.next.is_none_or(|at| now < at) {
            return None;
        }
        let ladder = self.ladder();
        let rungs = ladder.iter().flatten().count() as u32;
        let ask = ladder.into_iter().flatten().nth((self.step % rungs.max(1)) as usize)?;
        if self.obeys == self.asked.map(|(_, a)| a) && self.step > 0 && self.obeys.is_some() {
            // What it obeyed before was not answered this time.
            self.disobeyed += 1;
            if self.disobeyed >= 3 {
                self.obeys = None;
            }
        }
        self.asked_before = self.asked.filter(|_| self.step > 0).map(|(_, a)| a);
        self.asked = Some((now, ask));
        self.step += 1;
        self.sent += 1;
        let round = (self.step / rungs.max(1)).min(5);
        self.next = Some(now + (SPACING * (1 << round)).min(PATIENCE));
        Some(ask)
    }

    /// When [`Self::poll`] will have something.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.wanted.and(self.next)
    }

    /// Since when a key frame is wanted.
    pub fn wanted_since(&self) -> Option<Instant> {
        self.wanted
    }

    /// What the device was seen to obey.
    pub fn obeys(&self) -> Option<Ask> {
        self.obeys
    }

    /// Requests sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    fn ladder(&self) -> [Option<Ask>; 5] {
        let (first, second) =
            if self.feedback.fir && !self.feedback.pli { (Ask::Fir, Ask::Pli) } else { (Ask::Pli, Ask::Fir) };
        let rest = |a: Ask| (self.obeys != Some(a)).then_some(a);
        [self.obeys, rest(first), rest(second), rest(Ask::Info).filter(|_| self.info), rest(Ask::FirRfc2032)]
    }
}
