//! The server is killed in the middle of a meeting: who sees and hears whom again, and when; who sits where.

use std::time::{Instant, SystemTime};

use cau_load::{Codec, Fleet, Persona, PhoneId, State};
use cau_tests::{
    Baresip, Judged, Server,
    client::Running,
    judged::Picture,
    pause,
    phones::{fleet, plan, wait_until_all_hear_since, wait_until_all_see, wait_until_all_see_since},
    secs, turn, wait_for,
};
use serde_json::{Value, json};

const IDS: [u8; 6] = [0, 1, 2, 3, 4, 5];
/// Muted by the operator.
const MUTED: u8 = 1;

struct Meeting {
    conference: String,
    fleet: Fleet,
    phones: Vec<(u8, PhoneId)>,
    baresips: Vec<Running>,
}

impl Meeting {
    fn ids(&self) -> Vec<PhoneId> {
        self.phones.iter().map(|(_, phone)| *phone).collect()
    }
}

/// Sites 0–2 dial in, 3–5 are called; 2 and 5 are baresips that stay so many seconds. All seats of a 1+5 are pinned in another order, one
/// site is muted, one renamed, one is the speaker.
fn meeting(server: &Server, seconds: f64) -> Meeting {
    let conference = server.conference("8000", json!({ "layout": "grid" }));
    let path = format!("/api/v1/conferences/{conference}");
    let mut fleet = fleet();
    let baresip = |id| Baresip::new(id, seconds).with("--snap", "4");
    let (callee, uri) = baresip(5).answer(&server.out);
    let caller = baresip(2).dial(server, "8000");
    let codecs = [Codec::Opus, Codec::G722, Codec::Pcma, Codec::Opus, Codec::Pcma];
    let plan = |id: u8| plan(server, "8000", id, codecs[usize::from(id)], Persona::default());
    let mut phones: Vec<(u8, PhoneId)> = [0, 1].iter().map(|id| (*id, fleet.call(plan(*id)))).collect();
    let mut sites = vec![json!({ "uri": uri, "name": "Xã 5" })];
    for id in [3, 4] {
        let (phone, uri) = fleet.answer(plan(id));
        phones.push((id, phone));
        sites.push(json!({ "uri": uri.to_string(), "name": format!("Xã {id}") }));
    }
    // The baresip that is called needs its time to start.
    pause(secs(3.0));
    let (status, answer) = server.api.post(&format!("{path}/participants"), &Value::Array(sites));
    assert_eq!(status, 202, "{answer}");
    wait_for("all six to be connected", secs(20.0), || {
        (server.api.connected(&conference).len() == IDS.len()).then_some(())
    });
    let there = server.api.connected(&conference);
    let named = |name: &str| {
        let site = there.iter().find(|p| p["name"] == name);
        site.unwrap_or_else(|| panic!("no {name} in {there:?}"))["id"].as_str().expect("an id").to_owned()
    };
    let patch = |name: &str, body: Value| {
        let (status, done) = server.api.patch(&format!("{path}/participants/{}", named(name)), &body);
        assert_eq!(status, 200, "{done}");
    };
    let pins: Vec<Value> = there
        .iter()
        .rev()
        .enumerate()
        .map(|(seat, site)| json!({ "seat": seat, "participant": site["id"] }))
        .collect();
    let (status, set) = server.api.put(&format!("{path}/layout"), &json!({ "layout": "1+5", "seats": pins }));
    assert_eq!(status, 200, "{set}");
    let speaker = json!({ "participant": named("Xã 4") });
    assert_eq!(server.api.put(&format!("{path}/speaker"), &speaker).0, 200);
    patch(&format!("Điểm cầu {MUTED}"), json!({ "audio_muted": true }));
    patch("Xã 3", json!({ "name": "Xã Hòa Phú" }));
    let meeting = Meeting { conference, fleet, phones, baresips: vec![caller, callee] };
    wait_until_all_see(&meeting.fleet, &meeting.ids(), &IDS, secs(20.0));
    meeting
}

/// What an operator sees of it.
fn facts(server: &Server, conference: &str) -> (Value, Vec<Value>) {
    let (_, shown) = server.api.get(&format!("/api/v1/conferences/{conference}"));
    let (_, list) = server.api.get(&format!("/api/v1/conferences/{conference}/participants"));
    let list = list.as_array().expect("a list").iter();
    let list =
        list.map(|p| json!([p["id"], p["name"], p["uri"], p["state"], p["direction"], p["audio"]["muted"]]));
    (
        json!([shown["layout"], shown["seats"], shown["room"], shown["speaker"], shown["names"]]),
        list.collect(),
    )
}

