//! A country over lines (`cau_tests::country`): any commune before the chair, again and again; the same with lines that lose or are thin; what comes back by
//! itself when a line is cut or an MCU is killed; what links cost.

use std::{
    collections::BTreeMap,
    thread::sleep,
    time::{Duration, Instant},
};

use cau_load::{Codec, Fleet, Look, Options, Persona, PhoneId, Stats, process};
use cau_tests::{
    Server,
    country::{Country, Mcu, ROOM, Site, shows_alone},
    hosts::Line,
};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use serde_json::json;

use crate::{
    phones::{Cast, Part},
    rows::{Row, quantile},
};

/// Every line takes so long.
const DELAY: Duration = Duration::from_millis(20);
/// Who is brought up in which order is the same in every run.
const SEED: u64 = 5;
/// A site not seen after that long was not brought up.
const LIMIT: Duration = Duration::from_secs(10);
/// Between two commands.
const PAUSE: Duration = Duration::from_millis(1_500);
/// The bystander's identity.
const BYSTANDER: u8 = 7;

/// The lines of a benchmark by its name.
pub fn line(kind: &str) -> Option<Line> {
    let calm = Line { delay: DELAY, ..Line::default() };
    Some(match kind {
        "cascade-free" => calm,
        "cascade-loss" => Line { loss: 0.01, ..calm },
        "cascade-slow" => Line { mbits: Some(2), ..calm },
        _ => return None,
    })
}

fn country(cast: &Cast, line: Line) -> Country {
    Country::new(line, |server, id| plan(cast, server, id))
}

/// A good device: it asks for packets again and waits for them. The chair judges what it gets.
fn plan(cast: &Cast, server: &Server, id: u8) -> cau_load::Plan {
    let mut plan = cast.plan(server, ROOM, usize::from(id), Codec::Opus, id == 0);
    plan.persona = Persona { nack: true, plays: true, ..plan.persona };
    plan
}

/// Somebody at the master who sees another there, whatever happens to the chair.
struct Bystander {
    fleet: Fleet,
    watches: PhoneId,
}

impl Bystander {
    fn new(cast: &Cast, master: &Mcu) -> Self {
        let ip = master.host().address();
        let options = Options { ip, ports: 40_000..=40_999, urgent: true, ..Options::default() };
        let mut fleet = master.host().inside(|| Fleet::start(&options).expect("phones"));
        let mut call = |name: &str, decodes: bool| {
            let plan = master.ask(|server| cast.plan(server, ROOM, BYSTANDER.into(), Codec::Opus, decodes));
            fleet.call(cau_load::Plan { name: Some(name.to_owned()), user: name.to_owned(), ..plan })
        };
        let (_shown, watches) = (call("shown", false), call("watches", true));
        let conference = master.conference();
        let id = |name: &str| {
            cau_tests::wait_for(name, LIMIT, || {
                let all = master.ask(|server| server.api.connected(&conference));
                all.iter().find(|p| p["name"] == name).map(|p| p["id"].clone())
            })
        };
        let (seat, viewer) = (id("shown"), id("watches"));
        let layout =
            json!({ "layout": "full", "seats": [{ "seat": 0, "participant": seat }], "for": [viewer] });
        let path = format!("/api/v1/conferences/{conference}/layout");
        let (status, words) = master.ask(|server| server.api.put(&path, &layout));
        assert_eq!(status, 200, "{words}");
        Self { fleet, watches }
    }

    /// Pictures it was shown since, those of them that were not what it should see, and the longest time the picture stood, ms.
    fn since(&self, from: Instant) -> (usize, usize, f64) {
        self.fleet.look(|records| {
            let sight = &records[&self.watches].sight;
            let all: Vec<&Look> = sight.since(from).collect();
            let touched = all.iter().filter(|look| look.damaged || !shows_alone(look, BYSTANDER)).count();
            (all.len(), touched, sight.longest_freeze(BYSTANDER, from).as_secs_f64() * 1000.0)
        })
    }
}

/// What came of the bring-ups.
#[derive(Default)]
struct Outcome {
    seen: Vec<f64>,
    done: Vec<f64>,
    failures: Vec<String>,
    unconfirmed: u64,
    pictures: usize,
    hurt: usize,
    rounds_hurt: usize,
    unread: usize,
    touched: usize,
    bystander_pictures: usize,
    stood: f64,
}

