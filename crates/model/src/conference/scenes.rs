//! From seats to scenes: one per group of viewers who see the same, with ids that outlive changes of what is shown.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use super::Conference;
use super::cycle::Page;
use super::seating::{self, Choice, Seats};
use crate::id::{Map, ParticipantId, Set};
use crate::layout::{Kind, Layout};
use crate::ornament::{Message, Ornaments};
use crate::participant::State;
use crate::scene::{Card, Scene, SceneId, Tile};
use crate::settings::Names;

/// A layout for chosen viewers.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub choice: Choice,
    pub viewers: BTreeSet<ParticipantId>,
}

/// The scenes as last made, and who sees each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stage {
    pub scenes: Vec<(Arc<Scene>, Vec<ParticipantId>)>,
    version: u64,
    next_id: u64,
}

/// What one group is to see: a scene before it has its id and version.
struct Group {
    scene: Scene,
    viewers: Vec<ParticipantId>,
}

impl Stage {
    /// Takes over new groups; true when anything differs from before. A group keeps the id under which most of its
    /// viewers were before (and the very scene, when it shows the same), so that running encoders go on.
    fn update(&mut self, groups: Vec<Group>) -> bool {
        let mut before: Map<ParticipantId, usize> = Map::default();
        for (index, (_, viewers)) in self.scenes.iter().enumerate() {
            before.extend(viewers.iter().map(|viewer| (*viewer, index)));
        }
        let mut claims = Vec::new();
        for (new, group) in groups.iter().enumerate() {
            let mut from: Map<usize, usize> = Map::default();
            for viewer in &group.viewers {
                if let Some(old) = before.get(viewer) {
                    *from.entry(*old).or_default() += 1;
                }
            }
            claims.extend(from.into_iter().map(|(old, viewers)| {
                let same = self.scenes.get(old).is_some_and(|(scene, _)| scene.same_content(&group.scene));
                (viewers, same, new, old)
            }));
        }
        claims.sort_by_key(|&(viewers, same, new, old)| (std::cmp::Reverse((viewers, same)), new, old));
        let mut kept: HashMap<usize, usize> = HashMap::new();
        let mut taken = HashSet::new();
        for (_, _, new, old) in claims {
            if !kept.contains_key(&new) && taken.insert(old) {
                kept.insert(new, old);
            }
        }
        let mut scenes = Vec::with_capacity(groups.len());
        for (new, Group { scene: wanted, viewers }) in groups.into_iter().enumerate() {
            let old = kept.get(&new).and_then(|old| self.scenes.get(*old)).map(|(scene, _)| scene.clone());
            let scene = match old {
                Some(old) if old.same_content(&wanted) => old,
                old => {
                    self.version += 1;
                    let id = old.map_or_else(
                        || {
                            self.next_id += 1;
                            SceneId(self.next_id - 1)
                        },
                        |old| old.id,
                    );
                    Arc::new(Scene { id, version: self.version, ..wanted })
                }
            };
            scenes.push((scene, viewers));
        }
        let changed = scenes != self.scenes;
        self.scenes = scenes;
        changed
    }
}

impl Conference {
    /// Makes the scenes anew; true when they differ from before.
    pub(crate) fn restage(&mut self, now: Instant) -> bool {
        self.talking = self.floor.voice.current();
        let scoped: Set<ParticipantId> =
            self.scopes.iter().flat_map(|scope| scope.viewers.iter().copied()).collect();
        let mut everybody = self.seated.clone();
        if !scoped.is_empty() || !self.apart.is_empty() {
            everybody.retain(|who| !scoped.contains(who) && !self.apart.contains(who));
        }
        let (programme, upward, seized) = self.programme_viewers(&mut everybody, &scoped);
        let joined = self.not_hidden(&self.seated);
        let gallery = self.not_hidden(&self.floor.gallery);
        let history = self.not_hidden(&self.floor.history);
        let floor = seating::Floor {
            joined: &joined,
            gallery: &gallery,
            history: &history,
            named: self.floor.named,
            talking: self.talking,
            chair: self.chair,
        };
        let mut groups: Vec<Group> = Vec::new();
        let base = self.group(&mut groups, &self.base, everybody, &floor);
        let mut pages = vec![base];
        if let Some((from, viewers)) = programme {
            let choice = Choice { pins: vec![(0, from)], ..Choice::new(Kind::Full.into(), Names::Off) };
            self.group(&mut groups, &choice, viewers, &floor);
        }
        if !upward.is_empty() {
            let choice = Choice::new(Kind::Full.into(), Names::Off);
            self.group(&mut groups, &choice, upward, &floor);
        }
        for scope in &self.scopes {
            // In order of joining, as everywhere.
            let sees = |who: &ParticipantId| scope.viewers.contains(who) && !seized.contains(who);
            let viewers = self.seated.iter().copied().filter(sees).collect();
            pages.push(self.group(&mut groups, &scope.choice, viewers, &floor));
        }
        for (choice, pages) in self.choices_mut().zip(pages) {
            for (at, page) in pages {
                if let Some(ring) = choice.rings.get_mut(at) {
                    ring.staged(now, page);
                }
            }
        }
        self.stage.update(groups)
    }

