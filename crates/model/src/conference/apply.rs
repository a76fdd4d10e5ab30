//! Carrying out commands.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Instant;

use super::cycle::Ring;
use super::scenes::Scope;
use super::seating::Choice;
use super::{Conference, LEFT_FOR, LEFT_MAX, Programme};
use crate::command::{Command, Event, Join, Patch, SetLayout, Who, no_participant};
use crate::id::{ParticipantId, Set};
use crate::layout::{self, Equipment, Kind, Layout};
use crate::name;
use crate::participant::{Participant, Rights, State};
use crate::refusal::{Refusal, Words};
use crate::scene::Card;
use crate::settings::Settings;
use crate::snapshot;
use crate::voice::{self, Level};

type Done = Result<(), Refusal>;

impl Conference {
    /// Carries out a command, as a whole or not at all. The events come in no particular order and say what to look
    /// at, not how it was before.
    pub fn apply(&mut self, now: Instant, command: Command) -> Result<Vec<Event>, Refusal> {
        let mut events = Vec::new();
        let speaker = self.floor.speaker();
        match command {
            Command::Join(join) => self.join(join, &mut events)?,
            Command::State(who, state) => self.state(who, state, &mut events)?,
            Command::Recall(who) => self.recall(who, &mut events)?,
            Command::Reason(who, reason) => {
                let site = self.find_mut(who).ok_or_else(|| no_participant(who))?;
                if site.state == State::Left {
                    return Err(gone(who));
                }
                if site.reason != reason {
                    site.reason = reason;
                    events.push(Event::Participant(who));
                }
            }
            Command::Programme { participant, seized } => {
                if let Some(who) = participant {
                    self.find(who).ok_or_else(|| no_participant(who))?;
                }
                self.programme = participant.map(|from| Programme { from, seized });
                events.push(Event::Conference);
            }
            Command::Direction(who, direction) => {
                let site = self.find_mut(who).ok_or_else(|| no_participant(who))?;
                if site.direction != direction {
                    site.direction = direction;
                    events.push(Event::Participant(who));
                }
            }
            Command::Leave { participant, reason } => self.leave(now, participant, reason, &mut events)?,
            Command::Media { participant, audio_codec, video_codec, sends_video } => {
                let site = self.find_mut(participant).ok_or_else(|| no_participant(participant))?;
                let (audio, video) = (site.audio.codec.clone(), site.video.codec.clone());
                if (&audio, &video, site.sends_video) != (&audio_codec, &video_codec, sends_video) {
                    site.audio.codec = audio_codec;
                    site.video.codec = video_codec;
                    site.sends_video = sends_video;
                    events.push(Event::Participant(participant));
                }
            }
            Command::SetLayout(layout) => self.set_layout(layout, &mut events)?,
            Command::ClearLayout(viewers) => {
                for scope in &mut self.scopes {
                    scope.viewers.retain(|viewer| !viewers.contains(viewer));
                }
                self.scopes.retain(|scope| !scope.viewers.is_empty());
                events.push(Event::Conference);
            }
            Command::SetSpeaker(who) => self.set_speaker(now, who, &mut events)?,
            Command::Patch { who, patch } => self.patch(now, who, &patch, &mut events)?,
            Command::Voice(levels) => {
                self.hear(now, &levels, &mut events);
                self.listen(now, &mut events);
            }
            Command::Measured { participant, picture, quality, send } => {
                let site = self.find_mut(participant).ok_or_else(|| no_participant(participant))?;
                let (width, height, fps) = picture.unwrap_or_default();
                let video = snapshot::Video { width, height, fps, ..site.video.clone() };
                if (&site.video, site.quality, site.send) != (&video, quality, send) {
                    (site.video, site.quality, site.send) = (video, quality, send);
                    events.push(Event::Level(participant));
                }
            }
            Command::Settings(settings) => self.set_settings(settings, &mut events)?,
            Command::SetMessage(message) => self.set_message(message, &mut events)?,
            Command::Equipment(equipment) => self.take_equipment(equipment, &mut events),
            Command::Trouble { participant, trouble } => {
                self.trouble(now, participant, trouble, &mut events)?;
            }
            Command::TroubleOver { participant, kind } => {
                self.trouble_over(participant, kind, &mut events)?;
            }
        }
        if self.floor.speaker() != speaker {
            events.push(Event::Speaker(self.floor.speaker()));
            events.push(Event::Conference);
        }
        Ok(self.settle(now, events, false))
    }

