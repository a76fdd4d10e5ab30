//! Names of sites and conferences: cleaned, sorted as Vietnamese sorts, and as path keys.

use std::cmp::Ordering;
use std::fmt::Write as _;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Longest name kept, in characters.
pub const MAX_CHARS: usize = 80;

/// The name as it is shown: composed (NFC, so that the same name is the same text whatever keyboard wrote it),
/// control and direction characters out, blanks folded, at most [`MAX_CHARS`] characters. May be empty.
pub fn clean(raw: &str) -> String {
    line(raw, MAX_CHARS)
}

/// The same for any line of text, at most `most` characters.
pub fn line(raw: &str, most: usize) -> String {
    let mut out = String::new();
    let mut chars = 0;
    // The take bounds the work for a name of megabytes; a character of Vietnamese has at most two marks.
    for c in raw.chars().take(most.saturating_mul(16)).nfc() {
        if chars == most {
            break;
        }
        if c.is_whitespace() || c.is_control() {
            if !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
                chars += 1;
            }
        } else if !is_format(c) {
            out.push(c);
            chars += 1;
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Characters that are not seen but change how the text around them looks: bidi overrides, byte order mark, …
/// The zero-width joiners are among them; no name of a place needs them.
fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The key of a name in a path (`Xã Hòa Phú` → `xa-hoa-phu`): lower case, without accents, đ → d, blanks → `-`.
/// Characters a path or an address cannot hold are left out.
pub fn slug(name: &str) -> String {
    let mut out = String::new();
    for c in name.nfd().flat_map(char::to_lowercase) {
        match c {
            'đ' => out.push('d'),
            c if is_combining_mark(c) => {}
            c if c.is_alphanumeric() || c == '.' || c == '_' => out.push(c),
            c if (c.is_whitespace() || c == '-' || c == '/') && !out.is_empty() && !out.ends_with('-') => {
                out.push('-');
            }
            _ => {}
        }
    }
    out.truncate(out.trim_end_matches('-').len());
    out
}

/// `name`, or `name-2`, `name-3`, … whichever `taken` does not hold yet.
pub fn distinct(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut candidate = name.to_owned();
    let mut number = 2_u32;
    while taken(&candidate) {
        candidate.clear();
        let _ = write!(candidate, "{name}-{number}");
        number += 1;
    }
    candidate
}

/// The order of Vietnamese dictionaries: letters a ă â b c d đ e ê … first; where all letters are equal, tones none,
/// huyền, hỏi, ngã, sắc, nặng; then lower before upper case. Numbers are compared by value (`Cầu 2` before `Cầu 10`).
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a_key, b_key) = (Key::of(a), Key::of(b));
    a_key.cmp(&b_key).then_with(|| a.cmp(b))
}

/// Derived order is the order of the levels: letters of the whole text before any tone, tones before case.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    letters: Vec<Primary>,
    tones: Vec<u8>,
    upper: Vec<bool>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Primary {
    /// Between words; sorts before everything so that `An Phú` stands before `Anh Sơn`.
    Gap,
    Number(u64),
    /// Base letter, then its mark: none, breve, circumflex, horn, stroke.
    Letter(char, u8),
}

impl Key {
    fn of(text: &str) -> Key {
        let mut key = Key { letters: Vec::new(), tones: Vec::new(), upper: Vec::new() };
        for c in text.nfd() {
            if is_combining_mark(c) {
                key.mark(c);
            } else if let Some(digit) = c.to_digit(10) {
                key.digit(u64::from(digit));
            } else if c.is_alphanumeric() {
                let mut lower = c.to_lowercase();
                let letter = match lower.next() {
                    Some('đ') => Primary::Letter('d', 4),
                    Some(base) => Primary::Letter(base, 0),
                    None => continue,
                };
                key.push(letter, c.is_uppercase());
            } else if key.letters.last().is_some_and(|last| *last != Primary::Gap) {
                key.push(Primary::Gap, false);
            }
        }
        key
    }

    fn push(&mut self, primary: Primary, upper: bool) {
        self.letters.push(primary);
        self.tones.push(0);
        self.upper.push(upper);
    }

    fn digit(&mut self, digit: u64) {
        if let Some(Primary::Number(number)) = self.letters.last_mut() {
            *number = number.saturating_mul(10).saturating_add(digit);
        } else {
            self.push(Primary::Number(digit), false);
        }
    }

    fn mark(&mut self, mark: char) {
        let tone = match mark {
            '\u{300}' => 1, // huyền
            '\u{309}' => 2, // hỏi
            '\u{303}' => 3, // ngã
            '\u{301}' => 4, // sắc
            '\u{323}' => 5, // nặng
            _ => 0,
        };
        if let (1.., Some(last)) = (tone, self.tones.last_mut()) {
            *last = tone;
        }
        let shape = match mark {
            '\u{306}' => 1, // ă
            '\u{302}' => 2, // â ê ô
            '\u{31b}' => 3, // ơ ư
            _ => 0,
        };
        if let (1.., Some(Primary::Letter(_, last))) = (shape, self.letters.last_mut()) {
            *last = shape;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_a_name_become_one() {
        assert_eq!(clean("Xa\u{303} Ho\u{300}a Phu\u{301}"), "Xã Hòa Phú");
        assert_eq!(clean("Xã Hòa Phú"), "Xã Hòa Phú");
    }

    #[test]
    fn what_cannot_be_seen_is_taken_out_and_length_is_bounded() {
        assert_eq!(clean("  Điểm\r\n\tcầu \u{202e}Huế\u{0} "), "Điểm cầu Huế");
        assert_eq!(clean(&"ệ".repeat(10_000)).chars().count(), MAX_CHARS);
        assert_eq!(clean("\u{200b}\u{feff} \t"), "");
    }

    #[test]
    fn a_name_makes_a_path_key() {
        assert_eq!(slug("Xã Hòa Phú"), "xa-hoa-phu");
        assert_eq!(slug("Đắk Lắk"), "dak-lak");
        assert_eq!(slug("  Buôn  Ma Thuột / 2 "), "buon-ma-thuot-2");
        assert_eq!(distinct("hue", |n| ["hue", "hue-2"].contains(&n)), "hue-3");
    }

    #[test]
    fn names_sort_as_in_a_vietnamese_dictionary() {
        let sorted = [
            "a",
            "à",
            "ả",
            "ã",
            "á",
            "ạ",
            "An Phú",
            "Anh Sơn",
            "ă",
            "ằ",
            "â",
            "ấ",
            "Bắc Ninh",
            "Cầu 2",
            "Cầu 10",
            "Cao Bằng",
            "Dak",
            "Đà Nẵng",
            "Đắk Lắk",
            "e",
            "ê",
            "Hà Nội",
            "Huế",
            "o",
            "ô",
            "ơ",
            "Tân",
            "u",
            "ư",
            "Vinh",
        ];
        // "Cao" before "Cầu": a before â.
        let mut expected: Vec<&str> = sorted.to_vec();
        let cao = expected.remove(15);
        expected.insert(13, cao);
        let mut shuffled = expected.clone();
        shuffled.reverse();
        shuffled.sort_by(|a, b| compare(a, b));
        assert_eq!(shuffled, expected);
    }

    #[test]
    fn decomposed_and_composed_sort_together() {
        let mut names = vec!["Đa\u{306}\u{301}k", "Đắc", "Đặc"];
        names.sort_by(|a, b| compare(a, b));
        assert_eq!(names, ["Đắc", "Đặc", "Đa\u{306}\u{301}k"]);
    }
}
