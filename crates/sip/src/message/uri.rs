//! Addresses: `sip:`, `sips:`, `tel:` and what other schemes there are (RFC 3261 19.1, RFC 3966).

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
};

use bytes::Bytes;

use super::{params::Params, scan};

/// Why an address could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// No scheme, or one with forbidden characters.
    #[error("no scheme")]
    Scheme,
    /// Empty or with forbidden characters.
    #[error("bad user part")]
    User,
    /// Not a name, an IPv4 or a bracketed IPv6 address.
    #[error("bad host")]
    Host,
    /// Not 1–65535.
    #[error("bad port")]
    Port,
    /// Parameters or headers with forbidden characters.
    #[error("bad parameter")]
    Parameter,
}

/// A host: address or name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// An IPv4 or IPv6 address; IPv6 is written in brackets.
    Ip(IpAddr),
    /// A name, as received.
    Name(String),
}

impl Host {
    /// Parses a host, IPv6 in brackets.
    ///
    /// Three colons in a row, a slip of the RFC 3261 grammar, are read as two (RFC 5118 4.10).
    pub fn parse(input: &[u8]) -> Result<Self, UriError> {
        let text = std::str::from_utf8(input).map_err(|_| UriError::Host)?;
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']').ok_or(UriError::Host)?;
            let address = inner.parse::<Ipv6Addr>().or_else(|_| inner.replace(":::", "::").parse());
            return address.map(|a| Self::Ip(a.into())).map_err(|_| UriError::Host);
        }
        if let Ok(v4) = text.parse() {
            return Ok(Self::Ip(IpAddr::V4(v4)));
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if text.is_empty() || text.len() > 255 || !text.bytes().all(allowed) {
            return Err(UriError::Host);
        }
        Ok(Self::Name(text.to_owned()))
    }

    /// The address, if it is one; an IPv4-mapped IPv6 address as it stands.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Name(_) => None,
        }
    }

    /// Splits `host[:port]`, the host bracketed when IPv6.
    pub(crate) fn parse_with_port(input: &[u8]) -> Result<(Self, Option<u16>), UriError> {
        let input = scan::trim(input);
        let at = if input.first() == Some(&b'[') {
            input.iter().position(|b| *b == b']').ok_or(UriError::Host)? + 1
        } else {
            input.iter().position(|b| *b == b':').unwrap_or(input.len())
        };
        let (host, rest) = input.split_at_checked(at).ok_or(UriError::Host)?;
        let host = Self::parse(scan::trim(host))?;
        let rest = scan::trim(rest);
        if rest.is_empty() {
            return Ok((host, None));
        }
        let digits = rest.strip_prefix(b":").ok_or(UriError::Host)?;
        let port = scan::number::<u16>(digits).filter(|p| *p != 0).ok_or(UriError::Port)?;
        Ok((host, Some(port)))
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A `sip:` or `sips:` address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipUri {
    /// `sips:`.
    pub secure: bool,
    /// User part with its escapes, password included, without `@`.
    pub userinfo: Option<Bytes>,
    /// Host.
    pub host: Host,
    /// Port, when written.
    pub port: Option<u16>,
    /// Parameters (`transport`, `lr`, `user`, `maddr` …).
    pub params: Params,
    /// What follows `?`, without it.
    pub headers: Option<Bytes>,
}

/// An address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uri {
    /// `sip:` and `sips:`.
    Sip(Box<SipUri>),
    /// `tel:` (RFC 3966): what follows the scheme.
    Tel(Bytes),
    /// Any other scheme, whole.
    Other(Bytes),
}

