//! Several MCUs, each a real `cau serve`: enrolment, the control link, the tree, and what survives the death of either end.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use cau_load::{Codec, Fleet, Options, Persona, PhoneId, Plan};
use cau_tests::{
    Api, Server, pause,
    phones::{assert_hears, fleet, plan},
    secs,
    server::{PASSWORD, free_block, free_port},
    turn, wait_for,
};
use serde_json::{Value, json};

/// One that takes slaves: the root, or one between; on a TLS port of its own.
struct Master {
    server: Server,
    port: u16,
}

impl Master {
    fn start() -> Self {
        let port = free_port();
        let server = Server::start_with(&[
            ("CAU_CASCADE__ROLE", "master"),
            ("CAU_CASCADE__NAME", "Trung tâm"),
            ("CAU_CONTROL__TLS_BIND", &format!("127.0.0.1:{port}")),
        ]);
        Self { server, port }
    }

    /// A slave of another that takes slaves of its own.
    fn below(master: &Self, path: &str, name: &str) -> Self {
        let (port, token) = (free_port(), master.link(path));
        let tls = format!("127.0.0.1:{port}");
        let server = slave(master, path, name, Some(&token), &[("CAU_CONTROL__TLS_BIND", &tls)]);
        Self { server, port }
    }

    /// Makes a link; the file of its token.
    fn link(&self, path: &str) -> PathBuf {
        let (status, made) = self.server.api.post("/api/v1/cascade/links", &json!({ "path": path }));
        assert_eq!(status, 201, "{made}");
        let file = self.server.out.join(format!("token-{}", path.replace('/', "-")));
        fs::write(&file, made["token"].as_str().expect("a token")).expect("the token's file");
        file
    }
}

/// A slave of this MCU.
fn slave(master: &Master, path: &str, name: &str, token: Option<&Path>, extra: &[(&str, &str)]) -> Server {
    let masters = format!("https://127.0.0.1:{}", master.port);
    let sip = master.server.uri("8000");
    let token = token.map(|file| file.display().to_string());
    let mut variables = vec![
        ("CAU_CASCADE__ROLE", "slave"),
        ("CAU_CASCADE__PATH", path),
        ("CAU_CASCADE__NAME", name),
        ("CAU_CASCADE__MASTERS", masters.as_str()),
        ("CAU_CASCADE__SIP", sip.as_str()),
    ];
    variables.extend(token.as_deref().map(|file| ("CAU_CASCADE__TOKEN_FILE", file)));
    variables.extend(extra.iter().copied());
    Server::start_with(&variables)
}

fn node(api: &Api, path: &str) -> Option<Value> {
    let (status, tree) = api.get("/api/v1/cascade/tree");
    assert_eq!(status, 200, "{tree}");
    tree.as_array()?.iter().find(|node| node["path"] == path).cloned()
}

fn state(api: &Api, path: &str) -> Option<String> {
    node(api, path)?["state"].as_str().map(str::to_owned)
}

/// Waits until a path of the tree is in a state; when it was.
fn sees(api: &Api, path: &str, wanted: &str, limit: Duration) -> Instant {
    wait_for(&format!("{path} {wanted}"), limit, || {
        (state(api, path).as_deref() == Some(wanted)).then(Instant::now)
    })
}

/// The link to the master as a slave tells it.
fn above(slave: &Server) -> Value {
    let (status, links) = slave.api.get("/api/v1/cascade/links");
    assert_eq!(status, 200, "{links}");
    links
        .as_array()
        .and_then(|links| links.iter().find(|l| l["direction"] == "up"))
        .cloned()
        .unwrap_or_default()
}

fn metric(api: &Api, name: &str) -> f64 {
    let (_, text) = api.get("/metrics");
    let text = text.as_str().unwrap_or_default().to_owned();
    let of = |line: &str| line.strip_prefix(name)?.trim().parse::<f64>().ok();
    text.lines().find_map(of).unwrap_or_default()
}