    /// After every change: scenes, who is visible, no event twice. `turned`: seats have turned.
    pub(super) fn settle(&mut self, now: Instant, mut events: Vec<Event>, turned: bool) -> Vec<Event> {
        // Levels come many times a second and change nothing that is shown.
        let changed = turned
            || events.iter().any(|event| !matches!(event, Event::Level(_)))
            || self.asked_from_audience();
        if changed && self.restage(now) {
            events.push(Event::Scenes);
            self.see(&mut events);
        }
        let mut seen = HashSet::new();
        events.retain(|event| seen.insert(*event));
        events
    }

    /// Notes whose picture somebody sees.
    fn see(&mut self, events: &mut Vec<Event>) {
        let mut visible = Set::default();
        for (scene, viewers) in &self.stage.scenes {
            for tile in scene.tiles.iter().filter(|tile| tile.card == Card::Picture) {
                // Who sees only himself is seen by nobody.
                visible.extend(tile.participant.filter(|who| viewers.iter().any(|viewer| viewer != who)));
            }
        }
        let before = std::mem::replace(&mut self.visible, visible);
        let changed: Vec<ParticipantId> = self.visible.symmetric_difference(&before).copied().collect();
        for id in changed {
            let seen = self.visible.contains(&id);
            if let Some(site) = self.find_mut(id) {
                site.video.visible = seen;
                events.push(Event::Participant(id));
            }
        }
    }

    fn join(&mut self, join: Join, events: &mut Vec<Event>) -> Done {
        let id = join.participant;
        if join.state == State::Left {
            return Err(gone(id));
        }
        if self.find(id).is_some() {
            return Err(Refusal::Conflict(Words::new(
                format!("điểm cầu {id} đã có trong phiên họp"),
                format!("participant {id} is in the conference already"),
            )));
        }
        let mut name = name::clean(&join.name);
        if name.is_empty() {
            name = user_part(&join.uri);
        }
        let name = self.distinct(&name);
        self.names.insert(name.clone());
        if join.link.as_ref().is_some_and(|link| link.slot.is_some()) {
            self.apart.insert(id);
        }
        let site = Participant {
            id,
            key: name::slug(&name),
            name,
            uri: join.uri,
            state: State::Calling,
            reason: None,
            direction: join.direction,
            rights: Rights::default(),
            sends_video: join.sends_video,
            audio: snapshot::Audio::default(),
            troubles: Vec::new(),
            video: snapshot::Video::default(),
            quality: snapshot::Quality::default(),
            send: snapshot::Send::default(),
            link: join.link,
            left_at: None,
        };
        self.index.insert(id, self.participants.len());
        self.participants.push(site);
        let muted = self.settings.join_muted && !self.is_wanted_chair(id);
        if let Some(site) = self.find_mut(id) {
            site.rights.audio_muted = muted;
        }
        events.push(Event::Participant(id));
        self.state(id, join.state, events)
    }

    fn state(&mut self, id: ParticipantId, state: State, events: &mut Vec<Event>) -> Done {
        let site = self.find_mut(id).ok_or_else(|| no_participant(id))?;
        if site.state == State::Left || state == State::Left {
            return Err(gone(id));
        }
        if site.state != state {
            site.state = state;
            if state == State::Connected {
                site.reason = None;
            }
            events.push(Event::Participant(id));
            if state != State::Connected {
                site.audio.level_dbov = voice::SILENCE_DBOV;
                site.audio.speaking = false;
                self.forget_troubles(id, events);
            }
        }
        if state.present() && !self.seated.contains(&id) {
            self.seated.push(id);
            self.floor.join(id);
            if self.chair.is_none() && self.is_wanted_chair(id) {
                self.chair = Some(id);
            }
            events.extend([Event::Sound(id), Event::Conference]);
        }
        Ok(())
    }

