//! Before a call is answered: reliable provisional responses and PRACK in both roles (RFC 3262), UPDATE in early dialogs
//! (RFC 3311), forks of our INVITE (RFC 3261 13.2.2.4).

use std::time::Duration;

use crate::common::{
    ANSWER, Bench, FAIR, Manner, OFFER, Pair, STORM, callee_request, in_dialog, only_request, reply, request,
    response, story, to_tag,
};
use bytes::Bytes;
use cau_sip::{
    CallId, Config, Event, Protocol, Refused,
    message::{Message, Method, Name, Request, Response},
};

const SECOND: Duration = Duration::from_secs(1);
const REL: &str = "Require: 100rel\nRSeq: 17\nContact: <sip:site@192.0.2.1:5060>\nAllow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE\n";
const OK: &str = "Contact: <sip:site@192.0.2.1:5060>\nAllow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE\n";
const SDP: &str = "v=0\no=- 7 7 IN IP4 192.0.2.1\ns=-\nt=0 0\n";
const SDP2: &str = "v=0\no=- 7 8 IN IP4 192.0.2.1\ns=-\nt=0 0\n";

fn bench() -> Bench {
    Bench::new(Config { focus: true, ..Config::default() })
}

/// An INVITE of theirs with these options; the call and our tag once something tagged was sent.
fn called(bench: &mut Bench, extra: &str, offer: &str) -> CallId {
    assert!(bench.send(&request("INVITE", "1", extra, offer)).is_empty());
    match &bench.events()[..] {
        [Event::Incoming { call, .. }] => *call,
        other => panic!("{other:?}"),
    }
}

fn one(mut sent: Vec<Message>) -> Response {
    assert_eq!(sent.len(), 1, "{sent:?}");
    response(sent.remove(0))
}

fn header(response: &Response, name: &Name) -> String {
    response.headers.text(name).unwrap_or_default()
}

fn prack(tag: &str, cseq: u32, rack: &str, body: &str) -> String {
    in_dialog("PRACK", cseq, &format!("p{cseq}"), tag, &format!("RAck: {rack}\n"), body)
}

// ---- we are called -------------------------------------------------------------------------------------------------------------