/// A slave enrols with its token; its sites are in the tree of the master a second after a change at the latest, whatever the change is.
#[test]
fn the_sites_of_a_slave_are_seen_at_the_master_within_a_second() {
    let _turn = turn();
    let mut master = Master::start();
    master.server.conference("8000", json!({ "name": "Cả nước" }));
    let token = master.link("dak-lak");
    let mut slave = slave(&master, "dak-lak", "Đắk Lắk", Some(&token), &[]);
    slave.conference("8000", json!({ "name": "Đắk Lắk" }));
    sees(&master.server.api, "dak-lak", "connected", secs(10.0));
    assert_eq!(node(&master.server.api, "dak-lak").unwrap()["name"], "Đắk Lắk");
    wait_for("the slave to say so, too", secs(2.0), || (above(&slave)["state"] == "connected").then_some(()));

    // A site comes, is renamed, and goes: each is known above within a second of being known there.
    let mut fleet = fleet();
    fleet.call(plan(&slave, "8000", 1, Codec::Opus, Persona::default()));
    let known = sees(&slave.api, "dak-lak/diem-cau-1", "connected", secs(10.0));
    let seen = sees(&master.server.api, "dak-lak/diem-cau-1", "connected", secs(1.0));
    eprintln!("a site that came: seen above after {:?}", seen - known);
    let conference = slave.api.get("/api/v1/conferences").1[0]["id"].as_str().unwrap().to_owned();
    let site = slave.api.connected(&conference)[0]["id"].as_str().unwrap().to_owned();
    let (status, answer) = slave.api.patch(
        &format!("/api/v1/conferences/{conference}/participants/{site}"),
        &json!({ "name": "Xã Hòa Phú" }),
    );
    assert_eq!(status, 200, "{answer}");
    let renamed = Instant::now();
    let seen = sees(&master.server.api, "dak-lak/xa-hoa-phu", "connected", secs(1.0));
    eprintln!("a new name: seen above after {:?}", seen - renamed);
    fleet.stop();
    wait_for("the site to be gone above", secs(3.0), || {
        (state(&master.server.api, "dak-lak/xa-hoa-phu").as_deref() != Some("connected")).then_some(())
    });

    // The operator's command line says the same.
    let ctl = Command::new(cau_tests::cau())
        .args(["ctl", "tree"])
        .env("CAU_URL", master.server.api.base())
        .env("CAU_PASSWORD", PASSWORD)
        .output()
        .expect("cau ctl");
    let table = String::from_utf8(ctl.stdout).expect("UTF-8");
    assert!(table.contains("Đắk Lắk") && table.contains("dak-lak"), "{table}");
    slave.assert_well();
    master.server.assert_well();
}

/// Whoever has no right to a place in the tree gets none: a token that was spent, made up or is for another path, a certificate of another
/// authority, a path that is not one level below. The slave's operator and the master's are told why.
#[test]
fn who_does_not_belong_there_is_refused_with_the_reason() {
    let _turn = turn();
    let mut master = Master::start();
    let token = master.link("dak-lak");
    let made_up = master.server.out.join("made-up");
    let good = fs::read_to_string(&token).unwrap();
    // The master's fingerprint is right, the secret is not.
    fs::write(&made_up, format!("cau1-{}{}", "ab".repeat(32), &good[good.len() - 64..])).unwrap();
    let refused = |slave: &Server, words: &str| {
        let found = wait_for(&format!("to be refused: {words}"), secs(15.0), || {
            let link = above(slave);
            let reason = link["reason_en"].as_str().unwrap_or_default().to_owned();
            assert_ne!(link["state"], "connected", "{link}");
            reason.contains(words).then_some((reason, link["reason"].clone()))
        });
        assert!(found.1.as_str().is_some_and(|vi| !vi.is_empty()), "{found:?}");
    };
    let api = &master.server.api;
    refused(&slave(&master, "dak-lak", "X", Some(&made_up), &[]), "token");
    // A token for another place.
    refused(&slave(&master, "ha-noi", "X", Some(&token), &[]), "the token is for \"dak-lak\"");
    // No token at all.
    refused(&slave(&master, "ha-noi", "X", None, &[]), "no certificate of its master");
    // Another master's token: what answers is not who made it.
    let other = Master::start();
    let foreign = other.link("dak-lak");
    refused(
        &slave(&master, "dak-lak", "X", Some(&foreign), &[]),
        "is not the one this certificate or token is from",
    );
    assert!(state(api, "ha-noi").is_none(), "nothing of it is in the tree");
    assert!(state(api, "dak-lak").is_none_or(|state| state != "connected"));

    // Enrolled in good order, and revoked: it is out at once and stays out.
    let again = master.link("lam-dong");
    let enrolled = slave(&master, "lam-dong", "Lâm Đồng", Some(&again), &[]);
    sees(api, "lam-dong", "connected", secs(10.0));
    let links = api.get("/api/v1/cascade/links").1;
    let id = links.as_array().unwrap().iter().find(|l| l["path"] == "lam-dong").unwrap()["id"].clone();
    assert_eq!(api.delete(&format!("/api/v1/cascade/links/{}", id.as_str().unwrap())).0, 204);
    sees(api, "lam-dong", "lost", secs(2.0));
    pause(secs(3.0));
    assert_eq!(state(api, "lam-dong").as_deref(), Some("lost"));
    refused(&enrolled, "refuses");
    assert!(metric(api, "cau_cascade_refused_total{reason=\"token\"}") >= 1.0, "{}", api.get("/metrics").1);
    master.server.assert_well();
}

