//! Scenarios on a virtual clock, and what holds whatever operators do.

mod discipline;
mod links;
mod properties;
mod turning;

use super::*;
use crate::command::{Command, Join, Patch, SetLayout, Who};
use crate::participant::{Direction, Link};
use crate::refusal::{Refusal, Words};
use crate::scene::Card;
use crate::settings::Names;
use crate::voice::Level;

fn p(n: u64) -> ParticipantId {
    ParticipantId(n)
}

/// A conference and its clock.
struct Meeting {
    conference: Conference,
    now: Instant,
}

impl Meeting {
    fn new(layout: &str, sites: u64) -> Meeting {
        let mut settings = Settings::new("8000").unwrap();
        settings.layout = layout.parse().unwrap();
        Meeting::with(settings, sites)
    }

    fn with(settings: Settings, sites: u64) -> Meeting {
        // Tests may take an instant; from there on time is virtual.
        #[allow(clippy::disallowed_methods)]
        let now = Instant::now();
        let mut meeting = Meeting { conference: Conference::new(ConferenceId(1), settings), now };
        for n in 1..=sites {
            meeting.join(n, &format!("Site {n}"));
        }
        meeting
    }

    fn join(&mut self, n: u64, name: &str) -> Vec<Event> {
        self.join_as(n, name, None)
    }

    fn join_as(&mut self, n: u64, name: &str, link: Option<Link>) -> Vec<Event> {
        self.done(Command::Join(Join {
            participant: p(n),
            name: name.to_owned(),
            uri: format!("sip:site{n}@10.0.0.{n}"),
            direction: Direction::In,
            state: State::Connected,
            sends_video: true,
            link,
        }))
    }

    fn leave(&mut self, n: u64) -> Vec<Event> {
        self.done(Command::Leave { participant: p(n), reason: Words::new("đã ngắt", "hung up") })
    }

    fn apply(&mut self, command: Command) -> Result<Vec<Event>, Refusal> {
        self.conference.apply(self.now, command)
    }

    fn done(&mut self, command: Command) -> Vec<Event> {
        self.apply(command).unwrap()
    }

    fn layout(
        &mut self,
        kind: &str,
        seats: &[(u16, u64)],
        viewers: Option<&[u64]>,
    ) -> Result<Vec<Event>, Refusal> {
        self.apply(Command::SetLayout(SetLayout {
            seats: seats.iter().map(|(seat, who)| (*seat, p(*who))).collect(),
            viewers: viewers.map(|ids| ids.iter().copied().map(p).collect()),
            ..SetLayout::new(kind.parse().unwrap())
        }))
    }

    /// Site `n` alone speaks for three seconds.
    fn speaks(&mut self, n: u64) -> Vec<Event> {
        let say = |speaking| {
            Command::Voice(vec![Level {
                participant: p(n),
                level_dbov: if speaking { -20 } else { -127 },
                speaking,
            }])
        };
        let mut events = self.done(say(true));
        let end = self.now + Duration::from_secs(3);
        while let Some(due) = self.conference.poll_timeout().filter(|due| *due <= end) {
            self.now = due;
            events.extend(self.conference.handle_timeout(due));
        }
        self.now = end;
        events.extend(self.done(say(false)));
        self.now += Duration::from_secs(1);
        events
    }

    fn patch(&mut self, n: u64, patch: Patch) -> Vec<Event> {
        self.done(Command::Patch { who: Who::One(p(n)), patch })
    }

    fn scene_of(&self, n: u64) -> Arc<Scene> {
        self.conference.scenes().into_iter().find(|(_, viewers)| viewers.contains(&p(n))).unwrap().0
    }

    /// Who sits where in what site `n` sees; 0: nobody.
    fn sees(&self, n: u64) -> Vec<u64> {
        self.scene_of(n).tiles.iter().map(|tile| tile.participant.map_or(0, |who| who.0)).collect()
    }
}

