//! sipp calls and is called, fifty times a second for a minute: what fails, what it costs, what is left behind.

use std::{
    collections::BTreeMap,
    thread::sleep,
    time::{Duration, Instant},
};

use cau_load::process::{Moment, moment};
use cau_tests::{
    Server,
    server::free_block,
    sipp::{self, Tally},
    wait_for,
};
use serde_json::{Value, json};

use crate::rows::Row;

/// Calls a second.
const RATE: u32 = 50;
/// Seconds before, for tables and pools to have been used.
const WARM: u32 = 5;
/// Seconds measured.
const SECONDS: u32 = 60;
/// How long each call stands.
const STAY: Duration = Duration::from_secs(2);
/// Finished transactions wait so long for repetitions (64·T1, RFC 3261 17), and a little more.
const SETTLE: Duration = Duration::from_secs(36);
/// What may be held after the minute beyond what was held after the first seconds, MB: tables with a bound of their own (events kept for
/// reconnecting consoles, sites that have left) have filled, and an allocator keeps part of what it once had …
const FILLED_MB: f64 = 32.0;
/// … and after one more such minute beyond that: nothing grows any more.
const GROWN_MB: f64 = 4.0;
/// Gauges that say what there is of calls.
const GAUGES: [&str; 6] = [
    "cau_calls",
    "cau_participants",
    "cau_sip_dialogs",
    "cau_sip_transactions",
    "cau_sip_subscriptions",
    "cau_codecs",
];

/// Both ways, each with a server of its own.
pub fn run() -> Vec<Row> {
    let mut rows = run_one("in", |server, _, n, seconds| {
        let calls = RATE * seconds;
        sipp::load(&server.out, &format!("in{n}"), server.sip, "9000", (calls, RATE), STAY)
    });
    rows.extend(run_one("out", call_out));
    rows
}

/// Gives the server's site lists of fifty, one each second: each site is another one, takes the call and hangs up.
fn call_out(server: &Server, conference: &str, n: usize, seconds: u32) -> Tally {
    let (mut sipp, at) = sipp::callee(&server.out, &format!("out{n}"), Some(&sipp::leaving(STAY)));
    sleep(Duration::from_secs(1));
    let begin = Instant::now();
    for second in 0..seconds {
        let uri = |k: u32| format!("sip:xa{n}-{second}-{k}@{at}");
        let sites: Vec<Value> =
            (0..RATE).map(|k| json!({ "uri": uri(k), "name": format!("Xã {k}") })).collect();
        let path = format!("/api/v1/conferences/{conference}/participants");
        let (status, words) = server.api.post(&path, &Value::Array(sites));
        assert_eq!(status, 202, "{words}");
        let next = begin + Duration::from_secs(u64::from(second) + 1);
        sleep(next.saturating_duration_since(Instant::now()));
    }
    sipp.finished(u64::from(RATE * seconds), Duration::from_secs(60))
}

fn run_one(way: &str, calls: impl Fn(&Server, &str, usize, u32) -> Tally) -> Vec<Row> {
    let (first, last) = free_block(1200);
    let ports = format!("{first}-{last}");
    let mut server = Server::start_with(&[("CAU_RTP__PORTS", &ports)]);
    let conference = server.conference("9000", json!({ "layout": "full" }));
    let now = |server: &Server| moment(server.pid()).expect("the server runs");
    sleep(Duration::from_secs(2));
    let (before, files) = (now(&server), files(&server));
    let gauges = gauges(&server);
    let warm_up = calls(&server, &conference, 0, WARM);
    assert_eq!(warm_up.failed, 0, "{way}: {warm_up:?}");
    let warm = settled(&server, &gauges, files);
    let (begin, from) = (Instant::now(), now(&server));
    let tally = calls(&server, &conference, 1, SECONDS);
    let (took, to) = (begin.elapsed(), now(&server));
    let after = settled(&server, &gauges, files);
    let again = calls(&server, &conference, 2, SECONDS);
    let last = settled(&server, &gauges, files);
    server.assert_well();
    let asked = u64::from(RATE * SECONDS);
    for tally in [tally, again] {
        assert_eq!((tally.done, tally.failed), (asked, 0), "{way}: {tally:?}");
    }
    let (filled, grown) = (after.rss_mb - warm.rss_mb, last.rss_mb - after.rss_mb);
    let name = |what: &str| format!("{RATE} calls/s {way} for {SECONDS} s: {what}");
    let rows = vec![
        Row::new(name("calls that failed"), tally.failed as f64, "calls"),
        Row::new(name("calls that went as they should"), tally.done as f64, "calls"),
        // Those of the last second stand for two more.
        Row::new(name("rate"), asked as f64 / (took - STAY).as_secs_f64(), "1/s"),
        Row::new(name("messages sipp had to repeat"), tally.repeated as f64, "messages"),
        Row::new(name("CPU"), (to.cpu_s - from.cpu_s) / took.as_secs_f64(), "cores"),
        Row::new(name("memory before"), before.rss_mb, "MB"),
        Row::new(name(&format!("memory after {WARM} s and settling")), warm.rss_mb, "MB"),
        Row::new(name("memory at the end of the minute"), to.rss_mb, "MB"),
        Row::new(name("memory after the minute and settling"), after.rss_mb, "MB"),
        Row::new(name("kept beyond the first seconds"), filled, "MB"),
        Row::new(name("kept of one more such minute"), grown, "MB"),
    ];
    if filled > FILLED_MB || grown > GROWN_MB {
        crate::rows::publish("calls", &rows);
        panic!(
            "{way}: {filled:.1} MB more than after the first seconds, {grown:.1} MB more after one more minute"
        );
    }
    rows
}

/// Waits until nothing is left of the calls, and says what the server holds then.
fn settled(server: &Server, gauges: &BTreeMap<String, String>, open: usize) -> Moment {
    let mut last = BTreeMap::new();
    let limit = SETTLE + Duration::from_secs(10);
    let end = Instant::now() + limit;
    wait_for("the calls to be gone", limit, || {
        let left: BTreeMap<_, _> = self::gauges(server)
            .into_iter()
            .filter(|(name, value)| gauges.get(name) != Some(value))
            .collect();
        let sockets = files(server).saturating_sub(open);
        let clean = left.is_empty() && sockets == 0;
        last = left;
        assert!(clean || Instant::now() < end, "left behind: {last:?}, {sockets} open files");
        clean.then_some(())
    });
    moment(server.pid()).expect("the server runs")
}

/// What there is now, by `/metrics`: everything of calls that comes and goes.
fn gauges(server: &Server) -> BTreeMap<String, String> {
    let text = String::from_utf8(server.api.bytes("/metrics").1).expect("text");
    let named = |line: &&str| line.split(['{', ' ']).next().is_some_and(|name| GAUGES.contains(&name));
    text.lines()
        .filter(named)
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Files and sockets it holds open. Those towards our own questions come and go.
fn files(server: &Server) -> usize {
    let dir = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("the server runs");
    let sockets = dir.filter_map(|e| std::fs::read_link(e.ok()?.path()).ok());
    sockets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}
