//! Two masters and a slave, each a real `cau serve`: the standby takes over from a master that was killed, and gives the command back when it is
//! told to.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use cau_load::{Codec, Persona};
use cau_tests::{
    Api, Server, pause,
    phones::{fleet, plan},
    secs,
    server::{PASSWORD, free_port},
    turn, wait_for,
};
use serde_json::{Value, json};

use crate::cascade::sees_alone;

/// Of the standby, until it takes command.
const TAKE_OVER: &str = "5";

/// The authority of one master, as its operator copies it to the other one.
fn copy_authority(from: &Path, to: &Path) {
    fs::create_dir_all(to.join("tls")).expect("a folder");
    for name in ["tls/ca.pem", "tls/ca-key.pem"] {
        fs::copy(from.join(name), to.join(name)).expect("copied");
        fs::set_permissions(to.join(name), fs::Permissions::from_mode(0o600)).expect("private");
    }
}

fn standby(server: &Server) -> Value {
    let (status, standing) = server.api.get("/api/v1/cascade/standby");
    assert_eq!(status, 200, "{standing}");
    standing
}

fn until(server: &Server, what: &str, limit: Duration, holds: impl Fn(&Value) -> bool) -> Instant {
    wait_for(what, limit, || holds(&standby(server)).then(Instant::now))
}

fn node(api: &Api, path: &str) -> Value {
    let (_, tree) = api.get("/api/v1/cascade/tree");
    let found = tree.as_array().and_then(|tree| tree.iter().find(|node| node["path"] == path).cloned());
    found.unwrap_or_default()
}

/// The province is linked there, and this site is in its slot.
fn has(server: &Server, site: &str, limit: Duration) -> Instant {
    wait_for(&format!("{site} in its slot"), limit, || {
        let province = node(&server.api, "dak-lak");
        (province["state"] == "connected" && province["slots"][0]["site"] == site).then(Instant::now)
    })
}

fn conference(server: &Server) -> String {
    server.api.get("/api/v1/conferences").1[0]["id"].as_str().expect("a conference").to_owned()
}

