//! One endpoint: sends a colour and a tone, decodes what it gets and checks that it is one unbroken stream.

use std::{
    collections::{HashSet, VecDeque},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use cau_codec::{
    audio::{self, Codec, OpusSettings},
    video::{Canvas, Colour, Decode, Decoder, Encode, Image, Picture, decode, encode},
};
use cau_mixer::{
    LegConfig, Media, Port,
    command::{AudioCodec, AudioLeg, Mode, Rtx, VideoLeg},
};
use cau_model::ParticipantId;
use cau_rtp::{
    Packet, Session,
    h264::{self, Depacketizer, Packetizer},
    jitter, nack,
    payload::Format,
    rtcp, rtx,
    session::{self, Notice},
    stream::Outgoing,
};

use super::{audio_leg, leg, ms, p, video_leg};

/// Colours that stay apart after scaling and coding.
pub const COLOURS: [(u8, u8, u8); 6] =
    [(200, 30, 30), (30, 160, 30), (40, 60, 210), (210, 200, 40), (190, 50, 200), (40, 190, 200)];

pub struct Endpoint {
    pub participant: ParticipantId,
    pub audio: Option<AudioLeg>,
    pub video: Option<VideoLeg>,
    /// Sends its picture.
    pub camera: bool,
    /// Answers key-frame requests.
    pub obeys: bool,
    /// Sends sound of this frequency; `None`: silence.
    pub tone: Option<f32>,
    /// Sends this instead (48 kHz, full scale 1), then silence.
    pub said: Option<Arc<[f32]>>,
    /// Sends no packets of sound at all.
    pub mute_line: bool,
    /// Sends nothing at all.
    pub dead: bool,
    /// Every n-th video packet out is lost on the way.
    pub lose_every: Option<u64>,
    /// Every n-th video packet in is lost on the way.
    pub miss_every: Option<u64>,
    came: u64,
    history: nack::History,
    asker: nack::Asker,
    /// Counts packets and looks no further.
    pub blind: bool,
    /// Its clock runs so much fast, in millionths.
    pub ppm: i64,
    /// Its picture is bright for the first fifth of each such time, and its tone sounds for the first tenth.
    pub flashes: Option<Duration>,
    /// Its picture moves.
    pub moves: bool,
    /// It plays its sound through a buffer, and counts what is concealed.
    pub buffer: Option<jitter::Audio>,
    /// It asks for a key frame while its picture is hurt, once in 500 ms.
    pub heals: bool,
    /// It asks for a key frame this often, whatever it gets.
    pub pesters: Option<Duration>,
    asked_at: Option<Instant>,
    pulled_at: Option<Instant>,
    rtx: rtx::Sender,
    /// What it was told of its rate (TMMBR), bit/s, and what it answers of ours (TMMBN).
    pub told: Vec<u64>,
    pub limited: Vec<u64>,
    /// Repairs that came in a stream of their own.
    pub repairs: u64,
    /// The last sender reports, of sound and of pictures.
    pub reports: [Option<rtcp::SenderInfo>; 2],
    /// It sends no RTCP.
    pub no_reports: bool,
    /// So many of the next packets of video do not arrive.
    pub lose_next: u32,
    pub size: (u32, u32),
    pub received: Received,
    /// Every slice sent, hashed.
    pub slices: HashSet<u64>,
    /// Packets asked for again.
    pub repeated: u64,
    /// Key-frame requests that came.
    pub asked: u64,
    pub bye: u32,
    pub sender_reports: u32,
    pub extra: Vec<(Media, bool, Bytes)>,
    colour: Colour,
    sound: Out,
    picture: Out,
    sound_encoder: Option<Box<dyn audio::Encode>>,
    encoder: Option<Box<dyn Encode>>,
    force_key: bool,
    samples: u64,
    next_sound: Option<Instant>,
    next_picture: Option<Instant>,
    started: Option<Instant>,
    sent_video: u64,
}

struct Out {
    session: Option<Session>,
    source: SocketAddr,
    clock: u32,
    seed: u64,
    /// Whose its media are.
    csrc: Vec<u32>,
}

/// What came, decoded.
pub struct Received {
    pub audio_packets: u64,
    pub video_packets: u64,
    /// Largest RTP packet of video.
    pub largest: usize,
    /// FU-A packets of video.
    pub fragments: u64,
    pub keys: Vec<Instant>,
    pub pictures: Vec<(Instant, Picture)>,
    /// The slices of each picture, hashed.
    pub slices: Vec<(Instant, Vec<u64>)>,
    /// Pictures that could not be decoded, or not without flaw.
    pub broken: u64,
    pub ssrcs: Vec<u32>,
    /// Gaps in the sequence of either medium.
    pub gaps: u64,
    /// Time stamps of video that did not grow from picture to picture.
    pub back: u64,
    /// Time stamps of sound that did not step by 20 ms.
    pub odd: u64,
    pub csrc: Vec<u32>,
    pub audio_csrc: Vec<u32>,
    pub pcm: Vec<i16>,
    /// When each packet of sound came, its time stamp, and where its sound begins in `pcm`.
    pub heard: Vec<(Instant, u32, usize)>,
    /// Whole pictures that refer to whole ones.
    pub good: Vec<Instant>,
    /// The picture refers to something that is missing.
    pub hurt: bool,
    /// When each picture came, its time stamp, and the brightness of its middle.
    pub lights: Vec<(Instant, u32, u8)>,
    pub to: Vec<SocketAddr>,
    keep: bool,
    last: [Option<(u16, u32)>; 2],
    depacketizer: Depacketizer,
    decoder: Decoder,
    sound: Option<Box<dyn audio::Decode>>,
}

impl Endpoint {
    pub fn new(n: u64) -> Self {
        let (r, g, b) = COLOURS[(n as usize + COLOURS.len() - 1) % COLOURS.len()];
        let audio = audio_leg(n, AudioCodec::Pcma, 8);
        let video = video_leg(n, Mode::NonInterleaved);
        Self {
            participant: p(n),
            sound: Out { session: None, source: audio.stream.remote, clock: 8000, seed: n, csrc: Vec::new() },
            picture: Out {
                session: None,
                source: video.stream.remote,
                clock: 90_000,
                seed: n + 1000,
                csrc: Vec::new(),
            },
            audio: Some(audio),
            video: Some(video),
            camera: true,
            obeys: true,
            tone: None,
            said: None,
            mute_line: false,
            dead: false,
            lose_every: None,
            miss_every: None,
            came: 0,
            history: nack::History::new(nack::Keep::default()),
            asker: nack::Asker::default(),
            blind: false,
            ppm: 0,
            flashes: None,
            moves: false,
            buffer: None,
            heals: false,
            pesters: None,
            asked_at: None,
            pulled_at: None,
            rtx: rtx::Sender::new(n),
            told: Vec::new(),
            limited: Vec::new(),
            repairs: 0,
            reports: [None; 2],
            no_reports: false,
            lose_next: 0,
            size: (320, 180),
            received: Received::new(),
            slices: HashSet::new(),
            repeated: 0,
            asked: 0,
            bye: 0,
            sender_reports: 0,
            extra: Vec::new(),
            colour: Colour::rgb(r, g, b),
            sound_encoder: None,
            encoder: None,
            force_key: false,
            samples: 0,
            next_sound: None,
            next_picture: None,
            started: None,
            sent_video: 0,
        }
    }

    pub fn tone(mut self, hz: f32) -> Self {
        self.tone = Some(hz);
        self
    }

    pub fn saying(mut self, said: Arc<[f32]>) -> Self {
        self.said = Some(said);
        self
    }

    pub fn codec(mut self, codec: AudioCodec, pt: u8) -> Self {
        let n = self.participant.0;
        self.audio = Some(audio_leg(n, codec, pt));
        self.sound.clock = codec.clock_rate();
        self
    }

    pub fn mode(mut self, mode: Mode) -> Self {
        self.video = Some(video_leg(self.participant.0, mode));
        self
    }

    pub fn no_camera(mut self) -> Self {
        self.camera = false;
        self
    }

    pub fn sound_only(mut self) -> Self {
        self.video = None;
        self.camera = false;
        self
    }

    pub fn leg(&self) -> LegConfig {
        leg(self.audio.clone(), self.video.clone())
    }

    pub fn colour(&self) -> Colour {
        self.colour
    }

    pub fn addresses(&self) -> (SocketAddr, SocketAddr) {
        (self.sound.source, self.picture.source)
    }

    pub fn move_to(&mut self, audio: SocketAddr, video: SocketAddr) {
        self.sound.source = audio;
        self.picture.source = video;
    }

    /// A new SSRC, as devices do after a re-INVITE.
    pub fn change_ssrc(&mut self) {
        self.picture.session = None;
        self.picture.seed += 77_777;
        self.force_key = true;
    }

    pub fn change_size(&mut self, size: (u32, u32)) {
        self.size = size;
        self.encoder = None;
    }

    /// Says it needs a key frame.
    pub fn pli(&mut self) {
        let ssrc = self.received.ssrcs.last().copied().unwrap_or(0);
        let mut w = cau_rtp::rtcp::Writer::new();
        w.receiver_report(99, &[]);
        w.pli(99, ssrc);
        self.extra.push((Media::Video, true, w.finish().into()));
    }

    /// Datagrams due by `now`.
    pub fn send(&mut self, now: Instant) -> Vec<(Media, bool, Bytes)> {
        if self.dead {
            return Vec::new();
        }
        self.started.get_or_insert(now);
        self.live(now);
        let mut out = std::mem::take(&mut self.extra);
        if self.audio.as_ref().is_some_and(|a| a.stream.recv) && !self.mute_line {
            let next = *self.next_sound.get_or_insert(now);
            if now >= next {
                self.next_sound = Some(next + self.own(ms(20)));
                out.push((Media::Audio, false, self.frame(now)));
            }
        }
        if self.camera && self.video.as_ref().is_some_and(|v| v.stream.recv) {
            let next = *self.next_picture.get_or_insert(now);
            if now >= next {
                self.next_picture = Some(next + self.own(ms(40)));
                self.shoot(now, &mut out);
            }
        }
        for (media, o) in [(Media::Audio, &mut self.sound), (Media::Video, &mut self.picture)] {
            if let Some(session) = o.session.as_mut().filter(|_| !self.no_reports)
                && let Some(data) = session.poll_rtcp(now)
            {
                out.push((media, true, data.into()));
            }
        }
        out
    }

    /// A time by its own clock, in ours.
    fn own(&self, time: Duration) -> Duration {
        time.mul_f64(1.0 - self.ppm as f64 * 1e-6)
    }

    /// Asks for a key frame, and plays sound, as a device does of itself.
    fn live(&mut self, now: Instant) {
        let every = self.pesters.or(Some(ms(500)).filter(|_| self.heals && self.received.hurt));
        let due = |every: Duration| self.asked_at.is_none_or(|at| now.saturating_duration_since(at) >= every);
        if every.is_some_and(due) {
            self.asked_at = Some(now);
            self.pli();
        }
        let Some(buffer) = &mut self.buffer else { return };
        while *self.pulled_at.get_or_insert(now) <= now {
            let at = self.pulled_at.unwrap();
            buffer.pull(at);
            self.pulled_at = Some(at + ms(20));
        }
    }

    /// Plays its sound through a buffer.
    pub fn buffered(mut self) -> Self {
        let audio = self.audio.as_ref().unwrap();
        let format = match audio.codec {
            AudioCodec::Opus { .. } => Format::Opus,
            AudioCodec::G722 => Format::G722,
            AudioCodec::Pcma => Format::Pcma,
            AudioCodec::Pcmu => Format::Pcmu,
        };
        self.buffer = Some(jitter::Audio::new(jitter::Config::new([(audio.pt_send, format)])));
        self
    }

    /// Negotiates retransmission in a stream of its own.
    pub fn with_rtx(mut self) -> Self {
        let video = self.video.as_mut().unwrap();
        video.feedback.nack = true;
        video.rtx = Some(Rtx { pt_send: 97, pt_recv: vec![(97, 96)] });
        self
    }

    /// Limits what it is sent (TMMBR), bit/s.
    pub fn limit(&mut self, bits: u64) {
        let ssrc = self.received.ssrcs.last().copied().unwrap_or(0);
        let mut w = rtcp::Writer::new();
        w.receiver_report(99, &[]);
        w.tmmbr(99, &rtcp::Limit { ssrc, bitrate: bits, overhead: 40 });
        self.extra.push((Media::Video, true, w.finish().into()));
    }

    fn frame(&mut self, now: Instant) -> Bytes {
        let config = self.audio.as_ref().unwrap();
        let codec = codec(config.codec);
        let encoder = self
            .sound_encoder
            .get_or_insert_with(|| audio::encoder(codec, &OpusSettings::default()).unwrap());
        let start = self.samples;
        let (tone, flashes) = (self.tone, self.flashes);
        let frame: audio::Frame = std::array::from_fn(|i| {
            if let Some(said) = &self.said {
                return said.get(start as usize + i).map_or(0, |s| (s * 32_767.0) as i16);
            }
            let n = start + i as u64;
            let on = flashes
                .is_none_or(|every| n % (every.as_millis() as u64 * 48) < every.as_millis() as u64 * 5);
            let tone = tone.filter(|_| on);
            let t = n as f32 / 48_000.0;
            tone.map_or(0, |hz| (6000.0 * (std::f32::consts::TAU * hz * t).sin()) as i16)
        });
        self.samples += 960;
        let mut payload = Vec::new();
        encoder.encode(&frame, &mut payload).unwrap();
        let timestamp = (start * u64::from(self.sound.clock) / 48_000) as u32;
        let packet = self.sound.send(now, config.pt_send, false, timestamp, payload.into());
        bytes_of(&packet)
    }

    /// Packets of sound for that many ticks.
    pub fn record(&mut self, ticks: u64) -> Vec<Bytes> {
        let now = super::origin();
        (0..ticks).map(|n| self.frame(now + ms(20) * n as u32)).collect()
    }

    fn shoot(&mut self, now: Instant, out: &mut Vec<(Media, bool, Bytes)>) {
        let config = self.video.as_ref().unwrap();
        let (pt, mode) = (config.pt_send, config.mode);
        let (w, h) = self.size;
        let encoder = self.encoder.get_or_insert_with(|| {
            let mut s = encode::Settings::new(w, h, 25, 256);
            s.max_nal_bytes = (mode == Mode::Single).then_some(1100);
            encode::new(encode::Kind::OpenH264, s).unwrap()
        });
        let mut canvas = Canvas::new(w, h).unwrap();
        canvas.fill(self.colour);
        let since = now.saturating_duration_since(self.started.unwrap());
        let since = since.mul_f64(1.0 + self.ppm as f64 * 1e-6);
        if let Some(every) = self.flashes {
            let bright = since.as_millis() % every.as_millis() < every.as_millis() / 5;
            canvas.fill(if bright { Colour::WHITE } else { Colour::BLACK });
        }
        if self.moves {
            let planes = canvas.planes_mut();
            let [luma, _, _] = planes.data;
            let n = since.as_millis() as usize / 40;
            for (row, line) in luma.chunks_mut(planes.stride[0]).enumerate() {
                for (col, pixel) in line.iter_mut().enumerate() {
                    let x = col + 3 * n;
                    *pixel = (60 + (x * x / 97 + row * 31 / 7) % 120) as u8;
                }
            }
        }
        let ticks = (since.as_micros() * 90 / 1000) as u32;
        let encoded = encoder.encode(&canvas, i64::from(ticks), std::mem::take(&mut self.force_key)).unwrap();
        let mode = if mode == Mode::Single { h264::Mode::SingleNal } else { h264::Mode::NonInterleaved };
        self.slices.extend(slices(&encoded.nals));
        for payload in Packetizer::new(mode, 1100).packetize(&encoded.nals).payloads {
            let packet = self.picture.send(now, pt, payload.marker, ticks, payload.bytes);
            self.sent_video += 1;
            self.history.push(now, packet.clone());
            if self.lose_every.is_none_or(|n| !self.sent_video.is_multiple_of(n)) {
                out.push((Media::Video, false, bytes_of(&packet)));
            }
        }
    }

    pub fn receive(&mut self, now: Instant, port: Port, to: SocketAddr, data: Bytes) {
        if !self.received.to.contains(&to) {
            self.received.to.push(to);
        }
        if port.rtcp {
            for item in cau_rtp::rtcp::parse(&data).items {
                match item {
                    cau_rtp::rtcp::Item::Bye(_) => self.bye += 1,
                    cau_rtp::rtcp::Item::SenderReport { info, .. } => {
                        self.sender_reports += 1;
                        self.reports[usize::from(port.media == Media::Video)] = Some(info);
                    }
                    cau_rtp::rtcp::Item::Tmmbn { limits, .. } => {
                        self.limited.extend(limits.iter().map(|l| l.bitrate));
                    }
                    _ => {}
                }
            }
            let o = if port.media == Media::Audio { &mut self.sound } else { &mut self.picture };
            let notices = o.session.as_mut().map(|s| s.handle_rtcp(now, &data)).unwrap_or_default();
            for lost in
                notices.iter().filter_map(|n| if let Notice::Nack(lost) = n { Some(lost) } else { None })
            {
                self.repeated += lost.len() as u64;
                for packet in lost.iter().filter_map(|seq| self.history.again(*seq)) {
                    let packet = match self.video.as_ref().and_then(|v| v.rtx.as_ref()) {
                        Some(rtx) => self.rtx.wrap(&packet, rtx.pt_send),
                        None => packet,
                    };
                    self.extra.push((Media::Video, false, bytes_of(&packet)));
                }
            }
            self.told.extend(notices.iter().filter_map(|n| match n {
                Notice::Limit { bits, .. } => Some(*bits),
                _ => None,
            }));
            if notices.iter().any(|n| matches!(n, Notice::KeyFrame(_))) {
                self.asked += 1;
                self.force_key |= self.obeys;
            }
            return;
        }
        if self.blind {
            self.received.audio_packets += u64::from(port.media == Media::Audio);
            self.received.video_packets += u64::from(port.media == Media::Video);
            return;
        }
        let packet = Packet::parse(data.clone()).unwrap();
        match port.media {
            Media::Audio => {
                self.sound.session(now).receive(now, packet.clone());
                let kind = codec(self.audio.as_ref().unwrap().codec);
                if let Some(buffer) = &mut self.buffer {
                    buffer.insert(now, packet.clone());
                }
                self.received.sound(now, packet, kind, self.sound.clock);
            }
            Media::Video if self.lose_next > 0 => self.lose_next -= 1,
            Media::Video if packet.pt == 97 => {
                self.repairs += 1;
                let ssrc = self.received.ssrcs[0];
                self.received.repair(now, rtx::unwrap(packet, 96, ssrc).unwrap());
            }
            Media::Video => {
                self.picture.session(now).receive(now, packet.clone());
                self.received.video(now, packet, data.len());
                if self.video.as_ref().is_some_and(|v| v.feedback.nack) {
                    self.ask_again(now);
                }
            }
        }
    }

    /// Negotiates retransmission.
    pub fn with_nack(mut self) -> Self {
        self.video.as_mut().unwrap().feedback.nack = true;
        self
    }

    /// This packet gets lost on its way here.
    pub fn misses(&mut self, port: Port) -> bool {
        if port.media != Media::Video || port.rtcp {
            return false;
        }
        self.came += 1;
        self.miss_every.is_some_and(|n| self.came.is_multiple_of(n))
    }

    fn ask_again(&mut self, now: Instant) {
        let missing = self.received.missing();
        let ask = self.asker.poll(now, &missing, 0, Some(ms(20)));
        let ssrc = self.received.ssrcs.first().copied();
        if let Some(ssrc) = ssrc.filter(|_| !ask.is_empty()) {
            let mut w = cau_rtp::rtcp::Writer::new();
            w.receiver_report(99, &[]);
            w.nack(99, ssrc, &ask);
            self.extra.push((Media::Video, true, w.finish().into()));
        }
    }

    /// The last picture's colour at a point, Y, U, V.
    pub fn seen(&self, x: u32, y: u32) -> Option<(u8, u8, u8)> {
        self.received.pictures.last().map(|(_, picture)| at(picture, x, y))
    }
}

/// Hashes of the slices among NAL units.
pub fn slices(nals: &[Bytes]) -> Vec<u64> {
    let slices = nals.iter().filter(|n| matches!(n[0] & 0x1f, 1 | 5));
    slices
        .map(|n| {
            let mut hasher = DefaultHasher::new();
            n.hash(&mut hasher);
            hasher.finish()
        })
        .collect()
}

/// Colour of a picture at a point.
pub fn at(picture: &Picture, x: u32, y: u32) -> (u8, u8, u8) {
    let planes = picture.planes();
    let (cx, cy) = (x as usize / 2, y as usize / 2);
    (planes.row(0, y as usize)[x as usize], planes.row(1, cy)[cx], planes.row(2, cy)[cx])
}

/// Near enough after coding.
pub fn is(seen: (u8, u8, u8), colour: Colour) -> bool {
    seen.0.abs_diff(colour.y) < 12 && seen.1.abs_diff(colour.u) < 12 && seen.2.abs_diff(colour.v) < 12
}

impl Out {
    fn session(&mut self, now: Instant) -> &mut Session {
        let (clock_rate, seed) = (self.clock, self.seed);
        self.session.get_or_insert_with(|| {
            Session::new(
                now,
                session::Config {
                    clock_rate,
                    cname: format!("site{seed}"),
                    name: None,
                    kbps: 500,
                    reduced_size: false,
                    wall: (now, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
                    seed,
                },
            )
        })
    }

    fn send(&mut self, now: Instant, pt: u8, marker: bool, timestamp: u32, payload: Bytes) -> Packet {
        let csrc = self.csrc.clone();
        self.session(now)
            .send(now, Outgoing { pt, marker, source: 0, timestamp, csrc: &csrc, payload, origin: 0 })
    }

    pub fn ssrc(&self) -> Option<u32> {
        self.session.as_ref().map(|s| s.sender.ssrc())
    }
}

impl Endpoint {
    pub fn video_ssrc(&self) -> Option<u32> {
        self.picture.ssrc()
    }

    /// Its pictures are those of another, named so.
    pub fn stand_for(&mut self, csrc: u32) {
        self.picture.csrc = vec![csrc];
    }

    pub fn audio_ssrc(&self) -> Option<u32> {
        self.sound.ssrc()
    }
}

fn codec(codec: AudioCodec) -> Codec {
    match codec {
        AudioCodec::Opus { .. } => Codec::Opus,
        AudioCodec::G722 => Codec::G722,
        AudioCodec::Pcma => Codec::Pcma,
        AudioCodec::Pcmu => Codec::Pcmu,
    }
}

fn bytes_of(packet: &Packet) -> Bytes {
    let mut out = Vec::new();
    packet.write(&mut out);
    out.into()
}

impl Received {
    fn new() -> Self {
        Self {
            audio_packets: 0,
            video_packets: 0,
            largest: 0,
            fragments: 0,
            keys: Vec::new(),
            pictures: Vec::new(),
            slices: Vec::new(),
            broken: 0,
            ssrcs: Vec::new(),
            gaps: 0,
            back: 0,
            odd: 0,
            csrc: Vec::new(),
            audio_csrc: Vec::new(),
            pcm: Vec::new(),
            heard: Vec::new(),
            good: Vec::new(),
            hurt: false,
            lights: Vec::new(),
            to: Vec::new(),
            keep: false,
            last: [None; 2],
            depacketizer: Depacketizer::default(),
            decoder: Decoder::new(decode::Limits::default()).unwrap(),
            sound: None,
        }
    }

    /// Keeps every picture from now on, not only the last.
    pub fn keep_all(&mut self) {
        self.keep = true;
    }

    fn sound(&mut self, now: Instant, packet: Packet, kind: Codec, clock: u32) {
        self.audio_packets += 1;
        self.heard.push((now, packet.timestamp, self.pcm.len()));
        if let Some((seq, ts)) = self.last[0] {
            self.gaps += u64::from(packet.seq != seq.wrapping_add(1));
            self.odd += u64::from(packet.timestamp != ts.wrapping_add(clock / 50));
        }
        self.last[0] = Some((packet.seq, packet.timestamp));
        self.audio_csrc = packet.csrc.to_vec();
        let decoder = self.sound.get_or_insert_with(|| audio::decoder(kind).unwrap());
        decoder.decode(&packet.payload, &mut self.pcm).unwrap();
    }

    fn video(&mut self, now: Instant, packet: Packet, size: usize) {
        self.video_packets += 1;
        self.largest = self.largest.max(size);
        self.fragments += u64::from(packet.payload[0] & 0x1f == 28);
        if !self.ssrcs.contains(&packet.ssrc) {
            self.ssrcs.push(packet.ssrc);
        }
        if let Some((seq, ts)) = self.last[1] {
            self.gaps += u64::from(packet.seq != seq.wrapping_add(1));
            self.back += u64::from(packet.timestamp != ts && packet.timestamp.wrapping_sub(ts) > 1 << 31);
        }
        self.last[1] = Some((packet.seq, packet.timestamp));
        self.csrc = packet.csrc.to_vec();
        self.repair(now, packet);
    }

    fn repair(&mut self, now: Instant, packet: Packet) {
        self.depacketizer.insert(now, packet);
        let mut units = VecDeque::new();
        while let Some(event) = self.depacketizer.poll_event() {
            match event {
                h264::Event::Unit(unit) => units.push_back(unit),
                h264::Event::Lost(_) => {
                    self.broken += 1;
                    self.hurt = true;
                }
            }
        }
        for unit in units {
            if unit.key {
                self.keys.push(now);
                self.hurt = false;
            }
            self.slices.push((now, slices(&unit.nals)));
            match self.decoder.decode(&unit.nals, 0) {
                Ok(Some(d)) => {
                    self.broken += u64::from(d.damage != decode::Damage::None);
                    self.hurt |= d.damage != decode::Damage::None || unit.damaged;
                    if !self.hurt {
                        self.good.push(now);
                    }
                    let (width, height) = (d.picture.width(), d.picture.height());
                    let luma = at(&d.picture, width / 2, height / 2).0;
                    self.lights.push((now, unit.timestamp, luma));
                    if !self.keep {
                        self.pictures.clear();
                    }
                    self.pictures.push((now, d.picture));
                }
                Ok(None) => {}
                Err(_) => {
                    self.broken += 1;
                    self.hurt = true;
                }
            }
        }
    }

    /// Share of the time since `from` in which the picture stood for longer than 200 ms.
    pub fn stood(&self, from: Instant, to: Instant) -> f64 {
        let ends = [from].into_iter().chain(self.good.iter().copied().filter(|at| *at > from)).chain([to]);
        let ends: Vec<_> = ends.collect();
        let gaps = ends.windows(2).map(|w| w[1].saturating_duration_since(w[0]));
        let stood: Duration = gaps.filter(|gap| *gap > ms(200)).sum();
        stood.as_secs_f64() / to.saturating_duration_since(from).as_secs_f64()
    }

    /// The last sequence number of video.
    pub fn last_seq(&self) -> u16 {
        self.last[1].unwrap().0
    }

    /// Packets waited for.
    pub fn missing(&mut self) -> Vec<u16> {
        self.depacketizer.set_wait(ms(200), ms(200));
        self.depacketizer.missing(100)
    }

    /// Level of a tone in the last second received, dB of full scale.
    pub fn level_of(&self, hz: f32) -> f32 {
        let last = &self.pcm[self.pcm.len().saturating_sub(48_000)..];
        let (mut re, mut im) = (0.0f64, 0.0f64);
        for (i, s) in last.iter().enumerate() {
            let phase = std::f64::consts::TAU * f64::from(hz) * i as f64 / 48_000.0;
            // Hann window, so that neighbours do not leak in.
            let w = 1.0 - (std::f64::consts::TAU * i as f64 / last.len() as f64).cos();
            re += f64::from(*s) / 32768.0 * w * phase.cos();
            im += f64::from(*s) / 32768.0 * w * phase.sin();
        }
        let amplitude = 2.0 * (re * re + im * im).sqrt() / last.len() as f64;
        (20.0 * amplitude.max(1e-9).log10()) as f32
    }
}
