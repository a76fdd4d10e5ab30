//! Subscriptions to the conference event package, and REFER, against messages written by hand.

use std::{sync::Arc, time::Duration};

use crate::common::{Bench, in_dialog, only_request, read, request, response, to_tag};
use cau_sip::{
    Config, Event, Transport,
    conference_info::{Description, Endpoint, Joining, Media, MediaStatus, State, Status, User},
    message::{Message, Method, Name, Request, Response},
    refer::Wanted,
    subscribe::SubscriptionId,
};

const SECOND: Duration = Duration::from_secs(1);

fn bench() -> Bench {
    // Everything by UDP: nobody listens on TCP here.
    Bench::new(Config { focus: true, tcp_for_large: false, ..Config::default() })
}

fn state(names: &[&str]) -> State {
    let user = |name: &&str| User {
        entity: format!("sip:{name}@10.0.0.2"),
        display_text: format!("Điểm cầu {name}"),
        role: "participant",
        endpoints: vec![Endpoint {
            entity: format!("sip:8000@192.0.2.2;participant={name}"),
            status: Status::Connected,
            joining: Joining::DialedIn,
            disconnection: None,
            reason: None,
            media: vec![Media { id: 1, kind: "audio", status: MediaStatus::SendRecv }],
        }],
    };
    State {
        entity: "sip:8000@192.0.2.2".to_owned(),
        description: Description { display_text: "Giao ban".to_owned(), maximum_user_count: None },
        active: true,
        locked: false,
        users: names.iter().map(user).collect(),
    }
}

const SUBSCRIBE: &str = "Event: conference\nAccept: application/conference-info+xml\nExpires: 600\n";

/// Answers a request of ours.
fn answer(bench: &mut Bench, to: &Request, status: u16) -> Vec<Message> {
    let copy = |n: &Name| format!("{n}: {}\n", to.headers.text(n).unwrap());
    let head: String = [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq].iter().map(copy).collect();
    bench.send(&format!("SIP/2.0 {status} x\n{head}Content-Length: 0\n\n"))
}

fn text(request: &Request) -> String {
    String::from_utf8_lossy(&request.body).into_owned()
}

fn header(request: &Request, name: &Name) -> String {
    request.headers.text(name).unwrap_or_default()
}

fn wanted(bench: &mut Bench) -> SubscriptionId {
    match &bench.events()[..] {
        [Event::Subscribe(subscribe)] => subscribe.id,
        other => panic!("{other:?}"),
    }
}

/// Subscribes: our 200 and our first NOTIFY.
fn subscribed(bench: &mut Bench, lines: &str) -> (Response, Request) {
    assert!(bench.send(&request("SUBSCRIBE", "s1", lines, "")).is_empty());
    let id = wanted(bench);
    bench.endpoint.accept_subscription(bench.now, id, "c1", Arc::new(state(&["a"]))).unwrap();
    let mut sent = bench.sent();
    assert_eq!(sent.len(), 2);
    let notify = only_request(vec![sent.remove(1)], Method::Notify);
    (response(sent.remove(0)), notify)
}

#[test]
fn a_subscriber_gets_everything_and_then_what_changes() {
    let mut bench = bench();
    let (ok, first) = subscribed(&mut bench, SUBSCRIBE);
    assert_eq!((ok.status, ok.headers.text(&Name::Expires).as_deref()), (200, Some("600")));
    assert!(ok.headers.text(&Name::Contact).unwrap().contains("isfocus"));
    assert_eq!(header(&first, &Name::Event), "conference");
    assert_eq!(header(&first, &Name::SubscriptionState), "active;expires=600");
    assert_eq!(header(&first, &Name::ContentType), "application/conference-info+xml");
    assert!(text(&first).contains("state=\"full\" version=\"0\"") && text(&first).contains("Điểm cầu a"));
    // A change while the NOTIFY has no answer waits for it.
    bench.endpoint.publish(bench.now, "c1", state(&["a", "b"]));
    bench.endpoint.publish(bench.now, "c1", state(&["b", "c"]));
    assert!(bench.sent().is_empty());
    let second = only_request(answer(&mut bench, &first, 200), Method::Notify);
    let body = text(&second);
    assert!(body.contains("state=\"partial\" version=\"1\"") && !body.contains("Giao ban"), "{body}");
    assert!(
        body.contains("entity=\"sip:a@10.0.0.2\" state=\"deleted\"") && body.contains("Điểm cầu c"),
        "{body}"
    );
    assert!(answer(&mut bench, &second, 200).is_empty());
    bench.endpoint.publish(bench.now, "c1", state(&["b", "c"]));
    assert!(bench.sent().is_empty(), "nothing new, nothing said");
    assert_eq!(bench.endpoint.counters().notifies, 2);
}

