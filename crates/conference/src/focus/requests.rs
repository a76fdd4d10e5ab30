//! What the rest of the program asks.

use std::time::Instant;

use cau_mixer::Command as Mix;
use cau_mixer::command::Reply;
use cau_model::command::{Patch, Who};
use cau_model::participant::State;
use cau_model::{Command, ConferenceId, ParticipantId, Refusal, Words, snapshot};

use super::Focus;
use crate::request::{Answer, Error, Request};

impl Focus {
    /// Does what is asked, and answers. An answer nobody waits for any more is dropped.
    pub fn handle_request(&mut self, now: Instant, request: Request) {
        match request {
            Request::List(answer) => {
                let all = self.rooms.values().map(|room| room.conference.snapshot()).collect();
                let _ = answer.send(Ok(all));
            }
            Request::Conference(id, answer) => {
                let _ = answer.send(self.shown(id));
            }
            Request::Settings(id, answer) => {
                let settings = self.room(id).map(|room| room.conference.settings().clone());
                let _ = answer.send(settings.map_err(Error::from));
            }
            Request::Create { id, settings, answer } => {
                let done = self.create(id, *settings).and_then(|()| self.shown(id));
                let _ = answer.send(done);
            }
            Request::Change { id, settings, answer } => {
                let done = self.change(now, id, *settings).and_then(|()| self.shown(id));
                let _ = answer.send(done);
            }
            Request::End(id, answer) => {
                let _ = answer.send(self.end(now, id));
            }
            Request::Participants(id, answer) => {
                let all = self.room(id).map(|room| room.conference.participants());
                let _ = answer.send(all.map_err(Error::from));
            }
            Request::Participant(conference, id, answer) => {
                let _ = answer.send(self.site(conference, id));
            }
            Request::Patch { conference, who, patch, answer } => {
                let _ = answer.send(self.patch(now, conference, who, patch));
            }
            Request::Invite { conference, sites, answer } => {
                let _ = answer.send(self.invite(now, conference, &sites));
            }
            Request::Restore { conference, room, sites, answer } => {
                let _ = answer.send(self.restore(now, conference, &room, sites));
            }
            Request::HangUp(conference, id, answer) => {
                let _ = answer.send(self.hang_up_one(now, conference, id));
            }
            Request::CallAgain(conference, id, answer) => {
                let _ = answer.send(self.call_known(now, conference, id));
            }
            Request::BringUp { conference, order, answer } => {
                let _ = answer.send(self.bring_up(now, conference, *order));
            }
            Request::Link(conference, order) => self.link(now, conference, *order),
            Request::Operation(id, answer) => {
                let _ = answer.send(self.operation(now, id));
            }
            Request::Layout { conference, layout, answer } => {
                let viewers = layout.viewers.clone();
                let done = self.apply(now, conference, Command::SetLayout(layout));
                if done.is_ok() {
                    self.layout_wins(now, conference, viewers.as_deref());
                }
                let _ = answer.send(done.map_err(Error::from).and_then(|()| self.shown(conference)));
            }
            Request::Message { conference, message, answer } => {
                let done = self.apply(now, conference, Command::SetMessage(message));
                let _ = answer.send(done.map_err(Error::from).and_then(|()| self.shown(conference)));
            }
            Request::Equipment(equipment) => self.equip(now, equipment),
            Request::Speaker { conference, participant, answer } => {
                let done = self.apply(now, conference, Command::SetSpeaker(participant));
                if done.is_ok() {
                    self.layout_wins(now, conference, None);
                }
                let _ = answer.send(done.map_err(Error::from).and_then(|()| self.shown(conference)));
            }
            Request::Preview { conference, participant, seen, answer } => {
                self.preview(conference, participant, seen, answer);
            }
            Request::Totals(answer) => {
                let _ = answer.send(Ok(self.totals()));
            }
            Request::Media { worker, event } => self.handle_media(now, worker, event),
            Request::Load { media, pictures } => self.loaded(now, media, pictures),
            Request::Register(plan) => {
                self.register(now, *plan);
                self.pump(now);
            }
            Request::Drain => self.begin_drain(now),
        }
    }

    fn shown(&self, id: ConferenceId) -> Result<snapshot::Conference, Error> {
        Ok(self.room(id)?.conference.snapshot())
    }

    fn site(&self, conference: ConferenceId, id: ParticipantId) -> Result<snapshot::Participant, Error> {
        self.room(conference)?.conference.participant(id).ok_or_else(|| Error::Refused(no_site(id)))
    }

    fn patch(
        &mut self,
        now: Instant,
        conference: ConferenceId,
        who: Who,
        patch: Patch,
    ) -> Result<Vec<snapshot::Participant>, Error> {
        self.apply(now, conference, Command::Patch { who, patch })?;
        match who {
            Who::One(id) => Ok(vec![self.site(conference, id)?]),
            Who::AllButChair => {
                let mut all = self.room(conference)?.conference.participants();
                all.retain(|site| site.state.present() && !site.chair);
                Ok(all)
            }
        }
    }

    fn hang_up_one(
        &mut self,
        now: Instant,
        conference: ConferenceId,
        id: ParticipantId,
    ) -> Result<(), Error> {
        let site = self.site(conference, id)?;
        if site.state == State::Left {
            return Err(Error::Refused(Refusal::Conflict(Words::new(
                format!("{} đã rời phiên họp", site.name),
                format!("{} has left the conference", site.name),
            ))));
        }
        let words = Words::new("người điều khiển đã ngắt", "hung up by the operator");
        match self.call_of(id) {
            Some((call, _)) => self.hang_up(now, call, words),
            // It waited to be called, or to be called again.
            None => self.leave(now, id, words),
        }
        self.pump(now);
        Ok(())
    }

    fn preview(
        &mut self,
        conference: ConferenceId,
        participant: ParticipantId,
        seen: bool,
        answer: Answer<Option<Vec<u8>>>,
    ) {
        let found = self.site(conference, participant);
        match found {
            Err(error) => {
                let _ = answer.send(Err(error));
            }
            Ok(site) if !site.state.present() => {
                let _ = answer.send(Ok(None));
            }
            Ok(_) => {
                let reply = Reply::new(move |jpeg| {
                    let _ = answer.send(Ok(jpeg));
                });
                self.media.command(conference, Mix::Preview { participant, seen, reply });
            }
        }
    }
}

fn no_site(id: ParticipantId) -> Refusal {
    Refusal::NotFound(Words::new(
        format!("phiên họp không có điểm cầu {id}"),
        format!("there is no participant {id} in the conference"),
    ))
}
