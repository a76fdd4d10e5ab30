//! What mixers and endpoints report in the middle of a call.

use bytes::Bytes;
use cau_mixer::Command as Mix;
use cau_mixer::event::{Statistics, Totals, VideoIn, VideoKind, VideoOut, Voice};
use cau_model::command::SetLayout;
use cau_model::participant::State;
use cau_model::snapshot::SendVideo;
use cau_model::sound::{Kind, Trouble};
use cau_sip::{Event, InfoBody};

use super::bench::*;
use super::*;
use crate::notice::{Body, Change};
use crate::request::Request;

const C1: ConferenceId = ConferenceId(1);

fn voice(participant: ParticipantId, level_dbov: f32) -> Voice {
    Voice { participant, level_dbov, speaking: true }
}

fn voices(voices: Vec<Voice>) -> Mixed {
    Mixed::Voice { conference: C1, voices }
}

/// `who` alone speaks for that long, reported every 100 ms as the mixer does.
fn speaks(bench: &mut Bench, who: ParticipantId, ms: u64) {
    for _ in 0..ms / 100 {
        bench.media(voices(vec![voice(who, -20.0)]));
        bench.wait(Duration::from_millis(100));
    }
    bench.media(voices(vec![]));
}

#[test]
fn the_voice_moves_the_picture_and_the_floor() {
    let mut bench = Bench::new();
    for n in 2..=4 {
        bench.dial(n, "8000");
    }
    let layout = SetLayout::new("full".parse().unwrap());
    bench.ask(|answer| Request::Layout { conference: C1, layout, answer }).unwrap();
    let (a, c) = (bench.id(2), bench.id(4));
    bench.commands();
    speaks(&mut bench, c, 2_000);
    let commands = bench.commands();
    let floor = |command: &Mix| matches!(command, Mix::Floor { participant: Some(who), .. } if *who == c);
    assert_eq!(commands.iter().filter(|(_, command)| floor(command)).count(), 1);
    let scenes = scenes(&commands, 1).unwrap();
    let sees = |who| scenes.iter().find(|(_, viewers)| viewers.contains(&who)).unwrap().0.single();
    assert_eq!((sees(a), sees(c)), (Some(c), Some(a)), "the speaker sees who was shown before");
    assert!(!bench.sites()[2].audio.speaking, "who is not in the report is silent");
}

#[test]
fn levels_are_told_at_most_twice_a_second_and_only_when_they_change() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    bench.dial(3, "8000");
    let a = bench.id(2);
    bench.wait(Duration::from_secs(1));
    bench.notices.clear();
    for step in 0..100 {
        bench.media(voices(vec![voice(a, if step % 2 == 0 { -20.0 } else { -40.0 })]));
        bench.wait(Duration::from_millis(100));
    }
    let told = |bench: &Bench, who| {
        let levels = bench.notices.iter().filter(|notice| {
            matches!(&notice.body, Body::Participant { change: Change::Level, participant } if participant.id == who)
        });
        levels.count()
    };
    assert!((15..=21).contains(&told(&bench, a)), "{}", told(&bench, a));
    let b = bench.id(3);
    assert_eq!(told(&bench, b), 0);
    bench.wait(Duration::from_secs(10));
    bench.notices.clear();
    for _ in 0..100 {
        bench.media(voices(vec![voice(a, -20.2)]));
        bench.wait(Duration::from_millis(100));
    }
    assert!(told(&bench, a) <= 3, "{}", told(&bench, a));
    // The end of the speech is told, late rather than never.
    bench.media(voices(vec![]));
    bench.wait(Duration::from_secs(1));
    let last = bench.notices.iter().rev().find_map(|notice| match &notice.body {
        Body::Participant { participant, .. } if participant.id == a => Some(participant.audio.speaking),
        _ => None,
    });
    assert_eq!(last, Some(false));
}