    /// Back into the list under the old name, or one with a number behind it when somebody has taken that meanwhile.
    fn recall(&mut self, id: ParticipantId, events: &mut Vec<Event>) -> Done {
        let site = self.find(id).ok_or_else(|| no_participant(id))?;
        if site.state != State::Left {
            return Err(Refusal::Conflict(Words::new(
                format!("{} không rời phiên họp", site.name),
                format!("{} has not left the conference", site.name),
            )));
        }
        let name = self.distinct(&site.name.clone());
        self.names.insert(name.clone());
        if let Some(site) = self.find_mut(id) {
            site.key = name::slug(&name);
            site.name = name;
            (site.state, site.reason, site.left_at) = (State::Calling, None, None);
            if site.rights.video_hidden {
                self.hidden.insert(id);
            }
        }
        events.push(Event::Participant(id));
        Ok(())
    }

    fn leave(&mut self, now: Instant, id: ParticipantId, reason: Words, events: &mut Vec<Event>) -> Done {
        let site = self.find_mut(id).ok_or_else(|| no_participant(id))?;
        if site.state == State::Left {
            return Err(gone(id));
        }
        site.state = State::Left;
        site.reason = Some(reason);
        site.left_at = Some(now);
        site.audio.level_dbov = voice::SILENCE_DBOV;
        site.audio.speaking = false;
        site.troubles.clear();
        let name = site.name.clone();
        self.names.remove(&name);
        self.hidden.remove(&id);
        self.apart.remove(&id);
        self.programme = self.programme.filter(|programme| programme.from != id);
        let visible = self.visible();
        let place = self.not_hidden(&self.seated).iter().position(|other| *other == id);
        self.seated.retain(|other| *other != id);
        self.forget_reader(id);
        self.floor.leave(id, visible);
        for choice in self.choices_mut() {
            choice.pins.retain(|(_, pinned)| *pinned != id);
            choice.rings.retain_mut(|ring| ring.leave(id, place));
            choice.adapt();
        }
        for scope in &mut self.scopes {
            scope.viewers.remove(&id);
        }
        self.scopes.retain(|scope| !scope.viewers.is_empty());
        self.forget_left(now);
        if self.chair == Some(id) {
            self.find_chair();
        }
        events.extend([Event::Participant(id), Event::Conference]);
        Ok(())
    }

    /// Takes those out of the list who left long ago, and the oldest where there are too many.
    pub(super) fn forget_left(&mut self, now: Instant) {
        let mut left: Vec<Instant> = self.participants.iter().filter_map(|site| site.left_at).collect();
        left.sort_unstable();
        let mut surplus = left.len().saturating_sub(LEFT_MAX);
        let oldest_kept = left.get(surplus).copied();
        let before = self.participants.len();
        self.participants.retain(|site| {
            let Some(at) = site.left_at else { return true };
            if surplus > 0 && oldest_kept.is_none_or(|kept| at <= kept) {
                surplus -= 1;
                return false;
            }
            now.saturating_duration_since(at) < LEFT_FOR
        });
        if self.participants.len() != before {
            self.index = self.participants.iter().enumerate().map(|(at, site)| (site.id, at)).collect();
        }
    }

