//! Pictures into rectangles: placed by rule, scaled by libyuv once per size, copied as often as they are seen.

use std::cell::RefCell;

use crate::draw;
use crate::video::{Canvas, Colour, Image, Picture, Planes, Pool, PoolError};
use crate::yuv::{self, Area, Filter};

/// A rectangle of a canvas in pixels. Whatever it is, what is painted begins and ends at even pixels inside of the canvas: see
/// [`Rect::within`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Rect {
    /// Left edge.
    pub x: u32,
    /// Upper edge.
    pub y: u32,
    /// Width.
    pub w: u32,
    /// Height.
    pub h: u32,
}

impl Rect {
    /// From its parts.
    pub const fn new(x: u32, y: u32, w: u32, h: u32) -> Self {
        Self { x, y, w, h }
    }

    /// The part of it inside of a canvas of this size, its edges moved inward to even pixels; None when nothing is left.
    pub fn within(self, width: u32, height: u32) -> Option<Self> {
        let (x, w) = even_span(self.x, self.w, width)?;
        let (y, h) = even_span(self.y, self.h, height)?;
        Some(Self { x, y, w, h })
    }
}

fn even_span(start: u32, length: u32, limit: u32) -> Option<(u32, u32)> {
    let end = start.saturating_add(length).min(limit) & !1;
    let start = start.checked_next_multiple_of(2)?;
    (end > start).then(|| (start, end - start))
}

/// What happens when the shape of a picture is not that of its rectangle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Fit {
    /// All of the picture is seen, borders fill the rest.
    #[default]
    Contain,
    /// The rectangle is filled, what juts out of it is cut off on both sides alike.
    Cover,
}

/// Which part of a picture goes where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The part of the source that is seen, even.
    pub source: Rect,
    /// Where it goes, even, inside of the rectangle asked for.
    pub target: Rect,
}

/// Places a picture of `width`×`height` pixels, each `aspect.0 : aspect.1` wide to high, in `into` (already even, see [`Rect::within`]). Shapes that differ
/// by less than one part in 50 are stretched: nobody sees it, but a border of two lines everybody does.
pub fn place(width: u32, height: u32, aspect: (u32, u32), into: Rect, fit: Fit) -> Placement {
    let whole = Placement { source: Rect::new(0, 0, width, height), target: into };
    let wide = u64::from(width) * u64::from(aspect.0.max(1));
    let high = u64::from(height) * u64::from(aspect.1.max(1));
    // wide/high against into.w/into.h, by cross products.
    let (ours, theirs) = (wide * u64::from(into.h), high * u64::from(into.w));
    if ours == 0 || theirs == 0 || ours.abs_diff(theirs) * 50 < ours.max(theirs) {
        return whole;
    }
    let part =
        |of: u32, by: u64, through: u64| (((u64::from(of) * by / through) as u32) & !1).clamp(2, of.max(2));
    let wider = ours > theirs;
    match fit {
        Fit::Contain if wider => Placement { target: middle_rows(into, part(into.h, theirs, ours)), ..whole },
        Fit::Contain => Placement { target: middle_columns(into, part(into.w, ours, theirs)), ..whole },
        Fit::Cover if wider => {
            Placement { source: middle_columns(whole.source, part(width, theirs, ours)), ..whole }
        }
        Fit::Cover => Placement { source: middle_rows(whole.source, part(height, ours, theirs)), ..whole },
    }
}

fn middle_rows(rect: Rect, h: u32) -> Rect {
    Rect { y: rect.y + ((rect.h.saturating_sub(h) / 2) & !1), h, ..rect }
}

fn middle_columns(rect: Rect, w: u32) -> Rect {
    Rect { x: rect.x + ((rect.w.saturating_sub(w) / 2) & !1), w, ..rect }
}

