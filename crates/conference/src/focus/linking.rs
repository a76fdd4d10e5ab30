//! The calls that join a conference with those of other MCUs: one that carries the programme down and everybody's mix up, and one for each
//! slot, in which one site at a time goes up (docs/cascade.md, docs/decisions/0003-slots.md).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use cau_mixer::Command as Mix;
use cau_mixer::command::Ear;
use cau_model::command::{Join, Patch, SetLayout, Who};
use cau_model::layout::Kind;
use cau_model::participant::{self, Direction, State};
use cau_model::settings::Names;
use cau_model::{Command, ConferenceId, ParticipantId, Refusal, Words, name};
use cau_sip::sdp::Capabilities;
use cau_sip::{LINK_TOKEN, Uri};

use super::Focus;
use super::sites::{Line, Site};
use crate::notice::Body;
use crate::request::{InSlot, LinkOrder, Upward};

/// How long a token is good.
const TOKEN_LIFE: Duration = Duration::from_secs(30);
/// Tokens that wait for their calls.
const MOST_TOKENS: usize = 1_024;
/// Slots of one link at most.
const MOST_SLOTS: u8 = 8;

/// Which link: its conference, the other MCU's path, whether that is the master.
type Name = (ConferenceId, String, bool);

/// The part one call plays in a link.
#[derive(Debug, Clone)]
pub(super) struct Part {
    link: Name,
    slot: Option<u8>,
    /// As shown.
    pub name: String,
    token: String,
}

/// A token whose calls have not all come.
#[derive(Debug)]
struct Token {
    conference: ConferenceId,
    path: String,
    name: String,
    slots: u8,
    until: Instant,
    /// Which parts have come.
    used: BTreeSet<Option<u8>>,
}

#[derive(Debug, Clone)]
struct Route {
    from: Upward,
    csrc: u32,
    sound: bool,
}

#[derive(Debug, Default)]
struct Link {
    token: String,
    slots: u8,
    follow: bool,
    /// Those that are in the conference, or on their way into it.
    parts: BTreeMap<Option<u8>, ParticipantId>,
    joined: BTreeSet<Option<u8>>,
    told_up: bool,
    /// What goes up.
    routes: BTreeMap<u8, Route>,
}

/// All links.
#[derive(Debug, Default)]
pub(super) struct Links {
    parts: BTreeMap<ParticipantId, Part>,
    links: BTreeMap<Name, Link>,
    tokens: BTreeMap<String, Token>,
    /// What may come in the slots of slaves, whether their calls are there or not.
    admitted: BTreeMap<(ConferenceId, String, u8), u32>,
    /// Whom the cascade has shown something.
    screens: BTreeSet<(ConferenceId, ParticipantId)>,
    /// Conferences whose floor the master has.
    seized: BTreeSet<ConferenceId>,
}

impl Links {
    pub(super) fn part(&self, id: ParticipantId) -> Option<&Part> {
        self.parts.get(&id)
    }

    /// A call to a master.
    pub(super) fn is_upward(&self, id: ParticipantId) -> bool {
        self.part(id).is_some_and(|part| part.link.2)
    }

    /// A slot to a master: nothing comes in it.
    pub(super) fn only_sends(&self, id: ParticipantId) -> bool {
        self.part(id).is_some_and(|part| part.link.2 && part.slot.is_some())
    }

    /// What our INVITE shows.
    pub(super) fn header(&self, id: ParticipantId) -> Option<(String, String)> {
        let part = self.part(id).filter(|part| part.link.2)?;
        let slot = part.slot.map(|slot| format!(";slot={slot}")).unwrap_or_default();
        Some((LINK_TOKEN.to_owned(), format!("{}{slot}", part.token)))
    }

    /// As the model shows it.
    pub(super) fn shown(&self, id: ParticipantId) -> Option<participant::Link> {
        let Part { link: (_, path, up), slot, .. } = self.part(id)?;
        Some(participant::Link { path: path.clone(), slot: *slot, up: *up })
    }