    /// Takes those out of `everybody` who do not see the layout of the conference: those who see the programme of a master, with who sends it,
    /// and the calls to a master, which see whoever has the floor here and never what they sent themselves. Also: who of the programme's viewers
    /// had a layout of his own.
    #[expect(clippy::type_complexity, reason = "three lists that are used at once")]
    fn programme_viewers(
        &self,
        everybody: &mut Vec<ParticipantId>,
        scoped: &Set<ParticipantId>,
    ) -> (Option<(ParticipantId, Vec<ParticipantId>)>, Vec<ParticipantId>, Set<ParticipantId>) {
        let is_link = |who: &ParticipantId| self.find(*who).is_some_and(|site| site.link.is_some());
        let is_upward = |who: &ParticipantId| {
            self.find(*who).and_then(|site| site.link.as_ref()).is_some_and(|link| link.up)
        };
        let (upward, rest) = std::mem::take(everybody).into_iter().partition(is_upward);
        *everybody = rest;
        let there = |programme: &super::Programme| {
            self.find(programme.from).is_some_and(|site| site.state == State::Connected && site.sends_video)
        };
        let Some(programme) = self.programme.filter(there) else { return (None, upward, Set::default()) };
        let mut viewers = std::mem::take(everybody);
        let seized: Set<ParticipantId> = if programme.seized {
            self.seated.iter().copied().filter(|who| scoped.contains(who) && !is_link(who)).collect()
        } else {
            Set::default()
        };
        viewers.extend(self.seated.iter().copied().filter(|who| seized.contains(who)));
        (Some((programme.from, viewers)), upward, seized)
    }

    /// In a lecture somebody else of the audience has the word: the lecturer must see him.
    pub(super) fn asked_from_audience(&self) -> bool {
        let is_lecture = |choice: &Choice| choice.layout.kind == Kind::Lecture;
        self.talking != self.floor.voice.current()
            && (is_lecture(&self.base) || self.scopes.iter().any(|scope| is_lecture(&scope.choice)))
    }

    /// The layout of everybody, then those of some.
    pub(super) fn choices_mut(&mut self) -> impl Iterator<Item = &mut Choice> {
        std::iter::once(&mut self.base).chain(self.scopes.iter_mut().map(|scope| &mut scope.choice))
    }

