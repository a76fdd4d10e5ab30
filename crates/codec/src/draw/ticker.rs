//! A line of text along the edge of a picture, scrolling or still.

use super::blend::Stamp;
use super::text::{self, Writer};
use crate::video::Canvas;

/// Pixels of the text's height a scrolling line moves in a second: read with ease.
const SPEED: f64 = 2.6;
/// Widest line painted, pixels; what is longer is cut.
const WIDEST: usize = 16_384;

/// A message painted for one width of picture. Painting it on a canvas costs one multiplication per sample.
pub struct Ticker {
    text: Stamp,
    bar: Stamp,
    width: u32,
    /// Pixels per second; 0: still.
    speed: f64,
}

impl Ticker {
    /// For pictures of that size.
    pub(super) fn new(line: &str, scrolls: bool, (width, height): (u32, u32), writer: &mut Writer) -> Self {
        let size = (height as f32 / 18.0).clamp(11.0, 54.0);
        let padding = (size * 0.6) as usize;
        let line = text::clean_long(line);
        let room = if scrolls { WIDEST } else { (width as usize).saturating_sub(2 * padding) };
        let mask = writer.line(&line, size, room);
        let high = mask.height;
        Self {
            text: Stamp::plain(&mask),
            bar: Stamp::bar(width as usize, high + padding / 2),
            width,
            speed: if scrolls { f64::from(size) * SPEED } else { 0.0 },
        }
    }

    /// Its height, pixels.
    pub fn height(&self) -> u32 {
        self.bar.height()
    }

    /// It moves from picture to picture.
    pub fn moves(&self) -> bool {
        self.speed > 0.0
    }

    /// Paints it with its upper edge at `y`, as it stands `seconds` after its start: a scrolling line comes in on the right, runs out
    /// on the left, and comes again; a still one is centred.
    pub fn paint(&self, canvas: &mut Canvas, y: u32, seconds: f64) {
        self.bar.apply(canvas, 0, y);
        let (width, own) = (i64::from(self.width), i64::from(self.text.width()));
        let x = if self.moves() {
            let way = (seconds.max(0.0) * self.speed) as i64;
            width - way % (width + own)
        } else {
            (width - own) / 2
        };
        let down = y + (self.bar.height().saturating_sub(self.text.height())) / 2;
        self.text.apply_columns(canvas, x, down, 0..self.width);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::{Colour, Image};

    /// First and last bright column of the canvas.
    fn ink(canvas: &Canvas) -> Option<(usize, usize)> {
        let planes = canvas.planes();
        let bright = |x: usize| (0..planes.rows(0)).any(|y| planes.row(0, y)[x] > 180);
        let columns: Vec<usize> = (0..planes.columns(0)).filter(|x| bright(*x)).collect();
        Some((*columns.first()?, *columns.last()?))
    }

    fn at(ticker: &Ticker, seconds: f64) -> Canvas {
        let mut canvas = Canvas::new(640, 360).unwrap();
        canvas.fill(Colour::rgb(90, 90, 90));
        ticker.paint(&mut canvas, 320, seconds);
        canvas
    }

    #[test]
    fn a_scrolling_line_comes_from_the_right_and_comes_again() {
        let ticker = Ticker::new("Họp lại lúc 14 giờ", true, (640, 360), &mut Writer::new());
        assert_eq!(ink(&at(&ticker, 0.0)), None, "not there yet");
        let (first, last) = ink(&at(&ticker, 1.0)).unwrap();
        assert!(first > 560 && last >= 630, "{first} {last}");
        let (later, _) = ink(&at(&ticker, 2.0)).unwrap();
        let step = first - later;
        assert!(step.abs_diff((20.0 * SPEED) as usize) <= 2, "{step} pixels in a second");
        let round = (640.0 + f64::from(ticker.text.width())) / ticker.speed;
        assert_eq!(ink(&at(&ticker, 1.0 + round)).map(|(x, _)| x / 4), Some(first / 4));
    }

    #[test]
    fn a_still_line_is_centred_and_cut_when_too_long() {
        let mut writer = Writer::new();
        let (first, last) = ink(&at(&Ticker::new("Giải lao", false, (640, 360), &mut writer), 7.0)).unwrap();
        assert!((first + last).abs_diff(640) <= 6, "{first} {last}");
        let long = Ticker::new(&"Phường Buôn Ma Thuột ".repeat(15), false, (640, 360), &mut writer);
        let (first, last) = ink(&at(&long, 0.0)).unwrap();
        assert!(first > 8 && last < 632 && !long.moves());
        let long = Ticker::new(&"ệ".repeat(400), true, (1920, 1080), &mut writer);
        assert!(long.text.width() as usize <= WIDEST && long.text.width() > 8000);
    }

    #[test]
    fn any_place_and_size_is_safe() {
        let mut writer = Writer::new();
        for size in [(2, 2), (48, 36), (160, 90)] {
            let ticker = Ticker::new("Ế", true, size, &mut writer);
            let mut canvas = Canvas::new(size.0, size.1).unwrap();
            for y in [0, 1, size.1, u32::MAX / 2] {
                for seconds in [-1.0, 0.0, 3.3, 1e12] {
                    ticker.paint(&mut canvas, y, seconds);
                }
            }
        }
    }
}