    fn set_layout(&mut self, layout: SetLayout, events: &mut Vec<Event>) -> Done {
        let form = self.form(layout.kind)?;
        let pins = self.checked_pins(&layout, &form)?;
        let rings = self.checked_rings(&layout, &form, &pins)?;
        let names = layout.names.unwrap_or(self.settings.names);
        let mut choice = Choice { layout: form, pins, rings, names, fit: layout.fit };
        choice.adapt();
        match layout.viewers {
            None => {
                self.settings.layout = layout.kind;
                self.settings.names = names;
                self.base = choice;
                self.scopes.clear();
            }
            Some(viewers) => {
                let viewers = self.checked_viewers(&viewers)?;
                for scope in &mut self.scopes {
                    scope.viewers.retain(|viewer| !viewers.contains(viewer));
                }
                self.scopes.retain(|scope| !scope.viewers.is_empty());
                match self.scopes.iter_mut().find(|scope| scope.choice == choice) {
                    Some(same) => same.viewers.extend(viewers),
                    None => self.scopes.push(Scope { choice, viewers }),
                }
            }
        }
        events.push(Event::Conference);
        Ok(())
    }

    /// The layout, with the file it may come from.
    fn form(&self, kind: Kind) -> Result<Layout, Refusal> {
        self.equipment.layouts.find(kind).ok_or_else(|| layout::unknown(&kind.to_string()))
    }

    fn checked_rings(
        &self,
        layout: &SetLayout,
        form: &Layout,
        pins: &[(u16, ParticipantId)],
    ) -> Result<Vec<Ring>, Refusal> {
        let mut rings: Vec<Ring> = Vec::new();
        for (index, (seat, cycle)) in layout.cycles.iter().enumerate() {
            let field = || format!("seats[{}].cycle", layout.seats.len() + index);
            if usize::from(*seat) >= form.max_seats() {
                return Err(no_seat("seats".to_owned(), form));
            }
            let taken = pins.iter().any(|(pinned, _)| pinned == seat);
            if taken || rings.iter().any(|ring| ring.seat == Some(*seat)) {
                return Err(Refusal::invalid(
                    "seats",
                    format!("ghế {seat} được đặt hai lần"),
                    format!("the seat {seat} is given twice"),
                ));
            }
            if cycle.who.is_empty() {
                return Err(Refusal::invalid(
                    format!("{}.participants", field()),
                    "ghế luân phiên cần danh sách điểm cầu",
                    "a seat that turns needs a list of participants",
                ));
            }
            self.checked_list(&cycle.who, &field())?;
            rings.push(Ring::new(Some(*seat), cycle.clone()));
        }
        if let Some(cycle) = &layout.cycle {
            self.checked_list(&cycle.who, "cycle")?;
            rings.push(Ring::new(None, cycle.clone()));
        }
        Ok(rings)
    }

    fn checked_list(&self, who: &[ParticipantId], field: &str) -> Done {
        let mut seen = HashSet::new();
        for (index, who) in who.iter().enumerate() {
            if self.find(*who).is_none_or(|site| site.state == State::Left) || !seen.insert(*who) {
                return Err(absent(format!("{field}.participants[{index}]"), *who));
            }
        }
        Ok(())
    }

    fn checked_pins(&self, layout: &SetLayout, form: &Layout) -> Result<Vec<(u16, ParticipantId)>, Refusal> {
        let seats = form.max_seats();
        let mut pins: Vec<(u16, ParticipantId)> = Vec::new();
        for (index, &(seat, who)) in layout.seats.iter().enumerate() {
            if usize::from(seat) >= seats {
                return Err(no_seat(format!("seats[{index}].seat"), form));
            }
            let site = self.find(who).filter(|site| site.state != State::Left);
            if site.is_none() {
                return Err(absent(format!("seats[{index}].participant"), who));
            }
            if pins.iter().any(|(taken, pinned)| *taken == seat || *pinned == who) {
                return Err(Refusal::invalid(
                    format!("seats[{index}]"),
                    "mỗi ghế một điểm cầu, mỗi điểm cầu một ghế",
                    "one site to a seat, one seat to a site",
                ));
            }
            pins.push((seat, who));
        }
        pins.sort_unstable();
        Ok(pins)
    }

