//! Vietnamese or English, by the header Accept-Language.

use axum::http::{HeaderMap, header::ACCEPT_LANGUAGE};
use cau_model::Words;

/// The languages of the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// Vietnamese: the default, also when nothing fitting is asked for.
    #[default]
    Vi,
    /// English.
    En,
}

impl Language {
    /// The one the client likes better (RFC 9110, 12.5.4). Vietnamese when it likes both or names neither.
    pub fn of(headers: &HeaderMap) -> Self {
        let Some(value) = headers.get(ACCEPT_LANGUAGE).and_then(|v| v.to_str().ok()) else { return Self::Vi };
        let (mut vi, mut en, mut rest) = (None, None, None);
        // A header of a browser names a handful; whoever sends more is not read to the end.
        for item in value.split(',').take(32) {
            let mut parts = item.split(';');
            let tag = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
            let quality = parts.find_map(|p| p.trim().strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
            match tag.split('-').next() {
                Some("vi") => vi = vi.or(Some(quality)),
                Some("en") => en = en.or(Some(quality)),
                Some("*") => rest = rest.or(Some(quality)),
                _ => {}
            }
        }
        let score = |own: Option<f32>| own.or(rest).unwrap_or(0.0);
        if score(en) > score(vi) { Self::En } else { Self::Vi }
    }

    /// The tag for Content-Language.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Vi => "vi",
            Self::En => "en",
        }
    }

    /// The version of a sentence in this language.
    pub fn of_words(self, words: &Words) -> &str {
        match self {
            Self::Vi => &words.vi,
            Self::En => &words.en,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_liked_language_wins_and_vietnamese_is_the_default() {
        let of = |s: &str| Language::of(&HeaderMap::from_iter([(ACCEPT_LANGUAGE, s.parse().unwrap())]));
        assert_eq!(Language::of(&HeaderMap::new()), Language::Vi);
        assert_eq!(of("en"), Language::En);
        assert_eq!(of("en-GB,en;q=0.9,vi;q=0.8"), Language::En);
        assert_eq!(of("vi-VN,vi;q=0.9,en;q=0.8"), Language::Vi);
        assert_eq!(of("fr, *;q=0.5"), Language::Vi);
        assert_eq!(of("vi;q=0, *"), Language::En);
        assert_eq!(of("de"), Language::Vi);
        assert_eq!(of(";;;,q=x,"), Language::Vi);
    }
}