    /// Those saw something else because the cascade wanted it.
    pub(super) fn note_screens(
        &mut self,
        conference: ConferenceId,
        viewers: impl Iterator<Item = ParticipantId>,
    ) {
        self.screens.extend(viewers.map(|viewer| (conference, viewer)));
    }

    /// The call of a slot of a slave.
    fn in_slot(&self, conference: ConferenceId, path: &str, slot: u8) -> Option<ParticipantId> {
        let link = self.links.get(&(conference, path.to_owned(), false))?;
        link.parts.get(&Some(slot)).copied().filter(|_| link.joined.contains(&Some(slot)))
    }

    fn above(&mut self, conference: ConferenceId) -> Option<&mut Link> {
        self.links.iter_mut().find(|((c, _, up), _)| *c == conference && *up).map(|(_, link)| link)
    }
}

impl Focus {
    /// What is offered and answered in the call of this participant.
    pub(super) fn capabilities(&self, id: ParticipantId) -> &Capabilities {
        if self.links.only_sends(id) { &self.one_way } else { &self.config.capabilities }
    }

    /// Does what the cascade wants.
    pub(super) fn link(&mut self, now: Instant, conference: ConferenceId, order: LinkOrder) {
        if !self.rooms.contains_key(&conference) {
            return;
        }
        match order {
            LinkOrder::Expect { path, name, token, slots } => {
                self.links.tokens.retain(|_, token| token.until > now);
                if self.links.tokens.len() < MOST_TOKENS {
                    let (until, used) = (now + TOKEN_LIFE, BTreeSet::new());
                    let slots = slots.min(MOST_SLOTS);
                    self.links.tokens.insert(token, Token { conference, path, name, slots, until, used });
                }
            }
            LinkOrder::Call { path, name, uri, token, slots, follow } => {
                let slots = slots.min(MOST_SLOTS);
                self.call_master(
                    now,
                    (conference, path, true),
                    &name,
                    &uri,
                    Link { token, slots, follow, ..Link::default() },
                );
            }
            LinkOrder::Route { slot, from, csrc, sound } => {
                let Some(link) = self.links.above(conference) else { return };
                link.routes.insert(slot, Route { from, csrc, sound });
                self.route(now, conference, slot);
            }
            LinkOrder::Unroute(slot) => {
                let Some(link) = self.links.above(conference) else { return };
                link.routes.remove(&slot);
                if let Some(leg) = link.parts.get(&Some(slot)).copied() {
                    self.internal(now, conference, Command::ClearLayout(vec![leg]));
                }
                self.tell_ears(conference);
            }
            LinkOrder::Admit { path, slot, csrc } => {
                let of = (conference, path, false);
                let link = self.links.links.get(&of);
                let leg = link.and_then(|link| link.parts.get(&Some(slot)).copied());
                let held = (conference, of.1, slot);
                match csrc {
                    Some(csrc) => self.links.admitted.insert(held, csrc),
                    None => self.links.admitted.remove(&held),
                };
                if let Some(participant) = leg {
                    self.media.command(conference, Mix::Expect { participant, csrc });
                }
            }
            LinkOrder::Abandon { tag, superseded } => self.abandon(now, tag, superseded),
            LinkOrder::Release(viewers) => self.release_screens(now, conference, viewers),
            LinkOrder::Seize(seize) => {
                if seize {
                    self.links.seized.insert(conference);
                } else {
                    self.links.seized.remove(&conference);
                }
                self.follow(now, conference);
            }
        }
        self.pump(now);
    }

