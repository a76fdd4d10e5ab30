//! One conference on a worker: its legs, its views, its sound.

mod placing;
mod report;
mod sharing;
mod sound;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    mem,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use cau_codec::video::{Picture, Pool};
use cau_model::{ConferenceId, ParticipantId, scene::Scene, sound::Rules};
use smallvec::SmallVec;

pub use report::TURNS;

use crate::{
    Port,
    bring_up::{self, BringUp, Ways},
    command::{Config, LegConfig},
    forward::Unwilling,
    job::Spawner,
    leg::{Leg, Switches, video::named},
    out::Out,
    pressure::Pressure,
    sound::room::Room,
    source::Shown,
    view::{self, View, overlay::Decor},
};

/// It is looked at this often who can get a site's own pictures.
const FORWARD_EVERY: Duration = Duration::from_millis(500);
/// Sites being brought up at a time.
const BROUGHT: usize = 64;

/// What all conferences of a worker share.
pub struct Shared {
    /// Settings.
    pub config: Config,
    /// Where jobs go.
    pub spawner: Spawner,
    /// Where canvases come from.
    pub pool: Pool,
    /// Zero of all time stamps.
    pub epoch: Instant,
    /// What views are adorned with.
    pub decor: Decor,
    /// Whether there is more to do than can be done.
    pub pressure: Pressure,
}

/// One conference.
pub struct Conference {
    id: ConferenceId,
    /// By participant.
    pub legs: BTreeMap<ParticipantId, Leg>,
    scenes: Vec<(Arc<Scene>, Vec<ParticipantId>)>,
    views: BTreeMap<view::Key, View>,
    unwilling: Unwilling,
    /// When it is next looked at who can get a site's own pictures.
    forward_at: Instant,
    room: Room,
    floor: Option<ParticipantId>,
    /// Sites that are being brought before viewers.
    brought: Vec<BringUp>,
    /// Key frames waited for, by who is to get them.
    awaited: BTreeMap<ParticipantId, Wanted>,
    /// Whose next picture that waits for its sound goes on when. An entry that holds no more finds nothing due.
    due: BinaryHeap<Reverse<(Instant, ParticipantId)>>,
    /// Scenes, legs or sources have changed since the views were brought in line.
    stale: bool,
    voice_at: Instant,
    spoke: bool,
    /// Pictures per second of encoded views at most.
    fps: u32,
    /// The worker has more to do than it can.
    pressed: bool,
}

impl Conference {
    /// An empty one.
    pub fn new(now: Instant, id: ConferenceId) -> Self {
        Self {
            id,
            legs: BTreeMap::new(),
            scenes: Vec::new(),
            views: BTreeMap::new(),
            unwilling: Unwilling::default(),
            forward_at: now,
            room: Room::default(),
            floor: None,
            brought: Vec::new(),
            awaited: BTreeMap::new(),
            due: BinaryHeap::new(),
            stale: false,
            voice_at: now,
            spoke: false,
            fps: u32::MAX,
            pressed: false,
        }
    }

    /// Adds a participant's media.
    pub fn add(&mut self, participant: ParticipantId, leg: Leg) {
        self.legs.insert(participant, leg);
        self.stale = true;
    }

    /// A datagram came; `heard`: when, by the ticks of sound.
    pub fn handle_packet(
        &mut self,
        (now, heard): (Instant, Instant),
        port: Port,
        from: SocketAddr,
        data: Bytes,
        out: &mut Out,
    ) {
        let Some(leg) = self.legs.get_mut(&port.participant) else {
            out.totals.dropped_unexpected += 1;
            return;
        };
        leg.handle_packet((now, heard), port, from, data, out);
        self.due.extend(leg.take_due().map(|at| Reverse((at, port.participant))));
        if leg.take_relayed() {
            self.drain(now, out);
        }
    }

    /// A participant's media was negotiated anew.
    pub fn update(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        config: LegConfig,
        shared: &Shared,
        out: &mut Out,
    ) {
        if let Some(leg) = self.legs.get_mut(&participant) {
            leg.count_dropped(out);
            leg.update(now, config, shared);
            self.stale = true;
        }
    }

