//! The picture a leg sends: from packets to access units always, from access units to pictures only while somebody looks.

mod decoding;
mod lips;
mod relay;
mod shown;
mod traits;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use cau_codec::video::Picture;
use cau_rtp::{
    Packet,
    h264::{self, Depacketizer, Unit},
};

pub use relay::Relay;
pub use shown::Shown;
pub use traits::{Traits, Wants};

use crate::{
    dropped::{Dropped, Told},
    job::{Spawner, Task},
    out::Out,
    ring::{Bounds, Cursor, Item, Read, Ring},
};
use decoding::Decoding;
use lips::{Due, Lips};
use relay::Relaying;

/// Missing packets followed at most.
const MAX_MISSING: usize = 128;
/// What is kept of every source, seen or not, so that it can be shown at once.
const KEEP: Bounds = Bounds { bytes: 1 << 20, time: Duration::from_millis(1000) };
/// A source that becomes visible is decoded from its last key frame when that is not older.
const REPLAY: Duration = Duration::from_millis(1000);
/// After this long without a picture a site's card is shown.
const STALLED: Duration = Duration::from_millis(2500);
/// The decoder of a site that is hidden goes on for this long: operators switch back and forth.
const LINGER: Duration = Duration::from_millis(1000);
/// The same for a site that is passed on: who joins within that time does not cost the others a key frame.
const LINGER_RELAYED: Duration = Duration::from_secs(10);
/// Pictures may be this much earlier than their sound without anybody's noticing; composing and encoding takes them a while besides.
const LEAD: Duration = Duration::from_millis(25);
/// A site that becomes visible is waited for this long.
const EXPECT: Duration = Duration::from_millis(700);

impl Item for Unit {
    fn size(&self) -> usize {
        self.len()
    }

    fn time(&self) -> Instant {
        self.arrived
    }

    fn is_key(&self) -> bool {
        self.key && !self.damaged
    }
}

/// What has become of a source since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// A key frame is needed.
    pub wants_key: bool,
    /// A key frame has come.
    pub got_key: bool,
    /// The first picture, or the first after a stall.
    pub back: bool,
    /// No picture for [`STALLED`].
    pub lost: bool,
}

/// Where pictures are, as seen by the media thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Nothing came yet.
    None,
    Live,
    Stalled,
}

/// Which pictures are taken from one who stands for others.
#[derive(Clone, Copy, Debug, Default)]
struct Only {
    /// Those with this CSRC.
    wanted: Option<u32>,
    /// Those with this one go on until a key frame of the wanted one comes.
    before: Option<u32>,
    /// Whose were taken last, and since when.
    carried: Option<(u32, Instant)>,
}

impl Only {
    fn takes(&mut self, unit: &Unit, time: Instant) -> bool {
        let Some(csrc) = unit.csrc else { return false };
        if self.wanted == Some(csrc) {
            if self.before.is_some() && !unit.is_key() {
                return false;
            }
            self.before = None;
        } else if self.before != Some(csrc) {
            return false;
        }
        if self.carried.is_none_or(|(carried, _)| carried != csrc) {
            self.carried = Some((csrc, time));
        }
        true
    }
}

/// One video source.
pub struct Source {
    depacketizer: Depacketizer,
    lips: Lips,
    /// When its next picture is due, as it was told last.
    told_due: Option<Instant>,
    ring: Ring<Unit>,
    shown: Arc<Shown>,
    decoding: Option<Arc<Task<Decoding>>>,
    relaying: Option<Relaying>,
    relayed: bool,
    /// Whose pictures are taken; `None`: all that come.
    only: Option<Only>,
    /// Pictures not taken because they are somebody else's.
    foreign: u64,
    /// What the stream is.
    pub traits: Traits,
    spawner: Spawner,
    state: State,
    /// Views show it.
    visible: bool,
    /// A preview wants it until then.
    wanted_until: Option<Instant>,
    /// The decoder stays until then although nobody looks.
    lingers_until: Option<Instant>,
    expect_until: Option<Instant>,
    last_unit: Option<Instant>,
    after_loss: bool,
    ssrc: Option<u32>,
    units: u32,
    /// Whole key frames of this stream.
    keys: u32,
    news: News,
    told: Told,
}

