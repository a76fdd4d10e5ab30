//! Bringing sites up: the operations, and what they want done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use cau_mixer::Command as Mix;
use cau_mixer::event::Progress;
use cau_model::command::{Patch, SetLayout, Who, participant};
use cau_model::kept;
use cau_model::layout::Kind;
use cau_model::participant::{Rights, State};
use cau_model::{Command, ConferenceId, OperationId, ParticipantId, Refusal, Words, snapshot};
use rand::RngExt as _;

use super::Focus;
use super::rooms::sends_video;
use super::sites::Line;
use crate::notice::Body;
use crate::operation::{Fact, Operation, Wish};
use crate::request::{Error, Order};

/// Operations that ended are known for this long …
const KNOWN: Duration = Duration::from_secs(3600);
/// … but never more of them than this.
const MOST: usize = 1_024;
/// What `deadline_s` may be.
const DEADLINES: std::ops::RangeInclusive<u64> = 1..=300;

/// All operations.
#[derive(Debug, Default)]
pub(super) struct Bringing {
    all: BTreeMap<OperationId, Running>,
    last: u64,
}

#[derive(Debug)]
struct Running {
    operation: Operation,
    /// Everybody is to see it, not chosen ones.
    everybody: bool,
    /// Only pictures named so count.
    csrc: Option<u32>,
    /// What the cascade calls it.
    tag: Option<OperationId>,
    before: Option<Before>,
    /// Steps told last.
    told: usize,
}

/// What was there before the layout was changed.
#[derive(Debug)]
struct Before {
    conference: snapshot::Conference,
    rights: Rights,
}

impl Bringing {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.all.values().filter_map(|running| running.operation.poll_timeout()).min()
    }

    fn forget(&mut self, now: Instant) {
        let old = |running: &Running| {
            running.operation.ended().is_some_and(|at| now.saturating_duration_since(at) >= KNOWN)
        };
        self.all.retain(|_, running| !old(running));
        while self.all.len() > MOST {
            let ended = self.all.iter().find(|(_, r)| !r.operation.is_running()).map(|(id, _)| *id);
            let Some(id) = ended.or_else(|| self.all.keys().next().copied()) else { return };
            self.all.remove(&id);
        }
    }

    /// Those running for which this holds.
    fn running(&self, wanted: impl Fn(&Running) -> bool) -> Vec<OperationId> {
        let running = self.all.iter().filter(|(_, r)| r.operation.is_running() && wanted(r));
        running.map(|(id, _)| *id).collect()
    }
}

impl Focus {
    /// Begins an operation.
    pub(super) fn bring_up(
        &mut self,
        now: Instant,
        conference: ConferenceId,
        order: Order,
    ) -> Result<snapshot::Operation, Error> {
        self.room(conference)?;
        let site = match &order.slot {
            Some(slot) => self.slot_meant(conference, slot)?,
            None => self.site_meant(conference, &order.site)?,
        };
        let (viewers, everybody) = self.viewers(conference, site, order.viewers.as_deref())?;
        if !DEADLINES.contains(&order.deadline.as_secs()) {
            return Err(Refusal::invalid("deadline_s", "từ 1 đến 300 giây", "1 to 300 seconds").into());
        }
        self.supersede(now, conference, &viewers, everybody, &order.by, site);
        if self.bringing.last == 0 {
            // Ids of an earlier run stand in the journal: start somewhere else each time.
            self.bringing.last = u64::from(self.random.random::<u32>() >> 8) << 24;
        }
        self.bringing.last += 1;
        let id = OperationId(self.bringing.last);
        self.bringing.forget(now);
        let by = (order.by.as_str(), self.config.agent.as_str());
        let operation = Operation::new(now, (id, conference, site), viewers, order.deadline, by);
        let (csrc, tag) = (order.slot.map(|slot| slot.csrc), order.tag);
        self.bringing.all.insert(id, Running { operation, everybody, csrc, tag, before: None, told: 0 });
        let there = self.connected_fact(site);
        let begin = |operation: &mut Operation| operation.begin(now, there);
        self.step(now, id, begin);
        self.pump(now);
        self.operation(now, id)
    }

    /// How far an operation is.
    pub(super) fn operation(&self, now: Instant, id: OperationId) -> Result<snapshot::Operation, Error> {
        let found = self.bringing.all.get(&id).map(|running| running.operation.snapshot(now));
        found.ok_or_else(|| {
            let words = Words::new(format!("không có thao tác {id}"), format!("there is no operation {id}"));
            Error::Refused(Refusal::NotFound(words))
        })
    }

