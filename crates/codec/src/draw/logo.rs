//! A logo: a PNG file, scaled once per size and laid over pictures with its transparency.

use std::io::Cursor;

use super::blend::Stamp;

/// Largest side of a logo file, pixels.
const LARGEST: u32 = 4096;

/// Why a file is no logo.
#[derive(Debug, thiserror::Error)]
pub enum LogoError {
    /// It is no PNG, or a damaged one.
    #[error("not a PNG picture that can be read: {0}")]
    Png(#[from] png::DecodingError),
    /// Too large, or of a kind that cannot be.
    #[error("a logo is a PNG picture of at most {LARGEST}×{LARGEST} pixels; this one has {width}×{height}")]
    Size {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
}

/// A logo as read from its file.
#[derive(Clone, PartialEq, Eq)]
pub struct Logo {
    width: usize,
    height: usize,
    /// Red, green, blue, alpha.
    pixels: Vec<u8>,
}

impl std::fmt::Debug for Logo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Logo({}x{})", self.width, self.height)
    }
}

impl Logo {
    /// From the bytes of a PNG file, of any colour type and depth.
    ///
    /// # Errors
    /// See [`LogoError`].
    pub fn from_png(bytes: &[u8]) -> Result<Self, LogoError> {
        let limits = png::Limits { bytes: LARGEST as usize * LARGEST as usize * 4 };
        let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
        decoder
            .set_transformations(png::Transformations::normalize_to_color8() | png::Transformations::ALPHA);
        let mut reader = decoder.read_info()?;
        let (width, height) = (reader.info().width, reader.info().height);
        let size = LogoError::Size { width, height };
        let bytes = reader.output_buffer_size();
        let Some(bytes) = bytes.filter(|_| (1..=LARGEST).contains(&width) && (1..=LARGEST).contains(&height))
        else {
            return Err(size);
        };
        let mut raw = vec![0; bytes];
        let frame = reader.next_frame(&mut raw)?;
        raw.truncate(frame.buffer_size());
        let pixels: Vec<u8> = match frame.color_type {
            png::ColorType::Rgba => raw,
            png::ColorType::GrayscaleAlpha => raw
                .as_chunks::<2>()
                .0
                .iter()
                .flat_map(|[grey, alpha]| [*grey, *grey, *grey, *alpha])
                .collect(),
            // The transformation above leaves no others.
            _ => return Err(size),
        };
        let (width, height) = (width as usize, height as usize);
        if pixels.len() == width * height * 4 { Ok(Self { width, height, pixels }) } else { Err(size) }
    }

    /// As high as asked (2–1,080 pixels), as wide as its shape wants but at most `room`, with `percent` of its own opacity.
    pub(super) fn stamp(&self, height: u32, room: u32) -> Stamp {
        let wide = |h: usize| (self.width * h / self.height.max(1)).max(2);
        let mut h = height.clamp(2, 1080) as usize;
        let room = room.max(2) as usize;
        if wide(h) > room {
            h = (self.height * room / self.width.max(1)).max(2);
        }
        let (w, h) = (wide(h).min(room).next_multiple_of(2), h.next_multiple_of(2));
        let mut out = Vec::with_capacity(w * h * 4);
        for y in 0..h {
            for x in 0..w {
                out.extend(self.mean(x, y, w, h));
            }
        }
        Stamp::image(w, &out)
    }

    /// The mean of the pixels that fall on one pixel of a picture of `w`×`h`, weighted by their opacity: what is
    /// transparent has no colour.
    fn mean(&self, x: usize, y: usize, w: usize, h: usize) -> [u8; 4] {
        let span = |at: usize, of: usize, whole: usize| {
            let from = at * whole / of;
            from..((at + 1) * whole).div_ceil(of).clamp(from + 1, whole.max(from + 1))
        };
        let (mut sum, mut opacity, mut count) = ([0_u64; 3], 0_u64, 0_u64);
        for row in span(y, h, self.height) {
            for column in span(x, w, self.width) {
                let at = (row * self.width + column) * 4;
                let Some([r, g, b, a]) = self.pixels.get(at..).and_then(|rest| rest.first_chunk::<4>())
                else {
                    continue;
                };
                for (sum, part) in sum.iter_mut().zip([r, g, b]) {
                    *sum += u64::from(*part) * u64::from(*a);
                }
                opacity += u64::from(*a);
                count += 1;
            }
        }
        let [r, g, b] = sum.map(|part| (part / opacity.max(1)) as u8);
        [r, g, b, (opacity / count.max(1)) as u8]
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::video::{Canvas, Colour, Image};

    /// A red square on nothing, `side` pixels.
    pub fn square(side: u32, kind: png::ColorType) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, side, side);
        encoder.set_color(kind);
        let mut writer = encoder.write_header().unwrap();
        let inside = |n: u32| (side / 4..side - side / 4).contains(&n);
        let data: Vec<u8> = (0..side * side)
            .flat_map(|n| {
                let on = inside(n % side) && inside(n / side);
                match kind {
                    png::ColorType::Rgba => vec![255, 0, 0, if on { 255 } else { 0 }],
                    png::ColorType::Rgb => vec![if on { 255 } else { 0 }, 0, 0],
                    _ => vec![if on { 255 } else { 0 }],
                }
            })
            .collect();
        writer.write_image_data(&data).unwrap();
        drop(writer);
        file
    }

    #[test]
    fn a_logo_is_scaled_and_keeps_its_transparency() {
        let logo = Logo::from_png(&square(400, png::ColorType::Rgba)).unwrap();
        let mut canvas = Canvas::new(128, 72).unwrap();
        canvas.fill(Colour::rgb(0, 0, 255));
        logo.stamp(40, 100).apply(&mut canvas, 20, 10);
        let planes = canvas.planes();
        let (red, blue) = (Colour::rgb(255, 0, 0), Colour::rgb(0, 0, 255));
        assert!(planes.row(0, 30)[40].abs_diff(red.y) <= 2, "in the middle");
        assert!(planes.row(2, 15)[20].abs_diff(red.v) <= 2);
        assert_eq!(planes.row(0, 12)[22], blue.y, "its transparent edge");
        assert_eq!(planes.row(0, 60)[40], blue.y, "below it");
    }

    #[test]
    fn pictures_of_other_kinds_are_read_as_well() {
        for kind in [png::ColorType::Rgb, png::ColorType::Grayscale] {
            let logo = Logo::from_png(&square(64, kind)).unwrap();
            assert_eq!((logo.width, logo.height, logo.pixels[3]), (64, 64, 255));
        }
        let wide = logo_of(600, 100).stamp(80, 200);
        assert_eq!((wide.width(), wide.height()), (198, 34), "the room decides");
    }

    fn logo_of(width: usize, height: usize) -> Logo {
        Logo { width, height, pixels: vec![255; width * height * 4] }
    }

    #[test]
    fn what_is_no_png_is_refused() {
        assert!(Logo::from_png(b"GIF89a").is_err());
        let file = square(64, png::ColorType::Rgba);
        assert!(Logo::from_png(&file[..file.len() / 2]).is_err());
        let mut huge = file;
        huge[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        assert!(Logo::from_png(&huge).is_err(), "sizes from the header are not trusted");
    }
}