impl Uri {
    /// Parses an address as in a request line or between `<` and `>`.
    ///
    /// Errors when it is not an absolute address, or a `sip:` one that breaks RFC 3261 25.1 so much that host or user are unclear.
    pub fn parse(input: &[u8]) -> Result<Self, UriError> {
        if input.iter().any(|b| scan::is_lws(*b) || matches!(b, b'<' | b'>' | b'"')) {
            return Err(UriError::Parameter);
        }
        let (scheme, rest) = scan::split_once(input, b':').ok_or(UriError::Scheme)?;
        let scheme_byte = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        if !scheme.first().is_some_and(u8::is_ascii_alphabetic) || !scheme.iter().all(scheme_byte) {
            return Err(UriError::Scheme);
        }
        if scheme.eq_ignore_ascii_case(b"sip") {
            return parse_sip(rest, false).map(|u| Self::Sip(Box::new(u)));
        }
        if scheme.eq_ignore_ascii_case(b"sips") {
            return parse_sip(rest, true).map(|u| Self::Sip(Box::new(u)));
        }
        if scheme.eq_ignore_ascii_case(b"tel") {
            if rest.is_empty() {
                return Err(UriError::User);
            }
            return Ok(Self::Tel(Bytes::copy_from_slice(rest)));
        }
        Ok(Self::Other(Bytes::copy_from_slice(input)))
    }

    /// `sip:user@host:port`; an empty user is left out, what needs it is escaped. IPv6 gets its brackets.
    pub fn sip(user: &str, address: SocketAddr) -> Self {
        Self::sip_host(user, address.ip().into(), Some(address.port()))
    }

    /// `sip:user@host[:port]`.
    pub fn sip_host(user: &str, host: Host, port: Option<u16>) -> Self {
        let userinfo = (!user.is_empty()).then(|| escape_user(user));
        Self::Sip(Box::new(SipUri {
            secure: false,
            userinfo,
            host,
            port,
            params: Params::default(),
            headers: None,
        }))
    }

    /// The parts of a `sip:` or `sips:` address.
    pub fn as_sip(&self) -> Option<&SipUri> {
        match self {
            Self::Sip(uri) => Some(uri),
            _ => None,
        }
    }

    /// User part without escapes, password and user parameters; the number of a `tel:` address. Empty when there is none.
    pub fn user(&self) -> String {
        let raw = match self {
            Self::Sip(uri) => uri.userinfo.as_deref().unwrap_or_default(),
            Self::Tel(rest) => rest,
            Self::Other(_) => return String::new(),
        };
        let name = raw.split(|b| matches!(b, b':' | b';')).next().unwrap_or_default();
        let mut name = scan::percent_decode(name);
        if matches!(self, Self::Tel(_)) {
            name.retain(|b| !matches!(b, b'-' | b'.' | b'(' | b')'));
        }
        String::from_utf8_lossy(&name).into_owned()
    }

    /// Host of a `sip:` address.
    pub fn host(&self) -> Option<&Host> {
        self.as_sip().map(|uri| &uri.host)
    }

    /// Address to send to, when the host is an IP address (`maddr` not followed): port as written, else 5060, or 5061 for `sips:`.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        let uri = self.as_sip()?;
        let port = uri.port.unwrap_or(if uri.secure { 5061 } else { 5060 });
        Some(SocketAddr::new(uri.host.ip()?, port))
    }

    /// A parameter of a `sip:` address; `Some(b"")` when it has no value.
    pub fn param(&self, name: &str) -> Option<&[u8]> {
        self.as_sip()?.params.value(name)
    }

    /// Scheme in lower case.
    pub fn scheme(&self) -> String {
        match self {
            Self::Sip(uri) => if uri.secure { "sips" } else { "sip" }.to_owned(),
            Self::Tel(_) => "tel".to_owned(),
            Self::Other(whole) => {
                let scheme = whole.split(|b| *b == b':').next().unwrap_or_default();
                String::from_utf8_lossy(scheme).to_ascii_lowercase()
            }
        }
    }

    /// Appends the address as it goes on the wire.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Sip(uri) => uri.write(out),
            Self::Tel(rest) => {
                out.extend_from_slice(b"tel:");
                out.extend_from_slice(rest);
            }
            Self::Other(whole) => out.extend_from_slice(whole),
        }
    }

    /// The address as it goes on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        self.write(&mut out);
        out
    }
}