    pub(super) fn checked_viewers(
        &self,
        viewers: &[ParticipantId],
    ) -> Result<BTreeSet<ParticipantId>, Refusal> {
        if viewers.is_empty() {
            return Err(Refusal::invalid(
                "for",
                "danh sách trống: bố cục sẽ không dành cho ai; bỏ trường này để áp dụng cho tất cả",
                "the list is empty, so the layout would be for nobody; leave it out for everybody",
            ));
        }
        for (index, who) in viewers.iter().enumerate() {
            if self.find(*who).is_none_or(|site| site.state == State::Left) {
                return Err(absent(format!("for[{index}]"), *who));
            }
        }
        Ok(viewers.iter().copied().collect())
    }

    fn set_speaker(&mut self, now: Instant, who: Option<ParticipantId>, events: &mut Vec<Event>) -> Done {
        if let Some(who) = who {
            let Some(site) = self.find(who).filter(|site| site.state.present()) else {
                return Err(absent("participant".to_owned(), who));
            };
            if site.rights.video_hidden {
                return Err(Refusal::Conflict(Words::new(
                    format!("hình của {} đang bị ẩn; hãy bỏ ẩn trước", site.name),
                    format!("the picture of {} is hidden; show it first", site.name),
                )));
            }
        }
        if self.floor.named != who {
            let visible = self.visible();
            self.floor.name(now, who, visible);
            events.push(Event::Conference);
        }
        Ok(())
    }

    fn patch(&mut self, now: Instant, who: Who, patch: &Patch, events: &mut Vec<Event>) -> Done {
        match who {
            Who::One(id) => {
                let site = self.find(id).ok_or_else(|| no_participant(id))?;
                if site.state == State::Left {
                    return Err(gone(id));
                }
                self.patch_one(now, id, patch, events);
            }
            Who::AllButChair => {
                if patch.name.is_some() {
                    return Err(Refusal::invalid(
                        "name",
                        "không thể đặt một tên cho tất cả các điểm cầu",
                        "one name cannot be given to all sites",
                    ));
                }
                let chair = self.chair();
                for id in self.seated.clone().into_iter().filter(|id| Some(*id) != chair) {
                    self.patch_one(now, id, patch, events);
                }
            }
        }
        Ok(())
    }

    fn patch_one(&mut self, now: Instant, id: ParticipantId, patch: &Patch, events: &mut Vec<Event>) {
        let visible = self.visible();
        let renamed = patch.name.as_deref().and_then(|name| self.rename(id, name));
        let Some(site) = self.find_mut(id) else { return };
        let before = site.rights;
        site.rights = Rights {
            audio_muted: patch.audio_muted.unwrap_or(before.audio_muted),
            deafened: patch.deafened.unwrap_or(before.deafened),
            video_hidden: patch.video_hidden.unwrap_or(before.video_hidden),
            volume_db: patch.volume_db.unwrap_or(before.volume_db),
        };
        let rights = site.rights;
        if rights != before {
            events.extend([Event::Participant(id), Event::Sound(id)]);
        }
        if let Some(name) = renamed {
            site.key = name::slug(&name);
            site.name = name;
            self.find_chair();
            events.extend([Event::Participant(id), Event::Conference]);
        }
        match (before.audio_muted, rights.audio_muted) {
            (false, true) => self.floor.voice.hear(now, id, false),
            // What is still wrong is found anew.
            (true, false) => self.forget_troubles(id, events),
            _ => {}
        }
        match (before.video_hidden, rights.video_hidden) {
            (false, true) => {
                self.hidden.insert(id);
                self.floor.lose(id, visible);
            }
            (true, false) => {
                self.hidden.remove(&id);
            }
            _ => {}
        }
    }

