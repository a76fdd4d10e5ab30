//! What is painted over and instead of pictures: names, borders, cards.

mod blend;
mod cache;
mod card;
mod logo;
mod text;
mod ticker;

pub use card::{Card, state};
pub use logo::{Logo, LogoError};
pub use ticker::Ticker;

use crate::scale::Rect;
use crate::video::{Canvas, Colour, Picture, Pool, PoolError};
use blend::Stamp;
use cache::Cache;
use text::Writer;

/// Fills the even part of `rect` (see [`Rect::within`]) with one colour.
pub fn fill(canvas: &mut Canvas, rect: Rect, colour: Colour) {
    let Some(rect) = rect.within(canvas.width(), canvas.height()) else { return };
    let planes = canvas.planes_mut();
    let values = [colour.y, colour.u, colour.v];
    for (i, ((data, stride), value)) in planes.data.into_iter().zip(planes.stride).zip(values).enumerate() {
        let half = if i == 0 { 1 } else { 2 };
        let part = |n: u32| n as usize / half;
        let columns = part(rect.x)..part(rect.x + rect.w);
        for row in data.chunks_mut(stride).skip(part(rect.y)).take(part(rect.h)) {
            row.get_mut(columns.clone()).unwrap_or_default().fill(value);
        }
    }
}

/// A frame of `thickness` pixels (rounded up to even) along the inside of `rect`.
pub fn border(canvas: &mut Canvas, rect: Rect, thickness: u32, colour: Colour) {
    let Some(rect) = rect.within(canvas.width(), canvas.height()) else { return };
    let t = thickness.min(4096).next_multiple_of(2).min(rect.w).min(rect.h);
    let (right, lower) = (rect.x + rect.w - t, rect.y + rect.h - t);
    fill(canvas, Rect { h: t, ..rect }, colour);
    fill(canvas, Rect { y: lower, h: t, ..rect }, colour);
    fill(canvas, Rect { w: t, ..rect }, colour);
    fill(canvas, Rect { x: right, w: t, ..rect }, colour);
}

/// How thick a border round a tile of this size is: 1/120 of its height, 2–8 pixels.
pub fn border_thickness(rect: Rect) -> u32 {
    (rect.h / 120).next_multiple_of(2).clamp(2, 8)
}

/// Writes names and paints cards. Holds the font and what it has painted already (bounded), so keep one per thread or view; making one takes a few
/// milliseconds.
pub struct Painter {
    writer: Writer,
    names: Cache<NameKey, Stamp>,
    cards: Cache<CardKey, Picture>,
}

/// A name in a tile of this size.
#[derive(Clone, PartialEq, Eq, Hash)]
struct NameKey {
    name: Box<str>,
    width: u32,
    height: u32,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct CardKey {
    card: Card,
    width: u32,
    height: u32,
}

/// Names kept painted: more than the seats of the largest layout, twice over.
const NAMES: usize = 128;
/// Cards kept painted.
const CARDS: usize = 64;

impl Default for Painter {
    fn default() -> Self {
        Self::new()
    }
}

impl Painter {
    /// With the embedded font (Noto Sans Bold: all of Vietnamese, Latin, Greek, Cyrillic); no font of the system is looked at.
    pub fn new() -> Self {
        Self { writer: Writer::new(), names: Cache::new(NAMES), cards: Cache::new(CARDS) }
    }

    /// Writes `name` on a dark band in the lower left corner of a tile, with an ellipsis when it is too long. Composed and decomposed
    /// letters look the same. Nothing is written in tiles below 48×36 pixels.
    pub fn name(&mut self, canvas: &mut Canvas, tile: Rect, name: &str) {
        let Some(tile) = tile.within(canvas.width(), canvas.height()) else { return };
        let name: Box<str> = text::clean(name).into();
        if name.is_empty() || tile.w < 48 || tile.h < 36 {
            return;
        }
        let margin = (tile.h / 40).next_multiple_of(2).max(4);
        let key = NameKey { name, width: tile.w, height: tile.h };
        let writer = &mut self.writer;
        let stamp = self.names.get_or_insert_with(key, |key| {
            let size = (tile.h as f32 / 11.0).clamp(11.0, 36.0);
            let padding = (size * 0.5) as usize;
            let room = (tile.w.saturating_sub(2 * margin) as usize).saturating_sub(2 * padding);
            Stamp::band(&writer.line(&key.name, size, room), padding)
        });
        let y = (tile.y + tile.h).saturating_sub(margin + stamp.height());
        stamp.apply(canvas, tile.x + margin, y);
    }

    /// What is shown of a site without a picture: painted once per size and kept.
    pub fn card(&mut self, width: u32, height: u32, card: &Card, pool: &Pool) -> Result<Picture, PoolError> {
        let key = CardKey { card: card.clone(), width, height };
        if let Some(picture) = self.cards.get(&key) {
            return Ok(picture.clone());
        }
        let mut canvas = pool.canvas(width, height)?;
        card::paint(&mut canvas, card, &mut self.writer);
        let picture = canvas.freeze();
        self.cards.insert(key, picture.clone());
        Ok(picture)
    }

    /// One line of white text on a dark band: a clock, a notice. `size` is the height of the letters' em square in pixels, 8–200; the
    /// label is not wider than `width`.
    pub fn label(&mut self, width: u32, size: f32, line: &str) -> Label {
        let size = if size.is_finite() { size.clamp(8.0, 200.0) } else { 8.0 };
        let padding = (size * 0.5) as usize;
        let room = (width as usize).saturating_sub(2 * padding);
        Label(Stamp::band(&self.writer.line(&text::clean(line), size, room), padding))
    }

    /// A logo as high as asked, in pixels, but not wider than `width`.
    pub fn emblem(logo: &Logo, height: u32, width: u32) -> Label {
        Label(logo.stamp(height, width))
    }

    /// A message for pictures of `size` pixels; it scrolls, or stands still.
    pub fn ticker(&mut self, line: &str, scrolls: bool, size: (u32, u32)) -> Ticker {
        Ticker::new(line, scrolls, size, &mut self.writer)
    }
}

/// Something small that is painted often: made once, then one multiplication per sample.
pub struct Label(Stamp);

impl Label {
    /// Pixels.
    pub fn width(&self) -> u32 {
        self.0.width()
    }

    /// Pixels.
    pub fn height(&self) -> u32 {
        self.0.height()
    }

    /// Paints it with its upper left corner at (`x`, `y`), rounded down to even; what juts out is cut off.
    pub fn paint(&self, canvas: &mut Canvas, x: u32, y: u32) {
        self.0.apply(canvas, x, y);
    }
}
