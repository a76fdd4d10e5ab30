//! Conferences of `model` behind a [`Handle`]: what the real focus does with requests, without SIP and media.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use cau_conference::{Body, Change, Error, Handle, Notice, Order, Request, Totals, Wanted};
use cau_control::Events;
use cau_model::{
    Command, Conference, ConferenceId, OperationId, ParticipantId, Refusal, Words,
    command::{self, Join, Who},
    layout::Equipment,
    participant::{Direction, State},
    snapshot,
    sound::Trouble,
    voice::Level,
};
use tokio::time::Instant;

type Still = Arc<dyn Fn(&Conference, ParticipantId, bool) -> Option<Vec<u8>> + Send + Sync>;

/// The conferences. Cheap to clone.
#[derive(Clone)]
pub struct Fake(Arc<Mutex<Inner>>);

struct Inner {
    rooms: BTreeMap<ConferenceId, Conference>,
    events: Events,
    next: u64,
    refuse: Option<Error>,
    still: Still,
    draining: bool,
    equipment: Arc<Equipment>,
    operations: Vec<snapshot::Operation>,
}

impl Fake {
    /// Starts answering on the current runtime.
    pub fn start(events: Events) -> (Self, Handle) {
        let (handle, mut requests) = Handle::new(64);
        let still: Still = Arc::new(|_, id, seen| Some(format!("jpeg of {id} seen={seen}").into_bytes()));
        let inner = Inner {
            rooms: BTreeMap::new(),
            events,
            next: 0x10,
            refuse: None,
            still,
            draining: false,
            equipment: Arc::default(),
            operations: Vec::new(),
        };
        let fake = Self(Arc::new(Mutex::new(inner)));
        let answering = fake.clone();
        tokio::spawn(async move {
            while let Some(request) = requests.recv().await {
                answering.0.lock().unwrap().handle(request);
            }
        });
        (fake, handle)
    }

    /// The next creation or change is refused.
    pub fn refuse_next(&self) {
        let words = Words::new("đầy", "full");
        self.0.lock().unwrap().refuse = Some(Error::Unavailable(words));
    }

    pub fn drain(&self) {
        self.0.lock().unwrap().draining = true;
    }

    pub fn still(&self, still: Still) {
        self.0.lock().unwrap().still = still;
    }

    /// A site dials in, with sound and picture.
    pub fn join(&self, conference: &str, name: &str) -> String {
        let mut inner = self.0.lock().unwrap();
        inner.next += 1;
        let participant = ParticipantId(inner.next);
        let id = conference.parse().unwrap();
        let uri = format!("sip:{}@192.0.2.{}", cau_model::name::slug(name), inner.next % 200 + 1);
        inner.apply(
            id,
            Command::Join(Join {
                participant,
                name: name.into(),
                uri,
                direction: Direction::In,
                state: State::Connected,
                sends_video: true,
                link: None,
            }),
        );
        let media = Command::Media {
            participant,
            audio_codec: Some("opus".into()),
            video_codec: Some("H264".into()),
            sends_video: true,
        };
        inner.apply(id, media);
        inner.measured(id, participant, 0.0, 1800);
        inner.tell(id, participant, Change::Joined);
        participant.to_string()
    }

    pub fn leave(&self, conference: &str, participant: &str, reason: &str) {
        let mut inner = self.0.lock().unwrap();
        let (id, participant) = (conference.parse().unwrap(), participant.parse().unwrap());
        inner.apply(id, Command::Leave { participant, reason: Words::new(reason, reason) });
        inner.tell(id, participant, Change::Left);
    }

    /// What the mixer hears.
    pub fn voice(&self, conference: &str, levels: &[(&str, i8, bool)]) {
        let mut inner = self.0.lock().unwrap();
        let id = conference.parse().unwrap();
        let levels = levels
            .iter()
            .map(|(p, level_dbov, speaking)| Level {
                participant: p.parse().unwrap(),
                level_dbov: *level_dbov,
                speaking: *speaking,
            })
            .collect::<Vec<_>>();
        if inner.try_apply(id, Command::Voice(levels.clone())).is_err() {
            return; // ended
        }
        for level in levels {
            inner.tell(id, level.participant, Change::Level);
        }
    }

