//! What the tests of pictures share.

use std::path::PathBuf;

use bytes::Bytes;
use cau_codec::video::{Canvas, Image};

/// A file of the data shared beside the project, or None (said aloud) where it is not there.
pub fn shared(path: &str) -> Option<PathBuf> {
    let full = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(path);
    if full.exists() {
        return Some(full);
    }
    #[allow(clippy::disallowed_macros, reason = "a skipped test must say so")]
    {
        eprintln!("skipped: {path} is not there");
    }
    None
}

/// NAL units of an Annex B stream.
pub fn nal_units(stream: &[u8]) -> Vec<Bytes> {
    let mut starts = Vec::new();
    let mut at = 0;
    while at + 3 <= stream.len() {
        if stream[at..at + 3] == [0, 0, 1] {
            starts.push(at + 3);
            at += 3;
        } else {
            at += 1;
        }
    }
    let ends = starts.iter().skip(1).map(|s| s - 3).chain([stream.len()]);
    let units = starts.iter().zip(ends).map(|(&s, e)| {
        let trimmed = stream[s..e].iter().rposition(|&b| b != 0).map_or(s, |p| s + p + 1);
        Bytes::copy_from_slice(&stream[s..trimmed])
    });
    units.filter(|u| !u.is_empty()).collect()
}

/// Access units: a new one begins with a first slice (first_mb_in_slice = 0) or with what may only stand before slices.
pub fn access_units(stream: &[u8]) -> Vec<Vec<Bytes>> {
    let mut units: Vec<Vec<Bytes>> = Vec::new();
    let mut has_slice = true;
    for nal in nal_units(stream) {
        let kind = nal[0] & 31;
        let slice = (1..=5).contains(&kind);
        let first = slice && nal.get(1).is_some_and(|b| b & 0x80 != 0);
        if units.is_empty() || (has_slice && (first || (6..=9).contains(&kind))) {
            units.push(Vec::new());
            has_slice = false;
        }
        has_slice |= slice;
        units.last_mut().unwrap().push(nal);
    }
    units
}

/// Appends the pixels without padding.
pub fn append_yuv(picture: &dyn Image, out: &mut Vec<u8>) {
    let planes = picture.planes();
    for i in 0..3 {
        for y in 0..planes.rows(i) {
            out.extend_from_slice(planes.row(i, y));
        }
    }
}

/// Peak signal to noise ratio of luma, dB.
pub fn psnr(a: &dyn Image, b: &dyn Image) -> f64 {
    let (a, b) = (a.planes(), b.planes());
    assert_eq!((a.width, a.height), (b.width, b.height));
    let mut sum = 0u64;
    for y in 0..a.rows(0) {
        sum +=
            a.row(0, y).iter().zip(b.row(0, y)).map(|(x, y)| u64::from(x.abs_diff(*y)).pow(2)).sum::<u64>();
    }
    let mse = sum as f64 / f64::from(a.width * a.height);
    10.0 * (255.0 * 255.0 / mse.max(1e-6)).log10()
}

/// A moving picture made by rule: a gradient with waves, and a bright square that travels.
pub fn pattern(width: u32, height: u32, n: usize) -> Canvas {
    let mut canvas = Canvas::new(width, height).unwrap();
    let planes = canvas.planes_mut();
    for (i, (data, stride)) in planes.data.into_iter().zip(planes.stride).enumerate() {
        for (y, row) in data.chunks_mut(stride).enumerate() {
            for (x, p) in row.iter_mut().enumerate() {
                let wave = ((x as f32 * 0.11 + n as f32 * 0.3).sin() + (y as f32 * 0.07).cos()) * 20.0;
                *p = match i {
                    0 if x.abs_diff(40 + n * 4) < 30 && y.abs_diff(60) < 30 => 220,
                    0 => (70.0 + wave + x as f32 * 0.1) as u8,
                    1 => 110 + (x / 16 % 16) as u8,
                    _ => 120 + (y / 16 % 16) as u8,
                };
            }
        }
    }
    canvas
}

/// SHA-1 (FIPS 180-4), for the published sums of the conformance streams.
pub fn sha1(data: &[u8]) -> String {
    let mut h: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut message = data.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend_from_slice(&(data.len() as u64 * 8).to_be_bytes());
    for block in message.chunks_exact(64) {
        let mut w = [0u32; 80];
        for (word, bytes) in w.iter_mut().zip(block.chunks_exact(4)) {
            *word = u32::from_be_bytes(bytes.try_into().unwrap());
        }
        for i in 16..80 {
            w[i] = (w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = h;
        for (i, word) in w.iter().enumerate() {
            let (f, k) = match i {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc_u32),
                _ => (b ^ c ^ d, 0xca62_c1d6),
            };
            let next = a.rotate_left(5).wrapping_add(f).wrapping_add(e).wrapping_add(k).wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (sum, value) in h.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(value);
        }
    }
    h.iter().map(|v| format!("{v:08x}")).collect()
}
