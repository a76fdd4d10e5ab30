//! What operators ask.

use cau_mixer::Command as Mix;
use cau_model::body::Patch as SettingsPatch;
use cau_model::command::{Patch, SetLayout, Who};
use cau_model::participant::State;
use cau_model::{Refusal, Settings};

use super::bench::*;
use super::*;
use crate::notice::Body;
use crate::request::{Error, Request};

const C1: ConferenceId = ConferenceId(1);

fn layout(kind: &str, seats: Vec<(u16, ParticipantId)>, viewers: Option<Vec<ParticipantId>>) -> SetLayout {
    SetLayout { seats, viewers, ..SetLayout::new(kind.parse().unwrap()) }
}

#[test]
fn a_layout_changes_the_scenes_and_the_settings() {
    let mut bench = Bench::new();
    for n in 2..=4 {
        bench.dial(n, "8000");
    }
    bench.commands();
    let (a, b) = (bench.id(2), bench.id(4));
    let seats = vec![(0, b)];
    let shown = bench
        .ask(|answer| Request::Layout { conference: C1, layout: layout("1+5", seats, None), answer })
        .unwrap();
    assert_eq!(shown.layout.to_string(), "1+5");
    let scenes = scenes(&bench.commands(), 1).unwrap();
    assert_eq!(scenes[0].0.tiles[0].participant, Some(b));
    assert_eq!(scenes[0].0.tiles[1].participant, Some(a));
    let settings = bench.ask(|answer| Request::Settings(C1, answer)).unwrap();
    assert_eq!(settings.layout.to_string(), "1+5", "to be stored");
}

#[test]
fn a_layout_for_one_leaves_the_others_alone() {
    let mut bench = Bench::new();
    for n in 2..=4 {
        bench.dial(n, "8000");
    }
    let (a, c) = (bench.id(2), bench.id(4));
    let before = scenes(&bench.commands(), 1).unwrap();
    let own = layout("full", vec![(0, c)], Some(vec![a]));
    bench.ask(|answer| Request::Layout { conference: C1, layout: own, answer }).unwrap();
    let after = scenes(&bench.commands(), 1).unwrap();
    assert!(after.iter().any(|(scene, _)| std::sync::Arc::ptr_eq(scene, &before[0].0)));
    let own = after.iter().find(|(_, viewers)| viewers == &[a]).unwrap();
    assert_eq!(own.0.single(), Some(c));
}

#[test]
fn a_named_speaker_fills_the_picture_and_has_the_floor() {
    let mut bench = Bench::new();
    for n in 2..=4 {
        bench.dial(n, "8000");
    }
    bench
        .ask(|answer| Request::Layout { conference: C1, layout: layout("full", vec![], None), answer })
        .unwrap();
    bench.commands();
    let b = bench.id(3);
    let shown =
        bench.ask(|answer| Request::Speaker { conference: C1, participant: Some(b), answer }).unwrap();
    assert_eq!((shown.speaker, shown.speaker_named), (Some(b), true));
    let commands = bench.commands();
    let floor = |command: &Mix| matches!(command, Mix::Floor { participant, .. } if *participant == Some(b));
    assert!(commands.iter().any(|(_, command)| floor(command)));
    for (scene, viewers) in scenes(&commands, 1).unwrap() {
        assert_eq!(scene.single() == Some(b), !viewers.contains(&b));
    }
}

#[test]
fn refusals_say_what_is_wrong_and_change_nothing() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    bench.commands();
    let stranger = ParticipantId(1);
    let asked = bench.ask(|answer| Request::Speaker { conference: C1, participant: Some(stranger), answer });
    assert!(matches!(asked, Err(Error::Refused(Refusal::Invalid { .. }))));
    let asked =
        bench.ask(|answer| Request::Speaker { conference: ConferenceId(9), participant: None, answer });
    assert!(matches!(asked, Err(Error::Refused(Refusal::NotFound(_)))));
    let own = layout("full", vec![(1, stranger)], None);
    let asked = bench.ask(|answer| Request::Layout { conference: C1, layout: own, answer });
    assert!(matches!(asked, Err(Error::Refused(Refusal::Invalid { .. }))));
    let asked = bench.ask(|answer| Request::HangUp(C1, stranger, answer));
    assert!(matches!(asked, Err(Error::Refused(Refusal::NotFound(_)))));
    let asked =
        bench.ask(|answer| Request::Preview { conference: C1, participant: stranger, seen: false, answer });
    assert!(matches!(asked, Err(Error::Refused(Refusal::NotFound(_)))));
    assert!(bench.commands().is_empty());
}