/// Scales `src` into `rect` of `dst`; borders, where there are any, get `border`.
pub fn fit(src: &Picture, dst: &mut Canvas, rect: Rect, fit: Fit, border: Colour) {
    let Some(rect) = rect.within(dst.width(), dst.height()) else { return };
    let placement = place(src.width(), src.height(), src.pixel_aspect(), rect, fit);
    let target = placement.target;
    if target != rect {
        let (right, lower) = (target.x + target.w, target.y + target.h);
        draw::fill(dst, Rect { h: target.y - rect.y, ..rect }, border);
        draw::fill(dst, Rect { y: lower, h: rect.y + rect.h - lower, ..rect }, border);
        draw::fill(dst, Rect { w: target.x - rect.x, ..rect }, border);
        draw::fill(dst, Rect { x: right, w: rect.x + rect.w - right, ..rect }, border);
    }
    stretch(&src.planes(), placement.source, dst, target);
}

/// A copy of `src` of the given even size, to be [`blit`] into every canvas that shows it. The picture itself when it already has
/// that size.
pub fn scaled(
    src: &Picture,
    (width, height): (u32, u32),
    how: Fit,
    border: Colour,
    pool: &Pool,
) -> Result<Picture, PoolError> {
    let (aspect_w, aspect_h) = src.pixel_aspect();
    if (src.width(), src.height()) == (width, height) && aspect_w == aspect_h {
        return Ok(src.clone());
    }
    let mut canvas = pool.canvas(width, height)?;
    fit(src, &mut canvas, Rect::new(0, 0, width, height), how, border);
    Ok(canvas.freeze())
}

/// Copies `src` into `dst` with its upper left corner at (`x`, `y`) (rounded down to even); what juts out is cut off.
pub fn blit(src: &dyn Image, dst: &mut Canvas, x: u32, y: u32) {
    let planes = src.planes();
    let (x, y) = (x & !1, y & !1);
    let Some(rect) = Rect::new(x, y, planes.width, planes.height).within(dst.width(), dst.height()) else {
        return;
    };
    for_each_plane(&planes, Rect { x: 0, y: 0, ..rect }, dst, rect, |from, mut to| {
        yuv::copy_plane(&from, &mut to)
    });
}

/// Scales the even rectangle `source` of `planes` into the even rectangle `target` of `dst`.
fn stretch(planes: &Planes<'_>, source: Rect, dst: &mut Canvas, target: Rect) {
    if (source.w, source.h) == (target.w, target.h) {
        for_each_plane(planes, source, dst, target, |from, mut to| yuv::copy_plane(&from, &mut to));
    } else {
        for_each_plane(planes, source, dst, target, |from, mut to| shrink_or_stretch(&from, &mut to));
    }
}

