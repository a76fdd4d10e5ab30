//! Who sits where: the pure choice, given who is there, who speaks and what is pinned.

use crate::id::ParticipantId;
use crate::layout::Kind;
use crate::settings::Names;

/// A layout with its pinned seats: of everybody, or of chosen viewers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub kind: Kind,
    /// Seat and who is pinned there; sorted, no seat and no participant twice.
    pub pins: Vec<(u16, ParticipantId)>,
    pub names: Names,
}

impl Choice {
    pub fn pinned_at(&self, seat: usize) -> Option<ParticipantId> {
        self.pins.iter().find(|(at, _)| usize::from(*at) == seat).map(|(_, who)| *who)
    }

    fn is_pinned(&self, who: ParticipantId) -> bool {
        self.pins.iter().any(|(_, pinned)| *pinned == who)
    }
}

/// What the choice is made from.
pub(crate) struct Floor<'a> {
    /// Those who may be seated (present, not hidden), in order of joining.
    pub joined: &'a [ParticipantId],
    /// The same ones in order of importance: who has the floor first, then stable (see [`super::floor`]).
    pub gallery: &'a [ParticipantId],
    /// Those of them who had the floor, the latest first.
    pub history: &'a [ParticipantId],
    /// The speaker named by the operator.
    pub named: Option<ParticipantId>,
}

/// Seats of a layout: for everybody, and for the one who would see himself in the large seat.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seats {
    pub general: Vec<Option<ParticipantId>>,
    /// Who sits in the large automatic seat, and what he sees instead. An empty `full` is "nobody else is here yet".
    pub own: Option<(ParticipantId, Vec<Option<ParticipantId>>)>,
}

pub(crate) fn seats(choice: &Choice, floor: &Floor<'_>) -> Seats {
    if choice.kind.is_equal() { equal(choice, floor) } else { by_voice(choice, floor) }
}

/// Everybody in order of joining. Where there are more sites than seats a named speaker takes the last automatic
/// seat if he would not be seen; the voice moves nobody here.
fn equal(choice: &Choice, floor: &Floor<'_>) -> Seats {
    let mut queue: Vec<ParticipantId> =
        floor.joined.iter().copied().filter(|who| !choice.is_pinned(*who)).collect();
    let highest = choice.pins.last().map_or(0, |(seat, _)| usize::from(*seat) + 1);
    let count = choice.kind.seats((queue.len() + choice.pins.len()).max(highest));
    let automatic = (0..count).filter(|seat| choice.pinned_at(*seat).is_none()).count();
    if let Some(at) = floor.named.and_then(|named| queue.iter().position(|who| *who == named))
        && at >= automatic
        && automatic > 0
    {
        queue.swap(at, automatic - 1);
    }
    Seats { general: fill(choice, count, &queue), own: None }
}

/// Automatic seats follow the voice: seat 0 (and the other large one of `2+8` and `side-by-side`) shows who has the
/// floor and who had it before; the small ones stay as they are as far as can be.
fn by_voice(choice: &Choice, floor: &Floor<'_>) -> Seats {
    let count = choice.kind.max_seats();
    let free = |who: &ParticipantId| !choice.is_pinned(*who);
    let mut queue: Vec<ParticipantId> = floor.gallery.iter().copied().filter(free).collect();
    let recent =
        |not: Option<ParticipantId>| floor.history.iter().copied().find(|who| free(who) && Some(*who) != not);
    let bring = |queue: &mut Vec<ParticipantId>, who: Option<ParticipantId>, to: usize| {
        if let Some(from) = who.and_then(|who| queue.iter().position(|other| *other == who))
            && from > to
        {
            queue.swap(from, to);
        }
    };
    // Who has the floor may be pinned to a small seat: then the large one shows who had it before.
    if floor.gallery.first() != queue.first() {
        bring(&mut queue, recent(None), 0);
    }
    let main = queue.first().copied();
    let previous = recent(main).or_else(|| queue.get(1).copied());
    if matches!(choice.kind, Kind::SideBySide | Kind::TwoPlus8) {
        bring(&mut queue, previous, 1);
    }
    let general = fill(choice, count, &queue);
    let own = main.filter(|_| choice.pinned_at(0).is_none()).and_then(|main| {
        let Some(previous) = previous else {
            return (choice.kind == Kind::Full).then(|| (main, vec![None]));
        };
        let trade = |seat: &Option<ParticipantId>| match *seat {
            Some(who) if who == main => Some(previous),
            Some(who) if who == previous && !choice.is_pinned(who) => Some(main),
            other => other,
        };
        Some((main, general.iter().map(trade).collect()))
    });
    Seats { general, own }
}