#[test]
fn the_owner_is_asked_for_the_state_only_when_watched_and_not_too_often() {
    let mut bench = bench();
    bench.endpoint.room_changed(bench.now, "c1");
    bench.pass(SECOND);
    assert!(bench.events().is_empty() && !bench.endpoint.is_watched("c1"));
    subscribed(&mut bench, SUBSCRIBE);
    assert!(bench.endpoint.is_watched("c1"));
    let mut asked = 0;
    for _ in 0..200 {
        bench.endpoint.room_changed(bench.now, "c1");
        bench.pass(SECOND / 10);
        asked += bench
            .events()
            .iter()
            .filter(|e| matches!(e, Event::StateWanted { room } if &**room == "c1"))
            .count();
    }
    assert_eq!(asked, 4, "in 20 seconds");
}

#[test]
fn a_refresh_brings_everything_and_expires_0_ends_it() {
    let mut bench = bench();
    let (ok, first) = subscribed(&mut bench, SUBSCRIBE);
    answer(&mut bench, &first, 200);
    let tag = to_tag(&ok);
    let again = |cseq, lines: &str| in_dialog("SUBSCRIBE", cseq, &format!("s{cseq}"), &tag, lines, "");
    let mut sent = bench.send(&again(2, SUBSCRIBE));
    let notify = only_request(vec![sent.remove(1)], Method::Notify);
    assert_eq!(response(sent.remove(0)).status, 200);
    assert!(text(&notify).contains("state=\"full\" version=\"1\""));
    answer(&mut bench, &notify, 200);
    assert_eq!(
        bench.response(&again(2, SUBSCRIBE).replace("z9hG4bKs2", "z9hG4bKx")).status,
        500,
        "an old number"
    );
    assert_eq!(bench.response(&again(3, "Event: presence\n")).status, 489);
    assert_eq!(bench.response(&again(4, "Event: conference\nExpires: 5\n")).status, 423);
    let mut sent = bench.send(&again(5, "Event: conference\nExpires: 0\n"));
    let last = only_request(vec![sent.remove(1)], Method::Notify);
    assert_eq!(header(&last, &Name::SubscriptionState), "terminated;reason=timeout");
    assert_eq!((bench.endpoint.subscriptions(), bench.endpoint.is_watched("c1")), (0, false));
    assert_eq!(bench.response(&again(6, SUBSCRIBE)).status, 481);
}

#[test]
fn a_subscription_ends_by_itself_by_the_end_of_the_conference_and_by_a_deaf_subscriber() {
    let mut bench = bench();
    let (_, first) = subscribed(&mut bench, SUBSCRIBE);
    answer(&mut bench, &first, 200);
    let last = only_request(bench.pass(600 * SECOND), Method::Notify);
    assert_eq!(header(&last, &Name::SubscriptionState), "terminated;reason=timeout");
    assert_eq!(bench.endpoint.subscriptions(), 0);

    let mut bench = self::bench();
    let (_, first) = subscribed(&mut bench, SUBSCRIBE);
    answer(&mut bench, &first, 200);
    bench.endpoint.unpublish(bench.now, "c1");
    let last = only_request(bench.sent(), Method::Notify);
    assert_eq!(header(&last, &Name::SubscriptionState), "terminated;reason=noresource");
    assert_eq!((bench.endpoint.subscriptions(), bench.endpoint.is_watched("c1")), (0, false));

    let mut bench = self::bench();
    let (_, first) = subscribed(&mut bench, SUBSCRIBE);
    assert!(answer(&mut bench, &first, 481).is_empty());
    assert_eq!(bench.endpoint.subscriptions(), 0);

    let mut bench = self::bench();
    subscribed(&mut bench, SUBSCRIBE);
    for _ in 0..33 {
        bench.pass(SECOND);
    }
    assert_eq!(bench.endpoint.subscriptions(), 0, "no answer to a NOTIFY");
}