    /// Whose call this is that shows a token.
    ///
    /// # Errors
    /// Why it is not let in.
    pub(super) fn redeem(
        &mut self,
        now: Instant,
        conference: ConferenceId,
        shown: &str,
    ) -> Result<Part, Words> {
        let (text, slot) = match shown.split_once(";slot=") {
            Some((text, slot)) => (text, slot.parse::<u8>().ok().map(Some)),
            None => (shown, Some(None)),
        };
        let wrong = || {
            Words::new(
                "mã của đường nối giữa các MCU không đúng, đã dùng hoặc quá hạn",
                "the token of the link between MCUs is wrong, used or expired",
            )
        };
        let token = self.links.tokens.get_mut(text).filter(|t| t.until > now && t.conference == conference);
        let (token, slot) = token.zip(slot).ok_or_else(wrong)?;
        let fits = slot.is_none_or(|slot| slot < token.slots);
        if !fits || !token.used.insert(slot) {
            return Err(wrong());
        }
        let name = match slot {
            None => token.name.clone(),
            Some(slot) => format!("{} · {}", token.name, slot + 1),
        };
        Ok(Part { link: (conference, token.path.clone(), false), slot, name, token: text.to_owned() })
    }

    /// A call of a slave was let in. Calls of an earlier token are of no use any more.
    pub(super) fn begin_link(&mut self, now: Instant, participant: ParticipantId, part: Part) {
        let slots = self.links.tokens.get(&part.token).map_or(0, |token| token.slots);
        if self.links.links.get(&part.link).is_some_and(|link| link.token != part.token) {
            self.end_link(now, &part.link);
            self.tell_link(&part.link, false);
        }
        let link = self.links.links.entry(part.link.clone()).or_insert_with(|| Link {
            token: part.token.clone(),
            slots,
            ..Link::default()
        });
        link.parts.insert(part.slot, participant);
        self.links.parts.insert(participant, part);
    }

    fn call_master(&mut self, now: Instant, of: Name, name: &str, uri: &str, link: Link) {
        let conference = of.0;
        let old: Vec<Name> =
            self.links.links.keys().filter(|(c, _, up)| *c == conference && *up).cloned().collect();
        for old in old {
            // It is made anew: nobody waits to hear that it was ended.
            self.end_link(now, &old);
        }
        let Ok(target) = Uri::parse(uri.as_bytes()) else {
            tracing::error!("the SIP address of the master cannot be read: {uri}");
            return self.tell_link(&of, false);
        };
        let (slots, token) = (link.slots, link.token.clone());
        self.links.links.insert(of.clone(), link);
        for slot in std::iter::once(None).chain((0..slots).map(Some)) {
            let id = self.new_participant();
            let shown = match slot {
                None => name.to_owned(),
                Some(slot) => format!("{name} · {}", slot + 1),
            };
            let part = Part { link: of.clone(), slot, name: shown.clone(), token: token.clone() };
            self.links.parts.insert(id, part);
            if let Some(link) = self.links.links.get_mut(&of) {
                link.parts.insert(slot, id);
            }
            let join = Join {
                participant: id,
                name: name::clean(&shown),
                uri: uri.to_owned(),
                direction: Direction::Out,
                state: State::Calling,
                sends_video: false,
                link: self.links.shown(id),
            };
            let mut site = Site::new(conference, shown, uri.to_owned());
            site.target = Some(target.clone());
            self.sites.all.insert(id, site);
            self.internal(now, conference, Command::Join(join));
            self.sites.set_line(id, Line::Queued);
        }
    }

    /// Hangs up everything of a link.
    fn end_link(&mut self, now: Instant, of: &Name) {
        let Some(link) = self.links.links.remove(of) else { return };
        let words = Words::new("đường nối giữa các MCU được lập lại", "the link between MCUs is made anew");
        for id in link.parts.into_values() {
            match self.call_of(id) {
                Some((call, _)) => self.hang_up(now, call, words.clone()),
                None => self.leave(now, id, words.clone()),
            }
        }
        self.follow(now, of.0);
    }

