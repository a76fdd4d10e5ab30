//! Clients nobody here wrote.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{Judged, Server, child::Process, kit, python, server::free_block, target};

/// A client that will call.
struct Plan {
    kind: &'static str,
    id: u8,
    seconds: f64,
    arguments: Vec<String>,
}

/// A baresip to be started.
pub struct Baresip(Plan);

/// A linphonec to be started.
pub struct Linphone(Plan);

impl Baresip {
    /// Identity 0–7, in the call for `seconds`.
    pub fn new(id: u8, seconds: f64) -> Self {
        Self(Plan { kind: "baresip", id, seconds, arguments: Vec::new() }).with("--snap", "1")
    }

    /// An option of `bsip.py`.
    #[must_use]
    pub fn with(mut self, option: &str, value: &str) -> Self {
        self.0.arguments.extend([option.to_owned(), value.to_owned()]);
        self
    }

    /// A baresip command so many seconds after the call stands.
    #[must_use]
    pub fn at(self, seconds: f64, command: &str) -> Self {
        self.with("--at", &format!("{seconds}:{command}"))
    }

    /// Dials a room of the server.
    pub fn dial(mut self, server: &Server, room: &str) -> Running {
        self.ports();
        let tcp = self.0.arguments.iter().any(|a| a == "tcp");
        let target = format!("{}{}", server.uri(room), if tcp { ";transport=tcp" } else { "" });
        self.0.start(&server.out, &target)
    }

    /// Dials any address; what it receives goes to `out`.
    pub fn dial_to(mut self, out: &Path, target: &str) -> Running {
        self.ports();
        self.0.start(out, target)
    }

    /// Waits for a call and takes it; gives the address to call.
    pub fn answer(mut self, out: &Path) -> (Running, String) {
        let sip = self.ports();
        let uri = format!("sip:ep{}@127.0.0.1:{sip}", self.0.id);
        (self.0.start(out, "answer"), uri)
    }

    /// The same at this port.
    pub fn answer_at(mut self, out: &Path, sip: u16) -> Running {
        self.ports_at(sip);
        self.0.start(out, "answer")
    }

    /// Ports of its own: SIP (given back) and RTP.
    fn ports(&mut self) -> u16 {
        let sip = free_block(4).0;
        self.ports_at(sip);
        sip
    }

    fn ports_at(&mut self, sip: u16) {
        let rtp = free_block(20).0;
        let control = (sip + 2).to_string();
        self.0.arguments.extend(["--sip".into(), format!("127.0.0.1:{sip}"), "--ctrl".into(), control]);
        self.0.arguments.extend(["--rtp".into(), rtp.to_string()]);
    }
}

impl Linphone {
    /// Identity 0–7, in the call for `seconds`; H.264, a new picture every second.
    pub fn new(id: u8, seconds: f64) -> Self {
        let arguments = ["--vcodec", "h264", "--live"].map(str::to_owned).to_vec();
        Self(Plan { kind: "linphone", id, seconds, arguments })
    }

    /// An option of `lin.py`.
    #[must_use]
    pub fn with(mut self, option: &[&str]) -> Self {
        self.0.arguments.extend(option.iter().map(|o| (*o).to_owned()));
        self
    }

    /// A linphonec command so many seconds after the call stands.
    #[must_use]
    pub fn at(self, seconds: f64, command: &str) -> Self {
        self.with(&["--at", &format!("{seconds}:{command}")])
    }

    /// Dials a room of the server.
    pub fn dial(mut self, server: &Server, room: &str) -> Running {
        let port = free_block(4).0;
        let rtp = free_block(20).0;
        self.0.arguments.extend(["--port".into(), port.to_string(), "--rtp".into(), rtp.to_string()]);
        self.0.start(&server.out, &server.uri(room))
    }
}

impl Plan {
    fn start(self, out: &Path, target: &str) -> Running {
        let dir = out.join(format!("{}{}", self.kind, self.id));
        fs::create_dir_all(&dir).expect("a folder for the client");
        let patterns = patterns(self.id);
        let mut command = Command::new(kit("endpoint.sh"));
        command
            .env("PY", python())
            .env("PAT", patterns)
            .args([self.kind, &self.id.to_string(), target, &self.seconds.to_string()])
            .arg(&dir)
            .args(&self.arguments);
        let name = format!("{} {}", self.kind, self.id);
        let process =
            Process::start(&name, &mut command, &dir.join("driver.log")).expect("the client's driver");
        Running { id: self.id, seconds: self.seconds, dir, process }
    }
}

/// A client that runs.
pub struct Running {
    /// Its identity.
    pub id: u8,
    /// Where it leaves what it received.
    pub dir: PathBuf,
    seconds: f64,
    process: Process,
}

impl Running {
    /// Waits for its end and reads what it received.
    pub fn judge(mut self) -> Judged {
        self.process.finish(Duration::from_secs_f64(self.seconds + 60.0));
        let judged = Judged::read(self.id, &self.dir);
        let log = fs::read_to_string(self.dir.join("log.txt")).unwrap_or_default();
        assert!(
            judged.summary.established,
            "client {} did not get into the conference: {:?}\n{log}",
            self.id, judged.summary
        );
        judged
    }
}

/// The folder of patterns, with those of `id` made when missing (a minute of them; kept in the build folder).
fn patterns(id: u8) -> PathBuf {
    static MAKING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let dir = target().join("patterns");
    if !dir.join(format!("made{id}")).exists() {
        let made =
            Command::new(python()).arg(kit("mkpat.py")).arg(id.to_string()).arg(&dir).arg("60").status();
        assert!(made.is_ok_and(|s| s.success()), "mkpat.py {id} failed");
        fs::write(dir.join(format!("made{id}")), "").expect("a mark that the pattern is whole");
    }
    dir
}