thread_local! {
    /// Between two steps of scaling; at most a quarter of the largest picture.
    static HALFWAY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// libyuv has fast ways to a half and a quarter; its general box filter costs twice as much as one of them and a bilinear step for the rest, which
/// look the same.
fn shrink_or_stretch(from: &Area<&[u8]>, to: &mut Area<&mut [u8]>) {
    let smaller = to.columns <= from.columns && to.rows <= from.rows;
    let filter = if smaller { Filter::Box } else { Filter::Bilinear };
    let by = [4, 2].into_iter().find(|n| {
        from.columns.is_multiple_of(*n)
            && from.rows.is_multiple_of(*n)
            && (to.columns * n < from.columns && to.rows * n <= from.rows
                || to.columns * n <= from.columns && to.rows * n < from.rows)
    });
    let Some(by) = by else { return yuv::scale_plane(from, to, filter) };
    let (columns, rows) = (from.columns / by, from.rows / by);
    HALFWAY.with_borrow_mut(|buffer| {
        if buffer.len() < columns * rows {
            buffer.resize(columns * rows, 0);
        }
        yuv::scale_plane(
            from,
            &mut Area { data: &mut buffer[..], stride: columns, columns, rows },
            Filter::Box,
        );
        yuv::scale_plane(&Area { data: &buffer[..], stride: columns, columns, rows }, to, Filter::Box);
    });
}

/// Calls `f` with the three pairs of areas that two even rectangles are. Rectangles outside of their pictures are left out.
fn for_each_plane(
    planes: &Planes<'_>,
    source: Rect,
    dst: &mut Canvas,
    target: Rect,
    mut f: impl FnMut(Area<&[u8]>, Area<&mut [u8]>),
) {
    let inside = |r: Rect, w: u32, h: u32| r.within(w, h) == Some(r);
    if !inside(source, planes.width, planes.height) || !inside(target, dst.width(), dst.height()) {
        return;
    }
    let to = dst.planes_mut();
    let from = planes.data.into_iter().zip(planes.stride);
    for (i, ((src, src_stride), (dst, dst_stride))) in
        from.zip(to.data.into_iter().zip(to.stride)).enumerate()
    {
        let half = if i == 0 { 1 } else { 2 };
        let part = |n: u32| n as usize / half;
        let (Some(src), Some(dst)) = (
            src.get(part(source.y) * src_stride + part(source.x)..),
            dst.get_mut(part(target.y) * dst_stride + part(target.x)..),
        ) else {
            return;
        };
        f(
            Area { data: src, stride: src_stride, columns: part(source.w), rows: part(source.h) },
            Area { data: dst, stride: dst_stride, columns: part(target.w), rows: part(target.h) },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, height: u32, colour: Colour) -> Picture {
        let mut canvas = Canvas::new(width, height).unwrap();
        canvas.fill(colour);
        canvas.freeze()
    }

    const RED: Colour = Colour::rgb(200, 0, 0);
    const BLUE: Colour = Colour::rgb(0, 0, 200);

    #[test]
    fn a_4_to_3_picture_stands_between_borders_in_a_16_to_9_tile() {
        let placement = place(640, 480, (1, 1), Rect::new(0, 0, 1280, 720), Fit::Contain);
        assert_eq!(placement.target, Rect::new(160, 0, 960, 720));
        let placement = place(640, 480, (1, 1), Rect::new(0, 0, 1280, 720), Fit::Cover);
        assert_eq!(placement.source, Rect::new(0, 60, 640, 360));
    }

    #[test]
    fn cif_with_its_pixel_aspect_is_4_to_3() {
        let placement = place(352, 288, (12, 11), Rect::new(0, 0, 640, 480), Fit::Contain);
        assert_eq!(placement.target, Rect::new(0, 0, 640, 480));
    }

    #[test]
    fn shapes_that_nearly_agree_get_no_hairline_borders() {
        let placement = place(1280, 720, (1, 1), Rect::new(0, 0, 426, 240), Fit::Contain);
        assert_eq!(placement.target, Rect::new(0, 0, 426, 240));
        let placement = place(1920, 1088, (1, 1), Rect::new(0, 0, 1280, 720), Fit::Contain);
        assert_eq!(placement.target, Rect::new(0, 0, 1280, 720));
    }

    #[test]
    fn a_picture_fitted_leaves_the_rest_of_the_canvas_alone() {
        let mut canvas = Canvas::new(640, 360).unwrap();
        canvas.fill(BLUE);
        fit(&picture(320, 240, RED), &mut canvas, Rect::new(320, 0, 320, 180), Fit::Contain, Colour::BLACK);
        let planes = canvas.planes();
        assert!(planes.row(0, 90)[..320].iter().all(|&y| y == BLUE.y), "left half untouched");
        assert!(planes.row(0, 90)[320..358].iter().all(|&y| y == 16), "border");
        assert!(planes.row(0, 90)[362..598].iter().all(|&y| y.abs_diff(RED.y) <= 1), "picture");
        assert!(planes.row(2, 45)[182..298].iter().all(|&v| v.abs_diff(RED.v) <= 1), "its colour");
        assert!(planes.row(0, 181).iter().all(|&y| y == BLUE.y), "below untouched");
    }

    #[test]
    fn halving_averages_four_pixels() {
        let mut canvas = Canvas::new(64, 64).unwrap();
        let planes = canvas.planes_mut();
        let [y, _, _] = planes.data;
        for (i, row) in y.chunks_mut(planes.stride[0]).enumerate() {
            for (j, p) in row.iter_mut().enumerate() {
                *p = if (i + j) % 2 == 0 { 40 } else { 200 };
            }
        }
        let pool = Pool::new(1 << 20);
        let small = scaled(&canvas.freeze(), (32, 32), Fit::Contain, Colour::BLACK, &pool).unwrap();
        assert!(small.planes().row(0, 10).iter().all(|&p| p == 120));
    }

    #[test]
    fn shrinking_in_two_steps_looks_like_one() {
        let mut canvas = Canvas::new(1280, 720).unwrap();
        let planes = canvas.planes_mut();
        let [y, _, _] = planes.data;
        for (i, row) in y.chunks_mut(planes.stride[0]).enumerate() {
            for (j, p) in row.iter_mut().enumerate() {
                *p = (120.0 + 60.0 * (j as f32 * 0.05).sin() + 40.0 * (i as f32 * 0.03).cos()) as u8;
            }
        }
        let source = canvas.freeze();
        let pool = Pool::new(8 << 20);
        for (w, h) in [(426, 240), (256, 144), (180, 100)] {
            let small = scaled(&source, (w, h), Fit::Contain, Colour::BLACK, &pool).unwrap();
            for (x, y) in [(3, 3), (w / 2, h / 2), (w - 4, h - 4), (w / 3, h - 9)] {
                let (sx, sy) =
                    ((x as f32 + 0.5) * 1280.0 / w as f32 - 0.5, (y as f32 + 0.5) * 720.0 / h as f32 - 0.5);
                let wanted = 120.0 + 60.0 * (sx * 0.05).sin() + 40.0 * (sy * 0.03).cos();
                let got = small.planes().row(0, y as usize)[x as usize];
                assert!((f32::from(got) - wanted).abs() < 4.0, "{w}x{h} at {x},{y}: {got} for {wanted}");
            }
        }
    }

    #[test]
    fn any_rectangle_is_safe() {
        let source = picture(62, 34, RED);
        let mut canvas = Canvas::new(128, 96).unwrap();
        for x in [0, 1, 63, 126, 127, 128, 500, u32::MAX] {
            for w in [0, 1, 2, 3, 17, 64, 127, 500, u32::MAX] {
                for how in [Fit::Contain, Fit::Cover] {
                    fit(&source, &mut canvas, Rect::new(x, x, w, 33), how, BLUE);
                    fit(&source, &mut canvas, Rect::new(3, x, 70, w), how, BLUE);
                }
                blit(&source, &mut canvas, x, w);
                draw::fill(&mut canvas, Rect::new(x, w, w, x), RED);
                draw::border(&mut canvas, Rect::new(x, 5, w, 50), w, RED);
            }
        }
    }

    #[test]
    fn a_copy_lands_where_asked_and_is_cut_at_the_edge() {
        let mut canvas = Canvas::new(64, 64).unwrap();
        blit(&picture(32, 32, RED), &mut canvas, 48, 33);
        let planes = canvas.planes();
        assert_eq!(planes.row(0, 31)[50], 16);
        assert_eq!(planes.row(0, 32)[47..50], [16, RED.y, RED.y]);
        assert_eq!(planes.row(0, 63)[63], RED.y);
    }

    #[test]
    fn a_picture_of_the_right_size_is_not_copied() {
        let source = picture(320, 180, RED);
        let pool = Pool::new(1 << 20);
        let same = scaled(&source, (320, 180), Fit::Contain, Colour::BLACK, &pool).unwrap();
        assert!(same.is_same(&source));
    }
}
