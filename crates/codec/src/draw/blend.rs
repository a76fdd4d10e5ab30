//! Alpha on I420, prepared so that painting is one multiplication and one addition per sample.

use crate::scale::Rect;
use crate::video::{Canvas, Colour};

/// How much of each pixel is covered, 0–255; rows without gaps.
#[derive(Default)]
pub(super) struct Mask {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) alpha: Vec<u8>,
}

impl Mask {
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, height, alpha: vec![0; width * height] }
    }

    pub(super) fn at(&self, x: usize, y: usize) -> u8 {
        if x >= self.width { 0 } else { self.alpha.get(y * self.width + x).copied().unwrap_or(0) }
    }

    /// Keeps the larger of what is there and `alpha`; outside nothing happens.
    pub(super) fn cover(&mut self, x: i32, y: i32, alpha: u8) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
        if x < self.width
            && let Some(a) = self.alpha.get_mut(y * self.width + x)
        {
            *a = alpha.max(*a);
        }
    }
}

/// What becomes of the pixels below: `(old * keep + add) / 256`. Convex, so it never leaves 0–255 and fits 16 bits.
struct Layer {
    width: usize,
    keep: Vec<u16>,
    add: Vec<u16>,
}

impl Layer {
    fn push(&mut self, keep: f32, add: f32) {
        let keep = (keep * 256.0).round() as u16;
        self.keep.push(keep);
        self.add.push((add * 256.0).round().min(f32::from((256 - keep.min(256)) * 255)) as u16);
    }

    /// `columns` of its columns from number `skip` on, at (`x`, `y`); what juts out below is left out.
    fn apply(&self, data: &mut [u8], stride: usize, x: usize, y: usize, skip: usize, columns: usize) {
        let rows = self.keep.chunks(self.width).zip(self.add.chunks(self.width));
        for ((keep, add), row) in rows.zip(data.chunks_mut(stride).skip(y)) {
            let Some(row) = row.get_mut(x..x + columns) else { return };
            let (keep, add) = (keep.get(skip..).unwrap_or_default(), add.get(skip..).unwrap_or_default());
            for ((sample, &keep), &add) in row.iter_mut().zip(keep).zip(add) {
                *sample = ((u16::from(*sample) * keep + add) >> 8) as u8;
            }
        }
    }
}

/// Something to be painted many times: coverage and colour worked into factors.
pub(super) struct Stamp {
    width: u32,
    height: u32,
    luma: Layer,
    u: Layer,
    v: Layer,
}

/// What is left of the picture under the band of a name: dark enough for white letters on a white wall.
const BAND_KEEPS: f32 = 0.3;

impl Stamp {
    /// White text on a dark band, `padding` pixels left and right of it.
    pub(super) fn band(text: &Mask, padding: usize) -> Self {
        let width = (text.width + 2 * padding).next_multiple_of(2);
        let height = text.height.next_multiple_of(2);
        let alpha = |x: usize, y: usize| x.checked_sub(padding).map_or(0, |x| text.at(x, y));
        Self::new(width, height, Colour::WHITE, BAND_KEEPS, alpha)
    }

    /// A picture with its own transparency: rows of red, green, blue, alpha without gaps, both sizes even.
    pub(super) fn image(width: usize, rgba: &[u8]) -> Self {
        let height = rgba.len() / 4 / width.max(1);
        let layer = |width| Layer { width, keep: Vec::new(), add: Vec::new() };
        let (mut luma, mut u, mut v) = (layer(width), layer(width / 2), layer(width / 2));
        let at = |x: usize, y: usize| {
            let pixel = rgba.get((y * width + x) * 4..).and_then(|rest| rest.first_chunk::<4>());
            let [r, g, b, a] = pixel.copied().unwrap_or_default();
            (Colour::rgb(r, g, b), f32::from(a) / 255.0)
        };
        for y in 0..height {
            for x in 0..width {
                let (colour, a) = at(x, y);
                luma.push(1.0 - a, f32::from(colour.y) * a);
            }
        }
        for y in (0..height).step_by(2) {
            for x in (0..width).step_by(2) {
                let four = [at(x, y), at(x + 1, y), at(x, y + 1), at(x + 1, y + 1)];
                let sum =
                    |f: fn(Colour) -> u8| four.iter().map(|(c, a)| f32::from(f(*c)) * a).sum::<f32>() / 4.0;
                let keep = 1.0 - four.iter().map(|(_, a)| a).sum::<f32>() / 4.0;
                u.push(keep, sum(|c| c.u));
                v.push(keep, sum(|c| c.v));
            }
        }
        Self { width: width as u32, height: height as u32, luma, u, v }
    }

