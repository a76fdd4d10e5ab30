//! The program is killed at any moment and started again: who sits where, whose call goes on, who is called.

use cau_mixer::Command as Mix;
use cau_model::command::{Patch, SetLayout, Who};
use cau_model::participant::State;
use cau_model::snapshot;
use cau_sip::Event;

use super::bench::*;
use super::*;
use crate::request::Request;

const SECOND: Duration = Duration::from_secs(1);

/// Phones 2 and 3 dialled in, 4 and 5 were called.
fn meeting() -> (Bench, [ParticipantId; 4]) {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    bench.dial(3, "8000");
    let (two, three) = (bench.id(2), bench.id(3));
    let four = bench.call_out(4);
    let five = bench.call_out(5);
    bench.wait(SECOND);
    assert_eq!(bench.focus.totals().participants, 4);
    (bench, [two, three, four, five])
}

fn reoffered(bench: &mut Bench, n: u8) -> bool {
    bench.phone(n).events.iter().any(|event| matches!(event, Event::Reoffer { .. }))
}

#[test]
fn everybody_is_back_in_his_seat_in_the_same_call() {
    let (mut bench, ids) = meeting();
    let [two, three, four, five] = ids;
    let layout = |kind: &str, seats, viewers| {
        let layout = SetLayout { seats, viewers, ..SetLayout::new(kind.parse().unwrap()) };
        move |answer| Request::Layout { conference: ConferenceId(1), layout, answer }
    };
    bench.ask(layout("full", vec![(0, four)], Some(vec![two]))).unwrap();
    let patch = Patch { audio_muted: Some(true), name: Some("Chủ tọa".into()), ..Patch::default() };
    bench
        .ask(|answer| Request::Patch { conference: ConferenceId(1), who: Who::One(three), patch, answer })
        .unwrap();
    bench
        .ask(|answer| Request::Speaker { conference: ConferenceId(1), participant: Some(five), answer })
        .unwrap();
    let before = bench.ask(|answer| Request::Conference(ConferenceId(1), answer)).unwrap();
    let sites_before = bench.sites();
    for n in 2..6 {
        bench.phone(n).events.clear();
    }
    bench.commands();
    bench.wire.clear();
    bench.restart();
    // Before a word was exchanged the media flows again, with the ports of before.
    let legs = added(&bench.commands());
    assert_eq!(legs.len(), 4);
    assert!(legs.iter().all(|(_, _, leg)| leg.video.is_some() && leg.audio.is_some()));
    bench.wait(SECOND);
    for n in 2..6 {
        assert!(reoffered(&mut bench, n), "phone {n} was asked within its call");
        assert!(!bench.phone(n).has_ended(), "phone {n} was not disturbed");
    }
    assert!(!bench.wire.iter().any(|text| text.starts_with("BYE")));
    let after = bench.ask(|answer| Request::Conference(ConferenceId(1), answer)).unwrap();
    assert_eq!((&after.layouts, after.speaker, after.speaker_named), (&before.layouts, Some(five), true));
    let sites = bench.sites();
    let facts = |list: &[snapshot::Participant]| -> Vec<_> {
        list.iter()
            .map(|s| (s.id, s.name.clone(), s.uri.clone(), s.state, s.audio.muted, s.direction))
            .collect()
    };
    assert_eq!(facts(&sites), facts(&sites_before));
    assert!(sites.iter().all(|site| site.state == State::Connected));
    assert_eq!(bench.focus.totals().resumed, 4);
    // And a device that hangs up is understood.
    bench.hang_up(2);
    assert_eq!(bench.site(two).state, State::Left);
    assert!(!bench.kept.contains_key(&two));
}

#[test]
fn a_device_that_forgot_the_call_is_called_and_takes_its_seat() {
    let (mut bench, ids) = meeting();
    for n in [3, 5] {
        bench.phones.remove(&n);
        bench.phone(n);
    }
    bench.restart();
    bench.wait(SECOND * 2);
    for id in ids {
        assert_eq!(bench.site(id).state, State::Connected, "{id}");
    }
    assert!(
        bench.phone(3).call.is_some() && bench.phone(5).call.is_some(),
        "both were called, the one that had dialled in too"
    );
    assert_eq!(bench.focus.rooms[&ConferenceId(1)].conference.present(), ids);
}

