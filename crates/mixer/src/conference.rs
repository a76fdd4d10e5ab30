//! One conference on a worker: its legs, its views, its sound.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use cau_codec::{
    scale::Fit,
    video::{Colour, Picture, Pool},
};
use cau_model::{
    ConferenceId, ParticipantId,
    layout::Rect,
    scene::{self, Card, Scene},
    sound::Rules,
};
use smallvec::SmallVec;

use crate::{
    Port,
    bring_up::{BringUp, Ways},
    command::{Config, LegConfig},
    event::{Event, Totals, VideoKind, Voice},
    forward::{self, Unwilling},
    job::Spawner,
    leg::{Leg, Switches, video::Video},
    out::Out,
    sound::{
        room::{Input, Room},
        watch::Finding,
    },
    view::{
        self, View,
        channel::{Channel, Users},
        compose::{Plan, Tile},
        output,
        overlay::Decor,
    },
};

/// Levels are reported this often.
const VOICE_EVERY: Duration = Duration::from_millis(100);
/// It is looked at this often who can get a site's own pictures.
const FORWARD_EVERY: Duration = Duration::from_millis(500);
/// Voices in one report.
const VOICES: usize = 16;
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
    /// Scenes, legs or sources have changed since the views were brought in line.
    stale: bool,
    voice_at: Instant,
    spoke: bool,
    /// Pictures per second of encoded views at most.
    fps: u32,
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
            stale: false,
            voice_at: now,
            spoke: false,
            fps: u32::MAX,
        }
    }

    /// Adds a participant's media.
    pub fn add(&mut self, participant: ParticipantId, leg: Leg) {
        self.legs.insert(participant, leg);
        self.stale = true;
    }

    /// A datagram came.
    pub fn handle_packet(&mut self, now: Instant, port: Port, from: SocketAddr, data: Bytes, out: &mut Out) {
        let Some(leg) = self.legs.get_mut(&port.participant) else {
            out.totals.dropped_unexpected += 1;
            return;
        };
        leg.handle_packet(now, port, from, data, out);
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

    /// Encoded views make so many pictures per second at most.
    pub fn set_cadence(&mut self, fps: u32) {
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
    ) {
        self.end_bring_up(operation);
        // Older ones are no longer waited for by anybody.
        if self.brought.len() >= BROUGHT {
            self.brought.remove(0);
        }
        self.brought.push(BringUp::new(now, operation, site, viewers));
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
        if place.stream.from.is_some() && video.repairs.note(now) {
            self.stale = true;
        }
        let mut users = self.users(place);
        self.with_channel(now, participant, place, &mut users, |channel, now, watch, users, canvas| {
            channel.refresh(now, watch, users, canvas);
        });
    }

    /// The pictures that are due.
    pub fn handle_timeout(&mut self, now: Instant, shared: &Shared, out: &mut Out) {
        if mem::take(&mut self.stale) {
            self.bring_in_line(now, shared);
        }
        for view in self.views.values_mut() {
            if !view.handle_timeout(now) {
                out.totals.skipped_compose += 1;
            }
        }
    }

    /// Timers of the legs, and what follows from them; every 20 ms.
    fn attend(&mut self, now: Instant, shared: &Shared, out: &mut Out) {
        let mut asking: SmallVec<[ParticipantId; 8]> = SmallVec::new();
        for (participant, leg) in &mut self.legs {
            leg.handle_timeout(now, &shared.config, out);
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

    /// When a view wants its next picture.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.views.values().filter_map(View::next).min()
    }

    /// Sends what the encoders have made.
    pub fn drain(&mut self, now: Instant, out: &mut Out) {
        let mut units = Vec::new();
        let mut lagged = Vec::new();
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
                video.send(now, *participant, &unit, csrc, out);
                // Only what is passed on names its source.
                key = if unit.key { Some((unit.time, unit.csrc.is_some())) } else { key };
            }
            if let (Some((time, own)), Some(view)) = (key, view) {
                let main =
                    video.place.and_then(|p| Some((p.stream.from?, &view.channels.get(&p.stream)?.main)));
                let passed_on =
                    main.filter(|(_, main)| own && video.watch.follows(main)).map(|(site, _)| site);
                for (brought, shown) in self.brought.iter_mut().zip(&shown) {
                    let since = match passed_on {
                        Some(site) => (site == brought.site).then_some(time),
                        None => shown.as_ref().and_then(|shown| view.canvas().shows_since(shown)),
                    };
                    brought.note_key(*participant, time, since, &video.line.session.sender);
                }
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

    /// Sees to the legs, mixes and sends 20 ms of sound.
    pub fn tick(&mut self, now: Instant, shared: &Shared, out: &mut Out) {
        self.attend(now, shared, out);
        for audio in self.legs.values_mut().filter_map(|l| l.audio.as_mut()) {
            audio.pull(now);
        }
        let floor = self.floor;
        let brought: SmallVec<[ParticipantId; 4]> = self.brought.iter().map(|b| b.site).collect();
        let mut inputs: Vec<Input<'_>> = Vec::with_capacity(self.legs.len());
        for (participant, leg) in &mut self.legs {
            if let Some(audio) = &mut leg.audio {
                let coding = audio.coding();
                let floor = floor == Some(*participant) || brought.contains(participant);
                inputs.push(Input { site: &mut audio.site, floor, coding });
            }
        }
        let encoded = self.room.tick(now, &mut inputs);
        drop(inputs);
        out.totals.audio_encoders += self.room.encoders();
        let heard: SmallVec<[(ParticipantId, u32); 16]> = self
            .legs
            .iter()
            .filter_map(|(p, l)| {
                l.audio.as_ref().filter(|a| a.site.is_heard()).and_then(|a| Some((*p, a.ssrc_in()?)))
            })
            .collect();
        let with_sound = self.legs.iter_mut().filter_map(|(p, l)| l.audio.as_mut().map(|a| (*p, a)));
        for ((participant, audio), frame) in with_sound.zip(encoded) {
            let Some(frame) = frame.filter(|f| !f.is_empty()) else {
                audio.skip();
                continue;
            };
            let csrc: SmallVec<[u32; view::MAX_CSRC]> = heard
                .iter()
                .filter(|(p, _)| *p != participant)
                .map(|(_, s)| *s)
                .take(view::MAX_CSRC)
                .collect();
            let csrc = if audio.site.deafened { &[][..] } else { csrc.as_slice() };
            audio.send(now, participant, &frame, csrc, out);
        }
        self.report_findings(out);
        self.report_voices(now, out);
    }

    fn report_findings(&mut self, out: &mut Out) {
        for (participant, leg) in &mut self.legs {
            let Some(audio) = &mut leg.audio else { continue };
            for finding in audio.site.take_findings() {
                let participant = *participant;
                out.events.push_back(match finding {
                    Finding::Found(trouble) => Event::Trouble { participant, trouble },
                    Finding::Over(kind) => Event::TroubleOver { participant, kind },
                });
            }
        }
    }

    /// The worker was too late for some ticks: sound goes on with a gap.
    pub fn skip_ticks(&mut self, ticks: u32) {
        for audio in self.legs.values_mut().filter_map(|l| l.audio.as_mut()) {
            for _ in 0..ticks {
                audio.skip();
            }
        }
    }

    /// Figures of every participant, and this conference's part of the worker's.
    pub fn report(&mut self, now: Instant, out: &mut Out) {
        for view in self.views.values() {
            out.totals.codec_errors += view.canvas().take_errors();
            for channel in view.channels.values() {
                for output in channel.outputs() {
                    out.totals.skipped_encode += output.take_skipped();
                    out.totals.codec_errors += output.take_errors();
                }
            }
        }
        let sizes: BTreeMap<ParticipantId, (VideoKind, (u32, u32))> = self
            .legs
            .iter()
            .filter_map(|(participant, leg)| Some((*participant, self.gets(leg.video.as_ref()?)?)))
            .collect();
        for (participant, leg) in &mut self.legs {
            let statistics = Box::new(leg.statistics(now, sizes.get(participant).copied()));
            out.events.push_back(Event::Statistics { participant: *participant, statistics });
        }
    }

    /// What a receiver gets at the moment: how it is made, and its size in pixels.
    fn gets(&self, video: &Video) -> Option<(VideoKind, (u32, u32))> {
        let place = video.place?;
        let channel = self.views.get(&place.view)?.channels.get(&place.stream)?;
        let relayed = channel.is_relayed() && video.watch.follows(&channel.main);
        let site =
            place.stream.from.filter(|_| relayed).and_then(|site| self.legs.get(&site)?.video.as_ref());
        match site.and_then(|v| v.source.size()) {
            Some(size) => Some((VideoKind::Forwarded, size)),
            None => Some((VideoKind::Encoded, (place.view.width, place.view.height))),
        }
    }

    /// Counts what all lines dropped since the last call.
    pub fn count_dropped(&mut self, out: &mut Out) {
        self.legs.values_mut().for_each(|leg| leg.count_dropped(out));
    }

    /// Adds the gauges.
    pub fn count(&self, totals: &mut Totals) {
        totals.conferences += 1;
        totals.legs += self.legs.len() as u32;
        totals.decoders += self.legs.values().filter(|l| l.is_decoded()).count() as u32;
        for channel in self.views.values().flat_map(|v| v.channels.values()) {
            totals.encoders += channel.outputs().count() as u32;
            totals.catch_up += u32::from(channel.is_catching_up());
        }
    }

    /// The last canvas a participant sees, or the site whose own pictures he gets.
    pub fn seen_by(&self, participant: ParticipantId) -> Option<Seen> {
        let place = self.legs.get(&participant)?.video.as_ref()?.place?;
        match place.stream.from {
            Some(site) => Some(Seen::Site(site)),
            None => self.views.get(&place.view)?.canvas().latest().map(Seen::Canvas),
        }
    }

    fn report_voices(&mut self, now: Instant, out: &mut Out) {
        if now < self.voice_at {
            return;
        }
        self.voice_at = now + VOICE_EVERY;
        let mut voices: Vec<Voice> = self
            .legs
            .iter()
            .filter_map(|(participant, leg)| {
                let site = &leg.audio.as_ref()?.site;
                let voice = Voice {
                    participant: *participant,
                    level_dbov: site.meter.level_dbov(),
                    speaking: site.meter.speaking(),
                };
                (!site.muted && (site.is_heard() || voice.speaking)).then_some(voice)
            })
            .collect();
        voices.sort_by(|a, b| b.level_dbov.total_cmp(&a.level_dbov));
        voices.truncate(VOICES);
        if !voices.is_empty() || mem::take(&mut self.spoke) {
            self.spoke = !voices.is_empty();
            out.events.push_back(Event::Voice { conference: self.id, voices });
        }
    }

    /// Views, receivers and decoders as the scenes want them.
    fn bring_in_line(&mut self, now: Instant, shared: &Shared) {
        let mut moved = Vec::new();
        let places = self.places(now, shared);
        for (participant, leg) in &mut self.legs {
            let Some(video) = &mut leg.video else { continue };
            let place = places.get(participant).copied().flatten();
            if place == video.place && !video.rejoin {
                continue;
            }
            video.place = place;
            video.rejoin = false;
            match place {
                Some(place) => moved.push((*participant, place)),
                None => video.watch.stop(),
            }
        }
        self.make_views(now, shared);
        // Counted once, not for each of a thousand who move at once.
        let mut users: BTreeMap<Place, Users> = BTreeMap::new();
        for (participant, place) in moved {
            let users = users.entry(place).or_insert_with(|| self.users(place));
            self.join(now, participant, place, shared, users);
        }
        self.drop_unused();
        self.plan_views(now);
        for view in self.views.values() {
            view.connect();
        }
        self.set_visible(now);
    }

    /// Where everybody's picture is to come from.
    fn places(&self, now: Instant, shared: &Shared) -> BTreeMap<ParticipantId, Option<Place>> {
        let mut wanted: BTreeMap<ParticipantId, &Arc<Scene>> = BTreeMap::new();
        for (scene, viewers) in &self.scenes {
            wanted.extend(viewers.iter().map(|p| (*p, scene)));
        }
        let with_video = self.legs.iter().filter_map(|(p, leg)| Some((*p, leg.video.as_ref()?)));
        with_video
            .map(|(participant, video)| {
                let scene = wanted.get(&participant).filter(|_| video.can_send());
                let place = scene.map(|scene| {
                    let viewer = (participant, video);
                    let from =
                        forward::source(now, scene, viewer, &self.legs, &self.unwilling, &shared.config);
                    let stream = view::Stream { kbps: video.profile.kbps, from };
                    Place { view: view::Key::new(scene.id, &video.profile), stream }
                });
                (participant, place)
            })
            .collect()
    }

    /// Makes missing views.
    fn make_views(&mut self, now: Instant, shared: &Shared) {
        let places: BTreeSet<view::Key> =
            self.legs.values().filter_map(|l| l.video.as_ref()?.place).map(|p| p.view).collect();
        for key in places {
            let Some((scene, _)) = self.scenes.iter().find(|(s, _)| s.id == key.scene) else { continue };
            let view = self.views.entry(key).or_insert_with(|| View::new(now, key, scene.clone(), shared));
            view.scene = scene.clone();
            view.set_most(self.fps);
        }
    }

    /// Tells each view what to show.
    fn plan_views(&mut self, now: Instant) {
        for (key, view) in &mut self.views {
            let placed = |leg: &Leg| leg.video.as_ref().and_then(|v| v.place).is_some_and(|p| p.view == *key);
            if !self.legs.values().any(placed) {
                // It goes on as it was for those who are on their way to another.
                continue;
            }
            let (plan, csrc) = plan(&view.scene, (key.width, key.height), &self.legs);
            view.csrc = csrc;
            if !view.is_composed() {
                continue;
            }
            // Who comes from elsewhere keeps that until this one has something to show.
            let wait = !view.canvas().has_plan()
                && self.legs.values().filter_map(|l| l.video.as_ref()).any(|v| {
                    v.place.is_some_and(|p| p.view == *key)
                        && v.watch.is_started()
                        && !view.channels.values().any(|c| c.serves(&v.watch))
                });
            view.set_plan(now, plan, wait);
        }
    }

    fn join(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        place: Place,
        shared: &Shared,
        users: &mut Users,
    ) {
        let single =
            self.legs.get(&participant).and_then(|l| l.video.as_ref()).is_some_and(|v| v.watch.single());
        let site = place.stream.from.and_then(|site| self.legs.get_mut(&site)?.video.as_mut());
        let relay = site.map(|site| site.source.relay(now, output::max_payload(&shared.config)));
        let Some(view) = self.views.get_mut(&place.view) else { return };
        view.channels.entry(place.stream).or_insert_with(|| {
            let settings = output::Settings::new(&place.view, place.stream.kbps, &shared.config);
            let (epoch, spawner, waker) = (shared.epoch, &shared.spawner, shared.config.waker.clone());
            match relay {
                Some(relay) => Channel::relayed(settings, relay, epoch, spawner, waker),
                None => Channel::new(settings, single, epoch, spawner, waker),
            }
        });
        self.with_channel(now, participant, place, users, |channel, now, watch, users, canvas| {
            channel.join(now, watch, users, canvas);
        });
    }

    /// Who reads what at a place; nobody where there is nothing yet.
    fn users(&self, place: Place) -> Users {
        let mut users = Users::default();
        let channel = self.views.get(&place.view).and_then(|view| view.channels.get(&place.stream));
        if let Some(channel) = channel {
            for video in self.legs.values().filter_map(|leg| leg.video.as_ref()) {
                channel.count(&video.watch, &mut users);
            }
        }
        users
    }

    /// Calls `f` with the channel a participant watches and the count of the others there; `users` counts all, and goes on doing so.
    fn with_channel(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        place: Place,
        users: &mut Users,
        f: impl FnOnce(&mut Channel, Instant, &mut view::watch::Watch, Users, &view::compose::Composing),
    ) {
        let Some(view) = self.views.get_mut(&place.view) else { return };
        let canvas = view.canvas().clone();
        let composed = view.is_composed();
        let Some(channel) = view.channels.get_mut(&place.stream) else { return };
        let Some(video) = self.legs.get_mut(&participant).and_then(|l| l.video.as_mut()) else { return };
        let count = |channel: &Channel, watch: &view::watch::Watch| {
            let mut own = Users::default();
            channel.count(watch, &mut own);
            own
        };
        let others = users.without(count(channel, &video.watch));
        f(channel, now, &mut video.watch, others, &canvas);
        *users = others.with(count(channel, &video.watch));
        view.connect();
        // A canvas that was not needed shows nothing yet, and its pictures are not decoded.
        self.stale |= view.is_composed() != composed;
    }

    /// Catch-up encoders come to their end.
    fn care(&mut self, now: Instant) {
        for view in self.views.values_mut() {
            let mut changed = false;
            for (stream, channel) in &mut view.channels {
                let mut users = Users::default();
                for video in self.legs.values().filter_map(|l| l.video.as_ref()) {
                    channel.count(&video.watch, &mut users);
                }
                let care = channel.handle_timeout(now, users);
                changed |= care.changed;
                if let Some(site) = stream.from.filter(|_| care.unanswered) {
                    tracing::debug!(%site, "sends no key frame when asked: not passed on for a while");
                    self.unwilling.note(now, site);
                    self.stale = true;
                }
            }
            if changed {
                view.connect();
                self.stale = true;
            }
        }
    }

    /// Frees views and channels that nobody watches, or still follows on the way to another.
    fn drop_unused(&mut self) {
        let watches: Vec<_> = self.legs.values().filter_map(|l| l.video.as_ref()).collect();
        for (key, view) in &mut self.views {
            view.channels.retain(|stream, channel| {
                watches.iter().any(|v| {
                    v.place.is_some_and(|p| p.view == *key && p.stream == *stream) || channel.serves(&v.watch)
                })
            });
        }
        self.views.retain(|_, view| !view.channels.is_empty());
    }

    /// Decodes what some view shows, and nothing else.
    fn set_visible(&mut self, now: Instant) {
        let composed = self.views.values().filter(|v| v.is_composed());
        // Who is shown in a moment is decoded now, so that the change waits for nothing.
        let shown: BTreeSet<ParticipantId> =
            composed.flat_map(|v| v.scene.pictures().chain(v.scene.prepare.iter().copied())).collect();
        let streams = self.views.values().flat_map(|v| v.channels.keys());
        let relayed: BTreeSet<ParticipantId> = streams.filter_map(|s| s.from).collect();
        for (participant, leg) in &mut self.legs {
            leg.set_visible(now, shown.contains(participant));
            if let Some(video) = leg.video.as_mut().filter(|_| !relayed.contains(participant)) {
                video.source.end_relay();
            }
        }
    }
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

/// Lays a scene out and finds its pictures; also the SSRCs of those shown.
fn plan(
    scene: &Scene,
    size: (u32, u32),
    legs: &BTreeMap<ParticipantId, Leg>,
) -> (Plan, SmallVec<[u32; view::MAX_CSRC]>) {
    let mut csrc = SmallVec::new();
    let mut under: Vec<Rect> = Vec::new();
    let tiles = scene
        .tiles
        .iter()
        .zip(scene.rects(size))
        .filter(|(_, rect)| rect.w > 0 && rect.h > 0)
        .map(|(tile, rect)| {
            let leg = tile.participant.and_then(|p| legs.get(&p)).filter(|_| tile.card == Card::Picture);
            let source = leg.and_then(Leg::shown);
            if let Some(ssrc) = leg.and_then(Leg::video_ssrc).filter(|_| source.is_some())
                && csrc.len() < view::MAX_CSRC
                && !csrc.contains(&ssrc)
            {
                csrc.push(ssrc);
            }
            let over = under.iter().any(|r| overlap(*r, rect));
            under.push(rect);
            Tile {
                rect,
                over,
                fit: match tile.fit {
                    scene::Fit::Fit => Fit::Contain,
                    scene::Fit::Fill => Fit::Cover,
                },
                source,
                name: tile.name.clone(),
                site: tile.site.clone(),
                border: tile.border,
                card: tile.card,
            }
        })
        .collect();
    let background = scene.custom.as_ref().map_or(Colour::BLACK, |custom| {
        let (r, g, b) = custom.background();
        Colour::rgb(r, g, b)
    });
    (Plan { tiles, background, ornaments: scene.ornaments.clone() }, csrc)
}

fn overlap(a: Rect, b: Rect) -> bool {
    a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
}
