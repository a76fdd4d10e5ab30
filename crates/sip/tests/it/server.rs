//! What we answer to requests written by hand.

use std::time::Duration;

use crate::common::{ANSWER, Bench, at, in_dialog, only_request, request, response, to_tag};
use bytes::Bytes;
use cau_sip::{
    Config, ConnId, EndCause, Event, Host, InfoBody, Limits, Refused, Transport,
    message::{Message, Method, Name},
};

const SECOND: Duration = Duration::from_secs(1);

fn bench() -> Bench {
    Bench::new(Config { focus: true, ..Config::default() })
}

#[test]
fn options_tells_what_we_can_do() {
    let it = bench().response(&request("OPTIONS", "1", "", ""));
    assert_eq!(it.status, 200);
    let allow = it.headers.text(&Name::Allow).unwrap();
    assert_eq!(allow, "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, SUBSCRIBE, REFER");
    assert!(it.headers.text(&Name::Accept).unwrap().contains("application/sdp"));
    assert_eq!(it.headers.text(&Name::Supported).unwrap(), "100rel, timer, norefersub");
    assert_eq!(it.headers.text(&Name::Contact).unwrap(), "<sip:8000@192.0.2.2:5060>;isfocus");
    assert!(!to_tag(&it).is_empty());
}

#[test]
fn refusals_by_the_book() {
    let cases = [
        (request("FLY", "1", "", ""), 501, Some((Name::Allow, "INVITE"))),
        (request("REGISTER", "1", "", ""), 405, Some((Name::Allow, "INVITE"))),
        (request("PUBLISH", "1", "", ""), 405, Some((Name::Allow, "INVITE"))),
        (request("UPDATE", "1", "", ""), 481, None),
        (request("PRACK", "1", "RAck: 1 1 INVITE\n", ""), 481, None),
        (request("BYE", "1", "", ""), 481, None),
        (request("INFO", "1", "", ""), 481, None),
        (request("CANCEL", "1", "", ""), 481, None),
        (in_dialog("INVITE", 2, "1", "unknown", "", "v=0\n"), 481, None),
        (
            request("INVITE", "1", "Require: 100rel, tdialog\nRequire: timer, Precondition\n", ""),
            420,
            Some((Name::Unsupported, "tdialog, Precondition")),
        ),
        (request("OPTIONS", "1", "Require: tdialog\n", ""), 420, Some((Name::Unsupported, "tdialog"))),
        // Max-Forwards: an endpoint looks at it where a call could go round in a ring.
        (request("OPTIONS", "1", "", "").replace("Max-Forwards: 70", "Max-Forwards: 0"), 200, None),
        // For proxies, which we are not (RFC 3261 20.29).
        (request("OPTIONS", "1", "Proxy-Require: tdialog\n", ""), 200, None),
        (request("INVITE", "1", "", "").replace("sip:8000@192.0.2.2 SIP", "mailto:8000 SIP"), 416, None),
        (request("INVITE", "1", "", "").replace("Max-Forwards: 70", "Max-Forwards: 0"), 483, None),
        (request("INVITE", "1", "", "").replace("Max-Forwards: 70", "Max-Forwards: 300"), 400, None),
        (request("INVITE", "1", "", "").replace("Contact: <sip:site@192.0.2.1:5060>\n", ""), 400, None),
        (request("INVITE", "1", "", "").replace("Contact: <sip", "Contact: <<sip"), 400, None),
        (request("INVITE", "1", "", "").replace("CSeq: 1 INVITE", "CSeq: one INVITE"), 400, None),
        (request("INVITE", "1", "", "").replace("CSeq: 1 INVITE", "CSeq: 1 BYE"), 400, None),
        (request("INVITE", "1", "", "").replace("Call-ID: bench\n", ""), 400, None),
        (request("INVITE", "1", "", "").replace("SIP/2.0\nVia", "SIP/3.0\nVia"), 505, None),
        (
            request("INVITE", "1", "Content-Type: application/pidf+xml\n", "<x/>"),
            415,
            Some((Name::Accept, "application/sdp")),
        ),
        (
            request("INVITE", "1", "Content-Encoding: gzip\n", "v=0\n"),
            415,
            Some((Name::AcceptEncoding, "identity")),
        ),
        (request("INVITE", "1", "Accept: text/plain\n", "v=0\n"), 406, Some((Name::Warning, "399"))),
    ];
    for (text, status, header) in cases {
        let mut bench = bench();
        let it = bench.response(&text);
        assert_eq!(it.status, status, "{text}");
        if let Some((name, start)) = header {
            let value = it.headers.text(&name).unwrap_or_else(|| panic!("{name} in {it:?}"));
            assert!(value.starts_with(start), "{name}: {value}");
        }
        assert!(bench.events().is_empty(), "{text}");
    }
}