#[test]
fn in_a_grid_everybody_sees_everybody_in_one_shared_scene() {
    let meeting = Meeting::new("grid", 4);
    let scenes = meeting.conference.scenes();
    assert_eq!(scenes.len(), 1);
    assert_eq!(scenes[0].1, [p(1), p(2), p(3), p(4)]);
    assert_eq!(meeting.sees(3), [1, 2, 3, 4]);
    assert!(scenes[0].0.tiles.iter().all(|tile| tile.name.is_some()));
}

#[test]
fn alone_in_full_one_waits_and_two_see_each_other_before_a_word_is_said() {
    let mut meeting = Meeting::new("full", 1);
    assert_eq!(meeting.scene_of(1).tiles[0].card, Card::Waiting);
    meeting.join(2, "Site 2");
    assert_eq!((meeting.sees(1), meeting.sees(2)), (vec![2], vec![1]));
    let before = (meeting.scene_of(1), meeting.scene_of(2));
    meeting.speaks(2);
    assert_eq!(meeting.conference.speaker(), Some(p(2)));
    assert!(Arc::ptr_eq(&before.0, &meeting.scene_of(1)) && Arc::ptr_eq(&before.1, &meeting.scene_of(2)));
}

#[test]
fn full_follows_the_voice_and_the_speaker_sees_the_previous_one() {
    let mut meeting = Meeting::new("full", 4);
    let events = meeting.speaks(3);
    assert!(events.contains(&Event::Speaker(Some(p(3)))) && events.contains(&Event::Scenes));
    assert_eq!([1, 2, 3, 4].map(|n| meeting.sees(n)[0]), [3, 3, 1, 3]);
    let common = meeting.scene_of(1).id;
    meeting.speaks(2);
    assert_eq!([1, 2, 3, 4].map(|n| meeting.sees(n)[0]), [2, 3, 2, 2]);
    assert_eq!(meeting.scene_of(1).id, common, "those who stay viewers stay in their view");
    assert_eq!(meeting.scene_of(1).tiles[0].name, None, "one site fills the picture");
}

#[test]
fn one_plus_five_moves_only_the_two_who_trade_places() {
    let mut meeting = Meeting::new("1+5", 8);
    assert_eq!(meeting.sees(8), [1, 2, 3, 4, 5, 6]);
    meeting.speaks(4);
    assert_eq!(meeting.sees(8), [4, 2, 3, 1, 5, 6]);
    assert_eq!(meeting.sees(4), [1, 2, 3, 4, 5, 6]);
    // 7 had no seat: the previous speaker takes the seat of one who never spoke.
    meeting.speaks(7);
    assert_eq!(meeting.sees(8), [7, 2, 3, 1, 5, 4]);
    assert!(meeting.scene_of(8).tiles[0].border);
    assert_eq!(meeting.scene_of(8).tiles.iter().filter(|tile| tile.border).count(), 1);
}

#[test]
fn the_operators_speaker_overrides_the_voice_until_it_is_given_back() {
    let mut meeting = Meeting::new("full", 4);
    meeting.speaks(2);
    let events = meeting.done(Command::SetSpeaker(Some(p(4))));
    assert!(events.contains(&Event::Speaker(Some(p(4)))));
    assert_eq!([1, 2, 3, 4].map(|n| meeting.sees(n)[0]), [4, 4, 4, 2]);
    meeting.speaks(3);
    assert_eq!(meeting.sees(1), [4]);
    meeting.done(Command::SetSpeaker(None));
    assert_eq!([1, 2, 3, 4].map(|n| meeting.sees(n)[0]), [3, 3, 4, 3]);
}

#[test]
fn given_back_before_anybody_spoke_the_named_one_stays() {
    let mut meeting = Meeting::new("full", 3);
    meeting.done(Command::SetSpeaker(Some(p(3))));
    meeting.done(Command::SetSpeaker(None));
    assert_eq!(meeting.conference.speaker(), Some(p(3)));
    assert_eq!(meeting.sees(1), [3]);
}

