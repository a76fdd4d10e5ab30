//! Calls in, and what becomes of them.

use cau_mixer::Command as Mix;
use cau_mixer::command::{AudioCodec, LegConfig};
use cau_model::participant::State;
use cau_sip::Event;
use cau_sip::sdp::Direction;

use super::bench::*;
use super::*;
use crate::notice::{Body, Change};

/// Codecs nobody here speaks.
const ALIEN: &str = "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 18\r\n\
                     a=rtpmap:18 G729/8000\r\nm=video 4002 RTP/AVP 34\r\na=rtpmap:34 H263/90000\r\n";

#[test]
fn an_offer_is_answered_and_the_site_sits_in_the_conference() {
    let mut bench = Bench::new();
    bench.commands();
    bench.dial(2, "8000");
    let answer = bench.sent("SIP/2.0 200").to_owned();
    assert!(answer.contains(";isfocus"), "{answer}");
    assert!(answer.contains("m=audio 20004 ") && answer.contains("m=video 20006 "), "{answer}");
    let commands = bench.commands();
    let (conference, id, leg) = added(&commands).remove(0);
    assert_eq!(conference, ConferenceId(1));
    assert_eq!(&*leg.name, "Điểm cầu 2");
    let (audio, video) = (leg.audio.unwrap(), leg.video.unwrap());
    assert!(matches!(audio.codec, AudioCodec::Opus { .. }));
    assert_eq!(audio.stream.remote, "10.0.0.2:4000".parse().unwrap());
    assert_eq!(video.stream.remote, "10.0.0.2:4002".parse().unwrap());
    assert!(!video.stream.send && video.stream.recv && video.feedback.pli, "before the ACK");
    let at = |wanted: &dyn Fn(&Mix) -> bool| commands.iter().position(|(_, c)| wanted(c)).unwrap();
    let sends = |leg: &LegConfig| leg.video.as_ref().is_some_and(|video| video.stream.send);
    assert!(
        at(&|c| matches!(c, Mix::UpdateLeg { leg, .. } if sends(leg)))
            < at(&|c| matches!(c, Mix::Scenes { .. })),
        "the leg stands before it is shown"
    );
    assert_eq!(scenes(&commands, 1).unwrap()[0].1, [id]);
    let site = bench.sites().remove(0);
    assert_eq!((site.state, site.uri.as_str()), (State::Connected, "sip:site2@10.0.0.2"));
    assert_eq!((site.audio.codec.as_deref(), site.video.codec.as_deref()), (Some("opus"), Some("H264")));
    let joined = |notice: &Notice| matches!(notice.body, Body::Participant { change: Change::Joined, .. });
    assert_eq!(bench.notices.iter().filter(|notice| joined(notice)).count(), 1);
}

#[test]
fn a_room_is_dialled_by_name_and_whatever_the_case() {
    let mut bench = Bench::new();
    let named = cau_model::Settings { name: "Giao bán".into(), ..cau_model::Settings::new("SO").unwrap() };
    let settings = Box::new(named);
    bench.ask(|answer| crate::Request::Create { id: ConferenceId(2), settings, answer }).unwrap();
    bench.dial(2, "Giao%20Ban");
    bench.dial(3, "So");
    let commands = bench.commands();
    assert_eq!(added(&commands).iter().map(|(id, ..)| id.0).collect::<Vec<_>>(), [2, 2]);
}

#[test]
fn after_a_late_offer_the_site_comes_in_with_its_answer() {
    let mut bench = Bench::new();
    bench.commands();
    bench.invite(2, "8000", None);
    assert!(bench.sent("SIP/2.0 200").contains("m=video"), "our offer");
    let commands = bench.commands();
    let (_, _, leg) = added(&commands).remove(0);
    assert_eq!(leg.audio.unwrap().stream.remote, "10.0.0.2:4000".parse().unwrap());
    assert!(leg.video.is_some());
    assert_eq!(bench.sites().len(), 1);
}

#[test]
fn before_the_answer_to_a_late_offer_there_is_nobody_and_without_it_there_was_nobody() {
    let mut bench = Bench::new();
    bench.commands();
    bench.phone(2).unplugged = true;
    // Only the INVITE gets through.
    let now = bench.now;
    let target = cau_sip::Target::new(cau_sip::Uri::parse(format!("sip:8000@{MCU}").as_bytes()).unwrap());
    let phone = bench.phone(2);
    phone.sip.call(now, target, None).unwrap();
    let invite = phone.sip.poll_transmit().unwrap();
    let (local, remote) = (MCU.parse().unwrap(), "10.0.0.2:5060".parse().unwrap());
    bench
        .focus
        .handle_input(now, Input { transport: cau_sip::Transport::Udp, local, remote, bytes: &invite.bytes });
    bench.settle();
    assert!(added(&bench.commands()).is_empty() && bench.sites().is_empty());
    assert_eq!(bench.open_ports(), 1);
    bench.phones.clear();
    bench.wait(Duration::from_secs(40));
    assert_eq!(bench.open_ports(), 0);
    assert!(bench.sites().is_empty() && removed(&bench.commands()).is_empty());
}

