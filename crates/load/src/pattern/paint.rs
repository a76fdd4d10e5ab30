//! The pattern as I420 pixels.

use cau_codec::video::{Canvas, PlanesMut};

use super::{BOX, CELLS, cells, ycc};

/// Paints frame `n` of `id` over the whole canvas.
pub fn paint(canvas: &mut Canvas, id: u8, n: u16) {
    let (y, cb, cr) = ycc(id);
    let mut planes = canvas.planes_mut();
    let (w, h) = (planes.width as usize, planes.height as usize);
    fill(&mut planes, 0, 0, w, h, (y, cb, cr));
    // A small mover in the corner, so that no two frames are alike to anybody who looks for a freeze.
    let left = usize::from(n) * 7 % (w - 40).max(1);
    fill(&mut planes, left, h - 30, left + 40, h - 10, (y / 2, cb, cr));
    bar(&mut planes, id, n);
}

/// Paints only the black box and the bar, over a natural picture.
pub fn paint_bar(canvas: &mut Canvas, id: u8, n: u16) {
    bar(&mut canvas.planes_mut(), id, n);
}

fn bar(planes: &mut PlanesMut<'_>, id: u8, n: u16) {
    let (w, h) = (f64::from(planes.width), f64::from(planes.height));
    let at = |part: f64, of: f64| (part * of).round() as usize;
    let (x0, y0, x1, y1) = (at(BOX.0, w), at(BOX.1, h), at(BOX.2, w), at(BOX.3, h));
    fill(planes, x0, y0, x1, y1, (16, 128, 128));
    let rim = (y1 - y0) / 5;
    let edge = |k: usize| (x0 + rim) + ((x1 - x0 - 2 * rim) * k + CELLS / 2) / CELLS;
    for (k, cell) in cells(id, n).into_iter().enumerate() {
        if cell {
            fill(planes, edge(k), y0 + rim, edge(k + 1), y1 - rim, (235, 128, 128));
        }
    }
}

/// Fills columns `x0..x1`, rows `y0..y1`; chroma samples that are touched at all take the colour.
fn fill(planes: &mut PlanesMut<'_>, x0: usize, y0: usize, x1: usize, y1: usize, (y, cb, cr): (u8, u8, u8)) {
    for (i, value) in [y, cb, cr].into_iter().enumerate() {
        let half = usize::from(i > 0);
        let stride = planes.stride[i];
        let (left, right) = (x0 >> half, (x1 + half) >> half);
        for row in y0 >> half..(y1 + half) >> half {
            if let Some(pixels) = planes.data[i].get_mut(row * stride + left..row * stride + right) {
                pixels.fill(value);
            }
        }
    }
}
