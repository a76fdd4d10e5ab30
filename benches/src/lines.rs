//! Bad lines with real sockets: four sites behind lines of 2 Mbit/s with an MTU of 1400, fragments dropped, three at the bridge.

use std::{collections::BTreeMap, thread::sleep, time::Duration};

use cau_load::{Codec, Fleet, Options, Persona, PhoneId, Road};
use cau_tests::{
    Server,
    hosts::{Host, Line},
};
use serde_json::json;

use crate::{phones::Cast, rows::Row};

/// Seconds until rates have been found, and seconds that are counted.
const SETTLE: u64 = 8;
const SECONDS: u64 = 20;
/// Sites at the bridge.
const GOOD: usize = 3;
/// Sites behind lines: their habits.
const BAD: [(&str, bool, Codec); 4] = [
    ("NACK, Opus", true, Codec::Opus),
    ("NACK, G.711", true, Codec::Pcma),
    ("no NACK, Opus", false, Codec::Opus),
    ("no NACK, G.711", false, Codec::Pcma),
];

/// What the lines do.
struct Weather {
    name: &'static str,
    /// Share of packets the lines lose, each for itself.
    loss: f64,
    /// What the emulator adds.
    road: Option<Road>,
    /// The sites ask for a key frame as often as RTCP lets them.
    storm: bool,
}

fn weathers() -> Vec<Weather> {
    let lost = |name, loss| Weather { name, loss, road: None, storm: false };
    let road = |name, road| Weather { name, loss: 0.0, road: Some(road), storm: false };
    let bursts = |loss_percent| Road { loss_percent, burst: 4.0, delay_ms: 20.0, ..Road::default() };
    let jitter = |jitter_ms| Road { jitter_ms, delay_ms: 20.0, ..Road::default() };
    vec![
        lost("2 Mbit/s alone", 0.0),
        lost("1 % lost", 0.01),
        lost("5 % lost", 0.05),
        lost("10 % lost", 0.10),
        road("5 % lost, 4 in a row", bursts(5.0)),
        road("jitter 30 ms", jitter(30.0)),
        road("jitter 100 ms", jitter(100.0)),
        Weather { storm: true, ..lost("20 % lost and a storm of PLI", 0.20) },
    ]
}

/// A phone's picture and sound so far.
#[derive(Clone, Copy, Default)]
struct Quality {
    stood_ms: f64,
    watched_ms: f64,
    played: u64,
    made_up: u64,
    video_octets: u64,
}

impl Quality {
    /// What came since: per cent of the time the picture stood, of the sound made up; kbit/s of pictures.
    fn since(self, before: Self) -> (f64, f64, f64) {
        let share = |part: f64, of: f64| if of > 0.0 { (part / of * 100.0).min(100.0) } else { 100.0 };
        let watched = self.watched_ms - before.watched_ms;
        (
            share(self.stood_ms - before.stood_ms, watched),
            share((self.made_up - before.made_up) as f64, (self.played - before.played) as f64),
            (self.video_octets - before.video_octets) as f64 * 8.0 / 1000.0 / SECONDS as f64,
        )
    }
}

fn look(fleet: &Fleet) -> BTreeMap<PhoneId, Quality> {
    fleet.look(|records| {
        let quality = |s: &cau_load::Stats| Quality {
            stood_ms: s.stood_ms,
            watched_ms: s.watched_ms,
            played: s.played,
            made_up: s.made_up,
            video_octets: s.video.octets,
        };
        records.iter().map(|(phone, r)| (*phone, quality(&r.stats))).collect()
    })
}

/// All weathers, in this layout: `full`, one site passed on; or composed.
pub fn run(layout: &str) -> Vec<Row> {
    let hall = Host::new();
    let sites: Vec<Host> =
        BAD.iter().map(|_| hall.join(Line { mbits: Some(2), ..Line::default() })).collect();
    hall.inside(|| hold(&hall, &sites, layout))
}

fn fleet(ip: std::net::IpAddr) -> Fleet {
    let options = Options { ip, ports: 40_000..=59_999, urgent: true, ..Options::default() };
    Fleet::start(&options).expect("phones")
}

