//! What one master keeps for the other: named records whose changes can be had since any version.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::wire;

/// Records on one shelf.
pub const MOST_RECORDS: usize = 32_768;
/// Bytes of all of them, as they go over the line.
pub const MOST_BYTES: usize = 32 * 1024 * 1024;
/// Longest name of a record, characters.
pub const MAX_KEY: usize = 1_000;
/// Longest record as it goes over the line: escaped, between quotes.
pub const MAX_RECORD: usize = 48 * 1024;
/// Removals remembered; who is further behind gets the whole shelf.
const REMEMBERED: usize = 4_096;
/// A message ends before it gets longer than this.
const ENOUGH: usize = 56 * 1024;

/// Why a record is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// It is longer than [`MAX_RECORD`], or its name than [`MAX_KEY`].
    #[error("the record is too long")]
    Record,
    /// There are [`MOST_RECORDS`] or [`MOST_BYTES`] already.
    #[error("there are too many records")]
    Shelf,
}

/// Records by name. Every change gets the next version.
#[derive(Debug, Default)]
pub struct Shelf {
    version: u64,
    records: BTreeMap<String, (String, u64)>,
    /// What changed last at which version; of what is gone too.
    changes: BTreeMap<u64, String>,
    gone: BTreeMap<String, u64>,
    /// Removals up to this version are forgotten.
    forgotten: u64,
    bytes: usize,
}

/// Its length as a JSON string.
fn written(text: &str) -> usize {
    let extra = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
        0..0x20 => 5,
        _ => 0,
    };
    text.len() + 2 + text.bytes().map(extra).sum::<usize>()
}

fn size(key: &str, text: &str) -> usize {
    written(key) + written(text) + 20
}

