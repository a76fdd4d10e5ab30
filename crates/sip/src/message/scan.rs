//! Scanning of header text: white space, tokens, quoted strings, lists (RFC 3261 25.1).
//!
//! Everything works on bytes, because header text of real devices is not always UTF-8.

use std::borrow::Cow;

/// Linear white space, folded lines included.
pub(crate) fn is_lws(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

/// `input` without white space at both ends.
pub(crate) fn trim(input: &[u8]) -> &[u8] {
    let mut rest = input;
    while let [first, tail @ ..] = rest
        && is_lws(*first)
    {
        rest = tail;
    }
    while let [head @ .., last] = rest
        && is_lws(*last)
    {
        rest = head;
    }
    rest
}

/// A character of a `token`.
pub(crate) fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(b, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~')
}

/// Whether all of `input` is one `token`.
pub(crate) fn is_token(input: &[u8]) -> bool {
    !input.is_empty() && input.iter().all(|b| is_token_byte(*b))
}

/// `1*DIGIT` that fits.
pub(crate) fn number<T: std::str::FromStr>(input: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(trim(input)).ok()?;
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Splits once at the first `separator`; the separator belongs to neither side.
pub(crate) fn split_once(input: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = input.iter().position(|b| *b == separator)?;
    let (head, tail) = input.split_at_checked(at)?;
    Some((head, tail.get(1..)?))
}

/// Splits at the first white space; the second part is trimmed.
pub(crate) fn split_word(input: &[u8]) -> (&[u8], &[u8]) {
    let at = input.iter().position(|b| is_lws(*b)).unwrap_or(input.len());
    let (head, tail) = input.split_at_checked(at).unwrap_or((input, &[]));
    (head, trim(tail))
}

/// Elements of a list, split at `separator` outside of quotes and angle brackets, each trimmed.
pub(crate) fn split_list(input: &[u8], separator: u8) -> SplitList<'_> {
    SplitList { rest: Some(input), separator }
}

/// Iterator of [`split_list`].
pub(crate) struct SplitList<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> Iterator for SplitList<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take()?;
        let (mut quoted, mut escaped, mut angle) = (false, false, false);
        for (at, &b) in rest.iter().enumerate() {
            if escaped {
                escaped = false;
            } else if quoted {
                match b {
                    b'\\' => escaped = true,
                    b'"' => quoted = false,
                    _ => {}
                }
            } else if b == b'"' {
                quoted = true;
            } else if b == b'<' {
                angle = true;
            } else if b == b'>' {
                angle = false;
            } else if b == self.separator && !angle {
                let (head, tail) = rest.split_at_checked(at)?;
                self.rest = tail.get(1..);
                return Some(trim(head));
            }
        }
        Some(trim(rest))
    }
}

/// Takes a quoted string from the start: its content without escapes, and what follows.
pub(crate) fn quoted(input: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let body = input.strip_prefix(b"\"")?;
    let mut escaped = false;
    let mut any = false;
    for (at, &b) in body.iter().enumerate() {
        if escaped {
            escaped = false;
        } else if b == b'\\' {
            escaped = true;
            any = true;
        } else if b == b'"' {
            let (inner, tail) = body.split_at_checked(at)?;
            let content = if any { Cow::Owned(unescape(inner)) } else { Cow::Borrowed(inner) };
            return Some((content, tail.get(1..)?));
        }
    }
    None
}

fn unescape(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(input.len());
    let mut escaped = false;
    for &b in input {
        if b == b'\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            out.push(b);
        }
    }
    out
}

/// `text` as a quoted string, quotes and backslashes escaped, control characters left out.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// Percent-decodes; a bad escape stays as it is (RFC 3261 25.1 `escaped`).
pub(crate) fn percent_decode(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(input.len());
    let mut rest = input;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%'
            && let [high, low, after @ ..] = tail
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.push(high << 4 | low);
            rest = after;
            continue;
        }
        out.push(*first);
    }
    out
}

fn hex(b: u8) -> Option<u8> {
    (b as char).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_respect_quotes_and_brackets() {
        let parts: Vec<_> = split_list(b"\"a,\\\"b\" <sip:x,y@z>;p , c", b',').collect();
        assert_eq!(parts, [&b"\"a,\\\"b\" <sip:x,y@z>;p"[..], b"c"]);
    }

    #[test]
    fn quoted_strings_lose_their_escapes() {
        let (content, rest) = quoted(b"\"J \\\\\\\"\" tail").unwrap();
        assert_eq!(&*content, b"J \\\"");
        assert_eq!(rest, b" tail");
        assert!(quoted(b"\"open").is_none());
    }

    #[test]
    fn numbers_are_digits_only() {
        assert_eq!(number::<u32>(b" 0068 "), Some(68));
        assert_eq!(number::<u32>(b"+1"), None);
        assert_eq!(number::<u32>(b"4294967296"), None);
    }

    #[test]
    fn percent_escapes() {
        assert_eq!(percent_decode(b"sip%3Auser%4g%"), b"sip:user%4g%");
    }
}
