//! The bare cost of a bridge's work: decode every source, scale and copy every tile, encode one picture – codec work alone, on one
//! thread, measured beside the real thing because machines differ from hour to hour.

use std::fs;

use bytes::Bytes;
use cau_codec::{
    scale::{Fit, blit, scaled},
    video::{Canvas, Colour, Decode as _, Decoder, Picture, Pool, decode::Limits, encode},
};
use cau_rtp::h264::nal::{self, SliceHead};
use rustix::time::{ClockId, clock_gettime};

/// Seconds of pictures one measurement works on.
const SECONDS: usize = 5;
const FPS: usize = 30;

/// CPU seconds per second of meeting.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bare {
    /// Decoding one 720p30 source.
    pub decode: f64,
    /// Scaling and copying one source's pictures into its tile.
    pub tile: f64,
    /// Encoding one 720p30 picture of all of them.
    pub encode: f64,
}

impl Bare {
    /// Of a conference of `callers` who are all seen in one encoded picture.
    pub fn of(self, callers: usize) -> f64 {
        (self.decode + self.tile) * callers as f64 + self.encode
    }

    /// The mean of two measurements, before and after the run.
    pub fn mean(self, other: Self) -> Self {
        Self {
            decode: (self.decode + other.decode) / 2.0,
            tile: (self.tile + other.tile) / 2.0,
            encode: (self.encode + other.encode) / 2.0,
        }
    }
}

fn cpu() -> f64 {
    let t = clock_gettime(ClockId::ThreadCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// The access units of a byte stream, each as its NAL units.
fn pictures_of(stream: &Bytes) -> Vec<Vec<Bytes>> {
    let mut all: Vec<Vec<Bytes>> = Vec::new();
    let mut has_slice = true;
    for unit in nal::split_annex_b(stream) {
        let slice = nal::kind_of(&unit).is_some_and(nal::is_slice);
        let first = slice && SliceHead::parse(&unit).is_none_or(|head| head.first_mb == 0);
        if has_slice && (!slice || first) {
            all.push(Vec::new());
            has_slice = false;
        }
        has_slice |= slice;
        if let Some(last) = all.last_mut() {
            last.push(unit);
        }
    }
    all
}

/// Measures with the demo's clips, which are what the callers of the benchmark send.
pub fn measure(callers: usize) -> Bare {
    let clips: Vec<Bytes> =
        crate::clips().iter().map(|f| Bytes::from(fs::read(f).expect("a clip"))).collect();
    let columns = (callers as f64).sqrt().ceil() as u32;
    let (tile_w, tile_h) = ((1280 / columns) & !1, (720 / columns) & !1);
    let pool = Pool::new(1 << 30);
    let mut decoders: Vec<Decoder> =
        clips.iter().map(|_| Decoder::new(Limits::default()).expect("a decoder")).collect();
    let units: Vec<Vec<Vec<Bytes>>> = clips.iter().map(pictures_of).collect();
    let mut encoder =
        encode::new(encode::Kind::default(), encode::Settings::new(1280, 720, 30, 1800)).expect("an encoder");
    let mut canvas = Canvas::new(1280, 720).expect("a canvas");
    let mut bare = Bare::default();
    for n in 0..SECONDS * FPS {
        let mut latest: Vec<Picture> = Vec::new();
        let start = cpu();
        for (decoder, units) in decoders.iter_mut().zip(&units) {
            let unit = &units[n % units.len()];
            if let Ok(Some(decoded)) = decoder.decode(unit, n as i64) {
                latest.push(decoded.picture);
            }
        }
        bare.decode += (cpu() - start) / clips.len() as f64;
        let start = cpu();
        for (k, picture) in latest.iter().enumerate() {
            let tile = scaled(picture, (tile_w, tile_h), Fit::Contain, Colour::BLACK, &pool).expect("memory");
            // The other tiles are copies of these sources: as many tiles as callers are seen.
            for at in (k..callers).step_by(latest.len()) {
                let (column, row) = (at as u32 % columns, at as u32 / columns);
                blit(&tile, &mut canvas, column * tile_w, row * tile_h);
            }
        }
        bare.tile += (cpu() - start) / latest.len().max(1) as f64;
        let start = cpu();
        encoder.encode(&canvas, n as i64 * 3_000, n == 0).expect("encoded");
        bare.encode += cpu() - start;
    }
    let seconds = SECONDS as f64;
    Bare { decode: bare.decode / seconds, tile: bare.tile / seconds, encode: bare.encode / seconds }
}
