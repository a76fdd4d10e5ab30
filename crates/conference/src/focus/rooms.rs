//! Conferences: commands into the model, what comes of it to the mixer and to those who listen.

use std::sync::Arc;
use std::time::Instant;

use cau_mixer::Command as Mix;
use cau_model::command::Join;
use cau_model::layout::Equipment;
use cau_model::participant::{Rights, State};
use cau_model::{Command, Conference, ConferenceId, Event, ParticipantId, Refusal, Settings, Words};
use cau_sip::{CallId, Uri};

use super::Focus;
use super::sites::{Line, Route};
use crate::check::check;
use crate::notice::{Body, Change};
use crate::request::Error;
use crate::translate;

/// One conference with what the focus remembers of it.
pub(super) struct Room {
    pub(super) conference: Conference,
    /// Who was in the mixer's last report of voices.
    pub(super) heard: Vec<ParticipantId>,
}

impl Focus {
    pub(super) fn room(&self, id: ConferenceId) -> Result<&Room, Refusal> {
        self.rooms.get(&id).ok_or_else(|| {
            Refusal::NotFound(Words::new(
                format!("không có phiên họp {id}"),
                format!("there is no conference {id}"),
            ))
        })
    }

    pub(super) fn create(&mut self, id: ConferenceId, settings: Settings) -> Result<(), Error> {
        check(&settings)?;
        self.known_layout(&settings)?;
        if self.drain.is_some() {
            return Err(Error::ended());
        }
        if self.rooms.len() >= self.config.max_conferences {
            return Err(Error::Unavailable(Words::new(
                format!("đã đủ {} phiên họp", self.rooms.len()),
                format!("there are {} conferences, the most that are allowed", self.rooms.len()),
            )));
        }
        self.free_room(&settings, None)?;
        if self.rooms.contains_key(&id) {
            return Err(Error::Refused(Refusal::Conflict(Words::new(
                format!("đã có phiên họp {id}"),
                format!("there is a conference {id} already"),
            ))));
        }
        self.registry.insert(id, &settings);
        let rules = settings.sound;
        let mut conference = Conference::new(id, settings);
        conference.equip(self.equipment.clone());
        let snapshot = conference.snapshot();
        self.rooms.insert(id, Room { conference, heard: Vec::new() });
        self.media.command(id, Mix::OpenConference { id });
        if self.capacity.fps() < 30 {
            self.media.command(id, Mix::Cadence { conference: id, fps: self.capacity.fps() });
        }
        self.media.command(id, Mix::Discipline { conference: id, rules });
        self.notices.push(Some(id), Body::Conference(Box::new(snapshot)));
        Ok(())
    }

    pub(super) fn change(&mut self, now: Instant, id: ConferenceId, settings: Settings) -> Result<(), Error> {
        let old = self.room(id)?.conference.settings().clone();
        check(&settings)?;
        self.known_layout(&settings)?;
        self.free_room(&settings, Some(id))?;
        self.registry.remove(id, &old);
        self.registry.insert(id, &settings);
        Ok(self.apply(now, id, Command::Settings(settings))?)
    }

    fn known_layout(&self, settings: &Settings) -> Result<(), Refusal> {
        match self.equipment.layouts.find(settings.layout) {
            Some(_) => Ok(()),
            None => Err(cau_model::layout::unknown(&settings.layout.to_string())),
        }
    }

    /// Takes over what the machine has now, in every conference.
    pub(super) fn equip(&mut self, now: Instant, equipment: Arc<Equipment>) {
        self.equipment = equipment.clone();
        let ids: Vec<ConferenceId> = self.rooms.keys().copied().collect();
        for id in ids {
            self.internal(now, id, Command::Equipment(equipment.clone()));
        }
    }

    fn free_room(&self, settings: &Settings, own: Option<ConferenceId>) -> Result<(), Refusal> {
        match self.registry.room(&settings.room) {
            Some(other) if Some(other) != own => Err(Refusal::Conflict(Words::new(
                format!("phòng {} đã thuộc phiên họp {other}", settings.room),
                format!("the room {} belongs to the conference {other}", settings.room),
            ))),
            _ => Ok(()),
        }
    }

