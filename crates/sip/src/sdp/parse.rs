//! Reading a description, tolerantly: what cannot be understood is passed over, only what would put the answer's lines out of
//! step with the offer's is an error.

use std::net::{IpAddr, Ipv6Addr};

use super::{
    Address, Attribute, Bandwidth, MAX_BYTES, MAX_FORMATS, MAX_LINE, MAX_LINES, MAX_MEDIA, Media, MediaKind,
    Origin, Protocol, Session,
};

/// Why a description cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More than [`MAX_BYTES`].
    #[error("the description has {0} bytes, at most {MAX_BYTES} are read")]
    TooLong(usize),
    /// More than [`MAX_LINES`].
    #[error("the description has more than {MAX_LINES} lines")]
    TooManyLines,
    /// More than [`MAX_MEDIA`].
    #[error("the description has more than {MAX_MEDIA} media lines")]
    TooManyMedia,
    /// Neither `v=`, `o=` nor `m=` is there.
    #[error("this is not a session description")]
    NotSdp,
    /// An `m=` line whose media, port or transport cannot be read; counted from 1 over all lines.
    #[error("line {line}: the media line cannot be read")]
    BadMedia {
        /// Number of the line, from 1.
        line: usize,
    },
}

impl Session {
    /// Reads a description. Line ends may be CRLF, LF or CR; bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// [`Error`]: too large, no description at all, or an unreadable `m=` line.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_BYTES {
            return Err(Error::TooLong(bytes.len()));
        }
        let end = if bytes.contains(&b'\n') { b'\n' } else { b'\r' };
        let mut session =
            Self::new(Origin { username: "-".to_owned(), ..Origin::default() }, [0, 0, 0, 0].into());
        session.connection = None;
        session.times.clear();
        let mut known = false;
        for (number, raw) in bytes.split(|b| *b == end).enumerate() {
            if number >= MAX_LINES {
                return Err(Error::TooManyLines);
            }
            let Some((kind, value)) = line(raw) else { continue };
            known |= matches!(kind, 'v' | 'o' | 'm');
            if kind == 'm' {
                if session.media.len() >= MAX_MEDIA {
                    return Err(Error::TooManyMedia);
                }
                session.media.push(media(&value).ok_or(Error::BadMedia { line: number + 1 })?);
                continue;
            }
            match session.media.last_mut() {
                Some(media) => media_line(media, kind, value),
                None => session_line(&mut session, kind, value),
            }
        }
        if !known {
            return Err(Error::NotSdp);
        }
        if session.times.is_empty() {
            session.times.push("0 0".to_owned());
        }
        session.other.sort_by_key(|(kind, _)| rank(*kind));
        for media in &mut session.media {
            media.other.sort_by_key(|(kind, _)| rank(*kind));
        }
        Ok(session)
    }
}

/// Place of a rarely used line in RFC 8866 5.
pub(super) fn rank(kind: char) -> usize {
    "iueprzk".find(kind).unwrap_or(usize::MAX)
}

/// Takes `x=value` apart; control characters become blanks.
fn line(raw: &[u8]) -> Option<(char, String)> {
    if raw.len() > MAX_LINE {
        return None;
    }
    let text: String =
        String::from_utf8_lossy(raw).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let (kind, value) = text.split_once('=')?;
    let mut kind = kind.trim().chars();
    match (kind.next(), kind.next()) {
        (Some(letter), None) if letter.is_ascii_alphabetic() => Some((letter, value.trim().to_owned())),
        _ => None,
    }
}

fn session_line(session: &mut Session, kind: char, value: String) {
    match kind {
        'o' => session.origin = Origin::parse(&value),
        's' if !value.is_empty() => session.name = value,
        'c' => session.connection = session.connection.take().or_else(|| connection(&value)),
        'b' => session.bandwidth.extend(bandwidth(&value)),
        't' => session.times.push(value),
        'a' => session.attributes.0.extend(attribute(&value)),
        'i' | 'u' | 'e' | 'p' | 'r' | 'z' | 'k' => session.other.push((kind, value)),
        _ => {}
    }
}

fn media_line(media: &mut Media, kind: char, value: String) {
    match kind {
        'c' => media.connection = media.connection.take().or_else(|| connection(&value)),
        'b' => media.bandwidth.extend(bandwidth(&value)),
        'a' => media.attributes.0.extend(attribute(&value)),
        'i' | 'k' => media.other.push((kind, value)),
        _ => {}
    }
}

/// `m=<media> <port>[/<ports>] <proto> <fmt> …`
fn media(value: &str) -> Option<Media> {
    let mut words = value.split_whitespace();
    let kind = MediaKind::parse(words.next()?);
    let port = words.next()?;
    let port = port.split_once('/').map_or(port, |(port, _)| port).parse().ok()?;
    let mut media = Media::new(kind, port, Protocol::parse(words.next()?));
    media.formats = words.take(MAX_FORMATS).map(str::to_owned).collect();
    Some(media)
}

/// `c=IN IP4 <address>[/ttl][/count]`; the address alone is taken too.
fn connection(value: &str) -> Option<Address> {
    value.split_whitespace().last().and_then(address)
}

/// An address as devices write it: brackets, zone and multicast suffix are taken off.
pub(super) fn address(word: &str) -> Option<Address> {
    let bare = word.split('/').next().unwrap_or(word);
    let bare = bare.trim_start_matches('[').trim_end_matches(']');
    let bare = bare.split('%').next().unwrap_or(bare);
    let is_type = ["IN", "IP4", "IP6"].iter().any(|t| t.eq_ignore_ascii_case(bare));
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) => Some(Address::Ip(unmapped(ip))),
        Ok(ip) => Some(Address::Ip(ip)),
        Err(_) if bare.is_empty() || is_type || !bare.chars().all(is_name) => None,
        Err(_) => Some(Address::Name(bare.to_owned())),
    }
}

/// `::ffff:192.0.2.1` is an IPv4 address to everybody but its writer.
fn unmapped(ip: Ipv6Addr) -> IpAddr {
    ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4)
}

/// `b=<kind>:<number>`; what follows the digits is passed over.
fn bandwidth(value: &str) -> Option<Bandwidth> {
    let (kind, number) = value.split_once(':')?;
    let number = number.trim();
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    let value = number.get(..digits)?.parse().ok()?;
    Some(Bandwidth { kind: kind.trim().to_owned(), value }).filter(|b| !b.kind.is_empty())
}

/// `a=<name>[:<value>]`
fn attribute(value: &str) -> Option<Attribute> {
    let (name, value) = match value.split_once(':') {
        Some((name, value)) => (name.trim(), Some(value.trim().to_owned())),
        None => (value, None),
    };
    (!name.is_empty()).then(|| Attribute { name: name.to_owned(), value })
}