/// `kill -9` of either end: the other says so, goes on, and both are as before by themselves.
#[test]
fn both_ends_survive_the_death_of_the_other() {
    let _turn = turn();
    let mut master = Master::start();
    master.server.conference("8000", json!({ "name": "Cả nước" }));
    let token = master.link("dak-lak");
    let mut slave = slave(&master, "dak-lak", "Đắk Lắk", Some(&token), &[]);
    slave.conference("8000", json!({ "name": "Đắk Lắk" }));
    let mut fleet = fleet();
    fleet.call(plan(&slave, "8000", 1, Codec::Opus, Persona::default()));
    sees(&master.server.api, "dak-lak/diem-cau-1", "connected", secs(15.0));

    let killed = master.server.kill_and_restart();
    let back = sees(&master.server.api, "dak-lak/diem-cau-1", "connected", secs(35.0));
    eprintln!("the master killed: the tree is whole again after {:?}", back - killed);
    let sites = |server: &Server| {
        let all = server.api.connected(&conference(server));
        all.into_iter().filter(|p| p["link"].is_null()).count()
    };
    assert_eq!(sites(&slave), 1, "its meeting goes on");
    linked(&slave, secs(20.0));
    linked(&master.server, secs(5.0));

    let killed = slave.kill_and_restart();
    let back = sees(&master.server.api, "dak-lak/diem-cau-1", "connected", secs(45.0));
    eprintln!("the slave killed: the tree is whole again after {:?}", back - killed);
    linked(&slave, secs(40.0));
    linked(&master.server, secs(5.0));
    fleet.stop();
    slave.assert_well();
    master.server.assert_well();
}

fn conference(server: &Server) -> String {
    server.api.get("/api/v1/conferences").1[0]["id"].as_str().expect("a conference").to_owned()
}

/// Waits until the calls of a link stand: one, and one for each of the two slots.
fn linked(server: &Server, limit: Duration) -> Instant {
    let id = conference(server);
    wait_for("the media calls of the link", limit, || {
        let links = server.api.connected(&id).into_iter().filter(|p| !p["link"].is_null()).count();
        (links == 3).then(Instant::now)
    })
}

/// Begins a bring-up and waits for its end.
fn bring_up(server: &Server, body: &Value) -> Value {
    let (status, begun) =
        server.api.post(&format!("/api/v1/conferences/{}/bring-up", conference(server)), body);
    assert_eq!(status, 202, "{begun}");
    ended(server, &begun)
}

fn ended(server: &Server, begun: &Value) -> Value {
    let path = format!("/api/v1/operations/{}", begun["operation"].as_str().expect("an operation"));
    wait_for("the operation to end", secs(35.0), || {
        let (status, now) = server.api.get(&path);
        assert_eq!(status, 200, "{now}");
        (now["state"] != "running").then_some(now)
    })
}

/// When this phone first saw nothing but that identity, whole, after `since`.
pub fn sees_alone(fleet: &Fleet, phone: PhoneId, id: u8, since: Instant, limit: Duration) -> Instant {
    let alone = |look: &&cau_load::Look| {
        look.at > since
            && matches!(look.tiles.as_slice(), [tile] if tile.bar.is_some_and(|(bar, _)| bar == id))
    };
    let seen = fleet.wait(limit, |r| r[&phone].sight.looks.iter().find(alone).map(|look| look.at));
    let last = || fleet.look(|r| r[&phone].sight.looks.back().cloned());
    seen.unwrap_or_else(|| panic!("{id} was not seen alone within {limit:?}: {:#?}", last()))
}

