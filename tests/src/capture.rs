//! One capture on the loopback sees both ends on one clock.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use crate::{child::Process, kit, pause, python};

/// A running tcpdump of some UDP ports of the loopback.
pub struct Capture {
    file: PathBuf,
    process: Option<Process>,
}

impl Capture {
    /// Starts one; it needs the right to capture (root in a container).
    pub fn start(dir: &Path, ports: (u16, u16)) -> Self {
        let file = dir.join("capture.pcap");
        let mut command = Command::new("tcpdump");
        command
            .args(["-i", "lo", "-s0", "-U", "-B", "16384", "-w"])
            .arg(&file)
            .arg(format!("udp portrange {}-{}", ports.0, ports.1));
        let mut process = Process::start("tcpdump", &mut command, &dir.join("tcpdump.log")).expect("tcpdump");
        crate::wait_for("tcpdump to listen", Duration::from_secs(5), || {
            assert!(process.ended().is_none(), "tcpdump ended: it needs the right to capture");
            file.exists().then_some(())
        });
        Self { file, process: Some(process) }
    }

    /// Ends it and lets the judge read it: one object per video or sound stream.
    pub fn judge(mut self) -> Vec<Value> {
        // What is still on its way into the file.
        pause(Duration::from_millis(300));
        drop(self.process.take());
        let out = Command::new(python())
            .arg(kit("judge.py"))
            .arg("pcap")
            .arg(&self.file)
            .output()
            .expect("judge.py");
        assert!(out.status.success(), "judge.py pcap: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout)
            .lines()
            .map(|l| serde_json::from_str(l).expect("a line of JSON"))
            .collect()
    }
}
