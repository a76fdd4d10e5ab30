//! What goes wrong at the start is said in one clear line, with the remedy, and nothing is left behind.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    process::Command,
    time::Duration,
};

use cau_tests::{Server, child::Process};
use tempfile::TempDir;

/// Starts `cau serve` with this configuration and environment in a folder of its own; what it says. It must end by itself, with status 1.
fn refused(config: &str, environment: &[(&str, &str)]) -> String {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("cau.toml"), config).unwrap();
    let log = dir.path().join("log");
    let mut command = Command::new(cau_tests::cau());
    command
        .current_dir(dir.path())
        .args(["serve", "--config", "cau.toml"])
        .env("CAU_DATA_DIR", dir.path().join("data"))
        .env("CAU_SIP__BIND", "127.0.0.1:0")
        .env("CAU_CONTROL__BIND", "127.0.0.1:0")
        .envs(environment.iter().copied());
    if config.contains("[sip]") {
        command.env_remove("CAU_SIP__BIND");
    }
    let status = Process::start("cau serve", &mut command, &log).unwrap().finish(Duration::from_secs(10));
    let words = fs::read_to_string(log).unwrap();
    assert_eq!(status.code(), Some(1), "{words}");
    let lines: Vec<&str> = words.lines().filter(|l| l.starts_with("cau: ")).collect();
    assert_eq!(lines.len(), 1, "one clear line: {words}");
    words
}

#[test]
fn a_wrong_configuration_names_key_line_and_remedy() {
    let words = refused("# test\n[sip]\nbnd = \"127.0.0.1:0\"\n", &[]);
    for part in ["cau.toml", "line 3", "sip.bnd", "did you mean `sip.bind`"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    let words = refused("[rtp]\nports = \"30000-20000\"\n", &[]);
    assert!(words.contains("line 2") && words.contains("rtp.ports"), "{words}");
    let words = refused("", &[("CAU_RTP__PRTS", "1-2")]);
    assert!(words.contains("CAU_RTP__PRTS") && words.contains("rtp.ports"), "{words}");
}

#[test]
fn a_port_in_use_is_named_and_the_one_who_has_it_is_not_disturbed() {
    let mut first = Server::start();
    let sip = first.sip.to_string();
    let words = refused("", &[("CAU_SIP__BIND", &sip)]);
    assert!(words.contains(&sip) && words.contains("sip.bind"), "{words}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let console = taken.local_addr().unwrap().to_string();
    let words = refused("", &[("CAU_CONTROL__BIND", &console)]);
    assert!(words.contains(&console) && words.contains("control.bind"), "{words}");
    drop(taken);
    // Only TCP is taken: UDP alone would be half a server.
    let udp_free = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = udp_free.local_addr().unwrap();
    drop(UdpSocket::bind(at).unwrap());
    let words = refused("", &[("CAU_SIP__BIND", &at.to_string())]);
    assert!(words.contains(&at.to_string()) && words.contains("TCP"), "{words}");
    assert_eq!(first.api.get("/readyz").0, 200);
    first.assert_well();
}

#[test]
fn a_data_directory_that_cannot_be_written_is_named() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "not a directory").unwrap();
    let words = refused("", &[("CAU_DATA_DIR", file.to_str().unwrap())]);
    assert!(words.contains(file.to_str().unwrap()) && words.contains("CAU_DATA_DIR"), "{words}");
}

#[test]
fn what_was_made_is_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().to_str().unwrap().to_owned();
    let first = Server::start_with(&[("CAU_DATA_DIR", &data)]);
    let id = first.conference("8000", serde_json::json!({ "layout": "2x2", "name": "Giao ban đầu tuần" }));
    drop(first);
    let mut second = Server::start_with(&[("CAU_DATA_DIR", &data)]);
    let (status, found) = second.api.get(&format!("/api/v1/conferences/{id}"));
    assert_eq!((status, found["name"].as_str()), (200, Some("Giao ban đầu tuần")), "{found}");
    assert_eq!(found["layout"], "2x2");
    second.assert_well();
}