#[test]
fn figures_of_the_line_are_shown() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    let participant = bench.id(2);
    let statistics = Statistics {
        video: Some(VideoIn { codec: "H264", width: 1280, height: 720, fps: 29.97, visible: true }),
        send: VideoOut { kind: VideoKind::Encoded, width: 640, height: 360, fps: 30.0, kbps: 768, copies: 2 },
        loss: 0.01,
        loss_out: Some(0.02),
        jitter_ms: 3.25,
        rtt_ms: Some(40.0),
        rx_kbps: 1_200.4,
        tx_kbps: 900.0,
        ..Statistics::default()
    };
    bench.media(Mixed::Statistics { participant, statistics: Box::new(statistics) });
    let site = bench.sites().remove(0);
    assert_eq!((site.video.width, site.video.height, site.video.fps), (1280, 720, 30.0));
    assert_eq!((site.quality.loss, site.quality.rtt_ms, site.quality.rx_kbps), (0.02, Some(40.0), 1_200));
    assert_eq!((site.send.video, site.send.width, site.send.copies), (SendVideo::Encoded, 640, 2));
    bench.media(Mixed::Totals(Box::new(Totals { legs: 1, ..Totals::default() })));
    assert_eq!(bench.focus.totals().mixer[0].legs, 1);
}

#[test]
fn key_frame_requests_cross_both_ways() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    let participant = bench.id(2);
    bench.commands();
    let now = bench.now;
    let phone = bench.phone(2);
    phone.sip.fast_update(now, phone.call.unwrap()).unwrap();
    bench.settle();
    let asked = |(_, command): &(ConferenceId, Mix)| matches!(command, Mix::FastUpdate { participant: who } if *who == participant);
    assert!(bench.commands().iter().any(asked));
    bench.media(Mixed::AskInfoFastUpdate { participant });
    let got = |event: &Event| matches!(event, Event::Info { body: InfoBody::FastUpdate, .. });
    assert!(bench.phone(2).events.iter().any(got));
}

#[test]
fn keys_are_told_whichever_way_they_come() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    let participant = bench.id(2);
    bench.notices.clear();
    let now = bench.now;
    let phone = bench.phone(2);
    let body = Bytes::from_static(b"Signal=5\r\nDuration=160\r\n");
    phone.sip.info(now, phone.call.unwrap(), "application/dtmf-relay", body).unwrap();
    bench.settle();
    bench.media(Mixed::Dtmf { participant, digit: '#' });
    let keys: Vec<char> = bench
        .notices
        .iter()
        .filter_map(|notice| match notice.body {
            Body::Dtmf { participant: who, digit } if who == participant => Some(digit),
            _ => None,
        })
        .collect();
    assert_eq!(keys, ['5', '#']);
}

#[test]
fn a_silent_device_is_asked_and_stays_when_it_answers() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    let participant = bench.id(2);
    bench.media(Mixed::MediaTimeout { participant });
    assert!(bench.sent("INVITE").contains("m=audio 20004 "));
    assert_eq!(bench.sites()[0].state, State::Connected);
    let codes: Vec<&str> = bench
        .notices
        .iter()
        .filter_map(|notice| match notice.body {
            Body::Alarm { code, .. } => Some(code),
            _ => None,
        })
        .collect();
    assert_eq!(codes, ["media-lost", "media-back"]);
}

#[test]
fn a_dead_device_is_asked_and_called_back_and_leaves_when_it_never_answers() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    let participant = bench.id(2);
    bench.phone(2).unplugged = true;
    bench.media(Mixed::MediaTimeout { participant });
    assert_eq!(bench.sites()[0].state, State::Reconnecting);
    bench.wait(Duration::from_secs(40));
    assert_eq!(bench.sites()[0].state, State::Reconnecting, "its seat is kept for a while");
    bench.wait(Duration::from_secs(400));
    assert_eq!(bench.sites()[0].state, State::Left);
    assert_eq!(bench.open_ports(), 0);
}

