//! Rules of sound, and messages over the pictures.

use super::*;
use crate::ornament::{Edge, Message, Motion};
use crate::sound::{Kind, Trouble};

const ECHO: Trouble = Trouble::Echo { delay_ms: 240 };

fn meeting(mute_echoing: bool) -> Meeting {
    let mut settings = Settings::new("8000").unwrap();
    settings.sound.mute_echoing = mute_echoing;
    settings.chair = Some("Site 1".into());
    Meeting::with(settings, 3)
}

fn found(n: u64, trouble: Trouble) -> Command {
    Command::Trouble { participant: p(n), trouble }
}

fn troubles(meeting: &Meeting, n: u64) -> Vec<(Kind, bool)> {
    meeting.conference.participant(p(n)).unwrap().troubles.iter().map(|t| (t.kind, t.muted)).collect()
}

fn muted(meeting: &Meeting, n: u64) -> bool {
    meeting.conference.rights(p(n)).unwrap().audio_muted
}

#[test]
fn without_the_rule_a_trouble_is_only_named() {
    let mut meeting = meeting(false);
    assert_eq!(meeting.done(found(2, ECHO)), [Event::Participant(p(2))]);
    assert_eq!((troubles(&meeting, 2), muted(&meeting, 2)), (vec![(Kind::Echo, false)], false));
    assert_eq!(meeting.done(found(2, ECHO)), [], "told once");
    meeting.done(Command::TroubleOver { participant: p(2), kind: Kind::Echo });
    assert_eq!(troubles(&meeting, 2), []);
}

#[test]
fn by_rule_an_echoing_site_is_muted_and_neither_a_noisy_one_nor_the_chair() {
    let mut meeting = meeting(true);
    let events = meeting.done(found(2, ECHO));
    assert!(events.contains(&Event::Sound(p(2))));
    assert_eq!((troubles(&meeting, 2), muted(&meeting, 2)), (vec![(Kind::Echo, true)], true));
    meeting.done(found(3, Trouble::Noise { level_dbov: -44 }));
    meeting.done(found(1, ECHO));
    assert_eq!((muted(&meeting, 3), muted(&meeting, 1)), (false, false));
    assert_eq!(troubles(&meeting, 1), [(Kind::Echo, false)]);
    // It stays muted, and known why, until the operator opens the microphone.
    meeting.done(Command::TroubleOver { participant: p(2), kind: Kind::Echo });
    assert!(muted(&meeting, 2) && troubles(&meeting, 2).len() == 1);
    meeting.patch(2, Patch { audio_muted: Some(false), ..Patch::default() });
    assert_eq!((troubles(&meeting, 2), muted(&meeting, 2)), (vec![], false));
}

#[test]
fn a_lost_line_and_an_end_of_watching_forget_what_was_found() {
    let mut meeting = meeting(false);
    meeting.done(found(2, ECHO));
    meeting.done(Command::State(p(2), State::Reconnecting));
    assert_eq!(troubles(&meeting, 2), []);
    meeting.done(found(3, ECHO));
    let mut settings = meeting.conference.settings().clone();
    settings.sound.watch = false;
    let events = meeting.done(Command::Settings(settings));
    assert!(events.contains(&Event::Rules) && troubles(&meeting, 3).is_empty());
    assert_eq!(meeting.done(found(3, ECHO)), [], "what comes too late is not taken in");
}

fn message(text: &str, viewers: Option<&[u64]>) -> Command {
    Command::SetMessage(Some(Message {
        text: text.into(),
        motion: Motion::Scroll,
        place: Edge::Bottom,
        viewers: viewers.map(|ids| ids.iter().copied().map(p).collect()),
    }))
}

#[test]
fn a_message_is_seen_by_those_it_is_for() {
    let mut meeting = Meeting::new("grid", 4);
    let common = meeting.scene_of(1).id;
    meeting.done(message("Họp lại lúc 14 giờ", None));
    assert_eq!(meeting.conference.scenes().len(), 1);
    assert_eq!((meeting.scene_of(1).id, meeting.scene_of(1).single()), (common, None));
    meeting.done(message("Kiểm tra micrô", Some(&[2, 3])));
    let text = |n| meeting.scene_of(n).ornaments.message.as_ref().map(|m| m.text.to_string());
    assert_eq!(
        [1, 2, 3, 4].map(text),
        [None, Some("Kiểm tra micrô".into()), Some("Kiểm tra micrô".into()), None]
    );
    let refused = meeting.apply(message("x", Some(&[2, 9]))).unwrap_err();
    assert!(matches!(refused, Refusal::Invalid { field, .. } if field == "for[1]"));
    meeting.leave(2);
    assert_eq!(
        serde_json::to_value(meeting.conference.snapshot()).unwrap()["message"]["for"],
        serde_json::json!(["p3"])
    );
    meeting.leave(3);
    assert!(meeting.conference.snapshot().message.is_none(), "nobody is left to read it");
    meeting.done(message("Giải lao", None));
    assert!(meeting.done(Command::SetMessage(None)).contains(&Event::Scenes));
    assert_eq!(meeting.conference.scenes().len(), 1);
}

#[test]
fn the_clock_stands_on_every_picture() {
    let mut meeting = Meeting::new("full", 3);
    let patch = serde_json::from_str(r#"{"clock":{"place":"lower-left","zone":"+07:00"}}"#).unwrap();
    let settings = meeting.conference.settings().patched(patch).unwrap();
    let stored: Settings = serde_json::from_str(&serde_json::to_string(&settings).unwrap()).unwrap();
    assert_eq!(stored, settings);
    meeting.done(Command::Settings(settings));
    assert!((1..=3).all(|n| meeting.scene_of(n).ornaments.clock.is_some()));
    let wrong = serde_json::from_str(r#"{"clock":{"zone":"Saigon"}}"#).unwrap();
    let refused = meeting.conference.settings().patched(wrong).unwrap_err();
    assert!(matches!(refused, Refusal::Invalid { field, .. } if field == "clock.zone"));
    let off =
        meeting.conference.settings().patched(serde_json::from_str(r#"{"clock":null}"#).unwrap()).unwrap();
    assert_eq!(off.clock, None);
}
