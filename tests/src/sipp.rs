//! sipp, the SIP test tool: scenarios as XML.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    child::Process,
    server::{free_block, free_port},
};

/// A sipp about to be started: its folder, its address, its command line.
struct Sipp {
    dir: PathBuf,
    at: SocketAddr,
    command: Command,
}

impl Sipp {
    fn new(out: &Path, name: &str) -> Self {
        let dir = out.join(format!("sipp-{name}"));
        fs::create_dir_all(&dir).expect("a folder for sipp");
        let at = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = Command::new("sipp");
        command.current_dir(&dir).args(["-i", "127.0.0.1", "-p", &at.port().to_string()]);
        command.args(["-mp", &free_block(8).0.to_string(), "-nostdin"]);
        command.args(["-trace_err", "-error_file", "errors.log"]);
        // What it did, line by line of a table, every second.
        command.args(["-trace_stat", "-stf", "stats.csv", "-fd", "1"]);
        Self { dir, at, command }
    }

    fn with(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    fn playing(mut self, scenario: &str) -> Self {
        let file = self.dir.join("scenario.xml");
        fs::write(&file, scenario).expect("the scenario");
        self.command.arg("-sf").arg(&file);
        self
    }

    fn calling(mut self, target: SocketAddr, room: &str) -> Self {
        self.command.arg(target.to_string()).args(["-s", room]);
        self
    }

    fn start(&mut self) -> Process {
        Process::start("sipp", &mut self.command, &self.dir.join("sipp.log")).expect("sipp")
    }

    fn words(&self, file: &str) -> String {
        fs::read_to_string(self.dir.join(file)).unwrap_or_default()
    }
}

/// Plays `scenario` (XML) once against `target`, calling `room`; panics with sipp's words when the server does not play along.
pub fn play(dir: &Path, name: &str, scenario: &str, target: SocketAddr, room: &str) {
    play_over(dir, name, scenario, target, room, "u1");
}

/// Like [`play`], over sipp's transport `u1` (UDP) or `t1` (TCP).
pub fn play_over(dir: &Path, name: &str, scenario: &str, target: SocketAddr, room: &str, transport: &str) {
    let mut sipp = Sipp::new(dir, name)
        .calling(target, room)
        .playing(scenario)
        .with(&["-m", "1", "-l", "1", "-t", transport, "-timeout", "20s", "-timeout_error"])
        .with(&["-trace_msg", "-message_file", "messages.log"]);
    let status = sipp.start().finish(Duration::from_secs(30));
    let words = (sipp.words("errors.log"), sipp.words("messages.log"));
    assert!(status.success(), "sipp {name}: {status}\n{}\n{}", words.0, words.1);
}

/// What a sipp has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Calls begun, in or out.
    pub begun: u64,
    /// Calls that went as the scenario says.
    pub done: u64,
    /// Calls that did not.
    pub failed: u64,
    /// Messages it had to send again.
    pub repeated: u64,
}

/// `calls` calls at `rate` a second, each from a site of its own that stays for `stay`; what became of them.
pub fn load(
    dir: &Path,
    name: &str,
    target: SocketAddr,
    room: &str,
    (calls, rate): (u32, u32),
    stay: Duration,
) -> Tally {
    let limit = Duration::from_secs(u64::from(calls / rate)) + stay + Duration::from_secs(35);
    let mut sipp = Sipp::new(dir, name).calling(target, room).playing(&caller(stay)).with(&[
        "-m",
        &calls.to_string(),
        "-r",
        &rate.to_string(),
        "-l",
        &calls.to_string(),
        "-timeout",
        &format!("{}s", limit.as_secs()),
    ]);
    let status = sipp.start().finish(limit + Duration::from_secs(5));
    let tally = tally(&sipp.dir);
    // 1: calls have failed, which the tally tells.
    assert!(matches!(status.code(), Some(0 | 1)), "sipp: {status}\n{}", sipp.words("errors.log"));
    if tally.failed > 0 {
        eprintln!("{}", sipp.words("errors.log").lines().take(40).collect::<Vec<_>>().join("\n"));
    }
    tally
}

fn tally(dir: &Path) -> Tally {
    let table = fs::read_to_string(dir.join("stats.csv")).unwrap_or_default();
    let mut lines = table.lines();
    let heads: Vec<&str> = lines.next().unwrap_or_default().split(';').collect();
    let last: Vec<&str> = lines.next_back().unwrap_or_default().split(';').collect();
    let cell = |name: &str| {
        let at = heads.iter().position(|h| *h == name)?;
        last.get(at)?.trim().parse().ok()
    };
    let number = |name: &str| cell(name).unwrap_or_default();
    Tally {
        begun: number("TotalCallCreated"),
        done: number("SuccessfulCall(C)"),
        failed: number("FailedCall(C)"),
        repeated: number("Retransmissions(C)"),
    }
}

/// A sipp that takes calls.
pub struct Callee {
    dir: PathBuf,
    process: Process,
}

impl Callee {
    /// What it has done up to a second ago.
    pub fn tally(&self) -> Tally {
        tally(&self.dir)
    }

