//! Calls that are refused, given up, offered late or renewed at once: by hand and by sipp.

use std::time::Duration;

use cau_tests::{
    Server,
    raw::{self, Answer, Raw, audio, sdp},
    secs, sipp, wait_for,
};
use serde_json::json;

fn invite(raw: &Raw, room: &str, body: &str) -> Answer {
    raw.send(&raw.request("INVITE", room, (1, "INVITE"), None, &[raw.contact()], body));
    let answer = raw.answer("INVITE");
    raw.ack(room, 1, &answer, "");
    answer
}

fn bye(raw: &Raw, room: &str, invited: &Answer, cseq: u32) {
    raw.send(&raw.request("BYE", room, (cseq, "BYE"), Some(&Raw::tag(invited)), &[], ""));
    assert_eq!(raw.answer("BYE").status, 200);
}

fn nobody_left(server: &Server, conference: &str) {
    wait_for("everybody to be gone", secs(5.0), || server.api.connected(conference).is_empty().then_some(()));
}

#[test]
fn a_room_that_does_not_exist_is_404() {
    let mut server = Server::start();
    assert_eq!(invite(&Raw::new(server.sip), "9999", &sdp(&[&audio(40_000)])).status, 404);
    server.assert_well();
}

#[test]
fn a_caller_without_a_common_codec_gets_488_and_is_told_why() {
    let mut server = Server::start();
    let conference = server.conference("8000", json!({}));
    let offer = sdp(&["m=audio 40000 RTP/AVP 18\r\na=rtpmap:18 G729/8000\r\n"]);
    let answer = invite(&Raw::new(server.sip), "8000", &offer);
    assert_eq!(answer.status, 488);
    let warning = answer.header("Warning").expect("a Warning header");
    assert!(warning.starts_with("30") && warning.contains('"'), "RFC 3261 20.43: {warning}");
    nobody_left(&server, &conference);
    server.assert_well();
}

#[test]
fn a_broken_request_is_400_and_a_huge_one_413_or_513() {
    let mut server = Server::start();
    server.conference("8000", json!({}));
    let raw = Raw::new(server.sip);
    let whole = raw.request("INVITE", "8000", (1, "INVITE"), None, &[raw.contact()], &sdp(&[&audio(40_000)]));
    let without_contact = raw.request("INVITE", "8000", (1, "INVITE"), None, &[], &sdp(&[&audio(40_000)]));
    raw.send(&without_contact);
    assert_eq!(raw.answer("INVITE").status, 400, "an INVITE without Contact (RFC 3261 8.1.1.8)");
    let raw = Raw::new(server.sip);
    raw.send(&whole.replace("\r\nCSeq: 1 INVITE", "\r\nCSeq: 1 BYE"));
    let answer = raw.answer_within("BYE", secs(2.0)).or_else(|| raw.answer_within("INVITE", secs(1.0)));
    assert_eq!(
        answer.map(|a| a.status),
        Some(400),
        "CSeq names another method than the request line (RFC 4475 3.1.2.17)"
    );
    // More than a datagram can carry comes over TCP.
    let raw = Raw::new(server.sip);
    let padding = format!("a=x-nothing:{}\r\n", "n".repeat(900));
    let many: Vec<&str> = std::iter::repeat_n(padding.as_str(), 80).collect();
    let huge = raw.request("INVITE", "8000", (1, "INVITE"), None, &[raw.contact()], &sdp(&many));
    let status = raw::over_tcp(server.sip, &huge.replace("SIP/2.0/UDP", "SIP/2.0/TCP"));
    assert!(status == Some(413) || status == Some(513), "70 kB of INVITE: {status:?}");
    server.assert_well();
}

#[test]
fn without_free_ports_the_caller_gets_503_and_the_next_one_in_when_they_are_free_again() {
    let (first, _) = cau_tests::server::free_block(40);
    let ports = format!("{first}-{}", first + 3);
    let mut server = Server::start_with(&[("CAU_RTP__PORTS", &ports)]);
    let conference = server.conference("8000", json!({}));
    // Audio and video need a pair each; two calls of sound take both pairs.
    let mut calls = Vec::new();
    let refused = loop {
        let raw = Raw::new(server.sip);
        let answer = invite(&raw, "8000", &sdp(&[&audio(40_000)]));
        if answer.status != 200 {
            break answer;
        }
        calls.push((raw, answer));
        assert!(calls.len() <= 2, "four ports carried {} calls", calls.len());
    };
    assert_eq!(refused.status, 503);
    let (raw, answer) = calls.pop().expect("at least one call got in");
    bye(&raw, "8000", &answer, 2);
    // The sockets are closed by the media thread, a moment after the BYE was answered.
    wait_for("free ports", Duration::from_secs(2), || {
        let again = Raw::new(server.sip);
        (invite(&again, "8000", &sdp(&[&audio(40_000)])).status == 200).then_some(())
    });
    assert!(!server.api.connected(&conference).is_empty());
    server.assert_well();
}

