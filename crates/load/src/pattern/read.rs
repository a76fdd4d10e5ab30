//! Who is where in a received picture.

use std::sync::LazyLock;

use cau_codec::video::{Image, Planes};
use serde::Serialize;

use super::{CELLS, IDENTITIES, uncells, ycc};

/// One judged pattern found in a picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tile {
    /// Identity by colour, 0–7.
    pub colour: u8,
    /// `(identity, counter)` the bar says; `None`: it cannot be read, the picture is broken there.
    pub bar: Option<(u8, u16)>,
    /// Left, top, right, bottom in parts of the picture, 0–1.
    pub place: [f32; 4],
}

/// Colours are sought on a grid of every second chroma sample (four pixels).
const STEP: usize = 2;
/// Chroma nearer to grey than this has no colour.
const PALE: i32 = 24;
/// Least part of the picture a tile covers.
const SMALLEST: f32 = 0.008;

/// Finds every tile of the judged colours and reads its bar, from the top left to the bottom right.
pub fn tiles(picture: &impl Image) -> Vec<Tile> {
    let planes = picture.planes();
    let (w, h) = (planes.columns(1) / STEP, planes.rows(1) / STEP);
    let mut ids = colour_grid(&planes, w, h);
    let mut found = Vec::new();
    for start in 0..ids.len() {
        let colour = ids[start];
        if colour >= IDENTITIES {
            continue;
        }
        let (area, [left, top, right, bottom]) = flood(&mut ids, w, start, colour);
        let covered = area as f32 / (w * h).max(1) as f32;
        // The picture is 16:9 (4:3 from some); the round card of a site without a picture is not.
        let round = (right - left) * 100 < (bottom - top) * 115;
        if covered < SMALLEST || right - left < 6 || bottom - top < 4 || round {
            continue;
        }
        let scale = 2 * STEP;
        let (x0, y0, x1, y1) = (left * scale, top * scale, right * scale, bottom * scale);
        let part = |v: usize, of: usize| v as f32 / of as f32;
        found.push(Tile {
            colour,
            bar: read_bar(&planes, [x0, y0, x1, y1]),
            place: [part(left, w), part(top, h), part(right, w), part(bottom, h)],
        });
    }
    found.sort_by(|a, b| {
        let row = |t: &Tile| (t.place[1] * 10.0).round() as i32;
        row(a).cmp(&row(b)).then(a.place[0].total_cmp(&b.place[0]))
    });
    found
}

/// Identity by hue of every `STEP`-th chroma sample; `IDENTITIES` where there is no colour.
fn colour_grid(planes: &Planes<'_>, w: usize, h: usize) -> Vec<u8> {
    let mut ids = Vec::with_capacity(w * h);
    for row in 0..h {
        let (us, vs) = (planes.row(1, row * STEP), planes.row(2, row * STEP));
        let samples = us.iter().zip(vs).step_by(STEP).take(w);
        ids.extend(samples.map(|(u, v)| HUES[usize::from(*u) << 8 | usize::from(*v)]));
    }
    ids
}

/// The identity whose colour has the nearest hue, for every pair of chroma values.
static HUES: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let directions: Vec<(f32, f32)> = (0..IDENTITIES)
        .map(|id| {
            let (_, cb, cr) = ycc(id);
            let (b, r) = (f32::from(cb) - 128.0, f32::from(cr) - 128.0);
            (b / b.hypot(r), r / b.hypot(r))
        })
        .collect();
    (0..1usize << 16)
        .map(|pair| {
            let (b, r) = ((pair >> 8) as i32 - 128, (pair & 255) as i32 - 128);
            if b * b + r * r < PALE * PALE {
                return IDENTITIES;
            }
            let nearness = |(db, dr): &(f32, f32)| db * b as f32 + dr * r as f32;
            let nearest =
                directions.iter().enumerate().max_by(|x, y| nearness(x.1).total_cmp(&nearness(y.1)));
            nearest.map_or(IDENTITIES, |(id, _)| id as u8)
        })
        .collect()
});

/// Takes one connected patch of `colour` out of the grid: its area, and left, top, right, bottom (the last two excluded).
fn flood(ids: &mut [u8], w: usize, start: usize, colour: u8) -> (usize, [usize; 4]) {
    let mut stack = vec![start];
    ids[start] = IDENTITIES + 1;
    let (mut area, mut place) = (0, [usize::MAX, usize::MAX, 0, 0]);
    while let Some(at) = stack.pop() {
        area += 1;
        let (x, y) = (at % w, at / w);
        place = [place[0].min(x), place[1].min(y), place[2].max(x + 1), place[3].max(y + 1)];
        let left = (x > 0).then(|| at - 1);
        let right = (x + 1 < w).then_some(at + 1);
        let neighbours = [left, right, at.checked_sub(w), Some(at + w)];
        for next in neighbours.into_iter().flatten() {
            if ids.get(next) == Some(&colour) {
                ids[next] = IDENTITIES + 1;
                stack.push(next);
            }
        }
    }
    (area, place)
}

