//! The server under test.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use rustix::process::Signal;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Api, child::Process, wait_for};

/// Of the user `admin`.
pub const PASSWORD: &str = "Dien-Tap-2026!";

/// A running `cau serve` with a folder of its own; it ends with the test.
pub struct Server {
    /// SIP over UDP and TCP.
    pub sip: SocketAddr,
    /// First and last RTP port.
    pub rtp: (u16, u16),
    /// The HTTP API, signed in as `admin`.
    pub api: Api,
    /// For what clients leave behind; kept when the test fails.
    pub out: PathBuf,
    process: Process,
    dir: Option<TempDir>,
    data: PathBuf,
    variables: Vec<(String, String)>,
}

impl Server {
    /// Starts one with the defaults.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with further `CAU_…` variables.
    pub fn start_with(extra: &[(&str, &str)]) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), extra)
    }

    /// Starts one that takes calls at this address of the machine.
    pub fn start_at(ip: IpAddr, extra: &[(&str, &str)]) -> Self {
        let dir = tempfile::Builder::new().prefix("cau-test-").tempdir().expect("a temporary folder");
        let own = extra.iter().find(|(key, _)| *key == "CAU_DATA_DIR").map(|(_, dir)| PathBuf::from(dir));
        let data = own.unwrap_or_else(|| dir.path().join("data"));
        let out = dir.path().join("out");
        fs::create_dir_all(&out).expect("a folder for the clients");
        let rtp = free_block(240);
        let mut variables: Vec<(String, String)> = [
            ("CAU_DATA_DIR", data.display().to_string()),
            ("CAU_SIP__BIND", SocketAddr::new(ip, 0).to_string()),
            ("CAU_CONTROL__BIND", "127.0.0.1:0".to_owned()),
            ("CAU_RTP__PORTS", format!("{}-{}", rtp.0, rtp.1)),
            ("CAU_ADMIN_PASSWORD", PASSWORD.to_owned()),
            // How busy the machine of the tests is must not decide what they find.
            ("CAU_CAPACITY__REFUSE", "false".to_owned()),
            ("CAU_CAPACITY__LEAST_FPS", "30".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        variables.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let (process, sip, http) = launch(dir.path(), &data, &variables);
        let sip = SocketAddr::new(ip, sip);
        let api = signed_in(http);
        Self { sip, rtp, api, out, process, dir: Some(dir), data, variables }
    }

    /// Kills it as a power cut would, and starts it again on the same addresses. Gives the moment of the kill.
    pub fn kill_and_restart(&mut self) -> Instant {
        let killed = Instant::now();
        self.process.signal(Signal::KILL);
        self.process.finish(Duration::from_secs(5));
        self.restart();
        killed
    }

    /// Lets it end in good order, and starts it again on the same addresses.
    pub fn drain_and_restart(&mut self) {
        self.process.signal(Signal::TERM);
        let status = self.process.finish(Duration::from_secs(30));
        assert!(status.success(), "{status}: {}", self.log());
        self.restart();
    }

    fn restart(&mut self) {
        let dir = self.dir.as_ref().expect("its folder").path().to_owned();
        let at = self.sip.to_string();
        let bind = self.variables.iter_mut().rfind(|(name, _)| name == "CAU_SIP__BIND");
        bind.expect("always set").1 = at;
        let (process, sip, http) = launch(&dir, &self.data, &self.variables);
        assert_eq!(sip, self.sip.port());
        self.process = process;
        self.api = signed_in(http);
    }

    /// Creates a conference and returns its id.
    pub fn conference(&self, room: &str, fields: Value) -> String {
        let mut body = json!({ "room": room, "name": format!("Phiên họp {room}") });
        if let (Value::Object(body), Value::Object(fields)) = (&mut body, fields) {
            body.extend(fields);
        }
        let (status, made) = self.api.post("/api/v1/conferences", &body);
        assert_eq!(status, 201, "creating room {room}: {made}");
        made["id"].as_str().expect("an id").to_owned()
    }

    /// `sip:ROOM@HOST:PORT`.
    pub fn uri(&self, room: &str) -> String {
        format!("sip:{room}@{}", self.sip)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What the server has said so far.
    pub fn log(&self) -> String {
        let path = self.dir.as_ref().map(|d| d.path().join("server.log"));
        path.and_then(|p| fs::read_to_string(p).ok()).unwrap_or_default()
    }

    /// Panics when the server has died or has spoken of a panic of its own.
    pub fn assert_well(&mut self) {
        assert!(self.process.ended().is_none(), "the server has died:\n{}", self.log());
        let log = self.log();
        assert!(!log.contains("panicked at"), "the server panicked:\n{log}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let keep = std::thread::panicking() || std::env::var_os("KEEP_TEST_DIRS").is_some();
        if let Some(dir) = self.dir.take().filter(|_| keep) {
            if self.process.ended().is_none() {
                let (_, metrics) = self.api.get("/metrics");
                let _ = fs::write(dir.path().join("metrics.txt"), metrics.as_str().unwrap_or_default());
            }
            eprintln!("kept for a look: {}", dir.keep().display());
        }
    }
}

/// Starts the program; its SIP and HTTP ports.
fn launch(dir: &Path, data: &Path, variables: &[(String, String)]) -> (Process, u16, u16) {
    let _ = fs::remove_file(data.join("ports.json"));
    let mut command = Command::new(crate::cau());
    command.current_dir(dir).arg("serve").envs(variables.iter().cloned());
    let log = dir.join("server.log");
    let mut process = Process::start("cau serve", &mut command, &log).expect("cau serve");
    let words = || fs::read_to_string(&log).unwrap_or_default();
    let ports = wait_for("ports.json", Duration::from_secs(15), || {
        assert!(process.ended().is_none(), "the server ended at once:\n{}", words());
        let text = fs::read_to_string(data.join("ports.json")).ok()?;
        serde_json::from_str::<Value>(&text).ok()
    });
    (process, port(&ports["sip"]), port(&ports["http"]))
}

fn signed_in(http: u16) -> Api {
    let api = Api::new(http);
    wait_for("/readyz", Duration::from_secs(10), || (api.get("/readyz").0 == 200).then_some(()));
    api.sign_in("admin", PASSWORD)
}

fn port(value: &Value) -> u16 {
    let text = value.as_str().and_then(|s| s.rsplit(':').next()).and_then(|s| s.parse().ok());
    let number = value.as_u64().and_then(|n| u16::try_from(n).ok());
    number.or(text).unwrap_or_else(|| panic!("no port in ports.json: {value}"))
}

/// A block of `count` UDP ports nobody uses now, different for every call in this process and mostly for every process.
pub fn free_block(count: u16) -> (u16, u16) {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..200 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let spread = (std::process::id() as u16 % 37) * 500;
        let first = 11_000 + (spread + step * count.next_multiple_of(20)) % 20_000;
        let free = (first..first + count).step_by(7).all(|p| UdpSocket::bind(("127.0.0.1", p)).is_ok());
        if free {
            return (first, first + count - 1);
        }
    }
    panic!("no {count} free UDP ports in a row");
}

/// A port free for UDP and TCP and the next one too.
pub fn free_port() -> u16 {
    for _ in 0..200 {
        let (first, _) = free_block(20);
        if (first..first + 2).all(|p| TcpListener::bind(("127.0.0.1", p)).is_ok()) {
            return first;
        }
    }
    panic!("no free port");
}
