//! N callers of 720p30, all seen in one grid: what the bridge costs per caller, and against the bare work.

use std::{thread::sleep, time::Duration};

use cau_load::{Codec, Fleet, Options};
use cau_tests::{Baresip, Server};
use serde_json::json;

use crate::{bare, phones::Cast, rows::Row};

/// Seconds measured, after the callers have settled.
const SECONDS: u64 = 30;

/// Runs it with `callers` callers, one of them baresip.
pub fn run(callers: usize) -> Vec<Row> {
    let cast = Cast::new();
    let before = bare::measure(callers);
    let mut server = Server::start();
    let conference = server.conference("9000", json!({ "layout": "grid" }));
    let mut fleet = Fleet::start(&Options::default()).expect("phones");
    let own = callers - 1;
    for n in 0..own {
        fleet.call(cast.plan(&server, "9000", n, Codec::Opus, false));
        sleep(Duration::from_millis(100));
    }
    let baresip = Baresip::new(7, SECONDS as f64 + 8.0).dial(&server, "9000");
    sleep(Duration::from_secs(6));

    let begin = cau_load::process::moment(server.pid()).expect("the server runs");
    let seen = |f: &Fleet| {
        f.look(|r| {
            r.values()
                .map(|r| (r.stats.pictures, r.stats.audio.packets, r.stats.audio.lost))
                .collect::<Vec<_>>()
        })
    };
    let first = seen(&fleet);
    sleep(Duration::from_secs(SECONDS));
    let end = cau_load::process::moment(server.pid()).expect("the server runs");
    let last = seen(&fleet);
    let (status, people) = server.api.get(&format!("/api/v1/conferences/{conference}/participants"));
    assert_eq!(status, 200);
    let connected = people.as_array().map_or(0, |p| p.iter().filter(|p| p["state"] == "connected").count());
    assert_eq!(connected, callers, "not everybody is there: {people}");
    let judged = baresip.judge();
    let records = fleet.stop();
    server.assert_well();
    let bare = before.mean(bare::measure(callers));

    let seconds = SECONDS as f64;
    let cpu = (end.cpu_s - begin.cpu_s) / seconds;
    let gained = |k: usize| -> (f64, f64, f64) {
        let (a, b) = (first[k], last[k]);
        ((b.0 - a.0) as f64, (b.1 - a.1) as f64, (b.2 - a.2) as f64)
    };
    let slowest = (0..own).map(|k| gained(k).0 / seconds).fold(f64::INFINITY, f64::min);
    let sound = (0..own).map(|k| gained(k).1 / seconds).fold(f64::INFINITY, f64::min);
    let lost: f64 = (0..own).map(|k| gained(k).2).sum();
    let freezes: u64 = records.values().map(|r| r.stats.freezes).sum();
    vec![
        Row::beside(format!("{callers} callers, all seen: CPU"), cpu, "cores", bare.of(callers)),
        Row::new(format!("{callers} callers, all seen: CPU per caller"), cpu / callers as f64, "cores"),
        Row::new(format!("{callers} callers: pictures per second at the slowest receiver"), slowest, "1/s"),
        Row::new(
            format!("{callers} callers: sound packets per second at the slowest receiver"),
            sound,
            "1/s",
        ),
        Row::new(
            format!("{callers} callers: sound packets lost in {SECONDS} s, all receivers"),
            lost,
            "packets",
        ),
        Row::new(format!("{callers} callers: stretches over 500 ms without a picture"), freezes as f64, ""),
        Row::new(
            format!("{callers} callers: pictures per second shown by baresip"),
            judged.summary.rx_fps_shown.unwrap_or(f64::NAN),
            "1/s",
        ),
        Row::new(format!("{callers} callers: memory of the bridge"), end.rss_mb, "MB"),
    ]
}