#[test]
fn asked_once_told_once() {
    let mut bench = bench();
    let (ok, only) = subscribed(&mut bench, "Event: conference\nExpires: 0\n");
    assert_eq!(ok.status, 200);
    assert_eq!(header(&only, &Name::SubscriptionState), "terminated;reason=timeout");
    assert!(text(&only).contains("state=\"full\""));
    assert_eq!(bench.endpoint.subscriptions(), 0);
}

#[test]
fn what_cannot_be_subscribed_to_is_refused() {
    let cases = [
        ("Event: presence\n", 489),
        ("", 489),
        ("Event: refer\n", 489),
        ("Event: conference\nAccept: application/pidf+xml\n", 406),
        ("Event: conference\nExpires: 7\n", 423),
    ];
    for (lines, status) in cases {
        let mut bench = bench();
        let it = bench.response(&request("SUBSCRIBE", "1", lines, ""));
        assert_eq!(it.status, status, "{lines}");
        assert_eq!(it.headers.value(&Name::AllowEvents).is_some(), status == 489);
        assert_eq!((bench.events().len(), bench.endpoint.subscriptions()), (0, 0));
    }
    let mut bench = bench();
    let no_contact =
        request("SUBSCRIBE", "1", SUBSCRIBE, "").replace("Contact: <sip:site@192.0.2.1:5060>\n", "");
    assert_eq!(bench.response(&no_contact).status, 400);
    let phone = Bench::new(Config::default()).response(&request("SUBSCRIBE", "1", SUBSCRIBE, ""));
    assert_eq!(phone.status, 405, "only a focus has conferences");
    // The owner says no, or nothing.
    let mut bench = self::bench();
    bench.send(&request("SUBSCRIBE", "2", SUBSCRIBE, ""));
    let id = wanted(&mut bench);
    bench.endpoint.refuse_subscription(bench.now, id, 403).unwrap();
    assert_eq!(response(bench.sent().remove(0)).status, 403);
    assert!(bench.endpoint.refuse_subscription(bench.now, id, 403).is_err());
    bench.send(&request("SUBSCRIBE", "3", SUBSCRIBE, "").replace("CSeq: 1 ", "CSeq: 3 "));
    assert_eq!(response(bench.pass(20 * SECOND).remove(0)).status, 480);
    assert_eq!(bench.endpoint.subscriptions(), 0);
}

#[test]
fn there_is_no_more_room_for_ever_more_subscribers() {
    let subscriptions = cau_sip::subscribe::Config { max: 3, ..Default::default() };
    let mut bench = Bench::new(Config { focus: true, subscriptions, ..Config::default() });
    for n in 0..5 {
        let text = request("SUBSCRIBE", &format!("b{n}"), SUBSCRIBE, "")
            .replace("Call-ID: bench", &format!("Call-ID: bench{n}"));
        let sent = bench.send(&text);
        match n {
            0..3 => assert!(sent.is_empty()),
            _ => assert_eq!(response(sent[0].clone()).status, 503),
        }
    }
}

