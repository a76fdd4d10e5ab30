//! Calls between two endpoints over good and bad networks.

use std::time::Duration;

use crate::common::{ANSWER, FAIR, Manner, OFFER, Pair, STORM, at};
use bytes::Bytes;
use cau_sip::{Config, Event, Protocol, Target, Uri};

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// Nothing is left when all is over.
fn assert_clean(pair: &mut Pair) {
    pair.run(MINUTE * 5);
    for side in &pair.sides {
        assert_eq!((side.endpoint.calls(), side.endpoint.transactions()), (0, 0), "at {}", side.address);
        assert_eq!(side.endpoint.poll_timeout(), None);
    }
}

#[test]
fn a_call_stands_and_ends() {
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        let mut pair = Pair::new(1, FAIR);
        let (call, _) = pair.established(protocol);
        assert_eq!(pair.a().story(), ["answer", "confirmed"]);
        assert_eq!(pair.b().story(), ["incoming", "confirmed"]);
        let now = pair.now;
        pair.a().endpoint.hangup(now, call, Some("cuộc họp đã kết thúc")).unwrap();
        pair.run(SECOND);
        let Some(Event::Ended { cause, .. }) = pair.b().events.last() else { panic!() };
        assert_eq!(cause.to_string(), "the site hung up (cuộc họp đã kết thúc)");
        assert_eq!(pair.a().story().last().unwrap(), "ended local-hang-up");
        assert_clean(&mut pair);
    }
}

#[test]
fn calls_survive_loss_duplication_and_reordering() {
    let (mut stood, mut clean) = (0, 0);
    for seed in 0..200 {
        let mut pair = Pair::new(seed, STORM);
        let call = pair.dial(Protocol::Udp, Some(OFFER));
        pair.run(MINUTE);
        let up = pair.a().told("confirmed") == 1 && pair.b().told("confirmed") == 1;
        stood += usize::from(up);
        assert_eq!(pair.b().told("incoming"), 1, "exactly one call whatever was repeated (seed {seed})");
        let now = pair.now;
        let _ = pair.a().endpoint.hangup(now, call, None);
        assert_clean(&mut pair);
        for side in &pair.sides {
            let ends =
                side.events.iter().filter(|e| matches!(e, Event::Ended { .. } | Event::Rejected { .. }));
            assert_eq!(ends.count(), 1, "exactly one end (seed {seed}): {:?}", side.story());
        }
        clean += 1;
    }
    assert_eq!(clean, 200);
    // 64·T1 gives an INVITE seven and a 2xx eleven tries: at 20 % loss each way practically every call stands.
    assert!(stood >= 199, "{stood} of 200");
}

#[test]
fn late_offer_is_answered_in_the_ack() {
    for (weather, seeds) in [(FAIR, 0..1), (STORM, 0..50)] {
        for seed in seeds {
            let mut pair = Pair::new(seed, weather);
            pair.dial(Protocol::Udp, None);
            pair.run(MINUTE);
            assert_eq!(pair.a().story(), ["offer", "confirmed"], "seed {seed}");
            assert_eq!(pair.b().story(), ["incoming without offer", "answer", "confirmed"], "seed {seed}");
        }
    }
}

#[test]
fn a_2xx_is_repeated_until_its_ack() {
    let mut pair = Pair::new(1, FAIR);
    pair.swallow.push((0, "ACK", 3));
    pair.dial(Protocol::Udp, Some(OFFER));
    pair.run(Duration::from_secs(10));
    // At 0, 0.5, 1.5 and 3.5 s; the fourth ACK gets through.
    assert_eq!(pair.b().sent("SIP/2.0 200"), 4);
    assert_eq!(pair.a().sent("ACK"), 4);
    assert_eq!(pair.b().told("confirmed"), 1);
}

#[test]
fn a_call_without_ack_is_ended() {
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        let mut pair = Pair::new(1, FAIR);
        pair.swallow.push((0, "ACK", usize::MAX));
        pair.dial(protocol, Some(OFFER));
        pair.run(Duration::from_millis(32_100));
        assert_eq!(pair.b().story(), ["incoming", "ended no-ack"]);
        assert_eq!(pair.a().story().last().unwrap(), "ended remote-hang-up");
        assert_clean(&mut pair);
    }
}

#[test]
fn hanging_up_before_the_ack_waits_for_it() {
    let mut pair = Pair::new(1, FAIR);
    pair.swallow.push((0, "ACK", 1));
    pair.dial(Protocol::Udp, Some(OFFER));
    pair.run(Duration::from_millis(100));
    let (now, call) = (pair.now, pair.b().call());
    pair.b().endpoint.hangup(now, call, None).unwrap();
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.b().sent("BYE"), 0);
    pair.run(SECOND);
    assert_eq!(pair.b().sent("BYE"), 1);
    assert_eq!(pair.b().story(), ["incoming", "ended local-hang-up"]);
    assert_clean(&mut pair);
}