#[test]
fn a_speaker_who_leaves_gives_way_to_the_previous_one() {
    let mut meeting = Meeting::new("full", 4);
    meeting.speaks(2);
    meeting.speaks(3);
    let events = meeting.leave(3);
    assert!(events.contains(&Event::Speaker(None)));
    assert_eq!([1, 2, 4].map(|n| meeting.sees(n)[0]), [2, 1, 2]);
}

#[test]
fn a_hidden_site_is_in_no_seat_and_cannot_be_the_speaker() {
    let mut meeting = Meeting::new("grid", 3);
    meeting.speaks(2);
    let events = meeting.patch(2, Patch { video_hidden: Some(true), ..Patch::default() });
    assert!(events.contains(&Event::Sound(p(2))) && events.contains(&Event::Speaker(None)));
    assert_eq!(meeting.sees(2), [1, 3]);
    assert!(!meeting.conference.participant(p(2)).unwrap().video.visible);
    assert!(matches!(meeting.apply(Command::SetSpeaker(Some(p(2)))), Err(Refusal::Conflict(_))));
    meeting.speaks(2);
    assert_eq!(meeting.conference.speaker(), None);
    meeting.patch(2, Patch { video_hidden: Some(false), ..Patch::default() });
    assert_eq!(meeting.sees(1), [1, 2, 3]);
}

#[test]
fn a_hidden_site_that_is_pinned_shows_its_card() {
    let mut meeting = Meeting::new("grid", 3);
    meeting.patch(2, Patch { video_hidden: Some(true), ..Patch::default() });
    meeting.layout("2x2", &[(0, 2)], None).unwrap();
    assert_eq!(meeting.sees(1), [2, 1, 3, 0]);
    assert_eq!(meeting.scene_of(1).tiles[0].card, Card::Hidden);
}

#[test]
fn a_muted_site_does_not_win_the_floor() {
    let mut meeting = Meeting::new("full", 3);
    let events = meeting.patch(3, Patch { audio_muted: Some(true), ..Patch::default() });
    assert!(events.contains(&Event::Sound(p(3))));
    meeting.speaks(3);
    assert_eq!(meeting.conference.speaker(), None);
}

#[test]
fn muting_all_spares_the_chair() {
    let mut settings = Settings::new("8000").unwrap();
    settings.chair = Some("Tỉnh ủy".to_owned());
    let mut meeting = Meeting::with(settings, 2);
    meeting.join(3, "Tỉnh ủy");
    assert_eq!(meeting.conference.chair(), Some(p(3)));
    let patch = Patch { audio_muted: Some(true), ..Patch::default() };
    meeting.done(Command::Patch { who: Who::AllButChair, patch });
    let muted = |n| meeting.conference.participant(p(n)).unwrap().audio.muted;
    assert_eq!([1, 2, 3].map(muted), [true, true, false]);
    let name = Patch { name: Some("x".into()), ..Patch::default() };
    assert!(meeting.apply(Command::Patch { who: Who::AllButChair, patch: name }).is_err());
}

#[test]
fn sites_join_muted_when_the_room_says_so_but_not_the_chair() {
    let mut settings = Settings::new("8000").unwrap();
    (settings.join_muted, settings.chair) = (true, Some("site2".to_owned()));
    let meeting = Meeting::with(settings, 2);
    let muted = |n| meeting.conference.participant(p(n)).unwrap().audio.muted;
    assert_eq!([1, 2].map(muted), [true, false], "the user part of the chair's address");
}

#[test]
fn the_chair_is_found_by_name_key_address_or_id() {
    for chair in ["Xã Hòa Phú", "xa-hoa-phu", "sip:site1@10.0.0.1", "site1", "SIP1@x", "p1"] {
        let mut settings = Settings::new("8000").unwrap();
        settings.chair = Some(chair.to_owned());
        let mut meeting = Meeting::with(settings, 0);
        meeting.join(1, "Xã Hòa Phú");
        assert_eq!(meeting.conference.chair().is_some(), chair != "SIP1@x", "{chair}");
    }
}

