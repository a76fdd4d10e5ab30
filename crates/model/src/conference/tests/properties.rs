//! Whatever operators, voices and lines do in whatever order, what everybody sees makes sense.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::command::Cycle;
use crate::ornament::{Edge, Message, Motion};
use crate::sound::Trouble;

#[derive(Debug, Clone)]
enum Act {
    Join(u64, bool),
    Leave(u64),
    Layout(&'static str, Vec<(u16, u64)>, Option<Vec<u64>>),
    Speaker(Option<u64>),
    Hide(u64, bool),
    MuteAll(bool),
    Rename(u64, &'static str),
    Voice(u64, bool),
    Video(u64, bool),
    Wait(u64),
    Cycle(&'static str, Option<u16>, Vec<u64>),
    Message(Option<Vec<u64>>),
    Lose(u64),
    Trouble(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let who = 1..8u64;
    let kinds = prop::sample::select(vec![
        "full",
        "grid",
        "2x1",
        "2x2",
        "1+5",
        "2+8",
        "side-by-side",
        "1+12",
        "pip",
        "lecture",
    ]);
    let lists = prop::collection::vec(1..8u64, 1..5);
    let pins = prop::collection::vec((0..7u16, 1..8u64), 0..4);
    let viewers = prop::option::of(prop::collection::vec(1..8u64, 0..3));
    prop_oneof![
        3 => (who.clone(), any::<bool>()).prop_map(|(n, video)| Act::Join(n, video)),
        1 => who.clone().prop_map(Act::Leave),
        2 => (kinds.clone(), prop::option::of(0..6u16), lists).prop_map(|(kind, seat, list)| Act::Cycle(kind, seat, list)),
        1 => viewers.clone().prop_map(Act::Message),
        1 => who.clone().prop_map(Act::Lose),
        1 => who.clone().prop_map(Act::Trouble),
        2 => (kinds, pins, viewers).prop_map(|(kind, pins, viewers)| Act::Layout(kind, pins, viewers)),
        1 => prop::option::of(who.clone()).prop_map(Act::Speaker),
        1 => (who.clone(), any::<bool>()).prop_map(|(n, hidden)| Act::Hide(n, hidden)),
        1 => any::<bool>().prop_map(Act::MuteAll),
        1 => (who.clone(), prop::sample::select(vec!["Huế", "Huế ", "Vinh"])).prop_map(|(n, name)| Act::Rename(n, name)),
        3 => (who.clone(), any::<bool>()).prop_map(|(n, speaking)| Act::Voice(n, speaking)),
        1 => (who, any::<bool>()).prop_map(|(n, video)| Act::Video(n, video)),
        2 => (0..4_000u64).prop_map(Act::Wait),
    ]
}

fn play(meeting: &mut Meeting, act: &Act) -> Result<Vec<Event>, Refusal> {
    let ids = |list: &[u64]| list.iter().copied().map(p).collect::<Vec<_>>();
    match act {
        Act::Join(n, sends_video) => meeting.apply(Command::Join(Join {
            participant: p(*n),
            name: "Huế".into(),
            uri: format!("sip:{n}@x"),
            direction: Direction::In,
            state: State::Connected,
            sends_video: *sends_video,
            link: None,
        })),
        Act::Leave(n) => meeting.apply(Command::Leave { participant: p(*n), reason: Words::new("", "") }),
        Act::Layout(kind, pins, viewers) => meeting.apply(Command::SetLayout(SetLayout {
            seats: pins.iter().map(|(seat, n)| (*seat, p(*n))).collect(),
            viewers: viewers.as_deref().map(ids),
            ..SetLayout::new(kind.parse().unwrap())
        })),
        Act::Cycle(kind, single, list) => {
            let list = list.iter().copied().map(p).collect::<Vec<_>>();
            let cycle = |who| Cycle { period: Duration::from_secs(3), who };
            meeting.apply(Command::SetLayout(SetLayout {
                cycle: Some(cycle(if single.is_some() { Vec::new() } else { list.clone() })),
                cycles: single.iter().map(|seat| (*seat, cycle(list.clone()))).collect(),
                ..SetLayout::new(kind.parse().unwrap())
            }))
        }
        Act::Message(viewers) => meeting.apply(Command::SetMessage(Some(Message {
            text: "Giải lao".into(),
            motion: Motion::Still,
            place: Edge::Top,
            viewers: viewers.as_deref().map(|list| list.iter().copied().map(p).collect()),
        }))),
        Act::Lose(n) => meeting.apply(Command::State(p(*n), State::Reconnecting)),
        Act::Trouble(n) => {
            meeting.apply(Command::Trouble { participant: p(*n), trouble: Trouble::Echo { delay_ms: 120 } })
        }
        Act::Speaker(who) => meeting.apply(Command::SetSpeaker(who.map(p))),
        Act::Hide(n, hidden) => {
            let patch = Patch { video_hidden: Some(*hidden), ..Patch::default() };
            meeting.apply(Command::Patch { who: Who::One(p(*n)), patch })
        }
        Act::MuteAll(muted) => {
            let patch = Patch { audio_muted: Some(*muted), ..Patch::default() };
            meeting.apply(Command::Patch { who: Who::AllButChair, patch })
        }
        Act::Rename(n, name) => {
            let patch = Patch { name: Some((*name).to_owned()), ..Patch::default() };
            meeting.apply(Command::Patch { who: Who::One(p(*n)), patch })
        }
        Act::Voice(n, speaking) => {
            let level = Level { participant: p(*n), level_dbov: -20, speaking: *speaking };
            meeting.apply(Command::Voice(vec![level]))
        }
        Act::Video(n, sends_video) => meeting.apply(Command::Media {
            participant: p(*n),
            audio_codec: None,
            video_codec: None,
            sends_video: *sends_video,
        }),
        Act::Wait(ms) => {
            meeting.now += Duration::from_millis(*ms);
            Ok(meeting.conference.handle_timeout(meeting.now))
        }
    }
}

fn check(meeting: &Meeting) {
    let conference = &meeting.conference;
    let scenes = conference.scenes();
    let mut viewers = HashSet::new();
    let mut ids = HashSet::new();
    for (scene, group) in &scenes {
        assert!(!group.is_empty(), "a scene nobody sees");
        assert!(ids.insert(scene.id), "an id twice");
        assert!(group.iter().all(|viewer| viewers.insert(*viewer)), "a viewer of two scenes");
        let mut shown = HashSet::new();
        for (seat, tile) in scene.tiles.iter().enumerate() {
            assert_eq!(usize::from(tile.seat), seat);
            let Some(who) = tile.participant else { continue };
            assert!(shown.insert(who), "a site twice in {scene:?}");
            assert!(conference.present().contains(&who), "a site that is not there in {scene:?}");
            let hidden = conference.rights(who).unwrap().video_hidden;
            assert_eq!(hidden, tile.card == Card::Hidden, "{tile:?}");
            let lost = conference.find(who).unwrap().state == State::Reconnecting;
            assert_eq!(lost && !hidden, tile.card == Card::Reconnecting, "{tile:?}");
        }
        assert_eq!(scene.rects((1280, 720)).len(), scene.tiles.len());
        assert!(scene.prepare.iter().all(|who| conference.present().contains(who)), "{scene:?}");
        assert!(scene.tiles.iter().filter(|tile| tile.border).count() <= 1);
        // With others there, nobody looks at an empty picture or, unless pinned there, at himself alone.
        let choice = conference.snapshot();
        let pinned =
            choice.seats.iter().chain(choice.layouts.iter().flat_map(|scope| &scope.seats)).count() > 0;
        if scene.kind == crate::layout::Kind::Full && !pinned {
            let own = scene.tiles[0].participant;
            assert!(group.iter().all(|viewer| Some(*viewer) != own), "{viewers:?} see themselves");
        }
    }
    assert_eq!(viewers.len(), conference.present().len(), "somebody sees nothing");
    for (at, (scene, _)) in scenes.iter().enumerate() {
        assert!(!scenes[..at].iter().any(|(other, _)| other.same_content(scene)), "equal scenes twice");
    }
    if let Some(speaker) = conference.speaker() {
        assert!(conference.present().contains(&speaker));
        assert!(!conference.rights(speaker).unwrap().video_hidden);
    }
    let names: Vec<_> =
        conference.participants().into_iter().filter(|s| s.state.present()).map(|s| s.name).collect();
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len(), "a name twice: {names:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn every_order_of_commands_leaves_a_sensible_picture(acts in prop::collection::vec(act(), 0..40)) {
        let mut meeting = Meeting::new("grid", 0);
        for act in &acts {
            let before = meeting.conference.scenes();
            let events = play(&mut meeting, act).unwrap_or_default();
            check(&meeting);
            let after = meeting.conference.scenes();
            prop_assert_eq!(events.contains(&Event::Scenes), before != after, "{:?}", act);
            for (scene, _) in &after {
                if let Some((old, _)) = before.iter().find(|(old, _)| old.id == scene.id) {
                    prop_assert!(Arc::ptr_eq(old, scene) || (!old.same_content(scene) && scene.version > old.version));
                }
            }
        }
    }

    /// Two operators at once: whichever order their commands arrive in, one that is refused changes nothing, one that is
    /// not is in force until the next.
    #[test]
    fn two_operators_in_any_order(
        setup in prop::collection::vec(act(), 0..12),
        a in prop::collection::vec(act(), 1..6),
        b in prop::collection::vec(act(), 1..6),
        order in prop::collection::vec(any::<bool>(), 12),
    ) {
        let mut meeting = Meeting::new("1+5", 0);
        for act in &setup {
            let _ = play(&mut meeting, act);
        }
        let (mut a, mut b) = (a.iter(), b.iter());
        for first in order {
            let next = if first { a.next().or_else(|| b.next()) } else { b.next().or_else(|| a.next()) };
            let Some(act) = next else { break };
            let before = (meeting.conference.snapshot(), meeting.conference.participants(), meeting.conference.scenes());
            let done = play(&mut meeting, act);
            check(&meeting);
            let after = meeting.conference.snapshot();
            match (done, act) {
                (Err(_), _) => {
                    prop_assert_eq!(before, (after, meeting.conference.participants(), meeting.conference.scenes()));
                }
                (Ok(_), Act::Layout(kind, pins, None)) => {
                    prop_assert_eq!(after.layout.to_string(), *kind);
                    prop_assert_eq!(after.seats.len(), pins.len());
                    prop_assert!(after.layouts.is_empty());
                }
                (Ok(_), Act::Speaker(Some(who))) => prop_assert_eq!(after.speaker, Some(p(*who))),
                _ => {}
            }
        }
    }
}