/// Every step of an operation with the MCU it was done at.
fn steps(operation: &Value) -> Vec<(String, String, u64)> {
    let step = |s: &Value| {
        let text = |field: &str| s[field].as_str().unwrap_or_default().to_owned();
        (text("name"), text("mcu"), s["at_ms"].as_u64().unwrap_or_default())
    };
    operation["steps"].as_array().into_iter().flatten().map(step).collect()
}

/// The country, a province, two communes: one command at the centre brings a commune before the chair, whole and quickly, everybody speaks with
/// everybody, nobody hears himself; the commune's own pictures go all the way; what was before comes back.
#[test]
fn a_commune_comes_before_the_chair_of_the_country() {
    let _turn = turn();
    let mut master = Master::start();
    master.server.conference("8000", json!({ "name": "Cả nước", "layout": "full", "chair": "Điểm cầu 0" }));
    let token = master.link("dak-lak");
    let mut slave = slave(&master, "dak-lak", "Đắk Lắk", Some(&token), &[]);
    slave.conference("8000", json!({ "name": "Đắk Lắk", "layout": "grid" }));
    let mut fleet = fleet();
    let chair = fleet.call(plan(&master.server, "8000", 0, Codec::Opus, Persona::default()));
    let communes: Vec<PhoneId> =
        (1..3).map(|id| fleet.call(plan(&slave, "8000", id, Codec::Opus, Persona::default()))).collect();
    linked(&master.server, secs(20.0));
    linked(&slave, secs(5.0));
    sees(&master.server.api, "dak-lak/diem-cau-1", "connected", secs(5.0));
    sees(&master.server.api, "dak-lak/diem-cau-2", "connected", secs(5.0));
    pause(secs(4.0));

    let mut took = Vec::new();
    for (round, id) in [1_u8, 2, 1, 2, 1, 2].into_iter().enumerate() {
        let asked = Instant::now();
        let operation = bring_up(&master.server, &json!({ "site": format!("dak-lak/diem-cau-{id}") }));
        assert_eq!(operation["state"], "done", "round {round}: {operation}");
        let seen = sees_alone(&fleet, chair, id, asked, secs(5.0));
        took.push((seen - asked, operation["elapsed_ms"].as_u64().unwrap_or_default()));
        let steps = steps(&operation);
        for (name, mcu) in
            [("find", ""), ("route", "dak-lak"), ("keyframe", "dak-lak"), ("picture", ""), ("sound", "")]
        {
            assert!(steps.iter().any(|(n, m, _)| n == name && m == mcu), "{name} at {mcu:?}: {operation}");
        }
        pause(secs(1.0));
    }
    eprintln!("brought up: seen after, confirmed after ms: {took:?}");

    let settled = Instant::now();
    pause(secs(5.0));
    let record = |phone| fleet.record(phone).expect("a phone");
    assert_hears(&record(chair), &[1, 2], settled, 0);
    assert_hears(&record(communes[0]), &[0, 2], settled, 0);
    assert_hears(&record(communes[1]), &[0, 1], settled, 0);
    let broken = |phone| {
        let record = record(phone);
        let all: Vec<_> = record
            .sight
            .since(settled)
            .filter(|l| l.damaged || l.tiles.iter().any(|t| t.bar.is_none()))
            .take(2)
            .cloned()
            .collect();
        all
    };
    assert!(broken(chair).is_empty(), "{:#?}", broken(chair));
    // The commune's own NAL units, in the slot and from there to the chair.
    let sent = |server: &Server, wanted: &dyn Fn(&Value) -> bool| {
        let all = server.api.connected(&conference(server));
        all.iter().filter(|p| wanted(p)).map(|p| p["send"]["video"].clone()).collect::<Vec<_>>()
    };
    let slots = sent(&slave, &|p| p["link"]["slot"].is_u64() && p["send"]["video"] != "none");
    eprintln!("in the slots: {slots:?}; to the chair: {:?}", sent(&master.server, &|p| p["chair"] == true));
    assert!(slots.contains(&json!("forwarded")), "{slots:?}");

    // Undo: the site before. Release: the layout.
    let id = conference(&master.server);
    let path = |what: &str| format!("/api/v1/conferences/{id}/{what}");
    let asked = Instant::now();
    let (status, begun) = master.server.api.post(&path("undo"), &json!({}));
    assert_eq!(status, 202, "{begun}");
    assert_eq!(ended(&master.server, &begun)["state"], "done");
    sees_alone(&fleet, chair, 1, asked, secs(5.0));
    let (status, answer) = master.server.api.post(&path("release"), &json!({}));
    assert_eq!(status, 204, "{answer}");
    wait_for("the slots to be empty", secs(3.0), || {
        let slots = node(&master.server.api, "dak-lak")?["slots"].clone();
        slots.as_array()?.iter().all(|slot| slot["site"].is_null()).then_some(())
    });

    // Prepared first, taken then.
    let (status, answer) =
        master.server.api.post(&path("prepare"), &json!({ "sites": ["dak-lak/diem-cau-2"] }));
    assert_eq!(status, 202, "{answer}");
    wait_for("it to be ready", secs(5.0), || {
        (master.server.api.get(&path("prepared")).1[0]["ready"] == true).then_some(())
    });
    pause(secs(1.0));
    let asked = Instant::now();
    let (status, begun) = master.server.api.post(&path("take"), &json!({}));
    assert_eq!(status, 202, "{begun}");
    let operation = ended(&master.server, &begun);
    assert_eq!(operation["state"], "done", "{operation}");
    let seen = sees_alone(&fleet, chair, 2, asked, secs(5.0));
    eprintln!("prepared and taken: seen after {:?}", seen - asked);

    // What cannot be is said, with the place.
    let (status, answer) = master.server.api.post(&path("bring-up"), &json!({ "site": "dak-lak/khong-co" }));
    assert_eq!(status, 404, "{answer}");
    let records = fleet.stop();
    drop(records);
    slave.assert_well();
    master.server.assert_well();
}

