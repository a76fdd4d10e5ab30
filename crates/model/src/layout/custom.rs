//! Layouts of files: tiles as shares of the picture, seats in the order of the file.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::{Kind, Rect, even, tiles};
use crate::refusal::Words;
use crate::scene::Fit;

/// One whole side of the picture in the unit of [`Share`].
pub const WHOLE: u16 = 10_000;
/// Smallest side of a tile: 2 % of the picture.
pub const LEAST: u16 = 200;
/// Most tiles of one layout.
pub const MAX_TILES: usize = 64;

/// Name of a layout of a file: begins with a small letter, then small letters, digits, `-`, `_`; at most 32 bytes. So it
/// is never mistaken for `3x2` or `1+5`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name {
    bytes: [u8; Name::MAX],
    len: u8,
}

impl Name {
    /// Longest name, bytes.
    pub const MAX: usize = 32;

    /// The name, when it is one that a file may have.
    pub fn new(text: &str) -> Option<Name> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
        if !text.as_bytes().first()?.is_ascii_lowercase() || !text.bytes().all(plain) {
            return None;
        }
        let mut bytes = [0; Name::MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Name { bytes, len: text.len() as u8 })
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.bytes.get(..usize::from(self.len)).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// A rectangle in parts of 10,000 of the picture's width and height, so that it is the same on every canvas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Share {
    /// From the left edge.
    pub x: u16,
    /// From the upper edge.
    pub y: u16,
    /// Width.
    pub w: u16,
    /// Height.
    pub h: u16,
}

impl Share {
    /// On a canvas. Edges are rounded one by one, so that tiles that touch in the file touch on every canvas.
    fn on(self, canvas: (u32, u32)) -> Rect {
        let edge = |at: u32, whole: u32| {
            let exact = u64::from(at) * u64::from(whole) / u64::from(WHOLE / 2);
            even(u32::try_from(exact.div_ceil(2)).unwrap_or(whole).min(whole))
        };
        let (x, y) = (edge(self.x.into(), canvas.0), edge(self.y.into(), canvas.1));
        let right = edge(u32::from(self.x) + u32::from(self.w), canvas.0);
        let lower = edge(u32::from(self.y) + u32::from(self.h), canvas.1);
        Rect { x, y, w: right.saturating_sub(x), h: lower.saturating_sub(y) }
    }

    fn area(self) -> u32 {
        u32::from(self.w) * u32::from(self.h)
    }
}

/// One seat of a [`Custom`] layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Piece {
    /// Where.
    pub share: Share,
    /// How a picture of another shape is placed; `None`: as the layout or the conference says.
    pub fit: Option<Fit>,
}

/// A layout of a file. Tiles are painted in the order of their seats: a later one may lie over an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Custom {
    name: Name,
    title: Option<String>,
    background: (u8, u8, u8),
    pieces: Vec<Piece>,
}

/// What is wrong with a [`Custom`] layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Which tile, from 0; `None`: the layout as a whole.
    pub tile: Option<usize>,
    /// What, and what would be right.
    pub words: Words,
}

impl Custom {
    /// A layout of these tiles on a background of 8-bit sRGB.
    ///
    /// # Errors
    /// [`Wrong`]: no tile or more than [`MAX_TILES`], one beyond the edge, or smaller than [`LEAST`].
    pub fn new(
        name: Name,
        title: Option<String>,
        background: (u8, u8, u8),
        pieces: Vec<Piece>,
    ) -> Result<Custom, Wrong> {
        let wrong = |tile, vi: String, en: String| Err(Wrong { tile, words: Words { vi, en } });
        if pieces.is_empty() || pieces.len() > MAX_TILES {
            return wrong(
                None,
                format!("cần từ 1 đến {MAX_TILES} ô ([[tile]]), tệp có {}", pieces.len()),
                format!("a layout has 1 to {MAX_TILES} tiles ([[tile]]), the file has {}", pieces.len()),
            );
        }
        for (at, Piece { share, .. }) in pieces.iter().enumerate() {
            for (start, side, place, length) in [(share.x, share.w, "x", "w"), (share.y, share.h, "y", "h")] {
                let part = |n: u16| f64::from(n) / f64::from(WHOLE);
                if side < LEAST {
                    let (is, least) = (part(side), part(LEAST));
                    return wrong(
                        Some(at),
                        format!("{length} = {is} quá nhỏ; nhỏ nhất là {least}"),
                        format!("{length} = {is} is too small; make it at least {least}"),
                    );
                }
                if u32::from(start) + u32::from(side) > u32::from(WHOLE) {
                    let sum = part(start) + part(side);
                    let room = part(WHOLE.saturating_sub(start));
                    return wrong(
                        Some(at),
                        format!(
                            "{place} + {length} = {sum:.4} vượt mép hình (1); {length} lớn nhất là {room}"
                        ),
                        format!(
                            "{place} + {length} = {sum:.4} is beyond the edge of the picture (1); make {length} at most {room}"
                        ),
                    );
                }
            }
        }
        Ok(Custom { name, title, background, pieces })
    }