    /// What is measured of a line.
    pub fn line(&self, conference: &str, participant: &str, loss: f32, rx_kbps: u32) {
        let (id, participant) = (conference.parse().unwrap(), participant.parse().unwrap());
        let mut inner = self.0.lock().unwrap();
        inner.measured(id, participant, loss, rx_kbps);
        inner.tell(id, participant, Change::Level);
    }

    /// Something is wrong with the sound of a site.
    pub fn trouble(&self, conference: &str, participant: &str, trouble: Trouble) {
        let (id, participant) = (conference.parse().unwrap(), participant.parse().unwrap());
        let mut inner = self.0.lock().unwrap();
        inner.apply(id, Command::Trouble { participant, trouble });
        let body = Body::Alarm { participant: Some(participant), code: "echo", words: trouble.words() };
        inner.notice(id, body);
    }

    /// The line of a site is lost.
    pub fn lose(&self, conference: &str, participant: &str) {
        let (id, participant) = (conference.parse().unwrap(), participant.parse().unwrap());
        self.0.lock().unwrap().apply(id, Command::State(participant, State::Reconnecting));
    }

    pub fn alarm(&self, conference: &str, participant: &str, words: Words) {
        let inner = self.0.lock().unwrap();
        let body =
            Body::Alarm { participant: Some(participant.parse().unwrap()), code: "picture-lost", words };
        let notice = Notice { conference: Some(conference.parse().unwrap()), body };
        inner.events.notice(SystemTime::UNIX_EPOCH, &notice);
    }
}

impl Inner {
    fn room(&mut self, id: ConferenceId) -> Result<&mut Conference, Error> {
        let words = || Words::new("không có phiên họp này", "there is no such conference");
        self.rooms.get_mut(&id).ok_or_else(|| Refusal::NotFound(words()).into())
    }

    fn apply(&mut self, id: ConferenceId, command: Command) -> Vec<command::Event> {
        self.try_apply(id, command).unwrap()
    }

    fn try_apply(&mut self, id: ConferenceId, command: Command) -> Result<Vec<command::Event>, Error> {
        let now = Instant::now().into_std();
        let events = self.room(id)?.apply(now, command).map_err(Error::from)?;
        for event in &events {
            match event {
                command::Event::Conference | command::Event::Speaker(_) => {
                    let snapshot = self.rooms[&id].snapshot();
                    self.notice(id, Body::Conference(Box::new(snapshot)));
                }
                command::Event::Participant(p) => self.tell(id, *p, Change::Changed),
                _ => {}
            }
        }
        Ok(events)
    }

    fn measured(&mut self, id: ConferenceId, participant: ParticipantId, loss: f32, rx_kbps: u32) {
        let quality = snapshot::Quality { loss, jitter_ms: 4.0, rtt_ms: Some(18.0), rx_kbps, tx_kbps: 1950 };
        let send = snapshot::Send {
            video: snapshot::SendVideo::Encoded,
            width: 1280,
            height: 720,
            fps: 30.0,
            copies: 1,
        };
        let _ = self.try_apply(
            id,
            Command::Measured { participant, picture: Some((1280, 720, 30.0)), quality, send },
        );
    }

    fn tell(&self, id: ConferenceId, participant: ParticipantId, change: Change) {
        if let Some(shown) = self.rooms.get(&id).and_then(|room| room.participant(participant)) {
            self.notice(id, Body::Participant { change, participant: Box::new(shown) });
        }
    }

    fn notice(&self, id: ConferenceId, body: Body) {
        self.events.notice(SystemTime::UNIX_EPOCH, &Notice { conference: Some(id), body });
    }