#[test]
fn a_call_by_number_and_by_name() {
    for (uri, user) in [("tel:+84-24-8000", "+84248000"), ("sip:ph%C3%B2ng@[::1]:5070;user=phone", "phòng")]
    {
        let mut bench = bench();
        bench.send(
            &request("INVITE", "1", "", "v=0\n").replace("sip:8000@192.0.2.2 SIP", &format!("{uri} SIP")),
        );
        let Some(Event::Incoming { request, .. }) = bench.events().pop() else { panic!() };
        assert_eq!(request.uri.user(), user);
        assert_eq!(request.display_name.as_deref(), Some("Xã Hòa Phú"));
        assert_eq!(request.offer.as_deref(), Some(&b"v=0\r\n"[..]));
    }
}

#[test]
fn retransmissions_get_the_same_response_and_open_nothing_new() {
    let mut bench = bench();
    let options = request("OPTIONS", "1", "", "");
    assert_eq!(bench.send(&options), bench.send(&options));
    let invite = request("INVITE", "2", "", "v=0\n");
    for _ in 0..3 {
        assert!(bench.send(&invite).is_empty());
    }
    assert_eq!(bench.events().len(), 1);
    let trying = response(bench.pass(Duration::from_millis(200)).remove(0));
    assert_eq!((trying.status, trying.headers.text(&Name::To)), (100, Some("<sip:8000@192.0.2.2>".into())));
    assert_eq!(response(bench.send(&invite).remove(0)).status, 100);
    assert_eq!(bench.endpoint.counters().repeated, 4);
}

#[test]
fn a_merged_request_is_a_loop() {
    let mut bench = bench();
    bench.send(&request("INVITE", "1", "", "v=0\n"));
    assert_eq!(bench.response(&request("INVITE", "2", "", "v=0\n")).status, 482);
    assert_eq!(bench.events().len(), 1);
}

#[test]
fn refusals_of_invites_are_repeated_until_their_ack() {
    let mut bench = bench();
    let refused = bench.response(&request("INVITE", "1", "Require: x\n", ""));
    assert_eq!(bench.pass(SECOND / 2).len(), 1);
    assert_eq!(bench.pass(SECOND).len(), 1);
    let ack = in_dialog("ACK", 1, "1", &to_tag(&refused), "", "");
    assert!(bench.send(&ack).is_empty());
    assert!(bench.pass(SECOND * 4).is_empty());
    bench.pass(SECOND * 5);
    assert_eq!(bench.endpoint.transactions(), 0);
    assert_eq!(bench.endpoint.counters().stray_acks, 0);
}

#[test]
fn in_dialog_requests_are_checked() {
    let mut bench = bench();
    let (call, tag) = bench.established();
    let old = in_dialog("INFO", 1, "i1", &tag, "", "");
    assert_eq!(bench.response(&old).status, 500, "CSeq not above the INVITE's");
    assert_eq!(bench.response(&in_dialog("OPTIONS", 5, "o1", &tag, "", "")).status, 200);
    assert_eq!(bench.response(&in_dialog("PUBLISH", 6, "u1", &tag, "", "")).status, 405);
    let stranger = in_dialog("BYE", 7, "b1", &tag, "", "").replace("tag=theirs", "tag=other");
    assert_eq!(bench.response(&stranger).status, 481);
    assert!(bench.events().is_empty());
    let reason = "Reason: SIP;cause=200;text=\"Hết giờ\"\n";
    let bye = in_dialog("BYE", 8, "b2", &tag, reason, "");
    assert_eq!(bench.response(&bye).status, 200);
    assert_eq!(bench.response(&bye).status, 200, "the same again from memory");
    assert_eq!(bench.response(&in_dialog("BYE", 9, "b3", &tag, "", "")).status, 481);
    let events = bench.events();
    let [Event::Ended { call: ended, cause: EndCause::RemoteHangUp { reason } }] = &events[..] else {
        panic!()
    };
    assert_eq!((*ended, reason.as_deref()), (call, Some("Hết giờ")));
    assert_eq!(bench.endpoint.accept(bench.now, call, Bytes::new()), Err(Refused::NoSuchCall));
}

