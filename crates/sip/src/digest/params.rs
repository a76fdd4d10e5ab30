//! The list of parameters behind `Digest` (RFC 7616 3.3, RFC 3261 25.1).

use crate::message::scan;

/// Most parameters one header may have.
const MOST: usize = 32;

/// Parameters in their order, names compared without case, values without quotes.
pub(crate) struct Params<'a>(Vec<(&'a [u8], Vec<u8>)>);

impl<'a> Params<'a> {
    /// Reads `Digest a=b, c="d"`; `None` when it is of another scheme or cannot be read.
    pub(crate) fn parse(value: &'a [u8]) -> Option<Self> {
        let (scheme, rest) = scan::split_word(scan::trim(value));
        if !scheme.eq_ignore_ascii_case(b"Digest") {
            return None;
        }
        let mut out = Vec::new();
        for element in scan::split_list(rest, b',').filter(|e| !e.is_empty()) {
            let (name, value) = scan::split_once(element, b'=')?;
            let (name, value) = (scan::trim(name), scan::trim(value));
            if !scan::is_token(name) || out.len() == MOST {
                return None;
            }
            let value = match value.first() {
                Some(b'"') => scan::quoted(value).filter(|(_, rest)| rest.is_empty())?.0.into_owned(),
                _ => value.to_vec(),
            };
            out.push((name, value));
        }
        Some(Self(out))
    }

    /// The first of that name.
    pub(crate) fn value(&self, name: &str) -> Option<&[u8]> {
        let found = self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()))?;
        Some(&found.1)
    }

    /// Whether it is a token with this value.
    pub(crate) fn is(&self, name: &str, value: &str) -> bool {
        self.value(name).is_some_and(|v| v.eq_ignore_ascii_case(value.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_commas_and_other_schemes() {
        let it =
            Params::parse(b"digest realm=\"a, \\\"b\\\"\", NONCE = \"x\",stale=TRUE,, qop=\"auth,auth-int\"")
                .unwrap();
        assert_eq!(it.value("realm"), Some(&b"a, \"b\""[..]));
        assert_eq!(it.value("nonce"), Some(&b"x"[..]));
        assert!(it.is("stale", "true"));
        assert_eq!(it.value("qop"), Some(&b"auth,auth-int"[..]));
        assert!(Params::parse(b"Basic dTpw").is_none());
        assert!(Params::parse(b"Digest realm=\"open").is_none());
        assert!(Params::parse(b"Digest realm").is_none());
    }
}
