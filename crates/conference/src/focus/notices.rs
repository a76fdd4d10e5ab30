//! The queue of notices, and the brake on levels.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use cau_model::{ConferenceId, ParticipantId};

use super::Room;
use crate::notice::{Body, Change, Notice};

/// Most notices that wait.
const MAX: usize = 65_536;
/// A participant's level is told at most so often …
const LEVEL_EVERY: Duration = Duration::from_millis(500);
/// … and what is measured of his line, when nothing else changes, so often.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Refused calls told per second; a scanner makes hundreds.
const REFUSED_PER_SECOND: u32 = 20;
/// Smaller changes of a level are not told, dB.
const LEVEL_STEP: u8 = 3;

#[derive(Debug, Default)]
pub(super) struct Notices {
    queue: VecDeque<Notice>,
    lost: u64,
    /// Refused calls told since then.
    refused: Option<(Instant, u32)>,
    /// What was told of a participant's level, and when.
    told: HashMap<ParticipantId, Told>,
    /// What is to be told later.
    due: BTreeSet<(Instant, ParticipantId)>,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    at: Instant,
    level_dbov: i8,
    speaking: bool,
    conference: ConferenceId,
    due: Option<Instant>,
}

impl Notices {
    pub(super) fn push(&mut self, conference: Option<ConferenceId>, body: Body) {
        if self.queue.len() >= MAX {
            self.lost += 1;
            return;
        }
        self.queue.push_back(Notice { conference, body });
    }

    /// A call was refused: told, unless there are too many of them; then lost and counted.
    pub(super) fn refused(&mut self, now: Instant, body: Body) {
        let second = Duration::from_secs(1);
        let (since, count) = self
            .refused
            .filter(|(since, _)| now.saturating_duration_since(*since) < second)
            .unwrap_or((now, 0));
        self.refused = Some((since, count + 1));
        if count < REFUSED_PER_SECOND {
            self.push(None, body);
        } else {
            self.lost += 1;
        }
    }

    pub(super) fn poll(&mut self) -> Option<Notice> {
        self.queue.pop_front()
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// A participant as it is now.
    pub(super) fn participant(&mut self, now: Instant, room: &Room, id: ParticipantId, change: Change) {
        let Some(participant) = room.conference.participant(id) else { return };
        if change == Change::Left {
            if let Some(Told { due: Some(due), .. }) = self.told.remove(&id) {
                self.due.remove(&(due, id));
            }
        } else {
            self.tell(now, room.conference.id(), id, &participant.audio);
        }
        self.push(
            Some(room.conference.id()),
            Body::Participant { change, participant: Box::new(participant) },
        );
    }

    /// Level or line of a participant changed: told now, later, or not at all.
    pub(super) fn level(&mut self, now: Instant, room: &Room, id: ParticipantId) {
        let Some(site) = room.conference.find(id) else { return };
        let Some(told) = self.told.get_mut(&id) else { return };
        let audio = &site.audio;
        let louder = audio.level_dbov.abs_diff(told.level_dbov) >= LEVEL_STEP;
        let every = if louder || audio.speaking != told.speaking { LEVEL_EVERY } else { LINE_EVERY };
        let at = told.at + every;
        if at <= now {
            self.participant(now, room, id, Change::Level);
        } else if told.due.is_none_or(|due| at < due) {
            if let Some(due) = told.due.replace(at) {
                self.due.remove(&(due, id));
            }
            self.due.insert((at, id));
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, rooms: &BTreeMap<ConferenceId, Room>) {
        while let Some((_, id)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.pop_first();
            let Some(told) = self.told.get_mut(&id) else { continue };
            told.due = None;
            if let Some(room) = rooms.get(&told.conference) {
                self.participant(now, room, id, Change::Level);
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    fn tell(
        &mut self,
        now: Instant,
        conference: ConferenceId,
        id: ParticipantId,
        audio: &cau_model::snapshot::Audio,
    ) {
        let (level_dbov, speaking) = (audio.level_dbov, audio.speaking);
        let told = Told { at: now, level_dbov, speaking, conference, due: None };
        if let Some(Told { due: Some(due), .. }) = self.told.insert(id, told) {
            self.due.remove(&(due, id));
        }
    }
}
