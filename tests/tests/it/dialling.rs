//! The MCU calls: baresip and our own phones answer, sipp refuses in every way, a crowd is called evenly, a site is brought up.

use std::{net::SocketAddr, time::Instant};

use cau_load::{Codec, Persona};
use cau_tests::{
    Api, Baresip, Server, pause, phones,
    phones::{fleet, plan, wait_until_all_see},
    raw::{self, Raw},
    secs, sipp, turn,
    voice::Voice,
    wait_for,
};
use serde_json::{Value, json};

fn call(server: &Server, conference: &str, uri: &str, name: &str) -> String {
    let body = json!({ "uri": uri, "name": name });
    let (status, site) = server.api.post(&format!("/api/v1/conferences/{conference}/participants"), &body);
    assert_eq!(status, 202, "{site}");
    site["id"].as_str().expect("id").to_owned()
}

fn site(server: &Server, conference: &str, id: &str) -> Value {
    server.api.get(&format!("/api/v1/conferences/{conference}/participants/{id}")).1
}

/// Waits until a site is in that state.
fn reaches(server: &Server, conference: &str, id: &str, state: &str, limit: f64) -> Value {
    wait_for(&format!("{id} to be {state}"), secs(limit), || {
        Some(site(server, conference, id)).filter(|site| site["state"] == state)
    })
}

#[test]
fn two_baresips_that_are_called_see_and_hear_each_other() {
    let _turn = turn();
    let mut server = Server::start();
    let conference = server.conference("8000", json!({ "layout": "grid" }));
    let out = server.out.clone();
    let (one, uri_one) = Baresip::new(0, 14.0).answer(&out);
    let (two, uri_two) = Baresip::new(1, 14.0).answer(&out);
    // They register nowhere and say nothing: called until they answer.
    pause(secs(3.0));
    let ids =
        [call(&server, &conference, &uri_one, "Xã Một"), call(&server, &conference, &uri_two, "Xã Hai")];
    for id in &ids {
        let there = reaches(&server, &conference, id, "connected", 15.0);
        assert_eq!(there["direction"], "out");
    }
    let (one, two) = (one.judge(), two.judge());
    server.assert_well();
    for (client, other) in [(&one, 1), (&two, 0)] {
        let begin = client.summary.established_at.expect("established");
        let seen: Vec<_> =
            client.pictures.iter().filter(|p| p.t > begin + 4.0 && p.t < begin + 11.0).collect();
        assert!(!seen.is_empty(), "client {} took no snapshot", client.id);
        client.assert_unbroken(&seen);
        assert!(seen.iter().all(|p| p.tiles.len() == 2), "both are in the grid: {seen:?}");
        let heard = client.seconds.iter().filter(|s| s.contains(&other)).count();
        assert!(heard >= 5, "client {} hears {other} in {:?}", client.id, client.seconds);
        assert!(client.seconds.iter().all(|s| !s.contains(&client.id)), "client {} hears itself", client.id);
    }
}

#[test]
fn what_refuses_is_told_in_plain_words() {
    let mut server = Server::start_with(&[("CAU_DIAL__RING_S", "5"), ("CAU_DIAL__ALLOW", "127.0.0.0/8")]);
    let conference = server.conference("8000", json!({}));
    let out = server.out.clone();
    let refusals = [
        ("busy", "SIP/2.0 486 Busy Here", "điểm cầu đang bận", "the site is busy"),
        ("busy-everywhere", "SIP/2.0 600 Busy Everywhere", "đang bận ở mọi nơi", "busy everywhere"),
        ("gone", "SIP/2.0 410 Gone", "không còn dùng", "no longer in use"),
        ("unknown", "SIP/2.0 404 Not Found", "hãy kiểm tra địa chỉ", "check the address"),
        ("password", "SIP/2.0 407 Proxy Authentication Required", "đòi mật khẩu", "asks for a password"),
        (
            "codec",
            "SIP/2.0 488 Not Acceptable Here\nWarning: 305 sipp \"only G.729 here\"",
            "không có codec chung (488 only G.729 here)",
            "no codec in common (488 only G.729 here)",
        ),
        (
            "elsewhere",
            "SIP/2.0 302 Moved Temporarily\nContact: <sip:x@192.0.2.7>",
            "chuyển cuộc gọi sang nơi không gọi được",
            "sends calls on to where we cannot call",
        ),
    ];
    let device = |name, scenario: Option<&str>| sipp::callee(&out, name, scenario);
    let refusing: Vec<_> =
        refusals.iter().map(|(name, response, ..)| device(name, Some(&sipp::refusing(response)))).collect();
    let (_uas, taker) = device("taker", None);
    let moved = format!("SIP/2.0 302 Moved Temporarily\nContact: <sip:other@{taker}>");
    let (_moved, moved) = device("moved", Some(&sipp::refusing(&moved)));
    let (_ringing, ringing) = device("ringing", Some(&sipp::ringing()));
    pause(secs(0.5));
    let dial = |at: SocketAddr, name: &str| call(&server, &conference, &format!("sip:site@{at}"), name);
    // Nobody takes it: after the time to ring it is cancelled.
    let rings = dial(ringing, "ringing");
    let ids: Vec<_> = refusing.iter().zip(&refusals).map(|((_, at), (name, ..))| dial(*at, name)).collect();
    for (id, (name, _, vi, en)) in ids.iter().zip(&refusals) {
        let left = reaches(&server, &conference, id, "left", 5.0);
        assert!(left["reason_en"].as_str().is_some_and(|r| r.contains(en)), "{name}: {left}");
        assert!(left["reason"].as_str().is_some_and(|r| r.contains(vi)), "{name}: {left}");
    }
    reaches(&server, &conference, &rings, "ringing", 3.0);
    // Whom we may not call is not called at all.
    let path = format!("/api/v1/conferences/{conference}/participants");
    let (status, refused) = server.api.post(&path, &json!({ "uri": "sip:site@192.0.2.7" }));
    assert_eq!((status, &refused["field"]), (422, &json!("uri")), "{refused}");
    // Sent on to one that takes the call.
    reaches(&server, &conference, &dial(moved, "moved"), "connected", 5.0);
    // Nobody listens there, over TCP.
    let port = cau_tests::server::free_port();
    let id = call(&server, &conference, &format!("sip:site@127.0.0.1:{port};transport=tcp"), "closed");
    let left = reaches(&server, &conference, &id, "left", 8.0);
    assert!(left["reason_en"].as_str().is_some_and(|r| r.contains("no connection")), "{left}");
    let left = reaches(&server, &conference, &rings, "left", 8.0);
    assert!(left["reason_en"].as_str().is_some_and(|r| r.contains("nobody took the call")), "{left}");
    server.assert_well();
}