/// So many sites, one after the other, at random.
pub fn bring_ups(line: Line, count: usize) -> Vec<Row> {
    let cast = Cast::of(8);
    let mut country = country(&cast, line);
    let bystander = Bystander::new(&cast, &country.mcus[0]);
    sleep(Duration::from_secs(8));
    let mut random = SmallRng::seed_from_u64(SEED);
    let mut outcome = Outcome::default();
    let damaged = |country: &Country| -> (u64, u64) {
        let one = |site: &Site| site.fleet.record(site.phone).map(|r| r.stats).unwrap_or_default();
        country.communes.iter().map(one).fold((0, 0), |(d, p), s: Stats| (d + s.damaged, p + s.pictures))
    };
    let mut before = damaged(&country);
    let mut last = usize::MAX;
    for round in 0..count {
        let choose = |random: &mut SmallRng| random.random_range(0..country.communes.len());
        let mut at = choose(&mut random);
        while at == last {
            at = choose(&mut random);
        }
        last = at;
        one(&country, &bystander, &country.communes[at], round, &mut outcome);
    }
    let after = damaged(&country);
    (before.0, before.1) = (after.0 - before.0, after.1 - before.1);
    country.mcus.iter_mut().for_each(Mcu::assert_well);
    rows(outcome, before, country.chair.fleet.take_late_ms())
}

fn one(country: &Country, bystander: &Bystander, site: &Site, round: usize, outcome: &mut Outcome) {
    let asked = Instant::now();
    match country.begin(&site.path) {
        Err(words) => outcome.failures.push(format!("{round}: {}: {words}", site.path)),
        Ok(operation) => {
            let seen = country.chair.sees_alone(site.id, asked, LIMIT);
            let ended = country.ended(&operation);
            match seen {
                Some(at) => outcome.seen.push((at - asked).as_secs_f64() * 1000.0),
                None => outcome.failures.push(format!("{round}: {} was not seen: {ended}", site.path)),
            }
            match ended["state"].as_str() {
                Some("done") => outcome.done.push(ended["elapsed_ms"].as_f64().unwrap_or(f64::NAN)),
                Some("unconfirmed") => outcome.unconfirmed += 1,
                _ => outcome.failures.push(format!("{round}: {ended}")),
            }
        }
    }
    sleep(PAUSE);
    let (pictures, hurt, unread) = country.chair.fleet.look(|records| {
        let all: Vec<&Look> = records[&country.chair.phone].sight.since(asked).collect();
        let unread = |look: &&&Look| !look.damaged && look.tiles.iter().all(|tile| tile.bar.is_none());
        let what = |look: &&Look| ((look.at - asked).as_millis(), look.size);
        let hurt = all.iter().filter(|look| look.damaged).map(what).collect::<Vec<_>>();
        (all.len(), hurt, all.iter().filter(unread).map(what).collect::<Vec<_>>())
    });
    if !(hurt.is_empty() && unread.is_empty()) {
        tell(&format!(
            "round {round}, {}: (ms, size) parts missing {hurt:?}; not to be read {unread:?}",
            site.path
        ));
    }
    outcome.unread += unread.len();
    let hurt = hurt.len();
    outcome.pictures += pictures;
    outcome.hurt += hurt;
    outcome.rounds_hurt += usize::from(hurt > 0);
    let (pictures, touched, stood) = bystander.since(asked);
    outcome.bystander_pictures += pictures;
    outcome.touched += touched;
    outcome.stood = outcome.stood.max(stood);
}

fn rows(mut outcome: Outcome, communes: (u64, u64), late: f64) -> Vec<Row> {
    outcome.failures.iter().for_each(|failure| tell(failure));
    let mut rows = Vec::new();
    for (what, values) in [("seen at the chair", &mut outcome.seen), ("confirmed", &mut outcome.done)] {
        let of = values.len();
        for (name, part) in [("p50", 0.5), ("p99", 0.99), ("worst", 1.0)] {
            rows.push(Row::new(format!("command → {what}: {name} of {of}"), quantile(values, part), "ms"));
        }
    }
    let count = |n: usize| n as f64;
    rows.extend([
        Row::new("failed", count(outcome.failures.len()), "bring-ups"),
        Row::new("unconfirmed", outcome.unconfirmed as f64, "bring-ups"),
        Row::new(
            format!("at the chair with parts missing, of {}", outcome.pictures),
            count(outcome.hurt),
            "pictures",
        ),
        Row::new("… in so many bring-ups", count(outcome.rounds_hurt), "bring-ups"),
        Row::new(
            "at the chair whole, but too small or coarse to read the bar",
            count(outcome.unread),
            "pictures",
        ),
        Row::new(
            format!("of a bystander touched, of {}", outcome.bystander_pictures),
            count(outcome.touched),
            "pictures",
        ),
        Row::new("… longest time its picture stood", outcome.stood, "ms"),
        Row::new(
            format!("at the communes with parts missing, of {}", communes.1),
            communes.0 as f64,
            "pictures",
        ),
        Row::new("phones themselves late by, most", late, "ms"),
    ]);
    rows
}

