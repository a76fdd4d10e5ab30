//! Session timers (RFC 4028) and UPDATE in calls that stand (RFC 3311).

use std::time::Duration;

use crate::common::{
    ANSWER, Bench, FAIR, OFFER, Pair, STORM, callee_request, in_dialog, only_request, reply, request,
    response, story, to_tag,
};
use bytes::Bytes;
use cau_sip::{
    Config, EndCause, Event, Protocol, Refused, SessionTimers,
    message::{Message, Method, Name, Request, Response},
};

const SECOND: Duration = Duration::from_secs(1);
const OK: &str = "Contact: <sip:site@192.0.2.1:5060>\n";
const SDP: &str = "v=0\no=- 7 7 IN IP4 192.0.2.1\ns=-\nt=0 0\n";
const SDP2: &str = "v=0\no=- 7 8 IN IP4 192.0.2.1\ns=-\nt=0 0\n";

fn bench() -> Bench {
    Bench::new(Config { focus: true, ..Config::default() })
}

fn one(mut sent: Vec<Message>) -> Response {
    assert_eq!(sent.len(), 1, "{sent:?}");
    response(sent.remove(0))
}

/// Retransmissions left out.
fn once(mut sent: Vec<Message>) -> Vec<Message> {
    sent.dedup();
    sent
}

fn value(response: &Response, name: &Name) -> String {
    response.headers.text(name).unwrap_or_default()
}

/// A call of theirs with these lines in its INVITE, answered and acknowledged: its 200 and our tag.
fn called(bench: &mut Bench, extra: &str) -> (cau_sip::CallId, Response) {
    bench.send(&request("INVITE", "1", extra, SDP));
    let call = match &bench.events()[..] {
        [Event::Incoming { call, .. }] => *call,
        other => panic!("{other:?}"),
    };
    bench.endpoint.accept(bench.now, call, Bytes::from_static(ANSWER)).unwrap();
    let ok = one(bench.sent());
    bench.send(&in_dialog("ACK", 1, "ack", &to_tag(&ok), "", ""));
    bench.events();
    (call, ok)
}

/// A call of ours, answered with these lines.
fn calling(bench: &mut Bench, extra: &str) -> (cau_sip::CallId, Request) {
    let (call, invite) = bench.dial(Some(OFFER));
    only_request(bench.send(&reply(&invite, 200, "b", &format!("{OK}{extra}"), SDP)), Method::Ack);
    bench.events();
    (call, invite)
}

#[test]
fn too_short_an_interval_is_refused() {
    let mut bench = bench();
    let short = request("INVITE", "1", "Supported: timer\nSession-Expires: 60\n", SDP);
    let refused = one(bench.send(&short));
    assert_eq!((refused.status, value(&refused, &Name::MinSe).as_str()), (422, "90"));
    assert!(bench.events().is_empty());
    let (_, ok) = called(&mut self::bench(), "Session-Expires: 60\n");
    assert_eq!(value(&ok, &Name::SessionExpires), "", "who cannot do timers would not understand 422");
}