    /// A participant has left; says BYE.
    pub fn remove(&mut self, now: Instant, participant: ParticipantId, out: &mut Out) {
        if let Some(mut leg) = self.legs.remove(&participant) {
            leg.count_dropped(out);
            leg.bye(now, out);
            self.awaited.remove(&participant);
            self.stale = true;
        }
    }

    /// Who sees what from now on.
    pub fn set_scenes(&mut self, scenes: Vec<(Arc<Scene>, Vec<ParticipantId>)>) {
        self.scenes = scenes;
        self.stale = true;
    }

    /// Who holds the floor.
    pub fn set_floor(&mut self, participant: Option<ParticipantId>) {
        self.floor = participant;
    }

    /// Encoded views make so many pictures per second at most, and there are fewer encodings where that is less.
    pub fn set_cadence(&mut self, fps: u32) {
        self.stale |= self.fps != fps;
        self.fps = fps;
        self.views.values_mut().for_each(|view| view.set_most(fps));
    }

    /// What is done about sound.
    pub fn set_rules(&mut self, rules: Rules) {
        self.room.set_rules(rules);
    }

    /// A site is to be brought before viewers.
    pub fn bring_up(
        &mut self,
        now: Instant,
        operation: u64,
        site: ParticipantId,
        viewers: Vec<ParticipantId>,
        csrc: Option<u32>,
    ) {
        self.end_bring_up(operation);
        // Older ones are no longer waited for by anybody.
        if self.brought.len() >= BROUGHT {
            self.brought.remove(0);
        }
        let there = csrc.is_none_or(|csrc| self.legs.get(&site).is_some_and(|l| l.carries(csrc).is_some()));
        self.brought.push(BringUp::new(now, operation, site, viewers, (csrc, there)));
    }

    /// What names a participant.
    pub fn set_name(&mut self, participant: ParticipantId, csrc: Option<u32>) {
        if let Some(leg) = self.legs.get_mut(&participant) {
            leg.named = csrc;
            self.stale = true;
        }
    }

    /// A key frame of a site, named so, is waited for on its way to a participant.
    pub fn set_await(&mut self, participant: ParticipantId, site: ParticipantId, csrc: u32) {
        self.awaited.insert(participant, Wanted { site, csrc, asked: None });
    }

    /// Nothing more is to be reported of that.
    pub fn end_bring_up(&mut self, operation: u64) {
        self.brought.retain(|b| b.operation != operation);
    }

    /// The switches of one participant.
    pub fn set_switches(&mut self, participant: ParticipantId, switches: Switches) {
        if let Some(leg) = self.legs.get_mut(&participant) {
            self.stale |= leg.set_switches(switches);
        }
    }

    /// A participant's decoder needs a key frame.
    fn refresh(&mut self, now: Instant, participant: ParticipantId) {
        let Some(video) = self.legs.get_mut(&participant).and_then(|l| l.video.as_mut()) else { return };
        let Some(place) = video.place else { return };
        // Under pressure what it needs repair for is most likely our own doing.
        if place.stream.from.is_some() && !self.pressed && video.repairs.note(now) {
            self.stale = true;
        }
        let need = view::channel::Need { pressed: self.pressed, soon: video.is_fragile() };
        let mut users = self.users(place);
        self.with_channel(now, participant, place, &mut users, |channel, now, watch, users, canvas| {
            channel.refresh(now, watch, users, canvas, need);
        });
    }

    /// The pictures that are due.
    pub fn handle_timeout(&mut self, now: Instant, shared: &Shared, out: &mut Out) {
        if mem::take(&mut self.stale) {
            self.bring_in_line(now, shared);
        }
        if self.next_due().is_some_and(|at| at <= now) {
            self.release(now, out);
        }
        for view in self.views.values_mut() {
            if !view.handle_timeout(now) {
                out.totals.skipped_compose += 1;
            }
        }
    }

