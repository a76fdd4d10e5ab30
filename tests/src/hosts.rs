//! Several hosts on this machine: network namespaces joined by lines of veth, made by tests and benchmarks and removed by them. Needs root, `ip`, `tc`
//! and `iptables`.
//!
//! ```text
//!  host ── out ═══ line N ── host above        without delay: one veth
//!  host ── out ═══ a ─ relay ─ b ═══ line N ── host above        with: the relay holds every frame back
//! ```
//! A host has one address, `10.99.0.N`, whichever line it is reached by; it reaches the one above and those below, and nobody else.

mod relay;

use std::{
    fs::{self, File},
    net::{IpAddr, Ipv4Addr},
    os::fd::AsFd,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU8, Ordering::Relaxed},
    thread,
    time::Duration,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The largest packet on a line.
const MTU: &str = "1400";
/// Bytes that may leave at once: no more than a packet, so that what the kernel got in one call is taken apart before it is lost.
const BURST: &str = "1600";
/// What waits longer for its turn is thrown away.
const QUEUE: &str = "300ms";
/// All namespaces of ours begin so; then comes the number of the process.
const PREFIX: &str = "cau-host-";

/// What a line does, in each direction for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Line {
    /// Mbit/s it carries; what waits longer than 300 ms is lost. `None`: all.
    pub mbits: Option<u32>,
    /// Share of packets it loses, UDP and TCP, each for itself.
    pub loss: f64,
    /// Time every packet takes.
    pub delay: Duration,
}

/// A host; removed with its line when dropped.
#[derive(Debug)]
pub struct Host {
    number: u8,
    /// The one above.
    above: Option<u8>,
}

impl Host {
    /// A host on its own, to which others are joined.
    pub fn new() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        clear();
        let host = Self { number: NEXT.fetch_add(1, Relaxed), above: None };
        assert!(host.number < u8::MAX, "too many hosts in one process");
        run(&["ip", "netns", "add", &host.space()]);
        host.within(&["ip", "link", "set", "lo", "up"]);
        host.within(&["ip", "address", "add", &format!("{}/32", host.address()), "dev", "lo"]);
        // Many networks throw fragments away, and so do these.
        host.within(&["iptables", "-t", "raw", "-A", "PREROUTING", "-f", "-j", "DROP"]);
        host
    }

    /// A host joined to this one by a line.
    #[must_use]
    pub fn join(&self, line: Line) -> Self {
        let mut host = Self::new();
        host.above = Some(self.number);
        let ends = [(self, host.line_above()), (&host, "out".to_owned())];
        if line.delay.is_zero() {
            let far = ["peer", "name", "out", "netns", &host.space()];
            self.within(
                &[["ip", "link", "add", &ends[0].1, "type", "veth"].as_slice(), far.as_slice()].concat(),
            );
        } else {
            let [a, b] = ["a", "b"].map(|end| format!("c{}x{}{end}", std::process::id(), host.number));
            for ((at, device), end) in ends.iter().zip([&b, &a]) {
                let space = at.space();
                run(&["ip", "link", "add", end, "type", "veth", "peer", "name", device, "netns", &space]);
            }
            relay::start([&a, &b], line.delay, MTU);
        }
        for ((at, device), other) in ends.iter().zip([&host, self]) {
            // One packet at a time, as on a wire: what is sent in one call is not lost or delayed as one.
            at.within(&["ip", "link", "set", device, "mtu", MTU, "gso_max_segs", "1", "up"]);
            let (to, from) = (other.address().to_string(), at.address().to_string());
            at.within(&["ip", "route", "add", &to, "dev", device, "scope", "link", "src", &from]);
            if let Some(mbits) = line.mbits {
                let rate = format!("{mbits}mbit");
                let shape = ["root", "tbf", "rate", &rate, "burst", BURST, "latency", QUEUE];
                at.within(&[["tc", "qdisc", "add", "dev", device].as_slice(), shape.as_slice()].concat());
            }
        }
        host.lose(line.loss);
        host
    }

    /// Its address.
    pub fn address(&self) -> IpAddr {
        IpAddr::V4(address(self.number))
    }

    /// From now on its line loses this share of packets, each for itself, both ways; 1: it is cut.
    pub fn lose(&self, share: f64) {
        let Some(above) = self.above else { return };
        let ends = [(space(above), self.line_above()), (self.space(), "out".to_owned())];
        for (at, device) in ends {
            let chain = format!("lose-{device}");
            let table = ["ip", "netns", "exec", &at, "iptables", "-t", "raw"];
            let rule = |rest: &[&str]| run(&[table.as_slice(), rest].concat());
            if quietly(&[table.as_slice(), &["-N", &chain]].concat()) {
                rule(&["-A", "PREROUTING", "-i", &device, "-j", &chain]);
            }
            rule(&["-F", &chain]);
            if share >= 1.0 {
                rule(&["-A", &chain, "-j", "DROP"]);
            } else if share > 0.0 {
                let chance = share.to_string();
                let dice = ["-m", "statistic", "--mode", "random", "--probability", &chance, "-j", "DROP"];
                rule(&[["-A", &chain].as_slice(), dice.as_slice()].concat());
            }
        }
    }

    /// Runs `work` with a thread at this host; threads and processes it begins are there, too.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let space = self.space();
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let file = File::open(Path::new("/run/netns").join(space)).expect("the namespace");
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("root");
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn space(&self) -> String {
        space(self.number)
    }

    /// The end of its line at the host above.
    fn line_above(&self) -> String {
        format!("line{}", self.number)
    }

    fn within(&self, command: &[&str]) {
        run(&[&["ip", "netns", "exec", &self.space()], command].concat());
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Its ends of lines go with it, and with them the other ends and the relay's.
        quietly(&["ip", "netns", "delete", &self.space()]);
    }
}

/// Whether hosts can be made here; the reason when not.
pub fn possible() -> Result<(), String> {
    if !rustix::process::geteuid().is_root() {
        return Err("not root".into());
    }
    let missing = |tool: &&str| Command::new(tool).arg("--version").output().is_err();
    ["ip", "iptables"].iter().find(|tool| missing(tool)).map_or(Ok(()), |tool| Err(format!("no {tool}")))
}

fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 99, 0, number)
}

fn space(number: u8) -> String {
    format!("{PREFIX}{}-{number}", std::process::id())
}

/// Removes what runs that were killed have left behind.
fn clear() {
    let Ok(spaces) = fs::read_dir("/run/netns") else { return };
    for name in spaces.filter_map(|e| e.ok()?.file_name().into_string().ok()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            quietly(&["ip", "netns", "delete", &name]);
        }
    }
}

/// Whether it went well.
fn quietly(command: &[&str]) -> bool {
    let [program, arguments @ ..] = command else { return false };
    let done = Command::new(program).args(arguments).output();
    done.is_ok_and(|done| done.status.success())
}

fn run(command: &[&str]) {
    let [program, arguments @ ..] = command else { return };
    let status = Command::new(program).args(arguments).status();
    let well = status.as_ref().is_ok_and(|s| s.success());
    assert!(well, "{}: {status:?} (needs root, iproute2 and iptables)", command.join(" "));
}
