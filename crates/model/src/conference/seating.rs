//! Who sits where: the pure choice, given who is there, who speaks, what is pinned and what turns.

use super::cycle::{Page, Ring, page};
use crate::id::{ParticipantId, Set};
use crate::layout::{AUDIENCE_MAX, Kind, Layout};
use crate::scene::Fit;
use crate::settings::Names;

/// A layout with its pinned and turning seats: of everybody, or of chosen viewers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    pub layout: Layout,
    /// Seat and who is pinned there; sorted, no seat and no participant twice.
    pub pins: Vec<(u16, ParticipantId)>,
    /// Seats that turn; never a pinned one, at most one ring without a seat of its own.
    pub rings: Vec<Ring>,
    pub names: Names,
    /// `None`: as the conference says.
    pub fit: Option<Fit>,
}

impl Choice {
    /// All seats automatic.
    pub fn new(layout: Layout, names: Names) -> Choice {
        let mut choice = Choice { layout, pins: Vec::new(), rings: Vec::new(), names, fit: None };
        choice.adapt();
        choice
    }

    /// Brings pins and rings in line with the layout: what has no seat there ends, the audience of a lecture turns.
    pub fn adapt(&mut self) {
        let seats = self.layout.max_seats();
        self.pins.retain(|(seat, _)| usize::from(*seat) < seats);
        self.rings.retain(|ring| ring.seat.is_none_or(|seat| usize::from(seat) < seats));
        if self.layout.kind == Kind::Lecture && self.rings.iter().all(|ring| ring.seat.is_some()) {
            self.rings.push(Ring::audience());
        }
    }

    pub fn pinned_at(&self, seat: usize) -> Option<ParticipantId> {
        self.pins.iter().find(|(at, _)| usize::from(*at) == seat).map(|(_, who)| *who)
    }

    fn is_pinned(&self, who: ParticipantId) -> bool {
        self.pins.iter().any(|(_, pinned)| *pinned == who)
    }

    /// Neither pinned nor turning by itself.
    fn is_automatic(&self, seat: usize) -> bool {
        self.pinned_at(seat).is_none() && !self.rings.iter().any(|ring| ring.is_at(seat))
    }

    /// One behind the highest seat that is not automatic.
    fn highest(&self) -> usize {
        let pins = self.pins.iter().map(|(seat, _)| *seat);
        let rings = self.rings.iter().filter_map(|ring| ring.seat);
        pins.chain(rings).max().map_or(0, |seat| usize::from(seat) + 1)
    }