    /// BYE to all, and the conference is gone.
    pub(super) fn end(&mut self, now: Instant, id: ConferenceId) -> Result<(), Error> {
        let settings = self.room(id)?.conference.settings().clone();
        let words = Words::new("phiên họp đã kết thúc", "the conference has ended");
        let calls: Vec<CallId> =
            self.calls.iter().filter(|(_, call)| call.conference == id).map(|(id, _)| *id).collect();
        for call in calls {
            self.hang_up(now, call, words.clone());
        }
        // Those who hung up are told as having left before the conference is told to have ended.
        self.pump(now);
        let others: Vec<ParticipantId> =
            self.sites.all.iter().filter(|(_, site)| site.conference == id).map(|(id, _)| *id).collect();
        for site in others {
            self.leave(now, site, words.clone());
            self.sites.remove(site);
        }
        self.keep.end_room(id);
        self.sip.unpublish(now, &id.to_string());
        self.registry.remove(id, &settings);
        self.rooms.remove(&id);
        self.media.command(id, Mix::CloseConference { id });
        self.notices.push(Some(id), Body::ConferenceEnded);
        Ok(())
    }

    /// A negotiated call comes into its conference: a leg in the mixer, a seat in the model. A site that was being called, or was lost,
    /// is there from now on, with its name, its rights and its seat.
    pub(super) fn join(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let (conference, participant, direction) = (call.conference, call.participant, call.direction);
        let sends_video = sends_video(call.negotiated.as_ref());
        let (name, uri) = (call.name.clone(), call.uri.clone());
        self.put_leg(id);
        self.totals.accepted += 1;
        self.sites.join(participant);
        let contact = self.sip.saved(id).and_then(|dialog| Uri::parse(dialog.target.as_bytes()).ok());
        if let Some(site) = self.sites.get_mut(participant) {
            site.contact = contact.or(site.contact.take());
            (site.round, site.lost, site.route) = (0, None, Route::default());
        }
        self.sites.set_line(participant, Line::Up(id));
        match self.state_of(conference, participant) {
            None => {
                let link = self.links.shown(participant);
                let state = State::Connected;
                let join = Join { participant, name, uri, direction, state, sends_video, link };
                self.internal(now, conference, Command::Join(join));
            }
            Some(State::Left) => self.internal(now, conference, Command::Recall(participant)),
            Some(_) => {}
        }
        self.internal(now, conference, Command::Direction(participant, direction));
        self.internal(now, conference, Command::State(participant, State::Connected));
        // A leg made anew knows nothing of what the operator has set before.
        self.tell_rights(conference, participant);
        self.tell_media(now, id);
        self.link_joined(now, participant);
        self.site_connected(now, participant);
    }

    /// The media of a call that was taken up after a restart; whether the device is still there is not known yet.
    pub(super) fn take_up(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let (conference, participant) = (call.conference, call.participant);
        self.put_leg(id);
        self.tell_rights(conference, participant);
        self.tell_media(now, id);
    }

    /// The leg of a call in the mixer, made or changed.
    fn put_leg(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let (conference, participant) = (call.conference, call.participant);
        let leg = translate::leg(call.negotiated.as_ref(), call.name.as_str().into(), &call.cname, call.peer);
        let mix = if self.legs.insert(participant) {
            Mix::AddLeg { conference, participant, leg }
        } else {
            Mix::UpdateLeg { participant, leg }
        };
        self.media.command(conference, mix);
    }

    /// Tells the mixer what the operator has set of one participant.
    fn tell_rights(&mut self, conference: ConferenceId, participant: ParticipantId) {
        let rights = self.rooms.get(&conference).and_then(|room| room.conference.rights(participant));
        if let Some(rights) = rights {
            self.media.command(conference, sound(participant, rights));
        }
    }

    /// A call was negotiated anew.
    pub(super) fn update(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let leg = translate::leg(call.negotiated.as_ref(), call.name.as_str().into(), &call.cname, call.peer);
        self.media.command(call.conference, Mix::UpdateLeg { participant: call.participant, leg });
        self.tell_media(now, id);
    }