/// Calls in and never sends the ACK: it is no site, is sent nothing, and told good-bye after 64·T1 (RFC 3261 13.3.1.4).
fn never_acknowledges(api: &Api, sip: SocketAddr, conference: &str, room: &str) {
    let (caller, ear) = (Raw::new(sip), Voice::new());
    let offer = raw::sdp(&[&raw::audio(ear.port())]);
    caller.send(&caller.request("INVITE", room, (1, "INVITE"), None, &[caller.contact()], &offer));
    assert_eq!(caller.answer("INVITE").status, 200);
    let begin = Instant::now();
    let bye = caller.asked_within("BYE", secs(40.0)).expect("a BYE");
    let took = begin.elapsed();
    assert!(took > secs(31.5) && took < secs(34.0), "{took:?}");
    caller.agree(&bye);
    assert!(!ear.came(), "it was sent media");
    let (_, sites) = api.get(&format!("/api/v1/conferences/{conference}/participants"));
    assert!(!sites.to_string().contains("sip:tester@"), "it has never been a site: {sites}");
}

/// A device that answers, vanishes without a word, and is there again after a restart of its own that has forgotten the call. Meanwhile
/// somebody calls in without ever sending the ACK, which takes as long and changes nothing for the others.
#[test]
fn a_site_that_vanished_is_called_again_and_keeps_its_seat() {
    let _turn = turn();
    let mut server = Server::start();
    let out = server.out.clone();
    let conference = server.conference("8000", json!({ "layout": "grid" }));
    let mut fleet = fleet();
    let there = fleet.call(plan(&server, "8000", 0, Codec::Opus, Persona::default()));
    let (device, at) = sipp::callee(&out, "vanishes", None);
    pause(secs(0.5));
    let id = call(&server, &conference, &format!("sip:ep1@{at}"), "Xã Một");
    reaches(&server, &conference, &id, "connected", 5.0);
    drop(device);
    let begin = Instant::now();
    let silent = {
        let (api, sip, conference) = (server.api.clone(), server.sip, conference.clone());
        std::thread::spawn(move || never_acknowledges(&api, sip, &conference, "8000"))
    };
    // The silence has to be noticed first.
    let device = Baresip::new(1, 12.0).with("--wait", "60").answer_at(&out, at.port());
    reaches(&server, &conference, &id, "reconnecting", 40.0);
    let lost = begin.elapsed();
    let back = reaches(&server, &conference, &id, "connected", 10.0);
    eprintln!("silence was noticed after {lost:?}, the site was back after {:?}", begin.elapsed());
    assert_eq!(back["name"], "Xã Một");
    wait_until_all_see(&fleet, &[there], &[0, 1], secs(6.0));
    let heard = phones::wait_until_all_hear_since(&fleet, &[(there, vec![1])], begin, secs(6.0));
    assert_eq!(heard.len(), 1);
    let judged = device.judge();
    let from = judged.summary.established_at.expect("established") + 3.0;
    let seen: Vec<_> = judged.pictures.iter().filter(|p| p.t > from).collect();
    assert!(!seen.is_empty() && seen.iter().all(|p| p.tiles.len() == 2), "{seen:?}");
    silent.join().expect("who never acknowledges");
    server.assert_well();
}