    /// The site an operator means, by its id or by its name as a path of one word.
    fn site_meant(&self, conference: ConferenceId, text: &str) -> Result<ParticipantId, Refusal> {
        let room = &self.room(conference)?.conference;
        let invalid = |vi: String, en: String| Refusal::invalid("site", vi, en);
        if text.contains('/') {
            return Err(invalid(
                "đường qua các MCU cấp dưới sẽ có sau; hãy nêu một điểm cầu của phiên họp này".into(),
                "a path down the cascade comes later; name a site of this conference".into(),
            ));
        }
        let by_id = participant(text, String::new).ok().filter(|id| room.find(*id).is_some());
        let id = by_id.or_else(|| room.by_key(text)).ok_or_else(|| {
            let shown = cau_model::name::clean(text);
            invalid(
                format!("phiên họp không có điểm cầu {shown}"),
                format!("there is no site {shown} in the conference"),
            )
        })?;
        let gone = room.find(id).is_some_and(|site| site.state == State::Left);
        if gone && self.sites.get(id).is_none_or(|site| site.target.is_none()) {
            return Err(invalid(
                "điểm cầu đã rời phiên họp và không rõ gọi lại ở địa chỉ nào".into(),
                "the site has left, and it is not known where to call it".into(),
            ));
        }
        Ok(id)
    }

    /// Before whom: as told, else the chair, else everybody. The site itself sees the others.
    fn viewers(
        &self,
        conference: ConferenceId,
        site: ParticipantId,
        told: Option<&[ParticipantId]>,
    ) -> Result<(Vec<ParticipantId>, bool), Refusal> {
        let room = &self.room(conference)?.conference;
        if let Some(told) = told {
            let mut viewers = Vec::new();
            for (index, viewer) in told.iter().enumerate() {
                let wrong = |vi: &str, en: &str| Refusal::invalid(format!("for[{index}]"), vi, en);
                if *viewer == site {
                    return Err(wrong(
                        "không thể đưa một điểm cầu lên trước chính nó",
                        "a site cannot be brought before itself",
                    ));
                }
                if !room.present().contains(viewer) {
                    return Err(wrong(
                        "điểm cầu này không có trong phiên họp",
                        "this participant is not in the conference",
                    ));
                }
                if !self.sees(*viewer) {
                    return Err(wrong("điểm cầu này không nhận hình", "this participant takes no picture"));
                }
                if !viewers.contains(viewer) {
                    viewers.push(*viewer);
                }
            }
            if viewers.is_empty() {
                return Err(Refusal::invalid("for", "danh sách trống", "the list is empty"));
            }
            return Ok((viewers, false));
        }
        if let Some(chair) = room.chair().filter(|chair| *chair != site && self.sees(*chair)) {
            return Ok((vec![chair], false));
        }
        let viewers: Vec<ParticipantId> =
            room.present().iter().copied().filter(|id| *id != site && self.sees(*id)).collect();
        let viewers: Vec<ParticipantId> =
            viewers.into_iter().filter(|id| !self.links.is_upward(*id)).collect();
        if viewers.is_empty() {
            return Err(Refusal::Conflict(Words::new(
                "chưa có ai trong phiên họp để xem",
                "there is nobody in the conference to see it",
            )));
        }
        Ok((viewers, true))
    }

    /// Whether a participant is sent a picture.
    fn sees(&self, id: ParticipantId) -> bool {
        let negotiated = self.call_of(id).and_then(|(_, call)| call.negotiated.as_ref());
        negotiated.and_then(|n| n.video.as_ref()).is_some_and(|video| video.stream.send)
    }

    /// What there is to show and hear of a site whose call stands.
    fn connected_fact(&self, id: ParticipantId) -> Option<Fact> {
        let site = self.sites.get(id)?;
        let up = matches!(site.line, Line::Up(_));
        let connected = self.state_of(site.conference, id) == Some(State::Connected);
        let negotiated =
            self.call_of(id).and_then(|(_, call)| call.negotiated.as_ref()).filter(|_| up && connected)?;
        let hidden = self.rooms.get(&site.conference)?.conference.rights(id)?.video_hidden;
        let sound = negotiated.audio.as_ref().is_some_and(|audio| audio.stream.recv);
        Some(Fact::Connected { picture: sends_video(Some(negotiated)) && !hidden, sound })
    }

    /// The last command wins: what is under way for the same screens has failed.
    fn supersede(
        &mut self,
        now: Instant,
        conference: ConferenceId,
        viewers: &[ParticipantId],
        everybody: bool,
        by: &str,
        site: ParticipantId,
    ) {
        let name =
            self.rooms.get(&conference).and_then(|room| room.conference.find(site)).map(|s| s.name.clone());
        let name = name.unwrap_or_default();
        let words =
            Words::new(format!("{by} đã đưa {name} lên sau đó"), format!("{by} has brought up {name} since"));
        let same = |running: &Running| {
            running.operation.conference == conference
                && (everybody || running.everybody || running.operation.is_for_any(|v| viewers.contains(&v)))
        };
        for id in self.bringing.running(same) {
            self.fact(now, id, &Fact::Superseded(words.clone()));
        }
    }

