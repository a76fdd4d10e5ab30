//! Identities: opaque to everybody outside, `c1f` and `p2a` on the wire.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is no id of the wanted sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected `{0}` followed by up to 16 hexadecimal digits")]
pub struct Malformed(pub char);

fn parse(prefix: char, text: &str) -> Result<u64, Malformed> {
    let digits = text.strip_prefix(prefix).ok_or(Malformed(prefix))?;
    // `from_str_radix` would take a sign; lower case only, so that one thing has one name.
    let plain = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if digits.is_empty() || digits.len() > 16 || !digits.bytes().all(plain) {
        return Err(Malformed(prefix));
    }
    u64::from_str_radix(digits, 16).map_err(|_| Malformed(prefix))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String))]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{:x}"), self.0)
            }
        }

        impl FromStr for $name {
            type Err = Malformed;
            fn from_str(text: &str) -> Result<Self, Malformed> {
                parse($prefix, text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// One conference, for as long as it is configured; never used twice.
    ConferenceId, 'c'
);
id!(
    /// One participant: one site in one conference. It keeps its id while it is called again; who hangs up and dials in again
    /// is a new one.
    ParticipantId, 'p'
);

id!(
    /// One long-running operation, such as bringing a site up; never used twice.
    OperationId, 'o'
);

/// A map by one of our own ids. They are numbers of our making, so that a plain multiplication is hash enough: with
/// thousands of viewers the usual one is what a join costs most.
pub(crate) type Map<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;
/// The same for sets.
pub(crate) type Set<K> = HashSet<K, BuildHasherDefault<Spread>>;

/// Spreads one number over 64 bits.
#[derive(Debug, Default, Clone)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0 ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_texts_on_the_wire() {
        assert_eq!(ConferenceId(0x1f).to_string(), "c1f");
        assert_eq!("p2a".parse(), Ok(ParticipantId(0x2a)));
        assert_eq!(serde_json::to_string(&ParticipantId(42)).unwrap(), "\"p2a\"");
        assert_eq!(serde_json::from_str::<ConferenceId>("\"cffffffffffffffff\"").unwrap().0, u64::MAX);
    }

    #[test]
    fn other_texts_are_no_ids() {
        for text in ["", "p", "c2a", "p+2", "p-1", "p2A", "p 2", "2a", "p11111111111111111", "pé"] {
            assert_eq!(text.parse::<ParticipantId>(), Err(Malformed('p')), "{text}");
        }
    }
}