#[test]
fn a_reliable_answer_is_repeated_until_its_prack_and_holds() {
    let mut bench = bench();
    let call = called(&mut bench, "Supported: 100rel\n", SDP);
    bench.endpoint.progress(bench.now, call, 183, Some(Bytes::from_static(ANSWER))).unwrap();
    let early = one(bench.sent());
    let tag = to_tag(&early);
    assert_eq!((early.status, header(&early, &Name::Require).as_str()), (183, "100rel"));
    assert_eq!(early.body, ANSWER);
    let rseq: u32 = header(&early, &Name::RSeq).parse().unwrap();
    assert!((1..1 << 31).contains(&rseq), "RFC 3262 3");
    // T1 doubled each time, not capped at T2: at 0.5, 1.5, 3.5, 7.5, 15.5 s.
    assert_eq!(bench.run(SECOND * 16).len(), 5);
    // The 2xx waits: its description would not be known to have arrived otherwise (5).
    bench.endpoint.accept(bench.now, call, Bytes::from_static(ANSWER)).unwrap();
    assert!(bench.sent().is_empty());
    assert_eq!(bench.endpoint.accept(bench.now, call, Bytes::new()), Err(Refused::WrongState));
    for wrong in
        [format!("{} 1 INVITE", rseq + 1), format!("{rseq} 2 INVITE"), format!("{rseq} 1 BYE"), "x".into()]
    {
        let cseq = 2 + u32::try_from(wrong.len()).unwrap() + u32::from(wrong.contains("BYE")) * 50;
        let status = one(bench.send(&prack(&tag, cseq, &wrong, ""))).status;
        assert!(matches!(status, 481 | 400 | 500), "{wrong}: {status}");
    }
    let sent = bench.send(&prack(&tag, 200, &format!("{rseq} 1 INVITE"), ""));
    let [Message::Response(to_prack), Message::Response(to_invite)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((to_prack.status, to_invite.status), (200, 200));
    assert!(to_invite.body.is_empty(), "the answer was given");
    assert_eq!(one(bench.send(&prack(&tag, 201, &format!("{rseq} 1 INVITE"), ""))).status, 481, "once");
    bench.send(&in_dialog("ACK", 1, "ack", &tag, "", ""));
    assert_eq!(story(&bench.events()), ["confirmed"]);
}

#[test]
fn one_after_the_other_each_with_the_next_number() {
    let mut bench = bench();
    let call = called(&mut bench, "Require: 100rel\n", SDP);
    bench.endpoint.ring(bench.now, call).unwrap();
    let ringing = one(bench.sent());
    let rseq: u32 = header(&ringing, &Name::RSeq).parse().unwrap();
    bench.endpoint.progress(bench.now, call, 183, Some(Bytes::from_static(ANSWER))).unwrap();
    assert!(bench.sent().is_empty(), "not before the first is acknowledged (3)");
    let sent = bench.send(&prack(&to_tag(&ringing), 2, &format!("{rseq} 1 INVITE"), ""));
    let [Message::Response(ok), Message::Response(early)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((ok.status, early.status), (200, 183));
    assert_eq!(header(early, &Name::RSeq), (rseq + 1).to_string());
    for n in 0..4 {
        assert_eq!(bench.endpoint.progress(bench.now, call, 181 + n, None), Ok(()));
    }
    assert_eq!(bench.endpoint.progress(bench.now, call, 183, None), Err(Refused::TooMany), "bounded");
}

#[test]
fn who_does_not_know_100rel_gets_none_of_it() {
    let mut bench = bench();
    let call = called(&mut bench, "", SDP);
    bench.endpoint.progress(bench.now, call, 183, Some(Bytes::from_static(ANSWER))).unwrap();
    let early = one(bench.sent());
    assert_eq!((header(&early, &Name::Require), header(&early, &Name::RSeq)), (String::new(), String::new()));
    bench.endpoint.accept(bench.now, call, Bytes::from_static(ANSWER)).unwrap();
    assert_eq!(one(bench.sent()).body, ANSWER, "said again, since the first may be lost");
    let mut late = self::bench();
    let call = called(&mut late, "", "");
    let offer = Some(Bytes::from_static(OFFER));
    assert_eq!(late.endpoint.progress(late.now, call, 183, offer), Err(Refused::WrongState));
}

#[test]
fn without_prack_the_invite_is_refused() {
    let mut bench = bench();
    let call = called(&mut bench, "Require: 100rel\n", SDP);
    bench.endpoint.progress(bench.now, call, 183, Some(Bytes::from_static(ANSWER))).unwrap();
    let sent = bench.run(SECOND * 33);
    assert!(sent.iter().any(|m| matches!(m, Message::Response(r) if r.status == 504)), "5xx after 64·T1 (3)");
    assert_eq!(story(&bench.events()), ["ended no-prack"]);
    bench.assert_clean();
}

#[test]
fn our_offer_in_a_reliable_response_is_answered_in_prack() {
    let mut bench = bench();
    let call = called(&mut bench, "Supported: 100rel\n", "");
    bench.endpoint.progress(bench.now, call, 183, Some(Bytes::from_static(OFFER))).unwrap();
    let early = one(bench.sent());
    let rack = format!("{} 1 INVITE", header(&early, &Name::RSeq));
    assert_eq!(one(bench.send(&prack(&to_tag(&early), 2, &rack, SDP))).status, 200);
    assert_eq!(story(&bench.events()), ["answer"]);
    bench.endpoint.accept(bench.now, call, Bytes::from_static(OFFER)).unwrap();
    assert!(one(bench.sent()).body.is_empty());
    bench.send(&in_dialog("ACK", 1, "ack", &to_tag(&early), "", ""));
    assert_eq!(story(&bench.events()), ["confirmed"], "no answer is due in the ACK");
    // A PRACK that owes an answer and has none.
    let mut bench = self::bench();
    let call = called(&mut bench, "Supported: 100rel\n", "");
    bench.endpoint.progress(bench.now, call, 183, Some(Bytes::from_static(OFFER))).unwrap();
    let early = one(bench.sent());
    let rack = format!("{} 1 INVITE", header(&early, &Name::RSeq));
    let sent = bench.send(&prack(&to_tag(&early), 2, &rack, ""));
    let statuses: Vec<_> = sent.into_iter().map(|m| response(m).status).collect();
    assert_eq!(statuses, [200, 400]);
    assert_eq!(story(&bench.events()), ["ended no-description"]);
}

#[test]
fn a_new_offer_in_prack_is_answered_in_its_200() {
    let mut bench = bench();
    let call = called(&mut bench, "Supported: 100rel\nAllow: UPDATE\n", SDP);
    bench.endpoint.progress(bench.now, call, 183, Some(Bytes::from_static(ANSWER))).unwrap();
    let early = one(bench.sent());
    let rack = format!("{} 1 INVITE", header(&early, &Name::RSeq));
    assert!(bench.send(&prack(&to_tag(&early), 2, &rack, SDP2)).is_empty());
    assert_eq!(story(&bench.events()), ["reoffer"]);
    bench.endpoint.accept(bench.now, call, Bytes::from_static(ANSWER)).unwrap();
    assert!(bench.sent().is_empty(), "the 2xx does not overtake the answer");
    bench.endpoint.answer_reoffer(bench.now, call, Bytes::from_static(ANSWER)).unwrap();
    let sent = bench.sent();
    let [Message::Response(to_prack), Message::Response(to_invite)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((to_prack.status, &to_prack.body[..]), (200, ANSWER));
    assert!(
        header(to_prack, &Name::CSeq).contains("PRACK") && header(to_invite, &Name::CSeq).contains("INVITE")
    );
}

#[test]
fn updates_before_the_answer_when_called() {
    let mut bench = bench();
    let call = called(&mut bench, "Supported: 100rel\nAllow: INVITE, UPDATE\n", SDP);
    let update =
        |cseq: u32, tag: &str, body: &str| in_dialog("UPDATE", cseq, &format!("u{cseq}"), tag, "", body);
    assert_eq!(bench.endpoint.update(bench.now, call, Bytes::from_static(OFFER)), Err(Refused::WrongState));
    bench.endpoint.ring(bench.now, call).unwrap();
    let tag = to_tag(&one(bench.sent()));
    // Their first offer is not answered: 500 with Retry-After (RFC 3311 5.2). Without an offer it is nothing but a refresh.
    let refused = one(bench.send(&update(2, &tag, SDP2)));
    let wait: u32 = header(&refused, &Name::RetryAfter).parse().unwrap();
    assert_eq!((refused.status, wait <= 10), (500, true));
    let fine = one(bench.send(&update(3, &tag, "")));
    assert_eq!((fine.status, header(&fine, &Name::Contact).contains("isfocus")), (200, true));
    bench.endpoint.progress(bench.now, call, 183, Some(Bytes::from_static(ANSWER))).unwrap();
    let rack = format!("{} 1 INVITE", header(&one(bench.sent()), &Name::RSeq));
    assert_eq!(bench.endpoint.update(bench.now, call, Bytes::from_static(OFFER)), Err(Refused::WrongState));
    bench.send(&prack(&tag, 4, &rack, ""));
    assert!(bench.send(&update(5, &tag, SDP2)).is_empty());
    assert_eq!(story(&bench.events()), ["reoffer"]);
    assert_eq!(one(bench.send(&update(6, &tag, SDP))).status, 500, "one at a time");
    bench.endpoint.answer_reoffer(bench.now, call, Bytes::from_static(ANSWER)).unwrap();
    assert_eq!(one(bench.sent()).body, ANSWER);
    // And ours.
    bench.endpoint.update(bench.now, call, Bytes::from_static(OFFER)).unwrap();
    let ours = only_request(bench.sent(), Method::Update);
    assert_eq!((&ours.body[..], ours.headers.value(&Name::Contact).is_some()), (OFFER, true));
    assert_eq!(one(bench.send(&update(7, &tag, SDP))).status, 491, "glare");
    bench.send(&reply(&ours, 200, "", OK, SDP));
    assert_eq!(story(&bench.events()), ["answer"]);
}

#[test]
fn nothing_runs_out_before_the_answer() {
    let mut bench = bench();
    let call = called(&mut bench, "Supported: timer\nSession-Expires: 90\n", SDP);
    bench.endpoint.ring(bench.now, call).unwrap();
    let tag = to_tag(&one(bench.sent()));
    let timer = "Supported: timer\nSession-Expires: 90;refresher=uac\n";
    assert_eq!(one(bench.send(&in_dialog("UPDATE", 2, "u2", &tag, timer, ""))).status, 200);
    let sent = bench.run(SECOND * 150);
    assert!(sent.iter().all(|m| matches!(m, Message::Response(r) if r.status == 180)), "{sent:?}");
    bench.endpoint.accept(bench.now, call, Bytes::from_static(ANSWER)).unwrap();
    assert_eq!(header(&one(bench.sent()), &Name::SessionExpires), "90;refresher=uas");
}

#[test]
fn a_cancel_ends_what_is_reliable_too() {
    let mut bench = bench();
    let call = called(&mut bench, "Require: 100rel\n", SDP);
    bench.endpoint.progress(bench.now, call, 183, Some(Bytes::from_static(ANSWER))).unwrap();
    bench.sent();
    let reason = "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\n";
    let sent = bench.send(&request("CANCEL", "1", reason, ""));
    let statuses: Vec<_> = sent.into_iter().map(|m| response(m).status).collect();
    assert_eq!(statuses, [200, 487]);
    let events = bench.events();
    let [Event::Ended { cause, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(cause.to_string(), "the caller gave up before the answer (Call completed elsewhere)");
    let later = bench.run(SECOND * 60);
    assert!(later.iter().all(|m| matches!(m, Message::Response(r) if r.status == 487)), "{later:?}");
    bench.assert_clean();
}

// ---- we call -------------------------------------------------------------------------------------------------------------------

#[test]
fn a_reliable_response_is_acknowledged_once_and_in_order() {
    let mut bench = bench();
    let (_, invite) = bench.dial(Some(OFFER));
    assert_eq!(invite.headers.text(&Name::Supported).unwrap(), "100rel, timer, norefersub");
    let early = reply(&invite, 183, "b", REL, SDP);
    let prack = only_request(bench.send(&early), Method::Prack);
    let number = invite.headers.text(&Name::CSeq).unwrap().replace(" INVITE", "");
    assert_eq!(prack.headers.text(&Name::RAck).unwrap(), format!("17 {number} INVITE"));
    assert_eq!(prack.uri.to_string(), "sip:site@192.0.2.1:5060", "to their Contact");
    assert!(bench.send(&early).is_empty(), "the same again: the PRACK's own transaction repeats it");
    assert!(
        bench.send(&early.replace("RSeq: 17", "RSeq: 19")).is_empty(),
        "18 is missing: as if not received"
    );
    assert_eq!(story(&bench.events()), ["progress 183"]);
    bench.send(&reply(&prack, 200, "b", "", ""));
    only_request(bench.send(&early.replace("RSeq: 17", "RSeq: 18").replace(" 183 ", " 180 ")), Method::Prack);
    let ack = only_request(bench.send(&reply(&invite, 200, "b", OK, "")), Method::Ack);
    assert_eq!(ack.headers.text(&Name::CSeq).unwrap(), format!("{number} ACK"));
    let events = bench.events();
    assert_eq!(story(&events), ["progress 180", "answer", "confirmed"]);
    let Some(Event::Answer { sdp, .. }) = events.get(1) else { panic!() };
    assert_eq!(&sdp[..], SDP.replace('\n', "\r\n").as_bytes(), "the answer came ahead of the 200");
}

#[test]
fn a_lost_prack_is_repeated() {
    let mut pair = Pair::new(1, FAIR);
    pair.b().manner = Manner::Silent;
    pair.swallow.push((0, "PRACK", 2));
    pair.dial(Protocol::Udp, Some(OFFER));
    pair.run(Duration::from_millis(50));
    let (now, call) = (pair.now, pair.b().call());
    pair.b().endpoint.progress(now, call, 183, Some(Bytes::from_static(ANSWER))).unwrap();
    pair.b().endpoint.accept(now, call, Bytes::from_static(ANSWER)).unwrap();
    pair.run(SECOND);
    assert_eq!(pair.b().sent("SIP/2.0 200"), 0);
    pair.run(SECOND * 3);
    assert_eq!((pair.a().told("answer"), pair.a().told("confirmed"), pair.b().told("confirmed")), (1, 1, 1));
    assert!(pair.a().sent("PRACK") >= 3);
}

#[test]
fn late_offers_are_answered_in_prack() {
    let mut bench = bench();
    let (call, invite) = bench.dial(None);
    assert!(bench.send(&reply(&invite, 183, "b", REL, SDP)).is_empty(), "the answer is due");
    assert_eq!(story(&bench.events()), ["progress 183", "offer"]);
    // Another fork that offers as well is not taken; it gives up by itself.
    assert!(bench.send(&reply(&invite, 183, "c", REL, SDP2)).is_empty());
    assert!(bench.events().is_empty());
    assert_eq!(bench.endpoint.counters().surplus_forks, 1);
    bench.endpoint.answer(bench.now, call, Bytes::from_static(ANSWER)).unwrap();
    let prack = only_request(bench.sent(), Method::Prack);
    assert_eq!(
        (&prack.body[..], prack.headers.text(&Name::ContentType).unwrap().as_str()),
        (ANSWER, "application/sdp")
    );
    assert_eq!(bench.endpoint.answer(bench.now, call, Bytes::new()), Err(Refused::WrongState));
    let ack = only_request(bench.send(&reply(&invite, 200, "b", OK, "")), Method::Ack);
    assert!(ack.body.is_empty());
    assert_eq!(story(&bench.events()), ["confirmed"]);
}

#[test]
fn updates_before_the_answer_when_calling() {
    let mut bench = bench();
    let (call, invite) = bench.dial(Some(OFFER));
    bench.send(&reply(&invite, 180, "b", "Contact: <sip:site@192.0.2.1:5060>\n", ""));
    // Our offer has no answer yet: 491 (RFC 3311 5.2).
    assert_eq!(one(bench.send(&callee_request(&invite, "UPDATE", 1, "b", "", SDP2))).status, 491);
    assert_eq!(bench.endpoint.update(bench.now, call, Bytes::from_static(OFFER)), Err(Refused::WrongState));
    let prack = only_request(bench.send(&reply(&invite, 183, "b", REL, SDP)), Method::Prack);
    bench.send(&reply(&prack, 200, "b", "", ""));
    bench.events();
    assert!(bench.send(&callee_request(&invite, "UPDATE", 2, "b", "", SDP2)).is_empty());
    assert_eq!(story(&bench.events()), ["answer", "reoffer"], "the owner knows what is changed");
    bench.endpoint.answer_reoffer(bench.now, call, Bytes::from_static(ANSWER)).unwrap();
    assert_eq!(one(bench.sent()).body, ANSWER);
    bench.endpoint.update(bench.now, call, Bytes::from_static(OFFER)).unwrap();
    let ours = only_request(bench.sent(), Method::Update);
    let number =
        |r: &Request| r.headers.text(&Name::CSeq).unwrap().split(' ').next().unwrap().parse::<u32>().unwrap();
    assert_eq!(number(&ours), number(&prack) + 1, "counted on in this dialog");
    bench.send(&reply(&ours, 200, "b", OK, SDP));
    assert_eq!(story(&bench.events()), ["answer"]);
    only_request(bench.send(&reply(&invite, 200, "b", OK, SDP)), Method::Ack);
    assert_eq!(story(&bench.events()), ["confirmed"], "what the 200 repeats is old");
    bench.endpoint.hangup(bench.now, call, None).unwrap();
    assert_eq!(number(&only_request(bench.sent(), Method::Bye)), number(&ours) + 1);
}

#[test]
fn an_update_answered_without_description_ends_the_invite_too() {
    let mut bench = bench();
    let (call, invite) = bench.dial(Some(OFFER));
    let prack = only_request(bench.send(&reply(&invite, 183, "b", REL, SDP)), Method::Prack);
    bench.send(&reply(&prack, 200, "b", "", ""));
    bench.endpoint.update(bench.now, call, Bytes::from_static(OFFER)).unwrap();
    let ours = only_request(bench.sent(), Method::Update);
    bench.events();
    let cancel = only_request(bench.send(&reply(&ours, 200, "b", OK, "")), Method::Cancel);
    assert_eq!(story(&bench.events()), ["ended no-description"]);
    bench.send(&reply(&cancel, 200, "b", "", ""));
    only_request(bench.send(&reply(&invite, 487, "b", "", "")), Method::Ack);
    assert!(bench.pass(SECOND * 40).is_empty());
    assert_eq!((bench.endpoint.calls(), bench.endpoint.transactions()), (0, 0));
}

#[test]
fn an_early_call_that_the_other_side_refuses_leaves_no_offer_of_theirs_unanswered() {
    let mut bench = bench();
    let (_, invite) = bench.dial(Some(OFFER));
    let prack = only_request(bench.send(&reply(&invite, 183, "b", REL, SDP)), Method::Prack);
    bench.send(&reply(&prack, 200, "b", "", ""));
    assert!(bench.send(&callee_request(&invite, "UPDATE", 1, "b", "", SDP2)).is_empty());
    let sent = bench.send(&reply(&invite, 486, "b", "", ""));
    let [Message::Request(ack), Message::Response(refusal)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((ack.method.as_str(), refusal.status), ("ACK", 487));
    assert!(bench.pass(SECOND * 40).is_empty());
    assert_eq!((bench.endpoint.calls(), bench.endpoint.transactions()), (0, 0));
}

#[test]
fn several_phones_ring_and_one_is_taken() {
    let mut bench = bench();
    let (_, invite) = bench.dial(Some(OFFER));
    for (tag, port) in [("b", 5061), ("c", 5062)] {
        let there = format!("Contact: <sip:site@192.0.2.1:{port}>\n");
        bench.send(&reply(&invite, 180, tag, &there, ""));
    }
    let early = bench.send(&reply(&invite, 183, "c", &REL.replace("5060", "5062"), SDP2));
    assert_eq!(
        only_request(early, Method::Prack).uri.to_string(),
        "sip:site@192.0.2.1:5062",
        "to the fork that asks"
    );
    assert_eq!(story(&bench.events()), ["progress 180", "progress 180", "progress 183"]);
    assert_eq!(
        one(bench.send(&callee_request(&invite, "BYE", 1, "b", "", ""))).status,
        481,
        "not before the answer (15)"
    );
    let ack =
        only_request(bench.send(&reply(&invite, 200, "b", &OK.replace("5060", "5061"), SDP)), Method::Ack);
    assert_eq!(ack.uri.to_string(), "sip:site@192.0.2.1:5061");
    let events = bench.events();
    let Some(Event::Answer { sdp, .. }) = events.first() else { panic!("{events:?}") };
    assert_eq!(
        &sdp[..],
        SDP.replace('\n', "\r\n").as_bytes(),
        "that of the one that answered, not of the other"
    );
    // The others that answer too are acknowledged, and ended with a reason; so they are when they repeat it.
    for tag in ["c", "d"] {
        let again = reply(&invite, 200, tag, &OK.replace("5060", "5062"), SDP2);
        let sent = bench.send(&again);
        let [Message::Request(ack), Message::Request(bye)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!((ack.method.as_str(), bye.method.as_str()), ("ACK", "BYE"));
        assert!(bye.headers.text(&Name::To).unwrap().ends_with(tag));
        assert_eq!(
            bye.headers.text(&Name::Reason).unwrap(),
            "SIP;cause=200;text=\"Call completed elsewhere\""
        );
        only_request(bench.send(&again), Method::Ack);
    }
    assert!(bench.events().iter().all(|e| !matches!(e, Event::Ended { .. })));
}

#[test]
fn forks_without_end_are_not_followed() {
    let mut bench = bench();
    let (_, invite) = bench.dial(Some(OFFER));
    for n in 0..100 {
        bench.send(&reply(&invite, 180, &format!("t{n}"), OK, ""));
    }
    assert_eq!((bench.events().len(), bench.endpoint.counters().surplus_forks), (16, 84));
    let sent: usize =
        (0..100).map(|n| bench.send(&reply(&invite, 200, &format!("u{n}"), OK, SDP)).len()).sum();
    assert!(sent <= 1 + 2 * 15, "one call, 15 ends: {sent}");
    assert_eq!(bench.endpoint.counters().surplus_forks, 84 + 84);
}

#[test]
fn a_fork_that_answers_late_after_the_call_is_over_is_ended() {
    let mut bench = bench();
    let (call, invite) = bench.dial(Some(OFFER));
    bench.send(&reply(&invite, 180, "b", OK, ""));
    bench.endpoint.hangup(bench.now, call, Some("không cần nữa")).unwrap();
    let cancel = only_request(bench.sent(), Method::Cancel);
    assert_eq!(cancel.headers.text(&Name::Reason).unwrap(), "Q.850;cause=16;text=\"không cần nữa\"");
    assert_eq!(cancel.headers.text(&Name::SessionId), invite.headers.text(&Name::SessionId), "RFC 7989 6");
    let sent = bench.send(&reply(&invite, 200, "b", OK, SDP));
    let methods: Vec<_> = sent
        .iter()
        .map(|m| match m {
            Message::Request(r) => r.method.as_str().to_owned(),
            _ => String::new(),
        })
        .collect();
    assert_eq!(methods, ["ACK", "BYE"]);
}

#[test]
fn early_media_and_pracks_survive_a_storm() {
    let mut stood = 0;
    for seed in 0..100 {
        let mut pair = Pair::new(seed, STORM);
        pair.b().manner = Manner::Silent;
        pair.dial(Protocol::Udp, Some(OFFER));
        pair.run(SECOND * 10);
        if pair.b().told("incoming") == 0 {
            continue;
        }
        let (now, call) = (pair.now, pair.b().call());
        pair.b().endpoint.ring(now, call).unwrap();
        pair.b().endpoint.progress(now, call, 183, Some(Bytes::from_static(ANSWER))).unwrap();
        pair.b().endpoint.accept(now, call, Bytes::from_static(ANSWER)).unwrap();
        pair.run(SECOND * 90);
        assert_eq!(
            pair.a().told("answer"),
            pair.a().told("confirmed"),
            "seed {seed}: {:?}",
            pair.a().story()
        );
        stood += pair.b().told("confirmed");
    }
    assert!(stood >= 98, "{stood} of 100");
}