#[test]
fn infos() {
    let mut bench = bench();
    let (_, tag) = bench.established();
    let control = "<media_control><vc_primitive><to_encoder><picture_fast_update/></to_encoder></vc_primitive></media_control>";
    let cases = [
        ("application/media_control+xml", control, 200, Some(InfoBody::FastUpdate)),
        (
            "application/dtmf-relay",
            "Signal=5\nDuration=160\n",
            200,
            Some(InfoBody::Dtmf { digit: '5', duration_ms: 160 }),
        ),
        ("application/dtmf", "*", 200, Some(InfoBody::Dtmf { digit: '*', duration_ms: 0 })),
        ("application/dtmf-relay", "Signal=nothing\n", 400, None),
        ("application/x-unknown", "x", 415, None),
        ("text/plain", "", 200, None),
    ];
    for (at, (kind, body, status, event)) in cases.into_iter().enumerate() {
        let cseq = 2 + at as u32;
        let text = in_dialog("INFO", cseq, &format!("i{at}"), &tag, &format!("Content-Type: {kind}\n"), body);
        let it = bench.response(&text);
        assert_eq!(it.status, status, "{kind}");
        assert_eq!(it.headers.value(&Name::Accept).is_some(), status == 415);
        let told = bench.events().into_iter().map(|e| match e {
            Event::Info { body, .. } => body,
            other => panic!("{other:?}"),
        });
        assert_eq!(told.collect::<Vec<_>>(), event.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_second_reinvite_has_to_wait_and_glare_is_refused() {
    let mut bench = bench();
    let (call, tag) = bench.established();
    assert!(bench.send(&in_dialog("INVITE", 2, "r1", &tag, "", "v=0\n")).is_empty());
    let wait = bench.response(&in_dialog("INVITE", 3, "r2", &tag, "", "v=0\n"));
    assert_eq!(wait.status, 500);
    let seconds: u32 = wait.headers.text(&Name::RetryAfter).unwrap().parse().unwrap();
    assert!(seconds <= 10);
    bench.endpoint.answer_reoffer(bench.now, call, Bytes::from_static(ANSWER)).unwrap();
    assert_eq!(response(bench.sent().remove(0)).status, 200);
    bench.send(&in_dialog("ACK", 2, "r1a", &tag, "", ""));
    bench.endpoint.reoffer(bench.now, call, Some(Bytes::from_static(ANSWER))).unwrap();
    only_request(bench.sent(), Method::Invite);
    assert_eq!(bench.response(&in_dialog("INVITE", 4, "r3", &tag, "", "v=0\n")).status, 491);
}

#[test]
fn a_reinvite_moves_the_target() {
    let mut bench = bench();
    let (call, tag) = bench.established();
    let moved = in_dialog("INVITE", 2, "r1", &tag, "", "v=0\n")
        .replace("Contact: <sip:site@192.0.2.1:5060>", "Contact: <sip:desk@192.0.2.1:7000>");
    bench.send(&moved);
    bench.endpoint.answer_reoffer(bench.now, call, Bytes::from_static(ANSWER)).unwrap();
    bench.send(&in_dialog("ACK", 2, "r1a", &tag, "", ""));
    bench.sent();
    bench.endpoint.hangup(bench.now, call, None).unwrap();
    let sent = bench.transmits();
    assert_eq!(sent[0].remote, at("192.0.2.1:7000"));
    assert!(sent[0].bytes.starts_with(b"BYE sip:desk@192.0.2.1:7000 SIP/2.0\r\n"));
}

#[test]
fn a_cancelled_reinvite_leaves_the_call() {
    let mut bench = bench();
    let (_, tag) = bench.established();
    bench.send(&in_dialog("INVITE", 2, "r1", &tag, "", "v=0\n"));
    let sent = bench.send(&in_dialog("CANCEL", 2, "r1", &tag, "", ""));
    let statuses: Vec<_> = sent.into_iter().map(|m| response(m).status).collect();
    assert_eq!(statuses, [200, 487]);
    assert!(matches!(bench.events()[..], [Event::Reoffer { .. }, Event::ReofferCancelled { .. }]));
    assert_eq!(bench.endpoint.calls(), 1);
}

#[test]
fn a_late_offer_without_answer_ends_the_call() {
    let mut bench = bench();
    bench.send(&request("INVITE", "1", "", ""));
    let Some(Event::Incoming { call, .. }) = bench.events().pop() else { panic!() };
    bench.endpoint.accept(bench.now, call, Bytes::from_static(ANSWER)).unwrap();
    let tag = to_tag(&response(bench.sent().remove(0)));
    only_request(bench.send(&in_dialog("ACK", 1, "a", &tag, "", "")), Method::Bye);
    assert!(matches!(bench.events()[..], [Event::Ended { cause: EndCause::NoDescription, .. }]));
}

#[test]
fn bye_before_the_answer_refuses_the_invite() {
    let mut bench = bench();
    bench.send(&request("INVITE", "1", "", "v=0\n"));
    let Some(Event::Incoming { call, .. }) = bench.events().pop() else { panic!() };
    bench.endpoint.ring(bench.now, call).unwrap();
    let ringing = response(bench.sent().remove(0));
    assert_eq!(ringing.status, 180);
    let sent = bench.send(&in_dialog("BYE", 2, "b", &to_tag(&ringing), "", ""));
    let statuses: Vec<_> = sent.into_iter().map(|m| response(m).status).collect();
    assert_eq!(statuses, [200, 487]);
    assert!(matches!(bench.events()[..], [Event::Ended { cause: EndCause::RemoteHangUp { .. }, .. }]));
}

#[test]
fn record_routes_come_back_and_are_followed() {
    let mut bench = bench();
    let routes =
        "Record-Route: <sip:192.0.2.50;lr>, <sip:192.0.2.51;lr>\nRecord-Route: <sip:192.0.2.52;lr>\n";
    bench.send(&request("INVITE", "1", routes, "v=0\n"));
    let Some(Event::Incoming { call, .. }) = bench.events().pop() else { panic!() };
    bench.endpoint.accept(bench.now, call, Bytes::from_static(ANSWER)).unwrap();
    let ok = response(bench.sent().remove(0));
    assert_eq!(ok.headers.count(&Name::RecordRoute), 2);
    bench.send(&in_dialog("ACK", 1, "a", &to_tag(&ok), "", ""));
    bench.endpoint.hangup(bench.now, call, None).unwrap();
    let sent = bench.transmits();
    assert_eq!(sent[0].remote, at("192.0.2.50:5060"));
    let Message::Request(bye) = crate::common::read(&sent[0].bytes) else { panic!() };
    let routes: Vec<_> = bye.headers.elements(&Name::Route).collect();
    assert_eq!(routes, [&b"<sip:192.0.2.50;lr>"[..], b"<sip:192.0.2.51;lr>", b"<sip:192.0.2.52;lr>"]);
}

#[test]
fn responses_go_where_the_request_came_from() {
    // A port of the client's choosing, asked for by rport.
    let mut it = bench();
    it.peer = at("203.0.113.7:40000");
    it.input(Transport::Udp, request("OPTIONS", "1", "", "").replace('\n', "\r\n").as_bytes());
    let sent = it.transmits();
    assert_eq!(sent[0].remote, it.peer);
    let via = response(crate::common::read(&sent[0].bytes)).headers.text(&Name::Via).unwrap();
    assert_eq!(via, "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport=40000;received=203.0.113.7");
    // Without rport: to the port named, when it is that very host which speaks (RFC 3261 18.2.2) …
    let plain = request("OPTIONS", "1", "", "").replace(";rport", "").replace('\n', "\r\n");
    let mut it = bench();
    it.peer = at("192.0.2.1:40000");
    it.input(Transport::Udp, plain.as_bytes());
    assert_eq!(it.transmits()[0].remote, at("192.0.2.1:5060"));
    // … and to the source when somebody is in between.
    let mut it = bench();
    it.peer = at("203.0.113.7:40000");
    it.input(Transport::Udp, plain.as_bytes());
    assert_eq!(it.transmits()[0].remote, it.peer);
}

#[test]
fn requests_go_back_through_the_nat() {
    let mut bench = bench();
    bench.peer = at("203.0.113.7:40000");
    let (call, _) = bench.established();
    bench.endpoint.hangup(bench.now, call, None).unwrap();
    let sent = bench.transmits();
    assert_eq!(sent[0].remote, at("203.0.113.7:40000"));
    assert!(
        sent[0].bytes.starts_with(b"BYE sip:site@192.0.2.1:5060 SIP/2.0\r\n"),
        "but the target is as told"
    );
}

#[test]
fn ipv6_and_advertised_addresses_in_contact() {
    let mut it = bench();
    it.local = at("[2001:db8::2]:5060");
    it.peer = at("[2001:db8::1]:5060");
    let ok = it.response(&request("OPTIONS", "1", "", ""));
    assert_eq!(ok.headers.text(&Name::Contact).unwrap(), "<sip:8000@[2001:db8::2]:5060>;isfocus");
    let advertise = vec![cau_sip::Advertise { host: Host::Name("mcu.example.vn".into()), port: None }];
    let mut it = Bench::new(Config { advertise, ..Config::default() });
    let ok = it.response(&request("OPTIONS", "1", "", ""));
    assert_eq!(ok.headers.text(&Name::Contact).unwrap(), "<sip:8000@mcu.example.vn:5060>");
}

#[test]
fn a_stream_in_pieces_of_any_size() {
    let text = [
        "\r\n\r\n".to_owned(),
        request("OPTIONS", "1", "", "").replace('\n', "\r\n"),
        request("INVITE", "2", "", "v=0\nline\n").replace("bench", "other").replace('\n', "\r\n"),
    ]
    .concat();
    for size in [1, 2, 3, 7, 64, 1000, text.len()] {
        let mut it = bench();
        let conn = Transport::Tcp(ConnId(1));
        for piece in text.as_bytes().chunks(size) {
            it.input(conn, piece);
        }
        let sent = it.transmits();
        assert_eq!(&sent[0].bytes[..], b"\r\n", "the pong");
        assert_eq!(response(crate::common::read(&sent[1].bytes)).status, 200);
        assert!(sent.iter().all(|t| t.transport == conn));
        let Some(Event::Incoming { request, .. }) = it.events().pop() else { panic!() };
        assert_eq!(request.offer.as_deref(), Some(&b"v=0\r\nline\r\n"[..]));
    }
}

#[test]
fn a_body_above_the_limit_disturbs_nobody() {
    let limits = Limits { body: 1000, ..Limits::default() };
    let mut it = Bench::new(Config { limits, ..Config::default() });
    let conn = Transport::Tcp(ConnId(1));
    let large = request("INVITE", "1", "", &"a=x\n".repeat(1000)).replace('\n', "\r\n");
    for piece in large.as_bytes().chunks(100) {
        it.input(conn, piece);
    }
    it.input(conn, request("OPTIONS", "2", "", "").replace('\n', "\r\n").as_bytes());
    let statuses: Vec<_> = it.sent().into_iter().map(|m| response(m).status).collect();
    assert_eq!(statuses, [413, 200]);
    assert_eq!(it.response(&request("INVITE", "3", "", &"a=x\n".repeat(1000))).status, 413, "UDP too");
    assert_eq!(it.endpoint.counters().oversized, 2);
}

#[test]
fn what_is_no_sip_closes_its_connection() {
    let mut it = bench();
    it.input(Transport::Tcp(ConnId(3)), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let sent = it.transmits();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].transport, Transport::TcpClose(ConnId(3)));
    it.input(Transport::Udp, b"\x80\x00noise");
    it.input(Transport::Udp, b"\r\n\r\n");
    assert!(it.transmits().is_empty());
    let counters = it.endpoint.counters();
    assert_eq!((counters.unreadable, counters.broken_streams, counters.keep_alives), (2, 1, 1));
}

#[test]
fn full_tables_say_so() {
    let mut it = Bench::new(Config { max_transactions: 2, ..Config::default() });
    for n in 0..2 {
        let text =
            request("OPTIONS", &format!("{n}"), "", "").replace("Call-ID: bench", &format!("Call-ID: {n}"));
        assert_eq!(it.response(&text).status, 200);
    }
    let refused = it.response(&request("OPTIONS", "9", "", ""));
    assert_eq!((refused.status, refused.headers.value(&Name::RetryAfter).is_some()), (503, true));
    assert_eq!((it.endpoint.transactions(), it.endpoint.counters().overload), (2, 1));
    it.pass(SECOND * 33);
    assert_eq!(it.response(&request("OPTIONS", "9", "", "")).status, 200);

    let mut it = Bench::new(Config { max_calls: 1, ..Config::default() });
    it.established();
    let other = request("INVITE", "x", "", "v=0\n").replace("Call-ID: bench", "Call-ID: two");
    assert_eq!(it.response(&other).status, 503);

    let mut it = Bench::new(Config { max_connections: 1, ..Config::default() });
    it.input(Transport::Tcp(ConnId(1)), b"\r\n");
    it.input(Transport::Tcp(ConnId(2)), b"\r\n");
    assert_eq!(it.transmits()[0].transport, Transport::TcpClose(ConnId(2)));
}

#[test]
fn a_forked_call_keeps_the_first_answer() {
    let mut it = bench();
    let target = cau_sip::Target::new("sip:x@192.0.2.1".parse().unwrap());
    let call = it.endpoint.call(it.now, target, Some(Bytes::from_static(ANSWER))).unwrap();
    let invite = only_request(it.sent(), Method::Invite);
    let answer = |tag: &str| {
        let value = |name: &Name| invite.headers.text(name).unwrap();
        format!(
            "SIP/2.0 200 OK\nVia: {}\nFrom: {}\nTo: {};tag={tag}\nCall-ID: {}\nCSeq: {}\nContact: <sip:{tag}@192.0.2.1>\n\
             Content-Type: application/sdp\nContent-Length: 5\n\nv=0\n",
            value(&Name::Via),
            value(&Name::From),
            value(&Name::To),
            value(&Name::CallId),
            value(&Name::CSeq)
        )
    };
    let methods = |sent: Vec<Message>| -> Vec<String> {
        sent.into_iter()
            .map(|m| match m {
                Message::Request(r) => format!("{} {}", r.method, r.uri),
                Message::Response(r) => r.status.to_string(),
            })
            .collect()
    };
    assert_eq!(methods(it.send(&answer("one"))), ["ACK sip:one@192.0.2.1"]);
    assert_eq!(methods(it.send(&answer("two"))), ["ACK sip:two@192.0.2.1", "BYE sip:two@192.0.2.1"]);
    assert_eq!(methods(it.send(&answer("one"))), ["ACK sip:one@192.0.2.1"], "the first again");
    assert_eq!(methods(it.send(&answer("two"))), ["ACK sip:two@192.0.2.1"], "the second again");
    let events = it.events();
    assert!(matches!(events[..], [Event::Answer { .. }, Event::Confirmed { .. }]), "{events:?}");
    it.endpoint.hangup(it.now, call, None).unwrap();
    let bye = only_request(it.sent().into_iter().take(1).collect(), Method::Bye);
    assert_eq!(bye.uri.to_string(), "sip:one@192.0.2.1");
}

#[test]
fn stray_messages_are_counted() {
    let mut it = bench();
    assert!(it.send(&in_dialog("ACK", 1, "a", "nobody", "", "")).is_empty());
    assert!(it.send("SIP/2.0 200 OK\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\nFrom: <sip:a@b>;tag=1\nTo: <sip:a@b>;tag=2\nCall-ID: 1\nCSeq: 1 INVITE\n\n").is_empty());
    assert_eq!((it.endpoint.counters().stray_acks, it.endpoint.counters().stray_responses), (1, 1));
}

#[test]
fn an_unanswered_call_ends_by_its_expires() {
    let mut it = bench();
    it.send(&request("INVITE", "1", "Expires: 20\n", "v=0\n"));
    it.events();
    it.pass(SECOND);
    let sent = it.pass(SECOND * 19);
    assert_eq!(response(sent.into_iter().last().unwrap()).status, 480);
    assert!(matches!(it.events()[..], [Event::Ended { cause: EndCause::NoAnswer, .. }]));
}
