//! What a leg hears itself say: jitter buffer, decoder, and exactly 20 ms per tick.

use std::time::{Duration, Instant};

use cau_codec::audio::{self, Codec, Decode};
use cau_rtp::{
    Packet,
    jitter::{self, Pull},
    payload::Format,
};

use crate::{
    command::{AudioCodec, AudioLeg},
    dropped::{Dropped, Told},
    sound::{FRAME, Frame},
};

/// Decoded sound kept at most: what a packet of 120 ms and the concealment before it make.
const DECODED: usize = 12 * FRAME;
/// Samples per second.
const RATE: u128 = 48_000;
/// Samples per millisecond.
const STRETCH: i64 = 48;

/// Received sound of one leg.
pub struct Playout {
    formats: Vec<(u8, AudioCodec)>,
    buffer: jitter::Audio,
    /// The decoder in use, with its payload type.
    decoder: Option<(u8, Box<dyn Decode>)>,
    /// Decoded and not yet taken.
    samples: Vec<i16>,
    /// The last one taken.
    last: i16,
    /// There was something to hear in what was decoded last.
    sounds: bool,
    noise: Noise,
    errors: u64,
    told: Told,
}

impl Playout {
    /// For what was negotiated.
    pub fn new(leg: &AudioLeg) -> Self {
        let formats = leg.pt_recv.iter().map(|(pt, codec)| (*pt, format(*codec)));
        let noise = leg.comfort_noise.map(|pt| (pt, Format::ComfortNoise));
        Self {
            formats: leg.pt_recv.clone(),
            buffer: jitter::Audio::new(jitter::Config::new(formats.chain(noise))),
            decoder: None,
            samples: Vec::new(),
            last: 0,
            sounds: false,
            noise: Noise::default(),
            errors: 0,
            told: Told::default(),
        }
    }

    /// Takes a packet.
    pub fn insert(&mut self, now: Instant, packet: Packet) {
        self.buffer.insert(now, packet);
    }

    /// The codec that came last.
    pub fn codec(&self) -> Option<AudioCodec> {
        let (pt, _) = self.decoder.as_ref()?;
        self.formats.iter().find(|(p, _)| p == pt).map(|(_, c)| *c)
    }

    /// Another source: the past is no guide any more.
    pub fn reset(&mut self) {
        if let Some((_, decoder)) = &mut self.decoder {
            decoder.reset();
        }
    }

    /// Whether what was played last was a pause.
    pub fn quiet(&mut self, quiet: bool) {
        self.buffer.quiet(quiet);
    }

    /// Mean time from a packet's coming to its playing, once something was played.
    pub fn wait(&self) -> Option<Duration> {
        (self.buffer.counters().played > 0).then(|| self.buffer.stats().delay)
    }

    /// What the jitter buffer dropped since the last call.
    pub fn take_dropped(&mut self) -> Dropped {
        let it = self.buffer.counters();
        self.told.news(Dropped {
            duplicate: it.duplicate,
            late: it.late,
            overflow: it.overflow,
            shortened: it.shortened,
            payload: it.malformed + it.unknown_type,
            ..Dropped::default()
        })
    }

    /// Errors of the decoder since the last call.
    pub fn take_errors(&mut self) -> u64 {
        std::mem::take(&mut self.errors)
    }

    /// The next 20 ms into `frame`; false when there is nothing to hear. With `discard` packets are taken and not decoded.
    pub fn pull(&mut self, now: Instant, frame: &mut Frame, discard: bool) -> bool {
        let pieces = self.buffer.pull(now);
        if discard {
            self.samples.clear();
            return false;
        }
        // What the pieces before have left over is heard, too: a packet may last several frames, and a stretched one leaves a rest.
        let mut sound = self.sounds && !self.samples.is_empty();
        for piece in pieces {
            self.sounds = self.play(piece);
            sound |= self.sounds;
        }
        let surplus = self.samples.len().saturating_sub(DECODED);
        self.samples.drain(..surplus);
        if self.samples.is_empty() {
            return false;
        }
        // Faster or slower by some samples, while there is sound.
        let wanted = FRAME.saturating_add_signed((self.buffer.stretch() * STRETCH / 1000) as isize);
        let count = self.samples.len().min(wanted);
        if wanted != FRAME && count == wanted {
            stretch(self.last, &self.samples, wanted, frame);
        } else {
            for (to, from) in frame.iter_mut().zip(&self.samples) {
                *to = f32::from(*from) / 32_768.0;
            }
            frame.iter_mut().skip(count).for_each(|s| *s = 0.0);
        }
        self.last = count.checked_sub(1).and_then(|i| self.samples.get(i)).copied().unwrap_or(0);
        self.samples.drain(..count);
        sound
    }