/// Two levels down: within a second before the chair, and told once, with the steps of every MCU on the way.
#[test]
fn a_commune_two_levels_down_comes_within_a_second_and_is_told_once() {
    let _turn = turn();
    let mut master = Master::start();
    let mut province = Master::below(&master, "dak-lak", "Đắk Lắk");
    let mut town = Master::below(&province, "dak-lak/buon-ma-thuot", "Buôn Ma Thuột");
    master.server.conference("8000", json!({ "name": "Cả nước", "layout": "full", "chair": "Điểm cầu 0" }));
    province.server.conference("8000", json!({ "name": "Đắk Lắk" }));
    town.server.conference("8000", json!({ "name": "Buôn Ma Thuột" }));
    let mut fleet = fleet();
    let chair = fleet.call(plan(&master.server, "8000", 0, Codec::Opus, Persona::default()));
    for id in 1..3 {
        fleet.call(plan(&town.server, "8000", id, Codec::Opus, Persona::default()));
    }
    linked(&master.server, secs(20.0));
    linked(&town.server, secs(20.0));
    for id in 1..3 {
        sees(&master.server.api, &format!("dak-lak/buon-ma-thuot/diem-cau-{id}"), "connected", secs(10.0));
    }
    pause(secs(4.0));
    let events = [&master, &province, &town].map(|mcu| mcu.server.api.events());
    let mut took = Vec::new();
    for id in [1, 2, 1, 2] {
        let asked = Instant::now();
        let site = format!("dak-lak/buon-ma-thuot/diem-cau-{id}");
        let operation = bring_up(&master.server, &json!({ "site": site }));
        assert_eq!(operation["state"], "done", "{operation}");
        took.push(sees_alone(&fleet, chair, id, asked, secs(5.0)) - asked);
        let done = steps(&operation);
        for mcu in ["dak-lak", "dak-lak/buon-ma-thuot"] {
            assert!(done.iter().any(|(name, at, _)| name == "route" && at == mcu), "{mcu}: {operation}");
        }
        pause(secs(1.0));
        let [told, between, below] = [&events[0], &events[1], &events[2]].map(|events| {
            let all = events.try_iter().filter(|(kind, _)| kind == "operation");
            all.map(|(_, operation)| operation).collect::<Vec<_>>()
        });
        assert!(told.iter().all(|o| o["id"] == operation["id"]), "of one and no other: {told:#?}");
        let ends = told.iter().filter(|o| o["state"] == "done").count();
        assert_eq!((ends, between.len(), below.len()), (1, 0, 0), "{told:#?} {between:#?} {below:#?}");
    }
    eprintln!("two levels down: seen after {took:?}");
    assert!(took.iter().all(|t| *t < secs(1.0)), "{took:?}");
    fleet.stop();
    for mcu in [&mut town, &mut province, &mut master] {
        mcu.server.assert_well();
    }
}

