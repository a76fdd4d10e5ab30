//! Layouts: from the kind, the number of sites and the size of the canvas to rectangles. Pure geometry.
//!
//! Every tile but the one of `full` is 16:9 (to the even pixel), whatever the canvas; the block of tiles stands in the
//! middle of it. All tiles of one size are exactly equal, because each source is scaled once per size. A last row of
//! `grid` that is not full is centred; the fixed grids (`2x2`, …) keep their empty seats in place.

mod custom;

use std::fmt;
use std::str::FromStr;

pub use custom::{Custom, Equipment, LEAST, Layout, Layouts, MAX_TILES, Name, Piece, Share, WHOLE, Wrong};

use crate::refusal::Refusal;

/// Most tiles `grid` grows to: 8×8, 160×90 pixels each at 720p. Who joined later is not shown.
pub const GRID_MAX: usize = 64;
/// Most of the audience the lecturer sees at a time: 4×4.
pub const AUDIENCE_MAX: usize = 16;

/// How the picture is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One site fills the picture: the speaker.
    Full,
    /// As many equal tiles as there are sites, in ⌈√n⌉ columns; at most [`GRID_MAX`].
    Grid,
    /// A fixed grid of equal tiles, `2x1` to `5x5`.
    Equal {
        /// Columns, 1–5.
        cols: u8,
        /// Rows, 1–5.
        rows: u8,
    },
    /// One large upper left, five small to its right and below.
    OnePlus5,
    /// One large upper left, seven small to its right and below.
    OnePlus7,
    /// Two large above, eight small in two rows below.
    TwoPlus8,
    /// One large in the middle, twelve small around it.
    OnePlus12,
    /// Two equal tiles side by side that follow the voice.
    SideBySide,
    /// One fills the picture, a small one lies over its lower right corner.
    Pip,
    /// Everybody sees the lecturer (seat 0), full screen; he sees the audience (seats 1 to [`AUDIENCE_MAX`]) in a grid.
    Lecture,
    /// A layout of a file; see [`Layouts`].
    Custom(Name),
}

/// A rectangle on the canvas, in pixels; all four numbers are even (4:2:0 pictures).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rect {
    /// From the left edge.
    pub x: u32,
    /// From the upper edge.
    pub y: u32,
    /// Width.
    pub w: u32,
    /// Height.
    pub h: u32,
}

impl Kind {
    /// Whether all tiles are alike and everybody sits in order of joining.
    pub fn is_equal(self) -> bool {
        matches!(self, Kind::Grid | Kind::Equal { .. } | Kind::Custom(_))
    }

    /// Number of seats for that many sites; at least 1.
    pub fn seats(self, sites: usize) -> usize {
        match self {
            Kind::Full => 1,
            Kind::Grid | Kind::Custom(_) => sites.clamp(1, GRID_MAX),
            Kind::Equal { cols, rows } => usize::from(cols.max(1)) * usize::from(rows.max(1)),
            Kind::SideBySide | Kind::Pip => 2,
            Kind::Lecture => 1 + AUDIENCE_MAX,
            Kind::OnePlus5 => 6,
            Kind::OnePlus7 => 8,
            Kind::TwoPlus8 => 10,
            Kind::OnePlus12 => 13,
        }
    }

    /// Most seats this layout can ever have.
    pub fn max_seats(self) -> usize {
        self.seats(usize::MAX)
    }

    /// How many of the first seats follow the voice; meaningless where all tiles are alike.
    fn mains(self) -> usize {
        if matches!(self, Kind::SideBySide | Kind::TwoPlus8 | Kind::Pip) { 2 } else { 1 }
    }
}

/// The rectangle of every seat, index = seat number: the largest first, then row by row. `sites` matters for
/// [`Kind::Grid`] only. A canvas too small for a tile of 2×2 pixels gives rectangles without area. Of [`Kind::Lecture`] it is
/// what the audience sees; of a layout of a file, see [`Layout::tiles`].
pub fn tiles(kind: Kind, sites: usize, canvas: (u32, u32)) -> Vec<Rect> {
    match kind {
        Kind::Full | Kind::Lecture => vec![whole(canvas)],
        Kind::Pip => vec![whole(canvas), inset(canvas)],
        Kind::Grid | Kind::Custom(_) => {
            let n = kind.seats(sites) as u32;
            let cols = columns(n);
            cells(Block::fit(cols, n.div_ceil(cols), canvas), n)
        }
        Kind::Equal { cols, rows } => {
            let (cols, rows) = (u32::from(cols.max(1)), u32::from(rows.max(1)));
            cells(Block::fit(cols, rows, canvas), cols * rows)
        }
        Kind::SideBySide => cells(Block::fit(2, 1, canvas), 2),
        Kind::OnePlus5 => around(3, &[(0, 0, 2)], canvas),
        Kind::OnePlus7 => around(4, &[(0, 0, 3)], canvas),
        Kind::TwoPlus8 => around(4, &[(0, 0, 2), (2, 0, 2)], canvas),
        Kind::OnePlus12 => around(4, &[(1, 1, 2)], canvas),
    }
}

fn whole(canvas: (u32, u32)) -> Rect {
    Rect { x: 0, y: 0, w: even(canvas.0), h: even(canvas.1) }
}