#[test]
fn reports_of_those_who_have_left_are_ignored() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    let participant = bench.id(2);
    bench.hang_up(2);
    bench.commands();
    bench.notices.clear();
    bench.media(Mixed::MediaTimeout { participant });
    bench.media(Mixed::AskInfoFastUpdate { participant });
    bench.media(Mixed::VideoLost { participant });
    bench.media(Mixed::Statistics { participant, statistics: Box::default() });
    bench.media(voices(vec![voice(participant, -3.0)]));
    bench.media(Mixed::Voice { conference: ConferenceId(77), voices: vec![] });
    assert!(bench.commands().is_empty() && bench.notices.is_empty());
}

fn alarms(bench: &Bench) -> Vec<(&'static str, String)> {
    let alarm = |notice: &Notice| match &notice.body {
        Body::Alarm { code, words, .. } => Some((*code, words.en.clone())),
        _ => None,
    };
    bench.notices.iter().filter_map(alarm).collect()
}

#[test]
fn an_echoing_site_is_named_once_and_muted_where_the_rule_says_so() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    let participant = bench.id(2);
    bench.notices.clear();
    for delay_ms in [240, 320] {
        bench.media(Mixed::Trouble { participant, trouble: Trouble::Echo { delay_ms } });
    }
    assert!(bench.sites()[0].troubles[0].detail.en.contains("320 ms"));
    bench.media(Mixed::TroubleOver { participant, kind: Kind::Echo });
    let told = alarms(&bench);
    assert_eq!(told.iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["echo", "echo-over"]);
    assert!(!bench.sites()[0].audio.muted);

    let mut settings = bench.ask(|answer| Request::Settings(C1, answer)).unwrap();
    settings.sound.mute_echoing = true;
    let settings = Box::new(settings);
    bench.commands();
    bench.ask(|answer| Request::Change { id: C1, settings, answer }).unwrap();
    bench.notices.clear();
    bench.media(Mixed::Trouble { participant, trouble: Trouble::Echo { delay_ms: 240 } });
    let commands = bench.commands();
    assert!(commands.iter().any(|(_, c)| matches!(c, Mix::Discipline { rules, .. } if rules.mute_echoing)));
    assert!(commands.iter().any(|(_, c)| matches!(c, Mix::Sound { muted: true, .. })));
    assert!(alarms(&bench)[0].1.ends_with("Muted by rule."), "{:?}", alarms(&bench));
}

#[test]
fn seats_turn_by_the_clock_and_messages_reach_the_mixer() {
    let mut bench = Bench::new();
    for n in 2..=4 {
        bench.dial(n, "8000");
    }
    let cycle = cau_model::command::Cycle { period: Duration::from_secs(5), who: Vec::new() };
    let layout = SetLayout { cycle: Some(cycle), ..SetLayout::new("2x1".parse().unwrap()) };
    bench.ask(|answer| Request::Layout { conference: C1, layout, answer }).unwrap();
    let (a, c) = (bench.id(2), bench.id(4));
    bench.commands();
    bench.wait(Duration::from_millis(4_000));
    let ready = scenes(&bench.commands(), 1).unwrap();
    assert_eq!((ready[0].0.tiles[0].participant, &ready[0].0.prepare), (Some(a), &vec![c]));
    bench.wait(Duration::from_millis(1_500));
    assert_eq!(scenes(&bench.commands(), 1).unwrap()[0].0.tiles[0].participant, Some(c));
    let message = cau_model::ornament::Message {
        text: "Giải lao".into(),
        motion: cau_model::ornament::Motion::Still,
        place: cau_model::ornament::Edge::Top,
        viewers: None,
    };
    let message = Some(message);
    let shown = bench.ask(|answer| Request::Message { conference: C1, message, answer }).unwrap();
    assert_eq!(shown.message.map(|m| m.text.to_string()).as_deref(), Some("Giải lao"));
    assert!(scenes(&bench.commands(), 1).unwrap()[0].0.ornaments.message.is_some());
}