/// Lines cut, MCUs killed while a site two levels down is before the chair: time until everything is as before, by itself.
pub fn cuts() -> Vec<Row> {
    let cast = Cast::of(8);
    let mut country = country(&cast, line("cascade-free").unwrap_or_default());
    sleep(Duration::from_secs(5));
    let mut rows = Vec::new();
    // A commune of the town, below the province whose line is cut.
    let shown = country.communes.iter().position(|site| site.id == 5).expect("a commune");
    let asked = Instant::now();
    let operation = country.begin(&country.communes[shown].path).expect("begun");
    country.chair.sees_alone(5, asked, LIMIT).expect("seen");
    country.ended(&operation);
    let province = country.mcus.iter().position(|mcu| mcu.path == "dak-lak").expect("the province");
    for seconds in [10, 60] {
        country.mcus[province].host().lose(1.0);
        sleep(Duration::from_secs(seconds));
        country.mcus[province].host().lose(0.0);
        let (seen, whole) = back(&country, 5, Instant::now());
        rows.push(Row::new(format!("line cut for {seconds} s, mended → seen again"), seen, "s"));
        rows.push(Row::new(format!("line cut for {seconds} s, mended → everything as before"), whole, "s"));
        sleep(Duration::from_secs(5));
    }
    for (at, name) in
        [(province, "the province"), (3, "the town"), (0, "the master"), (province, "the province again")]
    {
        let killed = country.mcus[at].kill_and_restart();
        let (seen, whole) = back(&country, 5, killed);
        rows.push(Row::new(format!("kill -9 of {name} → seen again"), seen, "s"));
        rows.push(Row::new(format!("kill -9 of {name} → everything as before"), whole, "s"));
        sleep(Duration::from_secs(8));
    }
    country.mcus.iter_mut().for_each(Mcu::assert_well);
    rows
}

/// Seconds from `since` until the chair sees the site again, in pictures that go on, and until everybody is there and every link stands.
fn back(country: &Country, id: u8, since: Instant) -> (f64, f64) {
    let end = since + Duration::from_secs(150);
    let (mut seen, mut whole, mut told) = (None, None, Vec::new());
    // Pictures of before are still on their way for a moment.
    let fresh = since + Duration::from_millis(500);
    while (seen.is_none() || whole.is_none()) && Instant::now() < end {
        seen = seen.or_else(|| {
            country.chair.sees_alone(id, fresh, Duration::from_millis(1)).map(|at| (at - since).as_secs_f64())
        });
        if whole.is_none() {
            let missing = country.missing();
            if missing != told {
                tell(&format!("{:.1} s: missing {missing:?}", since.elapsed().as_secs_f64()));
            }
            whole = missing.is_empty().then(|| since.elapsed().as_secs_f64());
            told = missing;
        }
        sleep(Duration::from_millis(50));
    }
    (seen.unwrap_or(f64::NAN), whole.unwrap_or(f64::NAN))
}

/// CPU of a slave whose sites follow the programme.
pub fn follow(sites: usize) -> Vec<Row> {
    let cast = Cast::new();
    let mut master = Mcu::master();
    let slave = master.slave("dak-lak", "Đắk Lắk", Line::default(), &[]);
    master.ask(|server| server.conference(ROOM, json!({ "layout": "full", "chair": "Điểm cầu 0" })));
    slave.ask(|server| server.conference(ROOM, json!({})));
    let mut chair = crowd(&master, 1);
    chair.call(master.ask(|server| cast.part(server, ROOM, &part(0, true))));
    let mut fleet = crowd(&slave, sites);
    for n in 1..=sites {
        fleet.call(slave.ask(|server| cast.part(server, ROOM, &part(n, n % 16 == 1))));
        sleep(Duration::from_millis(40));
    }
    cau_tests::wait_for("the link", Duration::from_secs(30), || slave.is_linked().then_some(()));
    sleep(Duration::from_secs(15));
    let conference = slave.conference();
    let all = slave.ask(|server| server.api.connected(&conference));
    let passed = all.iter().filter(|p| p["link"].is_null() && p["send"]["video"] == "forwarded").count();
    let before = pictures(&fleet);
    let cpu = cores(slave.pid(), Duration::from_secs(20));
    let slowest = slowest(&fleet, &before, 20.0);
    vec![
        Row::new(format!("slave, {sites} sites follow the programme: CPU"), cpu, "cores"),
        Row::new("… passed on to", passed as f64, "sites"),
        Row::new("… pictures at the slowest site", slowest, "/s"),
        Row::new("… phones themselves late by, most", fleet.take_late_ms(), "ms"),
    ]
}

