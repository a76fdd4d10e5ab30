//! `cau ctl` against a running server: every command, and what it says when something is wrong.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use cau_load::{Codec, Persona};
use cau_tests::{
    Server, pause,
    phones::{fleet, plan, wait_until_all_see},
    secs, sipp, turn, wait_for,
};
use serde_json::{Value, json};

fn command(server: &Server) -> Command {
    let mut command = Command::new(cau_tests::cau());
    command.arg("ctl").env("CAU_URL", server.api.base()).env("CAU_PASSWORD", cau_tests::server::PASSWORD);
    command
}

/// Status, what it printed, what it complained of.
fn ctl(server: &Server, args: &[&str]) -> (i32, String, String) {
    let done = command(server).args(args).output().expect("cau ctl");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (done.status.code().expect("a status"), text(&done.stdout), text(&done.stderr))
}

/// What a command printed that did what it was asked.
fn done(server: &Server, args: &[&str]) -> String {
    let (status, out, err) = ctl(server, args);
    assert_eq!((status, err.as_str()), (0, ""), "{args:?}: {out}");
    out
}

/// The one line a command complains in.
fn refused(server: &Server, args: &[&str]) -> String {
    let (status, out, err) = ctl(server, args);
    assert_eq!((status, out.as_str()), (1, ""), "{args:?}: {err}");
    assert!(err.starts_with("cau: ") && err.trim_end().lines().count() == 1, "{args:?}: {err}");
    err.trim_end().to_owned()
}

fn sites(server: &Server, conference: &str) -> Vec<Value> {
    let (_, list) = server.api.get(&format!("/api/v1/conferences/{conference}/participants"));
    list.as_array().cloned().unwrap_or_default()
}