#[test]
fn a_caller_who_gives_up_leaves_nothing_behind() {
    let mut server = Server::start();
    let conference = server.conference("8000", json!({}));
    for _ in 0..5 {
        let raw = Raw::new(server.sip);
        raw.send(&raw.request(
            "INVITE",
            "8000",
            (1, "INVITE"),
            None,
            &[raw.contact()],
            &sdp(&[&audio(40_000)]),
        ));
        raw.send(&raw.request("CANCEL", "8000", (1, "CANCEL"), None, &[], ""));
        // Which is first cannot be known: the CANCEL (487) or the answer (200, and then BYE).
        let answer = raw.answer("INVITE");
        raw.ack("8000", 1, &answer, "");
        match answer.status {
            487 => {}
            200 => bye(&raw, "8000", &answer, 2),
            other => panic!("INVITE and CANCEL: {other}"),
        }
    }
    nobody_left(&server, &conference);
    server.assert_well();
}

#[test]
fn an_offer_may_come_late_in_the_ack() {
    let mut server = Server::start();
    let conference = server.conference("8000", json!({}));
    let raw = Raw::new(server.sip);
    raw.send(&raw.request("INVITE", "8000", (1, "INVITE"), None, &[raw.contact()], ""));
    let answer = raw.answer("INVITE");
    assert_eq!(answer.status, 200);
    let offer = answer.body();
    assert!(
        offer.contains("m=audio") && offer.contains("m=video"),
        "the MCU offers sound and picture: {offer}"
    );
    // Sound is taken, every other line refused in its place.
    let lines: Vec<String> = offer
        .lines()
        .filter(|l| l.starts_with("m="))
        .map(|l| if l.starts_with("m=audio") { audio(40_000) } else { format!("{}\r\n", refused(l)) })
        .collect();
    let body = sdp(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    raw.ack("8000", 1, &answer, &body);
    wait_for("the caller to be connected", secs(3.0), || {
        let list = server.api.connected(&conference);
        list.first()
            .is_some_and(|p| p["audio"]["codec"].as_str().is_some_and(|c| c.eq_ignore_ascii_case("pcma")))
            .then_some(())
    });
    bye(&raw, "8000", &answer, 2);
    nobody_left(&server, &conference);
    server.assert_well();
}

/// An `m=` line with port 0.
fn refused(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    words[1] = "0";
    words.join(" ")
}

#[test]
fn a_reinvite_right_after_the_ack_is_answered() {
    let mut server = Server::start();
    let conference = server.conference("8000", json!({}));
    let raw = Raw::new(server.sip);
    let body = sdp(&[&audio(40_000)]);
    let answer = invite(&raw, "8000", &body);
    assert_eq!(answer.status, 200);
    let tag = Raw::tag(&answer);
    let again = body.replace("o=- 1 1", "o=- 1 2");
    raw.send(&raw.request("INVITE", "8000", (2, "INVITE"), Some(&tag), &[raw.contact()], &again));
    let second = loop {
        let next = raw.answer("INVITE");
        if next.header("CSeq").is_some_and(|c| c.starts_with('2')) {
            break next;
        }
    };
    assert_eq!(second.status, 200);
    raw.ack("8000", 2, &second, "");
    cau_tests::pause(Duration::from_millis(300));
    assert_eq!(server.api.connected(&conference).len(), 1);
    bye(&raw, "8000", &answer, 3);
    nobody_left(&server, &conference);
    server.assert_well();
}

/// A hundred callers of sipp, fifty a second, each staying a second.
#[test]
fn fifty_calls_a_second_all_get_in_and_out() {
    let (first, last) = cau_tests::server::free_block(600);
    let ports = format!("{first}-{last}");
    let mut server = Server::start_with(&[("CAU_RTP__PORTS", &ports)]);
    let conference = server.conference("8000", json!({}));
    let tally = sipp::load(&server.out, "load", server.sip, "8000", (100, 50), secs(1.0));
    assert_eq!((tally.done, tally.failed), (100, 0), "{tally:?}");
    nobody_left(&server, &conference);
    server.assert_well();
}