impl Source {
    /// A source that nobody sees yet.
    pub fn new(spawner: &Spawner) -> Self {
        Self {
            depacketizer: Depacketizer::new(h264::Config::default()),
            lips: Lips::default(),
            told_due: None,
            ring: Ring::new(KEEP),
            shown: Arc::default(),
            decoding: None,
            relaying: None,
            relayed: false,
            only: None,
            foreign: 0,
            traits: Traits::default(),
            spawner: spawner.clone(),
            state: State::None,
            visible: false,
            wanted_until: None,
            lingers_until: None,
            expect_until: None,
            last_unit: None,
            after_loss: false,
            ssrc: None,
            units: 0,
            keys: 0,
            news: News::default(),
            told: Told::default(),
        }
    }

    /// Takes a packet.
    pub fn insert(&mut self, now: Instant, packet: Packet) {
        self.depacketizer.insert(now, packet);
        self.drain(now);
    }

    /// Waiting for lost packets, for a stalled source and for a hidden one comes to an end.
    pub fn handle_timeout(&mut self, now: Instant, out: &mut Out) {
        if self.depacketizer.poll_timeout().is_some_and(|at| at <= now) {
            self.depacketizer.handle_timeout(now);
        }
        self.drain(now);
        if self.state == State::Live
            && self.last_unit.is_some_and(|at| now.saturating_duration_since(at) > STALLED)
        {
            self.state = State::Stalled;
            self.news.lost = true;
            // Nobody is served from what is so old; it would keep the memory it shares with others.
            self.ring.clear();
            self.shown.lose(true);
            self.shown.clear();
        }
        if self.expect_until.is_some_and(|at| now >= at) {
            self.expect_until = None;
            self.shown.expect(false);
        }
        if self.wanted_until.is_some_and(|at| now >= at) {
            self.wanted_until = None;
            self.lingers_until.get_or_insert(now);
        }
        let unwanted = !self.visible && self.wanted_until.is_none();
        if unwanted
            && self.lingers_until.is_some_and(|at| now >= at)
            && (self.decoding.is_none() || self.sends_keys())
        {
            self.lingers_until = None;
            self.decoding = None;
            self.shown.clear();
        }
        out.totals.dropped_unexpected += std::mem::take(&mut self.foreign);
        if let Some(relaying) = &self.relaying {
            self.news.wants_key |= relaying.relay().take_wants_key();
        }
        if let Some(decoding) = &self.decoding {
            self.news.wants_key |= decoding.signals.take_wants_key();
            out.totals.dropped_decode += decoding.signals.take_dropped();
            out.totals.codec_errors += decoding.signals.take_errors();
        }
    }

    /// Its sound is played so long after it comes: pictures are to go with it.
    pub fn go_with_sound(&mut self, wait: Duration) {
        self.lips.hold(wait.saturating_sub(LEAD));
    }

    /// When a picture that waits for its sound goes on; told once.
    pub fn take_due(&mut self) -> Option<Instant> {
        let at = self.lips.poll_timeout().filter(|at| self.told_due != Some(*at))?;
        self.told_due = Some(at);
        Some(at)
    }

    /// Pictures whose time has come go on.
    pub fn release(&mut self, now: Instant) {
        while let Some(Due { event, time }) = self.lips.pop(now) {
            match event {
                h264::Event::Unit(unit) => self.take(now, unit, time),
                h264::Event::Lost(_) => {
                    self.after_loss = true;
                    // Only who looks needs the key frame; who will look asks then.
                    self.news.wants_key |= self.decoding.is_some() || self.relaying.is_some();
                }
            }
        }
    }

    /// Sequence numbers that are missing and waited for, `patience` long when their repetition takes that time, and how many were given up so
    /// far.
    pub fn missing(&mut self, patience: Option<Duration>) -> (Vec<u16>, u64) {
        let wait = h264::Config::default().reorder;
        let (min, max) = patience.map_or((wait.wait_min, wait.wait_max), |p| (p, p));
        self.depacketizer.set_wait(min, max);
        (self.depacketizer.missing(MAX_MISSING), self.depacketizer.counters().lost)
    }