impl SipUri {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.secure { b"sips:" } else { b"sip:" });
        if let Some(user) = &self.userinfo {
            out.extend_from_slice(user);
            out.push(b'@');
        }
        out.extend_from_slice(self.host.to_string().as_bytes());
        if let Some(port) = self.port {
            out.extend_from_slice(format!(":{port}").as_bytes());
        }
        self.params.write(out);
        if let Some(headers) = &self.headers {
            out.push(b'?');
            out.extend_from_slice(headers);
        }
    }
}

/// Text for people and logs; bytes that are not UTF-8 are replaced.
impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

impl std::str::FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        Self::parse(text.trim().as_bytes())
    }
}

fn parse_sip(rest: &[u8], secure: bool) -> Result<SipUri, UriError> {
    let (userinfo, rest) = match scan::split_once(rest, b'@') {
        Some((user, rest)) => {
            if user.is_empty() || rest.contains(&b'@') {
                return Err(UriError::User);
            }
            (Some(Bytes::copy_from_slice(user)), rest)
        }
        None => (None, rest),
    };
    let (rest, headers) = match scan::split_once(rest, b'?') {
        Some((rest, headers)) => (rest, Some(Bytes::copy_from_slice(headers))),
        None => (rest, None),
    };
    let (hostport, params) = match rest.iter().position(|b| *b == b';') {
        Some(at) => rest.split_at_checked(at).ok_or(UriError::Parameter)?,
        None => (rest, &[][..]),
    };
    let (host, port) = Host::parse_with_port(hostport)?;
    let params = Params::parse(params).map_err(|_| UriError::Parameter)?;
    Ok(SipUri { secure, userinfo, host, port, params, headers })
}

fn escape_user(user: &str) -> Bytes {
    let mut out = Vec::with_capacity(user.len());
    for b in user.bytes() {
        let plain = b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/".contains(&b);
        if plain {
            out.push(b);
        } else {
            out.extend_from_slice(format!("%{b:02X}").as_bytes());
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn ipv6_keeps_its_brackets() {
        let it = uri("sip:8000@[2001:db8::10]:5070;transport=tcp");
        assert_eq!(it.socket_addr(), Some("[2001:db8::10]:5070".parse().unwrap()));
        assert_eq!(it.param("Transport"), Some(&b"tcp"[..]));
        assert_eq!(it.to_string(), "sip:8000@[2001:db8::10]:5070;transport=tcp");
        assert_eq!(Uri::sip("a b", "[::1]:5060".parse().unwrap()).to_string(), "sip:a%20b@[::1]:5060");
    }

    #[test]
    fn semicolons_and_escapes_in_the_user_part() {
        let it = uri("sip:user;par=u%40example.net@example.com");
        assert_eq!(it.user(), "user");
        assert_eq!(it.host(), Some(&Host::Name("example.com".into())));
        assert_eq!(uri("sip:ph%c3%b2ng@h").user(), "phòng");
        assert_eq!(it.to_string(), "sip:user;par=u%40example.net@example.com");
    }

    #[test]
    fn numbers() {
        assert_eq!(uri("tel:+84-24-3825;phone-context=x").user(), "+84243825");
        assert_eq!(uri("sip:+8424:secret@h;user=phone").user(), "+8424");
    }

    #[test]
    fn unclear_hosts_are_refused() {
        assert_eq!(Uri::parse(b"sip:2001:db8::10"), Err(UriError::Port));
        assert!(Uri::parse(b"sip:[2001:db8::10").is_err());
        assert!(Uri::parse(b"sip:a@b@c").is_err());
        assert!(Uri::parse(b"<sip:a@b>").is_err());
        assert!(Uri::parse(b"nothing").is_err());
    }

    #[test]
    fn three_colons_are_two() {
        let it = uri("sip:user@[2001:db8:::192.0.2.1]");
        assert_eq!(it.socket_addr().map(|a| a.ip()), "2001:db8::192.0.2.1".parse().ok());
    }
}
