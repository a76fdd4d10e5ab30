//! What the endpoint is told once at its start.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::{
    message::{Host, Limits},
    session_timer::SessionTimers,
    transport::Protocol,
};

/// Retransmission and time-out base values (RFC 3261 17.1.1.1, table 4).
#[derive(Clone, Copy, Debug)]
pub struct Timers {
    /// Round-trip estimate; 500 ms.
    pub t1: Duration,
    /// Longest retransmission interval of non-INVITE requests and INVITE responses; 4 s.
    pub t2: Duration,
    /// Longest time a message stays in the network; 5 s.
    pub t4: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

/// An address of ours as others shall see it, when it differs from the socket's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertise {
    /// IP address or name for Contact and Via. An address serves local addresses of its own family, a name both.
    pub host: Host,
    /// Port, when it differs from the socket's.
    pub port: Option<u16>,
}

/// Configuration of an [`Endpoint`](crate::Endpoint).
#[derive(Clone, Debug)]
pub struct Config {
    /// User-Agent and Server header.
    pub user_agent: String,
    /// Addresses the UDP sockets are bound to (with the port really in use).
    pub udp: Vec<SocketAddr>,
    /// Addresses the TCP listeners are bound to.
    pub tcp: Vec<SocketAddr>,
    /// Addresses to show instead of those of the sockets, at most one per family is used.
    pub advertise: Vec<Advertise>,
    /// Whether Contact carries `isfocus` (RFC 3840, 4579): we are the focus of a conference.
    pub focus: bool,
    /// Limits of a message.
    pub limits: Limits,
    /// Timer base values.
    pub timers: Timers,
    /// Most transactions at a time; above it requests get 503 without state.
    pub max_transactions: usize,
    /// Most calls at a time; above it INVITEs get 503.
    pub max_calls: usize,
    /// Most stream connections at a time; further ones are closed.
    pub max_connections: usize,
    /// How long an incoming call may stay unanswered, and an outgoing one ring.
    pub max_ringing: Duration,
    /// Send requests larger than 1300 bytes over TCP instead of UDP (RFC 3261 18.1.1). Where nobody listens on TCP, or nobody
    /// can be reached there within 2·T1, they go over UDP after all, and for ten minutes nothing else is tried.
    pub tcp_for_large: bool,
    /// Session timers (RFC 4028); `None`: not offered and not accepted.
    pub session_timers: Option<SessionTimers>,
    /// Most events that wait for the owner; above it new calls get 503, and events nothing depends on are dropped.
    pub max_events: usize,
    /// Most bytes that wait to be taken by the driver, or for connections to be made, each; what exceeds them is dropped.
    pub max_queued: usize,
    /// Most bytes of messages that are not complete yet, all connections together; the connection that exceeds them is closed.
    pub max_partial: usize,
    /// How long a connection may take for its first message, and for the rest of one that has begun; 32 s.
    pub max_idle: Duration,
    /// Whom we know, for the registrar and for calls; `None`: nobody.
    pub digest: Option<crate::digest::Config>,
    /// The registrar; needs `digest`.
    pub registrar: Option<crate::registrar::Config>,
    /// Ask for credentials before a call, a subscription or a REFER from outside of a call is taken.
    pub authenticate_calls: bool,
    /// Who we are for others, when they ask.
    pub credentials: Vec<crate::digest::Credentials>,
    /// Subscriptions of others.
    pub subscriptions: crate::subscribe::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            user_agent: "Cau".into(),
            udp: Vec::new(),
            tcp: Vec::new(),
            advertise: Vec::new(),
            focus: false,
            limits: Limits::default(),
            timers: Timers::default(),
            max_transactions: 65_536,
            max_calls: 16_384,
            max_connections: 16_384,
            max_ringing: Duration::from_secs(180),
            tcp_for_large: true,
            session_timers: Some(SessionTimers::default()),
            max_events: 65_536,
            max_queued: 32 * 1024 * 1024,
            max_partial: 32 * 1024 * 1024,
            max_idle: Duration::from_secs(32),
            digest: None,
            registrar: None,
            authenticate_calls: false,
            credentials: Vec::new(),
            subscriptions: crate::subscribe::Config::default(),
        }
    }
}