#[test]
fn a_caller_that_refreshes_by_update_or_reinvite_stays() {
    let mut bench = bench();
    let (call, ok) = called(&mut bench, "Supported: timer\nSession-Expires: 600;refresher=uac\n");
    assert_eq!(value(&ok, &Name::SessionExpires), "600;refresher=uac");
    assert_eq!(value(&ok, &Name::Require), "timer", "9: it must read it");
    let tag = to_tag(&ok);
    let timer = "Supported: timer\nSession-Expires: 600;refresher=uac\n";
    assert!(bench.run(SECOND * 500).is_empty(), "it refreshes, not we");
    let ok = one(bench.send(&in_dialog("UPDATE", 2, "u2", &tag, timer, "")));
    assert_eq!((ok.status, value(&ok, &Name::SessionExpires).as_str()), (200, "600;refresher=uac"));
    assert!(bench.run(SECOND * 500).is_empty());
    bench.send(&in_dialog("INVITE", 3, "i3", &tag, timer, SDP));
    assert_eq!(story(&bench.events()), ["reoffer"]);
    bench.endpoint.answer_reoffer(bench.now, call, Bytes::from_static(ANSWER)).unwrap();
    assert_eq!(value(&one(bench.sent()), &Name::SessionExpires), "600;refresher=uac");
    bench.send(&in_dialog("ACK", 3, "ack3", &tag, "", ""));
    assert!(bench.run(SECOND * 560).is_empty());
    // Then it falls silent: ended 32 s before the session runs out (10).
    let bye = only_request(once(bench.run(SECOND * 10)), Method::Bye);
    assert!(bye.headers.text(&Name::Reason).unwrap().starts_with("SIP;cause=408;text="), "{bye:?}");
    assert!(matches!(bench.events()[..], [Event::Ended { cause: EndCause::SessionExpired, .. }]));
    assert_eq!(bench.endpoint.counters().expired_sessions, 1);
}

#[test]
fn we_refresh_by_update_without_offer_where_it_is_understood() {
    let mut bench = bench();
    let (_, ok) =
        called(&mut bench, "Supported: timer\nAllow: INVITE, ACK, BYE, UPDATE\nSession-Expires: 200\n");
    assert_eq!(value(&ok, &Name::SessionExpires), "200;refresher=uas");
    for _ in 0..5 {
        assert!(bench.run(SECOND * 99).is_empty());
        let update = only_request(once(bench.run(SECOND)), Method::Update);
        assert!(update.body.is_empty());
        assert_eq!(
            update.headers.text(&Name::SessionExpires).unwrap(),
            "200;refresher=uac",
            "roles stay (7.4)"
        );
        bench.send(&reply(&update, 200, "", &format!("{OK}Session-Expires: 200;refresher=uac\n"), ""));
    }
    // A 2xx without Session-Expires switches the timer off (7.2).
    bench.run(SECOND * 99);
    let update = only_request(once(bench.run(SECOND)), Method::Update);
    bench.send(&reply(&update, 200, "", OK, ""));
    assert!(bench.run(SECOND * 3600).is_empty());
    assert!(bench.events().is_empty());
}

#[test]
fn elsewhere_we_refresh_by_reinvite_with_what_holds() {
    let mut bench = bench();
    called(&mut bench, "Supported: timer\nAllow: INVITE, ACK, BYE\nSession-Expires: 200\n");
    let invite = only_request(once(bench.run(SECOND * 100)), Method::Invite);
    assert_eq!(&invite.body[..], ANSWER, "unchanged (7.4)");
    let ok = format!("{OK}Supported: timer\nRequire: timer\nSession-Expires: 200;refresher=uac\n");
    only_request(bench.send(&reply(&invite, 200, "", &ok, SDP)), Method::Ack);
    assert!(bench.events().is_empty(), "the answer they gave before: nothing to tell");
    let invite = only_request(once(bench.run(SECOND * 100)), Method::Invite);
    bench.send(&reply(&invite, 200, "", &ok, SDP2));
    assert_eq!(story(&bench.events()), ["answer"], "they have moved");
}

#[test]
fn who_says_update_and_does_not_mean_it_is_refreshed_by_reinvite() {
    let mut bench = bench();
    called(&mut bench, "Supported: timer\nAllow: INVITE, UPDATE\nSession-Expires: 200\n");
    let update = only_request(once(bench.run(SECOND * 100)), Method::Update);
    let invite = only_request(bench.send(&reply(&update, 405, "", "Allow: INVITE\n", "")), Method::Invite);
    assert_eq!(&invite.body[..], ANSWER);
}

