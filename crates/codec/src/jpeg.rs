//! A picture as JPEG, for previews.

use std::sync::LazyLock;

use jpeg_encoder::{ImageBuffer, JpegColorType, SamplingFactor};

use crate::video::{Image, Planes};

/// Why there is no JPEG.
#[derive(Debug, thiserror::Error)]
#[error("no JPEG: {0}")]
pub struct Error(#[from] jpeg_encoder::EncodingError);

/// Encodes at `quality` 1–100 (80 is good for a preview); chroma stays halved.
pub fn encode(picture: &dyn Image, quality: u8) -> Result<Vec<u8>, Error> {
    let planes = picture.planes();
    let mut bytes = Vec::with_capacity(planes.width as usize * planes.height as usize / 8);
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, quality.clamp(1, 100));
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.encode_image(Rows(planes))?;
    Ok(bytes)
}

struct Rows<'a>(Planes<'a>);

/// JPEG (JFIF) samples are full range, ours are 16–235 and 16–240.
static LUMA: LazyLock<[u8; 256]> =
    LazyLock::new(|| std::array::from_fn(|s| spread(s as f32 - 16.0, 219.0, 0.0)));
static CHROMA: LazyLock<[u8; 256]> =
    LazyLock::new(|| std::array::from_fn(|s| spread(s as f32 - 128.0, 224.0, 128.0)));

fn spread(distance: f32, span: f32, centre: f32) -> u8 {
    (distance * 255.0 / span + centre).round() as u8 // saturates
}

fn full(table: &[u8; 256], sample: u8) -> u8 {
    table.get(usize::from(sample)).copied().unwrap_or(0)
}

impl ImageBuffer for Rows<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        self.0.width as u16
    }

    fn height(&self) -> u16 {
        self.0.height as u16
    }

    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        let y = usize::from(y);
        let [luma, blue, red, _] = buffers;
        luma.extend(self.0.row(0, y).iter().map(|&s| full(&LUMA, s)));
        for (i, out) in [(1, blue), (2, red)] {
            out.extend(self.0.row(i, y / 2).iter().flat_map(|&s| [full(&CHROMA, s); 2]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::{Canvas, Colour};

    #[test]
    fn black_and_white_are_full_range() {
        assert_eq!([full(&LUMA, 16), full(&LUMA, 235), full(&LUMA, 0), full(&LUMA, 255)], [0, 255, 0, 255]);
        assert_eq!([full(&CHROMA, 128), full(&CHROMA, 240), full(&CHROMA, 16)], [128, 255, 1]);
    }

    #[test]
    fn a_red_picture_is_red_again() {
        let mut canvas = Canvas::new(322, 178).unwrap();
        canvas.fill(Colour { y: 81, u: 90, v: 240 }); // red in BT.601, which JFIF uses
        let path = std::env::temp_dir().join(format!("cau-codec-jpeg-{}.jpg", std::process::id()));
        std::fs::write(&path, encode(&canvas, 90).unwrap()).unwrap();
        let mut clip = crate::clip::Clip::open(&path).unwrap();
        let picture = clip.next().unwrap().unwrap().picture;
        std::fs::remove_file(&path).unwrap();
        assert_eq!((picture.width(), picture.height()), (322, 178));
        let planes = picture.planes();
        assert!(planes.row(0, 100)[100].abs_diff(81) <= 2, "{}", planes.row(0, 100)[100]);
        assert!(planes.row(1, 50)[50].abs_diff(90) <= 2);
        assert!(planes.row(2, 50)[50].abs_diff(240) <= 2);
    }
}
