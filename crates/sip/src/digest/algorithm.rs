//! Hash functions of Digest (RFC 7616 3.3, RFC 8760 2.1).

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};

/// A hash function, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// MD5 (RFC 2617): only for devices that know nothing else.
    Md5,
    /// SHA-256.
    Sha256,
    /// SHA-512/256.
    Sha512_256,
}

impl Algorithm {
    /// Reads the value of `algorithm`; true when it is a `-sess` one. `None`: not known.
    pub(crate) fn parse(text: &[u8]) -> Option<(Self, bool)> {
        let text = std::str::from_utf8(text).ok()?.to_ascii_uppercase();
        let (name, session) = match text.strip_suffix("-SESS") {
            Some(name) => (name, true),
            None => (text.as_str(), false),
        };
        let found = [Self::Md5, Self::Sha256, Self::Sha512_256].into_iter().find(|a| a.name() == name)?;
        Some((found, session))
    }

    /// As in the header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512_256 => "SHA-512-256",
        }
    }

    /// Hexadecimal digits of a hash.
    pub(crate) fn digits(self) -> usize {
        if self == Self::Md5 { 32 } else { 64 }
    }

    /// `H(a:b:…)` in lower-case hexadecimal digits.
    pub(crate) fn hash(self, parts: &[&[u8]]) -> String {
        match self {
            Self::Md5 => joined::<Md5>(parts),
            Self::Sha256 => joined::<Sha256>(parts),
            Self::Sha512_256 => joined::<Sha512_256>(parts),
        }
    }
}

fn joined<D: Digest>(parts: &[&[u8]]) -> String {
    let mut digest = D::new();
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            digest.update(b":");
        }
        digest.update(part);
    }
    hex(&digest.finalize())
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

/// Bytes of hexadecimal digits; `None` when they are none.
pub(crate) fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |b: &u8| (*b as char).to_digit(16).and_then(|d| u8::try_from(d).ok());
    text.chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect()
}

/// `request-digest` with qop `auth`, or without qop (RFC 2069) when `count` is `None`.
pub(crate) fn response(
    algorithm: Algorithm,
    ha1: &str,
    nonce: &[u8],
    count: Option<(&[u8], &[u8])>,
    method: &str,
    uri: &[u8],
) -> String {
    let ha2 = algorithm.hash(&[method.as_bytes(), uri]);
    match count {
        Some((nc, cnonce)) => algorithm.hash(&[ha1.as_bytes(), nonce, nc, cnonce, b"auth", ha2.as_bytes()]),
        None => algorithm.hash(&[ha1.as_bytes(), nonce, ha2.as_bytes()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7616 3.9.1.
    #[test]
    fn the_examples_of_the_rfc() {
        let count = Some((&b"00000001"[..], &b"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"[..]));
        let nonce = b"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
        for (algorithm, want) in [
            (Algorithm::Md5, "8ca523f5e9506fed4657c9700eebdbec"),
            (Algorithm::Sha256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let ha1 = algorithm.hash(&[b"Mufasa", b"http-auth@example.org", b"Circle of Life"]);
            assert_eq!(response(algorithm, &ha1, nonce, count, "GET", b"/dir/index.html"), want);
            assert_eq!(want.len(), algorithm.digits());
        }
    }

    #[test]
    fn names_and_digits() {
        assert_eq!(Algorithm::parse(b"md5"), Some((Algorithm::Md5, false)));
        assert_eq!(Algorithm::parse(b"SHA-256-sess"), Some((Algorithm::Sha256, true)));
        assert_eq!(Algorithm::parse(b"SHA-512-256"), Some((Algorithm::Sha512_256, false)));
        assert_eq!(Algorithm::parse(b"CRC32"), None);
        assert_eq!(unhex(hex(&[0, 255, 16]).as_bytes()), Some(vec![0, 255, 16]));
        assert_eq!(unhex(b"0g"), None);
        assert_eq!(unhex(b"0"), None);
    }
}