#[test]
fn a_refresh_nobody_answers_ends_the_call() {
    for (status, cause) in [(None, "no-response"), (Some(481), "forgotten"), (Some(408), "no-response")] {
        let mut bench = bench();
        called(&mut bench, "Supported: timer\nAllow: UPDATE\nSession-Expires: 200\n");
        let update = only_request(once(bench.run(SECOND * 100)), Method::Update);
        match status {
            Some(status) => drop(bench.send(&reply(&update, status, "", "", ""))),
            None => drop(bench.run(SECOND * 33)),
        }
        assert_eq!(story(&bench.events()), [format!("ended {cause}")]);
        bench.assert_clean();
    }
}

#[test]
fn a_refused_refresh_is_tried_again_while_there_is_time() {
    let mut bench = bench();
    called(&mut bench, "Supported: timer\nAllow: UPDATE\nSession-Expires: 200\n");
    let update = only_request(once(bench.run(SECOND * 100)), Method::Update);
    assert!(bench.send(&reply(&update, 500, "", "", "")).is_empty());
    let update = only_request(once(bench.run(SECOND * 30)), Method::Update);
    // It wants a longer interval: at once, and no more often than that helps (7.3).
    let update = only_request(bench.send(&reply(&update, 422, "", "Min-SE: 900\n", "")), Method::Update);
    assert_eq!(update.headers.text(&Name::SessionExpires).unwrap(), "900;refresher=uac");
    assert_eq!(update.headers.text(&Name::MinSe).unwrap(), "900");
    assert!(bench.send(&reply(&update, 422, "", "Min-SE: 900\n", "")).is_empty());
    // Only a 2xx extends the session (10).
    let sent = bench.run(SECOND * 60);
    assert!(matches!(sent.last(), Some(Message::Request(r)) if r.method == Method::Bye), "{sent:?}");
    assert_eq!(story(&bench.events()), ["ended session-expired"]);
}