    /// The ring of all automatic seats.
    fn common_ring(&self) -> Option<(usize, &Ring)> {
        self.rings.iter().enumerate().find(|(_, ring)| ring.seat.is_none())
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
    /// The speaker by voice.
    pub talking: Option<ParticipantId>,
    /// The chair.
    pub chair: Option<ParticipantId>,
}

/// Seats of a layout: for everybody, and for the one who would see himself in the large seat.
#[derive(Debug, PartialEq)]
pub(crate) struct Seats {
    pub general: Vec<Option<ParticipantId>>,
    /// Who sits in the large automatic seat, and what he sees instead. An empty `full` is "nobody else is here yet".
    pub own: Option<(ParticipantId, Vec<Option<ParticipantId>>)>,
    /// The rings, by their number in the choice, as they stand.
    pub pages: Vec<(usize, Page)>,
}

pub(crate) fn seats(choice: &Choice, floor: &Floor<'_>) -> Seats {
    match choice.layout.kind {
        Kind::Lecture => lecture(choice, floor),
        _ if choice.layout.is_equal() => equal(choice, floor),
        _ => by_voice(choice, floor),
    }
}

/// Everybody in order of joining. Where there are more sites than seats a named speaker takes the last automatic
/// seat if he would not be seen; the voice moves nobody here.
fn equal(choice: &Choice, floor: &Floor<'_>) -> Seats {
    let free = |who: &ParticipantId| !choice.is_pinned(*who);
    let unpinned = floor.joined.iter().copied().filter(free).count();
    let count = choice.layout.seats((unpinned + choice.pins.len()).max(choice.highest()));
    let mut table = Table::new(choice, count);
    table.turn_single(choice, floor);
    let mut queue: Vec<ParticipantId> =
        floor.joined.iter().copied().filter(|who| free(who) && !table.is_bound(*who)).collect();
    let automatic = table.automatic(choice);
    table.turn_common(choice, &mut queue, 0, automatic, floor);
    bring_into(&mut queue, floor.named, automatic);
    table.fill(choice, &queue);
    Seats { general: table.seats, own: None, pages: table.pages }
}

/// Automatic seats follow the voice: seat 0 (and the other large one of `2+8`, `pip` and `side-by-side`) shows who has the
/// floor and who had it before; the small ones stay as they are as far as can be, or turn.
fn by_voice(choice: &Choice, floor: &Floor<'_>) -> Seats {
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
    if choice.layout.mains() > 1 {
        bring(&mut queue, previous, 1);
    }
    let mut table = Table::new(choice, choice.layout.max_seats());
    // `full` has nothing but a large seat: there it is the one that turns.
    let turning = choice.layout.kind == Kind::Full && choice.common_ring().is_some();
    let mains =
        if turning { 0 } else { (0..choice.layout.mains()).filter(|s| choice.is_automatic(*s)).count() };
    table.bind(queue.iter().take(mains).copied());
    table.turn_single(choice, floor);
    let mut at = 0;
    queue.retain(|who| {
        at += 1;
        at <= mains || !table.is_bound(*who)
    });
    let automatic = table.automatic(choice);
    table.turn_common(choice, &mut queue, mains, automatic, floor);
    table.fill(choice, &queue);
    let general = table.seats;
    let own = if choice.is_automatic(0) && !turning {
        main.and_then(|main| {
            let Some(previous) = previous else {
                return (choice.layout.kind == Kind::Full).then(|| (main, vec![None]));
            };
            let trade = |seat: &Option<ParticipantId>| match *seat {
                Some(who) if who == main => Some(previous),
                Some(who) if who == previous && !choice.is_pinned(who) => Some(main),
                other => other,
            };
            Some((main, general.iter().map(trade).collect()))
        })
    } else {
        before_in_turn(choice, &general, &table.pages, turning)
    };
    Seats { general, own, pages: table.pages }
}

/// Whose turn it is in the large seat sees the one before.
fn before_in_turn(
    choice: &Choice,
    general: &[Option<ParticipantId>],
    pages: &[(usize, Page)],
    turning: bool,
) -> Option<(ParticipantId, Vec<Option<ParticipantId>>)> {
    let is_large = |ring: &Ring| ring.is_at(0) || turning && ring.seat.is_none();
    let (_, page) = pages.iter().find(|(at, _)| choice.rings.get(*at).is_some_and(is_large))?;
    let shown = general.first().copied().flatten()?;
    let before = page.before.filter(|before| !general.contains(&Some(*before)));
    if before.is_none() && choice.layout.kind != Kind::Full {
        return None;
    }
    let rest = general.iter().copied().skip(1);
    Some((shown, std::iter::once(before).chain(rest).collect()))
}

/// Everybody sees the lecturer; he sees the audience, and in it whoever speaks.
fn lecture(choice: &Choice, floor: &Floor<'_>) -> Seats {
    let is_there = |who: &ParticipantId| floor.joined.contains(who);
    let first = choice.pinned_at(0);
    let lecturer = first
        .or_else(|| [floor.named, floor.chair].into_iter().flatten().find(is_there))
        .or_else(|| floor.gallery.first().copied());
    let general = vec![lecturer];
    let free = |who: &ParticipantId| Some(*who) != lecturer && !choice.is_pinned(*who);
    let free_ones = floor.joined.iter().copied().filter(free).count();
    let pinned = choice.pins.iter().filter(|(seat, _)| *seat > 0).count();
    let count = (free_ones + pinned).max(choice.highest().saturating_sub(1)).min(AUDIENCE_MAX);
    // Seat 0 of the table stays empty: it is the lecturer's.
    let mut table = Table::new(choice, count + 1);
    table.bind(lecturer);
    table.turn_single(choice, floor);
    let mut queue: Vec<ParticipantId> =
        floor.joined.iter().copied().filter(|who| free(who) && !table.is_bound(*who)).collect();
    let automatic = (1..=count).filter(|seat| choice.is_automatic(*seat)).count();
    table.turn_common(choice, &mut queue, 0, automatic, floor);
    bring_into(&mut queue, floor.talking, automatic);
    let mut queue = queue.into_iter();
    for (seat, who) in table.seats.iter_mut().enumerate().skip(1) {
        if choice.is_automatic(seat) {
            *who = queue.next();
        }
    }
    let own = lecturer.map(|who| {
        let audience: Vec<_> = table.seats.iter().copied().skip(1).collect();
        // Who is pinned to seat 0 is not pinned a second time.
        (who, if audience.is_empty() { vec![None] } else { audience })
    });
    Seats { general, own, pages: table.pages }
}

/// Gives `who` the last of the first `seats` places unless he has one of them.
fn bring_into(queue: &mut [ParticipantId], who: Option<ParticipantId>, seats: usize) {
    if let Some(at) = who.and_then(|who| queue.iter().position(|other| *other == who))
        && at >= seats
        && seats > 0
    {
        queue.swap(at, seats - 1);
    }
}

/// Seats being filled.
struct Table {
    seats: Vec<Option<ParticipantId>>,
    pages: Vec<(usize, Page)>,
    /// Those who must not get another seat.
    bound: Vec<ParticipantId>,
}

impl Table {
    fn new(choice: &Choice, count: usize) -> Table {
        let seats = (0..count).map(|seat| choice.pinned_at(seat)).collect();
        Table { seats, pages: Vec::new(), bound: Vec::new() }
    }