    /// A call of a link is in the conference.
    pub(super) fn link_joined(&mut self, now: Instant, id: ParticipantId) {
        let Some(Part { link: of, slot, .. }) = self.links.part(id).cloned() else { return };
        let conference = of.0;
        let Some(link) = self.links.links.get_mut(&of) else { return };
        link.joined.insert(slot);
        let whole = link.joined.len() == usize::from(link.slots) + 1;
        let held = slot.map(|slot| (conference, of.1.clone(), slot));
        let admitted = held.and_then(|held| self.links.admitted.get(&held).copied());
        // Nothing comes in a slot to the master; whoever joins muted elsewhere, a link does not.
        let audio_muted = Some(of.2 && slot.is_some());
        let patch = Patch { audio_muted, deafened: Some(slot.is_some() && !of.2), ..Patch::default() };
        self.internal(now, conference, Command::Patch { who: Who::One(id), patch });
        match slot {
            Some(_) if !of.2 => {
                self.media.command(conference, Mix::Expect { participant: id, csrc: admitted });
            }
            Some(slot) => self.route(now, conference, slot),
            None => self.follow(now, conference),
        }
        if !of.2 {
            self.route_again(now, &of);
        }
        self.tell_ears(conference);
        if let Some(link) = self.links.links.get_mut(&of).filter(|link| whole && !link.told_up) {
            link.told_up = true;
            self.tell_link(&of, true);
        }
    }

    /// A call of a link is over: the others are of no use without it.
    pub(super) fn link_left(&mut self, now: Instant, id: ParticipantId) {
        let Some(Part { link: of, .. }) = self.links.parts.remove(&id) else { return };
        self.links.screens.remove(&(of.0, id));
        let is_part = self.links.links.get(&of).is_some_and(|link| link.parts.values().any(|p| *p == id));
        if is_part {
            self.end_link(now, &of);
            if !of.2 {
                self.route_again(now, &of);
            }
            self.tell_link(&of, false);
        }
    }

    /// The slots of a slave have come or gone: what goes on from them into slots of ours is laid out anew.
    fn route_again(&mut self, now: Instant, (conference, path, _): &Name) {
        let from_there = |route: &Route| matches!(&route.from, Upward::Slot { link, .. } if link == path);
        let routes = self.links.above(*conference).map(|link| &link.routes).into_iter().flatten();
        let slots: Vec<u8> = routes.filter(|(_, route)| from_there(route)).map(|(slot, _)| *slot).collect();
        for slot in slots {
            self.route(now, *conference, slot);
        }
    }

    fn tell_link(&mut self, (conference, path, above): &Name, up: bool) {
        let body = Body::Link { path: path.clone(), above: *above, up };
        self.notices.push(Some(*conference), body);
    }

    /// Everybody sees the programme of the master, or does not.
    fn follow(&mut self, now: Instant, conference: ConferenceId) {
        let seized = self.links.seized.contains(&conference);
        let link = self.links.above(conference).filter(|link| link.follow || seized);
        let trunk = link.filter(|l| l.joined.contains(&None)).and_then(|l| l.parts.get(&None).copied());
        self.internal(now, conference, Command::Programme { participant: trunk, seized });
    }

    /// Puts what is wanted into a slot to the master.
    fn route(&mut self, now: Instant, conference: ConferenceId, slot: u8) {
        let Some(link) = self.links.above(conference) else { return };
        let leg = link.parts.get(&Some(slot)).copied().filter(|_| link.joined.contains(&Some(slot)));
        let Some((leg, Route { csrc, sound, .. })) = leg.zip(link.routes.get(&slot).cloned()) else { return };
        let Some(site) = self.source(conference, slot) else {
            // Nobody else's picture goes up in its place.
            return self.internal(now, conference, Command::ClearLayout(vec![leg]));
        };
        if self.links.part(site).is_none() {
            self.media.command(conference, Mix::Name { participant: site, csrc: Some(csrc) });
            if sound {
                let patch = Patch { audio_muted: Some(false), deafened: Some(false), ..Patch::default() };
                self.internal(now, conference, Command::Patch { who: Who::One(site), patch });
            }
        }
        self.media.command(conference, Mix::Await { participant: leg, site, csrc });
        let layout = SetLayout {
            seats: vec![(0, site)],
            viewers: Some(vec![leg]),
            names: Some(Names::Off),
            ..SetLayout::new(Kind::Full)
        };
        self.internal(now, conference, Command::SetLayout(layout));
        self.tell_ears(conference);
    }