#[test]
fn a_device_that_says_nothing_is_called_after_eight_seconds() {
    let (mut bench, ids) = meeting();
    bench.phone(4).unplugged = true;
    bench.restart();
    let from = bench.now;
    bench.wait(SECOND * 7);
    assert_eq!(bench.site(ids[2]).state, State::Reconnecting);
    bench.wait(SECOND * 3);
    assert!(bench.wire.iter().any(|text| text.starts_with("BYE sip:site4") || text.starts_with("BYE sip:")));
    bench.phones.remove(&4);
    bench.phone(4);
    bench.wait(SECOND * 60);
    assert_eq!(bench.site(ids[2]).state, State::Connected, "{:?}", bench.sent_at("INVITE", from));
    assert_eq!(bench.focus.rooms[&ConferenceId(1)].conference.present(), ids, "the seat was kept");
}

#[test]
fn a_site_that_was_being_called_is_called() {
    let mut bench = Bench::new();
    bench.phone(2).manner = Manner::Ring;
    let id = bench.call_out(2);
    bench.phones.remove(&2);
    bench.phone(2);
    bench.restart();
    bench.wait(SECOND);
    assert_eq!(bench.site(id).state, State::Connected);
}

#[test]
fn killed_twice_in_a_row_is_no_worse() {
    let (mut bench, ids) = meeting();
    bench.restart();
    // Before the devices have answered.
    bench.restart();
    bench.wait(SECOND);
    bench.restart();
    bench.wait(SECOND * 3);
    for id in ids {
        assert_eq!(bench.site(id).state, State::Connected, "{id}");
    }
    assert_eq!(bench.sites().len(), 4);
    let sequence = bench.wire.iter().rev().find(|text| text.starts_with("INVITE")).unwrap();
    assert!(sequence.contains("CSeq: "), "{sequence}");
}

#[test]
fn an_end_in_good_order_says_good_bye_and_the_next_run_calls_everybody() {
    let (mut bench, ids) = meeting();
    bench.focus.handle_request(bench.now, Request::Drain);
    bench.wait(SECOND * 7);
    assert!(bench.focus.is_drained());
    for n in 2..6 {
        assert!(bench.phone(n).has_ended(), "phone {n} was told");
    }
    assert_eq!(bench.kept.len(), 4);
    assert!(bench.kept.values().all(|kept| kept.call.is_none()));
    bench.restart();
    bench.wait(SECOND * 2);
    for id in ids {
        assert_eq!(bench.site(id).state, State::Connected, "{id}");
    }
}

#[test]
fn what_is_no_longer_there_is_not_kept() {
    let (mut bench, ids) = meeting();
    bench.ask(|answer| Request::HangUp(ConferenceId(1), ids[3], answer)).unwrap();
    bench.hang_up(2);
    assert_eq!(bench.kept.keys().copied().collect::<Vec<_>>(), [ids[1], ids[2]]);
    bench.restart();
    bench.wait(SECOND);
    assert_eq!(bench.sites().len(), 2);
    // What the store holds may be anything: nonsense is called, or left out, and hurts nobody.
    let mut kept = bench.kept.clone();
    let call = kept.get_mut(&ids[1]).unwrap().call.as_mut().unwrap();
    (call.dialog.local, call.ours) = ("no tag".into(), "v=1".into());
    kept.get_mut(&ids[2]).unwrap().call.as_mut().unwrap().theirs = String::new();
    bench.kept = kept;
    bench.restart();
    bench.wait(SECOND * 3);
    assert_eq!(bench.sites().len(), 2);
}

#[test]
fn every_change_is_kept_and_nothing_is_written_twice() {
    let (mut bench, ids) = meeting();
    let before = bench.kept.clone();
    bench.media(Mixed::Statistics { participant: ids[0], statistics: Box::default() });
    assert_eq!(bench.focus.poll_kept(), None);
    bench.reoffer(2, |phone| phone.ports.audio = 5_000);
    assert_ne!(bench.kept[&ids[0]], before[&ids[0]], "the new agreement");
    bench.commands();
    bench.restart();
    let legs = added(&bench.commands());
    let leg = legs.iter().find(|(_, id, _)| *id == ids[0]).map(|(_, _, leg)| leg.clone()).unwrap();
    assert_eq!(leg.audio.unwrap().stream.remote.port(), 5_000);
    assert!(bench.commands().iter().all(|(_, c)| !matches!(c, Mix::RemoveLeg { .. })));
}
