//! Names of MCUs and sites from the root of the tree: `dak-lak/buon-ma-thuot/hoa-phu`.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use cau_model::name;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Most segments of a path.
pub const MAX_SEGMENTS: usize = 12;
/// Longest segment, in characters.
pub const MAX_SEGMENT: usize = 80;

/// A text that is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a path: up to 12 names of lower-case letters, digits, `-`, `.`, `_`, joined by `/`")]
pub struct Malformed;

/// Where an MCU or a site stands in the tree; the root's is empty. Cheap to clone; sorted, everything below a path stands
/// together.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(Arc<str>);

impl Path {
    /// The root.
    pub fn root() -> Path {
        Path(Arc::from(""))
    }

    /// As text; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path one step below. `segment` has to be one made by [`segment`].
    #[must_use]
    pub fn join(&self, segment: &str) -> Path {
        if self.is_root() {
            Path(Arc::from(segment))
        } else {
            Path(Arc::from(format!("{}/{segment}", self.0)))
        }
    }

    /// One step up; none for the root.
    pub fn parent(&self) -> Option<Path> {
        match self.0.rsplit_once('/') {
            Some((parent, _)) => Some(Path(Arc::from(parent))),
            None => (!self.is_root()).then(Path::root),
        }
    }

    /// The last segment; empty for the root.
    pub fn last(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// Whether it stands below `other`.
    pub fn is_below(&self, other: &Path) -> bool {
        !self.is_root()
            && (other.is_root() || self.0.strip_prefix(&*other.0).is_some_and(|rest| rest.starts_with('/')))
    }

    /// Whether it is `other` or stands below it.
    pub fn is_within(&self, other: &Path) -> bool {
        self == other || self.is_below(other)
    }

    /// The step below `above` that leads here: `a/b/c` seen from `a` is `a/b`. `None` when it does not stand below.
    pub fn step_below(&self, above: &Path) -> Option<Path> {
        if !self.is_below(above) {
            return None;
        }
        let from = if above.is_root() { 0 } else { above.0.len() + 1 };
        let rest = self.0.get(from..)?;
        let end = from + rest.find('/').unwrap_or(rest.len());
        self.0.get(..end).map(|text| Path(Arc::from(text)))
    }

    /// What everything below it begins with.
    pub(crate) fn below_from(&self) -> String {
        if self.is_root() { String::new() } else { format!("{}/", self.0) }
    }

    /// The number that names its pictures and sound in RTP (CSRC): 32-bit FNV-1a, never 0.
    pub fn csrc(&self) -> u32 {
        let hash = self
            .0
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        hash.max(1)
    }
}

/// The segment of a name, `site` when nothing of it can stand in a path.
pub fn segment(shown: &str) -> String {
    let mut slug: String = name::slug(shown).chars().filter(|c| fits(*c)).take(MAX_SEGMENT - 8).collect();
    slug.truncate(slug.trim_end_matches('-').len());
    if slug.is_empty() { "site".to_owned() } else { slug }
}

fn fits(c: char) -> bool {
    c == '-' || c == '.' || c == '_' || (c.is_alphanumeric() && !c.is_uppercase())
}

impl FromStr for Path {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Path, Malformed> {
        if text.is_empty() {
            return Ok(Path::root());
        }
        let good = |segment: &str| {
            !segment.is_empty() && segment.chars().all(fits) && segment.chars().nth(MAX_SEGMENT).is_none()
        };
        let mut segments = 0;
        for segment in text.split('/') {
            segments += 1;
            if segments > MAX_SEGMENTS || !good(segment) {
                return Err(Malformed);
            }
        }
        Ok(Path(Arc::from(text)))
    }
}

impl Borrow<str> for Path {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0)
    }
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Path, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Path;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path such as dak-lak/hoa-phu")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Path, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        text.parse().unwrap()
    }

    #[test]
    fn names_become_segments_as_the_contract_says() {
        assert_eq!(segment("Xã Hòa Phú"), "xa-hoa-phu");
        assert_eq!(segment("Đắk Lắk"), "dak-lak");
        assert_eq!(segment("?!"), "site");
        assert_eq!(
            path("dak-lak/buon-ma-thuot").join(&segment("Hòa Phú")).as_str(),
            "dak-lak/buon-ma-thuot/hoa-phu"
        );
        let long = segment(&"ệ".repeat(200));
        assert!(Path::root().join(&long).as_str().parse::<Path>().is_ok());
    }

    #[test]
    fn what_stands_below_what() {
        let (root, a, ab, abc) = (Path::root(), path("a"), path("a/b"), path("a/b/c"));
        assert!(abc.is_below(&a) && abc.is_below(&ab) && a.is_below(&root) && !root.is_below(&root));
        assert!(!path("a-b").is_below(&a) && !path("ab").is_within(&a) && a.is_within(&a));
        assert_eq!(abc.step_below(&root), Some(a.clone()));
        assert_eq!(abc.step_below(&a), Some(ab.clone()));
        assert_eq!(abc.step_below(&path("b")), None);
        assert_eq!((ab.parent(), a.parent(), root.parent()), (Some(a.clone()), Some(root), None));
        assert_eq!(abc.last(), "c");
    }

    #[test]
    fn other_texts_are_no_paths() {
        let deep = vec!["a"; 13].join("/");
        let long = "a".repeat(81);
        for text in ["/", "a/", "/a", "a//b", "A", "a b", "a\u{202e}", "đ\u{301}x y", &deep, &long] {
            assert_eq!(text.parse::<Path>(), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn everybody_computes_the_same_number() {
        assert_eq!(path("a").csrc(), 0xe40c_292c, "the published test value of FNV-1a");
        assert_ne!(path("dak-lak/hoa-phu").csrc(), path("dak-lak/hoa-phu-2").csrc());
    }
}