    fn bind(&mut self, who: impl IntoIterator<Item = ParticipantId>) {
        self.bound.extend(who);
    }

    fn is_bound(&self, who: ParticipantId) -> bool {
        self.bound.contains(&who)
    }

    fn automatic(&self, choice: &Choice) -> usize {
        (0..self.seats.len()).filter(|seat| choice.is_automatic(*seat)).count()
    }

    /// The seats that turn through a list of their own; who is on a list gets no other small seat.
    fn turn_single(&mut self, choice: &Choice, floor: &Floor<'_>) {
        let mut listed = Vec::new();
        for (at, ring) in choice.rings.iter().enumerate() {
            let Some(seat) = ring.seat else { continue };
            let fits = |who: ParticipantId| {
                floor.joined.contains(&who) && !choice.is_pinned(who) && !self.is_bound(who)
            };
            let page = page(ring.list(floor.joined), ring.turn.at, 1, fits);
            if let Some(slot) = self.seats.get_mut(usize::from(seat)) {
                *slot = page.shown.first().copied();
                self.bound.extend(page.shown.iter().copied());
            }
            listed.extend(ring.cycle.who.iter().copied());
            self.pages.push((at, page));
        }
        self.bound.extend(listed);
    }

    /// Puts those whose turn it is behind the first `mains` of the queue, which has `seats` seats.
    fn turn_common(
        &mut self,
        choice: &Choice,
        queue: &mut Vec<ParticipantId>,
        mains: usize,
        seats: usize,
        floor: &Floor<'_>,
    ) {
        let Some((at, ring)) = choice.common_ring() else { return };
        let (large, small) = queue.split_at(mains.min(queue.len()));
        let can: Set<ParticipantId> = small.iter().copied().collect();
        let places = seats.saturating_sub(mains);
        let page = page(ring.list(floor.joined), ring.turn.at, places, |who| can.contains(&who));
        let shown: Set<ParticipantId> = page.shown.iter().copied().collect();
        let others = small.iter().copied().filter(|who| !shown.contains(who));
        *queue = large.iter().copied().chain(page.shown.iter().copied()).chain(others).collect();
        self.pages.push((at, page));
    }

    /// The queue into the automatic seats.
    fn fill(&mut self, choice: &Choice, queue: &[ParticipantId]) {
        let mut queue = queue.iter().copied();
        for (seat, who) in self.seats.iter_mut().enumerate() {
            if choice.is_automatic(seat) {
                *who = queue.next();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(list: &[u64]) -> Vec<ParticipantId> {
        list.iter().copied().map(ParticipantId).collect()
    }

    fn automatic(kind: &str) -> Choice {
        Choice::new(kind.parse::<Kind>().unwrap().into(), Names::Auto)
    }

    fn table(kind: &str, pins: &[(u16, u64)], gallery: &[u64], history: &[u64]) -> Seats {
        let joined = {
            let mut joined = ids(gallery);
            joined.sort();
            joined
        };
        let mut choice = automatic(kind);
        choice.pins = pins.iter().map(|(seat, who)| (*seat, ParticipantId(*who))).collect();
        seats(
            &choice,
            &Floor {
                joined: &joined,
                gallery: &ids(gallery),
                history: &ids(history),
                named: None,
                talking: None,
                chair: None,
            },
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
        let floor = Floor {
            joined: &ids(&[1, 2, 3]),
            gallery: &[],
            history: &[],
            named: Some(ParticipantId(3)),
            talking: None,
            chair: None,
        };
        assert_eq!(row(&seats(&automatic("2x1"), &floor).general), [1, 3]);
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
        assert_eq!(row(&table("pip", &[], &[3, 1, 2], &[3, 2]).general), [3, 2]);
        assert_eq!(own(&table("pip", &[], &[3, 1, 2], &[3, 2])), (3, vec![2, 3]));
        assert_eq!(row(&table("2+8", &[], &[3, 1, 2], &[3, 2]).general), [3, 2, 1, 0, 0, 0, 0, 0, 0, 0]);
    }
}
