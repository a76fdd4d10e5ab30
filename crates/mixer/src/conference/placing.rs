//! Who gets which picture from where: views, their receivers and decoders, brought in line with the scenes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use cau_codec::{scale::Fit, video::Colour};
use cau_model::{
    ParticipantId,
    layout::Rect,
    scene::{self, Card, Scene},
};
use smallvec::SmallVec;

use super::{Conference, Place, Shared, sharing};
use crate::{
    forward,
    leg::Leg,
    view::{
        self, View,
        channel::{Channel, Users},
        compose::{Plan, Tile},
        output,
    },
};

impl Conference {
    /// Views, receivers and decoders as the scenes want them.
    pub(super) fn bring_in_line(&mut self, now: Instant, shared: &Shared) {
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
    pub(super) fn places(&self, now: Instant, shared: &Shared) -> BTreeMap<ParticipantId, Option<Place>> {
        let mut wanted: BTreeMap<ParticipantId, &Arc<Scene>> = BTreeMap::new();
        for (scene, viewers) in &self.scenes {
            wanted.extend(viewers.iter().map(|p| (*p, scene)));
        }
        let with_video = self.legs.iter().filter_map(|(p, leg)| Some((*p, leg.video.as_ref()?)));
        let mut places = with_video
            .map(|(participant, video)| {
                let scene = wanted.get(&participant).filter(|_| video.can_send());
                let place = scene.map(|scene| {
                    let viewer = (participant, video);
                    let unwilling = (!self.pressed).then_some(&self.unwilling);
                    let from = forward::source(now, scene, viewer, &self.legs, unwilling, &shared.config);
                    let stream = view::Stream { kbps: video.profile.kbps, from };
                    Place { view: view::Key::new(scene.id, &video.profile), stream }
                });
                (participant, place)
            })
            .collect();
        sharing::share(&mut places, sharing::most(shared.config.max_encodings, self.fps));
        places
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
        let pressed = self.pressed;
        self.with_channel(now, participant, place, users, |channel, now, watch, users, canvas| {
            channel.join(now, watch, users, canvas, pressed);
        });
    }

    /// Who reads what at a place; nobody where there is nothing yet.
    pub(super) fn users(&self, place: Place) -> Users {
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
    pub(super) fn with_channel(
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
    pub(super) fn care(&mut self, now: Instant) {
        for view in self.views.values_mut() {
            let mut changed = false;
            for (stream, channel) in view.channels.iter_mut().filter(|(_, channel)| channel.needs_care()) {
                let mut users = Users::default();
                for video in self.legs.values().filter_map(|l| l.video.as_ref()) {
                    channel.count(&video.watch, &mut users);
                }
                let care = channel.handle_timeout(now, users, self.pressed);
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
        let scenes = self.scenes.iter().map(|(scene, _)| scene);
        let needed: BTreeSet<ParticipantId> =
            scenes.flat_map(|s| s.pictures().chain(s.prepare.iter().copied())).collect();
        for (participant, leg) in &mut self.legs {
            leg.set_visible(now, shown.contains(participant), needed.contains(participant));
            if let Some(video) = leg.video.as_mut().filter(|_| !relayed.contains(participant)) {
                video.source.end_relay();
            }
        }
    }
}

/// Lays a scene out and finds its pictures; also what names those shown.
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
            if let Some(name) = leg.and_then(Leg::video_name).filter(|_| source.is_some())
                && csrc.len() < view::MAX_CSRC
                && !csrc.contains(&name)
            {
                csrc.push(name);
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