/// Seconds from `killed` to the first snapshot in which every site runs again: its counter is another than a snapshot before.
fn running_again(judged: &Judged, killed: f64) -> Option<(f64, &Picture)> {
    let after: Vec<&Picture> = judged.pictures.iter().filter(|p| p.t > killed).collect();
    let counter = |p: &Picture, id: u8| p.tiles.iter().find(|t| t.id == Some(id)).and_then(|t| t.n);
    let runs = |pair: &&[&Picture]| {
        IDS.iter()
            .all(|id| matches!((counter(pair[0], *id), counter(pair[1], *id)), (Some(a), Some(b)) if a != b))
    };
    after.windows(2).find(runs).map(|pair| (pair[1].t - killed, pair[1]))
}

#[test]
fn killed_with_six_sites_everybody_sees_and_hears_everybody_again_in_the_same_seat() {
    let _turn = turn();
    let mut server = Server::start();
    let mut meeting = meeting(&server, 40.0);
    pause(secs(2.0));
    let before = facts(&server, &meeting.conference);
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64();
    let killed = server.kill_and_restart();
    let fleet = &meeting.fleet;
    let seen = wait_until_all_see_since(fleet, &meeting.ids(), &IDS, Some(killed + secs(0.3)), secs(20.0));
    let others = |own: u8| IDS.iter().copied().filter(|id| *id != own && *id != MUTED).collect::<Vec<u8>>();
    let wanted: Vec<(PhoneId, Vec<u8>)> =
        meeting.phones.iter().map(|(id, phone)| (*phone, others(*id))).collect();
    let heard = wait_until_all_hear_since(fleet, &wanted, killed + secs(0.3), secs(20.0));
    wait_for("everybody to be connected", secs(10.0), || {
        (server.api.connected(&meeting.conference).len() == IDS.len()).then_some(())
    });
    assert_eq!(
        facts(&server, &meeting.conference),
        before,
        "the same seats, speaker, names, mutes and sites"
    );
    let records = fleet.look(|records| records.clone());
    for record in records.values() {
        assert_eq!(
            (record.calls, &record.state),
            (1, &State::Connected),
            "phone {} stayed in its call",
            record.id
        );
    }
    let ms = |times: &[Instant]| -> Vec<u128> {
        times.iter().map(|at| at.duration_since(killed).as_millis()).collect()
    };
    eprintln!(
        "our phones: seen again after {:?} ms, heard again in the second that began after {:?} ms",
        ms(&seen),
        ms(&heard)
    );
    for baresip in meeting.baresips.drain(..) {
        let judged = baresip.judge();
        let (after, picture) = running_again(&judged, wall)
            .unwrap_or_else(|| panic!("baresip {} did not see everybody run again", judged.id));
        eprintln!("baresip {}: everybody runs again in the snapshot after {after:.2} s", judged.id);
        assert!(after < 15.0, "baresip {}", judged.id);
        // Where everybody sat, everybody sits.
        let seats =
            judged.pictures.iter().rfind(|p| p.t < wall && p.tiles.len() == IDS.len()).expect("all before");
        let seats: Vec<(u8, [f64; 4])> = seats.tiles.iter().map(|t| (t.colour, t.place)).collect();
        judged.assert_seats(&[picture], &seats);
        // One of them hangs up before the other.
        let again = wall + after - judged.summary.established_at.expect("established");
        let since: Vec<_> = judged.seconds.iter().skip(again as usize + 1).collect();
        let all = since.iter().take(6).filter(|s| others(judged.id).iter().all(|id| s.contains(id))).count();
        assert!(all >= 4, "baresip {} hears {since:?}", judged.id);
        assert!(since.iter().all(|s| !s.contains(&MUTED)), "who was muted still is");
    }
    server.assert_well();
}

#[test]
fn after_an_end_in_good_order_everybody_is_called_again() {
    let _turn = turn();
    let mut server = Server::start();
    let mut meeting = meeting(&server, 20.0);
    let (layout, _) = facts(&server, &meeting.conference);
    let begin = Instant::now();
    server.drain_and_restart();
    eprintln!("drained and started again in {:?}", begin.elapsed());
    // Our phones that dialled in take no calls; those that were called are called again.
    wait_for("those who were called to be back", secs(15.0), || {
        let there = server.api.connected(&meeting.conference);
        ["Xã Hòa Phú", "Xã 4"].iter().all(|name| there.iter().any(|p| p["name"] == *name)).then_some(())
    });
    assert_eq!(facts(&server, &meeting.conference).0, layout);
    // Baresip was told good-bye, and did not have to wait for its patience to end.
    for baresip in meeting.baresips.drain(..) {
        let closed = baresip.judge().summary.closed;
        assert!(closed.is_some_and(|why| why != "local hangup"), "a BYE of ours");
    }
    let records = meeting.fleet.stop();
    assert_eq!(records.values().filter(|r| r.calls == 2).count(), 2);
    server.assert_well();
}