/// CPU of a master with so many slaves, each a process of its own with nobody there but the link.
pub fn links(count: usize) -> Vec<Row> {
    let cast = Cast::new();
    let mut master = Mcu::master();
    master.ask(|server| server.conference(ROOM, json!({ "layout": "full", "chair": "Điểm cầu 0" })));
    let slaves: Vec<Mcu> = (1..=count)
        .map(|n| {
            let slave = master.slave(&format!("tinh-{n}"), &format!("Tỉnh {n}"), Line::default(), &[]);
            slave.ask(|server| server.conference(ROOM, json!({})));
            slave
        })
        .collect();
    cau_tests::wait_for("all links", Duration::from_secs(90), || master.is_linked().then_some(()));
    sleep(Duration::from_secs(10));
    let idle = cores(master.pid(), Duration::from_secs(15));
    let mut chair = crowd(&master, 2);
    chair.call(master.ask(|server| cast.part(server, ROOM, &part(0, true))));
    chair.call(master.ask(|server| cast.part(server, ROOM, &part(1, false))));
    sleep(Duration::from_secs(10));
    let cpu = cores(master.pid(), Duration::from_secs(20));
    let conference = master.conference();
    let all = master.ask(|server| server.api.connected(&conference));
    let trunks: BTreeMap<String, usize> = all
        .iter()
        .filter(|p| p["link"].is_object() && p["link"]["slot"].is_null())
        .map(|p| p["send"]["video"].as_str().unwrap_or_default().to_owned())
        .fold(BTreeMap::new(), |mut all, how| {
            *all.entry(how).or_default() += 1;
            all
        });
    tell(&format!("the programme to the slaves: {trunks:?}"));
    let memory = process::moment(master.pid()).map_or(f64::NAN, |m| m.rss_mb);
    drop(slaves);
    vec![
        Row::new(format!("master, {count} links, nobody there: CPU"), idle, "cores"),
        Row::new(format!("master, {count} links, a chair speaks: CPU"), cpu, "cores"),
        Row::new(
            "… programme passed on to",
            trunks.get("forwarded").copied().unwrap_or_default() as f64,
            "slaves",
        ),
        Row::new("… memory of the master", memory, "MB"),
    ]
}

fn part(n: usize, decodes: bool) -> Part {
    Part { n, talks: n == 0, speech: None, codec: Codec::Opus, pictures: true, decodes }
}

fn crowd(mcu: &Mcu, phones: usize) -> Fleet {
    let ip = mcu.host().address();
    let ports = 40_000..=(40_010 + 4 * phones as u16);
    let options = Options { ip, ports, urgent: true, ..Options::default() };
    mcu.host().inside(|| Fleet::start(&options).expect("phones"))
}

fn cores(pid: u32, time: Duration) -> f64 {
    let (began, before) = (Instant::now(), process::moment(pid).expect("the process"));
    sleep(time);
    (process::moment(pid).expect("the process").cpu_s - before.cpu_s) / began.elapsed().as_secs_f64()
}

fn pictures(fleet: &Fleet) -> BTreeMap<PhoneId, u64> {
    fleet.look(|records| records.iter().map(|(phone, r)| (*phone, r.stats.pictures)).collect())
}

fn slowest(fleet: &Fleet, before: &BTreeMap<PhoneId, u64>, seconds: f64) -> f64 {
    let now = pictures(fleet);
    let came =
        |(phone, n): (&PhoneId, &u64)| (n - before.get(phone).copied().unwrap_or_default()) as f64 / seconds;
    now.iter().map(came).fold(f64::INFINITY, f64::min)
}

#[expect(clippy::disallowed_macros, reason = "the benchmark talks to its user")]
fn tell(words: &str) {
    eprintln!("{words}");
}
