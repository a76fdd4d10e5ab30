//! The address a request comes from, behind proxies too.
//!
//! `X-Forwarded-For` and `Forwarded` (RFC 7239) are believed only from the proxies of the configuration, and read from the
//! right: the last address that is no trusted proxy is the client. Anybody can write what stands left of it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::{
    extract::{ConnectInfo, Request, State as Extracted},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};
use ipnet::IpNet;

use crate::State;

/// Addresses of a chain looked at.
const CHAIN: usize = 32;

/// Who asks; an extension of every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its address; the unspecified one where the server gives none (tests).
    pub ip: IpAddr,
    /// It says that it came through a proxy, trusted or not.
    pub forwarded: bool,
}

impl Client {
    /// On this machine, and not through a proxy on this machine.
    pub fn is_local(self) -> bool {
        self.ip.is_loopback() && !self.forwarded
    }
}

/// Middleware: finds out who asks.
pub(crate) async fn find(Extracted(state): Extracted<State>, mut request: Request, next: Next) -> Response {
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip().to_canonical());
    let client = client(peer, request.headers(), &state.trusted_proxies);
    request.extensions_mut().insert(client);
    next.run(request).await
}

fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Client {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|net| net.contains(&ip));
    let list = |name| items(headers, name);
    let (old, new) = (list("x-forwarded-for"), list("forwarded"));
    let forwarded = old.is_some() || new.is_some();
    let unproxied = Client { ip: peer, forwarded };
    if !is_trusted(peer) {
        return unproxied;
    }
    let old = old.map(|items| walk(peer, items.iter().map(|item| address(item)), is_trusted));
    let new = new.map(|items| walk(peer, items.iter().map(|item| address(pair(item)?)), is_trusted));
    match (old, new) {
        // A proxy writes one of the two and passes the other on as it came from outside: which one, nobody knows.
        (Some(a), Some(b)) if a != b => unproxied,
        (Some(ip), _) | (None, Some(ip)) => Client { ip, forwarded },
        (None, None) => unproxied,
    }
}

/// From the right to the first that is not trusted; what cannot be read ends the walk at the proxy that passed it on.
fn walk(
    peer: IpAddr,
    chain: impl DoubleEndedIterator<Item = Option<IpAddr>>,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let mut client = peer;
    for ip in chain.rev().take(CHAIN) {
        let Some(ip) = ip else { return client };
        client = ip;
        if !is_trusted(ip) {
            return client;
        }
    }
    client
}

fn items<'a>(headers: &'a HeaderMap, name: &'static str) -> Option<Vec<&'a str>> {
    let values = headers.get_all(name);
    let mut values = values.iter().peekable();
    values.peek()?;
    Some(values.flat_map(|v| v.to_str().unwrap_or("?").split(',')).map(str::trim).collect())
}

/// The value of `for` in one element of `Forwarded`.
fn pair(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then(|| value.trim_matches('"'))
    })
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let ip = bare.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip()))?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip_of(peer: &str, headers: &[(&'static str, &str)]) -> String {
        let trusted = ["127.0.0.1/32", "10.0.0.0/8"].map(|n| n.parse().unwrap());
        let headers = headers
            .iter()
            .map(|(n, v)| (axum::http::HeaderName::from_static(n), v.parse().unwrap()))
            .collect();
        client(peer.parse().unwrap(), &headers, &trusted).ip.to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(ip_of("192.0.2.9", &[("x-forwarded-for", "198.51.100.1")]), "192.0.2.9");
        assert_eq!(ip_of("127.0.0.1", &[("x-forwarded-for", "198.51.100.1")]), "198.51.100.1");
        assert_eq!(
            ip_of("127.0.0.1", &[("forwarded", "For=\"[2001:db8::7]:4711\";proto=https")]),
            "2001:db8::7"
        );
        assert_eq!(ip_of("127.0.0.1", &[("forwarded", "proto=https;for=192.0.2.60")]), "192.0.2.60");
        assert_eq!(ip_of("127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn what_the_client_wrote_itself_is_passed_over() {
        let chain = "1.1.1.1, 198.51.100.1, 10.0.0.5";
        assert_eq!(ip_of("127.0.0.1", &[("x-forwarded-for", chain)]), "198.51.100.1");
        let several = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "198.51.100.2:5000")];
        assert_eq!(ip_of("127.0.0.1", &several), "198.51.100.2");
        let both = [("x-forwarded-for", "198.51.100.1"), ("forwarded", "for=1.1.1.1")];
        assert_eq!(ip_of("127.0.0.1", &both), "127.0.0.1", "one of them is from outside");
        let agree = [("x-forwarded-for", "198.51.100.1"), ("forwarded", "for=198.51.100.1")];
        assert_eq!(ip_of("127.0.0.1", &agree), "198.51.100.1");
    }

    #[test]
    fn what_cannot_be_read_counts_for_the_proxy() {
        for bad in ["", "unknown", "_hidden", "1.2.3", "[::1", ", ,"] {
            assert_eq!(ip_of("127.0.0.1", &[("x-forwarded-for", bad)]), "127.0.0.1", "{bad}");
            assert_eq!(ip_of("127.0.0.1", &[("forwarded", bad)]), "127.0.0.1", "{bad}");
        }
        assert_eq!(ip_of("127.0.0.1", &[("x-forwarded-for", "1.1.1.1, unknown, 10.0.0.5")]), "10.0.0.5");
    }

    #[test]
    fn a_request_through_a_proxy_on_this_machine_is_not_local() {
        let headers = HeaderMap::from_iter([(
            axum::http::HeaderName::from_static("x-forwarded-for"),
            "198.51.100.1".parse().unwrap(),
        )]);
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert!(!client(local, &headers, &[]).is_local());
        assert!(client(local, &HeaderMap::new(), &[]).is_local());
    }
}