#[test]
fn the_standby_takes_over_and_gives_back() {
    let _turn = turn();
    let folder = tempfile::tempdir().expect("a folder");
    let (data, other) = (folder.path().join("master"), folder.path().join("standby"));
    let ports = [free_port(), free_port()];
    let url = |port: u16| format!("https://127.0.0.1:{port}");
    let start = |role: &str, data: &Path, own: u16, peer: u16| {
        Server::start_with(&[
            ("CAU_DATA_DIR", &data.display().to_string()),
            ("CAU_CASCADE__ROLE", role),
            ("CAU_CASCADE__NAME", "Trung tâm"),
            ("CAU_CASCADE__PEER", &url(peer)),
            ("CAU_CASCADE__TAKE_OVER_S", TAKE_OVER),
            ("CAU_CONTROL__TLS_BIND", &format!("127.0.0.1:{own}")),
        ])
    };
    let mut master = start("master", &data, ports[0], ports[1]);
    copy_authority(&data, &other);
    let mut spare = start("standby", &other, ports[1], ports[0]);
    let chair_name = "Điểm cầu 0";
    let room = master.conference("8000", json!({ "name": "Cả nước", "layout": "full", "chair": chair_name }));
    let (status, link) = master.api.post("/api/v1/cascade/links", &json!({ "path": "dak-lak" }));
    assert_eq!(status, 201, "{link}");
    let token = folder.path().join("token");
    fs::write(&token, link["token"].as_str().expect("a token")).expect("written");
    let file = folder.path().join("slave.toml");
    fs::write(
        &file,
        format!(
            "[cascade]\nrole = \"slave\"\npath = \"dak-lak\"\nname = \"Đắk Lắk\"\ntoken_file = {:?}\nmasters = [{:?}, {:?}]\nsip = [{:?}, {:?}]\n",
            token,
            url(ports[0]),
            url(ports[1]),
            master.uri("8000"),
            spare.uri("8000"),
        ),
    )
    .expect("written");
    let mut slave = Server::start_with(&[("CAU_CONFIG", &file.display().to_string())]);
    slave.conference("8000", json!({ "name": "Đắk Lắk", "layout": "grid" }));

    let mut fleet = fleet();
    let (chair, uri) = fleet.answer(plan(&master, "8000", 0, Codec::Opus, Persona::default()));
    for id in 1..3 {
        fleet.call(plan(&slave, "8000", id, Codec::Opus, Persona::default()));
    }
    let sites = json!([{ "uri": uri.to_string(), "name": chair_name }]);
    let (status, invited) = master.api.post(&format!("/api/v1/conferences/{room}/participants"), &sites);
    assert_eq!(status, 202, "{invited}");
    until(&master, "the standby in step", secs(30.0), |s| {
        s["commands"] == true && s["in_step"] == true && s["slaves"] == 1
    });
    until(&spare, "the same there", secs(5.0), |s| {
        s["commands"] == false && s["other_commands"] == true && s["in_step"] == true
    });
    let there = |server: &Server| {
        let all = server.api.connected(&conference(server));
        let chair = all.iter().any(|p| p["name"] == chair_name);
        (all.iter().filter(|p| !p["link"].is_null()).count() == 3, chair)
    };
    wait_for("the link's calls and the chair", secs(20.0), || (there(&master) == (true, true)).then_some(()));
    let site = "dak-lak/diem-cau-1";
    wait_for("the site", secs(10.0), || (node(&master.api, site)["state"] == "connected").then_some(()));
    pause(secs(6.0));
    let asked = Instant::now();
    let path = format!("/api/v1/conferences/{room}/bring-up");
    let (status, begun) = master.api.post(&path, &json!({ "site": site }));
    assert_eq!(status, 202, "{begun}");
    sees_alone(&fleet, chair, 1, asked, secs(10.0));
    has(&master, site, secs(5.0));
    // The bring-up counts as done a report later; and then it is on its way to the standby.
    pause(secs(7.0));
    until(&master, "everything there", secs(10.0), |s| s["in_step"] == true);

    // A slave may not come there while the master commands, and no operator takes the command without a reason.
    let (status, why) = spare.api.post("/api/v1/cascade/take-command", &json!({ "reason": " " }));
    assert_eq!(status, 422, "{why}");

    let killed = Instant::now();
    let kill = Command::new("kill").args(["-9", &master.pid().to_string()]).status().expect("kill");
    assert!(kill.success());
    // A device notices in its own time that nothing comes any more; this one at once.
    fleet.hang_up(chair);
    let taken =
        until(&spare, "the standby in command", secs(30.0), |s| s["commands"] == true && s["term"] == 2);
    let back = has(&spare, site, secs(30.0));
    eprintln!(
        "master killed: the standby commands after {:?}, the site is in its slot after {:?}",
        taken - killed,
        back - killed
    );
    wait_for("the calls of the link", secs(20.0), || there(&spare).0.then_some(()));
    wait_for("the chair at the standby", secs(90.0), || there(&spare).1.then_some(()));
    let came = Instant::now();
    let seen = sees_alone(&fleet, chair, 1, came, secs(20.0));
    eprintln!(
        "the chair is there again after {:?}, sees the site again after {:?}",
        came - killed,
        seen - killed
    );
    let (_, shown) = spare.api.get(&format!("/api/v1/conferences/{}", conference(&spare)));
    assert_eq!(
        (&shown["name"], &shown["layout"], &shown["chair"]),
        (&json!("Cả nước"), &json!("full"), &json!(chair_name))
    );

    // Started again, the master does not command, and calls nobody.
    master.kill_and_restart();
    until(&spare, "the old master in step", secs(20.0), |s| s["commands"] == true && s["in_step"] == true);
    until(&master, "and not in command", secs(5.0), |s| {
        s["commands"] == false && s["other_commands"] == true && s["term"] == 2
    });
    pause(secs(3.0));
    assert_eq!(there(&master), (false, false));
    assert_eq!(node(&master.api, "dak-lak"), Value::Null);

    // Its operator orders the return.
    let ctl = Command::new(cau_tests::cau())
        .args(["ctl", "take-command", "Bảo trì xong"])
        .env("CAU_URL", master.api.base())
        .env("CAU_PASSWORD", PASSWORD)
        .output()
        .expect("cau ctl");
    assert!(ctl.status.success(), "{ctl:?}");
    let ordered = Instant::now();
    let taken =
        until(&master, "the master in command", secs(10.0), |s| s["commands"] == true && s["term"] == 3);
    let back = has(&master, site, secs(20.0));
    eprintln!(
        "return: in command after {:?}, the site in its slot after {:?}",
        taken - ordered,
        back - ordered
    );
    wait_for("everybody at the master", secs(40.0), || (there(&master) == (true, true)).then_some(()));
    let seen = sees_alone(&fleet, chair, 1, Instant::now(), secs(20.0));
    eprintln!("return: the chair sees the site again after {:?}", seen - ordered);
    assert_eq!(there(&spare), (false, false));
    fleet.stop();
    for server in [&mut master, &mut spare, &mut slave] {
        server.assert_well();
    }
}