#[test]
fn calls_of_ours_ask_for_a_timer_and_take_what_is_wanted() {
    let mut bench = bench();
    let (_, invite) = bench.dial(Some(OFFER));
    assert_eq!(invite.headers.text(&Name::SessionExpires).unwrap(), "1800");
    assert_eq!(invite.headers.text(&Name::MinSe).unwrap(), "90");
    // 422: the same with a longer one; ACK for the refusal first.
    let sent = bench.send(&reply(&invite, 422, "x", "Min-SE: 3600\n", ""));
    let [Message::Request(ack), Message::Request(again)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((ack.method.clone(), again.method.clone()), (Method::Ack, Method::Invite));
    assert_eq!(again.headers.text(&Name::SessionExpires).unwrap(), "3600");
    assert_eq!(again.headers.text(&Name::MinSe).unwrap(), "3600");
    for same in [Name::CallId, Name::From, Name::To, Name::SessionId] {
        assert_eq!(again.headers.text(&same), invite.headers.text(&same), "{same}");
    }
    let number =
        |r: &Request| r.headers.text(&Name::CSeq).unwrap().split(' ').next().unwrap().parse::<u32>().unwrap();
    assert_eq!((number(again), again.headers.count(&Name::Via)), (number(&invite) + 1, 1));
    assert_eq!(again.body, invite.body);
    let ok = format!("{OK}Require: timer\nSession-Expires: 3600;refresher=uas\n");
    only_request(bench.send(&reply(again, 200, "b", &ok, SDP)), Method::Ack);
    assert_eq!(story(&bench.events()), ["answer", "confirmed"]);
    let refresh = callee_request(
        &invite,
        "UPDATE",
        5,
        "b",
        "Supported: timer\nSession-Expires: 3600;refresher=uac\n",
        "",
    );
    bench.run(SECOND * 3000);
    assert_eq!(value(&one(bench.send(&refresh)), &Name::SessionExpires), "1800;refresher=uac");
    bench.run(SECOND * 1770);
    assert_eq!(story(&bench.events()), ["ended session-expired"]);
}

#[test]
fn a_422_that_is_no_help_ends_the_call() {
    let mut bench = bench();
    let (_, invite) = bench.dial(Some(OFFER));
    bench.send(&reply(&invite, 422, "x", "", ""));
    assert_eq!(story(&bench.events()), ["rejected 422"]);
    let mut bench = self::bench();
    let (_, mut invite) = bench.dial(Some(OFFER));
    let mut least = 4000;
    loop {
        let sent = bench.send(&reply(&invite, 422, "x", &format!("Min-SE: {least}\n"), ""));
        least += 1;
        match sent.into_iter().nth(1) {
            Some(Message::Request(again)) => invite = again,
            _ => break,
        }
        assert!(least < 4010, "not for ever");
    }
    assert_eq!(story(&bench.events()), ["rejected 422"]);
}

#[test]
fn switched_off_nothing_is_said_of_timers() {
    let mut bench = Bench::new(Config { session_timers: None, ..Config::default() });
    let (_, ok) = called(&mut bench, "Supported: timer\nSession-Expires: 60\n");
    assert_eq!(
        (value(&ok, &Name::SessionExpires), value(&ok, &Name::Supported)),
        (String::new(), "100rel".into())
    );
    let mut bench = Bench::new(Config { session_timers: None, ..Config::default() });
    let refused = one(bench.send(&request("INVITE", "1", "Require: timer, 100rel\n", SDP)));
    assert_eq!((refused.status, value(&refused, &Name::Unsupported).as_str()), (420, "timer"));
    let mut bench = Bench::new(Config { session_timers: None, ..Config::default() });
    let (_, invite) = calling(&mut bench, "Session-Expires: 100;refresher=uac\n");
    assert!(invite.headers.value(&Name::SessionExpires).is_none());
    assert!(bench.run(SECOND * 3600).is_empty());
}

#[test]
fn two_endpoints_keep_a_call_for_hours_and_notice_when_one_is_gone() {
    for (protocol, weather) in [(Protocol::Udp, FAIR), (Protocol::Tcp, FAIR), (Protocol::Udp, STORM)] {
        let timers = SessionTimers { interval: SECOND * 300, min: SECOND * 90 };
        let config = || Config { session_timers: Some(timers), ..Config::default() };
        let mut pair = Pair::with(3, weather, config(), config());
        pair.dial(protocol, Some(OFFER));
        pair.run(SECOND * 3 * 3600);
        assert_eq!((pair.a().told("confirmed"), pair.b().told("confirmed")), (1, 1));
        assert!(pair.a().sent("UPDATE") + pair.b().sent("UPDATE") >= 60);
        assert!(
            pair.sides.iter().all(|s| !s.story().iter().any(|e| e.starts_with("ended"))),
            "{:?}",
            pair.a().story()
        );
        // One side loses power.
        pair.swallow.push((0, "", usize::MAX));
        pair.run(SECOND * 310);
        assert!(pair.b().story().last().unwrap().starts_with("ended"), "{:?}", pair.b().story());
    }
}

#[test]
fn updates_in_a_call_that_stands() {
    let mut pair = Pair::new(1, FAIR);
    let (a, b) = pair.established(Protocol::Udp);
    for (which, call) in [(0, a), (1, b)] {
        let before = [pair.sides[0].events.len(), pair.sides[1].events.len()];
        let now = pair.now;
        pair.sides[which].endpoint.update(now, call, Bytes::from_static(OFFER)).unwrap();
        pair.run(SECOND);
        assert_eq!(pair.sides[which].story()[before[which]..], ["answer"]);
        assert_eq!(pair.sides[1 - which].story()[before[1 - which]..], ["reoffer"]);
    }
    assert_eq!(pair.a().sent("ACK"), 1, "UPDATE needs none");
    // Glare: 491 to both, the owner of the Call-ID waits longer (RFC 3311 5.3).
    let now = pair.now;
    pair.a().endpoint.update(now, a, Bytes::from_static(OFFER)).unwrap();
    pair.b().endpoint.update(now, b, Bytes::from_static(OFFER)).unwrap();
    pair.run(Duration::from_millis(2080));
    assert_eq!((pair.a().sent("SIP/2.0 491"), pair.b().sent("SIP/2.0 491")), (1, 1));
    assert_eq!((pair.a().told("reoffer"), pair.b().told("reoffer")), (2, 1));
    pair.run(SECOND * 3);
    assert_eq!((pair.a().told("reoffer"), pair.b().told("reoffer")), (2, 2));
}

#[test]
fn an_update_meets_what_is_under_way() {
    let mut bench = bench();
    let (call, ok) = called(&mut bench, "Allow: INVITE\n");
    let tag = to_tag(&ok);
    assert_eq!(
        bench.endpoint.update(bench.now, call, Bytes::new()),
        Err(Refused::WrongState),
        "not allowed there"
    );
    bench.endpoint.reoffer(bench.now, call, Some(Bytes::from_static(OFFER))).unwrap();
    let invite = only_request(bench.sent(), Method::Invite);
    assert_eq!(one(bench.send(&in_dialog("UPDATE", 2, "u2", &tag, "", SDP))).status, 491);
    assert_eq!(one(bench.send(&in_dialog("UPDATE", 3, "u3", &tag, "", ""))).status, 200, "asks for nothing");
    bench.send(&reply(&invite, 488, "", "", ""));
    assert_eq!(story(&bench.events()), ["reoffer rejected 488"]);
    assert!(bench.send(&in_dialog("INVITE", 4, "i4", &tag, "", SDP)).is_empty());
    let wait = one(bench.send(&in_dialog("UPDATE", 5, "u5", &tag, "", SDP)));
    assert_eq!((wait.status, value(&wait, &Name::RetryAfter).is_empty()), (500, false));
    bench.endpoint.answer_reoffer(bench.now, call, Bytes::from_static(ANSWER)).unwrap();
    bench.sent();
    bench.send(&in_dialog("ACK", 4, "a4", &tag, "", ""));
    assert!(
        bench
            .send(&in_dialog("UPDATE", 6, "u6", &tag, "Contact: <sip:moved@192.0.2.1:5070>\n", SDP).replacen(
                "Contact: <sip:site@192.0.2.1:5060>\n",
                "",
                1
            ))
            .is_empty()
    );
    bench.endpoint.reject_reoffer(bench.now, call, 488, &[("Warning", "305 cau \"no\"")]).unwrap();
    assert_eq!(one(bench.sent()).status, 488);
    bench.endpoint.hangup(bench.now, call, None).unwrap();
    assert_eq!(
        only_request(bench.sent(), Method::Bye).uri.to_string(),
        "sip:moved@192.0.2.1:5070",
        "a target refresh"
    );
}

#[test]
fn not_now_is_tried_again_and_not_for_ever() {
    let mut bench = bench();
    let (call, _) = calling(&mut bench, "");
    bench.endpoint.reoffer(bench.now, call, Some(Bytes::from_static(OFFER))).unwrap();
    let mut invite = only_request(bench.sent(), Method::Invite);
    assert!(bench.send(&reply(&invite, 500, "", "Retry-After: 3 (busy);duration=1\n", "")).len() == 1);
    assert!(bench.run(Duration::from_millis(2_900)).is_empty());
    invite = only_request(once(bench.run(Duration::from_millis(200))), Method::Invite);
    let mut tries = 0;
    while bench.events().is_empty() {
        bench.send(&reply(&invite, 491, "", "", ""));
        tries += 1;
        if let Some(Message::Request(next)) = bench
            .run(SECOND * 5)
            .into_iter()
            .find(|m| matches!(m, Message::Request(r) if r.method == Method::Invite))
        {
            invite = next;
        }
        assert!(tries < 20);
    }
    assert_eq!(tries, 8);
    let events = bench.endpoint.calls();
    assert_eq!(events, 1, "the call goes on as it was");
}
