//! `o=` (RFC 8866 5.2): whose description it is, and which version.

use std::net::IpAddr;

use super::{Address, Session};

/// The `o=` line. Of our own calls it is made once and then kept: the id never changes, the version grows by one with every
/// change (RFC 3264 8).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// User name, `-` when none.
    pub username: String,
    /// Session id. What a peer writes beyond 64 bits, or not as a number, is folded into 64 bits: it is only compared.
    pub id: u64,
    /// Session version; folded like the id.
    pub version: u64,
    /// Address of the maker.
    pub address: Address,
}

impl Origin {
    /// A first version. The id is the caller's random number, kept below 2^62 for old devices that read it signed.
    pub fn new(id: u64, address: IpAddr) -> Self {
        Self { username: "-".to_owned(), id: id >> 2, version: 1, address: Address::Ip(address) }
    }

    /// Whether both name the same version of the same session: such a re-offer changes nothing (RFC 3264 8, a session refresh).
    pub fn is_same_version(&self, other: &Self) -> bool {
        self.id == other.id && self.version == other.version && self.username == other.username
    }

    /// Gives `session`, our next description, its version: the last one's when nothing but `o=` differs, otherwise one more than
    /// was ever used, also by an offer that was refused. `last` is our description in force, `None` at first.
    pub fn revise(&mut self, session: &mut Session, last: Option<&Session>) {
        if let Some(last) = last {
            session.origin = last.origin.clone();
            if session == last {
                return;
            }
            self.version = self.version.max(last.origin.version).saturating_add(1);
        }
        session.origin = self.clone();
    }

    /// Reads the words after `o=`, from the right, because user names with blanks exist.
    pub(super) fn parse(value: &str) -> Self {
        let words: Vec<&str> = value.split_whitespace().collect();
        let (rest, address) = match words.iter().rposition(|w| w.eq_ignore_ascii_case("IN")) {
            Some(at) => (words.get(..at).unwrap_or_default(), words.get(at + 2)),
            None => (words.as_slice(), None),
        };
        let (name, numbers) = rest.split_at(rest.len().saturating_sub(2).max(rest.len().min(1)));
        let name = name.join("_");
        Self {
            username: if name.is_empty() { "-".to_owned() } else { name },
            id: numbers.first().map_or(0, |w| fold(w)),
            version: numbers.get(1).map_or(0, |w| fold(w)),
            address: address.and_then(|a| super::parse::address(a)).unwrap_or_default(),
        }
    }
}

/// A number, or something that is equal for equal words.
fn fold(word: &str) -> u64 {
    word.parse().unwrap_or_else(|_| {
        word.bytes().fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
    })
}