    /// Pictures that waited for their sound go on.
    fn release(&mut self, now: Instant, out: &mut Out) {
        let mut relayed = false;
        while self.next_due().is_some_and(|at| at <= now) {
            let Some(Reverse((_, participant))) = self.due.pop() else { break };
            let Some(leg) = self.legs.get_mut(&participant) else { continue };
            self.due.extend(leg.release(now).map(|at| Reverse((at, participant))));
            relayed |= leg.take_relayed();
        }
        if relayed {
            self.drain(now, out);
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// Timers of the legs, 20 ms of sound from each, and what follows from them; every 20 ms.
    fn attend(&mut self, now: Instant, shared: &Shared, out: &mut Out) {
        self.pressed = shared.pressure.is_high(now);
        let mut asking: SmallVec<[ParticipantId; 8]> = SmallVec::new();
        for (participant, leg) in &mut self.legs {
            leg.handle_timeout(now, shared, out);
            if let Some(audio) = &mut leg.audio {
                audio.pull(now);
            }
            self.stale |= leg.take_changed();
            if leg.take_asked_for_key() {
                asking.push(*participant);
            }
        }
        for participant in asking {
            self.refresh(now, participant);
        }
        let mut ways = Ways { legs: &mut self.legs, views: &self.views };
        for brought in &mut self.brought {
            brought.attend(now, &mut ways, out);
        }
        self.ask_for_awaited(now);
        self.care(now);
        if now >= self.forward_at {
            self.forward_at = now + FORWARD_EVERY;
            self.stale |= self.places(now, shared).iter().any(|(participant, place)| {
                self.legs.get(participant).and_then(|l| l.video.as_ref()).is_some_and(|v| v.place != *place)
            });
        }
        self.drain_relayed(now, out);
    }

    /// Sends on what sites that are passed on have just sent.
    pub fn drain_relayed(&mut self, now: Instant, out: &mut Out) {
        let mut relayed = false;
        for leg in self.legs.values_mut() {
            relayed |= leg.take_relayed();
        }
        if relayed {
            self.drain(now, out);
        }
    }

    /// When a view wants its next picture, or one that waits goes on.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.views.values().filter_map(View::next).chain(self.next_due()).min()
    }

    /// An encoded view that goes on shows another site without a key frame: it is asked for one where that is waited for.
    fn ask_for_awaited(&mut self, now: Instant) {
        for (to, wanted) in &mut self.awaited {
            let place = self.legs.get(to).and_then(|leg| leg.video.as_ref()?.place);
            let Some(place) = place.filter(|place| place.stream.from.is_none()) else { continue };
            let Some(view) = self.views.get(&place.view) else { continue };
            let Some(shown) = self.legs.get(&wanted.site).and_then(Leg::shown) else { continue };
            let Some(since) = view.canvas().shows_since(&shown) else { continue };
            let due = wanted.asked.map_or(since + bring_up::KEY_AFTER, |at| at + bring_up::KEY_AGAIN);
            if now >= due
                && let Some(channel) = view.channels.get(&place.stream)
            {
                wanted.asked = Some(now);
                channel.main.request_key();
            }
        }
    }

    /// What is waited for; `None`: it is not there to be shown.
    fn awaited(&self, site: ParticipantId, csrc: u32) -> Option<Awaited> {
        let leg = self.legs.get(&site)?;
        let since = match leg.named {
            // It is the site itself.
            Some(_) => None,
            None => Some(leg.carries(csrc)?),
        };
        Some(Awaited { site, csrc, since, shown: leg.shown()? })
    }

    /// Sends what the encoders have made.
    pub fn drain(&mut self, now: Instant, out: &mut Out) {
        let mut units = Vec::new();
        let mut lagged = Vec::new();
        let names: SmallVec<[(u32, u32); 8]> = self
            .legs
            .values()
            .filter_map(|leg| leg.named.and_then(|name| Some((leg.video_ssrc()?, name))))
            .collect();
        let awaited: BTreeMap<ParticipantId, Awaited> = self
            .awaited
            .iter()
            .filter_map(|(to, wanted)| Some((*to, self.awaited(wanted.site, wanted.csrc)?)))
            .collect();
        let shown: Vec<_> = self.brought.iter().map(|b| self.legs.get(&b.site)?.shown()).collect();
        for (participant, leg) in &mut self.legs {
            let Some(video) = &mut leg.video else { continue };
            let pulled = video.watch.pull(&mut units);
            let view = video.place.and_then(|place| self.views.get(&place.view));
            let csrc = view.map_or(&[][..], |v| v.csrc.as_slice());
            let mut key = None;
            let made = video
                .place
                .zip(view)
                .and_then(|(p, v)| v.channels.get(&p.stream))
                .map_or(0, |c| c.main.made());
            if video.is_stranded(now, made, !units.is_empty()) {
                tracing::error!("{participant} got no picture although one was made for it: brought in anew");
                out.totals.stranded += 1;
                video.rejoin = true;
                self.stale = true;
            }
            for unit in units.drain(..) {
                video.send(now, *participant, &unit, (csrc, &names), out);
                // Only what is passed on names its source.
                key = if unit.key { Some((unit.time, unit.csrc)) } else { key };
            }
            if let (Some((time, source)), Some(view)) = (key, view) {
                let main =
                    video.place.and_then(|p| Some((p.stream.from?, &view.channels.get(&p.stream)?.main)));
                let passed_on = main
                    .filter(|(_, main)| source.is_some() && video.watch.follows(main))
                    .map(|(site, _)| site);
                video.passed = passed_on.zip(source).map(|(site, source)| Passed {
                    site,
                    csrc: named(source, &names),
                    time,
                });
                if let Some(awaited) = awaited.get(participant) {
                    let encoded = video.passed.is_none();
                    let shows = || {
                        view.canvas()
                            .shows_since(&awaited.shown)
                            .is_some_and(|since| awaited.since.is_none_or(|at| at <= time) && since <= time)
                    };
                    if encoded && shows() {
                        self.awaited.remove(participant);
                        out.passed(*participant, awaited.csrc);
                    }
                }
                for (brought, shown) in self.brought.iter_mut().zip(&shown) {
                    let since = match passed_on {
                        Some(site) => (site == brought.site).then_some(time),
                        None => shown.as_ref().and_then(|shown| view.canvas().shows_since(shown)),
                    };
                    brought.note_key(*participant, time, since, &video.line.session.sender);
                }
            }
            // Also one that had gone before it was asked for: the site may be quicker than the order on its way here.
            let gone = awaited.get(participant).filter(|awaited| {
                let current = video.place.and_then(|place| place.stream.from) == Some(awaited.site);
                current && video.passed.is_some_and(|passed| passed.is(awaited))
            });
            if let Some(awaited) = gone {
                self.awaited.remove(participant);
                out.passed(*participant, awaited.csrc);
            }
            // What it has left may be needed by nobody any more.
            self.stale |= pulled.switched;
            if pulled.lagged {
                out.totals.lagged += 1;
                lagged.push(*participant);
            }
        }
        for participant in lagged {
            self.refresh(now, participant);
        }
    }
}

/// A key frame that is to be told of when it has gone.
struct Wanted {
    site: ParticipantId,
    /// The site's name.
    csrc: u32,
    /// When the view was asked for it.
    asked: Option<Instant>,
}

/// A key frame that was passed on.
#[derive(Clone, Copy, Debug)]
pub struct Passed {
    /// Through whose call it came.
    pub site: ParticipantId,
    /// What names its source.
    pub csrc: u32,
    /// When it came.
    pub time: Instant,
}

impl Passed {
    /// It is what is waited for.
    fn is(&self, awaited: &Awaited) -> bool {
        (self.site, self.csrc) == (awaited.site, awaited.csrc)
            && awaited.since.is_none_or(|at| at <= self.time)
    }
}

/// The same, of a site that is there.
struct Awaited {
    site: ParticipantId,
    csrc: u32,
    /// Its pictures come since then; `None`: always.
    since: Option<Instant>,
    shown: Arc<Shown>,
}

/// What a participant sees.
pub enum Seen {
    /// The last canvas of his view.
    Canvas(Picture),
    /// That site's own pictures.
    Site(ParticipantId),
}

/// Where a receiver's picture comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// Which view.
    pub view: view::Key,
    /// Which of its channels.
    pub stream: view::Stream,
}