#[test]
fn names_are_cleaned_distinct_and_follow_a_rename_into_the_picture() {
    let mut meeting = Meeting::new("grid", 0);
    meeting.join(1, "Xa\u{303} Hòa Phú");
    meeting.join(2, "Xã Hòa Phú\u{202e}\r\n");
    meeting.join(3, " ");
    let name = |meeting: &Meeting, n| meeting.conference.participant(p(n)).unwrap().name;
    assert_eq!([1, 2, 3].map(|n| name(&meeting, n)), ["Xã Hòa Phú", "Xã Hòa Phú-2", "site3"]);
    let events = meeting.patch(3, Patch { name: Some("Huế".into()), ..Patch::default() });
    assert!(events.contains(&Event::Scenes));
    assert_eq!(meeting.scene_of(1).tiles[2].name.as_deref(), Some("Huế"));
}

#[test]
fn names_are_written_as_asked() {
    let mut meeting = Meeting::new("full", 2);
    meeting.speaks(1);
    let mut set = |kind: &str, names| {
        let kind = kind.parse().unwrap();
        meeting.done(Command::SetLayout(SetLayout { names: Some(names), ..SetLayout::new(kind) }));
        let tile = meeting.scene_of(2).tiles[0].clone();
        (tile.name.is_some(), tile.site.is_some())
    };
    assert_eq!(set("full", Names::Auto), (false, true));
    assert_eq!(set("full", Names::On), (true, true));
    assert_eq!(set("grid", Names::Auto), (true, true));
    assert_eq!(set("grid", Names::Off), (false, true));
}

#[test]
fn chosen_viewers_see_their_own_layout_and_the_others_keep_their_view() {
    let mut meeting = Meeting::new("grid", 4);
    let common = meeting.scene_of(1);
    meeting.layout("full", &[(0, 4)], Some(&[2])).unwrap();
    assert_eq!((meeting.sees(2), meeting.sees(1)), (vec![4], vec![1, 2, 3, 4]));
    assert!(Arc::ptr_eq(&common, &meeting.scene_of(1)));
    assert_eq!(meeting.conference.snapshot().layouts[0].viewers, [p(2)]);
    // The same for another one is the same scene.
    meeting.layout("full", &[(0, 4)], Some(&[3])).unwrap();
    assert!(Arc::ptr_eq(&meeting.scene_of(2), &meeting.scene_of(3)));
    // For everybody: single layouts end.
    meeting.layout("2x2", &[], None).unwrap();
    assert_eq!(meeting.conference.scenes().len(), 1);
    assert_eq!(meeting.conference.settings().layout.to_string(), "2x2");
    assert!(meeting.conference.snapshot().layouts.is_empty());
}

