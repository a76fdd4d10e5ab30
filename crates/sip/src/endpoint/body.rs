//! Finding the session description in a body (RFC 3261 7.4, 8.2.3; multipart RFC 5621).

use bytes::Bytes;

use crate::message::{Headers, Name, Params, scan};

/// Parts of a multipart body that are looked at.
const MOST_PARTS: usize = 16;

/// A body that is not understood, and what would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// A type we do not take: 415 with Accept.
    Type,
    /// An encoding we do not take: 415 with Accept-Encoding.
    Encoding,
}

/// The session description of a message; `None` when it has no body, or none that must be understood.
pub(super) fn description(headers: &Headers, body: &Bytes) -> Result<Option<Bytes>, Foreign> {
    if body.is_empty() {
        return Ok(None);
    }
    let optional = headers.value(&Name::ContentDisposition).is_some_and(|d| {
        let (_, params) = media_type(d);
        params.is_some_and(|p| p.value("handling").is_some_and(|h| h.eq_ignore_ascii_case(b"optional")))
    });
    let encoded = headers.elements(&Name::ContentEncoding).any(|e| !e.eq_ignore_ascii_case(b"identity"));
    let found = match headers.value(&Name::ContentType) {
        _ if encoded => Err(Foreign::Encoding),
        Some(value) => typed(value, body),
        // Line ends behind the message, of a sender that counts no bytes.
        None if scan::trim(body).is_empty() => Ok(None),
        // Some devices leave the type out.
        None if body.starts_with(b"v=0") => Ok(Some(body.clone())),
        None => Err(Foreign::Type),
    };
    match found {
        Err(_) if optional => Ok(None),
        found => found,
    }
}

fn typed(value: &[u8], body: &Bytes) -> Result<Option<Bytes>, Foreign> {
    let (kind, params) = media_type(value);
    if kind.eq_ignore_ascii_case("application/sdp") {
        return Ok(Some(body.clone()));
    }
    let boundary = params.as_ref().and_then(|p| p.value("boundary"));
    match boundary {
        Some(boundary) if kind.get(..10).is_some_and(|k| k.eq_ignore_ascii_case("multipart/")) => {
            let boundary =
                boundary.strip_prefix(b"\"").and_then(|b| b.strip_suffix(b"\"")).unwrap_or(boundary);
            part(boundary, body).map(Some).ok_or(Foreign::Type)
        }
        _ => Err(Foreign::Type),
    }
}

/// `type/subtype` without blanks, and its parameters.
pub(super) fn media_type(value: &[u8]) -> (String, Option<Params>) {
    let at = value.iter().position(|b| *b == b';').unwrap_or(value.len());
    let (kind, params) = value.split_at_checked(at).unwrap_or((value, &[]));
    let kind = String::from_utf8_lossy(kind).chars().filter(|c| !c.is_whitespace()).collect();
    (kind, Params::parse(params).ok())
}

/// The session description among the parts.
fn part(boundary: &[u8], body: &Bytes) -> Option<Bytes> {
    if boundary.is_empty() || boundary.len() > 70 {
        return None;
    }
    let mut delimiter = b"--".to_vec();
    delimiter.extend_from_slice(boundary);
    let mut rest = &body[..];
    let at = find(rest, &delimiter)?;
    rest = rest.get(at + delimiter.len()..)?;
    for _ in 0..MOST_PARTS {
        if rest.starts_with(b"--") {
            return None;
        }
        let at = find(rest, &delimiter)?;
        let (content, tail) = rest.split_at_checked(at)?;
        rest = tail.get(delimiter.len()..)?;
        let content = content.strip_prefix(b"\r\n").or(content.strip_prefix(b"\n")).unwrap_or(content);
        let content = content.strip_suffix(b"\n").unwrap_or(content);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        let Some(end) = part_head(content) else { continue };
        let (head, inner) = content.split_at_checked(end)?;
        if is_description(head) {
            let inner = inner.strip_prefix(b"\r\n").or(inner.strip_prefix(b"\n")).unwrap_or(inner);
            return Some(body.slice_ref(inner));
        }
    }
    None
}

/// Where the headers of a part end: before its empty line.
fn part_head(content: &[u8]) -> Option<usize> {
    find(content, b"\r\n\r\n").map(|at| at + 2).or_else(|| find(content, b"\n\n").map(|at| at + 1))
}

fn is_description(head: &[u8]) -> bool {
    head.split(|b| *b == b'\n').any(|line| {
        scan::split_once(line, b':').is_some_and(|(name, value)| {
            Name::parse(scan::trim(name)) == Some(Name::ContentType)
                && media_type(value).0.eq_ignore_ascii_case("application/sdp")
        })
    })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(kind: &'static str, body: &'static [u8]) -> Result<Option<Bytes>, Foreign> {
        let mut headers = Headers::new();
        headers.push(Name::ContentType, kind);
        description(&headers, &Bytes::from_static(body))
    }

    #[test]
    fn the_description_is_found_among_parts() {
        let body = b"preamble\r\n--b1\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b1\r\nc : Application / SDP\r\n\r\nv=0\r\ns=-\r\n\r\n--b1--\r\n";
        assert_eq!(look("multipart/mixed;boundary=\"b1\"", body).unwrap().unwrap(), &b"v=0\r\ns=-\r\n"[..]);
        assert_eq!(look("multipart/mixed;boundary=b1", b"--b1\r\n\r\nx\r\n--b1--"), Err(Foreign::Type));
    }

    #[test]
    fn other_types() {
        assert_eq!(look("Application/SDP ; charset=utf-8", b"v=0"), Ok(Some(Bytes::from_static(b"v=0"))));
        assert_eq!(look("text/plain", b"v=0"), Err(Foreign::Type));
        assert_eq!(description(&Headers::new(), &Bytes::from_static(b"\r\n\r\n")), Ok(None));
        let mut headers = Headers::new();
        headers.push(Name::ContentType, "image/gif");
        headers.push(Name::ContentDisposition, "render; handling=optional");
        assert_eq!(description(&headers, &Bytes::from_static(b"GIF")), Ok(None));
        headers.push(Name::ContentEncoding, "gzip");
        assert_eq!(description(&headers, &Bytes::new()), Ok(None));
    }
}
