//! Ways and bounds: large requests (RFC 3261 18.1.1), streams in pieces and their keep-alives, queues that are full, connections
//! that say nothing. And what both ends call a session (RFC 7989), which has to survive all of that.

use std::{net::SocketAddr, time::Duration};

use crate::common::{
    ANSWER, Bench, FAIR, OFFER, Pair, at, in_dialog, only_request, read, reply, request, response, story,
    to_tag,
};
use bytes::Bytes;
use cau_sip::{
    Config, ConnId, Event, Protocol, Target, Transmit, Transport, Uri,
    message::{Message, Method, Name, Request},
};

const SECOND: Duration = Duration::from_secs(1);
const CONN: ConnId = ConnId(7);

fn large() -> Bytes {
    Bytes::from(format!("v=0\r\n{}", "a=x-nobody-knows\r\n".repeat(100)))
}

fn bench() -> Bench {
    Bench::new(Config { focus: true, ..Config::default() })
}

fn kinds(sent: &[Transmit]) -> Vec<Transport> {
    sent.iter().map(|t| t.transport).collect()
}

fn call_large(bench: &mut Bench) -> Vec<Transmit> {
    let target = Target::new(Uri::sip("site", bench.peer));
    bench.endpoint.call(bench.now, target, Some(large())).unwrap();
    bench.transmits()
}