#[test]
fn seats_that_make_no_sense_are_refused_and_change_nothing() {
    let mut meeting = Meeting::new("grid", 3);
    meeting.leave(3);
    let before = meeting.conference.snapshot();
    let mut refused = |kind: &str, seats: &[(u16, u64)], viewers: Option<&[u64]>| match meeting
        .layout(kind, seats, viewers)
    {
        Err(Refusal::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused("1+5", &[(6, 1)], None), "seats[0].seat");
    assert_eq!(refused("1+5", &[(0, 1), (1, 9)], None), "seats[1].participant");
    assert_eq!(refused("1+5", &[(0, 3)], None), "seats[0].participant");
    assert_eq!(refused("1+5", &[(0, 1), (0, 2)], None), "seats[1]");
    assert_eq!(refused("1+5", &[(0, 1), (1, 1)], None), "seats[1]");
    assert_eq!(refused("1+5", &[], Some(&[])), "for");
    assert_eq!(refused("1+5", &[], Some(&[1, 9])), "for[1]");
    assert_eq!(meeting.conference.snapshot(), before);
}

#[test]
fn a_pinned_site_that_leaves_frees_its_seat() {
    let mut meeting = Meeting::new("grid", 3);
    meeting.layout("1+5", &[(0, 3)], None).unwrap();
    meeting.layout("full", &[(0, 3)], Some(&[3])).unwrap();
    meeting.leave(3);
    assert_eq!(meeting.sees(2), [1, 2, 0, 0, 0, 0]);
    let snapshot = meeting.conference.snapshot();
    assert!(snapshot.seats.is_empty() && snapshot.layouts.is_empty());
}

#[test]
fn a_site_without_picture_sits_there_as_a_card() {
    let mut meeting = Meeting::new("grid", 2);
    let media = |sends_video: bool| Command::Media {
        participant: p(2),
        audio_codec: Some("opus".into()),
        video_codec: sends_video.then(|| "H264".into()),
        sends_video,
    };
    meeting.done(media(false));
    assert_eq!(meeting.scene_of(1).tiles[1].card, Card::SoundOnly);
    assert_eq!(meeting.scene_of(1).pictures().collect::<Vec<_>>(), [p(1)]);
    meeting.done(media(true));
    assert_eq!(meeting.scene_of(1).tiles[1].card, Card::Picture);
}

#[test]
fn who_left_stays_in_the_list_with_the_reason_for_a_bounded_time_and_number() {
    let mut meeting = Meeting::new("grid", 2);
    meeting.leave(2);
    let gone = meeting.conference.participant(p(2)).unwrap();
    assert_eq!((gone.state, gone.reason_en.as_deref()), (State::Left, Some("hung up")));
    assert!(matches!(meeting.apply(Command::State(p(2), State::Connected)), Err(Refusal::Conflict(_))));
    for n in 100..100 + LEFT_MAX as u64 {
        meeting.join(n, "x");
        meeting.leave(n);
    }
    assert!(meeting.conference.participant(p(2)).is_none(), "the oldest goes first");
    assert_eq!(meeting.conference.participants().len(), 1 + LEFT_MAX);
    meeting.now += LEFT_FOR;
    meeting.conference.handle_timeout(meeting.now);
    assert_eq!(meeting.conference.participants().len(), 1);
    assert_eq!(meeting.conference.poll_timeout(), None);
}

#[test]
fn levels_alone_make_no_new_scene_and_tell_only_changes() {
    let mut meeting = Meeting::new("grid", 2);
    let level = |level_dbov| Command::Voice(vec![Level { participant: p(1), level_dbov, speaking: false }]);
    assert_eq!(meeting.done(level(-30)), [Event::Level(p(1))]);
    assert_eq!(meeting.done(level(-30)), []);
}

#[test]
fn the_api_shows_the_shapes_that_hold_still() {
    let mut meeting = Meeting::new("grid", 1);
    let site = serde_json::to_value(meeting.conference.participant(p(1)).unwrap()).unwrap();
    assert_eq!(site["id"], "p1");
    assert_eq!(site["state"], "connected");
    assert_eq!(site["direction"], "in");
    assert_eq!(
        site["audio"],
        serde_json::json!({"muted":false,"codec":null,"level_dbov":-127,"speaking":false})
    );
    assert_eq!(site["send"], serde_json::json!({"video":"none","width":0,"height":0,"fps":0.0,"copies":0}));
    assert_eq!(site["quality"]["rtt_ms"], serde_json::Value::Null);
    meeting.layout("1+5", &[(0, 1)], None).unwrap();
    let conference = serde_json::to_value(meeting.conference.snapshot()).unwrap();
    assert_eq!(conference["layout"], "1+5");
    assert_eq!(conference["seats"], serde_json::json!([{"seat":0,"participant":"p1"}]));
    assert_eq!((&conference["names"], &conference["encryption"]), (&"auto".into(), &"off".into()));
}

#[test]
fn a_meeting_of_all_communes_keeps_its_order() {
    let mut settings = Settings::new("8000").unwrap();
    settings.chair = Some("Site 3400".to_owned());
    let mut meeting = Meeting::with(settings, 3_400);
    assert_eq!(meeting.scene_of(3_400).tiles.len(), crate::layout::GRID_MAX);
    assert_eq!(meeting.conference.scenes().len(), 1);
    let patch = Patch { audio_muted: Some(true), ..Patch::default() };
    let events = meeting.done(Command::Patch { who: Who::AllButChair, patch });
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Sound(_))).count(), 3_399);
    meeting.layout("full", &[], None).unwrap();
    meeting.speaks(3_400);
    let scenes = meeting.conference.scenes();
    assert_eq!(scenes.iter().map(|(_, viewers)| viewers.len()).collect::<Vec<_>>(), [3_399, 1]);
    assert_eq!(scenes[0].0.single(), Some(p(3_400)));
}