    /// A packet of that sequence number is missing.
    pub fn waits_for(&self, seq: u16) -> bool {
        self.depacketizer.missing(MAX_MISSING).contains(&seq)
    }

    /// What the assembly of pictures dropped since the last call.
    pub fn take_dropped(&mut self) -> Dropped {
        let it = self.depacketizer.counters();
        self.told.news(Dropped {
            duplicate: it.duplicate,
            late: it.late,
            overflow: it.too_big + it.overflow,
            payload: it.malformed + it.orphan_fragments,
            scalable: it.scalable,
            ..Dropped::default()
        })
    }

    /// What has happened; told once.
    pub fn take_news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// Views show it, or not any more.
    pub fn set_visible(&mut self, now: Instant, visible: bool) {
        if visible == self.visible {
            return;
        }
        self.visible = visible;
        if visible {
            self.lingers_until = None;
            if self.state != State::Stalled {
                self.expect_until = Some(now + EXPECT);
                self.shown.expect(true);
            }
            self.start(now);
        } else {
            let linger = if self.relaying.is_some() { LINGER_RELAYED } else { LINGER };
            self.lingers_until = Some(now + linger);
            // There are devices that send one key frame and never another: who has not shown yet that it sends more, is asked now, and goes on being
            // decoded until it does.
            self.news.wants_key |= self.decoding.is_some() && !self.sends_keys();
        }
    }

    fn sends_keys(&self) -> bool {
        self.state != State::Live || self.keys > 1
    }

    /// Some view shows it, or it is passed on.
    pub fn is_visible(&self) -> bool {
        self.visible || self.relaying.is_some()
    }

    /// Nobody looks at it, and neither packets nor key frames are waited for.
    pub fn is_calm(&self) -> bool {
        !self.is_visible()
            && !self.is_wanted()
            && self.decoding.is_none()
            && self.news == News::default()
            && self.state != State::None
            && self.depacketizer.poll_timeout().is_none()
    }

    /// Somebody wants a picture of it although no view shows it.
    pub fn is_wanted(&self) -> bool {
        self.wanted_until.is_some()
    }

    /// Its pictures on their way to others; those since the last key frame are there already. `max_payload`: of a packet, bytes.
    pub fn relay(&mut self, now: Instant, max_payload: usize) -> Arc<Relay> {
        let Self { relaying, ring, .. } = self;
        let relaying = relaying.get_or_insert_with(|| {
            let mut relaying = Relaying::new(max_payload);
            if let Some(mut cursor) = ring.last_key(now, REPLAY, KEEP.bytes, |_| true) {
                while let Read::Item(unit) = ring.read(&mut cursor) {
                    relaying.push(&unit, unit.arrived, false);
                }
            }
            relaying
        });
        relaying.relay().clone()
    }

    /// Nobody gets its pictures as they are any more.
    pub fn end_relay(&mut self) {
        self.relaying = None;
    }

    /// Something was passed on; told once.
    pub fn take_relayed(&mut self) -> bool {
        std::mem::take(&mut self.relayed)
    }

    /// Only pictures with this CSRC first are taken from now on; what was there before goes on until a key frame with it comes. `None`: none
    /// are taken, and what was there is forgotten.
    pub fn expect(&mut self, csrc: Option<u32>) {
        let only = self.only.get_or_insert_default();
        if only.wanted == csrc {
            return;
        }
        only.before = only.carried.map(|(carried, _)| carried).filter(|before| Some(*before) != csrc);
        only.wanted = csrc;
        if csrc.is_none() {
            *only = Only::default();
            self.stop();
        }
    }

    /// Whose pictures came last, of one who stands for others.
    pub fn carried(&self) -> Option<u32> {
        Some(self.only?.carried?.0)
    }

    /// Since when its pictures are those named so; `None`: they are not.
    pub fn carries(&self, csrc: u32) -> Option<Instant> {
        self.only?.carried.filter(|(carried, _)| *carried == csrc).map(|(_, since)| since)
    }

