//! RTP/RTCP port pairs, bound per call: even port for RTP, the next for RTCP (RFC 3550 section 11).

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    ops::RangeInclusive,
};

use socket2::{Domain, Protocol, Socket, Type};

/// Socket buffers in bytes: about a quarter second of the largest stream, so that a busy moment drops nothing.
const BUFFER: usize = 512 * 1024;

/// One bound pair.
#[derive(Debug)]
pub struct Pair {
    /// Bound to the even port.
    pub rtp: UdpSocket,
    /// Bound to the port above.
    pub rtcp: UdpSocket,
    /// The even port.
    pub port: u16,
}

/// Why no pair could be bound.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Every pair of the range is in use.
    #[error("every RTP port from {first} to {last} is in use")]
    Exhausted {
        /// First port of the range.
        first: u16,
        /// Last port of the range.
        last: u16,
    },
    /// The system refused for another reason than a used port (out of file descriptors, address not here).
    #[error("cannot open an RTP socket on {addr}: {source}")]
    System {
        /// Where the socket was to be bound.
        addr: SocketAddr,
        /// The system's word.
        source: io::Error,
    },
}

/// Hands out port pairs of a range, going round so that a port just closed is not reused at once (late packets of an
/// ended call must not reach a new one).
#[derive(Debug)]
pub struct Allocator {
    first: u16,
    pairs: u16,
    next: u16,
}

impl Allocator {
    /// A range of ports, both ends included; an odd first port or even last port is left unused.
    pub fn new(range: RangeInclusive<u16>) -> Self {
        let first = range.start().saturating_add(range.start() % 2);
        let pairs = if *range.end() > first { (range.end() - first).div_ceil(2) } else { 0 };
        Self { first, pairs, next: 0 }
    }

    /// Number of pairs in the range.
    pub fn capacity(&self) -> usize {
        usize::from(self.pairs)
    }

    /// Binds one pair of the range again, as after a restart; `None` when it is in use or not of the range.
    pub fn bind_again(&mut self, ip: IpAddr, port: u16) -> Option<Pair> {
        let last = u32::from(self.first) + 2 * u32::from(self.pairs);
        if !port.is_multiple_of(2) || port < self.first || u32::from(port) >= last {
            return None;
        }
        let (rtp, rtcp) = (bind(ip, port).ok()?, bind(ip, port + 1).ok()?);
        Some(Pair { rtp, rtcp, port })
    }

    /// Binds the next free pair on `ip`.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when all are in use, [`Error::System`] when the system refuses.
    pub fn bind(&mut self, ip: IpAddr) -> Result<Pair, Error> {
        for _ in 0..self.pairs {
            let port = self.first + 2 * self.next;
            self.next = (self.next + 1) % self.pairs;
            match (bind(ip, port), bind(ip, port + 1)) {
                (Ok(rtp), Ok(rtcp)) => return Ok(Pair { rtp, rtcp, port }),
                (Err(e), _) | (_, Err(e)) if e.kind() == io::ErrorKind::AddrInUse => {}
                (Err(source), _) => return Err(Error::System { addr: SocketAddr::new(ip, port), source }),
                (_, Err(source)) => {
                    return Err(Error::System { addr: SocketAddr::new(ip, port + 1), source });
                }
            }
        }
        Err(Error::Exhausted { first: self.first, last: self.first + (2 * self.pairs).saturating_sub(1) })
    }
}

fn bind(ip: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let addr = SocketAddr::new(ip, port);
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    // The system may cap these; what it gives is what there is.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    socket.bind(&addr.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// A range of six ports of which the first pair was free a moment ago.
    fn range() -> RangeInclusive<u16> {
        for base in (31_000..32_000).step_by(10) {
            if (base..base + 6).all(|p| bind(IP, p).is_ok()) {
                return base..=base + 5;
            }
        }
        panic!("no free ports for the test");
    }

    #[test]
    fn pairs_are_even_and_odd_and_go_round_until_none_is_left() {
        let range = range();
        let mut ports = Allocator::new(range.clone());
        let pairs: Vec<_> = (0..3).map(|_| ports.bind(IP).expect("free")).collect();
        assert!(pairs.iter().all(|p| p.port % 2 == 0));
        assert_eq!(pairs[0].rtcp.local_addr().expect("bound").port(), pairs[0].port + 1);
        assert!(matches!(ports.bind(IP), Err(Error::Exhausted { .. })));
        drop(pairs);
        assert_eq!(ports.bind(IP).expect("free again").port, *range.start());
    }

    #[test]
    fn a_pair_is_bound_again_when_it_is_free_and_ours() {
        let range = range();
        let mut ports = Allocator::new(range.clone());
        let first = ports.bind(IP).expect("free").port;
        let again = ports.bind_again(IP, first).expect("free again");
        assert_eq!(again.rtp.local_addr().expect("bound").port(), first);
        assert!(ports.bind_again(IP, first).is_none(), "in use");
        for foreign in [first + 1, range.start() - 2, range.end() + 1, 80] {
            assert!(ports.bind_again(IP, foreign).is_none(), "{foreign}");
        }
    }

    #[test]
    fn an_odd_start_is_rounded_up() {
        assert_eq!(Allocator::new(20_001..=20_005).capacity(), 2);
        assert_eq!(Allocator::new(20_000..=20_000).capacity(), 0);
    }
}