#[test]
fn a_ringing_call_is_cancelled() {
    let mut pair = Pair::new(1, FAIR);
    pair.b().manner = Manner::Silent;
    let call = pair.dial(Protocol::Udp, Some(OFFER));
    pair.run(Duration::from_millis(100));
    let (now, theirs) = (pair.now, pair.b().call());
    pair.b().endpoint.ring(now, theirs).unwrap();
    pair.run(SECOND);
    assert_eq!(pair.a().story(), ["progress 180"]);
    let now = pair.now;
    pair.a().endpoint.hangup(now, call, None).unwrap();
    pair.run(SECOND);
    assert_eq!(pair.b().story(), ["incoming", "ended cancelled"]);
    assert_eq!(pair.b().sent("SIP/2.0 487"), 1);
    assert_eq!(pair.a().story(), ["progress 180", "ended local-hang-up"]);
    assert_clean(&mut pair);
}

#[test]
fn cancel_waits_for_the_first_response() {
    let mut pair = Pair::new(1, FAIR);
    pair.b().manner = Manner::Silent;
    let call = pair.dial(Protocol::Udp, Some(OFFER));
    let now = pair.now;
    pair.a().endpoint.hangup(now, call, None).unwrap();
    pair.run(Duration::from_millis(100));
    assert_eq!(pair.a().sent("CANCEL"), 0, "nothing was heard yet");
    pair.run(Duration::from_millis(400));
    assert_eq!(pair.a().sent("CANCEL"), 1, "100 came after 200 ms");
    assert_eq!(pair.b().story(), ["incoming", "ended cancelled"]);
    assert_clean(&mut pair);
}

#[test]
fn a_cancel_that_crosses_the_answer_ends_in_bye() {
    let mut pair = Pair::new(1, FAIR);
    pair.b().manner = Manner::Silent;
    let call = pair.dial(Protocol::Udp, Some(OFFER));
    pair.run(Duration::from_millis(300));
    let (now, theirs) = (pair.now, pair.b().call());
    pair.a().endpoint.hangup(now, call, None).unwrap();
    pair.b().endpoint.accept(now, theirs, Bytes::from_static(ANSWER)).unwrap();
    pair.run(SECOND);
    assert_eq!((pair.a().sent("CANCEL"), pair.a().sent("ACK"), pair.a().sent("BYE")), (1, 1, 1));
    assert_eq!(pair.b().story(), ["incoming", "confirmed", "ended remote-hang-up"]);
    assert_eq!(pair.a().story(), ["ended local-hang-up"]);
    assert_clean(&mut pair);
}

#[test]
fn cancel_races_end_cleanly_in_a_storm() {
    for seed in 0..100 {
        let mut pair = Pair::new(seed, STORM);
        let call = pair.dial(Protocol::Udp, Some(OFFER));
        pair.run(Duration::from_millis(seed * 7));
        let now = pair.now;
        let _ = pair.a().endpoint.hangup(now, call, None);
        assert_clean(&mut pair);
        let ends =
            |side: &crate::common::Side| side.story().iter().filter(|s| s.starts_with("ended")).count();
        assert_eq!(ends(&pair.sides[0]), 1, "seed {seed}: {:?}", pair.a().story());
        assert_eq!(
            ends(&pair.sides[1]),
            pair.sides[1].told("incoming"),
            "seed {seed}: {:?}",
            pair.b().story()
        );
    }
}

#[test]
fn a_refusal_reaches_the_caller() {
    let mut pair = Pair::new(1, FAIR);
    pair.b().manner = Manner::Silent;
    pair.dial(Protocol::Udp, Some(OFFER));
    pair.run(Duration::from_millis(50));
    let (now, call) = (pair.now, pair.b().call());
    let warning = [("Warning", "304 cau \"Không có bộ mã hóa chung\"")];
    pair.b().endpoint.reject(now, call, 488, &warning).unwrap();
    pair.run(SECOND);
    assert_eq!(pair.a().story(), ["rejected 488"]);
    assert_eq!(pair.b().story(), ["incoming"]);
    assert_eq!(pair.a().sent("ACK"), 1);
    assert_clean(&mut pair);
}

#[test]
fn a_redirection_names_where_to_go() {
    let mut pair = Pair::new(1, FAIR);
    pair.b().manner = Manner::Silent;
    pair.dial(Protocol::Udp, Some(OFFER));
    pair.run(Duration::from_millis(50));
    let (now, call) = (pair.now, pair.b().call());
    pair.b()
        .endpoint
        .reject(now, call, 302, &[("Contact", "<sip:9000@192.0.2.7>, <sip:9001@192.0.2.8>")])
        .unwrap();
    pair.run(SECOND);
    let Some(Event::Rejected { status: 302, contacts, .. }) = pair.a().events.last() else { panic!() };
    assert_eq!(
        contacts.iter().map(|c| c.to_string()).collect::<Vec<_>>(),
        ["sip:9000@192.0.2.7", "sip:9001@192.0.2.8"]
    );
}