    fn shown(&mut self, id: ConferenceId) -> Result<snapshot::Conference, Error> {
        self.room(id).map(|room| room.snapshot())
    }

    fn handle(&mut self, request: Request) {
        match request {
            Request::List(answer) => {
                let _ = answer.send(Ok(self.rooms.values().map(Conference::snapshot).collect()));
            }
            Request::Conference(id, answer) => {
                let _ = answer.send(self.shown(id));
            }
            Request::Settings(id, answer) => {
                let _ = answer.send(self.room(id).map(|room| room.settings().clone()));
            }
            Request::Create { id, settings, answer } => {
                let done = match self.refuse.take() {
                    Some(e) => Err(e),
                    None if self.equipment.layouts.find(settings.layout).is_none() => {
                        Err(cau_model::layout::unknown(&settings.layout.to_string()).into())
                    }
                    None => {
                        let mut room = Conference::new(id, *settings);
                        room.equip(self.equipment.clone());
                        let shown = room.snapshot();
                        self.rooms.insert(id, room);
                        self.notice(id, Body::Conference(Box::new(shown.clone())));
                        Ok(shown)
                    }
                };
                let _ = answer.send(done);
            }
            Request::Change { id, settings, answer } => {
                let done = match self.refuse.take() {
                    Some(e) => Err(e),
                    None => self.try_apply(id, Command::Settings(*settings)).and_then(|_| self.shown(id)),
                };
                let _ = answer.send(done);
            }
            Request::End(id, answer) => {
                let done = self.room(id).map(drop);
                self.rooms.remove(&id);
                self.notice(id, Body::ConferenceEnded);
                let _ = answer.send(done);
            }
            Request::Participants(id, answer) => {
                let _ = answer.send(self.room(id).map(|room| room.participants()));
            }
            Request::Participant(id, p, answer) => {
                let _ = answer.send(self.site(id, p));
            }
            Request::Patch { conference, who, patch, answer } => {
                let done = self.try_apply(conference, Command::Patch { who, patch }).and_then(|_| {
                    let room = self.room(conference)?;
                    let concerned = |p: &snapshot::Participant| match who {
                        Who::One(id) => p.id == id,
                        Who::AllButChair => p.state.present() && !p.chair,
                    };
                    Ok(room.participants().into_iter().filter(concerned).collect())
                });
                let _ = answer.send(done);
            }
            Request::CallAgain(id, participant, answer) => {
                let _ = answer.send(self.site(id, participant).map(drop));
            }
            Request::HangUp(id, participant, answer) => {
                let done = self.site(id, participant).and_then(|site| {
                    if !site.state.present() {
                        return Err(Refusal::Conflict(Words::new("đã rời", "has left")).into());
                    }
                    self.try_apply(
                        id,
                        Command::Leave {
                            participant, reason: Words::new("người điều hành", "operator")
                        },
                    )?;
                    self.tell(id, participant, Change::Left);
                    Ok(())
                });
                let _ = answer.send(done);
            }
            Request::Layout { conference, layout, answer } => {
                let done = match self.refuse.take() {
                    Some(e) => Err(e),
                    None => self
                        .try_apply(conference, Command::SetLayout(layout))
                        .and_then(|_| self.shown(conference)),
                };
                let _ = answer.send(done);
            }
            Request::Speaker { conference, participant, answer } => {
                let done = self.try_apply(conference, Command::SetSpeaker(participant));
                let _ = answer.send(done.and_then(|_| self.shown(conference)));
            }
            Request::Message { conference, message, answer } => {
                let done = self.try_apply(conference, Command::SetMessage(message));
                let _ = answer.send(done.and_then(|_| self.shown(conference)));
            }
            Request::Equipment(equipment) => {
                self.equipment = equipment.clone();
                let ids: Vec<ConferenceId> = self.rooms.keys().copied().collect();
                for id in ids {
                    let _ = self.try_apply(id, Command::Equipment(equipment.clone()));
                }
            }
            Request::Preview { conference, participant, seen, answer } => {
                let done = self.site(conference, participant).map(|site| {
                    let room = &self.rooms[&conference];
                    site.state.present().then(|| (self.still)(room, participant, seen)).flatten()
                });
                let _ = answer.send(done);
            }
            Request::Totals(answer) => {
                let participants = self.rooms.values().map(|room| room.present().len()).sum();
                let totals = Totals {
                    conferences: self.rooms.len(),
                    calls: participants,
                    participants,
                    draining: self.draining,
                    ..Totals::default()
                };
                let _ = answer.send(Ok(totals));
            }
            Request::Invite { conference, sites, answer } => {
                let _ = answer.send(self.invite(conference, sites));
            }
            Request::BringUp { conference, order, answer } => {
                let there = self.room(conference).map(|_| ());
                let begun = there.map(|()| self.operation(conference, &order));
                if let Ok(begun) = &begun {
                    self.notice(conference, Body::Operation(Box::new(begun.clone())));
                    self.operations.push(begun.clone());
                }
                let _ = answer.send(begun);
            }
            Request::Operation(id, answer) => {
                let found = self.operations.iter().find(|operation| operation.id == id).cloned();
                let words = Words::new("không có thao tác này", "there is no such operation");
                let _ = answer.send(found.ok_or_else(|| Refusal::NotFound(words).into()));
            }
            Request::Restore { answer, .. } => drop(answer.send(Ok(()))),
            Request::Media { .. }
            | Request::Load { .. }
            | Request::Register(_)
            | Request::Link(..)
            | Request::Drain => {}
        }
    }