    fn tell_media(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let negotiated = call.negotiated.as_ref();
        let media = Command::Media {
            participant: call.participant,
            audio_codec: negotiated.and_then(|n| n.audio.as_ref()).map(|a| a.codec.name().to_owned()),
            video_codec: negotiated.and_then(|n| n.video.as_ref()).map(|_| "H264".to_owned()),
            sends_video: sends_video(negotiated),
        };
        self.internal(now, call.conference, media);
    }

    /// A command of our own making, which the model has no reason to refuse.
    pub(super) fn internal(&mut self, now: Instant, id: ConferenceId, command: Command) {
        if let Err(refusal) = self.apply(now, id, command) {
            tracing::warn!(conference = %id, "the model refused: {refusal}");
        }
    }

    /// Carries out a command, and passes on what comes of it.
    pub(super) fn apply(&mut self, now: Instant, id: ConferenceId, command: Command) -> Result<(), Refusal> {
        let special = match &command {
            Command::Join(join) if join.state.present() => Some((join.participant, Change::Joined)),
            Command::State(who, State::Connected) => {
                let called = matches!(self.state_of(id, *who), Some(State::Calling | State::Ringing));
                called.then_some((*who, Change::Joined))
            }
            Command::Leave { participant, .. } => Some((*participant, Change::Left)),
            _ => None,
        };
        self.room(id)?;
        let Some(room) = self.rooms.get_mut(&id) else { return Ok(()) };
        let events = room.conference.apply(now, command)?;
        self.react(now, id, &events, special);
        Ok(())
    }

    pub(super) fn time_rooms(&mut self, now: Instant) {
        let due = |room: &Room| room.conference.poll_timeout().is_some_and(|at| at <= now);
        let ids: Vec<ConferenceId> =
            self.rooms.iter().filter(|(_, room)| due(room)).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(room) = self.rooms.get_mut(&id) else { continue };
            let events = room.conference.handle_timeout(now);
            self.react(now, id, &events, None);
        }
        self.forget_sites();
    }

    fn react(
        &mut self,
        now: Instant,
        id: ConferenceId,
        events: &[Event],
        special: Option<(ParticipantId, Change)>,
    ) {
        let Some(room) = self.rooms.get(&id) else { return };
        let seen = |event: &Event| matches!(event, Event::Conference | Event::Participant(_));
        if self.sip.subscriptions() > 0 && events.iter().any(seen) {
            self.sip.room_changed(now, &id.to_string());
        }
        for event in events {
            match *event {
                Event::Conference => {
                    self.keep.touch_room(id);
                    self.notices.push(Some(id), Body::Conference(Box::new(room.conference.snapshot())));
                }
                Event::Participant(who) => {
                    self.keep.touch_site(id, who);
                    let change =
                        special.filter(|(other, _)| *other == who).map_or(Change::Changed, |(_, c)| c);
                    self.notices.participant(now, room, who, change);
                }
                Event::Level(who) => self.notices.level(now, room, who),
                Event::Sound(who) => {
                    if let Some(rights) = room.conference.rights(who) {
                        self.media.command(id, sound(who, rights));
                    }
                }
                Event::Scenes => {
                    let scenes = room.conference.scenes();
                    self.media.command(id, Mix::Scenes { conference: id, scenes });
                }
                Event::Rules => {
                    let rules = room.conference.settings().sound;
                    self.media.command(id, Mix::Discipline { conference: id, rules });
                }
                Event::Speaker(participant) => {
                    self.media.command(id, Mix::Floor { conference: id, participant });
                }
            }
        }
        for event in events {
            if let Event::Participant(who) = *event {
                self.report_referred(now, id, who);
            }
        }
    }
}

fn sound(participant: ParticipantId, rights: Rights) -> Mix {
    Mix::Sound {
        participant,
        muted: rights.audio_muted,
        deafened: rights.deafened,
        volume_db: rights.volume_db,
        hidden: rights.video_hidden,
    }
}

pub(super) fn sends_video(negotiated: Option<&cau_sip::sdp::Negotiated>) -> bool {
    negotiated.and_then(|n| n.video.as_ref()).is_some_and(|video| video.stream.recv)
}
