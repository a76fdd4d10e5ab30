//! A colour as the canvas stores it.

/// A colour in limited-range YCbCr (ITU-R BT.709, the matrix receivers assume for HD without VUI).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Colour {
    /// Luma, 16–235.
    pub y: u8,
    /// Blue difference, 16–240, 128 is none.
    pub u: u8,
    /// Red difference, 16–240, 128 is none.
    pub v: u8,
}

impl Colour {
    /// Black.
    pub const BLACK: Self = Self { y: 16, u: 128, v: 128 };
    /// White.
    pub const WHITE: Self = Self { y: 235, u: 128, v: 128 };
    /// The border of the site that has the word: neutral, so that it stands out on faces and slides alike and tints no picture.
    pub const SPEAKER: Self = Self::WHITE;

    /// From 8-bit sRGB.
    pub const fn rgb(r: u8, g: u8, b: u8) -> Self {
        let (r, g, b) = (r as i32, g as i32, b as i32);
        // BT.709 with 16 bits of fraction, rounded.
        let y = 16 + ((11966 * r + 40254 * g + 4064 * b + 32768) >> 16);
        let u = 128 + ((-6596 * r - 22189 * g + 28784 * b + 32768) >> 16);
        let v = 128 + ((28784 * r - 26145 * g - 2639 * b + 32768) >> 16);
        Self { y: y as u8, u: u as u8, v: v as u8 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_white_and_grey_have_no_chroma() {
        assert_eq!(Colour::rgb(0, 0, 0), Colour::BLACK);
        assert_eq!(Colour::rgb(255, 255, 255), Colour::WHITE);
        assert_eq!(Colour::rgb(128, 128, 128).u, 128);
        assert_eq!(Colour::rgb(128, 128, 128).v, 128);
        assert_eq!(Colour::rgb(255, 0, 0), Colour { y: 63, u: 102, v: 240 });
    }
}