    /// White text with nothing between.
    pub(super) fn plain(text: &Mask) -> Self {
        Self::solid(text, Colour::WHITE)
    }

    /// A mask in one colour, with nothing between.
    pub(super) fn solid(mask: &Mask, colour: Colour) -> Self {
        let (width, height) = (mask.width.next_multiple_of(2), mask.height.next_multiple_of(2));
        Self::new(width, height, colour, 1.0, |x, y| mask.at(x, y))
    }

    /// A bar of that size over which text can be read.
    pub(super) fn bar(width: usize, height: usize) -> Self {
        let (width, height) = (width.next_multiple_of(2), height.next_multiple_of(2));
        Self::new(width, height, Colour::WHITE, BAND_KEEPS, |_, _| 0)
    }

    /// First everything below is drawn toward black so that `keeps` of it is left, then `colour` is laid over it by `alpha`.
    fn new(
        width: usize,
        height: usize,
        colour: Colour,
        keeps: f32,
        alpha: impl Fn(usize, usize) -> u8,
    ) -> Self {
        let layer = |width| Layer { width, keep: Vec::new(), add: Vec::new() };
        let (mut luma, mut u, mut v) = (layer(width), layer(width / 2), layer(width / 2));
        let mix = |a: f32, black: f32, value: u8| {
            (keeps * (1.0 - a), black * (1.0 - keeps) * (1.0 - a) + f32::from(value) * a)
        };
        for y in 0..height {
            for x in 0..width {
                let (keep, add) = mix(f32::from(alpha(x, y)) / 255.0, 16.0, colour.y);
                luma.push(keep, add);
            }
        }
        for y in (0..height).step_by(2) {
            for x in (0..width).step_by(2) {
                let sum =
                    [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)].map(|(x, y)| u32::from(alpha(x, y)));
                let a = sum.iter().sum::<u32>() as f32 / (4.0 * 255.0);
                let (keep, add) = mix(a, 128.0, colour.u);
                u.push(keep, add);
                let (keep, add) = mix(a, 128.0, colour.v);
                v.push(keep, add);
            }
        }
        Self { width: width as u32, height: height as u32, luma, u, v }
    }

    pub(super) fn width(&self) -> u32 {
        self.width
    }

    pub(super) fn height(&self) -> u32 {
        self.height
    }

    /// Paints those of its columns that fall on `columns` of the canvas, its left edge at `x` (may lie outside, even), its upper
    /// edge at `y`; all of its rows or none.
    pub(super) fn apply_columns(&self, canvas: &mut Canvas, x: i64, y: u32, columns: std::ops::Range<u32>) {
        let (start, end) = (i64::from(columns.start & !1), i64::from(columns.end.min(canvas.width()) & !1));
        let (x, y) = (x & !1, y & !1);
        let (from, to) = (x.max(start), (x + i64::from(self.width)).min(end));
        if from < to && y + self.height <= canvas.height() {
            // All of it is within 0–8192 now.
            self.lay(canvas, (from as usize, y as usize), (from - x) as usize, (to - from) as usize);
        }
    }

    /// Paints it with its upper left corner at (`x`, `y`), rounded down to even; what juts out to the right or below is cut off.
    pub(super) fn apply(&self, canvas: &mut Canvas, x: u32, y: u32) {
        let whole = Rect::new(x & !1, y & !1, self.width, self.height);
        if let Some(rect) = whole.within(canvas.width(), canvas.height()) {
            self.lay(canvas, (rect.x as usize, rect.y as usize), 0, rect.w as usize);
        }
    }

    /// `columns` of its columns from number `skip` on, the first at (`x`, `y`); all in pixels of luma, even, on the canvas.
    fn lay(&self, canvas: &mut Canvas, (x, y): (usize, usize), skip: usize, columns: usize) {
        let planes = canvas.planes_mut();
        let rows = planes.height as usize;
        let layers = [(&self.luma, 1), (&self.u, 2), (&self.v, 2)];
        for ((data, stride), (layer, half)) in planes.data.into_iter().zip(planes.stride).zip(layers) {
            let data = data.get_mut(..stride * (rows / half)).unwrap_or_default();
            layer.apply(data, stride, x / half, y / half, skip / half, columns / half);
        }
    }
}
