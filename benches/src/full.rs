//! N callers who all see one site full screen: passed on, nothing decoded.

use std::{thread::sleep, time::Duration};

use cau_load::{Codec, Fleet, Options};
use cau_tests::Server;
use serde_json::json;

use crate::{phones::Cast, rows::Row};

/// Seconds measured, after everybody is passed on to.
const SECONDS: u64 = 20;
/// Time for the last one to be passed on to, and the decoder to end.
const SETTLE: Duration = Duration::from_secs(25);

/// Runs it with `callers` callers, all with pictures and voices.
pub fn run(callers: usize) -> Vec<Row> {
    let cast = Cast::new();
    let mut server = Server::start();
    let conference = server.conference("9000", json!({ "layout": "full" }));
    let mut fleet = Fleet::start(&Options::default()).expect("phones");
    for n in 0..callers {
        fleet.call(cast.plan(&server, "9000", n, Codec::Pcma, false));
        sleep(Duration::from_millis(50));
    }
    sleep(Duration::from_secs(3));
    let path = format!("/api/v1/conferences/{conference}");
    let speaker = server.api.connected(&conference)[0]["id"].clone();
    let (status, words) = server.api.put(&format!("{path}/speaker"), &json!({ "participant": speaker }));
    assert_eq!(status, 200, "{words}");
    sleep(SETTLE);
    let begin = cau_load::process::moment(server.pid()).expect("the server runs");
    let first = fleet.look(|r| r.values().map(|r| r.stats.pictures).collect::<Vec<_>>());
    sleep(Duration::from_secs(SECONDS));
    let end = cau_load::process::moment(server.pid()).expect("the server runs");
    let last = fleet.look(|r| r.values().map(|r| r.stats.pictures).collect::<Vec<_>>());
    let people = server.api.connected(&conference);
    assert_eq!(people.len(), callers, "not everybody is there");
    let forwarded = people.iter().filter(|p| p["send"]["video"] == "forwarded").count();
    let records = fleet.stop();
    server.assert_well();
    let seconds = SECONDS as f64;
    let cpu = (end.cpu_s - begin.cpu_s) / seconds;
    let slowest =
        first.iter().zip(&last).map(|(a, b)| (b - a) as f64 / seconds).fold(f64::INFINITY, f64::min);
    let lost: i64 = records.values().map(|r| r.stats.audio.lost).sum();
    vec![
        Row::new(format!("{callers} callers, one full screen: CPU"), cpu, "cores"),
        Row::new(format!("{callers} callers, one full screen: passed on to"), forwarded as f64, "callers"),
        Row::new(
            format!("{callers} callers, one full screen: pictures per second at the slowest receiver"),
            slowest,
            "1/s",
        ),
        Row::new(
            format!("{callers} callers, one full screen: sound packets lost, all receivers"),
            lost as f64,
            "packets",
        ),
        Row::new(format!("{callers} callers, one full screen: memory of the bridge"), end.rss_mb, "MB"),
    ]
}