    /// Decodes one piece behind what is there; true when there was something to hear.
    fn play(&mut self, piece: Pull) -> bool {
        match piece {
            Pull::Packet(packet) => self.decode(&packet),
            Pull::Lost { duration, next } => {
                let count = samples(duration);
                match (&mut self.decoder, next) {
                    (Some((pt, decoder)), Some(next)) if next.pt == *pt => {
                        decoder.recover(&next.payload, count, &mut self.samples);
                    }
                    (Some((_, decoder)), _) => decoder.conceal(count, &mut self.samples),
                    (None, _) => silence(count, &mut self.samples),
                }
                true
            }
            Pull::Silence { duration, noise } => {
                let count = samples(duration);
                match noise {
                    Some(level) => self.noise.make(level, count, &mut self.samples),
                    None => silence(count, &mut self.samples),
                }
                noise.is_some()
            }
        }
    }

    fn decode(&mut self, packet: &Packet) -> bool {
        if self.decoder.as_ref().is_none_or(|(pt, _)| *pt != packet.pt) {
            let Some((_, codec)) = self.formats.iter().find(|(pt, _)| *pt == packet.pt) else { return false };
            match audio::decoder(kind(*codec)) {
                Ok(decoder) => self.decoder = Some((packet.pt, decoder)),
                Err(e) => {
                    tracing::error!("no sound decoder: {e}");
                    self.errors += 1;
                    return false;
                }
            }
        }
        let Some((_, decoder)) = &mut self.decoder else { return false };
        if decoder.decode(&packet.payload, &mut self.samples).is_err() {
            self.errors += 1;
            decoder.conceal(FRAME, &mut self.samples);
        }
        true
    }
}

/// The first `count` samples in the time of a frame, by cubic interpolation (Catmull–Rom); `before`: the sample before them. It begins and ends
/// between whole samples, so frames before and after join it as they are.
fn stretch(before: i16, samples: &[i16], count: usize, frame: &mut Frame) {
    let sample = |i: usize| {
        f32::from(i.checked_sub(1).map_or(Some(&before), |i| samples.get(i)).copied().unwrap_or(0))
    };
    let at = |i: usize| {
        let beyond = i.saturating_sub(samples.len());
        let value = if beyond == 0 {
            sample(i)
        } else {
            // Not there yet: goes on as straight as it was.
            let last = sample(samples.len());
            last + (last - sample(samples.len().saturating_sub(1))) * beyond as f32
        };
        value / 32_768.0
    };
    for (i, to) in frame.iter_mut().enumerate() {
        let (whole, part) = (i * count / FRAME, (i * count % FRAME) as f32 / FRAME as f32);
        let [a, b, c, d] = [at(whole), at(whole + 1), at(whole + 2), at(whole + 3)];
        let slope = c - a;
        let bend = 2.0 * a - 5.0 * b + 4.0 * c - d;
        let twist = 3.0 * (b - c) + d - a;
        *to = b + 0.5 * part * (slope + part * (bend + part * twist));
    }
}

fn silence(count: usize, out: &mut Vec<i16>) {
    out.resize(out.len() + count, 0);
}

fn samples(duration: Duration) -> usize {
    usize::try_from(duration.as_nanos() * RATE / 1_000_000_000).unwrap_or(FRAME).min(DECODED)
}

fn format(codec: AudioCodec) -> Format {
    match codec {
        AudioCodec::Opus { .. } => Format::Opus,
        AudioCodec::G722 => Format::G722,
        AudioCodec::Pcma => Format::Pcma,
        AudioCodec::Pcmu => Format::Pcmu,
    }
}