    /// Those whose picture may be shown of its own accord; as a rule all of them.
    pub(super) fn not_hidden<'a>(&self, list: &'a [ParticipantId]) -> Cow<'a, [ParticipantId]> {
        if self.hidden.is_empty() && self.apart.is_empty() {
            return Cow::Borrowed(list);
        }
        // What a slot shows is seen where it is laid out, or when the operator makes it the speaker.
        let apart = |who: &ParticipantId| self.apart.contains(who) && self.floor.named != Some(*who);
        list.iter().copied().filter(|who| !self.hidden.contains(who) && !apart(who)).collect()
    }

    fn group(
        &self,
        groups: &mut Vec<Group>,
        choice: &Choice,
        mut viewers: Vec<ParticipantId>,
        floor: &seating::Floor<'_>,
    ) -> Vec<(usize, Page)> {
        let Seats { general, own, pages } = seating::seats(choice, floor);
        let own = own.and_then(|(who, seats)| {
            let at = viewers.iter().position(|viewer| *viewer == who)?;
            viewers.remove(at);
            Some((who, seats))
        });
        let (common, special) = match choice.layout.kind {
            // The lecturer alone has nobody to look at.
            Kind::Lecture => {
                let alone = own.as_ref().is_some_and(|(_, seats)| *seats == [None]);
                (Kind::Full.into(), Layout::from(if alone { Kind::Full } else { Kind::Grid }))
            }
            _ => (choice.layout.clone(), choice.layout.clone()),
        };
        let prepare = prepared(choice);
        let prepare_special = if choice.layout.kind == Kind::Lecture { prepare.clone() } else { Vec::new() };
        let prepare_common = if choice.layout.kind == Kind::Lecture { Vec::new() } else { prepare };
        if !viewers.is_empty() {
            self.stage_group(groups, choice, common, &general, prepare_common, viewers);
        }
        if let Some((who, seats)) = own {
            self.stage_group(groups, choice, special, &seats, prepare_special, vec![who]);
        }
        pages
    }

    /// Adds what those viewers see: once for those who see the message, once for the others.
    fn stage_group(
        &self,
        groups: &mut Vec<Group>,
        choice: &Choice,
        layout: Layout,
        seats: &[Option<ParticipantId>],
        prepare: Vec<ParticipantId>,
        viewers: Vec<ParticipantId>,
    ) {
        let tiles = self.tiles(choice, &layout, seats);
        let scene = |message: Option<Arc<Message>>| Scene {
            id: SceneId(0),
            version: 0,
            kind: layout.kind,
            custom: layout.custom.clone(),
            tiles: tiles.clone(),
            prepare: prepare.clone(),
            ornaments: Ornaments {
                logo: self.settings.logo && self.equipment.logo,
                clock: self.settings.clock.clone(),
                message,
            },
        };
        let carries = |who: &ParticipantId| {
            self.find(*who).and_then(|site| site.link.as_ref()).is_some_and(|l| l.up || l.slot.is_some())
        };
        let (links, viewers): (Vec<_>, Vec<_>) = viewers.into_iter().partition(carries);
        add(groups, Scene { ornaments: Ornaments::default(), ..scene(None) }, links);
        let Some(message) = &self.message else { return add(groups, scene(None), viewers) };
        let reads =
            |who: &ParticipantId| message.viewers.as_ref().is_none_or(|viewers| viewers.contains(who));
        let (readers, others): (Vec<_>, Vec<_>) = viewers.into_iter().partition(reads);
        add(groups, scene(Some(message.clone())), readers);
        add(groups, scene(None), others);
    }

    fn tiles(&self, choice: &Choice, layout: &Layout, seats: &[Option<ParticipantId>]) -> Vec<Tile> {
        let many = seats.len() > 1;
        let named = match choice.names {
            Names::Auto => many,
            Names::On => true,
            Names::Off => false,
        };
        let speaker = self.floor.speaker();
        let waiting = !many && self.seated.len() == 1;
        let fit = choice.fit.unwrap_or(self.settings.fit);
        let own_fit = |seat: usize| layout.custom.as_ref().and_then(|c| c.pieces().get(seat)?.fit);
        let tile = |(at, who): (usize, &Option<ParticipantId>)| {
            let seat = u16::try_from(at).unwrap_or(u16::MAX);
            let fit = own_fit(at).unwrap_or(fit);
            let Some(site) = who.and_then(|who| self.find(who)) else {
                let card = if waiting { Card::Waiting } else { Card::Empty };
                return Tile { seat, participant: None, name: None, site: None, border: false, card, fit };
            };
            let card = match site {
                site if site.rights.video_hidden => Card::Hidden,
                site if site.state == State::Reconnecting => Card::Reconnecting,
                site if site.sends_video => Card::Picture,
                _ => Card::SoundOnly,
            };
            Tile {
                seat,
                participant: Some(site.id),
                name: named.then(|| site.name.clone()),
                site: Some(site.name.clone()),
                border: many && speaker == Some(site.id),
                card,
                fit,
            }
        };
        seats.iter().enumerate().map(tile).collect()
    }
}

/// Those whose turn comes in a moment.
fn prepared(choice: &Choice) -> Vec<ParticipantId> {
    let turns = choice.rings.iter().map(|ring| &ring.turn).filter(|turn| turn.preparing);
    let mut all: Vec<ParticipantId> = turns.flat_map(|turn| turn.next.1.iter().copied()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Adds a group, or its viewers to one that sees the same.
fn add(groups: &mut Vec<Group>, scene: Scene, viewers: Vec<ParticipantId>) {
    if viewers.is_empty() {
        return;
    }
    match groups.iter_mut().find(|other| other.scene.same_content(&scene)) {
        Some(same) => same.viewers.extend(viewers),
        None => groups.push(Group { scene, viewers }),
    }
}
