//! From seats to scenes: one per group of viewers who see the same, with ids that outlive changes of what is shown.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::Conference;
use super::seating::{self, Choice, Seats};
use crate::id::{Map, ParticipantId, Set};
use crate::layout::Kind;
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

/// What one group is to see, before it has an id.
struct Group {
    kind: Kind,
    tiles: Vec<Tile>,
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
                let same = self.scenes.get(old).is_some_and(|(scene, _)| scene.tiles == group.tiles);
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
        for (new, Group { kind, tiles, viewers }) in groups.into_iter().enumerate() {
            let old = kept.get(&new).and_then(|old| self.scenes.get(*old)).map(|(scene, _)| scene.clone());
            let scene = match old {
                Some(old) if old.kind == kind && old.tiles == tiles => old,
                old => {
                    self.version += 1;
                    let id = old.map_or_else(
                        || {
                            self.next_id += 1;
                            SceneId(self.next_id - 1)
                        },
                        |old| old.id,
                    );
                    Arc::new(Scene { id, version: self.version, kind, tiles })
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
    pub(crate) fn restage(&mut self) -> bool {
        let scoped: Set<ParticipantId> =
            self.scopes.iter().flat_map(|scope| scope.viewers.iter().copied()).collect();
        let mut everybody = self.seated.clone();
        if !scoped.is_empty() {
            everybody.retain(|who| !scoped.contains(who));
        }
        let joined = self.not_hidden(&self.seated);
        let gallery = self.not_hidden(&self.floor.gallery);
        let history = self.not_hidden(&self.floor.history);
        let floor =
            seating::Floor { joined: &joined, gallery: &gallery, history: &history, named: self.floor.named };
        let mut groups: Vec<Group> = Vec::new();
        self.group(&mut groups, &self.base, everybody, &floor);
        for scope in &self.scopes {
            // In order of joining, as everywhere.
            let viewers = self.seated.iter().copied().filter(|who| scope.viewers.contains(who)).collect();
            self.group(&mut groups, &scope.choice, viewers, &floor);
        }
        self.stage.update(groups)
    }

    /// Those whose picture may be shown; as a rule all of them.
    fn not_hidden<'a>(&self, list: &'a [ParticipantId]) -> Cow<'a, [ParticipantId]> {
        if self.hidden.is_empty() {
            return Cow::Borrowed(list);
        }
        list.iter().copied().filter(|who| !self.hidden.contains(who)).collect()
    }

    fn group(
        &self,
        groups: &mut Vec<Group>,
        choice: &Choice,
        mut viewers: Vec<ParticipantId>,
        floor: &seating::Floor<'_>,
    ) {
        let Seats { general, own } = seating::seats(choice, floor);
        let own = own.and_then(|(who, seats)| {
            let at = viewers.iter().position(|viewer| *viewer == who)?;
            viewers.remove(at);
            Some((who, seats))
        });
        if !viewers.is_empty() {
            add(groups, Group { kind: choice.kind, tiles: self.tiles(choice, &general), viewers });
        }
        if let Some((who, seats)) = own {
            add(groups, Group { kind: choice.kind, tiles: self.tiles(choice, &seats), viewers: vec![who] });
        }
    }

    fn tiles(&self, choice: &Choice, seats: &[Option<ParticipantId>]) -> Vec<Tile> {
        let many = seats.len() > 1;
        let named = match choice.names {
            Names::Auto => many,
            Names::On => true,
            Names::Off => false,
        };
        let speaker = self.floor.speaker();
        let waiting = !many && self.seated.len() == 1;
        let tile = |(seat, who): (usize, &Option<ParticipantId>)| {
            let seat = u16::try_from(seat).unwrap_or(u16::MAX);
            let Some(site) = who.and_then(|who| self.find(who)) else {
                let card = if waiting { Card::Waiting } else { Card::Empty };
                return Tile { seat, participant: None, name: None, site: None, border: false, card };
            };
            let card = match site {
                site if site.rights.video_hidden => Card::Hidden,
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
            }
        };
        seats.iter().enumerate().map(tile).collect()
    }
}

/// Adds a group, or its viewers to one that sees the same.
fn add(groups: &mut Vec<Group>, group: Group) {
    match groups.iter_mut().find(|other| other.kind == group.kind && other.tiles == group.tiles) {
        Some(same) => same.viewers.extend(group.viewers),
        None => groups.push(group),
    }
}
