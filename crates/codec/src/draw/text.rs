//! Lines of text to masks, by cosmic-text with the embedded font.

use std::sync::Arc;

use cosmic_text::{
    Attrs, Buffer, Color, Ellipsize, EllipsizeHeightLimit, Family, FontSystem, Metrics, Shaping, SwashCache,
    Weight, Wrap, fontdb,
};

use super::blend::Mask;

/// SIL Open Font License 1.1, see assets/fonts/.
static FONT: &[u8] = include_bytes!("../../../../assets/fonts/NotoSans-Bold.ttf");
const FAMILY: &str = "Noto Sans";

/// Longest text looked at, in characters.
const LONGEST: usize = 120;
/// Glyph images kept before all are thrown away.
const GLYPHS: usize = 2048;
/// Line height by em: two marks upon a capital (Ế, Ữ) and one below (Ậ) must have room.
const LINE: f32 = 1.4;

/// Longest message looked at, in characters.
const LONGEST_MESSAGE: usize = 400;

/// What may be written of a text from outside: one line, without control and direction characters, of bounded length.
pub(super) fn clean(text: &str) -> String {
    one_line(text, LONGEST)
}

/// The same for a message, which may be longer.
pub(super) fn clean_long(text: &str) -> String {
    one_line(text, LONGEST_MESSAGE)
}

fn one_line(text: &str, longest: usize) -> String {
    let unwanted = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let words = text.split(|c: char| c.is_whitespace() || unwanted(c)).filter(|w| !w.is_empty());
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line.chars().take(longest).collect()
}

pub(super) struct Writer {
    fonts: FontSystem,
    glyphs: SwashCache,
}

impl Writer {
    pub(super) fn new() -> Self {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_source(fontdb::Source::Binary(Arc::new(FONT)));
        fonts.set_sans_serif_family(FAMILY);
        Self { fonts: FontSystem::new_with_locale_and_db("vi-VN".into(), fonts), glyphs: SwashCache::new() }
    }

    /// One line, cleaned before, as wide as it is but at most `room` pixels; ended with an ellipsis when it is longer.
    pub(super) fn line(&mut self, text: &str, size: f32, room: usize) -> Mask {
        if self.glyphs.image_cache.len() > GLYPHS {
            self.glyphs.image_cache.clear();
        }
        let height = (size * LINE).ceil();
        let mut buffer = Buffer::new(&mut self.fonts, Metrics::new(size, height));
        buffer.set_wrap(Wrap::None);
        buffer.set_ellipsize(Ellipsize::End(EllipsizeHeightLimit::Lines(1)));
        buffer.set_size(Some(room as f32), Some(height));
        let attributes = Attrs::new().family(Family::Name(FAMILY)).weight(Weight::BOLD);
        buffer.set_text(text, &attributes, Shaping::Advanced, None);
        buffer.shape_until_scroll(&mut self.fonts, false);
        let width = buffer.layout_runs().map(|run| run.line_w).fold(0.0, f32::max);
        let mut mask = Mask::new((width.ceil() as usize).min(room), height as usize);
        buffer.draw(&mut self.fonts, &mut self.glyphs, Color::rgb(255, 255, 255), |x, y, _, _, colour| {
            mask.cover(x, y, colour.a());
        });
        mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [(&str, &str); 3] = [
        ("Xã Hòa Phú", "Xa\u{303} Ho\u{300}a Phu\u{301}"),
        ("Ủy ban Đắk Lắk", "U\u{309}y ban Đa\u{306}\u{301}k La\u{306}\u{301}k"),
        (
            "ƯỠNG ệ Ế ặ ữ",
            "U\u{31b}O\u{31b}\u{303}NG e\u{323}\u{302} E\u{302}\u{301} a\u{323}\u{306} u\u{31b}\u{303}",
        ),
    ];

    #[test]
    fn composed_and_decomposed_letters_look_the_same() {
        let mut writer = Writer::new();
        for (composed, decomposed) in NAMES {
            assert_ne!(composed, decomposed);
            let (a, b) = (writer.line(composed, 20.0, 400), writer.line(decomposed, 20.0, 400));
            assert_eq!((a.width, a.height), (b.width, b.height), "{composed}");
            assert!(a.alpha == b.alpha, "{composed}");
        }
    }

    #[test]
    fn every_vietnamese_letter_is_in_the_font_and_differs_from_its_neighbours() {
        let letters = "aàáảãạăằắẳẵặâầấẩẫậeèéẻẽẹêềếểễệiìíỉĩịoòóỏõọôồốổỗộơờớởỡợuùúủũụưừứửữựyỳýỷỹỵdđ";
        let mut writer = Writer::new();
        let missing = writer.line("\u{e123}", 24.0, 100).alpha;
        let mut seen = std::collections::HashSet::new();
        for letter in letters.chars().chain(letters.to_uppercase().chars()) {
            let mask = writer.line(&letter.to_string(), 24.0, 100);
            assert!(mask.alpha.iter().any(|&a| a > 200), "{letter} is empty");
            assert_ne!(mask.alpha, missing, "{letter} is a box");
            assert!(seen.insert(mask.alpha), "{letter} looks like another letter");
        }
    }

    #[test]
    fn marks_above_and_below_are_not_cut_off() {
        let mut writer = Writer::new();
        let mask = writer.line("ẾỮẬ", 24.0, 200);
        let row = |y: usize| {
            mask.alpha[y * mask.width..(y + 1) * mask.width].iter().map(|&a| u32::from(a)).sum::<u32>()
        };
        assert_eq!(row(0), 0);
        assert_eq!(row(mask.height - 1), 0);
    }

    #[test]
    fn a_name_too_long_ends_in_an_ellipsis() {
        let mut writer = Writer::new();
        let name = "Ủy ban nhân dân thành phố Buôn Ma Thuột";
        let (whole, cut) = (writer.line(name, 20.0, 2000), writer.line(name, 20.0, 150));
        assert!(whole.width > 300);
        assert!(cut.width <= 150 && cut.width > 100, "{}", cut.width);
        // Three dots: the last columns are inked near the base line only.
        let tail = |m: &Mask, rows: std::ops::Range<usize>| {
            rows.flat_map(|y| (m.width - 12..m.width).map(move |x| (x, y)))
                .map(|(x, y)| u32::from(m.at(x, y)))
                .sum::<u32>()
        };
        assert_eq!(tail(&cut, 0..14), 0, "nothing high at the end");
        assert!(tail(&cut, 14..28) > 500, "dots low at the end");
    }

    #[test]
    fn text_from_outside_is_one_bounded_line() {
        assert_eq!(clean("  Xã\tHòa \r\n Phú\u{202e}!\u{0} "), "Xã Hòa Phú !");
        assert_eq!(clean(&"x".repeat(5000)).len(), LONGEST);
        assert_eq!(clean("\u{200b}\n"), "");
        let mut writer = Writer::new();
        for odd in ["\u{1f600}", "中文", "\u{300}\u{300}\u{300}", "العربية"] {
            let _ = writer.line(odd, 16.0, 3);
            let _ = writer.line(odd, 16.0, 0);
        }
    }
}