impl Shelf {
    /// The number of changes so far.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of all of them, as they go over the line.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// One record.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.records.get(key).map(|(text, _)| text.as_str())
    }

    /// All records whose name begins so, sorted.
    pub fn within<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.records
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(key, (text, _))| (key.as_str(), text.as_str()))
    }

    /// Sets a record; says whether that changed anything.
    ///
    /// # Errors
    /// It does not fit; what was there under this name stays.
    pub fn put(&mut self, key: &str, text: &str) -> Result<bool, Full> {
        let before = self.records.get(key);
        if before.is_some_and(|(old, _)| old == text) {
            return Ok(false);
        }
        if written(text) > MAX_RECORD || key.chars().count() > MAX_KEY {
            return Err(Full::Record);
        }
        let bytes = self.bytes + size(key, text) - before.map_or(0, |(old, _)| size(key, old));
        if bytes > MOST_BYTES || (before.is_none() && self.records.len() >= MOST_RECORDS) {
            return Err(Full::Shelf);
        }
        self.bytes = bytes;
        if let Some((_, version)) = before {
            self.changes.remove(version);
        }
        if let Some(version) = self.gone.remove(key) {
            self.changes.remove(&version);
        }
        self.version += 1;
        self.changes.insert(self.version, key.to_owned());
        self.records.insert(key.to_owned(), (text.to_owned(), self.version));
        Ok(true)
    }

    /// Takes a record off; says whether it was there.
    pub fn remove(&mut self, key: &str) -> bool {
        let Some((text, version)) = self.records.remove(key) else { return false };
        self.bytes -= size(key, &text);
        self.changes.remove(&version);
        self.version += 1;
        self.changes.insert(self.version, key.to_owned());
        self.gone.insert(key.to_owned(), self.version);
        if self.gone.len() > REMEMBERED
            && let Some((key, version)) =
                self.gone.iter().min_by_key(|(_, v)| **v).map(|(k, v)| (k.clone(), *v))
        {
            self.gone.remove(&key);
            self.changes.remove(&version);
            self.forgotten = version;
        }
        true
    }

    /// Whether what changed since a version can still be told.
    pub fn reaches_back_to(&self, version: u64) -> bool {
        (self.forgotten..=self.version).contains(&version)
    }

    /// What changed since a version, as much as fits into one message; `whole`: removals are left out.
    pub fn changes_since(&self, version: u64, whole: bool) -> wire::Replica {
        let mut told =
            wire::Replica { base: Some(version), version, done: true, records: Vec::new(), gone: Vec::new() };
        let mut bytes = 0;
        for (at, key) in self.changes.range((Bound::Excluded(version), Bound::Unbounded)) {
            let text = self.get(key);
            bytes += text.map_or(written(key) + 1, |text| size(key, text));
            let many = told.records.len() >= wire::MAX_ENTRIES || told.gone.len() >= wire::MAX_ENTRIES;
            let begun = !(told.records.is_empty() && told.gone.is_empty());
            if many || (begun && bytes > ENOUGH) {
                told.done = !whole;
                return told;
            }
            told.version = *at;
            match text {
                Some(text) => {
                    told.records.push(wire::Record { key: key.clone(), text: text.to_owned() });
                }
                None if !whole => told.gone.push(key.clone()),
                None => {}
            }
        }
        told.version = self.version;
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Body, Frame, MAX_BYTES};

    /// Takes what a shelf tells since the beginning, as another one would.
    fn copy(from: &Shelf) -> Shelf {
        let (mut to, mut at) = (Shelf::default(), 0);
        loop {
            let told = from.changes_since(at, true);
            for record in &told.records {
                to.put(&record.key, &record.text).unwrap();
            }
            at = told.version;
            if told.done {
                return to;
            }
        }
    }

    #[test]
    fn a_copy_has_the_same_and_later_changes_alone_bring_it_up_to_date() {
        let mut shelf = Shelf::default();
        for n in 0..2_000 {
            shelf.put(&format!("site/{n}"), &format!("{{\"name\":\"Xã {n}\"}}")).unwrap();
        }
        let mut other = copy(&shelf);
        assert_eq!((other.len(), other.bytes()), (shelf.len(), shelf.bytes()));
        let at = shelf.version();
        assert_eq!(shelf.put("site/7", "{\"name\":\"Xã 7\"}"), Ok(false), "the same is no change");
        shelf.put("site/7", "x").unwrap();
        assert!(shelf.remove("site/8") && !shelf.remove("site/8"));
        let told = shelf.changes_since(at, false);
        assert_eq!((told.records.len(), told.gone.len(), told.done), (1, 1, true));
        for record in &told.records {
            other.put(&record.key, &record.text).unwrap();
        }
        for key in &told.gone {
            other.remove(key);
        }
        let all = |shelf: &Shelf| -> Vec<(String, String)> {
            shelf.within("").map(|(k, t)| (k.to_owned(), t.to_owned())).collect()
        };
        assert_eq!(all(&other), all(&shelf));
        assert_eq!(other.bytes(), shelf.bytes());
        assert_eq!(shelf.within("site/1999").count(), 1);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_no_message_is_too_long() {
        let mut shelf = Shelf::default();
        assert_eq!(shelf.put("x", &"y".repeat(MAX_RECORD)), Err(Full::Record));
        assert_eq!(shelf.put("x", &"\u{1}".repeat(MAX_RECORD / 5)), Err(Full::Record));
        assert_eq!(shelf.put(&"x".repeat(MAX_KEY + 1), "y"), Err(Full::Record));
        let longest = "\"".repeat((MAX_RECORD - 2) / 2);
        for n in 0..40 {
            shelf.put(&format!("{n}"), if n % 3 == 0 { &longest } else { "\\\n" }).unwrap();
        }
        let (mut at, mut messages) = (0, 0);
        while at < shelf.version() {
            let told = shelf.changes_since(at, false);
            at = told.version;
            let text = Frame { session: u64::MAX, seq: u64::MAX, body: Body::Replica(told) }.write();
            assert!(text.len() <= MAX_BYTES && Frame::read(&text).is_ok(), "{} bytes", text.len());
            messages += 1;
        }
        assert_eq!(messages, 14, "one long record each");
        for n in 0..MOST_RECORDS {
            let _ = shelf.put(&format!("many/{n}"), "");
        }
        assert_eq!(shelf.put("one more", ""), Err(Full::Shelf));
        assert_eq!(shelf.put("0", "shorter"), Ok(true), "what is there may change");
        let mut heavy = Shelf::default();
        let kept = (0..1_000).filter(|n| heavy.put(&format!("{n}"), &longest).is_ok()).count();
        assert!(heavy.bytes() <= MOST_BYTES && (600..=MOST_BYTES / (MAX_RECORD - 4)).contains(&kept));
    }

    #[test]
    fn who_is_too_far_behind_starts_anew() {
        let mut shelf = Shelf::default();
        for n in 0..5_000 {
            shelf.put(&format!("{n}"), "").unwrap();
        }
        let at = shelf.version();
        for n in 0..5_000 {
            shelf.remove(&format!("{n}"));
        }
        assert!(!shelf.reaches_back_to(at) && shelf.reaches_back_to(shelf.version()));
        assert!(!shelf.reaches_back_to(shelf.version() + 1));
    }
}
