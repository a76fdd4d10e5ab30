//! From the operator's command to the changed picture at a receiver.

use std::{
    collections::BTreeSet,
    thread::sleep,
    time::{Duration, Instant},
};

use cau_load::{Codec, Fleet, Look, Options, PhoneId};
use cau_tests::Server;
use serde_json::{Value, json};

use crate::{phones::Cast, rows::Row, rows::quantile};

const TIMES: usize = 30;

/// Thirty speaker changes in `full`, thirty changes of layout.
pub fn run() -> Vec<Row> {
    let cast = Cast::new();
    let mut server = Server::start();
    let conference = server.conference("9000", json!({ "layout": "full" }));
    let base = format!("/api/v1/conferences/{conference}");
    let mut fleet = Fleet::start(&Options::default()).expect("phones");
    let phones: Vec<PhoneId> =
        (0..4).map(|n| fleet.call(cast.plan(&server, "9000", n, Codec::Opus, n == 3))).collect();
    let receiver = phones[3];
    fleet
        .wait(Duration::from_secs(10), |r| (r.get(&receiver)?.sight.pictures > 60).then_some(()))
        .expect("pictures");
    let (_, people) = server.api.get(&format!("{base}/participants"));
    let people: Vec<Value> = people.as_array().expect("a list").clone();

    let mut speaker = Vec::new();
    for n in 0..TIMES {
        let id = (n % 3) as u8;
        let participant = &people[usize::from(id)]["id"];
        let at = Instant::now();
        let (status, said) =
            server.api.put(&format!("{base}/speaker"), &json!({ "participant": participant }));
        assert_eq!(status, 200, "{said}");
        speaker.push(until(&fleet, receiver, at, |seen| *seen == BTreeSet::from([id])));
        sleep(Duration::from_millis(700));
    }
    let mut layout = Vec::new();
    for n in 0..TIMES {
        let (kind, sites) = if n % 2 == 0 { ("grid", 4) } else { ("full", 1) };
        let at = Instant::now();
        let (status, said) = server.api.put(&format!("{base}/layout"), &json!({ "layout": kind }));
        assert_eq!(status, 200, "{said}");
        layout.push(until(&fleet, receiver, at, |seen| seen.len() == sites));
        sleep(Duration::from_millis(700));
    }
    let record = fleet.record(receiver).expect("a record");
    drop(fleet);
    server.assert_well();
    let row = |what: &str, values: &mut Vec<f64>| {
        vec![
            Row::new(
                format!("{what}: command → changed picture, median of {TIMES}"),
                quantile(values, 0.5),
                "ms",
            ),
            Row::new(
                format!("{what}: command → changed picture, max of {TIMES}"),
                quantile(values, 1.0),
                "ms",
            ),
        ]
    };
    let mut rows = row("speaker", &mut speaker);
    rows.extend(row("layout", &mut layout));
    rows.push(Row::new(
        "broken pictures at the receiver meanwhile",
        (record.sight.damaged + record.sight.errors) as f64,
        "",
    ));
    rows
}

/// Milliseconds from `at` until a picture shows what is wanted.
fn until(fleet: &Fleet, receiver: PhoneId, at: Instant, wanted: impl Fn(&BTreeSet<u8>) -> bool) -> f64 {
    let seen =
        |look: &Look| look.tiles.iter().filter_map(|t| t.bar.map(|(id, _)| id)).collect::<BTreeSet<u8>>();
    let found = fleet.wait(Duration::from_secs(5), |r| {
        r.get(&receiver)?.sight.since(at).find(|l| wanted(&seen(l))).map(|l| l.at)
    });
    found.expect("the picture changed within 5 s").duration_since(at).as_secs_f64() * 1000.0
}
