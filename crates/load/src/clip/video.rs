//! Pre-encoded pictures, cut into RTP payloads once.

use bytes::Bytes;
use cau_codec::{
    scale::{Fit, scaled},
    video::{
        Canvas, Colour, Decode as _, Decoder, Picture, Pool,
        decode::Limits,
        encode::{self, Settings},
    },
};
use cau_rtp::h264::{
    DEFAULT_BUDGET, Mode, Packetizer, Payload,
    nal::{self, SliceHead, kind},
};

use super::Error;
use crate::pattern;

/// One picture, ready to send.
#[derive(Debug)]
pub struct Unit {
    /// Its RTP payloads.
    pub payloads: Vec<Payload>,
    /// An IDR picture with parameter sets: a receiver can begin here.
    pub key: bool,
}

/// A loop of pictures for one packetization mode.
#[derive(Debug)]
pub struct Video {
    /// Pictures in order; the first one is a key frame.
    pub units: Vec<Unit>,
    /// Pictures per second.
    pub fps: u32,
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Every picture holds the judged bar, its counter being the picture's place in the loop.
    pub judged: bool,
}

/// Size, rate and cutting of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pictures per second.
    pub fps: u32,
    /// kbit/s.
    pub kbps: u32,
    /// Pictures of the loop.
    pub frames: u16,
    /// Pictures from key frame to key frame; `None`: only the first.
    pub key_interval: Option<u32>,
    /// Packetization mode it is for.
    pub mode: Mode,
}

impl Shape {
    /// 1280×720 at 30 pictures a second, 1 Mbit/s, four seconds like the judged sound, a key frame every second.
    pub fn hd(mode: Mode) -> Self {
        Self { width: 1280, height: 720, fps: 30, kbps: 1000, frames: 120, key_interval: Some(30), mode }
    }
}

/// What the judged bar stands on.
pub enum Pattern<'a> {
    /// The flat colour of the identity.
    Flat,
    /// Natural pictures, looped; they must have the shape's size.
    Natural(&'a [Picture]),
}

impl Video {
    /// The judged pattern of an identity, encoded now.
    ///
    /// # Errors
    /// When the encoder refuses the shape.
    pub fn judged(id: u8, shape: Shape, on: &Pattern<'_>) -> Result<Self, Error> {
        let small_slices = (shape.mode == Mode::SingleNal).then_some(DEFAULT_BUDGET);
        let settings = Settings {
            max_nal_bytes: small_slices,
            key_interval: shape.key_interval,
            ..Settings::new(shape.width, shape.height, shape.fps, shape.kbps)
        };
        let mut encoder = encode::new(encode::Kind::default(), settings)?;
        let packetizer = Packetizer::new(shape.mode, DEFAULT_BUDGET);
        let mut units = Vec::with_capacity(usize::from(shape.frames));
        for n in 0..shape.frames {
            let mut canvas =
                Canvas::new(shape.width, shape.height).ok_or(Error::Size(shape.width, shape.height))?;
            match on {
                Pattern::Flat => pattern::paint(&mut canvas, id, n),
                Pattern::Natural(pictures) => {
                    if let Some(picture) = pictures.get(usize::from(n) % pictures.len().max(1)) {
                        copy(picture, &mut canvas);
                    }
                    pattern::paint_bar(&mut canvas, id, n);
                }
            }
            let due = shape.key_interval.is_some_and(|every| u32::from(n).is_multiple_of(every));
            let encoded =
                encoder.encode(&canvas, i64::from(n) * 90_000 / i64::from(shape.fps), n == 0 || due)?;
            units.push(Unit { payloads: packetizer.packetize(&encoded.nals).payloads, key: encoded.key });
        }
        Self::new(units, shape.fps, (shape.width, shape.height), true)
    }

    /// Natural pictures of an H.264 byte stream (Annex B) with the judged bar of an identity in them, encoded now.
    ///
    /// # Errors
    /// When the stream cannot be decoded or the encoder refuses the shape.
    pub fn natural(id: u8, shape: Shape, stream: &Bytes) -> Result<Self, Error> {
        let mut decoder = Decoder::new(Limits::default())?;
        let pool =
            Pool::new(usize::from(shape.frames) * (shape.width * shape.height * 2) as usize + (64 << 20));
        let mut pictures: Vec<Picture> = Vec::with_capacity(usize::from(shape.frames));
        for (n, nals) in access_units(stream).iter().enumerate().take(usize::from(shape.frames)) {
            if let Some(decoded) = decoder.decode(nals, n as i64)? {
                let size = (shape.width, shape.height);
                let fits = scaled(&decoded.picture, size, Fit::Cover, Colour::BLACK, &pool);
                pictures.push(fits.map_err(|_| Error::Size(shape.width, shape.height))?);
            }
        }
        if pictures.is_empty() {
            return Err(Error::NoKeyFrame);
        }
        Self::judged(id, shape, &Pattern::Natural(&pictures))
    }

