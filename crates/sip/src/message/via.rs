//! Via (RFC 3261 20.42, RFC 3581).

use std::net::{IpAddr, SocketAddr};

use super::{params::Params, scan, uri::Host};

/// A Via that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad Via")]
pub struct ViaError;

/// One Via element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// Transport in upper case: `UDP`, `TCP`, `TLS`, or any other token.
    pub transport: String,
    /// sent-by host.
    pub host: Host,
    /// sent-by port, when written.
    pub port: Option<u16>,
    /// `branch`, `received`, `rport` …
    pub params: Params,
}

impl Via {
    /// Reads one element; white space round every separator.
    pub fn parse(input: &[u8]) -> Result<Self, ViaError> {
        let (name, rest) = scan::split_once(input, b'/').ok_or(ViaError)?;
        let (version, rest) = scan::split_once(rest, b'/').ok_or(ViaError)?;
        if !scan::trim(name).eq_ignore_ascii_case(b"SIP") || scan::trim(version) != b"2.0" {
            return Err(ViaError);
        }
        let (transport, rest) = scan::split_word(scan::trim(rest));
        if !scan::is_token(transport) {
            return Err(ViaError);
        }
        let end = rest.iter().position(|b| *b == b';').unwrap_or(rest.len());
        let (sent_by, params) = rest.split_at_checked(end).ok_or(ViaError)?;
        // Some old stacks write a comment behind it.
        let params = params.iter().position(|b| *b == b'(').and_then(|at| params.get(..at)).unwrap_or(params);
        let (host, port) = Host::parse_with_port(sent_by).map_err(|_| ViaError)?;
        Ok(Self {
            transport: String::from_utf8_lossy(transport).to_ascii_uppercase(),
            host,
            port,
            params: Params::parse(params).map_err(|_| ViaError)?,
        })
    }

    /// The `branch` parameter.
    pub fn branch(&self) -> Option<&[u8]> {
        self.params.value("branch").filter(|b| !b.is_empty())
    }

    /// Whether the branch makes the transaction unique (RFC 3261 8.1.1.7): the magic cookie with something behind it.
    pub fn is_rfc3261(&self) -> bool {
        const COOKIE: &[u8] = b"z9hG4bK";
        self.branch()
            .and_then(|b| b.split_at_checked(COOKIE.len()))
            .is_some_and(|(cookie, rest)| cookie.eq_ignore_ascii_case(COOKIE) && !rest.is_empty())
    }

    /// Whether sent-by names this very address; IPv4 in IPv6 clothes is the same.
    pub(crate) fn is_from(&self, ip: IpAddr) -> bool {
        self.host.ip().is_some_and(|named| named.to_canonical() == ip.to_canonical())
    }

    /// Notes where the request really came from (RFC 3261 18.2.1, RFC 3581 4).
    pub fn note_source(&mut self, source: SocketAddr) {
        let wants_port = self.params.has("rport");
        if wants_port || !self.is_from(source.ip()) {
            self.params.set("received", Some(source.ip().to_canonical().to_string()));
        }
        if wants_port {
            self.params.set("rport", Some(source.port().to_string()));
        }
    }

    /// Appends it as it goes on the wire.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("SIP/2.0/{} {}", self.transport, self.host).as_bytes());
        if let Some(port) = self.port {
            out.extend_from_slice(format!(":{port}").as_bytes());
        }
        self.params.write(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_everywhere() {
        let it = Via::parse(b"SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8")
            .unwrap();
        assert_eq!((it.transport.as_str(), it.branch()), ("TCP", Some(&b"z9hG4bK9ikj8"[..])));
        assert!(it.is_rfc3261());
        assert!(Via::parse(b"SIP/2.0/UDP 192.0.2.15;;").is_err());
    }

    #[test]
    fn source_is_noted() {
        let mut it = Via::parse(b"SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKa;rport").unwrap();
        it.note_source("[2001:db8::9:255]:7777".parse().unwrap());
        let mut out = Vec::new();
        it.write(&mut out);
        let want = "SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKa;rport=7777;received=2001:db8::9:255";
        assert_eq!(String::from_utf8(out).unwrap(), want);
        let mut it = Via::parse(b"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa").unwrap();
        it.note_source("192.0.2.1:5060".parse().unwrap());
        assert!(!it.params.has("received"));
    }

    #[test]
    fn a_bare_cookie_is_no_branch() {
        assert!(!Via::parse(b"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK").unwrap().is_rfc3261());
    }
}