/// `\n` to CR LF, as a stream has it.
fn wire(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

#[test]
fn a_large_request_goes_by_tcp_and_the_rest_stays_on_udp() {
    let mut bench = bench();
    assert_eq!(kinds(&call_large(&mut bench)), [Transport::TcpConnect]);
    bench.endpoint.handle_connected(bench.now, CONN, at("192.0.2.2:40000"), bench.peer);
    let sent = bench.transmits();
    assert_eq!(kinds(&sent), [Transport::Tcp(CONN)]);
    let Message::Request(invite) = read(&sent[0].bytes) else { panic!() };
    assert!(invite.headers.text(&Name::Via).unwrap().starts_with("SIP/2.0/TCP "));
    assert!(!invite.headers.text(&Name::Contact).unwrap().contains("tcp"), "they reach us as before");
    let ok = reply(&invite, 200, "b", "Contact: <sip:site@192.0.2.1:5060>\n", "v=0\n");
    bench.input(Transport::Tcp(CONN), &wire(&ok));
    let sent = bench.transmits();
    assert_eq!(kinds(&sent), [Transport::Udp], "the ACK is small");
    assert_eq!(story(&bench.events()), ["answer", "confirmed"]);
    // The next large one finds the connection.
    let call = cau_sip::CallId(1);
    bench.endpoint.reoffer(bench.now, call, Some(large())).unwrap();
    assert_eq!(kinds(&bench.transmits()), [Transport::Tcp(CONN)]);
}

#[test]
fn where_nobody_listens_on_tcp_it_goes_by_udp_and_that_is_remembered() {
    let mut bench = bench();
    assert_eq!(kinds(&call_large(&mut bench)), [Transport::TcpConnect]);
    bench.endpoint.handle_connect_failed(bench.now, bench.peer);
    let sent = bench.transmits();
    assert_eq!(kinds(&sent), [Transport::Udp]);
    let Message::Request(invite) = read(&sent[0].bytes) else { panic!() };
    assert!(invite.headers.text(&Name::Via).unwrap().starts_with("SIP/2.0/UDP "));
    assert_eq!(invite.headers.count(&Name::Via), 1);
    assert_eq!(kinds(&call_large(&mut bench)), [Transport::Udp]);
    bench.now += SECOND * 601;
    assert_eq!(kinds(&call_large(&mut bench)), [Transport::TcpConnect], "things change");
    assert_eq!(bench.endpoint.counters().fallbacks, 1);
}

#[test]
fn where_tcp_is_swallowed_it_goes_by_udp_after_a_second() {
    let mut bench = bench();
    call_large(&mut bench);
    assert!(bench.pass(Duration::from_millis(999)).is_empty());
    let invite = only_request(bench.pass(Duration::from_millis(1)), Method::Invite);
    assert!(invite.headers.text(&Name::Via).unwrap().starts_with("SIP/2.0/UDP "));
    assert_eq!(bench.pass(SECOND / 2).len(), 1, "and is repeated there");
    // The connection stands after all: it is not sent there as well.
    bench.endpoint.handle_connected(bench.now, CONN, at("192.0.2.2:40000"), bench.peer);
    assert!(bench.transmits().is_empty());
    bench.send(&reply(&invite, 200, "b", "Contact: <sip:site@192.0.2.1:5060>\n", "v=0\n"));
    assert_eq!(story(&bench.events()), ["answer", "confirmed"]);
}

#[test]
fn who_called_by_tcp_and_is_gone_from_there_is_reached_by_udp() {
    for (contact, after) in [
        ("<sip:site@192.0.2.1:5060>", vec![Transport::TcpConnect, Transport::Udp]),
        ("<sip:site@192.0.2.1:5060;transport=tcp>", vec![Transport::TcpConnect]),
    ] {
        let mut bench = bench();
        let invite = request("INVITE", "1", "", "v=0\n").replace("SIP/2.0/UDP", "SIP/2.0/TCP");
        let invite = invite.replace("<sip:site@192.0.2.1:5060>", contact);
        bench.input(Transport::Tcp(CONN), &wire(&invite));
        let Some(Event::Incoming { call, .. }) = bench.events().pop() else { panic!() };
        bench.endpoint.accept(bench.now, call, Bytes::from_static(ANSWER)).unwrap();
        let ok = response(bench.sent().remove(0));
        bench.input(Transport::Tcp(CONN), &wire(&in_dialog("ACK", 1, "a", &to_tag(&ok), "", "")));
        bench.endpoint.handle_closed(bench.now, CONN);
        bench.endpoint.hangup(bench.now, call, None).unwrap();
        let mut sent = bench.transmits();
        bench.endpoint.handle_connect_failed(bench.now, bench.peer);
        sent.extend(bench.transmits());
        assert_eq!(kinds(&sent), after, "{contact}");
    }
}

#[test]
fn a_call_over_a_stream_in_the_smallest_pieces() {
    for piece in [1, 2, 3, 7, 64] {
        let mut pair = Pair::new(1, crate::common::Weather { piece, ..FAIR });
        let (call, _) = pair.established(Protocol::Tcp);
        let now = pair.now;
        pair.a().endpoint.reoffer(now, call, Some(large())).unwrap();
        pair.run(SECOND);
        assert_eq!(pair.a().told("answer"), 2, "pieces of {piece}");
        pair.a().endpoint.hangup(now, call, None).unwrap();
        pair.run(SECOND);
        assert_eq!(pair.b().story().last().unwrap(), "ended remote-hang-up");
    }
}

#[test]
fn keep_alives_between_and_within_messages() {
    let mut bench = bench();
    for byte in b"\r\n\r\n" {
        bench.input(Transport::Tcp(CONN), &[*byte]);
    }
    assert_eq!(&bench.transmits()[0].bytes[..], b"\r\n", "a pong (RFC 5626 3.5.1)");
    let mut bytes = b"\r\n".to_vec();
    bytes.extend(wire(&request("OPTIONS", "1", "", "")));
    bytes.extend(b"\r\n\r\n\r\n\r\n");
    bench.input(Transport::Tcp(CONN), &bytes);
    let sent = bench.transmits();
    assert_eq!(response(read(&sent[0].bytes)).status, 200);
    assert!(sent[1..].iter().all(|t| &t.bytes[..] == b"\r\n") && sent.len() == 3);
    bench.input(Transport::Udp, b"\r\n\r\n");
    bench.input(Transport::Udp, &[0; 4]);
    assert!(bench.transmits().is_empty());
    assert_eq!(bench.endpoint.counters().keep_alives, 5);
}

#[test]
fn connections_that_say_nothing_or_never_finish_are_closed() {
    let whole = wire(&request("OPTIONS", "1", "", ""));
    let slow = |bench: &mut Bench, first: &[u8], drip: &[u8]| {
        bench.input(Transport::Tcp(CONN), first);
        for _ in 0..31 {
            bench.pass(SECOND);
            bench.input(Transport::Tcp(CONN), drip);
        }
        bench.transmits();
        bench.now += SECOND;
        bench.endpoint.handle_timeout(bench.now);
        bench.transmits().iter().any(|t| t.transport == Transport::TcpClose(CONN))
    };
    assert!(slow(&mut bench(), b"", b""), "nothing at all");
    assert!(slow(&mut bench(), b"\r\n\r\n", b"\r\n\r\n"), "nothing but keep-alives, and no message ever");
    assert!(slow(&mut bench(), &whole[..20], b"a"), "drop by drop");
    assert!(!slow(&mut bench(), &whole, b"\r\n"), "a message, then keep-alives");
    let mut with_body = wire(&request("INFO", "1", "", "12345"));
    with_body.truncate(with_body.len() - 2);
    let mut begun = bench();
    assert!(slow(&mut begun, &with_body, b""), "a body that ends too early (RFC 4475 3.1.2.2)");
    assert_eq!(begun.endpoint.counters().idle_connections, 1);
    // A connection we made ourselves waits for the other side.
    let mut ours = bench();
    call_large(&mut ours);
    ours.endpoint.handle_connected(ours.now, CONN, at("192.0.2.2:40000"), ours.peer);
    ours.pass(SECOND * 31);
    assert_eq!(ours.endpoint.counters().idle_connections, 0);
}

#[test]
fn unfinished_messages_have_a_bound_together() {
    let mut bench = Bench::new(Config { max_partial: 100_000, ..Config::default() });
    let head = wire(&request("INFO", "1", "", "")).len();
    let long = wire(&request("INFO", "1", "", "").replace("Content-Length: 0", "Content-Length: 60000"));
    let mut closed = 0;
    for n in 0..100 {
        bench.peer = SocketAddr::new(bench.peer.ip(), 10_000 + n);
        bench.input(Transport::Tcp(ConnId(n.into())), &long);
        bench.input(Transport::Tcp(ConnId(n.into())), &vec![b'x'; 20_000]);
        let close = |t: &Transmit| matches!(t.transport, Transport::TcpClose(_));
        closed += bench.transmits().iter().filter(|t| close(t)).count();
    }
    assert!(closed >= 95, "four of them fit, with {head} bytes of head each: {closed}");
    assert_eq!(bench.endpoint.counters().partial_overflow, u64::try_from(closed).unwrap());
    bench.run(SECOND * 33);
    assert_eq!(
        bench.endpoint.counters().idle_connections,
        100 - u64::try_from(closed).unwrap(),
        "the rest does not stay"
    );
}

#[test]
fn what_the_driver_does_not_take_is_bounded() {
    let mut bench = Bench::new(Config { max_queued: 50_000, ..Config::default() });
    for n in 0..1_000 {
        bench.input(
            Transport::Udp,
            &wire(&request("OPTIONS", &n.to_string(), "", "").replace("bench", &n.to_string())),
        );
    }
    let sent = bench.transmits();
    let size: usize = sent.iter().map(|t| t.bytes.len() + 128).sum();
    assert!(size <= 50_000 && sent.len() > 50, "{size}");
    assert_eq!(bench.endpoint.counters().queue_overflow, 1_000 - sent.len() as u64);
    assert_eq!(bench.response(&request("OPTIONS", "again", "", "").replace("bench", "again")).status, 200);
}

#[test]
fn what_waits_for_connections_is_bounded() {
    let mut bench = Bench::new(Config { max_queued: 50_000, ..Config::default() });
    let mut refused = 0;
    for n in 0..100 {
        let there = at(&format!("192.0.2.9:{}", 6_000 + n));
        let target = Target { protocol: Some(Protocol::Tcp), ..Target::new(Uri::sip("x", there)) };
        refused += usize::from(bench.endpoint.call(bench.now, target, Some(large())).is_err());
    }
    assert!((70..90).contains(&refused), "{refused}");
    assert_eq!(bench.endpoint.counters().unsendable, refused as u64);
    for n in 0..100 {
        bench.endpoint.handle_connect_failed(bench.now, at(&format!("192.0.2.9:{}", 6_000 + n)));
    }
    bench.events();
    let target = Target { protocol: Some(Protocol::Tcp), ..Target::new(Uri::sip("x", bench.peer)) };
    assert!(bench.endpoint.call(bench.now, target, Some(large())).is_ok(), "free again");
}

#[test]
fn an_owner_that_does_not_listen_gets_no_more_calls() {
    let mut bench = Bench::new(Config { max_events: 10, ..Config::default() });
    let mut statuses = Vec::new();
    for n in 0..20 {
        let invite = request("INVITE", &n.to_string(), "", "v=0\n").replace("bench", &n.to_string());
        statuses.extend(bench.send(&invite).into_iter().map(|m| response(m).status));
    }
    assert_eq!(statuses, [503; 10]);
    assert_eq!(bench.events().len(), 10);
    let mut bench = Bench::new(Config { max_events: 3, ..Config::default() });
    let (_, tag) = bench.established();
    for n in 0..10 {
        let info = in_dialog("INFO", 10 + n, &format!("i{n}"), &tag, "Content-Type: application/dtmf\n", "5");
        assert_eq!(bench.response(&info).status, 200);
    }
    assert_eq!((bench.events().len(), bench.endpoint.counters().lost_events), (3, 7));
}

#[test]
fn both_ends_name_the_session_in_every_message() {
    const A: &str = "ab30317f1a784dc48ff824d0d3715d86";
    let theirs = format!("Session-ID: {A};remote={:032}\n", 0);
    let mut bench = bench();
    let name = |m: &cau_sip::message::Headers| m.text(&Name::SessionId).unwrap();
    bench.send(&request("INVITE", "1", &theirs, "v=0\n"));
    let Some(Event::Incoming { call, .. }) = bench.events().pop() else { panic!() };
    let trying = name(&response(bench.pass(SECOND).remove(0)).headers);
    let (ours, remote) = trying.split_once(";remote=").unwrap();
    assert_eq!((ours.len(), remote), (32, A));
    bench.endpoint.accept(bench.now, call, Bytes::from_static(ANSWER)).unwrap();
    let ok = response(bench.sent().remove(0));
    assert_eq!(name(&ok.headers), trying);
    let tag = to_tag(&ok);
    bench.send(&in_dialog("ACK", 1, "a", &tag, &theirs, ""));
    let options = bench.response(&in_dialog("OPTIONS", 2, "o", &tag, "", ""));
    assert_eq!(name(&options.headers), trying, "a message without says nothing new");
    bench.endpoint.hangup(bench.now, call, None).unwrap();
    assert_eq!(name(&only_request(bench.sent(), Method::Bye).headers), trying);
    // A call of ours.
    let mut bench = self::bench();
    let (_, invite) = bench.dial(Some(OFFER));
    let mine = name(&invite.headers);
    assert!(mine.ends_with(&format!(";remote={:032}", 0)));
    let mine = mine.split(';').next().unwrap().to_owned();
    let extra = format!("Contact: <sip:site@192.0.2.1:5060>\nSession-ID: {A};remote={mine}\n");
    let ack = only_request(bench.send(&reply(&invite, 200, "b", &extra, "v=0\n")), Method::Ack);
    assert_eq!(name(&ack.headers), format!("{mine};remote={A}"));
    // Refusals without any state name it too, and the ACK for a refusal names both.
    let lost = bench.response(&request("BYE", "9", &theirs, ""));
    assert!(name(&lost.headers).ends_with(A));
    let (_, invite): (_, Request) = bench.dial(Some(OFFER));
    let ack = only_request(
        bench.send(&reply(
            &invite,
            486,
            "b",
            &format!("Session-ID: {A};remote=x\n").replace(";remote=x", &format!(";remote={:032}", 0)),
            "",
        )),
        Method::Ack,
    );
    assert!(name(&ack.headers).ends_with(A));
}

#[test]
fn ends_of_our_own_making_say_why() {
    let reason = |bench: &mut Bench, sent: Vec<Message>| -> String {
        let bye = sent.into_iter().find_map(|m| match m {
            Message::Request(r) if r.method == Method::Bye => Some(r),
            _ => None,
        });
        bench.events();
        bye.expect("a BYE").headers.text(&Name::Reason).unwrap_or_default()
    };
    // Never acknowledged.
    let mut bench = bench();
    bench.send(&request("INVITE", "1", "", "v=0\n"));
    let Some(Event::Incoming { call, .. }) = bench.events().pop() else { panic!() };
    bench.endpoint.accept(bench.now, call, Bytes::from_static(ANSWER)).unwrap();
    let sent = bench.run(SECOND * 33);
    assert!(reason(&mut bench, sent).starts_with("SIP;cause=408;text=\"the device did not confirm"));
    // An answer of another kind in the ACK to our offer.
    for body in ["", "<not-sdp/>"] {
        let mut bench = self::bench();
        bench.send(&request("INVITE", "1", "", ""));
        let Some(Event::Incoming { call, .. }) = bench.events().pop() else { panic!() };
        bench.endpoint.accept(bench.now, call, Bytes::from_static(OFFER)).unwrap();
        let ok = response(bench.sent().remove(0));
        let sent = bench.send(&in_dialog("ACK", 1, "a", &to_tag(&ok), "Content-Type: text/xml\n", body));
        assert!(reason(&mut bench, sent).starts_with("SIP;cause=488;text="));
    }
    // Late, after four retransmissions, but not too late for the call.
    let mut bench = self::bench();
    bench.send(&request("INVITE", "1", "", "v=0\n"));
    let Some(Event::Incoming { call, .. }) = bench.events().pop() else { panic!() };
    bench.endpoint.accept(bench.now, call, Bytes::from_static(ANSWER)).unwrap();
    let ok = response(bench.sent().remove(0));
    assert_eq!(bench.run(SECOND * 10).len(), 4, "at 0.5, 1.5, 3.5 and 7.5 s");
    bench.send(&in_dialog("ACK", 1, "a", &to_tag(&ok), "", ""));
    assert_eq!(story(&bench.events()), ["confirmed"]);
    assert!(bench.run(SECOND * 60).is_empty());
}

#[test]
fn the_description_among_other_parts_is_found_in_every_request_that_may_have_one() {
    let kind = "Content-Type: multipart/mixed;boundary=\"=_b\"\n";
    let body = "--=_b\nContent-Type: application/vnd.polycom.info\n\nx\n--=_b\nContent-Type: application/sdp\n\nv=0\n--=_b--\n";
    let mut bench = bench();
    bench.send(&request("INVITE", "1", kind, body));
    let Some(Event::Incoming { call, request: it }) = bench.events().pop() else { panic!() };
    assert_eq!(it.offer.as_deref(), Some(&b"v=0"[..]));
    bench.endpoint.accept(bench.now, call, Bytes::from_static(ANSWER)).unwrap();
    let tag = to_tag(&response(bench.sent().remove(0)));
    bench.send(&in_dialog("ACK", 1, "a", &tag, "", ""));
    for (cseq, method) in [(2, "INVITE"), (3, "UPDATE")] {
        bench.events();
        bench.send(&in_dialog(method, cseq, method, &tag, kind, body));
        let Some(Event::Reoffer { offer, .. }) = bench.events().pop() else { panic!() };
        assert_eq!(offer.as_deref(), Some(&b"v=0"[..]), "{method}");
        bench.endpoint.answer_reoffer(bench.now, call, Bytes::from_static(ANSWER)).unwrap();
        bench.sent();
        bench.send(&in_dialog("ACK", cseq, &format!("a{cseq}"), &tag, "", ""));
    }
}
