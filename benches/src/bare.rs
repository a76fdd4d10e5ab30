//! The bare cost of a bridge's work: decode every source, scale and copy every tile, encode one picture – codec work alone, on one
//! thread, measured beside the real thing because machines differ from hour to hour.

use std::fs;

use bytes::Bytes;
use cau_codec::{
    scale::{Fit, blit, scaled},
    video::{Canvas, Colour, Decode as _, Decoder, Picture, Pool, decode::Limits, encode},
};
use cau_load::clip::access_units;
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
    /// Of a conference of `callers` of whom `seen` are seen in one encoded picture.
    pub fn of_seen(self, seen: usize) -> f64 {
        (self.decode + self.tile) * seen as f64 + self.encode
    }

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

/// Measures with the demo's clips, which are what the callers of the benchmark send.
pub fn measure(callers: usize) -> Bare {
    let clips: Vec<Bytes> =
        crate::clips().iter().map(|f| Bytes::from(fs::read(f).expect("a clip"))).collect();
    let columns = (callers as f64).sqrt().ceil() as u32;
    let (tile_w, tile_h) = ((1280 / columns) & !1, (720 / columns) & !1);
    let pool = Pool::new(1 << 30);
    let mut decoders: Vec<Decoder> =
        clips.iter().map(|_| Decoder::new(Limits::default()).expect("a decoder")).collect();
    let units: Vec<Vec<Vec<Bytes>>> = clips.iter().map(access_units).collect();
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

/// What packets and sound cost bare, CPU seconds each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Packets {
    /// Reading one small datagram of a socket that has told that it has one.
    pub read_small: f64,
    /// Sending one.
    pub send_small: f64,
    /// Reading a picture of eight packets that the kernel hands over together.
    pub read_picture: f64,
    /// Sending one in one call.
    pub send_picture: f64,
    /// Decoding 20 ms of sound.
    pub decode: f64,
    /// Encoding it.
    pub encode: f64,
}

/// Payload of one packet of a picture.
const PACKET: usize = 1_150;
/// Packets of one picture at 2 Mbit/s and 30 a second.
const PACKETS: usize = 8;

/// Measures sockets on loopback and a sound codec on one thread.
pub fn packets(codec: cau_codec::audio::Codec) -> Packets {
    let (send_small, read_small) = sockets(172, 1);
    let (send_picture, read_picture) = sockets(PACKET, PACKETS);
    let mut encoder =
        cau_codec::audio::encoder(codec, &cau_codec::audio::OpusSettings::default()).expect("a codec");
    let mut decoder = cau_codec::audio::decoder(codec).expect("a codec");
    let frame: cau_codec::audio::Frame = std::array::from_fn(|k| ((k as f32 * 0.06).sin() * 6_000.0) as i16);
    let (mut payload, mut out) = (Vec::new(), Vec::new());
    const FRAMES: usize = 1_000;
    let start = cpu();
    (0..FRAMES).for_each(|_| encoder.encode(&frame, &mut payload).expect("encoded"));
    let encode = (cpu() - start) / FRAMES as f64;
    let start = cpu();
    for _ in 0..FRAMES {
        out.clear();
        decoder.decode(&payload, &mut out).expect("decoded");
    }
    let decode = (cpu() - start) / FRAMES as f64;
    Packets { read_small, send_small, read_picture, send_picture, decode, encode }
}

/// CPU seconds of sending, and of reading, `count` datagrams of `size` bytes that go together. What the kernel does for the receiver while it takes the
/// datagram from the sender counts for the sender, as it does for a bridge on loopback.
fn sockets(size: usize, count: usize) -> (f64, f64) {
    use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
    const TIMES: usize = 5_000;
    let bind = || std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let (from, to) = (bind(), bind());
    let state = |s: &std::net::UdpSocket| UdpSocketState::new(UdpSockRef::from(s)).expect("a socket");
    let (sender, receiver) = (state(&from), state(&to));
    let destination = to.local_addr().expect("bound");
    let contents = vec![0x80; size * count];
    let mut buffer = vec![0; 65_536];
    let (mut sending, mut reading) = (0.0, 0.0);
    for _ in 0..TIMES {
        let start = cpu();
        let transmit = Transmit {
            destination,
            ecn: None,
            contents: &contents,
            segment_size: (count > 1).then_some(size),
            src_ip: None,
        };
        sender.try_send(UdpSockRef::from(&from), &transmit).expect("sent");
        sending += cpu() - start;
        let start = cpu();
        let mut got = 0;
        while got < contents.len() {
            let mut meta = [RecvMeta::default()];
            let mut slices = [std::io::IoSliceMut::new(&mut buffer)];
            receiver.recv(UdpSockRef::from(&to), &mut slices, &mut meta).expect("read");
            got += meta[0].len;
        }
        reading += cpu() - start;
    }
    (sending / TIMES as f64, reading / TIMES as f64)
}

impl Packets {
    /// CPU of a meeting, cores: of `callers` all send and get sound and – with `pictures` – 30 pictures a second, one being passed on to all; `talking` are heard. Sound of
    /// those who are silent is read and no more.
    pub fn of(self, callers: usize, talking: usize, pictures: bool) -> f64 {
        let (callers, talking) = (callers as f64, talking as f64);
        let sound = 50.0
            * (callers * (self.read_small + self.send_small)
                + talking * (self.decode + self.encode)
                + self.encode);
        let seen = if pictures { 30.0 * callers * (self.read_picture + self.send_picture) } else { 0.0 };
        sound + seen
    }
}