    fn hear(&mut self, now: Instant, levels: &[Level], events: &mut Vec<Event>) {
        for level in levels {
            let Some(site) = self.find_mut(level.participant).filter(|site| site.state.present()) else {
                continue;
            };
            let level_dbov = level.level_dbov.clamp(voice::SILENCE_DBOV, 0);
            if (site.audio.level_dbov, site.audio.speaking) != (level_dbov, level.speaking) {
                site.audio.level_dbov = level_dbov;
                site.audio.speaking = level.speaking;
                events.push(Event::Level(level.participant));
            }
            let heard = level.speaking && !site.rights.audio_muted && !site.rights.video_hidden;
            self.floor.voice.hear(now, level.participant, heard);
        }
    }

    pub(super) fn listen(&mut self, now: Instant, events: &mut Vec<Event>) {
        let visible = self.visible();
        if self.floor.evaluate(now, self.settings.voice, visible) {
            events.extend([Event::Speaker(self.floor.speaker()), Event::Conference]);
        }
    }

    fn set_settings(&mut self, settings: Settings, events: &mut Vec<Event>) -> Done {
        if self.settings == settings {
            return Ok(());
        }
        self.base.layout = self.form(settings.layout)?;
        self.base.adapt();
        self.base.names = settings.names;
        if self.settings.sound != settings.sound {
            events.push(Event::Rules);
        }
        self.settings = settings;
        if !self.settings.sound.watches() {
            for id in self.seated.clone() {
                self.forget_troubles(id, events);
            }
        }
        self.find_chair();
        events.push(Event::Conference);
        Ok(())
    }

    /// Takes over what the machine has now. A layout whose file is gone becomes a grid.
    pub(super) fn take_equipment(&mut self, equipment: Arc<Equipment>, events: &mut Vec<Event>) {
        if self.equipment == equipment {
            return;
        }
        self.equipment = equipment.clone();
        for choice in self.choices_mut() {
            choice.layout = equipment.layouts.find(choice.layout.kind).unwrap_or_else(|| Kind::Grid.into());
            choice.adapt();
        }
        self.settings.layout = self.base.layout.kind;
        events.push(Event::Conference);
    }

    /// How many of the gallery have a seat in the layout of everybody.
    fn visible(&self) -> usize {
        if self.base.layout.is_equal() || self.base.layout.kind == Kind::Lecture {
            return usize::MAX;
        }
        self.base.layout.max_seats().saturating_sub(self.base.pins.len()).max(1)
    }

    /// Takes another name, or one with a number behind it; `None` when nothing changes.
    fn rename(&mut self, id: ParticipantId, name: &str) -> Option<Arc<str>> {
        let old = self.find(id)?.name.clone();
        self.names.remove(&old);
        let new = self.distinct(name);
        self.names.insert(new.clone());
        (new != old).then_some(new)
    }

    /// The name, or with a number behind it when somebody else present has it.
    fn distinct(&self, name: &str) -> Arc<str> {
        name::distinct(name, |candidate| self.names.contains(candidate)).into()
    }
}

/// The user part of a SIP address; the address where there is none.
fn user_part(uri: &str) -> String {
    let rest = uri.split_once(':').map_or(uri, |(_, rest)| rest);
    let user = rest.split_once('@').map_or(rest, |(user, _)| user);
    let user = name::clean(user.split(';').next().unwrap_or(user));
    if user.is_empty() { "?".to_owned() } else { user }
}

fn gone(id: ParticipantId) -> Refusal {
    Refusal::Conflict(Words::new(
        format!("điểm cầu {id} đã rời phiên họp"),
        format!("participant {id} has left the conference"),
    ))
}

fn no_seat(field: String, form: &Layout) -> Refusal {
    let last = form.max_seats() - 1;
    Refusal::invalid(
        field,
        format!("bố cục {} chỉ có ghế 0 đến {last}", form.kind),
        format!("the layout {} has seats 0 to {last} only", form.kind),
    )
}

fn absent(field: String, id: ParticipantId) -> Refusal {
    Refusal::invalid(
        field,
        format!("điểm cầu {id} không có trong phiên họp"),
        format!("participant {id} is not in the conference"),
    )
}
