//! sipp, the SIP test tool: scenarios as XML.

use std::{fs, net::SocketAddr, path::Path, process::Command, time::Duration};

use crate::{child::Process, server::free_port};

/// Plays `scenario` (XML) once against `target`, calling `room`; panics with sipp's words when the server does not play along.
pub fn play(dir: &Path, name: &str, scenario: &str, target: SocketAddr, room: &str) {
    play_over(dir, name, scenario, target, room, "u1");
}

/// Like [`play`], over sipp's transport `u1` (UDP) or `t1` (TCP).
pub fn play_over(dir: &Path, name: &str, scenario: &str, target: SocketAddr, room: &str, transport: &str) {
    let dir = dir.join(format!("sipp-{name}"));
    fs::create_dir_all(&dir).expect("a folder for sipp");
    let file = dir.join("scenario.xml");
    fs::write(&file, scenario).expect("the scenario");
    let mut command = Command::new("sipp");
    command
        .current_dir(&dir)
        .arg(target.to_string())
        .args(["-sf"])
        .arg(&file)
        .args([
            "-s",
            room,
            "-m",
            "1",
            "-l",
            "1",
            "-t",
            transport,
            "-i",
            "127.0.0.1",
            "-p",
            &free_port().to_string(),
        ])
        .args(["-mp", &crate::server::free_block(8).0.to_string()])
        .args(["-timeout", "20s", "-timeout_error", "-trace_err", "-trace_msg", "-nostdin"])
        .args(["-error_file", "errors.log", "-message_file", "messages.log"]);
    let mut process = Process::start("sipp", &mut command, &dir.join("sipp.log")).expect("sipp");
    let status = process.finish(Duration::from_secs(30));
    let words = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
    assert!(status.success(), "sipp {name}: {status}\n{}\n{}", words("errors.log"), words("messages.log"));
}

/// `calls` calls of sipp's own caller scenario at `rate` a second, each standing for a second; panics when one fails.
pub fn load(dir: &Path, target: SocketAddr, room: &str, calls: u32, rate: u32) {
    let dir = dir.join("sipp-load");
    fs::create_dir_all(&dir).expect("a folder for sipp");
    let mut command = Command::new("sipp");
    command
        .current_dir(&dir)
        .arg(target.to_string())
        .args(["-sn", "uac", "-s", room, "-d", "1000", "-m", &calls.to_string(), "-r", &rate.to_string()])
        .args([
            "-i",
            "127.0.0.1",
            "-p",
            &free_port().to_string(),
            "-timeout",
            "40s",
            "-timeout_error",
            "-nostdin",
        ])
        .args([
            "-trace_err",
            "-error_file",
            "errors.log",
            "-mp",
            &crate::server::free_block(8).0.to_string(),
        ]);
    let mut process = Process::start("sipp", &mut command, &dir.join("sipp.log")).expect("sipp");
    let status = process.finish(Duration::from_secs(45));
    let words = fs::read_to_string(dir.join("errors.log")).unwrap_or_default();
    assert!(status.success(), "sipp: {status}\n{words}");
}

/// A sipp that waits for calls and does what `scenario` says (`None`: takes them, sound only); gives its address. It ends with the test.
pub fn callee(dir: &Path, name: &str, scenario: Option<&str>) -> (Process, SocketAddr) {
    let dir = dir.join(format!("sipp-{name}"));
    fs::create_dir_all(&dir).expect("a folder for sipp");
    let port = free_port();
    let mut command = Command::new("sipp");
    command.current_dir(&dir);
    match scenario {
        Some(scenario) => {
            let file = dir.join("scenario.xml");
            fs::write(&file, scenario).expect("the scenario");
            command.arg("-sf").arg(&file);
        }
        None => drop(command.args(["-sn", "uas"])),
    }
    command
        .args([
            "-i",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "-mp",
            &crate::server::free_block(8).0.to_string(),
        ])
        .args(["-trace_err", "-error_file", "errors.log", "-nostdin"]);
    let process = Process::start("sipp", &mut command, &dir.join("sipp.log")).expect("sipp");
    (process, SocketAddr::from(([127, 0, 0, 1], port)))
}

/// A scenario that answers the INVITE with these lines of a final response (status line and further headers).
pub fn refusing(response: &str) -> String {
    let head = r#"[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0"#;
    format!(
        r#"<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="refusing">
<recv request="INVITE"/>
<send><![CDATA[
{}
{head}

]]></send>
<recv request="ACK"/>
</scenario>"#,
        response.replace("\r\n", "\n")
    )
}

/// A scenario that rings until it is cancelled.
pub const RINGING: &str = r#"<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="ringing">
<recv request="INVITE"><action><ereg regexp="z9hG4bK[^;]*" search_in="hdr" header="Via:" assign_to="1"/></action></recv>
<send><![CDATA[
SIP/2.0 180 Ringing
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
<recv request="CANCEL"/>
<send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
<send><![CDATA[
SIP/2.0 487 Request Terminated
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
CSeq: [cseq] INVITE
Content-Length: 0

]]></send>
<recv request="ACK"/>
<Reference variables="1"/>
</scenario>"#;