    /// An operator has set a layout or a speaker himself.
    pub(super) fn layout_wins(
        &mut self,
        now: Instant,
        conference: ConferenceId,
        viewers: Option<&[ParticipantId]>,
    ) {
        let words = Words::new(
            "người điều khiển đã đổi bố cục hoặc điểm phát biểu sau đó",
            "an operator has changed the layout or the speaker since",
        );
        let same = |running: &Running| {
            running.operation.conference == conference
                && viewers.is_none_or(|viewers| running.operation.is_for_any(|v| viewers.contains(&v)))
        };
        for id in self.bringing.running(same) {
            self.fact(now, id, &Fact::Superseded(words.clone()));
        }
    }

    /// The cascade does not want this any more.
    pub(super) fn abandon(&mut self, now: Instant, tag: OperationId, superseded: bool) {
        let words = Words::new("không còn cần đến", "not wanted any more");
        for id in self.bringing.running(|running| running.tag == Some(tag)) {
            let words = words.clone();
            self.fact(now, id, &if superseded { Fact::Superseded(words) } else { Fact::Impossible(words) });
        }
    }

    /// A site's call stands.
    pub(super) fn site_connected(&mut self, now: Instant, site: ParticipantId) {
        let Some(fact) = self.connected_fact(site) else { return };
        for id in self.bringing.running(|running| running.operation.site == site) {
            self.fact(now, id, &fact);
        }
    }

    /// A site is gone, or lost and being called again (`called`).
    pub(super) fn site_lost(&mut self, now: Instant, site: ParticipantId, words: &Words, called: bool) {
        for id in self.bringing.running(|running| running.operation.site == site) {
            let waits = self.bringing.all.get(&id).is_some_and(|r| r.operation.waits_for_call());
            if !(called && waits) {
                self.fact(now, id, &Fact::SiteGone(words.clone()));
            }
        }
        for id in self.bringing.running(|running| running.operation.is_for_any(|viewer| viewer == site)) {
            self.fact(now, id, &Fact::ViewerGone(site));
        }
    }

    /// The mixer tells how far it is.
    pub(super) fn progress_of(&mut self, now: Instant, operation: u64, progress: Progress) {
        let fact = match progress {
            Progress::KeyFrame => Fact::KeyFrame,
            Progress::Sent { viewer, reports } => Fact::Sent(viewer, reports),
            Progress::Covered { viewer } => Fact::Covered(viewer),
            Progress::Hurt { viewer } => Fact::Hurt(viewer),
            Progress::Heard => Fact::Heard,
        };
        self.fact(now, OperationId(operation), &fact);
    }

    pub(super) fn time_operations(&mut self, now: Instant) {
        let due = |running: &Running| running.operation.poll_timeout().is_some_and(|at| at <= now);
        for id in self.bringing.running(due) {
            self.step(now, id, |operation| operation.handle_timeout(now));
        }
    }

    fn fact(&mut self, now: Instant, id: OperationId, fact: &Fact) {
        self.step(now, id, |operation| operation.handle(now, fact));
    }

    /// Lets an operation take a step, does what it wants, and tells when something has changed.
    fn step(&mut self, now: Instant, id: OperationId, step: impl FnOnce(&mut Operation) -> Vec<Wish>) {
        let Some(running) = self.bringing.all.get_mut(&id) else { return };
        let mut wishes: VecDeque<Wish> = step(&mut running.operation).into();
        while let Some(wish) = wishes.pop_front() {
            if let Some(fact) = self.fulfil(now, id, wish)
                && let Some(running) = self.bringing.all.get_mut(&id)
            {
                wishes.extend(running.operation.handle(now, &fact));
            }
        }
        let Some(running) = self.bringing.all.get_mut(&id) else { return };
        let shown = running.operation.snapshot(now);
        let steps = shown.steps.len() + usize::from(!running.operation.is_running());
        if steps != running.told {
            running.told = steps;
            let tell = if running.tag.is_some() { Body::Part } else { Body::Operation };
            self.notices.push(Some(shown.conference), tell(Box::new(shown)));
        }
    }

