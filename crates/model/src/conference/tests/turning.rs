//! Seats that turn, lectures, layouts of files, seats kept for lost sites.

use super::*;
use crate::command::Cycle;
use crate::layout::{Custom, Equipment, Kind, Layouts, Name, Piece, Share};
use crate::scene::Fit;

fn cycle(seconds: u64, who: &[u64]) -> Cycle {
    Cycle { period: Duration::from_secs(seconds), who: who.iter().copied().map(p).collect() }
}

fn turning(kind: &str, common: Option<Cycle>, single: &[(u16, Cycle)]) -> Command {
    Command::SetLayout(SetLayout {
        cycle: common,
        cycles: single.to_vec(),
        ..SetLayout::new(kind.parse().unwrap())
    })
}

impl Meeting {
    /// Lets time pass; the events.
    fn wait(&mut self, ms: u64) -> Vec<Event> {
        let end = self.now + Duration::from_millis(ms);
        let mut events = Vec::new();
        while let Some(due) = self.conference.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            events.extend(self.conference.handle_timeout(self.now));
        }
        self.now = end;
        events
    }

    fn prepared(&self, n: u64) -> Vec<u64> {
        self.scene_of(n).prepare.iter().map(|who| who.0).collect()
    }
}

#[test]
fn a_grid_turns_its_pages_and_gets_the_next_ones_ready() {
    let mut meeting = Meeting::new("2x2", 6);
    meeting.done(turning("2x2", Some(cycle(10, &[])), &[]));
    assert_eq!((meeting.sees(1), meeting.prepared(1)), (vec![1, 2, 3, 4], vec![]));
    assert_eq!(meeting.wait(8_400), []);
    assert!(meeting.wait(200).contains(&Event::Scenes), "1.5 s before");
    assert_eq!((meeting.sees(1), meeting.prepared(1)), (vec![1, 2, 3, 4], vec![5, 6]));
    meeting.wait(1_400);
    assert_eq!((meeting.sees(1), meeting.prepared(1)), (vec![5, 6, 1, 2], vec![]));
    meeting.wait(10_000);
    assert_eq!(meeting.sees(1), [3, 4, 5, 6]);
    // Who leaves and comes shifts nobody else's turn.
    meeting.leave(2);
    assert_eq!(meeting.sees(1), [3, 4, 5, 6]);
    meeting.join(7, "Site 7");
    assert_eq!(meeting.sees(1), [3, 4, 5, 6]);
    meeting.wait(10_000);
    assert_eq!(meeting.sees(1), [7, 1, 3, 4]);
    // When all have a seat nothing turns.
    meeting.leave(5);
    meeting.leave(6);
    meeting.wait(60_000);
    assert_eq!(meeting.sees(1), [1, 3, 4, 7]);
    assert_eq!(meeting.conference.snapshot().cycle.unwrap().period_s, 10);
    meeting.layout("2x2", &[], None).unwrap();
    assert_eq!(meeting.conference.snapshot().cycle, None, "a new layout does not turn unless asked to");
}

#[test]
fn the_large_seat_follows_the_voice_while_the_small_ones_turn() {
    let mut meeting = Meeting::new("grid", 9);
    meeting.done(turning("1+5", Some(cycle(5, &[])), &[]));
    meeting.speaks(4);
    assert_eq!(meeting.sees(1), [4, 1, 2, 3, 5, 6]);
    meeting.wait(5_000);
    assert_eq!(meeting.sees(1), [4, 7, 8, 9, 1, 2]);
    assert_eq!(meeting.sees(4)[0], 1, "the speaker sees the one before");
}

#[test]
fn full_screen_turns_through_a_list_and_nobody_looks_at_himself() {
    let mut meeting = Meeting::new("grid", 5);
    meeting.done(turning("full", Some(cycle(3, &[4, 2, 5])), &[]));
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push([1, 2, 4, 5].map(|n| meeting.sees(n)[0]));
        meeting.wait(3_000);
    }
    assert_eq!(seen, [[4, 4, 5, 4], [2, 4, 2, 2], [5, 5, 5, 2], [4, 4, 5, 4]]);
}

