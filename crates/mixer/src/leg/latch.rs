//! Symmetric RTP (RFC 4961): media goes where media comes from, because a NAT makes the address in the SDP useless.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

/// After this long without a packet from the address latched on to, another one is taken.
const QUIET: Duration = Duration::from_millis(1000);

/// Where one stream of packets goes.
#[derive(Clone, Copy, Debug)]
pub struct Latch {
    signalled: SocketAddr,
    /// Where signalling comes from.
    peer: IpAddr,
    seen: Option<(SocketAddr, Instant)>,
}

impl Latch {
    /// Sends to what the SDP says until something comes in; `peer`: where signalling comes from.
    pub fn new(signalled: SocketAddr, peer: IpAddr) -> Self {
        Self { signalled, peer, seen: None }
    }

    /// A new offer or answer: the address it names holds, and the next packet may come from another one. When the SDP says
    /// what it said before, packets keep going to where they went.
    pub fn renew(&mut self, signalled: SocketAddr, peer: IpAddr) {
        self.peer = peer;
        if let Some((_, at)) = &mut self.seen
            && signalled == self.signalled
        {
            // Known for certain only until another address shows up.
            *at = at.checked_sub(QUIET).unwrap_or(*at);
            return;
        }
        *self = Self::new(signalled, peer);
    }

    /// A valid packet came from there: is it to be taken?
    pub fn accept(&mut self, now: Instant, from: SocketAddr) -> bool {
        match self.seen {
            Some((seen, _)) if seen == from => {}
            // Another one may speak only when the known one is silent; what the SDP names always may.
            Some((_, at)) if now.saturating_duration_since(at) < QUIET && from != self.signalled => {
                return false;
            }
            _ if !self.may_be(from.ip()) => return false,
            _ => {}
        }
        self.take(now, from);
        true
    }

    /// Whether the far end can be at that address: where it says, where it signals from, where it was. Only a device behind a proxy *and* a NAT –
    /// signalling does not come from where media is said to be – may be anywhere, once: else one packet of a stranger to a silent site's port
    /// would be enough to listen to the meeting.
    fn may_be(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let known = [self.signalled.ip(), self.peer].map(|ip| ip.to_canonical());
        match self.seen {
            _ if known.contains(&ip) => true,
            Some((seen, _)) => seen.ip().to_canonical() == ip,
            None => known[0] != known[1] || known[0].is_unspecified(),
        }
    }

    /// Latches on to that address, whatever was before.
    pub fn take(&mut self, now: Instant, from: SocketAddr) {
        self.seen = Some((from, now));
    }

    /// Where to send.
    pub fn target(&self) -> SocketAddr {
        self.seen.map_or(self.signalled, |(seen, _)| seen)
    }

    /// Where packets come from, once some came.
    pub fn source(&self) -> Option<SocketAddr> {
        self.seen.map(|(seen, _)| seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the calls of these tests are signalled from.
    const NAT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));

    fn at(s: &str) -> SocketAddr {
        s.parse().unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "an arbitrary origin of virtual time")]
    fn start() -> Instant {
        Instant::now()
    }

    #[test]
    fn behind_a_nat_packets_go_back_to_where_they_come_from() {
        let now = start();
        let mut l = Latch::new(at("10.0.0.5:4000"), NAT);
        assert_eq!(l.target(), at("10.0.0.5:4000"));
        assert!(l.accept(now, at("203.0.113.1:31000")));
        assert_eq!(l.target(), at("203.0.113.1:31000"));
    }

    #[test]
    fn a_stranger_cannot_take_over_a_living_stream() {
        let now = start();
        let mut l = Latch::new(at("10.0.0.5:4000"), NAT);
        assert!(l.accept(now, at("203.0.113.1:31000")));
        assert!(!l.accept(now + Duration::from_millis(20), at("198.51.100.66:9")));
        assert_eq!(l.target(), at("203.0.113.1:31000"));
        assert!(l.accept(now + Duration::from_secs(2), at("203.0.113.1:31002")), "the NAT has moved it");
    }

    #[test]
    fn what_the_sdp_names_beats_a_stranger_who_was_first() {
        let now = start();
        let mut l = Latch::new(at("10.0.0.5:4000"), NAT);
        assert!(l.accept(now, at("198.51.100.66:9")));
        assert!(l.accept(now, at("10.0.0.5:4000")));
        assert_eq!(l.target(), at("10.0.0.5:4000"));
    }

    #[test]
    fn after_a_reinvite_the_new_address_is_learnt_at_once() {
        let now = start();
        let mut l = Latch::new(at("10.0.0.5:4000"), NAT);
        l.accept(now, at("203.0.113.1:31000"));
        l.renew(at("10.0.0.5:4000"), NAT);
        assert_eq!(l.target(), at("203.0.113.1:31000"), "same SDP: keep sending");
        assert!(l.accept(now + Duration::from_millis(20), at("203.0.113.1:32000")));
        l.renew(at("10.0.0.9:5000"), NAT);
        assert_eq!(l.target(), at("10.0.0.9:5000"));
    }

    #[test]
    fn a_stranger_cannot_take_a_silent_stream_of_who_is_where_he_says() {
        let now = start();
        let mut l = Latch::new(at("203.0.113.1:4000"), NAT);
        assert!(!l.accept(now, at("198.51.100.66:9")), "before anything came");
        assert!(l.accept(now, at("203.0.113.1:31000")), "another port of his own");
        assert!(!l.accept(now + Duration::from_secs(9), at("198.51.100.66:9")), "after a long silence");
        assert_eq!(l.target(), at("203.0.113.1:31000"));
    }

    #[test]
    fn who_is_behind_a_proxy_and_a_nat_is_found_once() {
        let now = start();
        let mut l = Latch::new(at("10.0.0.5:4000"), NAT);
        assert!(l.accept(now, at("198.51.100.7:3000")));
        assert!(!l.accept(now + Duration::from_secs(9), at("192.0.2.66:9")));
        assert!(l.accept(now + Duration::from_secs(9), at("198.51.100.7:3002")));
    }
}