#[test]
fn nobody_there() {
    let mut pair = Pair::new(1, FAIR);
    let now = pair.now;
    let target = Target::new(Uri::sip("x", at("192.0.2.99:5060")));
    pair.a().endpoint.call(now, target, Some(Bytes::from_static(OFFER))).unwrap();
    pair.run(Duration::from_millis(31_900));
    assert!(pair.a().story().is_empty());
    assert_eq!(pair.a().sent("INVITE"), 7, "at 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s");
    pair.run(SECOND);
    assert_eq!(pair.a().story(), ["ended no-response"]);
    let now = pair.now;
    let target = Target::new("sip:x@192.0.2.99;transport=tcp".parse().unwrap());
    pair.a().endpoint.call(now, target, Some(Bytes::from_static(OFFER))).unwrap();
    pair.run(SECOND);
    assert_eq!(pair.a().story().last().unwrap(), "ended transport-failed");
    assert_clean(&mut pair);
}

#[test]
fn nobody_answers() {
    let mut pair = Pair::new(1, FAIR);
    pair.b().manner = Manner::Silent;
    pair.dial(Protocol::Udp, Some(OFFER));
    pair.run(Duration::from_millis(50));
    let (now, call) = (pair.now, pair.b().call());
    pair.b().endpoint.ring(now, call).unwrap();
    pair.run(Duration::from_secs(170));
    assert_eq!(pair.b().sent("SIP/2.0 180"), 3, "repeated each minute");
    pair.run(Duration::from_secs(20));
    assert_eq!(pair.a().story().last().unwrap(), "ended no-answer");
    assert_clean(&mut pair);
}

#[test]
fn a_call_outlives_its_connection() {
    let mut pair = Pair::new(1, FAIR);
    let (call, _) = pair.established(Protocol::Tcp);
    pair.cut();
    pair.run(SECOND);
    assert_eq!(pair.a().story(), ["answer", "confirmed"], "the media still flow");
    let now = pair.now;
    pair.a().endpoint.hangup(now, call, None).unwrap();
    pair.run(SECOND);
    assert_eq!(pair.b().story().last().unwrap(), "ended remote-hang-up", "over a new connection");
    assert_clean(&mut pair);
}

#[test]
fn a_connection_that_breaks_under_an_invite_ends_the_call() {
    let mut pair = Pair::new(1, FAIR);
    pair.b().manner = Manner::Silent;
    pair.dial(Protocol::Tcp, Some(OFFER));
    pair.run(Duration::from_millis(300));
    pair.cut();
    assert_eq!(pair.a().story(), ["ended transport-failed"]);
}

#[test]
fn streams_cut_into_bytes() {
    let mut pair = Pair::new(1, crate::common::Weather { piece: 1, ..FAIR });
    let (call, _) = pair.established(Protocol::Tcp);
    let now = pair.now;
    pair.a().endpoint.hangup(now, call, None).unwrap();
    pair.run(SECOND);
    assert_eq!(pair.b().story(), ["incoming", "confirmed", "ended remote-hang-up"]);
    assert_clean(&mut pair);
}

#[test]
fn large_requests_go_over_tcp_only_when_told() {
    let large: &'static [u8] = vec![b'v'; 2000].leak();
    for (told, first) in [(false, Protocol::Udp), (true, Protocol::Tcp)] {
        let caller = Config { tcp_for_large: told, ..Config::default() };
        let mut pair = Pair::with(1, FAIR, caller, Config::default());
        pair.dial(Protocol::Udp, Some(large));
        pair.run(SECOND);
        assert_eq!(pair.b().told("confirmed"), 1);
        let Some(Event::Incoming { request, .. }) = pair.b().events.first() else { panic!() };
        assert_eq!(request.transport.protocol(), first);
    }
}

#[test]
fn large_requests_come_back_to_udp_when_nobody_listens_on_tcp() {
    let mut pair =
        Pair::with(1, FAIR, Config { tcp_for_large: true, ..Config::default() }, Config::default());
    let target = Target { remote: Some(at("192.0.2.99:5060")), ..Target::new("sip:x@h".parse().unwrap()) };
    let now = pair.now;
    pair.a().endpoint.call(now, target, Some(Bytes::from(vec![b'v'; 2000]))).unwrap();
    pair.run(Duration::from_millis(700));
    assert_eq!(pair.a().sent("INVITE"), 2, "over UDP, and repeated there: {:?}", pair.a().sent);
    assert!(pair.a().story().is_empty());
}

#[test]
fn info_asks_for_a_key_frame() {
    let mut pair = Pair::new(1, FAIR);
    let (a, b) = pair.established(Protocol::Udp);
    let now = pair.now;
    pair.a().endpoint.fast_update(now, a).unwrap();
    pair.b().endpoint.fast_update(now, b).unwrap();
    pair.a()
        .endpoint
        .info(now, a, "application/dtmf-relay", Bytes::from("Signal=#\r\nDuration=120\r\n"))
        .unwrap();
    pair.run(SECOND);
    assert_eq!(pair.b().story()[2..], ["info FastUpdate", "info Dtmf { digit: '#', duration_ms: 120 }"]);
    assert_eq!(pair.a().story().last().unwrap(), "info FastUpdate");
    assert_eq!(pair.a().endpoint.transactions(), 4, "the INVITE, two INFOs, and one of the other side");
}