#[test]
fn every_command_does_what_it_says() {
    let _turn = turn();
    let mut server = Server::start();
    let id =
        server.conference("8000", json!({ "name": "Giao ban", "layout": "grid", "chair": "Điểm cầu 0" }));
    let mut fleet = fleet();
    let chair = fleet.call(plan(&server, "8000", 0, Codec::Opus, Persona::default()));
    let (one, uri) = fleet.answer(plan(&server, "8000", 1, Codec::Pcma, Persona::default()));

    let mut watch = command(&server);
    let mut watch = watch.args(["watch", "giao-ban"]).stdout(Stdio::piped()).spawn().expect("cau ctl watch");
    let mut lines = BufReader::new(watch.stdout.take().expect("its output")).lines();

    let table = done(&server, &["conferences"]);
    assert!(table.starts_with("ID ") && table.contains("8000") && table.contains("Giao ban"), "{table}");
    let list: Value = serde_json::from_str(&done(&server, &["conferences", "--json"])).expect("JSON");
    assert_eq!((&list[0]["id"], &list[0]["room"]), (&json!(id), &json!("8000")));

    // By room, by name, by the key of the name, by id.
    let table = done(&server, &["call", "8000", &uri.to_string(), "--name", "Xã Một"]);
    assert!(table.contains("calling") && table.contains("Xã Một"), "{table}");
    wait_until_all_see(&fleet, &[chair, one], &[0, 1], secs(10.0));
    let table = done(&server, &["participants", "Giao ban"]);
    assert!(
        table.contains("connected") && table.contains("Điểm cầu 0") && table.contains("Xã Một"),
        "{table}"
    );

    done(&server, &["layout", "giao-ban", "1+5", "--seat", "0=Xã Một", "--names", "on"]);
    let (_, shown) = server.api.get(&format!("/api/v1/conferences/{id}"));
    assert_eq!((&shown["layout"], &shown["names"]), (&json!("1+5"), &json!("on")), "{shown}");
    done(&server, &["layout", &id, "full", "--seat", "0=diem-cau-0", "--for", "xa-mot"]);
    done(&server, &["speaker", "8000", "Xã Một"]);
    let (_, shown) = server.api.get(&format!("/api/v1/conferences/{id}"));
    assert!(!shown["speaker"].is_null(), "{shown}");
    done(&server, &["speaker", "8000"]);

    let table = done(&server, &["bring-up", "8000", "xa-mot"]);
    for step in ["find", "route", "keyframe", "layout", "picture", "sound", "done ("] {
        assert!(table.contains(step), "{step}: {table}");
    }

    // Of a file: one that takes the call, one that is busy, one line without an address.
    let (_taker, taker) = sipp::callee(&server.out, "taker", None);
    let (_busy, busy) = sipp::callee(&server.out, "busy", Some(&sipp::refusing("SIP/2.0 486 Busy Here")));
    pause(secs(0.5));
    let file = server.out.join("sites.csv");
    fs::write(
        &file,
        format!(
            "\u{feff}Tên;Địa chỉ\r\n\"Xã Hòa; Phú\";sip:a@{taker}\r\nXã Bận;sip:b@{busy}\r\nXã Không;\r\n"
        ),
    )
    .unwrap();
    let (status, table, err) = ctl(&server, &["call-file", "8000", file.to_str().unwrap()]);
    assert_eq!(status, 1, "a line could not be called");
    assert!(table.contains("Xã Hòa; Phú") && table.contains("Xã Bận"), "{table}");
    assert!(err.contains("sites.csv:4: no SIP address"), "{err}");
    let state = |name: &str| {
        let site = sites(&server, &id).into_iter().find(|s| s["name"] == name);
        site.map_or_else(String::new, |s| s["state"].as_str().unwrap_or_default().to_owned())
    };
    wait_for("the file to be called", secs(8.0), || {
        (state("Xã Hòa; Phú") == "connected" && state("Xã Bận") == "left").then_some(())
    });
    assert!(done(&server, &["participants", "8000"]).contains("điểm cầu đang bận (486"));
    assert!(done(&server, &["--language", "en", "participants", "8000"]).contains("the site is busy (486"));

    done(&server, &["hang-up", "8000", "Xã Một"]);
    wait_for("it to have left", secs(5.0), || (state("Xã Một") == "left").then_some(()));

    // All of that went by in the events, in words.
    let mut seen = Vec::new();
    for line in lines.by_ref() {
        seen.push(line.expect("a line"));
        if seen.last().is_some_and(|l| l.contains("left Xã Một")) {
            break;
        }
    }
    watch.kill().expect("it runs");
    watch.wait().expect("its end");
    let all = seen.join("\n");
    for part in ["participant  connected Xã Một", "operation ", "done", "left Xã Bận", "điểm cầu đang bận"]
    {
        assert!(all.contains(part), "{part}: {all}");
    }
    server.assert_well();
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let server = Server::start_with(&[("CAU_DIAL__ALLOW", "10.0.0.0/8")]);
    server.conference("8000", json!({ "name": "Giao ban" }));
    for (args, words) in [
        (&["participants", "9"][..], "there is no conference 9"),
        (&["hang-up", "8000", "xa-mot"], "there is no site xa-mot"),
        (&["call", "8000", "http://x"], "uri: địa chỉ phải bắt đầu bằng sip:"),
        (
            &["--language", "en", "call", "8000", "sip:x@192.0.2.1"],
            "not in the list of those that may be called",
        ),
        (&["--language", "en", "layout", "8000", "9+9"], "layout"),
        (&["layout", "8000", "1+5", "--seat", "first=x"], "--seat first=x: must be like 0=SITE"),
        (&["call-file", "8000", "/nowhere/sites.csv"], "/nowhere/sites.csv"),
        (&["--language", "en", "bring-up", "8000", "xa-mot"], "there is no site xa-mot"),
    ] {
        let said = refused(&server, args);
        assert!(said.contains(words), "{args:?}: {said}");
    }
    let wrong = command(&server).env("CAU_PASSWORD", "wrong").arg("conferences").output().unwrap();
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(
        wrong.status.code() == Some(1) && said.starts_with("cau: ") && said.lines().count() == 1,
        "{said}"
    );
    let nobody = command(&server).env("CAU_URL", "http://127.0.0.1:1").arg("conferences").output().unwrap();
    let said = String::from_utf8(nobody.stderr).unwrap();
    assert!(nobody.status.code() == Some(1) && said.contains("Is the MCU running there"), "{said}");
    let usage = command(&server).arg("dance").output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
}