    /// Its name.
    pub fn name(&self) -> Name {
        self.name
    }

    /// What people call it; the name where the file has none.
    pub fn title(&self) -> &str {
        self.title.as_deref().unwrap_or(self.name.as_str())
    }

    /// Red, green, blue of what no tile covers.
    pub fn background(&self) -> (u8, u8, u8) {
        self.background
    }

    /// The tiles, index = seat.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// How many of the first seats follow the voice: as many as are as large as seat 0, at most two.
    fn mains(&self) -> usize {
        let area = |at: usize| self.pieces.get(at).map_or(0, |piece| piece.share.area());
        if area(1) == area(0) { 2 } else { 1 }
    }

    /// All tiles are of one size.
    fn is_equal(&self) -> bool {
        let mut areas = self.pieces.iter().map(|piece| piece.share.area());
        let first = areas.next();
        self.pieces.len() > 1 && areas.all(|area| Some(area) == first)
    }
}

/// A kind together with the file it comes from, if it does: all that is needed to lay it out. A layout whose file is gone
/// is laid out as `grid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Which.
    pub kind: Kind,
    /// Its tiles, for [`Kind::Custom`].
    pub custom: Option<Arc<Custom>>,
}

impl From<Kind> for Layout {
    fn from(kind: Kind) -> Layout {
        Layout { kind, custom: None }
    }
}

impl Layout {
    /// Whether all tiles are alike and everybody sits in order of joining.
    pub fn is_equal(&self) -> bool {
        self.custom.as_ref().map_or(self.kind.is_equal(), |custom| custom.is_equal())
    }

    /// Number of seats for that many sites; at least 1.
    pub fn seats(&self, sites: usize) -> usize {
        self.custom.as_ref().map_or(self.kind.seats(sites), |custom| custom.pieces.len())
    }

    /// Most seats this layout can ever have.
    pub fn max_seats(&self) -> usize {
        self.seats(usize::MAX)
    }

    /// How many of the first seats follow the voice; meaningless where all tiles are alike.
    pub fn mains(&self) -> usize {
        self.custom.as_ref().map_or(self.kind.mains(), |custom| custom.mains())
    }

    /// See [`tiles`].
    pub fn tiles(&self, sites: usize, canvas: (u32, u32)) -> Vec<Rect> {
        match &self.custom {
            Some(custom) => custom.pieces.iter().map(|piece| piece.share.on(canvas)).collect(),
            None => tiles(self.kind, sites, canvas),
        }
    }
}

/// What the machine has for its conferences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Equipment {
    /// Layouts of files.
    pub layouts: Layouts,
    /// It has a logo.
    pub logo: bool,
}

/// The layouts of the files, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layouts(BTreeMap<Name, Arc<Custom>>);

impl Layouts {
    /// All of them, in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Custom>> {
        self.0.values()
    }

    /// The kind with its file, if it needs one; `None`: there is no such file.
    pub fn find(&self, kind: Kind) -> Option<Layout> {
        match kind {
            Kind::Custom(name) => {
                self.0.get(&name).map(|custom| Layout { kind, custom: Some(custom.clone()) })
            }
            kind => Some(kind.into()),
        }
    }
}

impl FromIterator<Custom> for Layouts {
    fn from_iter<T: IntoIterator<Item = Custom>>(all: T) -> Layouts {
        Layouts(all.into_iter().map(|custom| (custom.name, Arc::new(custom))).collect())
    }
}