    /// Who goes up in a slot, when it is there.
    fn source(&mut self, conference: ConferenceId, slot: u8) -> Option<ParticipantId> {
        match self.links.above(conference)?.routes.get(&slot)?.from.clone() {
            Upward::Site(id) => {
                Some(id).filter(|id| self.state_of(conference, *id).is_some_and(State::present))
            }
            Upward::Slot { link, slot } => self.links.in_slot(conference, &link, slot),
        }
    }

    /// Who hears whom over links: nobody what comes back to him another way. What goes up in a slot does not go up with everybody
    /// else's sound; and what a slave sends in any of its calls comes back in none.
    fn tell_ears(&mut self, conference: ConferenceId) {
        let slots: Vec<u8> = self
            .links
            .above(conference)
            .map(|link| link.routes.keys().copied().collect())
            .unwrap_or_default();
        let sources: BTreeMap<u8, ParticipantId> =
            slots.into_iter().filter_map(|slot| Some((slot, self.source(conference, slot)?))).collect();
        let mut ears = Vec::new();
        for ((_, _, up), link) in self.links.links.iter().filter(|((c, ..), _)| *c == conference) {
            let with_sound = |slot: &u8| link.routes.get(slot).is_some_and(|route| route.sound);
            let mut without: Vec<ParticipantId> =
                link.parts.iter().filter(|(slot, _)| slot.is_some()).map(|(_, id)| *id).collect();
            if *up {
                without.extend(sources.iter().filter(|(slot, _)| with_sound(slot)).map(|(_, id)| *id));
            }
            for (slot, id) in &link.parts {
                match slot {
                    None => ears.push((*id, Ear::Without(without.clone()))),
                    Some(slot) if *up => {
                        let source = sources.get(slot).copied().filter(|_| with_sound(slot));
                        ears.push((*id, Ear::Only(source.into_iter().collect())));
                    }
                    Some(_) => {}
                }
            }
        }
        for (participant, ear) in ears {
            self.media.command(conference, Mix::Ear { participant, ear });
        }
    }

    /// A key frame that was waited for has gone up.
    pub(super) fn link_passed(&mut self, leg: ParticipantId, csrc: u32) {
        let Some(Part { link: (conference, ..), slot: Some(slot), .. }) = self.links.part(leg) else {
            return;
        };
        self.notices.push(Some(*conference), Body::Passed { slot: *slot, csrc });
    }

    /// The call a slot of a slave comes in.
    ///
    /// # Errors
    /// It does not stand.
    pub(super) fn slot_meant(
        &self,
        conference: ConferenceId,
        wanted: &InSlot,
    ) -> Result<ParticipantId, Refusal> {
        self.links.in_slot(conference, &wanted.link, wanted.slot).ok_or_else(|| {
            let link = &wanted.link;
            Refusal::Conflict(Words::new(
                format!("chưa có đường hình và tiếng với {link}"),
                format!("there is no media call with {link}"),
            ))
        })
    }

    /// Those see their layout again who see something else because of the cascade.
    fn release_screens(
        &mut self,
        now: Instant,
        conference: ConferenceId,
        viewers: Option<Vec<ParticipantId>>,
    ) {
        let wanted = |id: ParticipantId| viewers.as_ref().is_none_or(|viewers| viewers.contains(&id));
        let shown: Vec<ParticipantId> = self
            .links
            .screens
            .iter()
            .filter(|(c, id)| *c == conference && wanted(*id))
            .map(|(_, id)| *id)
            .collect();
        for id in &shown {
            self.links.screens.remove(&(conference, *id));
        }
        if !shown.is_empty() {
            self.internal(now, conference, Command::ClearLayout(shown));
        }
        let Some(room) = self.rooms.get(&conference).map(|room| room.conference.snapshot()) else { return };
        let is_slot = |id: ParticipantId| self.links.part(id).is_some_and(|part| part.slot.is_some());
        if viewers.is_none() && room.speaker_named && room.speaker.is_some_and(is_slot) {
            self.internal(now, conference, Command::SetSpeaker(None));
        }
    }
}
