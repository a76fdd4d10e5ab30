//! Several hosts on this machine: network namespaces joined by veth, made by the benchmark and removed by it.

use std::{
    fs::{self, File},
    net::{IpAddr, Ipv4Addr},
    os::fd::AsFd,
    path::Path,
    process::Command,
    thread,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// What the lines carry, and the largest packet on them.
const RATE: &str = "2mbit";
const MTU: &str = "1400";
/// Bytes that may leave at once: no more than a packet, so that what the kernel got in one call is taken apart before it is lost.
const BURST: &str = "1600";
/// What waits longer for its turn is thrown away.
const QUEUE: &str = "300ms";
/// All of ours begin so; then comes the number of the process.
const PREFIX: &str = "cau-bench-";

/// A hall with the bridge, and sites behind thin lines. Needs root, `ip`, `tc` and `iptables`.
pub struct Country {
    /// Number of sites.
    pub sites: usize,
}

impl Country {
    /// The bridge's address: in the hall, and reached from every site.
    pub const HALL: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1));

    /// Makes it.
    pub fn new(sites: usize) -> Self {
        clear();
        let country = Self { sites };
        let hall = country.hall();
        run(&["ip", "netns", "add", &hall]);
        within(&hall, &["ip", "link", "set", "lo", "up"]);
        within(&hall, &["ip", "address", "add", &format!("{}/32", Self::HALL), "dev", "lo"]);
        for n in 1..=sites {
            country.build(&hall, n);
        }
        country
    }

    /// Name of the hall's namespace.
    pub fn hall(&self) -> String {
        format!("{PREFIX}{}-0", std::process::id())
    }

    /// Name of a site's namespace, from 1.
    pub fn site(&self, n: usize) -> String {
        format!("{PREFIX}{}-{n}", std::process::id())
    }

    /// A site's address.
    pub fn address(n: usize) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 99, n as u8, 2))
    }

    fn build(&self, hall: &str, n: usize) {
        let (site, here, there) = (self.site(n), format!("line{n}"), format!("out{n}"));
        run(&["ip", "netns", "add", &site]);
        let pair = ["type", "veth", "peer", "name", &there, "netns", &site];
        within(hall, &[["ip", "link", "add", &here].as_slice(), pair.as_slice()].concat());
        let ends =
            [(hall, &here, format!("10.99.{n}.1/24")), (&site, &there, format!("{}/24", Self::address(n)))];
        within(&site, &["ip", "link", "set", "lo", "up"]);
        for (space, device, address) in ends {
            within(space, &["ip", "address", "add", &address, "dev", device]);
            within(space, &["ip", "link", "set", device, "mtu", MTU, "up"]);
            let shape = ["root", "tbf", "rate", RATE, "burst", BURST, "latency", QUEUE];
            within(space, &[["tc", "qdisc", "add", "dev", device].as_slice(), shape.as_slice()].concat());
            within(space, &["iptables", "-t", "raw", "-A", "PREROUTING", "-f", "-j", "DROP"]);
        }
        let gate = format!("10.99.{n}.1");
        within(&site, &["ip", "route", "add", &Self::HALL.to_string(), "via", &gate]);
    }

    /// From now on every line loses this share of packets, each for itself, both ways.
    pub fn lose(&self, share: f64) {
        for n in 1..=self.sites {
            let ends = [(self.hall(), format!("line{n}")), (self.site(n), format!("out{n}"))];
            for (space, device) in ends {
                if n == 1 || space != self.hall() {
                    within(&space, &["iptables", "-F", "INPUT"]);
                }
                if share > 0.0 {
                    let chance = share.to_string();
                    let rule = ["iptables", "-A", "INPUT", "-i", &device, "-p", "udp", "-m", "statistic"];
                    let dice = ["--mode", "random", "--probability", &chance, "-j", "DROP"];
                    within(&space, &[rule.as_slice(), dice.as_slice()].concat());
                }
            }
        }
    }
}

impl Drop for Country {
    fn drop(&mut self) {
        for n in 0..=self.sites {
            let _ = Command::new("ip").args(["netns", "delete", &self.site(n)]).status();
        }
    }
}

/// Runs `work` with a thread in this namespace; threads and processes it begins are there, too.
pub fn inside<T: Send>(space: &str, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let file = File::open(Path::new("/run/netns").join(space)).expect("the namespace");
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("root");
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Removes what runs that were killed have left behind.
fn clear() {
    let Ok(spaces) = fs::read_dir("/run/netns") else { return };
    for name in spaces.filter_map(|e| e.ok()?.file_name().into_string().ok()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            run(&["ip", "netns", "delete", &name]);
        }
    }
}

fn within(space: &str, command: &[&str]) {
    run(&[&["ip", "netns", "exec", space], command].concat());
}

fn run(command: &[&str]) {
    let [program, arguments @ ..] = command else { return };
    let status = Command::new(program).args(arguments).status();
    let well = status.as_ref().is_ok_and(|s| s.success());
    assert!(well, "{}: {status:?} (needs root, iproute2 and iptables)", command.join(" "));
}