    fn invite(&mut self, id: ConferenceId, sites: Vec<Wanted>) -> Result<Vec<snapshot::Participant>, Error> {
        self.room(id)?;
        if let Some(bad) = sites.iter().find(|site| !site.uri.starts_with("sip:")) {
            return Err(Refusal::invalid(format!("{}uri", bad.place), "phải là sip:", "must be sip:").into());
        }
        let mut invited = Vec::new();
        for site in sites {
            self.next += 1;
            let participant = ParticipantId(self.next);
            let join = Join {
                participant,
                name: site.name.unwrap_or_default(),
                uri: site.uri,
                direction: Direction::Out,
                state: State::Calling,
                sends_video: false,
                link: None,
            };
            self.try_apply(id, Command::Join(join))?;
            invited.push(self.site(id, participant)?);
        }
        Ok(invited)
    }

    fn operation(&self, conference: ConferenceId, order: &Order) -> snapshot::Operation {
        snapshot::Operation {
            id: OperationId(self.operations.len() as u64 + 1),
            conference,
            site: order.site.parse().unwrap_or(ParticipantId(0)),
            viewers: order.viewers.clone().unwrap_or_default(),
            by: order.by.clone(),
            state: snapshot::OperationState::Running,
            elapsed_ms: order.deadline.as_millis() as u64,
            steps: vec![snapshot::OperationStep {
                name: snapshot::StepName::Find,
                mcu: "cau".into(),
                at_ms: 0,
            }],
            error: None,
            error_en: None,
        }
    }

    fn site(&mut self, id: ConferenceId, participant: ParticipantId) -> Result<snapshot::Participant, Error> {
        let words = Words::new("không có điểm cầu này", "there is no such participant");
        self.room(id)?.participant(participant).ok_or_else(|| Refusal::NotFound(words).into())
    }
}

/// Lets the voice decide, as time passes.
pub fn tick(fake: &Fake, conference: &str) {
    let mut inner = fake.0.lock().unwrap();
    let id = conference.parse().unwrap();
    let now = (Instant::now() + Duration::from_millis(1)).into_std();
    let changed = inner.room(id).is_ok_and(|room| !room.handle_timeout(now).is_empty());
    if changed {
        let snapshot = inner.rooms[&id].snapshot();
        inner.notice(id, Body::Conference(Box::new(snapshot)));
    }
}
