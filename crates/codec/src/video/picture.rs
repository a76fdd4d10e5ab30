//! I420 pictures: [`Picture`] is shared and never changes, [`Canvas`] is being painted.

use std::sync::Arc;

use super::colour::Colour;
use super::pool::Buffer;
use crate::libav::Frame;

/// The three planes of an I420 picture, 8 bit, chroma halved both ways. Plane `i` has [`Planes::rows`]`(i)` rows, `stride[i]` bytes
/// apart, of which the first [`Planes::columns`]`(i)` are the picture's.
#[derive(Clone, Copy)]
pub struct Planes<'a> {
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// Y, U, V.
    pub data: [&'a [u8]; 3],
    /// Bytes from row to row.
    pub stride: [usize; 3],
}

impl<'a> Planes<'a> {
    /// Bytes of a row of plane `i` that belong to the picture.
    pub fn columns(&self, i: usize) -> usize {
        if i == 0 { self.width as usize } else { self.width as usize / 2 }
    }

    /// Rows of plane `i`.
    pub fn rows(&self, i: usize) -> usize {
        if i == 0 { self.height as usize } else { self.height as usize / 2 }
    }

    /// Row `y` of plane `i` (0 luma, 1 U, 2 V); empty where there is none.
    pub fn row(&self, i: usize, y: usize) -> &'a [u8] {
        let (Some(data), Some(stride)) = (self.data.get(i), self.stride.get(i)) else { return &[] };
        data.get(y * stride..).and_then(|d| d.get(..self.columns(i))).unwrap_or(&[])
    }
}

/// Like [`Planes`], to write on.
pub struct PlanesMut<'a> {
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// Y, U, V.
    pub data: [&'a mut [u8]; 3],
    /// Bytes from row to row.
    pub stride: [usize; 3],
}

/// What an encoder, a scaler or a JPEG can be made of: a [`Picture`] or a [`Canvas`].
pub trait Image {
    /// The planes.
    fn planes(&self) -> Planes<'_>;
}

/// A picture that does not change any more: cheap to clone (reference count), shared between threads. Its pixels are in a buffer of a
/// [`super::Pool`], or still in the decoder's frame: nothing is copied on the way.
#[derive(Clone)]
pub struct Picture(Arc<Storage>);

enum Storage {
    Canvas(Canvas),
    Frame(Frame),
}

impl Picture {
    /// A frame of libavcodec, already checked to be 8-bit 4:2:0 of even size.
    pub(crate) fn from_frame(frame: Frame) -> Self {
        Self(Arc::new(Storage::Frame(frame)))
    }

    /// Width in pixels, even.
    pub fn width(&self) -> u32 {
        self.planes().width
    }

    /// Height in pixels, even.
    pub fn height(&self) -> u32 {
        self.planes().height
    }

    /// Width to height of one pixel, from the VUI of the stream: (1, 1) nearly always, (12, 11) of CIF that means 4:3.
    pub fn pixel_aspect(&self) -> (u32, u32) {
        match &*self.0 {
            Storage::Canvas(_) => (1, 1),
            Storage::Frame(frame) => frame.pixel_aspect(),
        }
    }

    /// Is it the very same picture (not just an equal one)? What a cache of scaled copies asks.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Image for Picture {
    fn planes(&self) -> Planes<'_> {
        match &*self.0 {
            Storage::Canvas(canvas) => canvas.planes(),
            Storage::Frame(frame) => frame.planes(),
        }
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({}x{})", self.width(), self.height())
    }
}

/// Where the planes lie in one buffer. Rows and planes begin at multiples of 64 bytes, for the SIMD of the scaler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    width: u32,
    height: u32,
    stride: [usize; 3],
}

const ALIGN: usize = 64;

impl Geometry {
    pub(super) fn new(width: u32, height: u32) -> Option<Self> {
        let fits = |n: u32| (2..=8192).contains(&n) && n.is_multiple_of(2);
        (fits(width) && fits(height)).then(|| {
            let luma = (width as usize).next_multiple_of(ALIGN);
            let chroma = (width as usize / 2).next_multiple_of(ALIGN);
            Self { width, height, stride: [luma, chroma, chroma] }
        })
    }