    /// Does what is wanted; what comes of it at once.
    fn fulfil(&mut self, now: Instant, id: OperationId, wish: Wish) -> Option<Fact> {
        let operation = &self.bringing.all.get(&id)?.operation;
        let (conference, site) = (operation.conference, operation.site);
        match wish {
            Wish::Dial => {
                if let Some(known) = self.sites.get_mut(site) {
                    known.dialled |= known.target.is_some();
                }
                self.call_again(now, site).err().map(|refusal| Fact::Impossible(refusal.words().clone()))
            }
            Wish::Prepare => {
                let viewers = operation.viewers.clone();
                let csrc = self.bringing.all.get(&id)?.csrc;
                self.open_sound(now, id, conference, site);
                let order = Mix::BringUp { operation: id.0, conference, site, viewers, csrc };
                self.media.command(conference, order);
                None
            }
            Wish::LayOut => Some(match self.lay_out(now, id) {
                Ok(()) => Fact::LaidOut,
                Err(refusal) => Fact::Impossible(refusal.words().clone()),
            }),
            Wish::PutBack => {
                self.put_back(now, id);
                None
            }
            Wish::Stop => {
                let end = Mix::EndBringUp { operation: id.0, conference };
                self.media.command(conference, end);
                None
            }
        }
    }

    /// The site is heard, and hears.
    fn open_sound(&mut self, now: Instant, id: OperationId, conference: ConferenceId, site: ParticipantId) {
        let Some(room) = self.rooms.get(&conference) else { return };
        let (snapshot, rights) =
            (room.conference.snapshot(), room.conference.rights(site).unwrap_or_default());
        if let Some(running) = self.bringing.all.get_mut(&id) {
            running.before = Some(Before { conference: snapshot, rights });
        }
        let patch = Patch { audio_muted: Some(false), deafened: Some(false), ..Patch::default() };
        self.internal(now, conference, Command::Patch { who: Who::One(site), patch });
    }

    /// The viewers see the site full screen, and a single viewer is seen by it. Where everybody looks at a layout that follows the
    /// speaker, the site becomes the speaker instead.
    fn lay_out(&mut self, now: Instant, id: OperationId) -> Result<(), Refusal> {
        let Some(running) = self.bringing.all.get(&id) else { return Ok(()) };
        let (conference, site) = (running.operation.conference, running.operation.site);
        let room = &self.room(conference)?.conference;
        let here: BTreeSet<ParticipantId> = room.present().iter().copied().collect();
        let viewers: Vec<ParticipantId> =
            running.operation.viewers.iter().copied().filter(|viewer| here.contains(viewer)).collect();
        let shown = room.snapshot();
        let follows = room.follows();
        let large = !shown.layout.is_equal() && shown.seats.iter().all(|seat| seat.seat != 0);
        if running.tag.is_some() {
            // Taken back by `LinkOrder::Release`.
            self.links.note_screens(conference, viewers.iter().copied().chain([site]));
        }
        if running.everybody && large && shown.layouts.is_empty() && !follows {
            return self.apply(now, conference, Command::SetSpeaker(Some(site)));
        }
        let full = |who: ParticipantId, viewers: Vec<ParticipantId>| {
            Command::SetLayout(SetLayout {
                seats: vec![(0, who)],
                viewers: Some(viewers),
                ..SetLayout::new(Kind::Full)
            })
        };
        let back = match viewers.as_slice() {
            [viewer] if self.links.part(site).is_none() => Some(full(*viewer, vec![site])),
            _ => None,
        };
        self.apply(now, conference, full(site, viewers))?;
        if let Some(back) = back {
            self.apply(now, conference, back)?;
        }
        Ok(())
    }

    /// Those who saw the site see what they saw before.
    fn put_back(&mut self, now: Instant, id: OperationId) {
        let Some(running) = self.bringing.all.get_mut(&id) else { return };
        let Some(Before { conference: before, rights }) = running.before.take() else { return };
        let (conference, site) = (running.operation.conference, running.operation.site);
        let Some(room) = self.rooms.get(&conference) else { return };
        let here: BTreeSet<ParticipantId> = room.conference.present().iter().copied().collect();
        let shown = room.conference.snapshot();
        let mut concerned = running.operation.viewers.clone();
        concerned.push(site);
        concerned.retain(|id| here.contains(id));
        let mut commands = vec![Command::ClearLayout(concerned.clone())];
        for scope in &before.layouts {
            let viewers: Vec<_> = scope.viewers.iter().copied().filter(|v| concerned.contains(v)).collect();
            if !viewers.is_empty() {
                commands.push(Command::SetLayout(kept::again(scope, viewers, |who| here.contains(&who))));
            }
        }
        if shown.speaker_named && shown.speaker == Some(site) {
            let named =
                before.speaker.filter(|who| before.speaker_named && here.contains(who) && *who != site);
            commands.push(Command::SetSpeaker(named));
        }
        if here.contains(&site) {
            let (audio_muted, deafened) = (Some(rights.audio_muted), Some(rights.deafened));
            let patch = Patch { audio_muted, deafened, ..Patch::default() };
            commands.push(Command::Patch { who: Who::One(site), patch });
        }
        for command in commands {
            self.internal(now, conference, command);
        }
    }
}