#[test]
fn a_late_answer_that_is_of_no_use_ends_the_call_with_its_reason() {
    for (answer, words) in [
        ("no description at all", "the session description cannot be read"),
        (
            "v=0\r\no=- 1 1 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\nm=video 4000 RTP/AVP 96\r\n",
            "line 0 of the answer is video",
        ),
    ] {
        let mut bench = Bench::new();
        bench.phone(2).answers_with = Some(answer);
        bench.invite(2, "8000", None);
        let bye = bench.sent("BYE");
        let reason = bye.lines().find(|l| l.starts_with("Reason: ")).expect("a reason");
        assert!(reason.starts_with("Reason: Q.850;cause=16;text=") && reason.contains(words), "{reason}");
        assert!(bench.sites().is_empty() && bench.phone(2).has_ended());
        assert_eq!(bench.open_ports(), 0);
    }
}

#[test]
fn all_calls_of_a_conference_share_one_half_of_their_session_id() {
    let mut bench = Bench::new();
    bench.create(2, "9000").unwrap();
    let mut ids = Vec::new();
    for (n, room) in [(2, "8000"), (3, "8000"), (4, "9000")] {
        bench.dial(n, room);
        let ok = bench.sent("SIP/2.0 200");
        let line = ok.lines().find_map(|l| l.strip_prefix("Session-ID: ")).expect("a session").to_owned();
        let (ours, theirs) = line.split_once(";remote=").expect("both halves");
        ids.push((ours.to_owned(), theirs.to_owned()));
    }
    assert_eq!(ids[0].0, ids[1].0, "one conference");
    assert_ne!(ids[0].0, ids[2].0, "another one");
    assert_ne!(ids[0].1, ids[1].1, "each caller is its own");
}

#[test]
fn an_unknown_room_is_not_found_and_costs_nothing() {
    let mut bench = Bench::new();
    bench.dial(2, "4711");
    assert_eq!(bench.phone(2).refused(), Some(404));
    assert!(bench.sent("SIP/2.0 404").contains("Warning: 399 cau \"there is no room 4711\""));
    bench.dial(3, "");
    assert_eq!(bench.phone(3).refused(), Some(404));
    assert_eq!(bench.open_ports(), 0);
    assert_eq!(bench.focus.totals().refused_room, 2);
    let told = bench.notices.iter().find_map(|notice| match &notice.body {
        Body::CallRefused { from, to, status, words } => {
            Some((from.clone(), to.clone(), *status, words.vi.clone()))
        }
        _ => None,
    });
    let (from, to, status, vi) = told.unwrap();
    assert_eq!((from.as_str(), to.as_str(), status), ("sip:site2@10.0.0.2", "sip:4711@10.0.0.1:5060", 404));
    assert!(vi.contains("4711"));
}

#[test]
fn a_scanner_does_not_flood_the_journal() {
    let mut bench = Bench::new();
    for n in 0..60 {
        bench.dial(2, &format!("{n}"));
    }
    let told = |bench: &Bench| {
        bench.notices.iter().filter(|notice| matches!(notice.body, Body::CallRefused { .. })).count()
    };
    assert_eq!((told(&bench), bench.focus.totals().refused_room), (20, 60));
    assert_eq!(bench.focus.totals().lost_notices, 40);
    bench.wait(Duration::from_secs(1));
    bench.dial(2, "4711");
    assert_eq!(told(&bench), 21);
}

#[test]
fn without_a_codec_in_common_the_call_is_not_acceptable_here_and_the_ports_are_free_again() {
    let mut bench = Bench::new();
    bench.invite(9, "8000", Some(ALIEN.into()));
    assert_eq!(bench.phone(9).refused(), Some(488));
    assert!(
        bench.sent("SIP/2.0 488").contains("Warning: 305 cau \"no codec in common\""),
        "{:?}",
        bench.wire
    );
    assert_eq!(bench.open_ports(), 0);
    bench.invite(8, "8000", Some("v=0\r\nthis is no SDP".into()));
    assert_eq!(bench.phone(8).refused(), Some(488));
    let off = ALIEN.replace("m=audio 4000", "m=audio 0").replace("m=video 4002", "m=video 0");
    bench.invite(7, "8000", Some(off.into()));
    assert_eq!(bench.phone(7).refused(), Some(488));
    assert_eq!((bench.open_ports(), bench.focus.totals().refused_media), (0, 3));
}

