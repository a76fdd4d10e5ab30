//! What is shown where there is no picture: a dark card with the site's initial, its name and the reason.

use super::blend::{Mask, Stamp};
use super::text::{self, Writer};
use crate::video::{Canvas, Colour};

/// What stands on a card.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Card {
    /// Name of the site; may be empty (then there is no initial either).
    pub name: Box<str>,
    /// Why there is no picture: one of [`state`], or own words; may be empty.
    pub state: Box<str>,
}

impl Card {
    /// A card with this name and reason.
    pub fn new(name: &str, state: &str) -> Self {
        Self { name: text::clean(name).into(), state: text::clean(state).into() }
    }
}

/// Reasons, in Vietnamese and English.
pub mod state {
    /// The endpoint sends none.
    pub const NO_VIDEO: &str = "không có hình / no video";
    /// It came, and stopped.
    pub const VIDEO_LOST: &str = "mất hình / picture lost";
    /// The operator hid it.
    pub const HIDDEN: &str = "đã ẩn hình / picture hidden";
    /// The first key frame is awaited.
    pub const WAITING: &str = "đang chờ hình / waiting for picture";
    /// The call is being set up again.
    pub const RECONNECTING: &str = "đang kết nối lại / reconnecting";
    /// Nobody sits here.
    pub const EMPTY: &str = "";
}

/// Circles: slate in shades, white letters readable on each. Hardly any colour: a card must not be taken for a picture.
const PALETTE: [Colour; 8] = [
    Colour::rgb(0x55, 0x5f, 0x6e),
    Colour::rgb(0x5a, 0x66, 0x66),
    Colour::rgb(0x66, 0x5e, 0x68),
    Colour::rgb(0x6b, 0x63, 0x5c),
    Colour::rgb(0x5e, 0x62, 0x70),
    Colour::rgb(0x60, 0x68, 0x5e),
    Colour::rgb(0x6a, 0x5f, 0x62),
    Colour::rgb(0x56, 0x64, 0x6c),
];

const UPPER: Colour = Colour::rgb(44, 52, 68);
const LOWER: Colour = Colour::rgb(18, 21, 28);
const QUIET: Colour = Colour::rgb(176, 184, 196);

pub(super) fn paint(canvas: &mut Canvas, card: &Card, writer: &mut Writer) {
    background(canvas);
    let (width, height) = (canvas.width(), canvas.height());
    if width < 48 || height < 36 {
        return;
    }
    let (w, h) = (width as f32, height as f32);
    let room = (w * 0.9) as usize;
    let middle = width / 2;
    let initial = initial(&card.name);
    if !initial.is_empty() {
        let radius = (w.min(h * 16.0 / 9.0) * 0.11).max(8.0);
        let disc = disc(radius);
        centre(canvas, &disc, middle, (h * 0.37) as u32, colour_of(&card.name));
        centre(canvas, &writer.line(&initial, radius * 1.1, room), middle, (h * 0.37) as u32, Colour::WHITE);
    }
    let size = (h * 0.085).clamp(9.0, 56.0);
    if !card.name.is_empty() {
        centre(canvas, &writer.line(&card.name, size, room), middle, (h * 0.68) as u32, Colour::WHITE);
    }
    let y = if card.name.is_empty() { h * 0.5 } else { h * 0.82 };
    if !card.state.is_empty() {
        centre(canvas, &writer.line(&card.state, (size * 0.66).max(8.0), room), middle, y as u32, QUIET);
    }
}

/// From dark to darker, downward.
fn background(canvas: &mut Canvas) {
    let planes = canvas.planes_mut();
    let ends = [(UPPER.y, LOWER.y), (UPPER.u, LOWER.u), (UPPER.v, LOWER.v)];
    for (i, ((data, stride), (from, to))) in planes.data.into_iter().zip(planes.stride).zip(ends).enumerate()
    {
        let rows = if i == 0 { planes.height } else { planes.height / 2 } as usize;
        for (y, row) in data.chunks_mut(stride).take(rows).enumerate() {
            let share = y as f32 / rows as f32;
            row.fill((f32::from(from) + (f32::from(to) - f32::from(from)) * share).round() as u8);
        }
    }
}

fn centre(canvas: &mut Canvas, mask: &Mask, x: u32, y: u32, colour: Colour) {
    if mask.width == 0 || mask.height == 0 {
        return;
    }
    let (x, y) = (x.saturating_sub(mask.width as u32 / 2), y.saturating_sub(mask.height as u32 / 2));
    Stamp::solid(mask, colour).apply(canvas, x, y);
}

/// A filled circle with a soft edge.
fn disc(radius: f32) -> Mask {
    let side = (radius * 2.0).ceil() as usize + 2;
    let mut mask = Mask::new(side, side);
    let middle = side as f32 / 2.0;
    for y in 0..side {
        for x in 0..side {
            let distance = (x as f32 + 0.5 - middle).hypot(y as f32 + 0.5 - middle);
            let alpha = (radius - distance + 0.5).clamp(0.0, 1.0) * 255.0;
            mask.cover(x as i32, y as i32, alpha as u8);
        }
    }
    mask
}

/// The first letter or digit with its marks, in upper case.
fn initial(name: &str) -> String {
    let mut letters = name.chars().skip_while(|c| !c.is_alphanumeric());
    let Some(first) = letters.next() else { return String::new() };
    let marks = letters.take_while(|c| matches!(c, '\u{300}'..='\u{36f}'));
    first.to_uppercase().chain(marks).collect()
}

/// The same site always has the same colour.
fn colour_of(name: &str) -> Colour {
    // FNV-1a: stable over versions, unlike the standard hasher.
    let hash =
        name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let at = (hash >> 32) as usize % PALETTE.len();
    PALETTE.get(at).copied().unwrap_or(Colour::BLACK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::Image;

    #[test]
    fn initials_keep_their_marks() {
        assert_eq!(initial("đắk lắk"), "Đ");
        assert_eq!(initial("  (ủy ban"), "Ủ");
        assert_eq!(initial("u\u{309}y"), "U\u{309}");
        assert_eq!(initial("…"), "");
    }

    #[test]
    fn a_card_has_a_circle_a_name_and_a_reason() {
        let mut canvas = Canvas::new(640, 360).unwrap();
        paint(&mut canvas, &Card::new("Xã Hòa Phú", state::NO_VIDEO), &mut Writer::new());
        let planes = canvas.planes();
        let bright = |rows: std::ops::Range<usize>| {
            rows.flat_map(|y| planes.row(0, y).iter()).filter(|&&y| y > 150).count()
        };
        assert!(bright(100..170) > 50, "initial");
        assert!(bright(225..265) > 200, "name");
        assert!(bright(280..310) > 100, "reason");
        assert_eq!(bright(0..60), 0, "dark above");
        assert_eq!(bright(330..360), 0, "dark below");
        assert!(
            planes.row(1, 66)[188].abs_diff(128) > 4 || planes.row(2, 66)[188].abs_diff(128) > 4,
            "coloured circle"
        );
    }

    #[test]
    fn cards_of_any_size_are_painted() {
        let mut writer = Writer::new();
        for (w, h) in [(2, 2), (16, 16), (48, 36), (50, 400), (1920, 1080)] {
            let mut canvas = Canvas::new(w, h).unwrap();
            paint(
                &mut canvas,
                &Card::new("Ủy ban nhân dân thành phố Buôn Ma Thuột", state::WAITING),
                &mut writer,
            );
        }
    }
}
