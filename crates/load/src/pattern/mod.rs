//! The judged pattern: a picture and a sound that say by machine who sent them and when.
//!
//! The same as `tests/kit/mkpat.py`: a flat colour, in its middle a black box with a bar of 20 cells (1 · identity in 4 bits · frame
//! counter in 12 · checksum in 2 · 1), and a steady tone with a burst at every whole second. A bar that cannot be read is a
//! broken picture, a counter that stands is a frozen one.

mod paint;
mod read;

pub use paint::{paint, paint_bar};
pub use read::{Tile, read_bar, tiles};

/// Identities with a colour and a tone of their own; a larger number is taken modulo this.
pub const IDENTITIES: u8 = 8;
/// The counter counts frames modulo this.
pub const COUNTER: u16 = 4096;
/// Cells of the bar.
pub const CELLS: usize = 20;

/// Names of the colours, in the order of identities.
pub const COLOURS: [&str; 8] = ["red", "green", "blue", "yellow", "magenta", "cyan", "orange", "violet"];
const RGB: [(u8, u8, u8); 8] = [
    (200, 30, 30),
    (20, 150, 40),
    (40, 60, 220),
    (200, 190, 10),
    (200, 30, 190),
    (10, 180, 190),
    (230, 110, 10),
    (110, 30, 200),
];
/// Where the black box lies, in parts of the picture: left, top, right, bottom.
const BOX: (f64, f64, f64, f64) = (0.18, 0.42, 0.82, 0.58);

/// The steady tone of an identity in Hz.
pub fn tone_hz(id: u8) -> f64 {
    440.0 + 120.0 * f64::from(id % IDENTITIES)
}

/// The 100 ms burst of an identity at every whole second, in Hz.
pub fn burst_hz(id: u8) -> f64 {
    [2000.0, 2200.0, 2400.0, 2600.0, 2800.0, 3000.0, 3200.0, 3350.0][usize::from(id % IDENTITIES)]
}

/// Y, Cb, Cr (BT.601, limited range, as ffmpeg makes of RGB by default) of an identity's colour.
fn ycc(id: u8) -> (u8, u8, u8) {
    let (r, g, b) = RGB[usize::from(id % IDENTITIES)];
    let (r, g, b) = (f64::from(r), f64::from(g), f64::from(b));
    let y = 16.0 + (65.481 * r + 128.553 * g + 24.966 * b) / 255.0;
    let cb = 128.0 + (-37.797 * r - 74.203 * g + 112.0 * b) / 255.0;
    let cr = 128.0 + (112.0 * r - 93.786 * g - 18.214 * b) / 255.0;
    (y.round() as u8, cb.round() as u8, cr.round() as u8)
}

/// The bar of `id` at frame `n`.
pub fn cells(id: u8, n: u16) -> [bool; CELLS] {
    let n = n % COUNTER;
    let mut cells = [false; CELLS];
    cells[0] = true;
    for k in 0..4 {
        cells[1 + k] = id >> (3 - k) & 1 == 1;
    }
    for k in 0..12 {
        cells[5 + k] = n >> (11 - k) & 1 == 1;
    }
    let ones = cells[..17].iter().filter(|c| **c).count();
    let sum = (ones + 3 * usize::from(n % 5)) % 4;
    cells[17] = sum & 2 != 0;
    cells[18] = sum & 1 != 0;
    cells[19] = true;
    cells
}

/// What a bar says, `(identity, counter)`; `None` when its checksum or its ends are wrong.
pub fn uncells(bar: &[bool; CELLS]) -> Option<(u8, u16)> {
    let id = bar[1..5].iter().fold(0u8, |v, b| v << 1 | u8::from(*b));
    let n = bar[5..17].iter().fold(0u16, |v, b| v << 1 | u16::from(*b));
    (cells(id, n) == *bar).then_some((id, n))
}

/// `samples` of the judged sound of `id` at `rate` Hz, starting at sample `first`: its tone at 0.20 of full scale, and in the first 100 ms of
/// every second its burst at 0.25. It repeats every whole second.
pub fn sound(id: u8, rate: u32, first: u64, samples: usize) -> Vec<f32> {
    let rate = f64::from(rate);
    (0..samples)
        .map(|k| {
            let t = ((first + k as u64) as f64) / rate;
            let steady = 0.20 * (std::f64::consts::TAU * tone_hz(id) * t).sin();
            let burst =
                if t.fract() < 0.1 { 0.25 * (std::f64::consts::TAU * burst_hz(id) * t).sin() } else { 0.0 };
            (steady + burst) as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bar_is_read_back_and_one_wrong_cell_in_the_counter_mostly_is_not() {
        let mut caught = 0;
        let mut total = 0;
        for id in 0..16 {
            for n in (0..COUNTER).step_by(37) {
                let bar = cells(id, n);
                assert_eq!(uncells(&bar), Some((id, n)));
                for k in 5..17 {
                    let mut wrong = bar;
                    wrong[k] = !wrong[k];
                    total += 1;
                    caught += usize::from(uncells(&wrong).is_none());
                }
            }
        }
        // The checksum is that of the kit: two bits. A broken picture shows many broken bars, so seven in ten is plenty.
        assert!(caught * 100 > total * 65, "{caught} of {total}");
    }

    #[test]
    fn the_bars_are_those_of_the_kit() {
        // mkpat.cells(5, 1234)
        let text: String = cells(5, 1234).iter().map(|c| if *c { '1' } else { '0' }).collect();
        assert_eq!(text, "10101010011010010001");
        assert_eq!(tone_hz(3), 800.0);
    }
}