impl Config {
    /// The host and port to show for a local address.
    pub(crate) fn shown(&self, protocol: Protocol, local: SocketAddr) -> (Host, u16) {
        let listening = match protocol {
            Protocol::Udp => &self.udp,
            Protocol::Tcp => &self.tcp,
        };
        let same_family = |a: &&SocketAddr| a.is_ipv4() == local.is_ipv4();
        // A connection we opened has a port of its own; others reach us at the listener's.
        let port = if listening.is_empty() || listening.iter().any(|a| a.port() == local.port()) {
            local.port()
        } else {
            listening.iter().find(same_family).or(listening.first()).map_or(local.port(), |a| a.port())
        };
        let fits = |a: &&Advertise| a.host.ip().is_none_or(|ip| ip.is_ipv4() == local.is_ipv4());
        match self.advertise.iter().find(fits) {
            Some(advertise) => (advertise.host.clone(), advertise.port.unwrap_or(port)),
            None => (unmapped(local.ip()).into(), port),
        }
    }

    /// A local address for talking to `remote` over `protocol`, when the driver has not told one.
    pub(crate) fn local_for(&self, protocol: Protocol, remote: SocketAddr) -> Option<SocketAddr> {
        let listening = match protocol {
            Protocol::Udp => &self.udp,
            Protocol::Tcp => &self.tcp,
        };
        let family =
            |a: &&SocketAddr| a.is_ipv4() == remote.is_ipv4() || (a.ip().is_unspecified() && a.is_ipv6());
        let usable =
            |a: &&SocketAddr| !a.ip().is_unspecified() && a.ip().is_loopback() == remote.ip().is_loopback();
        let candidates = || listening.iter().filter(family);
        let found = candidates()
            .find(usable)
            .or_else(|| candidates().find(|a| !a.ip().is_unspecified()))
            .or_else(|| candidates().next());
        let bound = match (found, protocol) {
            (Some(bound), _) => *bound,
            // A TCP client needs no listener.
            (None, Protocol::Tcp) => *self.udp.iter().find(family)?,
            (None, Protocol::Udp) => return None,
        };
        if bound.ip().is_unspecified() && remote.ip().is_loopback() {
            return Some(SocketAddr::new(loopback_like(remote), bound.port()));
        }
        Some(bound)
    }
}

fn loopback_like(remote: SocketAddr) -> IpAddr {
    match remote.ip() {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        v6 => v6,
    }
}

/// An IPv4 address in IPv6 clothes (from a socket that serves both) as the IPv4 address it is.
pub(crate) fn unmapped(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn advertised_address_of_the_same_family_wins() {
        let config = Config {
            udp: vec![at("0.0.0.0:5060"), at("[::]:5060")],
            advertise: vec![Advertise { host: Host::Ip("203.0.113.9".parse().unwrap()), port: Some(5080) }],
            ..Config::default()
        };
        assert_eq!(config.shown(Protocol::Udp, at("10.0.0.1:5060")).0.to_string(), "203.0.113.9");
        assert_eq!(config.shown(Protocol::Udp, at("10.0.0.1:5060")).1, 5080);
        assert_eq!(config.shown(Protocol::Udp, at("[2001:db8::1]:5060")).0.to_string(), "[2001:db8::1]");
    }

    #[test]
    fn contact_of_an_outgoing_connection_names_the_listener() {
        let config = Config { tcp: vec![at("10.0.0.1:5060")], ..Config::default() };
        assert_eq!(config.shown(Protocol::Tcp, at("10.0.0.1:43210")).1, 5060);
    }

    #[test]
    fn wildcard_sockets_show_the_address_of_the_packet() {
        let config = Config { udp: vec![at("0.0.0.0:5060")], ..Config::default() };
        assert_eq!(config.local_for(Protocol::Udp, at("127.0.0.1:9")), Some(at("127.0.0.1:5060")));
        assert_eq!(config.shown(Protocol::Udp, at("192.0.2.1:5060")).0.to_string(), "192.0.2.1");
    }
}