/// Pinned ones in their seats, the queue in the others.
fn fill(choice: &Choice, count: usize, queue: &[ParticipantId]) -> Vec<Option<ParticipantId>> {
    let mut queue = queue.iter().copied();
    (0..count).map(|seat| choice.pinned_at(seat).or_else(|| queue.next())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(list: &[u64]) -> Vec<ParticipantId> {
        list.iter().copied().map(ParticipantId).collect()
    }

    fn table(kind: &str, pins: &[(u16, u64)], gallery: &[u64], history: &[u64]) -> Seats {
        let joined = {
            let mut joined = ids(gallery);
            joined.sort();
            joined
        };
        let choice = Choice {
            kind: kind.parse().unwrap(),
            pins: pins.iter().map(|(seat, who)| (*seat, ParticipantId(*who))).collect(),
            names: Names::Auto,
        };
        seats(
            &choice,
            &Floor { joined: &joined, gallery: &ids(gallery), history: &ids(history), named: None },
        )
    }

    fn row(seats: &[Option<ParticipantId>]) -> Vec<u64> {
        seats.iter().map(|who| who.map_or(0, |who| who.0)).collect()
    }

    fn own(seats: &Seats) -> (u64, Vec<u64>) {
        let (who, seats) = seats.own.as_ref().unwrap();
        (who.0, row(seats))
    }

    #[test]
    fn equal_layouts_show_everybody_in_order_of_joining() {
        assert_eq!(row(&table("grid", &[], &[3, 1, 2], &[3]).general), [1, 2, 3]);
        assert_eq!(row(&table("2x2", &[], &[3, 1, 2], &[3]).general), [1, 2, 3, 0]);
        assert_eq!(row(&table("2x1", &[], &[3, 1, 2], &[3]).general), [1, 2]);
        assert_eq!(row(&table("2x2", &[(1, 3)], &[1, 2, 3, 4, 5], &[]).general), [1, 3, 2, 4]);
        assert_eq!(row(&table("grid", &[(4, 1)], &[1, 2], &[]).general), [2, 0, 0, 0, 1]);
        assert_eq!(table("grid", &[], &[1], &[]).own, None);
    }

    #[test]
    fn a_named_speaker_is_seen_even_where_seats_are_few() {
        let choice = Choice { kind: "2x1".parse().unwrap(), pins: vec![], names: Names::Auto };
        let floor =
            Floor { joined: &ids(&[1, 2, 3]), gallery: &[], history: &[], named: Some(ParticipantId(3)) };
        assert_eq!(row(&seats(&choice, &floor).general), [1, 3]);
    }

    #[test]
    fn full_shows_the_speaker_and_the_speaker_the_previous_one() {
        let seats = table("full", &[], &[3, 1, 2], &[3, 2]);
        assert_eq!(row(&seats.general), [3]);
        assert_eq!(own(&seats), (3, vec![2]));
        assert_eq!(own(&table("full", &[], &[7], &[])), (7, vec![0]));
        assert_eq!(table("full", &[(0, 1)], &[3, 1, 2], &[3, 2]).own, None);
    }

    #[test]
    fn one_plus_five_trades_seats_with_the_previous_speaker() {
        let seats = table("1+5", &[], &[3, 2, 1, 4, 5, 6, 7], &[3, 1]);
        assert_eq!(row(&seats.general), [3, 2, 1, 4, 5, 6]);
        assert_eq!(own(&seats), (3, vec![1, 2, 3, 4, 5, 6]));
        // The previous speaker has no small seat: nobody is shown twice all the same.
        assert_eq!(own(&table("1+5", &[], &[3, 2, 1, 4, 5, 6, 7], &[3, 7])), (3, vec![7, 2, 1, 4, 5, 6]));
    }

    #[test]
    fn pinned_seats_stay_and_the_large_one_never_repeats_them() {
        let seats = table("1+5", &[(2, 3)], &[3, 2, 1, 4], &[3, 1]);
        assert_eq!(row(&seats.general), [1, 2, 3, 4, 0, 0]);
        assert_eq!(own(&seats), (1, vec![2, 1, 3, 4, 0, 0]));
    }

    #[test]
    fn layouts_with_two_large_seats_show_the_last_two_voices() {
        assert_eq!(row(&table("side-by-side", &[], &[3, 1, 2], &[3, 2]).general), [3, 2]);
        assert_eq!(row(&table("2+8", &[], &[3, 1, 2], &[3, 2]).general), [3, 2, 1, 0, 0, 0, 0, 0, 0, 0]);
    }
}