    fn sizes(&self) -> [usize; 3] {
        let rows = self.height as usize;
        let [y, u, v] = self.stride;
        [y * rows, u * (rows / 2), v * (rows / 2)]
    }

    /// Bytes of a buffer for this, with room to begin at an aligned address.
    pub(super) fn bytes(&self) -> usize {
        self.sizes().iter().sum::<usize>() + ALIGN
    }
}

/// A picture being painted. [`Canvas::freeze`] makes a [`Picture`] of it.
pub struct Canvas {
    geometry: Geometry,
    start: usize,
    buffer: Buffer,
}

impl Canvas {
    /// A black canvas of no pool, for tests and things made once. None unless both sizes are even and 2–8192.
    pub fn new(width: u32, height: u32) -> Option<Self> {
        let geometry = Geometry::new(width, height)?;
        let mut canvas = Self::from_buffer(geometry, Buffer::alone(geometry.bytes()));
        canvas.fill(Colour::BLACK);
        Some(canvas)
    }

    pub(super) fn from_buffer(geometry: Geometry, buffer: Buffer) -> Self {
        let start = buffer.data.as_ptr().align_offset(ALIGN).min(ALIGN);
        Self { geometry, start, buffer }
    }

    /// Width in pixels, even.
    pub fn width(&self) -> u32 {
        self.geometry.width
    }

    /// Height in pixels, even.
    pub fn height(&self) -> u32 {
        self.geometry.height
    }

    /// One colour everywhere.
    pub fn fill(&mut self, colour: Colour) {
        let planes = self.planes_mut();
        for (plane, value) in planes.data.into_iter().zip([colour.y, colour.u, colour.v]) {
            plane.fill(value);
        }
    }

    /// The planes, to write on.
    pub fn planes_mut(&mut self) -> PlanesMut<'_> {
        let [y, u, _] = self.geometry.sizes();
        let data = self.buffer.data.get_mut(self.start..).unwrap_or_default();
        let (y, rest) = data.split_at_mut(y.min(data.len()));
        let (u, v) = rest.split_at_mut(u.min(rest.len()));
        PlanesMut {
            width: self.geometry.width,
            height: self.geometry.height,
            data: [y, u, v],
            stride: self.geometry.stride,
        }
    }

    /// Done: from now on it does not change.
    pub fn freeze(self) -> Picture {
        Picture(Arc::new(Storage::Canvas(self)))
    }
}

impl Image for Canvas {
    fn planes(&self) -> Planes<'_> {
        let [y, u, _] = self.geometry.sizes();
        let data = self.buffer.data.get(self.start..).unwrap_or_default();
        let (y, rest) = data.split_at(y.min(data.len()));
        let (u, v) = rest.split_at(u.min(rest.len()));
        Planes {
            width: self.geometry.width,
            height: self.geometry.height,
            data: [y, u, v],
            stride: self.geometry.stride,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_are_aligned_and_rows_are_as_long_as_the_picture() {
        let canvas = Canvas::new(854, 480).unwrap();
        let planes = canvas.planes();
        for i in 0..3 {
            assert_eq!(planes.data[i].as_ptr() as usize % ALIGN, 0, "plane {i}");
            assert_eq!(planes.row(i, planes.rows(i) - 1).len(), planes.columns(i));
            assert!(planes.data[i].len() >= planes.stride[i] * planes.rows(i));
        }
        assert!(planes.row(0, 480).is_empty() || planes.rows(0) == 480);
    }

    #[test]
    fn a_frozen_canvas_keeps_its_pixels() {
        let mut canvas = Canvas::new(16, 16).unwrap();
        canvas.fill(Colour::rgb(255, 0, 0));
        let picture = canvas.freeze();
        assert_eq!(picture.planes().row(2, 7), [240; 8]);
        assert!(picture.is_same(&picture.clone()));
    }
}