    /// Somebody wants a picture until then, although no view shows it.
    pub fn want_until(&mut self, now: Instant, until: Instant) {
        self.wanted_until = Some(self.wanted_until.map_or(until, |u| u.max(until)));
        self.start(now);
    }

    /// The far end may not send any more, or is hidden: no picture from now on.
    pub fn stop(&mut self) {
        self.visible = false;
        self.wanted_until = None;
        self.lingers_until = None;
        self.expect_until = None;
        self.decoding = None;
        self.traits = Traits::default();
        self.state = State::None;
        self.last_unit = None;
        self.keys = 0;
        self.ring.clear();
        self.lips.clear();
        self.shown.expect(false);
        self.shown.lose(false);
        self.shown.clear();
    }

    /// Where views find its pictures.
    pub fn shown(&self) -> &Arc<Shown> {
        &self.shown
    }

    /// The latest picture.
    pub fn picture(&self) -> Option<Picture> {
        self.shown.current().1
    }

    /// A decoder exists.
    pub fn is_decoded(&self) -> bool {
        self.decoding.is_some()
    }

    /// Pictures come.
    pub fn is_live(&self) -> bool {
        self.state == State::Live
    }

    /// SSRC of the last access unit.
    pub fn ssrc(&self) -> Option<u32> {
        self.ssrc
    }

    /// Size by the last parameter set, pixels.
    pub fn size(&self) -> Option<(u32, u32)> {
        self.depacketizer.sps().map(|s| (s.width, s.height))
    }

    /// Access units since the last call.
    pub fn take_units(&mut self) -> u32 {
        std::mem::take(&mut self.units)
    }

    fn start(&mut self, now: Instant) {
        if self.decoding.is_some() {
            return;
        }
        let decoding = Task::new(&self.spawner, Decoding::new(self.shown.clone()));
        match self.ring.last_key(now, REPLAY, KEEP.bytes, |_| true) {
            Some(cursor) => {
                self.replay(&decoding, cursor);
                decoding.schedule();
            }
            // Before the first unit the request after joining is under way already.
            None => self.news.wants_key |= self.state != State::None,
        }
        self.decoding = Some(decoding);
    }

    fn replay(&self, decoding: &Task<Decoding>, mut cursor: Cursor) {
        while let Read::Item(unit) = self.ring.read(&mut cursor) {
            decoding.push(unit, false);
        }
    }

    fn drain(&mut self, now: Instant) {
        while let Some(event) = self.depacketizer.poll_event() {
            // What was asked for is there, even if it waits for its sound.
            self.news.got_key |= matches!(&event, h264::Event::Unit(unit) if unit.is_key());
            self.lips.push(now, event);
        }
        self.release(now);
    }

    fn take(&mut self, now: Instant, unit: Unit, time: Instant) {
        if self.only.as_mut().is_some_and(|only| !only.takes(&unit, time)) {
            self.foreign += 1;
            // What is wanted comes, and its key frame was lost or has gone by.
            self.news.wants_key |=
                self.only.is_some_and(|only| only.wanted == unit.csrc && only.wanted.is_some());
            return;
        }
        self.units += 1;
        self.last_unit = Some(now);
        if self.ssrc.replace(unit.ssrc) != Some(unit.ssrc) {
            self.keys = 0;
        }
        if self.state != State::Live {
            self.state = State::Live;
            self.news.back = true;
            self.shown.lose(false);
        }
        let after_loss = std::mem::take(&mut self.after_loss);
        if unit.is_key() {
            self.keys = self.keys.saturating_add(1);
        }
        self.traits.insert(&unit);
        let unit = Arc::new(unit);
        if let Some(relaying) = &mut self.relaying {
            relaying.push(&unit, time, after_loss);
            self.relayed = true;
        }
        if after_loss && !unit.key {
            // What follows a gap is no start for anybody: older units must not be replayed over it.
            self.ring.clear();
        }
        self.ring.push(unit.clone());
        if let Some(decoding) = &self.decoding {
            decoding.push(unit, after_loss);
            decoding.schedule();
        }
    }
}
