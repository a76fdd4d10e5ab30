//! Seats that turn: whose turn it is, who is next, and when.

use std::time::{Duration, Instant};

use crate::command::Cycle;
use crate::id::ParticipantId;

/// Who is next is decoded so long before he is shown: a device takes up to a second to send a key frame.
pub(crate) const PREPARE: Duration = Duration::from_millis(1500);
/// The audience of a lecture turns so often when nothing else was said.
const AUDIENCE: Duration = Duration::from_secs(10);

/// Seats that turn, and where they stand. Two are equal when they were set alike, wherever they have turned to.
#[derive(Debug, Clone)]
pub(crate) struct Ring {
    /// Which; `None`: all automatic ones but those that follow the voice.
    pub seat: Option<u16>,
    pub cycle: Cycle,
    pub turn: Turn,
}

/// Where a ring stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Turn {
    /// Place in the list of the first one shown.
    pub at: usize,
    /// When it turns; `None` while all have a seat.
    pub due: Option<Instant>,
    /// The next ones get ready.
    pub preparing: bool,
    /// What comes next, as of the last staging.
    pub next: (usize, Vec<ParticipantId>),
}

impl PartialEq for Ring {
    fn eq(&self, other: &Ring) -> bool {
        self.seat == other.seat && self.cycle == other.cycle
    }
}

impl Ring {
    pub fn new(seat: Option<u16>, cycle: Cycle) -> Ring {
        Ring { seat, cycle, turn: Turn::default() }
    }

    /// That of a lecture.
    pub fn audience() -> Ring {
        Ring::new(None, Cycle { period: AUDIENCE, who: Vec::new() })
    }

    /// It is the ring of this one seat.
    pub fn is_at(&self, seat: usize) -> bool {
        self.seat.is_some_and(|own| usize::from(own) == seat)
    }

    /// Those it turns through, and those who have no seat at the moment, too.
    pub fn list<'a>(&'a self, joined: &'a [ParticipantId]) -> &'a [ParticipantId] {
        if self.cycle.who.is_empty() { joined } else { &self.cycle.who }
    }

    /// A site is gone; `joined`: its place among those who joined. The others keep their places. False when nobody is left
    /// on the ring's own list.
    pub fn leave(&mut self, who: ParticipantId, joined: Option<usize>) -> bool {
        let listed = self.cycle.who.iter().position(|other| *other == who);
        let place = if self.cycle.who.is_empty() { joined } else { listed };
        if place.is_some_and(|place| place < self.turn.at) {
            self.turn.at -= 1;
        }
        self.cycle.who.retain(|other| *other != who);
        listed.is_none() || !self.cycle.who.is_empty()
    }

    /// Takes in how it was staged.
    pub fn staged(&mut self, now: Instant, page: Page) {
        let turn = &mut self.turn;
        if page.turning {
            turn.due.get_or_insert(now + self.cycle.period);
        } else {
            (turn.due, turn.preparing) = (None, false);
        }
        turn.next = page.next;
    }

    /// When [`Ring::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = self.turn.due?;
        Some(if self.turn.preparing { due } else { due - PREPARE.min(self.cycle.period) })
    }

    /// Turns, or lets the next ones get ready; true when it did.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        let Some(due) = self.turn.due.filter(|_| self.poll_timeout().is_some_and(|at| at <= now)) else {
            return false;
        };
        self.turn.preparing = due > now;
        if due <= now {
            self.turn.at = self.turn.next.0;
            // Even steps; after a pause it does not hurry after.
            let next = due + self.cycle.period;
            self.turn.due = Some(if next > now { next } else { now + self.cycle.period });
        }
        true
    }
}

/// Who of a list is shown at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub shown: Vec<ParticipantId>,
    /// The one before the first of them, when there are more than can be shown.
    pub before: Option<ParticipantId>,
    /// Where the next page begins, and who is on it and not on this one.
    pub next: (usize, Vec<ParticipantId>),
    /// There are more than can be shown.
    pub turning: bool,
}

/// `seats` of those of `list` who fit, from place `at` on, round and round.
pub(crate) fn page(
    list: &[ParticipantId],
    at: usize,
    seats: usize,
    fits: impl Fn(ParticipantId) -> bool,
) -> Page {
    let all: Vec<(usize, ParticipantId)> =
        list.iter().copied().enumerate().filter(|(_, who)| fits(*who)).collect();
    if all.len() <= seats || seats == 0 {
        let shown = if seats == 0 { Vec::new() } else { all.into_iter().map(|(_, who)| who).collect() };
        return Page { shown, before: None, next: (at, Vec::new()), turning: false };
    }
    let first = all.iter().position(|(place, _)| *place >= at).unwrap_or(0);
    let turn = |from: usize| all.iter().copied().cycle().skip(from % all.len()).take(seats);
    let shown: Vec<ParticipantId> = turn(first).map(|(_, who)| who).collect();
    let next_at = turn(first + seats).next().map_or(0, |(place, _)| place);
    let next = turn(first + seats).map(|(_, who)| who).filter(|who| !shown.contains(who)).collect();
    let before = all.get((first + all.len() - 1) % all.len()).map(|(_, who)| *who);
    Page { before: before.filter(|who| !shown.contains(who)), shown, next: (next_at, next), turning: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(list: &[u64]) -> Vec<ParticipantId> {
        list.iter().copied().map(ParticipantId).collect()
    }

    #[test]
    fn pages_go_round_and_leave_out_who_does_not_fit() {
        let list = ids(&[1, 2, 3, 4, 5]);
        let mut at = 0;
        let mut seen = Vec::new();
        for _ in 0..4 {
            let page = page(&list, at, 2, |who| who != ParticipantId(3));
            seen.push(page.shown.iter().map(|who| who.0).collect::<Vec<_>>());
            at = page.next.0;
        }
        assert_eq!(seen, [[1, 2], [4, 5], [1, 2], [4, 5]]);
        let all = page(&list, 3, 9, |_| true);
        assert_eq!((all.shown.len(), all.turning), (5, false));
        assert_eq!(page(&list, 4, 2, |_| true).shown, ids(&[5, 1]));
        assert_eq!(page(&list, 4, 2, |_| true).before, Some(ParticipantId(4)));
        assert_eq!(page(&[], 4, 2, |_| true).shown, ids(&[]));
    }
}
