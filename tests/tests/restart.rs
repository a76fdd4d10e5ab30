//! The server is killed in the middle of a meeting: who sees and hears whom again, and when; who sits where.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "end-to-end tests live in the world"
)]

use cau_load::{Codec, Fleet, Persona, PhoneId, State};
use cau_tests::{
    Server, pause,
    phones::{fleet, plan, wait_until_all_hear_since, wait_until_all_see, wait_until_all_see_since},
    secs, turn, wait_for,
};
use serde_json::{Value, json};

const IDS: [u8; 6] = [0, 1, 2, 3, 4, 5];

/// Phones 0–2 dial in, 3–5 are called; all seats of a 1+5 are pinned in another order.
fn meeting(server: &Server) -> (String, Fleet, Vec<PhoneId>) {
    let conference = server.conference("8000", json!({ "layout": "grid" }));
    let mut fleet = fleet();
    let mut phones = Vec::new();
    let codecs = [Codec::Opus, Codec::G722, Codec::Pcma];
    for id in 0..3 {
        phones.push(fleet.call(plan(server, "8000", id, codecs[usize::from(id)], Persona::default())));
    }
    let mut sites = Vec::new();
    for id in 3..6 {
        let (phone, uri) =
            fleet.answer(plan(server, "8000", id, codecs[usize::from(id) - 3], Persona::default()));
        phones.push(phone);
        sites.push(json!({ "uri": uri.to_string(), "name": format!("Điểm cầu {id}") }));
    }
    let path = format!("/api/v1/conferences/{conference}");
    let (status, answer) = server.api.post(&format!("{path}/participants"), &Value::Array(sites));
    assert_eq!(status, 202, "{answer}");
    wait_for("all six to be connected", secs(15.0), || {
        (server.api.connected(&conference).len() == 6).then_some(())
    });
    let pins: Vec<Value> = server
        .api
        .connected(&conference)
        .iter()
        .rev()
        .enumerate()
        .map(|(seat, p)| json!({ "seat": seat, "participant": p["id"] }))
        .collect();
    let (status, set) = server.api.put(&format!("{path}/layout"), &json!({ "layout": "1+5", "seats": pins }));
    assert_eq!(status, 200, "{set}");
    wait_until_all_see(&fleet, &phones, &IDS, secs(20.0));
    (conference, fleet, phones)
}

/// What an operator sees of it.
fn facts(server: &Server, conference: &str) -> (Value, Vec<Value>) {
    let (_, shown) = server.api.get(&format!("/api/v1/conferences/{conference}"));
    let (_, list) = server.api.get(&format!("/api/v1/conferences/{conference}/participants"));
    let list = list.as_array().expect("a list").iter();
    let list = list.map(|p| json!([p["id"], p["name"], p["uri"], p["state"], p["direction"]])).collect();
    (json!([shown["layout"], shown["seats"], shown["room"]]), list)
}

fn others() -> impl Fn(usize) -> Vec<u8> {
    |n| IDS.iter().copied().filter(|id| usize::from(*id) != n).collect()
}

#[test]
fn killed_with_six_sites_everybody_sees_and_hears_everybody_again_in_the_same_seat() {
    let _turn = turn();
    let mut server = Server::start();
    let (conference, fleet, phones) = meeting(&server);
    pause(secs(2.0));
    let before = facts(&server, &conference);
    let killed = server.kill_and_restart();
    let seen = wait_until_all_see_since(&fleet, &phones, &IDS, Some(killed + secs(0.3)), secs(20.0));
    let wanted: Vec<(PhoneId, Vec<u8>)> =
        phones.iter().enumerate().map(|(n, phone)| (*phone, others()(n))).collect();
    let heard = wait_until_all_hear_since(&fleet, &wanted, killed + secs(0.3), secs(20.0));
    let ms = |times: &[std::time::Instant]| -> Vec<u128> {
        times.iter().map(|at| at.duration_since(killed).as_millis()).collect()
    };
    eprintln!("seen again after {:?} ms, heard again after {:?} ms (whole seconds)", ms(&seen), ms(&heard));
    wait_for("everybody to be connected", secs(10.0), || {
        (server.api.connected(&conference).len() == 6).then_some(())
    });
    assert_eq!(facts(&server, &conference), before, "the same seats, names and sites");
    let records = fleet.look(|records| records.clone());
    for record in records.values() {
        assert_eq!(
            (record.calls, &record.state),
            (1, &State::Connected),
            "phone {} stayed in its call",
            record.id
        );
    }
    server.assert_well();
}

#[test]
fn after_an_end_in_good_order_everybody_is_called_again() {
    let _turn = turn();
    let mut server = Server::start();
    let (conference, fleet, _) = meeting(&server);
    let (layout, _) = facts(&server, &conference);
    server.drain_and_restart();
    // Our phones that dialled in take no calls; those that were called are called again.
    wait_for("those who were called to be back", secs(15.0), || {
        (server.api.connected(&conference).len() == 3).then_some(())
    });
    assert_eq!(facts(&server, &conference).0, layout);
    let records = fleet.stop();
    assert_eq!(records.values().filter(|r| r.calls == 2).count(), 3);
    server.assert_well();
}
