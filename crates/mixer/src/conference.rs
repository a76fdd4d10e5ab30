//! One conference on a worker: its legs, its views, its sound.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use cau_codec::video::Pool;
use cau_model::{
    ConferenceId, ParticipantId,
    scene::{Card, Scene},
};
use smallvec::SmallVec;

use crate::{
    bring_up::{BringUp, Ways},
    command::{Config, LegConfig},
    event::{Event, Totals, Voice},
    job::Spawner,
    leg::{Leg, Switches},
    out::Out,
    sound::room::{Input, Room},
    view::{
        self, View,
        channel::{Channel, Users},
        compose::{Plan, Tile},
        output,
    },
};

/// Levels are reported this often.
const VOICE_EVERY: Duration = Duration::from_millis(100);
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
}

/// One conference.
pub struct Conference {
    id: ConferenceId,
    /// By participant.
    pub legs: BTreeMap<ParticipantId, Leg>,
    scenes: Vec<(Arc<Scene>, Vec<ParticipantId>)>,
    views: BTreeMap<view::Key, View>,
    room: Room,
    floor: Option<ParticipantId>,
    /// Sites that are being brought before viewers.
    brought: Vec<BringUp>,
    /// Scenes, legs or sources have changed since the views were brought in line.
    stale: bool,
    voice_at: Instant,
    spoke: bool,
}

impl Conference {
    /// An empty one.
    pub fn new(now: Instant, id: ConferenceId) -> Self {
        Self {
            id,
            legs: BTreeMap::new(),
            scenes: Vec::new(),
            views: BTreeMap::new(),
            room: Room::default(),
            floor: None,
            brought: Vec::new(),
            stale: false,
            voice_at: now,
            spoke: false,
        }
    }

    /// Adds a participant's media.
    pub fn add(&mut self, participant: ParticipantId, leg: Leg) {
        self.legs.insert(participant, leg);
        self.stale = true;
    }

    /// A participant's media was negotiated anew.
    pub fn update(&mut self, now: Instant, participant: ParticipantId, config: LegConfig, shared: &Shared) {
        if let Some(leg) = self.legs.get_mut(&participant) {
            leg.update(now, config, shared);
            self.stale = true;
        }
    }