/// Reads the bar of the tile at left, top, right, bottom (pixels): `(identity, counter)`.
pub fn read_bar(planes: &Planes<'_>, [x0, y0, x1, y1]: [usize; 4]) -> Option<(u8, u16)> {
    let (w, h) = (x1.saturating_sub(x0), y1.saturating_sub(y0));
    if w < 40 || h < 20 {
        return None;
    }
    // The middle of the cells: the box is 16 % of the height, its rim a fifth of that on each side.
    let rows: Vec<&[u8]> = (y0 + h * 48 / 100..=y0 + h * 52 / 100).map(|y| planes.row(0, y)).collect();
    let line: Vec<f32> = (x0..x1)
        .map(|x| {
            rows.iter().map(|r| f32::from(r.get(x).copied().unwrap_or(16))).sum::<f32>() / rows.len() as f32
        })
        .collect();
    // The first and the last cell are always white: the bar spans from the first rising edge to the last falling one. What is
    // outside the box is coloured and may be bright too, so the search begins inside the box.
    let inside = w * 19 / 100..w * 81 / 100;
    let cells = line.get(inside.clone())?;
    let (low, high) = cells.iter().fold((f32::MAX, f32::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
    if high - low < 60.0 {
        return None;
    }
    let middle = (low + high) / 2.0;
    let edges = nominal_edges(w, h);
    for narrower in [0.0, -1.0, 1.0, -2.0, 2.0, -3.0, 3.0, -4.0, 4.0] {
        for shift in [0.0, -1.0, 1.0, -2.0, 2.0, -3.0, 3.0, -4.0, 4.0] {
            let mut bar = [false; CELLS];
            for (k, cell) in bar.iter_mut().enumerate() {
                let edge = |k: usize| {
                    edges.0 + shift + (edges.1 + narrower - edges.0 - shift) * k as f32 / CELLS as f32
                };
                let (a, b) = (edge(k), edge(k + 1));
                let from = (a + (b - a) * 0.3).round().max(0.0) as usize;
                let to = ((b - (b - a) * 0.3).round() as usize).max(from + 1);
                let part = line.get(from..to)?;
                *cell = part.iter().sum::<f32>() / part.len() as f32 > middle;
            }
            if let Some(read) = uncells(&bar) {
                return Some(read);
            }
        }
    }
    None
}

/// Where the cells begin and end in a tile of this size, as painted.
fn nominal_edges(w: usize, h: usize) -> (f32, f32) {
    let (w, h) = (w as f32, h as f32);
    let rim = h * 0.16 / 5.0;
    (w * 0.18 + rim, w * 0.82 - rim)
}

#[cfg(test)]
mod tests {
    use cau_codec::video::Canvas;

    use super::*;
    use crate::pattern::paint;

    #[test]
    fn a_full_picture_tells_who_and_when() {
        for id in 0..IDENTITIES {
            let mut canvas = Canvas::new(1280, 720).unwrap();
            paint(&mut canvas, id, 1000 + u16::from(id));
            let found = tiles(&canvas);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!((found[0].colour, found[0].bar), (id, Some((id, 1000 + u16::from(id)))));
        }
    }

    #[test]
    fn sixteen_small_tiles_are_all_read_in_their_places() {
        let mut canvas = Canvas::new(1280, 720).unwrap();
        for seat in 0..16usize {
            let mut tile = Canvas::new(316, 176).unwrap();
            paint(&mut tile, (seat % 8) as u8, 77 * seat as u16);
            copy(&tile, &mut canvas, seat % 4 * 320 + 2, seat / 4 * 180 + 2);
        }
        let found = tiles(&canvas);
        assert_eq!(found.len(), 16);
        for (seat, tile) in found.iter().enumerate() {
            assert_eq!(tile.bar, Some(((seat % 8) as u8, 77 * seat as u16)), "seat {seat}: {tile:?}");
            assert!((tile.place[0] - (seat % 4) as f32 / 4.0).abs() < 0.01);
        }
    }

    #[test]
    fn a_smeared_bar_is_not_read() {
        let mut canvas = Canvas::new(640, 360).unwrap();
        paint(&mut canvas, 2, 5);
        let stride = canvas.planes_mut().stride[0];
        for y in 150..210 {
            canvas.planes_mut().data[0][y * stride + 200..y * stride + 330].fill(160);
        }
        assert_eq!(tiles(&canvas)[0].bar, None);
    }

    fn copy(from: &Canvas, to: &mut Canvas, x: usize, y: usize) {
        let source = from.planes();
        let target = to.planes_mut();
        for (i, plane) in target.data.into_iter().enumerate() {
            let half = usize::from(i > 0);
            for row in 0..source.rows(i) {
                let at = (row + (y >> half)) * target.stride[i] + (x >> half);
                plane[at..at + source.columns(i)].copy_from_slice(source.row(i, row));
            }
        }
    }
}