/// A whole roster of 500 does not fit into a datagram: less is told, and it is still right.
#[test]
fn very_many_participants_are_only_counted_over_udp() {
    let names: Vec<String> = (0..500).map(|n| format!("{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut bench = bench();
    bench.send(&request("SUBSCRIBE", "s1", SUBSCRIBE, ""));
    let id = wanted(&mut bench);
    bench.endpoint.accept_subscription(bench.now, id, "c1", Arc::new(state(&names))).unwrap();
    let mut sent = bench.sent();
    let notify = only_request(vec![sent.remove(1)], Method::Notify);
    assert!(notify.body.len() < 16 * 1024);
    assert!(text(&notify).contains("<user-count>500</user-count>") && !text(&notify).contains("<users"));
    answer(&mut bench, &notify, 200);
    bench.endpoint.publish(bench.now, "c1", state(&names[1..]));
    let next = only_request(bench.sent(), Method::Notify);
    assert!(text(&next).contains("state=\"partial\" version=\"1\"") && text(&next).contains(">499<"));
}

const REFER: &str = "Refer-To: \"Xã Ea Tu\" <sip:ea-tu@10.0.0.5>\n";

fn referred(bench: &mut Bench) -> cau_sip::refer::Refer {
    match &bench.events()[..] {
        [Event::Refer(refer)] => (**refer).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refer_within_a_call_is_reported_on_in_that_call() {
    let mut bench = bench();
    let (call, tag) = bench.established();
    assert!(bench.send(&in_dialog("REFER", 7, "r1", &tag, REFER, "")).is_empty());
    let refer = referred(&mut bench);
    assert_eq!(
        (refer.call, refer.wanted, refer.target.to_string().as_str()),
        (Some(call), Wanted::Invite, "sip:ea-tu@10.0.0.5")
    );
    assert_eq!(refer.display.as_deref(), Some("Xã Ea Tu"));
    bench.endpoint.accept_refer(bench.now, refer.id).unwrap();
    let mut sent = bench.sent();
    let trying = only_request(vec![sent.remove(1)], Method::Notify);
    let accepted = response(sent.remove(0));
    assert_eq!((accepted.status, to_tag(&accepted)), (202, tag.clone()));
    assert_eq!(header(&trying, &Name::Event), "refer;id=7");
    assert_eq!(header(&trying, &Name::SubscriptionState), "active;expires=240");
    assert_eq!(header(&trying, &Name::ContentType), "message/sipfrag;version=2.0");
    assert_eq!(text(&trying), "SIP/2.0 100 Trying\r\n");
    answer(&mut bench, &trying, 200);
    bench.endpoint.refer_result(bench.now, refer.id, 180, "");
    let ringing = only_request(bench.sent(), Method::Notify);
    // What comes while a NOTIFY is under way: only the last counts.
    bench.endpoint.refer_result(bench.now, refer.id, 183, "");
    bench.endpoint.refer_result(bench.now, refer.id, 486, "Máy bận\r\nX: y");
    let last = only_request(answer(&mut bench, &ringing, 200), Method::Notify);
    assert_eq!(header(&last, &Name::SubscriptionState), "terminated;reason=noresource");
    assert_eq!(text(&last), "SIP/2.0 486 Máy bậnX: y\r\n");
    assert_eq!(bench.endpoint.subscriptions(), 0);
    bench.endpoint.refer_result(bench.now, refer.id, 200, "");
    assert!(bench.sent().is_empty());
    // The call goes on, with its numbers in order.
    bench.endpoint.hangup(bench.now, call, None).unwrap();
    let bye = only_request(bench.sent(), Method::Bye);
    let number = |r: &Request| header(r, &Name::CSeq).split(' ').next().unwrap().parse::<u32>().unwrap();
    assert_eq!(number(&bye), number(&last) + 1);
}

#[test]
fn a_refer_outside_of_a_call_has_a_dialog_of_its_own() {
    let mut bench = bench();
    bench.send(&request(
        "REFER",
        "r1",
        "Refer-To: <sip:ea-tu@10.0.0.5;method=BYE>\nRecord-Route: <sip:192.0.2.1;lr>\n",
        "",
    ));
    let refer = referred(&mut bench);
    assert_eq!((refer.call, refer.wanted, refer.uri.user().as_str()), (None, Wanted::Bye, "8000"));
    bench.endpoint.accept_refer(bench.now, refer.id).unwrap();
    bench.endpoint.refer_result(bench.now, refer.id, 200, "");
    let mut sent = bench.sent();
    let trying = only_request(vec![sent.remove(1)], Method::Notify);
    let accepted = response(sent.remove(0));
    assert!(accepted.headers.value(&Name::RecordRoute).is_some());
    assert_eq!(header(&trying, &Name::Route), "<sip:192.0.2.1;lr>");
    assert!(header(&trying, &Name::From).contains(&to_tag(&accepted)));
    let done = only_request(answer(&mut bench, &trying, 200), Method::Notify);
    assert_eq!(text(&done), "SIP/2.0 200 OK\r\n");
}

#[test]
fn who_wants_no_report_gets_none() {
    let mut bench = bench();
    bench.send(&request("REFER", "r1", &format!("{REFER}Refer-Sub: false\n"), ""));
    let refer = referred(&mut bench);
    bench.endpoint.accept_refer(bench.now, refer.id).unwrap();
    let sent = bench.sent();
    let [Message::Response(ok)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((ok.status, ok.headers.text(&Name::ReferSub).as_deref()), (200, Some("false")));
    bench.endpoint.refer_result(bench.now, refer.id, 200, "");
    assert!(bench.sent().is_empty());
    assert_eq!(bench.endpoint.subscriptions(), 0);
}

#[test]
fn a_report_is_not_lost_when_its_call_ends() {
    let mut bench = bench();
    let (_, tag) = bench.established();
    bench.send(&in_dialog("REFER", 2, "r1", &tag, REFER, ""));
    let refer = referred(&mut bench);
    bench.endpoint.accept_refer(bench.now, refer.id).unwrap();
    let trying = bench.sent().remove(1);
    answer(&mut bench, &only_request(vec![trying], Method::Notify), 200);
    bench.send(&in_dialog("BYE", 3, "b1", &tag, "", ""));
    bench.endpoint.refer_result(bench.now, refer.id, 200, "");
    let last = only_request(bench.sent(), Method::Notify);
    assert_eq!(text(&last), "SIP/2.0 200 OK\r\n");
}

/// A call leaves behind who watches its conference and what comes of its REFER: one dialog, one count of requests (RFC 3261 12.2.1.1).
#[test]
fn what_one_call_leaves_behind_counts_its_requests_together() {
    let mut bench = bench();
    let (_, tag) = bench.established();
    bench.send(&in_dialog("SUBSCRIBE", 2, "s1", &tag, SUBSCRIBE, ""));
    let watch = wanted(&mut bench);
    bench.endpoint.accept_subscription(bench.now, watch, "c1", Arc::new(state(&["a"]))).unwrap();
    let first = only_request(vec![bench.sent().remove(1)], Method::Notify);
    answer(&mut bench, &first, 200);
    bench.send(&in_dialog("REFER", 3, "r1", &tag, REFER, ""));
    let refer = referred(&mut bench);
    bench.endpoint.accept_refer(bench.now, refer.id).unwrap();
    let trying = only_request(vec![bench.sent().remove(1)], Method::Notify);
    answer(&mut bench, &trying, 200);
    bench.send(&in_dialog("BYE", 4, "b1", &tag, "", ""));
    bench.endpoint.publish(bench.now, "c1", state(&["a", "b"]));
    let changed = only_request(bench.sent(), Method::Notify);
    answer(&mut bench, &changed, 200);
    bench.endpoint.refer_result(bench.now, refer.id, 180, "");
    let ringing = only_request(bench.sent(), Method::Notify);
    answer(&mut bench, &ringing, 200);
    let number = |r: &Request| header(r, &Name::CSeq).split(' ').next().unwrap().parse::<u32>().unwrap();
    assert_eq!(number(&changed), number(&trying) + 1);
    assert_eq!(number(&ringing), number(&changed) + 1, "the other one goes on from there");
    // Each is refreshed and ended by its own name.
    let wrong = in_dialog("SUBSCRIBE", 5, "u0", &tag, "Event: presence\nExpires: 600\n", "");
    assert_eq!(bench.response(&wrong).status, 489);
    let off = in_dialog("SUBSCRIBE", 6, "u1", &tag, "Event: conference\nExpires: 0\n", "");
    let last = only_request(vec![bench.send(&off).remove(1)], Method::Notify);
    assert_eq!(header(&last, &Name::SubscriptionState), "terminated;reason=timeout");
    assert_eq!((number(&last), bench.endpoint.subscriptions()), (number(&ringing) + 1, 1));
    answer(&mut bench, &last, 200);
    bench.endpoint.refer_result(bench.now, refer.id, 200, "");
    let done = only_request(bench.sent(), Method::Notify);
    assert_eq!(number(&done), number(&last) + 1);
    // Nothing is left of the dialog.
    answer(&mut bench, &done, 200);
    assert_eq!(bench.response(&in_dialog("SUBSCRIBE", 7, "u2", &tag, SUBSCRIBE, "")).status, 481);
}

/// A NOTIFY is large sooner than an INVITE: by TCP (RFC 3261 18.1.1), and by UDP after all where nobody listens.
#[test]
fn a_large_notify_comes_back_to_udp_when_nobody_listens_on_tcp() {
    let mut bench = Bench::new(Config { focus: true, ..Config::default() });
    bench.send(&request("SUBSCRIBE", "s1", SUBSCRIBE, ""));
    let id = wanted(&mut bench);
    let names: Vec<String> = (0..12).map(|n| format!("xa-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    bench.endpoint.accept_subscription(bench.now, id, "c1", Arc::new(state(&names))).unwrap();
    let sent = bench.transmits();
    let (answered, notify) = (&sent[0], &sent[1]);
    assert_eq!((answered.transport, notify.transport), (Transport::Udp, Transport::TcpConnect));
    bench.endpoint.handle_connect_failed(bench.now, notify.remote);
    let again = bench.transmits().remove(0);
    assert_eq!((again.transport, again.remote), (Transport::Udp, notify.remote));
    let text = String::from_utf8_lossy(&again.bytes).into_owned();
    assert!(text.contains("Via: SIP/2.0/UDP ") && text.contains("<user-count>12</user-count>"), "{text}");
    let Message::Request(again) = read(&again.bytes) else { panic!("{text}") };
    answer(&mut bench, &again, 200);
    assert_eq!((bench.endpoint.subscriptions(), bench.endpoint.counters().fallbacks), (1, 1));
    // The next one does not try TCP again.
    let all: Vec<String> = (0..30).map(|n| format!("phuong-{n}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    bench.endpoint.publish(bench.now, "c1", state(&all));
    assert_eq!(bench.transmits()[0].transport, Transport::Udp);
}

#[test]
fn a_report_can_be_called_off_and_ends_by_itself() {
    let mut bench = bench();
    let (_, tag) = bench.established();
    bench.send(&in_dialog("REFER", 2, "r1", &tag, REFER, ""));
    let refer = referred(&mut bench);
    bench.endpoint.accept_refer(bench.now, refer.id).unwrap();
    let trying = only_request(vec![bench.sent().remove(1)], Method::Notify);
    answer(&mut bench, &trying, 200);
    let off = in_dialog("SUBSCRIBE", 3, "u1", &tag, "Event: refer;id=2\nExpires: 0\n", "");
    let mut sent = bench.send(&off);
    let last = only_request(vec![sent.remove(1)], Method::Notify);
    assert_eq!(header(&last, &Name::SubscriptionState), "terminated;reason=timeout");
    assert_eq!(bench.endpoint.subscriptions(), 0);
    answer(&mut bench, &last, 200);

    bench.send(&in_dialog("REFER", 4, "r2", &tag, REFER, ""));
    let refer = referred(&mut bench);
    bench.endpoint.accept_refer(bench.now, refer.id).unwrap();
    let trying = only_request(vec![bench.sent().remove(1)], Method::Notify);
    answer(&mut bench, &trying, 200);
    let end = bench.pass(240 * SECOND);
    assert_eq!(
        header(&only_request(end, Method::Notify), &Name::SubscriptionState),
        "terminated;reason=timeout"
    );
}

#[test]
fn a_refer_that_makes_no_sense_is_refused() {
    let cases = [
        ("", 400),
        ("Refer-To: <sip:a@h>\nRefer-To: <sip:b@h>\n", 400),
        ("Refer-To: <mailto:a@h>\n", 416),
        ("Refer-To: <sip:a@h;method=SUBSCRIBE>\n", 501),
        ("Refer-To: <sip:a@h?Replaces=x>\n", 501),
    ];
    for (lines, status) in cases {
        let mut bench = bench();
        assert_eq!(bench.response(&request("REFER", "1", lines, "")).status, status, "{lines}");
        assert!(bench.events().is_empty());
    }
    let mut bench = bench();
    bench.send(&request("REFER", "1", REFER, ""));
    let refer = referred(&mut bench);
    bench.endpoint.refuse_refer(bench.now, refer.id, 403, &[("Warning", "399 cau \"no\"")]).unwrap();
    let refused = response(bench.sent().remove(0));
    assert_eq!((refused.status, refused.headers.value(&Name::Warning).is_some()), (403, true));
    assert_eq!(Bench::new(Config::default()).response(&request("REFER", "1", REFER, "")).status, 405);
}