    /// A participant has left; says BYE.
    pub fn remove(&mut self, now: Instant, participant: ParticipantId, out: &mut Out) {
        if let Some(mut leg) = self.legs.remove(&participant) {
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
        let Some(place) = self.legs.get(&participant).and_then(|l| l.video.as_ref()).and_then(|v| v.place)
        else {
            return;
        };
        self.with_channel(now, participant, place, |channel, now, watch, users, canvas| {
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
    }

    /// When a view wants its next picture.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.views.values().map(View::next).min()
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
            for unit in units.drain(..) {
                video.send(now, *participant, &unit, csrc, out);
                key = if unit.key { Some(unit.time) } else { key };
            }
            if let (Some(time), Some(view)) = (key, view) {
                for (brought, shown) in self.brought.iter_mut().zip(&shown) {
                    let since = shown.as_ref().and_then(|shown| view.canvas().shows_since(shown));
                    brought.note_key(*participant, time, since, &video.line.session.sender);
                }
            }
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
        self.report_voices(now, out);
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
        for (participant, leg) in &mut self.legs {
            let size = leg.video.as_ref().and_then(|v| v.place).map(|p| (p.view.width, p.view.height));
            let statistics = Box::new(leg.statistics(now, size));
            out.events.push_back(Event::Statistics { participant: *participant, statistics });
        }
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

    /// The last canvas a participant sees.
    pub fn canvas_of(&self, participant: ParticipantId) -> Option<cau_codec::video::Picture> {
        let place = self.legs.get(&participant)?.video.as_ref()?.place?;
        self.views.get(&place.view)?.canvas().latest()
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
        let mut wanted: BTreeMap<ParticipantId, &Arc<Scene>> = BTreeMap::new();
        for (scene, viewers) in &self.scenes {
            wanted.extend(viewers.iter().map(|p| (*p, scene)));
        }
        for (participant, leg) in &mut self.legs {
            let Some(video) = &mut leg.video else { continue };
            let place = wanted.get(participant).filter(|_| video.can_send()).map(|scene| Place {
                view: view::Key::new(scene.id, &video.profile),
                kbps: video.profile.kbps,
            });
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
        self.plan_views(now, &moved, shared);
        for (participant, place) in moved {
            self.join(now, participant, place, shared);
        }
        self.drop_unused();
        for view in self.views.values() {
            view.connect();
        }
        self.set_visible(now);
    }

    /// Makes missing views and tells each what to show.
    fn plan_views(&mut self, now: Instant, moved: &[(ParticipantId, Place)], shared: &Shared) {
        let places: BTreeSet<view::Key> =
            self.legs.values().filter_map(|l| l.video.as_ref()?.place).map(|p| p.view).collect();
        for key in places {
            let Some((scene, _)) = self.scenes.iter().find(|(s, _)| s.id == key.scene) else { continue };
            let (plan, csrc) = plan(scene, (key.width, key.height), &self.legs);
            // Who comes from another view keeps that until this one has something to show.
            let wait = moved.iter().any(|(p, place)| {
                place.view == key
                    && self.legs.get(p).and_then(|l| l.video.as_ref()).is_some_and(|v| v.watch.is_started())
            });
            let view = self
                .views
                .entry(key)
                .or_insert_with(|| View::new(now, key, scene.clone(), &shared.pool, &shared.spawner));
            view.scene = scene.clone();
            view.csrc = csrc;
            view.set_plan(now, plan, wait);
        }
    }

    fn join(&mut self, now: Instant, participant: ParticipantId, place: Place, shared: &Shared) {
        let single =
            self.legs.get(&participant).and_then(|l| l.video.as_ref()).is_some_and(|v| v.watch.single());
        let Some(view) = self.views.get_mut(&place.view) else { return };
        view.channels.entry(place.kbps).or_insert_with(|| {
            let settings = output::Settings::new(&place.view, place.kbps, &shared.config);
            Channel::new(settings, single, shared.epoch, &shared.spawner, shared.config.waker.clone())
        });
        self.with_channel(now, participant, place, |channel, now, watch, users, canvas| {
            channel.join(now, watch, users, canvas);
        });
    }

    /// Calls `f` with the channel a participant watches and the count of the others there.
    fn with_channel(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        place: Place,
        f: impl FnOnce(&mut Channel, Instant, &mut view::watch::Watch, Users, &view::compose::Composing),
    ) {
        let Some(view) = self.views.get_mut(&place.view) else { return };
        let canvas = view.canvas().clone();
        let Some(channel) = view.channels.get_mut(&place.kbps) else { return };
        let mut users = Users::default();
        for (other, leg) in &self.legs {
            if let Some(video) = leg.video.as_ref().filter(|_| *other != participant) {
                channel.count(&video.watch, &mut users);
            }
        }
        let Some(video) = self.legs.get_mut(&participant).and_then(|l| l.video.as_mut()) else { return };
        f(channel, now, &mut video.watch, users, &canvas);
        view.connect();
    }

    /// Catch-up encoders come to their end.
    fn care(&mut self, now: Instant) {
        for view in self.views.values_mut() {
            let mut changed = false;
            for channel in view.channels.values_mut() {
                let mut users = Users::default();
                for video in self.legs.values().filter_map(|l| l.video.as_ref()) {
                    channel.count(&video.watch, &mut users);
                }
                changed |= channel.handle_timeout(now, users);
            }
            if changed {
                view.connect();
            }
        }
    }

    /// Frees views and channels that nobody watches, or still follows on the way to another.
    fn drop_unused(&mut self) {
        let watches: Vec<_> = self.legs.values().filter_map(|l| l.video.as_ref()).collect();
        for (key, view) in &mut self.views {
            view.channels.retain(|kbps, channel| {
                watches.iter().any(|v| {
                    v.place.is_some_and(|p| p.view == *key && p.kbps == *kbps)
                        || channel.outputs().any(|o| v.watch.follows(o))
                })
            });
        }
        self.views.retain(|_, view| !view.channels.is_empty());
    }

    /// Decodes what some view shows, and nothing else.
    fn set_visible(&mut self, now: Instant) {
        let shown: BTreeSet<ParticipantId> = self.views.values().flat_map(|v| v.scene.pictures()).collect();
        for (participant, leg) in &mut self.legs {
            leg.set_visible(now, shown.contains(participant));
        }
    }
}

/// Where a receiver's picture comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Which view.
    pub view: view::Key,
    /// Which of its bitrates.
    pub kbps: u32,
}

/// Lays a scene out and finds its pictures; also the SSRCs of those shown.
fn plan(
    scene: &Scene,
    size: (u32, u32),
    legs: &BTreeMap<ParticipantId, Leg>,
) -> (Plan, SmallVec<[u32; view::MAX_CSRC]>) {
    let mut csrc = SmallVec::new();
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
            Tile {
                rect,
                source,
                name: tile.name.clone(),
                site: tile.site.clone(),
                border: tile.border,
                card: tile.card,
            }
        })
        .collect();
    (Plan { tiles }, csrc)
}