    /// An H.264 byte stream (Annex B) made elsewhere. For mode 0 its slices must fit into a packet.
    ///
    /// # Errors
    /// When it does not begin with a key frame.
    pub fn from_annex_b(stream: &Bytes, fps: u32, size: (u32, u32), mode: Mode) -> Result<Self, Error> {
        let packetizer = Packetizer::new(mode, DEFAULT_BUDGET);
        let pictures = access_units(stream);
        let units = pictures
            .iter()
            .map(|nals| Unit {
                payloads: packetizer.packetize(nals).payloads,
                key: nals.iter().any(|n| nal::kind_of(n) == Some(kind::IDR)),
            })
            .collect();
        Self::new(units, fps, size, false)
    }

    fn new(units: Vec<Unit>, fps: u32, size: (u32, u32), judged: bool) -> Result<Self, Error> {
        if units.first().is_some_and(|u| u.key) {
            Ok(Self { units, fps, size, judged })
        } else {
            Err(Error::NoKeyFrame)
        }
    }

    /// The picture at a place of the endless loop.
    pub fn unit(&self, place: u64) -> &Unit {
        &self.units[(place % self.units.len() as u64) as usize]
    }

    /// The first place at or after `place` that is a key frame.
    pub fn next_key(&self, place: u64) -> u64 {
        (place..place + self.units.len() as u64).find(|p| self.unit(*p).key).unwrap_or(place)
    }

    /// The number of a place within the loop: what the bar of its picture says, where there is one.
    pub fn number(&self, place: u64) -> u16 {
        (place % self.units.len() as u64) as u16
    }

    /// Mean rate of the payloads, kbit/s.
    pub fn kbps(&self) -> u32 {
        let bits = self.bytes() as u64 * 8 * u64::from(self.fps);
        u32::try_from(bits / (self.units.len() as u64 * 1000)).unwrap_or(u32::MAX)
    }

    /// Bytes of all payloads.
    pub fn bytes(&self) -> usize {
        self.units.iter().flat_map(|u| &u.payloads).map(|p| p.bytes.len()).sum()
    }
}

/// The access units of a byte stream (Annex B), each as its NAL units.
pub fn access_units(stream: &Bytes) -> Vec<Vec<Bytes>> {
    let mut pictures: Vec<Vec<Bytes>> = Vec::new();
    let mut sliced = true;
    for unit in nal::split_annex_b(stream) {
        let slice = nal::kind_of(&unit).is_some_and(nal::is_slice);
        let first = slice && SliceHead::parse(&unit).is_none_or(|head| head.first_mb == 0);
        // A picture begins with what stands before its first slice, or with that slice.
        if sliced && (!slice || first) {
            pictures.push(Vec::new());
            sliced = false;
        }
        sliced |= slice;
        if let Some(picture) = pictures.last_mut() {
            picture.push(unit);
        }
    }
    pictures
}

fn copy(from: &Picture, to: &mut Canvas) {
    use cau_codec::video::Image as _;
    let source = from.planes();
    let target = to.planes_mut();
    for (i, plane) in target.data.into_iter().enumerate() {
        for y in 0..source.rows(i) {
            let row = source.row(i, y);
            let at = y * target.stride[i];
            if let Some(place) = plane.get_mut(at..at + row.len()) {
                place.copy_from_slice(row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(mode: Mode) -> Shape {
        Shape { width: 320, height: 180, frames: 40, kbps: 200, ..Shape::hd(mode) }
    }

    #[test]
    fn a_pattern_has_a_key_frame_every_second_and_fits_its_mode() {
        let video = Video::judged(3, small(Mode::SingleNal), &Pattern::Flat).unwrap();
        assert_eq!(video.units.len(), 40);
        let keys: Vec<usize> = (0..40).filter(|k| video.units[*k].key).collect();
        assert_eq!(keys, [0, 30]);
        assert_eq!(video.next_key(1), 30);
        assert_eq!(video.next_key(31), 40, "round the loop");
        assert!(video.units.iter().all(|u| u.payloads.last().unwrap().marker));
        let single = |p: &Payload| matches!(p.bytes[0] & 31, 1..=23);
        assert!(video.units.iter().flat_map(|u| &u.payloads).all(single));
    }

    #[test]
    fn a_byte_stream_is_cut_into_its_pictures() {
        let stream = Bytes::from_static(include_bytes!("../../../../assets/demo/hoa-phu.h264"));
        let video = Video::from_annex_b(&stream, 30, (1280, 720), Mode::SingleNal).unwrap();
        assert_eq!(video.units.len(), 240);
        assert_eq!(video.units.iter().filter(|u| u.key).count(), 8);
        assert!(video.bytes() * 100 > stream.len() * 97, "no slice was too long for a packet");
    }
}
