//! What the sockets of this process lose, by cause.
//!
//! Like the sockets themselves these counters belong to the process; the cores count what they drop themselves.

use std::{
    collections::HashMap,
    fs,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Counts one cause.
pub(crate) struct Count {
    name: &'static str,
    count: AtomicU64,
}

impl Count {
    const fn new(name: &'static str) -> Self {
        Self { name, count: AtomicU64::new(0) }
    }

    pub(crate) fn add(&self) {
        self.count.fetch_add(1, Relaxed);
    }
}

/// SIP datagrams the system refused to send, or for which there is no socket.
pub(crate) static SIP_UNSENDABLE: Count = Count::new("sip-unsendable");
/// SIP messages for a connection that is gone.
pub(crate) static SIP_GONE: Count = Count::new("sip-connection-gone");
/// SIP connections closed because they did not take what was written to them.
pub(crate) static SIP_SLOW: Count = Count::new("sip-slow-reader");
/// SIP connections closed at once because there were too many.
pub(crate) static SIP_REFUSED: Count = Count::new("sip-too-many-connections");
/// Calls of the system to send media that failed: a full socket buffer, no way there.
pub(crate) static MEDIA_UNSENDABLE: Count = Count::new("media-unsendable");
/// Media for a socket that is closed.
pub(crate) static MEDIA_GONE: Count = Count::new("media-socket-gone");

static RECEIVE: Mutex<Option<Receive>> = Mutex::new(None);

/// What the sockets lost since the start, by cause; the names hold still. Reads the system's tables: some milliseconds with many
/// sockets. What a socket lost between the last call and its closing is not seen.
pub fn by_cause() -> Vec<(&'static str, u64)> {
    let own = [&SIP_UNSENDABLE, &SIP_GONE, &SIP_SLOW, &SIP_REFUSED, &MEDIA_UNSENDABLE, &MEDIA_GONE];
    let mut all: Vec<_> = own.iter().map(|c| (c.name, c.count.load(Relaxed))).collect();
    let mut receive = RECEIVE.lock().unwrap_or_else(PoisonError::into_inner);
    let receive = receive.get_or_insert_default();
    let tables: Vec<String> = ["udp", "udp6"]
        .iter()
        .filter_map(|t| fs::read_to_string(format!("/proc/self/net/{t}")).ok())
        .collect();
    receive.take(tables.iter().flat_map(|t| lost(t)), &sockets());
    all.push(("receive-buffer-full", receive.total));
    all
}

/// Inodes of the sockets of this process.
fn sockets() -> Vec<u64> {
    let files = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    files
        .filter_map(|file| fs::read_link(file.path()).ok())
        .filter_map(|link| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok())
        .collect()
}

/// Inode and datagrams lost of each socket in a table of the kernel (proc_net_udp(5)): the tenth and the last column.
fn lost(table: &str) -> impl Iterator<Item = (u64, u64)> {
    table.lines().skip(1).filter_map(|line| {
        let inode = line.split_ascii_whitespace().nth(9)?.parse().ok()?;
        let drops = line.split_ascii_whitespace().next_back()?.parse().ok()?;
        Some((inode, drops))
    })
}

/// Datagrams the kernel lost because a socket's receive buffer was full.
#[derive(Default)]
struct Receive {
    /// By inode, as last seen.
    seen: HashMap<u64, u64>,
    total: u64,
}

impl Receive {
    fn take(&mut self, table: impl Iterator<Item = (u64, u64)>, ours: &[u64]) {
        let ours: std::collections::HashSet<_> = ours.iter().collect();
        let now: HashMap<_, _> = table.filter(|(inode, _)| ours.contains(inode)).collect();
        for (inode, drops) in &now {
            let before = self.seen.get(inode).copied().unwrap_or_default();
            // Fewer than before: another socket got the number of one that was closed.
            self.total += drops.checked_sub(before).unwrap_or(*drops);
        }
        self.seen = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
         7: 0100007F:13C4 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 4711 2 0000000000000000 12\n\
         8: 0100007F:13C6 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 4712 2 0000000000000000 3\n";

    #[test]
    fn a_table_of_the_kernel_is_read() {
        assert_eq!(lost(TABLE).collect::<Vec<_>>(), [(4711, 12), (4712, 3)]);
    }

    #[test]
    fn only_our_sockets_count_and_the_sum_never_falls() {
        let mut receive = Receive::default();
        receive.take(lost(TABLE), &[4711]);
        assert_eq!(receive.total, 12);
        receive.take(lost(TABLE), &[4711, 4712]);
        assert_eq!(receive.total, 15);
        receive.take([(4712, 1)].into_iter(), &[4712]);
        assert_eq!(receive.total, 16, "the number of a closed socket is given again");
    }

    #[test]
    fn a_socket_that_is_not_read_loses_and_is_seen() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket2::SockRef::from(&socket).set_recv_buffer_size(4096).expect("a small buffer");
        let before = by_cause();
        let to = socket.local_addr().expect("an address");
        for _ in 0..200 {
            let _ = socket.send_to(&[0; 1000], to);
        }
        let of = |all: &[(&str, u64)]| all.iter().find(|(n, _)| *n == "receive-buffer-full").map(|(_, c)| *c);
        assert!(of(&by_cause()) > of(&before), "{:?}", by_cause());
    }
}
