//! Conferences: commands into the model, what comes of it to the mixer and to those who listen.

use std::time::Instant;

use cau_mixer::Command as Mix;
use cau_model::command::Join;
use cau_model::participant::{Direction, State};
use cau_model::{Command, Conference, ConferenceId, Event, ParticipantId, Refusal, Settings, Words};
use cau_sip::CallId;

use super::Focus;
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
        let conference = Conference::new(id, settings);
        let snapshot = conference.snapshot();
        self.rooms.insert(id, Room { conference, heard: Vec::new() });
        self.media.command(id, Mix::OpenConference { id });
        self.notices.push(Some(id), Body::Conference(Box::new(snapshot)));
        Ok(())
    }

    pub(super) fn change(&mut self, now: Instant, id: ConferenceId, settings: Settings) -> Result<(), Error> {
        let old = self.room(id)?.conference.settings().clone();
        check(&settings)?;
        self.free_room(&settings, Some(id))?;
        self.registry.remove(id, &old);
        self.registry.insert(id, &settings);
        Ok(self.apply(now, id, Command::Settings(settings))?)
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
        self.sip.unpublish(now, &id.to_string());
        self.registry.remove(id, &settings);
        self.rooms.remove(&id);
        self.media.command(id, Mix::CloseConference { id });
        self.notices.push(Some(id), Body::ConferenceEnded);
        Ok(())
    }

    /// A negotiated call comes into its conference: a leg in the mixer, a seat in the model.
    pub(super) fn join(&mut self, now: Instant, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let (conference, participant) = (call.conference, call.participant);
        let sends_video = sends_video(call.negotiated.as_ref());
        let join = Join {
            participant,
            name: call.name.clone(),
            uri: call.uri.clone(),
            direction: Direction::In,
            state: State::Connected,
            sends_video,
        };
        self.media.command(
            conference,
            Mix::AddLeg {
                conference,
                participant,
                leg: translate::leg(
                    call.negotiated.as_ref(),
                    call.name.as_str().into(),
                    &call.cname,
                    call.peer,
                ),
            },
        );
        self.totals.accepted += 1;
        self.internal(now, conference, Command::Join(join));
        self.tell_media(now, id);
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
            Command::Join(join) => Some((join.participant, Change::Joined)),
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
                    self.notices.push(Some(id), Body::Conference(Box::new(room.conference.snapshot())));
                }
                Event::Participant(who) => {
                    let change =
                        special.filter(|(other, _)| *other == who).map_or(Change::Changed, |(_, c)| c);
                    self.notices.participant(now, room, who, change);
                }
                Event::Level(who) => self.notices.level(now, room, who),
                Event::Sound(who) => {
                    if let Some(rights) = room.conference.rights(who) {
                        let sound = Mix::Sound {
                            participant: who,
                            muted: rights.audio_muted,
                            deafened: rights.deafened,
                            volume_db: rights.volume_db,
                            hidden: rights.video_hidden,
                        };
                        self.media.command(id, sound);
                    }
                }
                Event::Scenes => {
                    let scenes = room.conference.scenes();
                    self.media.command(id, Mix::Scenes { conference: id, scenes });
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

fn sends_video(negotiated: Option<&cau_sip::sdp::Negotiated>) -> bool {
    negotiated.and_then(|n| n.video.as_ref()).is_some_and(|video| video.stream.recv)
}