fn kind(codec: AudioCodec) -> Codec {
    match codec {
        AudioCodec::Opus { .. } => Codec::Opus,
        AudioCodec::G722 => Codec::G722,
        AudioCodec::Pcma => Codec::Pcma,
        AudioCodec::Pcmu => Codec::Pcmu,
    }
}

/// White noise of the level a sender names (RFC 3389); its spectrum is left out: at these levels it is hardly to be told.
#[derive(Debug)]
struct Noise(u32);

impl Default for Noise {
    fn default() -> Self {
        Self(0x2545_f491)
    }
}

impl Noise {
    fn make(&mut self, level: u8, count: usize, out: &mut Vec<i16>) {
        // Uniform noise of amplitude a has the power a²/3.
        let amplitude = 32_768.0 * 10f32.powf(-f32::from(level) / 20.0) * 3f32.sqrt();
        out.extend((0..count).map(|_| {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 17;
            self.0 ^= self.0 << 5;
            (amplitude * (self.0 as f32 / u32::MAX as f32 * 2.0 - 1.0)) as i16
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Stream;

    #[test]
    fn long_packets_are_heard_to_their_end() {
        for packet_ms in [20u16, 40, 60, 100] {
            let heard = heard_of_ten_seconds(packet_ms);
            assert!(heard >= 490, "{packet_ms} ms: {heard} frames of 500 heard");
        }
    }

    /// Frames with something to hear in the ten seconds after the first half second of A-law packets of that length.
    fn heard_of_ten_seconds(packet_ms: u16) -> usize {
        let address = "192.0.2.1:4000".parse().unwrap();
        let stream = Stream {
            remote: address,
            remote_rtcp: address,
            peer: address.ip(),
            rtcp_mux: false,
            send: true,
            recv: true,
        };
        let mut playout = Playout::new(&AudioLeg {
            stream,
            codec: AudioCodec::Pcma,
            pt_send: 8,
            pt_recv: vec![(8, AudioCodec::Pcma)],
            dtmf: Vec::new(),
            comfort_noise: None,
            max_kbps: None,
        });
        #[expect(clippy::disallowed_methods, reason = "an arbitrary origin of virtual time")]
        let start = Instant::now();
        let (mut heard, mut frame) = (0, [0.0; FRAME]);
        for tick in 0..525u16 {
            let (ms, now) = (tick * 20, start + Duration::from_millis(u64::from(tick) * 20));
            if ms % packet_ms == 0 {
                let mut data = vec![0x80, 8];
                data.extend((ms / packet_ms).to_be_bytes());
                data.extend((u32::from(ms) * 8).to_be_bytes());
                data.extend([0, 0, 0, 1]);
                data.extend((0..packet_ms * 8).map(|i| if i % 8 < 4 { 0x20 } else { 0xa0 }));
                playout.insert(now, Packet::parse(data.into()).unwrap());
            }
            let sound = playout.pull(now, &mut frame, false);
            assert_eq!(sound, frame.iter().any(|s| s.abs() > 0.01), "what is said to be sound can be heard");
            heard += usize::from(sound && tick >= 25);
        }
        heard
    }

    #[test]
    fn a_tone_played_faster_and_slower_stays_a_tone_without_a_joint() {
        for (hz, worst) in [(200.0, 0.002), (1000.0, 0.01), (3000.0, 0.08)] {
            let tone = |n: f32| 0.5 * (std::f32::consts::TAU * hz * n / 48_000.0).sin();
            let samples: Vec<i16> = (0..8000).map(|n| (tone(n as f32) * 32_767.0) as i16).collect();
            let (mut at, mut position) = (1usize, 1.0f32);
            for count in [960usize, 966, 966, 954, 984, 936, 960] {
                let mut frame = [0.0; FRAME];
                stretch(samples[at - 1], &samples[at..], count, &mut frame);
                for sample in frame {
                    let wanted = tone(position);
                    assert!((sample - wanted).abs() < worst, "{hz} Hz at {position}: {sample} for {wanted}");
                    position += count as f32 / FRAME as f32;
                }
                at += count;
                position = at as f32;
            }
        }
    }
}