#[test]
fn one_seat_turns_through_its_list_and_the_list_has_no_other_seat() {
    let mut meeting = Meeting::new("grid", 7);
    meeting.done(turning("2x2", None, &[(3, cycle(4, &[6, 7]))]));
    assert_eq!(meeting.sees(1), [1, 2, 3, 6]);
    meeting.wait(4_000);
    assert_eq!(meeting.sees(1), [1, 2, 3, 7]);
    let seats = serde_json::to_value(meeting.conference.snapshot().seats).unwrap();
    assert_eq!(seats, serde_json::json!([{"seat":3,"cycle":{"period_s":4,"participants":["p6","p7"]}}]));
    meeting.leave(7);
    assert_eq!(meeting.sees(1), [1, 2, 3, 6]);
    meeting.leave(6);
    assert_eq!(meeting.sees(1), [1, 2, 3, 4], "automatic again when the list is empty");
}

#[test]
fn cycles_that_make_no_sense_are_refused() {
    let mut meeting = Meeting::new("grid", 3);
    let mut refused = |command| match meeting.apply(command) {
        Err(Refusal::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(turning("2x2", Some(cycle(5, &[1, 9])), &[])), "cycle.participants[1]");
    assert_eq!(refused(turning("2x2", Some(cycle(5, &[1, 1])), &[])), "cycle.participants[1]");
    assert_eq!(refused(turning("2x2", None, &[(7, cycle(5, &[1]))])), "seats");
    assert_eq!(refused(turning("2x2", None, &[(1, cycle(5, &[1])), (1, cycle(5, &[2]))])), "seats");
    assert_eq!(refused(turning("2x2", None, &[(1, cycle(5, &[]))])), "seats[0].cycle.participants");
    let body: crate::body::Layout =
        serde_json::from_str(r#"{"layout":"full","cycle":{"period_s":2}}"#).unwrap();
    assert!(
        matches!(SetLayout::try_from(body), Err(Refusal::Invalid { field, .. }) if field == "cycle.period_s")
    );
}

#[test]
fn the_audience_sees_the_lecturer_and_he_sees_the_audience_turn() {
    let mut meeting = Meeting::new("lecture", 20);
    meeting.done(Command::SetSpeaker(Some(p(3))));
    assert_eq!((meeting.sees(1), meeting.sees(20)), (vec![3], vec![3]));
    assert_eq!(meeting.scene_of(1).kind, Kind::Full);
    let audience = meeting.scene_of(3);
    assert_eq!((audience.kind, audience.tiles.len()), (Kind::Grid, 16));
    let mut first: Vec<u64> = (1..=17).filter(|n| *n != 3).collect();
    assert_eq!(meeting.sees(3), first);
    meeting.wait(8_600);
    assert_eq!((meeting.prepared(3), meeting.prepared(1)), (vec![18, 19, 20], vec![]));
    meeting.wait(1_400);
    assert_eq!(meeting.sees(3)[..4], [18, 19, 20, 1]);
    // Who asks a question is seen at once.
    meeting.speaks(17);
    assert_eq!(meeting.conference.speaker(), Some(p(3)), "the lecturer stays the lecturer");
    assert!(meeting.sees(3).contains(&17));
    // Another lecturer.
    meeting.done(Command::SetSpeaker(Some(p(1))));
    assert_eq!((meeting.sees(3), meeting.sees(2)), (vec![1], vec![1]));
    first.clear();
    assert_eq!(meeting.scene_of(1).tiles.len(), 16);
}

#[test]
fn without_a_named_lecturer_it_is_the_chair_and_then_the_voice() {
    let mut settings = Settings::new("8000").unwrap();
    settings.layout = Kind::Lecture;
    settings.chair = Some("Site 2".into());
    let mut meeting = Meeting::with(settings, 3);
    assert_eq!((meeting.sees(1), meeting.sees(2)), (vec![2], vec![1, 3]));
    meeting.leave(2);
    meeting.speaks(3);
    assert_eq!((meeting.sees(1), meeting.sees(3)), (vec![3], vec![1]));
    meeting.leave(1);
    assert_eq!(meeting.scene_of(3).tiles[0].card, Card::Waiting);
}

fn equipment(tiles: &[(u16, u16, u16, u16)]) -> Command {
    let pieces = tiles
        .iter()
        .map(|&(x, y, w, h)| Piece { share: Share { x, y, w, h }, fit: (x == 0).then_some(Fit::Fill) });
    let custom = Custom::new(Name::new("giao-ban").unwrap(), None, (1, 2, 3), pieces.collect()).unwrap();
    Command::Equipment(Arc::new(Equipment { layouts: Layouts::from_iter([custom]), logo: true }))
}

#[test]
fn layouts_of_files_have_seats_that_follow_the_voice_and_end_with_their_file() {
    let mut meeting = Meeting::new("grid", 4);
    let unknown = meeting.layout("giao-ban", &[], None).unwrap_err();
    assert!(matches!(unknown, Refusal::Invalid { field, .. } if field == "layout"));
    meeting.done(equipment(&[(0, 0, 7000, 7000), (7000, 0, 3000, 3000), (7000, 3000, 3000, 3000)]));
    meeting.layout("giao-ban", &[(2, 1)], None).unwrap();
    meeting.speaks(3);
    assert_eq!((meeting.sees(2), meeting.sees(3)), (vec![3, 2, 1], vec![2, 3, 1]));
    let scene = meeting.scene_of(2);
    assert_eq!(scene.rects((1280, 720))[1].x, 896);
    assert_eq!(scene.tiles.iter().map(|tile| tile.fit).collect::<Vec<_>>(), [Fit::Fill, Fit::Fit, Fit::Fit]);
    assert!(scene.ornaments.logo);
    assert!(matches!(meeting.layout("giao-ban", &[(3, 1)], None), Err(Refusal::Invalid { .. })));
    // All alike: everybody in order of joining.
    meeting.done(equipment(&[(0, 0, 5000, 5000), (5000, 0, 5000, 5000), (0, 5000, 5000, 5000)]));
    assert_eq!(meeting.sees(2), [2, 3, 1]);
    meeting.done(Command::Equipment(Arc::default()));
    assert_eq!((meeting.conference.settings().layout, meeting.sees(2)), (Kind::Grid, vec![2, 3, 1, 4]));
}

#[test]
fn a_lost_site_keeps_its_seat_and_shows_why() {
    let mut meeting = Meeting::new("1+5", 4);
    meeting.layout("1+5", &[(2, 4)], None).unwrap();
    meeting.speaks(2);
    let before = meeting.sees(1);
    meeting.done(Command::State(p(4), State::Reconnecting));
    meeting.done(Command::State(p(2), State::Reconnecting));
    assert_eq!(meeting.sees(1), before);
    let tile = meeting.scene_of(1).tiles[2].clone();
    assert_eq!((tile.card, tile.site.as_deref()), (Card::Reconnecting, Some("Site 4")));
    assert!(!meeting.scene_of(1).pictures().any(|who| who == p(4) || who == p(2)));
    meeting.done(Command::State(p(4), State::Connected));
    assert_eq!(meeting.scene_of(1).tiles[2].card, Card::Picture);
    assert_eq!(meeting.sees(1), before);
}

#[test]
fn how_pictures_are_placed_is_said_by_the_layout_or_by_the_conference() {
    let mut meeting = Meeting::new("grid", 2);
    let fill = |meeting: &mut Meeting, fit: &str| {
        let patch = crate::body::Patch { fit: Some(fit.into()), ..Default::default() };
        let settings = meeting.conference.settings().patched(patch).unwrap();
        meeting.done(Command::Settings(settings))
    };
    assert!(fill(&mut meeting, "fill").contains(&Event::Scenes));
    assert_eq!(meeting.scene_of(1).tiles[0].fit, Fit::Fill);
    let own = SetLayout { fit: Some(Fit::Fit), viewers: Some(vec![p(1)]), ..SetLayout::new(Kind::Grid) };
    meeting.done(Command::SetLayout(own));
    assert_eq!((meeting.scene_of(1).tiles[0].fit, meeting.scene_of(2).tiles[0].fit), (Fit::Fit, Fit::Fill));
}