#[test]
fn a_site_that_left_is_called_again_under_its_name_and_sits_when_it_answers() {
    let mut meeting = Meeting::new("grid", 3);
    meeting.done(Command::Patch {
        who: Who::One(p(2)),
        patch: Patch { audio_muted: Some(true), ..Patch::default() },
    });
    assert!(meeting.apply(Command::Recall(p(2))).is_err(), "it is there");
    meeting.leave(2);
    meeting.done(Command::Recall(p(2)));
    let site = meeting.conference.participant(p(2)).unwrap();
    assert_eq!((site.state, site.name.as_str(), site.audio.muted), (State::Calling, "Site 2", true));
    assert_eq!(meeting.conference.present(), [p(1), p(3)]);
    meeting.done(Command::State(p(2), State::Connected));
    assert_eq!(meeting.conference.present(), [p(1), p(3), p(2)]);
    // Its name may be taken by then.
    meeting.leave(2);
    meeting.join(4, "Site 2");
    meeting.done(Command::Recall(p(2)));
    assert_eq!(meeting.conference.participant(p(2)).unwrap().name, "Site 2-2");
}

#[test]
fn why_a_site_is_not_back_is_shown_until_it_is() {
    let mut meeting = Meeting::new("grid", 2);
    meeting.done(Command::State(p(2), State::Reconnecting));
    meeting.done(Command::Reason(p(2), Some(Words::new("máy bận", "busy"))));
    assert_eq!(meeting.conference.participant(p(2)).unwrap().reason_en.as_deref(), Some("busy"));
    assert_eq!(meeting.conference.present(), [p(1), p(2)], "the seat is kept");
    meeting.done(Command::State(p(2), State::Connected));
    assert_eq!(meeting.conference.participant(p(2)).unwrap().reason, None);
}

#[test]
fn pins_layouts_and_speaker_come_back_after_a_restart() {
    let mut meeting = Meeting::new("1+5", 4);
    let layout = |kind: &str, seats, viewers| {
        Command::SetLayout(SetLayout { seats, viewers, ..SetLayout::new(kind.parse().unwrap()) })
    };
    meeting.done(layout("1+5", vec![(2, p(3)), (1, p(4))], None));
    meeting.done(layout("full", vec![(0, p(2))], Some(vec![p(1)])));
    meeting.done(Command::SetSpeaker(Some(p(4))));
    let before = meeting.conference.snapshot();
    let kept: crate::kept::Room =
        serde_json::from_str(&serde_json::to_string(&crate::kept::Room::of(&before)).unwrap()).unwrap();
    let mut again = Meeting::with(meeting.conference.settings().clone(), 4);
    for command in kept.commands(again.conference.settings(), |id| id != p(3)) {
        again.apply(command).unwrap();
    }
    let after = again.conference.snapshot();
    assert_eq!((&after.layouts, after.speaker), (&before.layouts, Some(p(4))));
    assert_eq!(after.seats.len(), 1, "who is not there any more sits nowhere");
}
