//! Whom the MCU may call: a list of patterns, so that a typing error or a redirection does not ring somewhere in the world.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use cau_sip::{Host, Uri};

/// The list; empty: nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow(pub Vec<Pattern>);

impl Default for Allow {
    /// Everybody.
    fn default() -> Allow {
        Allow(vec![Pattern { scheme: None, host: Hosts::All }])
    }
}

impl Allow {
    /// Whether one of the patterns fits.
    pub fn fits(&self, uri: &Uri) -> bool {
        self.0.iter().any(|pattern| pattern.fits(uri))
    }
}

/// `[scheme:]host`, the host as `*`, a name (`mcu.example.vn`), all names below one (`*.example.vn`), an address, or a network
/// (`10.0.0.0/8`, `2001:db8::/32`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// In lower case; `None`: any.
    scheme: Option<String>,
    host: Hosts,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    All,
    /// In lower case.
    Name(String),
    /// Names that end like this, with its dot.
    Below(String),
    Network(IpAddr, u8),
}

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is none of *, a name, *.name, an address or a network such as 10.0.0.0/8, with or without sip: before it"
)]
pub struct Malformed(String);

impl Pattern {
    /// Whether it allows this address.
    pub fn fits(&self, uri: &Uri) -> bool {
        if self.scheme.as_ref().is_some_and(|scheme| *scheme != uri.scheme()) {
            return false;
        }
        match (&self.host, uri.host()) {
            (Hosts::All, _) => true,
            (Hosts::Name(name), Some(Host::Name(host))) => host.eq_ignore_ascii_case(name),
            (Hosts::Below(end), Some(Host::Name(host))) => host.to_ascii_lowercase().ends_with(end.as_str()),
            (Hosts::Network(network, length), Some(Host::Ip(ip))) => within(*ip, *network, *length),
            _ => false,
        }
    }
}

impl FromStr for Pattern {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Pattern, Malformed> {
        let wrong = || Malformed(text.to_owned());
        let lower = text.trim().to_ascii_lowercase();
        let (scheme, host) = match ["sip", "sips"]
            .iter()
            .find_map(|s| Some((*s, lower.strip_prefix(s)?.strip_prefix(':')?)))
        {
            Some((scheme, host)) => (Some(scheme.to_owned()), host),
            None => (None, lower.as_str()),
        };
        let host = if host == "*" {
            Hosts::All
        } else if let Some(end) = host.strip_prefix('*') {
            Hosts::Below(end.strip_prefix('.').and_then(name).map(|n| format!(".{n}")).ok_or_else(wrong)?)
        } else if let Some((address, length)) = network(host) {
            Hosts::Network(address, length)
        } else {
            Hosts::Name(name(host).ok_or_else(wrong)?)
        };
        Ok(Pattern { scheme, host })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = &self.scheme {
            write!(f, "{scheme}:")?;
        }
        match &self.host {
            Hosts::All => f.write_str("*"),
            Hosts::Name(name) => f.write_str(name),
            Hosts::Below(end) => write!(f, "*{end}"),
            Hosts::Network(address, length) => write!(f, "{address}/{length}"),
        }
    }
}

fn name(text: &str) -> Option<String> {
    match Host::parse(text.as_bytes()) {
        Ok(Host::Name(name)) => Some(name),
        _ => None,
    }
}

fn network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let address: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(most), |l| l.parse().ok().filter(|l| *l <= most))?;
    Some((address, length))
}

fn within(ip: IpAddr, network: IpAddr, length: u8) -> bool {
    let shift = u32::from(length);
    match (ip.to_canonical(), network) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => {
            let mask = u32::MAX.checked_shl(32 - shift).unwrap_or(0);
            ip.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V6(ip), IpAddr::V6(network)) => {
            let mask = u128::MAX.checked_shl(128 - shift).unwrap_or(0);
            ip.to_bits() & mask == network.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, uri: &str) -> bool {
        Allow(vec![pattern.parse().unwrap()]).fits(&Uri::parse(uri.as_bytes()).unwrap())
    }

    #[test]
    fn networks_names_and_schemes() {
        for (pattern, yes, no) in [
            ("*", "sip:a@host", ""),
            ("10.0.0.0/8", "sip:10.1.2.3", "sip:a@11.0.0.1"),
            ("10.0.0.7", "sip:a@10.0.0.7:5080", "sip:a@10.0.0.8"),
            ("0.0.0.0/0", "sip:a@203.0.113.5", "sip:a@[2001:db8::1]"),
            ("2001:db8::/32", "sip:a@[2001:db8:1::1]", "sip:a@[2001:db9::1]"),
            ("[2001:db8::1]", "sip:a@[2001:db8::1]", "sip:a@[2001:db8::2]"),
            ("daklak.vn", "sip:a@DakLak.vn", "sip:a@hop.daklak.vn"),
            ("*.daklak.vn", "sip:a@hop.daklak.vn", "sip:a@daklak.vn"),
            ("*.daklak.vn", "sip:a@x.y.daklak.vn", "sip:a@evildaklak.vn"),
            ("sip:*", "sip:a@host", "sips:a@host"),
            ("sips:10.0.0.0/8", "sips:a@10.0.0.1", "sip:a@10.0.0.1"),
        ] {
            assert!(fits(pattern, yes), "{pattern} should allow {yes}");
            assert!(no.is_empty() || !fits(pattern, no), "{pattern} should not allow {no}");
        }
        assert!(!Allow(Vec::new()).fits(&Uri::parse(b"sip:a@host").unwrap()), "an empty list allows nobody");
    }

    #[test]
    fn nonsense_is_named() {
        for text in ["", "*x", "10.0.0.0/33", "a b", "http:*", "*.", "10.0.0.0/"] {
            let error = text.parse::<Pattern>().unwrap_err();
            assert!(error.to_string().contains(text));
        }
        for text in ["*", "sip:*.a.vn", "10.0.0.0/8", "name"] {
            assert_eq!(text.parse::<Pattern>().unwrap().to_string(), text);
        }
    }
}