    /// Waits until it has begun so many calls and ended them all; what became of them.
    pub fn finished(&mut self, calls: u64, limit: Duration) -> Tally {
        crate::wait_for("sipp's calls to end", limit, || {
            assert!(self.process.ended().is_none(), "sipp has ended");
            Some(self.tally()).filter(|t| t.begun >= calls && t.done + t.failed >= calls)
        })
    }
}

/// A sipp that waits for calls and does what `scenario` says (`None`: takes them, sound only); gives its address. It ends with the test.
pub fn callee(dir: &Path, name: &str, scenario: Option<&str>) -> (Callee, SocketAddr) {
    let sipp = Sipp::new(dir, name);
    let mut sipp = match scenario {
        Some(scenario) => sipp.playing(scenario),
        None => sipp.with(&["-sn", "uas"]),
    };
    let process = sipp.start();
    (Callee { dir: sipp.dir, process }, sipp.at)
}

/// A scenario of these steps.
fn scenario(name: &str, steps: &[&str]) -> String {
    let steps = steps.concat();
    format!(
        "<?xml version=\"1.0\" encoding=\"ISO-8859-1\" ?>\n<scenario name=\"{name}\">\n{steps}</scenario>\n"
    )
}

/// The step that sends this message; `body` is a description. Requests and 2xx to INVITE are repeated until they are answered.
fn send(head: &str, body: &str, repeated: bool) -> String {
    let retrans = if repeated { " retrans=\"500\"" } else { "" };
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\n" };
    format!("<send{retrans}><![CDATA[\n{head}\n{kind}Content-Length: [len]\n\n{body}\n]]></send>\n")
}

/// The head of a response to the request that came last: its first line (and further headers, line by line).
fn response(first: &str) -> String {
    response_to(first, "[last_CSeq:]")
}

fn response_to(first: &str, cseq: &str) -> String {
    let first = first.replace("\r\n", "\n");
    format!("{first}\n[last_Via:]\n[last_From:]\n[last_To:];tag=[call_number]\n[last_Call-ID:]\n{cseq}")
}

/// The step that waits for this request.
fn recv(request: &str) -> String {
    format!("<recv request=\"{request}\"/>\n")
}

/// G.711 at sipp's media port.
const SOUND: &str = "v=0
o=sipp 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000
";

/// A scenario that answers the INVITE with these lines of a final response (status line and further headers).
pub fn refusing(first: &str) -> String {
    scenario("refusing", &[&recv("INVITE"), &send(&response(first), "", false), &recv("ACK")])
}

/// A scenario that rings until it is cancelled.
pub fn ringing() -> String {
    let ended = response_to("SIP/2.0 487 Request Terminated", "CSeq: [cseq] INVITE");
    scenario(
        "ringing",
        &[
            &recv("INVITE"),
            &send(&response("SIP/2.0 180 Ringing"), "", false),
            &recv("CANCEL"),
            &send(&response("SIP/2.0 200 OK"), "", false),
            &send(&ended, "", false),
            &recv("ACK"),
        ],
    )
}

/// A scenario that rings, takes the call, and hangs up after `stay`.
pub fn leaving(stay: Duration) -> String {
    let invited = "<recv request=\"INVITE\"><action>
<ereg regexp=\".*\" search_in=\"hdr\" header=\"From:\" assign_to=\"1\"/>
<ereg regexp=\".*\" search_in=\"hdr\" header=\"To:\" assign_to=\"2\"/>
<ereg regexp=\"sip:[a-zA-Z0-9@.:_-]*\" search_in=\"hdr\" header=\"Contact:\" assign_to=\"3\"/>
</action></recv>\n";
    let bye = "BYE [$3] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From:[$2];tag=[call_number]
To:[$1]
Call-ID: [call_id]
CSeq: 1 BYE";
    let contact = "\nContact: <sip:sipp@[local_ip]:[local_port]>";
    scenario(
        "leaving",
        &[
            invited,
            &send(&response("SIP/2.0 180 Ringing"), "", false),
            &send(&(response("SIP/2.0 200 OK") + contact), SOUND, true),
            &recv("ACK"),
            &pause(stay),
            &send(bye, "", true),
            "<recv response=\"200\"/>\n",
        ],
    )
}

fn pause(time: Duration) -> String {
    format!("<pause milliseconds=\"{}\"/>\n", time.as_millis())
}

/// A scenario that calls, each time from another site, and hangs up after `stay`.
fn caller(stay: Duration) -> String {
    let request = |method: &str, number: u8, tag: &str, more: &str| {
        format!(
            "{method} sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <sip:xa[call_number]@[local_ip]:[local_port]>;tag=[pid]c[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>{tag}
Call-ID: [call_id]
CSeq: {number} {method}{more}"
        )
    };
    let contact = "\nContact: <sip:xa[call_number]@[local_ip]:[local_port]>";
    scenario(
        "caller",
        &[
            &send(&request("INVITE", 1, "", contact), SOUND, true),
            "<recv response=\"100\" optional=\"true\"/>\n<recv response=\"180\" optional=\"true\"/>\n<recv response=\"200\"/>\n",
            &send(&request("ACK", 1, "[peer_tag_param]", ""), "", false),
            &pause(stay),
            &send(&request("BYE", 2, "[peer_tag_param]", ""), "", true),
            "<recv response=\"200\"/>\n",
        ],
    )
}