#[test]
fn with_all_ports_in_use_callers_come_back_later() {
    let mut bench = Bench::new();
    bench.log.lock().unwrap().capacity = 2;
    bench.dial(2, "8000");
    bench.dial(3, "8000");
    bench.dial(4, "8000");
    assert_eq!(bench.phone(4).refused(), Some(503));
    assert!(bench.sent("SIP/2.0 503").contains("Retry-After: 5"));
    let alarm = |notice: &Notice| matches!(notice.body, Body::Alarm { code: "no-ports", .. });
    assert!(bench.notices.iter().any(alarm));
    bench.hang_up(2);
    bench.dial(5, "8000");
    assert_eq!(bench.phone(5).refused(), None);
    assert_eq!(bench.focus.totals().participants, 2);
}

#[test]
fn full_conferences_are_busy_and_a_full_mcu_is_unavailable() {
    let mut bench = Bench::with(|config| (config.max_per_conference, config.max_participants) = (1, 2));
    bench.create(2, "8001").unwrap();
    bench.create(3, "8002").unwrap();
    bench.dial(2, "8000");
    bench.dial(3, "8000");
    assert_eq!(bench.phone(3).refused(), Some(486));
    bench.dial(4, "8001");
    bench.dial(5, "8002");
    assert_eq!(bench.phone(5).refused(), Some(503));
    assert!(bench.sent("SIP/2.0 503").contains("Retry-After"));
    assert_eq!(bench.focus.totals().refused_full, 2);
}

#[test]
fn hold_and_resume_reach_the_mixer_and_the_picture() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    bench.dial(3, "8000");
    bench.commands();
    bench.reoffer(2, |phone| {
        phone.caps.audio_direction = Direction::SendOnly;
        phone.caps.video_direction = Direction::Inactive;
    });
    let commands = bench.commands();
    let leg = updated(&commands).remove(0);
    let (audio, video) = (leg.audio.unwrap().stream, leg.video.unwrap().stream);
    assert_eq!((audio.send, audio.recv, video.send, video.recv), (false, true, false, false));
    let cards = |commands: &[_]| scenes(commands, 1).unwrap()[0].0.pictures().count();
    assert_eq!(cards(&commands), 1, "the held site is shown as a card");
    bench.reoffer(2, |phone| {
        phone.caps.audio_direction = Direction::SendRecv;
        phone.caps.video_direction = Direction::SendRecv;
    });
    let commands = bench.commands();
    let leg = updated(&commands).remove(0);
    assert!(leg.audio.unwrap().stream.send && leg.video.unwrap().stream.recv);
    assert_eq!(cards(&commands), 2);
    assert!(bench.sites().iter().all(|site| site.state == State::Connected));
}

#[test]
fn another_address_in_a_reinvite_is_followed() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    bench.commands();
    bench.reoffer(2, |phone| (phone.ports.audio, phone.ports.video) = (5_000, 5_002));
    let leg = updated(&bench.commands()).remove(0);
    assert_eq!(leg.audio.unwrap().stream.remote, "10.0.0.2:5000".parse().unwrap());
    assert_eq!(leg.video.unwrap().stream.remote_rtcp.port() & !1, 5_002);
}

#[test]
fn video_comes_late_and_goes_again() {
    let mut bench = Bench::new();
    bench.phone(2).caps = bench.phone(2).caps.clone().without_video();
    bench.dial(2, "8000");
    let (_, _, leg) = added(&bench.commands()).remove(0);
    assert!(leg.audio.is_some() && leg.video.is_none());
    assert_eq!(bench.sites()[0].video.codec, None);
    let both = cau_sip::sdp::Capabilities::mcu(cau_sip::sdp::h264::Receive::HD720, 1_000);
    bench.reoffer(2, |phone| phone.caps = both);
    let commands = bench.commands();
    assert!(updated(&commands)[0].video.is_some());
    assert_eq!(scenes(&commands, 1).unwrap()[0].0.pictures().count(), 1);
    bench.reoffer(2, |phone| phone.ports.video = 0);
    let leg = updated(&bench.commands()).remove(0);
    assert!(leg.audio.is_some() && leg.video.is_none());
    assert!(bench.sent("SIP/2.0 200").contains("m=video 0 "));
}