/// A quarter of the width, in the lower right corner, as far from both edges as names are from theirs.
fn inset(canvas: (u32, u32)) -> Rect {
    let (width, height) = (even(canvas.0), even(canvas.1));
    let margin = even(height / 24);
    let w = even(width / 4).min(even(height / 3 * 16 / 9));
    let h = even((w * 9 + 16) / 16);
    Rect { x: width.saturating_sub(w + margin), y: height.saturating_sub(h + margin), w, h }
}

/// ⌈√n⌉, in whole numbers.
fn columns(n: u32) -> u32 {
    let root = n.isqrt();
    if root * root == n { root } else { root + 1 }
}

fn even(n: u32) -> u32 {
    n & !1
}

/// A block of `cols` × `rows` cells of one size, in the middle of the canvas.
struct Block {
    cols: u32,
    x: u32,
    y: u32,
    w: u32,
    h: u32,
}

impl Block {
    fn fit(cols: u32, rows: u32, (width, height): (u32, u32)) -> Block {
        let (room_w, room_h) = (even(width / cols), even(height / rows));
        let w = room_w.min(even(room_h.saturating_mul(16) / 9));
        // The nearest even height: 426 wide is 240 high (239.6), not 238.
        let h = room_h.min(even((w * 9 + 16) / 16));
        Block { cols, x: even((even(width) - w * cols) / 2), y: even((even(height) - h * rows) / 2), w, h }
    }

    /// The square of `size` × `size` cells whose upper left cell is (`col`, `row`).
    fn rect(&self, col: u32, row: u32, size: u32) -> Rect {
        Rect { x: self.x + col * self.w, y: self.y + row * self.h, w: self.w * size, h: self.h * size }
    }
}

/// The first `n` cells row by row; a last row that is not full is centred.
fn cells(block: Block, n: u32) -> Vec<Rect> {
    let in_last = n % block.cols;
    (0..n)
        .map(|seat| {
            let mut rect = block.rect(seat % block.cols, seat / block.cols, 1);
            if in_last != 0 && seat / block.cols == n / block.cols {
                rect.x += even((block.cols - in_last) * block.w / 2);
            }
            rect
        })
        .collect()
}

/// `large` squares (column, row, size) on a field of `side` × `side` cells, and a small tile in every cell left over.
fn around(side: u32, large: &[(u32, u32, u32)], canvas: (u32, u32)) -> Vec<Rect> {
    let block = Block::fit(side, side, canvas);
    let covered = |col: u32, row: u32| {
        large.iter().any(|&(c, r, size)| (c..c + size).contains(&col) && (r..r + size).contains(&row))
    };
    let mut rects: Vec<Rect> = large.iter().map(|&(col, row, size)| block.rect(col, row, size)).collect();
    for row in 0..side {
        rects.extend((0..side).filter(|&col| !covered(col, row)).map(|col| block.rect(col, row, 1)));
    }
    rects
}

/// The layouts that exist now, for words of refusal and for lists to choose from.
pub const EXISTING: &str =
    "full, grid, 2x1 … 5x5, 1+5, 1+7, 2+8, 1+12, pip, side-by-side, lecture, config/layouts/*.toml";

impl FromStr for Kind {
    type Err = Refusal;

    /// The name as in the API. Refused with the names that exist; whether a file of that name exists is asked of
    /// [`Layouts::find`].
    fn from_str(text: &str) -> Result<Kind, Refusal> {
        Ok(match text {
            "full" => Kind::Full,
            "grid" => Kind::Grid,
            "1+5" => Kind::OnePlus5,
            "1+7" => Kind::OnePlus7,
            "2+8" => Kind::TwoPlus8,
            "1+12" => Kind::OnePlus12,
            "side-by-side" => Kind::SideBySide,
            "pip" => Kind::Pip,
            "lecture" => Kind::Lecture,
            _ => return equal(text).or(Name::new(text).map(Kind::Custom)).ok_or_else(|| unknown(text)),
        })
    }
}

fn equal(text: &str) -> Option<Kind> {
    let (cols, rows) = text.split_once('x')?;
    let number = |digits: &str| match digits.as_bytes() {
        [digit @ b'1'..=b'5'] => Some(digit - b'0'),
        _ => None,
    };
    let (cols, rows) = (number(cols)?, number(rows)?);
    (cols * rows > 1).then_some(Kind::Equal { cols, rows })
}

/// There is no such layout; with those there are.
pub fn unknown(text: &str) -> Refusal {
    let shown: String = text.chars().filter(|c| !c.is_control()).take(32).collect();
    Refusal::invalid(
        "layout",
        format!("không có bố cục \"{shown}\"; hiện có: {EXISTING}"),
        format!("there is no layout \"{shown}\"; there are: {EXISTING}"),
    )
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Full => f.write_str("full"),
            Kind::Grid => f.write_str("grid"),
            Kind::Equal { cols, rows } => write!(f, "{cols}x{rows}"),
            Kind::OnePlus5 => f.write_str("1+5"),
            Kind::OnePlus7 => f.write_str("1+7"),
            Kind::TwoPlus8 => f.write_str("2+8"),
            Kind::OnePlus12 => f.write_str("1+12"),
            Kind::SideBySide => f.write_str("side-by-side"),
            Kind::Pip => f.write_str("pip"),
            Kind::Lecture => f.write_str("lecture"),
            Kind::Custom(name) => f.write_str(name.as_str()),
        }
    }
}

impl serde::Serialize for Kind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Kind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Kind, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
