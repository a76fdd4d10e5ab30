//! The machine's own addresses, to tell people where to dial in.

use std::net::IpAddr;

/// Addresses of all interfaces that are up, those reachable from other machines first; link-local IPv6 left out.
/// Empty when the system does not tell.
pub fn local() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let mut found: Vec<IpAddr> = interfaces
        .filter_map(|i| i.address)
        .filter_map(|a| {
            let v4 = a.as_sockaddr_in().map(|a| IpAddr::from(a.ip()));
            v4.or_else(|| a.as_sockaddr_in6().map(|a| IpAddr::from(a.ip())))
        })
        .filter(|ip| !matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local()))
        .collect();
    found.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6()));
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    #[test]
    fn loopback_is_there_and_comes_last() {
        let found = super::local();
        let first_loopback = found.iter().position(|ip| ip.is_loopback()).expect("loopback");
        assert!(found.iter().skip(first_loopback).all(|ip| ip.is_loopback()), "{found:?}");
    }
}