#[test]
fn a_reinvite_that_cannot_be_answered_leaves_the_call_as_it_was() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    bench.commands();
    let now = bench.now;
    let phone = bench.phone(2);
    phone.sip.reoffer(now, phone.call.unwrap(), Some(ALIEN.into())).unwrap();
    bench.settle();
    assert!(
        bench.phone(2).events.iter().any(|event| matches!(event, Event::ReofferRejected { status: 488, .. }))
    );
    assert!(bench.sent("SIP/2.0 488").contains("Warning: 305"));
    assert!(bench.commands().is_empty());
    // And the next good one is answered with the next version of the description.
    bench.reoffer(2, |phone| phone.caps.audio_direction = Direction::SendOnly);
    assert_eq!(updated(&bench.commands()).len(), 1);
}

#[test]
fn a_reinvite_without_offer_gets_ours_and_its_answer_counts() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    bench.commands();
    let now = bench.now;
    let phone = bench.phone(2);
    phone.ports.audio = 6_000;
    phone.sip.reoffer(now, phone.call.unwrap(), None).unwrap();
    bench.settle();
    let leg = updated(&bench.commands()).remove(0);
    assert_eq!(leg.audio.unwrap().stream.remote.port(), 6_000);
    assert!(leg.video.is_some());
}

#[test]
fn versions_of_our_description_grow_by_one_with_every_change() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    let version = |bench: &Bench| {
        let answer = bench.sent("SIP/2.0 200");
        let line = answer.lines().find(|line| line.starts_with("o=")).unwrap().to_owned();
        let mut words = line.split(' ');
        (words.nth(1).unwrap().to_owned(), words.next().unwrap().parse::<u64>().unwrap())
    };
    let (id, first) = version(&bench);
    bench.reoffer(2, |phone| phone.caps.audio_direction = Direction::SendOnly);
    assert_eq!(version(&bench), (id.clone(), first + 1));
    bench.reoffer(2, |_| {});
    assert_eq!(version(&bench), (id, first + 1), "nothing new, no new version");
}

#[test]
fn a_site_that_hangs_up_leaves_with_the_reason_and_frees_everything() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    bench.dial(3, "8000");
    let id = bench.id(2);
    bench.commands();
    bench.hang_up(2);
    let commands = bench.commands();
    assert_eq!(removed(&commands), [id]);
    assert_eq!(scenes(&commands, 1).unwrap()[0].1.len(), 1);
    assert_eq!(bench.open_ports(), 1);
    let site = bench.sites().remove(0);
    assert_eq!((site.state, site.reason_en.as_deref()), (State::Left, Some("the site hung up")));
    assert!(site.reason.unwrap().contains("ngắt"));
}

#[test]
fn a_caller_who_gives_up_at_once_leaves_nothing_behind() {
    let mut bench = Bench::new();
    let now = bench.now;
    let target = cau_sip::Target::new(cau_sip::Uri::parse(format!("sip:8000@{MCU}").as_bytes()).unwrap());
    let phone = bench.phone(2);
    let offer = offer_of(phone);
    let call = phone.sip.call(now, target, Some(offer)).unwrap();
    phone.sip.hangup(now, call, None).unwrap();
    bench.settle();
    bench.wait(Duration::from_secs(40));
    assert_eq!((bench.open_ports(), bench.focus.totals().calls), (0, 0));
    assert!(bench.sites().iter().all(|site| site.state == State::Left));
}

fn offer_of(phone: &mut Phone) -> bytes::Bytes {
    let origin = Origin::new(5, phone.ports.addr);
    cau_sip::sdp::offer(&phone.caps, &phone.ports, &origin, None).to_bytes()
}

#[test]
fn conferences_know_nothing_of_each_other() {
    let mut bench = Bench::new();
    bench.create(2, "8001").unwrap();
    bench.dial(2, "8000");
    bench.dial(3, "8001");
    let commands = bench.commands();
    let legs = added(&commands);
    assert_eq!((legs[0].0.0, legs[1].0.0), (1, 2));
    for (scene, viewers) in scenes(&commands, 1).unwrap().iter().chain(&scenes(&commands, 2).unwrap()) {
        assert_eq!((scene.tiles.len(), viewers.len()), (1, 1));
        assert_eq!(scene.tiles[0].participant, Some(viewers[0]));
    }
    bench.ask(|answer| crate::Request::End(ConferenceId(2), answer)).unwrap();
    assert!(bench.phone(3).has_ended() && !bench.phone(2).has_ended());
}