/// Another maker's MCU comes by plain SIP and says no more than that it is one. What is behind it nobody knows here: its picture is brought up, and the operator
/// is told whom to ask for the rest.
#[test]
fn a_foreign_mcu_is_brought_up_with_a_note_for_its_operator() {
    let _turn = turn();
    let mut master = Master::start();
    master.server.conference("8000", json!({ "name": "Cả nước", "layout": "full", "chair": "Điểm cầu 0" }));
    let mut phones = fleet();
    let chair = phones.call(plan(&master.server, "8000", 0, Codec::Opus, Persona::default()));
    let (first, last) = free_block(40);
    let options = Options { ports: first..=last, focus: true, ..Options::default() };
    let mut foreign = Fleet::start(&options).expect("an MCU");
    let mcu = plan(&master.server, "8000", 1, Codec::Pcma, Persona::default());
    foreign.call(Plan { name: Some("MCU Hà Giang".to_owned()), ..mcu });
    sees(&master.server.api, "mcu-ha-giang", "connected", secs(10.0));
    sees(&master.server.api, "diem-cau-0", "connected", secs(10.0));
    let kind = |path: &str| node(&master.server.api, path).expect("in the tree")["kind"].clone();
    assert_eq!((kind("mcu-ha-giang"), kind("diem-cau-0")), (json!("foreign"), json!("site")));
    pause(secs(3.0));
    let asked = Instant::now();
    let operation = bring_up(&master.server, &json!({ "site": "mcu-ha-giang/dong-van" }));
    assert_eq!(
        (&operation["state"], &operation["site"]),
        (&json!("done"), &json!("mcu-ha-giang")),
        "{operation}"
    );
    let note = operation["note_en"].as_str().unwrap_or_default();
    assert!(note.contains("MCU Hà Giang") && note.contains("its own operator must switch"), "{operation}");
    sees_alone(&phones, chair, 1, asked, secs(5.0));
    foreign.stop();
    phones.stop();
    master.server.assert_well();
}

/// `kill -9` of the slave, then of the master, while a commune is before the chair: the chair sees it again, without anyone's hand.
#[test]
fn what_was_before_the_chair_comes_back_after_a_death() {
    let _turn = turn();
    let mut master = Master::start();
    master.server.conference("8000", json!({ "name": "Cả nước", "layout": "full", "chair": "Điểm cầu 0" }));
    let token = master.link("dak-lak");
    let mut slave = slave(&master, "dak-lak", "Đắk Lắk", Some(&token), &[]);
    slave.conference("8000", json!({ "name": "Đắk Lắk" }));
    let mut fleet = fleet();
    let chair = fleet.call(plan(&master.server, "8000", 0, Codec::Opus, Persona::default()));
    for id in 1..3 {
        fleet.call(plan(&slave, "8000", id, Codec::Opus, Persona::default()));
    }
    linked(&master.server, secs(20.0));
    sees(&master.server.api, "dak-lak/diem-cau-1", "connected", secs(10.0));
    pause(secs(3.0));
    let asked = Instant::now();
    let operation = bring_up(&master.server, &json!({ "site": "dak-lak/diem-cau-1" }));
    assert_eq!(operation["state"], "done", "{operation}");
    sees_alone(&fleet, chair, 1, asked, secs(5.0));

    let killed = slave.kill_and_restart();
    let back = sees_alone(&fleet, chair, 1, killed + secs(1.0), secs(45.0));
    eprintln!("the slave killed: before the chair again after {:?}", back - killed);
    pause(secs(3.0));
    let killed = master.server.kill_and_restart();
    let back = sees_alone(&fleet, chair, 1, killed + secs(1.0), secs(45.0));
    eprintln!("the master killed: before the chair again after {:?}", back - killed);
    let settled = Instant::now() + secs(1.0);
    pause(secs(5.0));
    assert_hears(&fleet.record(chair).expect("a phone"), &[1, 2], settled, 0);
    fleet.stop();
    slave.assert_well();
    master.server.assert_well();
}
