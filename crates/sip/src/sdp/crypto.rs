//! `a=crypto` (RFC 4568), read into types. Nothing is answered with it yet: `RTP/SAVP` lines are declined.

use std::fmt;

use super::{Media, base64};

/// The most `a=crypto` lines and keys per line that are read.
const MAX_CRYPTO: usize = 16;

/// One `a=crypto` line: `tag suite inline:key|lifetime|mki:length [session parameters]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crypto {
    /// Tag; 0 exists in the field. The answer repeats it.
    pub tag: u32,
    /// `AES_CM_128_HMAC_SHA1_80`, `AEAD_AES_256_GCM`, …
    pub suite: String,
    /// The keys, usually one.
    pub keys: Vec<Key>,
    /// `UNENCRYPTED_SRTCP`, `KDR=…`, `WSH=…`, …: one that is not known makes this line unusable, not the others.
    pub session_parameters: Vec<String>,
}

/// One inline master key.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// Master key followed by master salt.
    pub material: Vec<u8>,
    /// How many packets the key is good for (`2^48`).
    pub lifetime: Option<u64>,
    /// Master key identifier: its value and its length in bytes.
    pub mki: Option<(u64, u8)>,
}

impl fmt::Debug for Key {
    /// Keys do not get into logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.material.len();
        f.debug_struct("Key")
            .field("bytes", &length)
            .field("lifetime", &self.lifetime)
            .field("mki", &self.mki)
            .finish()
    }
}

/// The `a=crypto` lines of a media line that can be read, in order.
pub fn of(media: &Media) -> Vec<Crypto> {
    media.attributes.all("crypto").filter_map(read).take(MAX_CRYPTO).collect()
}

fn read(value: &str) -> Option<Crypto> {
    let mut words = value.split_whitespace();
    let tag = words.next()?.parse().ok()?;
    let suite = words.next()?.to_owned();
    let keys: Vec<Key> = words.next()?.split(';').take(MAX_CRYPTO).filter_map(key).collect();
    (!keys.is_empty()).then(|| Crypto {
        tag,
        suite,
        keys,
        session_parameters: words.map(str::to_owned).collect(),
    })
}

fn key(text: &str) -> Option<Key> {
    let mut parts = text.strip_prefix("inline:")?.split('|');
    let material = base64::decode(parts.next()?)?;
    let mut key = Key { material, lifetime: None, mki: None };
    for part in parts {
        match part.split_once(':') {
            Some((value, length)) => key.mki = Some((value.parse().ok()?, length.parse().ok()?)),
            None => key.lifetime = Some(lifetime(part)?),
        }
    }
    Some(key)
}

fn lifetime(text: &str) -> Option<u64> {
    match text.strip_prefix("2^") {
        Some(exponent) => 1u64.checked_shl(exponent.parse().ok()?),
        None => text.parse().ok(),
    }
}