fn hold(hall: &Host, sites: &[Host], layout: &str) -> Vec<Row> {
    let cast = Cast::new();
    let mut server = Server::start_at(hall.address(), &[]);
    let conference = server.conference("9000", json!({ "layout": layout }));
    let mut good = fleet(hall.address());
    for n in 0..GOOD {
        let codec = if n == 1 { Codec::Pcma } else { Codec::Opus };
        let mut plan = cast.plan(&server, "9000", n + 1, codec, false);
        plan.persona = Persona { plays: true, nack: true, ..plan.persona };
        let phone = good.call(plan);
        connected(&good, phone);
        if n == 0 && layout == "full" {
            let first = server.api.connected(&conference)[0]["id"].clone();
            let path = format!("/api/v1/conferences/{conference}/speaker");
            let (status, words) = server.api.put(&path, &json!({ "participant": first }));
            assert_eq!(status, 200, "{words}");
        }
    }
    let how = if layout == "full" { "passed on" } else { "composed" };
    let mut rows = Vec::new();
    for weather in weathers() {
        sites.iter().for_each(|site| site.lose(weather.loss));
        rows.extend(meet(sites, &server, &cast, &good, how, &weather));
    }
    drop(good);
    server.assert_well();
    rows
}

/// The bad sites come, stay, and go.
fn meet(
    sites: &[Host],
    server: &Server,
    cast: &Cast,
    good: &Fleet,
    how: &str,
    weather: &Weather,
) -> Vec<Row> {
    // What a fleet begins within a namespace stays there.
    let start = |site: &Host| site.inside(|| fleet(site.address()));
    let mut bad: Vec<(Fleet, Option<PhoneId>)> = sites.iter().map(|site| (start(site), None)).collect();
    for (n, ((fleet, phone), (_, nack, codec))) in bad.iter_mut().zip(BAD).enumerate() {
        let mut plan = cast.plan(server, "9000", GOOD + 1 + n, codec, false);
        plan.max_kbps = 1_800;
        plan.persona = Persona {
            plays: true,
            nack,
            line: weather.road,
            pesters: weather.storm.then_some(Duration::from_millis(50)),
            ..plan.persona
        };
        *phone = Some(fleet.call(plan));
    }
    for (fleet, phone) in &bad {
        connected(fleet, phone.expect("called"));
    }
    sleep(Duration::from_secs(SETTLE));
    good.take_late_ms();
    let all = || -> Vec<BTreeMap<PhoneId, Quality>> {
        bad.iter().map(|(fleet, _)| look(fleet)).chain([look(good)]).collect()
    };
    let before = all();
    sleep(Duration::from_secs(SECONDS));
    let after = all();
    let since = |n: usize| -> Vec<(f64, f64, f64)> {
        after[n].iter().map(|(phone, q)| q.since(before[n].get(phone).copied().unwrap_or_default())).collect()
    };
    let name = format!("{how}, {}", weather.name);
    let mut rows = Vec::new();
    let mut add = |who: &str, (stood, made_up, kbps): (f64, f64, f64)| {
        rows.push(Row::new(format!("{name}: {who}: picture stands"), stood, "%"));
        rows.push(Row::new(format!("{name}: {who}: sound made up"), made_up, "%"));
        rows.push(Row::new(format!("{name}: {who}: pictures"), kbps, "kbit/s"));
    };
    for (n, (who, ..)) in BAD.iter().enumerate() {
        add(who, since(n)[0]);
    }
    let worst = since(BAD.len()).into_iter().fold((0.0f64, 0.0f64, f64::INFINITY), |worst, q| {
        (worst.0.max(q.0), worst.1.max(q.1), worst.2.min(q.2))
    });
    add("worst of the others", worst);
    rows.push(Row::new(format!("{name}: callers themselves late by, most"), good.take_late_ms(), "ms"));
    rows
}

fn connected(fleet: &Fleet, phone: PhoneId) {
    let stands = |r: &cau_load::Records| (r.get(&phone)?.state == cau_load::State::Connected).then_some(());
    let done = fleet.wait(Duration::from_secs(30), stands);
    assert!(done.is_some(), "not connected: {:?}", fleet.record(phone).map(|r| r.state));
}