/// 50 calls a second for five seconds, to one sipp that takes them all.
#[test]
fn a_crowd_is_called_at_fifty_a_second() {
    let _turn = turn();
    const SITES: usize = 250;
    let (first, last) = cau_tests::server::free_block(4 * SITES as u16 + 40);
    let ports = format!("{first}-{last}");
    let mut server = Server::start_with(&[("CAU_RTP__PORTS", &ports)]);
    let conference = server.conference("8000", json!({ "layout": "full" }));
    let (_sipp, at) = sipp::callee(&server.out.clone(), "crowd", None);
    pause(secs(0.5));
    let sites: Vec<Value> =
        (0..SITES).map(|n| json!({ "uri": format!("sip:xa{n}@{at}"), "name": format!("Xã {n}") })).collect();
    let begin = Instant::now();
    let path = format!("/api/v1/conferences/{conference}");
    let (status, invited) = server.api.post(&format!("{path}/participants"), &Value::Array(sites));
    assert_eq!((status, invited.as_array().map(Vec::len)), (202, Some(SITES)), "{invited}");
    let connected = || server.api.get(&path).1["connected"].as_u64().unwrap_or_default() as usize;
    wait_for("everybody to be connected", secs(30.0), || (connected() == SITES).then_some(()));
    let took = begin.elapsed();
    eprintln!("{SITES} calls out in {took:?}");
    assert!(took >= secs(4.5), "the pace is kept: {took:?}");
    let (_, list) = server.api.get(&format!("{path}/participants?limit=1000"));
    assert!(list.as_array().is_some_and(|l| l.iter().all(|p| p["state"] == "connected")), "nobody failed");
    assert_eq!(server.api.delete(&path).0, 204);
    server.assert_well();
}

#[test]
fn a_site_is_brought_before_the_chair_whether_it_is_there_or_not() {
    let _turn = turn();
    let mut server = Server::start();
    let conference = server.conference("8000", json!({ "layout": "grid", "chair": "Điểm cầu 0" }));
    let mut fleet = fleet();
    let persona = Persona::default;
    let chair = fleet.call(plan(&server, "8000", 0, Codec::Opus, persona()));
    let there = fleet.call(plan(&server, "8000", 1, Codec::Opus, persona()));
    let (absent, uri) = fleet.answer(plan(&server, "8000", 2, Codec::Pcma, persona()));
    wait_until_all_see(&fleet, &[chair, there], &[0, 1], secs(10.0));
    pause(secs(3.0));
    let bring_up = |site: &str| {
        let begin = Instant::now();
        let path = format!("/api/v1/conferences/{conference}/bring-up");
        let (status, begun) = server.api.post(&path, &json!({ "site": site }));
        assert_eq!(status, 202, "{begun}");
        let path = format!("/api/v1/operations/{}", begun["operation"].as_str().expect("an id"));
        let ended = wait_for("the operation to end", secs(32.0), || {
            Some(server.api.get(&path).1).filter(|o| o["state"] != "running")
        });
        (begin, ended)
    };
    let (begin, ended) = bring_up("diem-cau-1");
    eprintln!("connected: {ended}");
    assert_eq!(ended["state"], "done", "{ended}");
    // The chair sees the site full screen, and the site the chair.
    let full = |phone, id: u8| {
        fleet
            .wait(secs(3.0), |records| {
                let alone = |look: &&cau_load::Look| {
                    look.at > begin
                        && look.tiles.len() == 1
                        && look.tiles[0].bar.is_some_and(|(i, _)| i == id)
                };
                records[&phone].sight.looks.iter().find(alone).map(|l| l.at.duration_since(begin))
            })
            .unwrap_or_else(|| panic!("{phone:?} never saw {id} full screen"))
    };
    eprintln!(
        "the chair saw the site after {:?}, the site the chair after {:?}",
        full(chair, 1),
        full(there, 0)
    );
    // One that has to be called first: known to the conference, but not there.
    let id = call(&server, &conference, &uri.to_string(), "Xã Ba");
    reaches(&server, &conference, &id, "connected", 5.0);
    let (status, gone) = server.api.delete(&format!("/api/v1/conferences/{conference}/participants/{id}"));
    assert_eq!(status, 204, "{gone}");
    reaches(&server, &conference, &id, "left", 5.0);
    let (begin, ended) = bring_up(&id);
    eprintln!("called first: {ended}");
    assert_eq!(ended["state"], "done", "{ended}");
    let saw = fleet.wait(secs(3.0), |records| {
        let alone = |look: &&cau_load::Look| {
            look.at > begin && look.tiles.len() == 1 && look.tiles[0].bar.is_some_and(|(i, _)| i == 2)
        };
        records[&chair].sight.looks.iter().find(alone).map(|l| l.at.duration_since(begin))
    });
    eprintln!("the chair saw it after {saw:?}");
    assert!(saw.is_some());
    assert!(fleet.record(absent).is_some_and(|r| r.calls == 2));
    let heard = phones::wait_until_all_hear_since(&fleet, &[(chair, vec![2])], begin, secs(6.0));
    assert_eq!(heard.len(), 1);
    server.assert_well();
}
