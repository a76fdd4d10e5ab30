//! INVITE → 200 → first decodable picture, the very first call after start included.

use std::{thread::sleep, time::Duration};

use cau_load::{Codec, Fleet, Options};
use cau_tests::Server;
use serde_json::json;

use crate::{phones::Cast, rows::Row, rows::quantile};

const CALLS: usize = 50;

/// Fifty calls one after the other into a room where somebody is already shown.
pub fn run() -> Vec<Row> {
    let cast = Cast::new();
    let mut server = Server::start();
    server.conference("9000", json!({ "layout": "grid" }));
    let mut fleet = Fleet::start(&Options::default()).expect("phones");
    let (mut answered, mut pictured) = (Vec::new(), Vec::new());
    for n in 0..CALLS {
        let phone = fleet.call(cast.plan(&server, "9000", n, Codec::Opus, false));
        let done =
            fleet.wait(Duration::from_secs(10), |r| r.get(&phone).and_then(|r| r.stats.first_decodable));
        assert!(done.is_some(), "call {n} got no picture: {:?}", fleet.record(phone));
        let record = fleet.record(phone).expect("a record");
        answered.push(record.since_invite(record.answered).expect("answered"));
        pictured.push(record.since_invite(record.stats.first_decodable).expect("pictured"));
        // The first stays, so that there is something to see; at most four at a time.
        if n >= 4 {
            fleet.hang_up(phone);
        }
        sleep(Duration::from_millis(150));
    }
    drop(fleet);
    server.assert_well();
    let first = (answered[0], pictured[0]);
    vec![
        Row::new("INVITE → 200: the first call after start", first.0, "ms"),
        Row::new("INVITE → 200: median of 50", quantile(&mut answered, 0.5), "ms"),
        Row::new("INVITE → 200: p95 of 50", quantile(&mut answered, 0.95), "ms"),
        Row::new("INVITE → first decodable picture: the first call after start", first.1, "ms"),
        Row::new("INVITE → first decodable picture: median of 50", quantile(&mut pictured, 0.5), "ms"),
        Row::new("INVITE → first decodable picture: p95 of 50", quantile(&mut pictured, 0.95), "ms"),
    ]
}