#[test]
fn rooms_are_unique_and_what_comes_later_is_refused() {
    let mut bench = Bench::new();
    assert!(matches!(bench.create(2, "8000"), Err(Error::Refused(Refusal::Conflict(_)))));
    assert!(matches!(bench.create(1, "8001"), Err(Error::Refused(Refusal::Conflict(_)))));
    let pin = SettingsPatch { pin: Some(Some("1234".into())), ..SettingsPatch::default() };
    let settings = Box::new(Settings::new("8001").unwrap().patched(pin).unwrap());
    let asked = bench.ask(|answer| Request::Create { id: ConferenceId(2), settings, answer });
    assert!(matches!(asked, Err(Error::Refused(Refusal::Invalid { field, .. })) if field == "pin"));
    bench.create(2, "8001").unwrap();
    let settings = Box::new(Settings::new("8000").unwrap());
    let asked = bench.ask(|answer| Request::Change { id: ConferenceId(2), settings, answer });
    assert!(matches!(asked, Err(Error::Refused(Refusal::Conflict(_)))));
    let settings = Box::new(Settings::new("9000").unwrap());
    bench.ask(|answer| Request::Change { id: ConferenceId(2), settings, answer }).unwrap();
    bench.dial(2, "9000");
    bench.dial(3, "8001");
    assert_eq!((bench.phone(2).refused(), bench.phone(3).refused()), (None, Some(404)));
    assert_eq!(bench.ask(Request::List).unwrap().len(), 2);
}

#[test]
fn no_more_conferences_than_allowed() {
    let mut bench = Bench::with(|config| config.max_conferences = 1);
    assert!(matches!(bench.create(2, "8001"), Err(Error::Unavailable(_))));
}

#[test]
fn muting_reaches_the_mixer() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    bench.dial(3, "8000");
    bench.commands();
    let a = bench.id(2);
    let patch = Patch { audio_muted: Some(true), volume_db: Some(-6.0), ..Patch::default() };
    let shown =
        bench.ask(|answer| Request::Patch { conference: C1, who: Who::One(a), patch, answer }).unwrap();
    assert!(shown[0].audio.muted && shown[0].volume_db == -6.0);
    let sound = |command: &Mix, who| matches!(command, Mix::Sound { participant, muted: true, .. } if *participant == who);
    let commands = bench.commands();
    assert_eq!(commands.iter().filter(|(_, command)| sound(command, a)).count(), 1);
    let patch = Patch { audio_muted: Some(true), ..Patch::default() };
    let all =
        bench.ask(|answer| Request::Patch { conference: C1, who: Who::AllButChair, patch, answer }).unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(bench.commands().len(), 1, "only who was not muted yet");
}

#[test]
fn hanging_up_one_says_so() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    let a = bench.id(2);
    bench.ask(|answer| Request::HangUp(C1, a, answer)).unwrap();
    assert!(bench.phone(2).has_ended());
    let site = bench.sites().remove(0);
    assert_eq!((site.state, site.reason_en.as_deref()), (State::Left, Some("hung up by the operator")));
    let again = bench.ask(|answer| Request::HangUp(C1, a, answer));
    assert!(matches!(again, Err(Error::Refused(Refusal::Conflict(_)))));
    assert_eq!(bench.open_ports(), 0);
}

#[test]
fn ending_a_conference_says_goodbye_to_all_and_the_room_is_gone() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    bench.dial(3, "8000");
    bench.commands();
    bench.ask(|answer| Request::End(C1, answer)).unwrap();
    assert!(bench.phone(2).has_ended() && bench.phone(3).has_ended());
    let commands = bench.commands();
    assert_eq!(removed(&commands).len(), 2);
    assert!(matches!(commands.last(), Some((_, Mix::CloseConference { id: C1 }))));
    assert_eq!(bench.notices.last().map(|notice| &notice.body), Some(&Body::ConferenceEnded));
    assert_eq!(bench.open_ports(), 0);
    bench.dial(4, "8000");
    assert_eq!(bench.phone(4).refused(), Some(404));
    assert!(bench.ask(|answer| Request::End(C1, answer)).is_err());
}

#[test]
fn a_preview_is_asked_of_the_mixer_and_comes_back_through_the_request() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    let participant = bench.id(2);
    bench.commands();
    let (answer, mut answered) = tokio::sync::oneshot::channel();
    let now = bench.now;
    bench.focus.handle_request(now, Request::Preview { conference: C1, participant, seen: true, answer });
    let Some((C1, Mix::Preview { seen: true, reply, .. })) = bench.commands().pop() else { panic!() };
    assert!(answered.try_recv().is_err());
    reply.send(Some(vec![1]));
    assert_eq!(answered.try_recv().unwrap(), Ok(Some(vec![1])));
    bench.hang_up(2);
    let gone = bench.ask(|answer| Request::Preview { conference: C1, participant, seen: true, answer });
    assert_eq!(gone, Ok(None));
}

#[test]
fn a_drain_lets_nobody_in_and_says_goodbye_after_the_grace_time() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    let now = bench.now;
    bench.focus.handle_request(now, Request::Drain);
    bench.dial(3, "8000");
    assert_eq!(bench.phone(3).refused(), Some(503));
    bench.wait(Duration::from_millis(4_900));
    assert!(!bench.phone(2).has_ended() && !bench.focus.is_drained());
    bench.wait(Duration::from_secs(2));
    assert!(bench.phone(2).has_ended() && bench.focus.is_drained());
    assert_eq!(bench.open_ports(), 0);
    assert!(matches!(bench.create(2, "8001"), Err(Error::Unavailable(_))));
}

#[test]
fn with_nobody_there_a_drain_is_done_at_once() {
    let mut bench = Bench::new();
    let now = bench.now;
    bench.focus.begin_drain(now);
    assert!(bench.focus.is_drained());
}
