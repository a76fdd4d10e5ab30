//! RTP, RTCP and H.264 payloads.

use std::time::{Instant, SystemTime};

use bytes::Bytes;
use cau_rtp::{
    Packet, Session, dtmf,
    h264::{self, Depacketizer, Packetizer},
    jitter,
    keyframe::Ask,
    packet::{Class, classify},
    payload::{ComfortNoise, Format, opus_is_dtx, opus_ticks},
    rtcp,
    session::{Config, Notice},
    stream::Outgoing,
};
use smallvec::SmallVec;

use crate::{ms, records, start};

/// Most virtual steps of one input.
const STEPS: usize = 400;

/// One media line: session, jitter buffer and keys.
pub struct Line {
    now: Instant,
    session: Session,
    sound: jitter::Audio,
    keys: dtmf::Receiver,
}

impl Line {
    /// A new one.
    pub fn new(reduced_size: bool) -> Self {
        let now = start();
        let config = Config {
            clock_rate: 90_000,
            cname: "fuzz".into(),
            name: Some("Xã Hòa Phú".into()),
            kbps: 1_500,
            reduced_size,
            wall: (now, SystemTime::UNIX_EPOCH + ms(1_700_000_000_000)),
            seed: 7,
        };
        let formats = [(0, Format::Pcmu), (13, Format::ComfortNoise), (96, Format::Opus)];
        Self {
            now,
            session: Session::new(now, config),
            sound: jitter::Audio::new(jitter::Config::new(formats)),
            keys: dtmf::Receiver::default(),
        }
    }

    /// Datagrams, time and requests, in any order. A record of kind 0 is a datagram as it is classified by its first bytes, 1 RTP,
    /// 2 RTCP; the others ask, send, and let time pass.
    pub fn play(&mut self, data: &[u8]) {
        for (kind, record) in records(data).take(STEPS) {
            self.step(kind, record);
            while self.keys.poll().is_some() {}
            if let Some(report) = self.session.poll_rtcp(self.now) {
                assert!(report.len() < 1_500, "an RTCP datagram of {} bytes", report.len());
                let compound = rtcp::parse(&report);
                assert_eq!((compound.malformed, compound.skipped), (0, 0), "our own reports can be read");
            }
        }
    }

    fn step(&mut self, kind: u8, record: &[u8]) {
        let it = &mut self.session;
        match kind % 8 {
            0 => match classify(record) {
                Class::Rtp => self.rtp(record),
                Class::Rtcp => self.rtcp(record),
                _ => {}
            },
            1 => self.rtp(record),
            2 => self.rtcp(record),
            3 => {
                it.ask(if record.len().is_multiple_of(2) { Ask::Pli } else { Ask::Fir });
                it.nack(
                    &record.as_chunks::<2>().0.iter().map(|c| u16::from_be_bytes(*c)).collect::<Vec<_>>(),
                );
                it.limit(record.len() as u64 * 1_000);
            }
            4 => {
                let payload = Bytes::copy_from_slice(record);
                let timestamp = u32::from(record.first().copied().unwrap_or_default()) * 90;
                let out =
                    Outgoing { pt: 96, marker: true, source: 0, timestamp, csrc: &[], payload, origin: 0 };
                let packet = it.send(self.now, out);
                let mut bytes = Vec::new();
                packet.write(&mut bytes);
                assert_eq!(Packet::parse(bytes.into()).expect("what is written reads back"), packet);
            }
            _ => {
                self.now += ms(1 + record.len() as u64 * 10);
                self.keys.handle_timeout(self.now);
                let _ = self.sound.pull(self.now);
            }
        }
    }

    fn rtp(&mut self, record: &[u8]) {
        let Ok(packet) = Packet::parse(Bytes::copy_from_slice(record)) else { return };
        let _ =
            (ComfortNoise::parse(&packet.payload), opus_ticks(&packet.payload), opus_is_dtx(&packet.payload));
        self.keys.insert(self.now, &packet, 8_000);
        for packet in self.session.receive(self.now, packet) {
            self.sound.insert(self.now, packet);
        }
    }

    fn rtcp(&mut self, record: &[u8]) {
        let notices = self.session.handle_rtcp(self.now, record);
        assert!(notices.len() <= record.len(), "no more than was said");
        for notice in notices {
            if let Notice::Nack(lost) = notice {
                assert!(lost.len() <= record.len() * 17, "17 packets per four bytes at most");
            }
        }
    }
}

/// See [`Line::play`].
pub fn rtp_session(data: &[u8]) {
    let mut line = Line::new(data.first().is_some_and(|b| b & 1 == 1));
    line.play(data);
    let _ = line.session.goodbye(line.now);
}

/// The receiving end of one H.264 stream.
pub struct Stream {
    now: Instant,
    it: Depacketizer,
    seq: u16,
    timestamp: u32,
    ssrc: u32,
}

impl Default for Stream {
    fn default() -> Self {
        Self { now: start(), it: Depacketizer::default(), seq: 0, timestamp: 0, ssrc: 1 }
    }
}

impl Stream {
    /// Payloads, with gaps, repeats, other timestamps and sources as the kind says. What comes out as a whole picture is packed again
    /// and must come out the same.
    pub fn play(&mut self, data: &[u8]) {
        for (kind, record) in records(data).take(STEPS) {
            let marker = kind & 1 == 1;
            match kind >> 4 {
                0 => self.seq = self.seq.wrapping_add(2),
                1 => self.seq = self.seq.wrapping_sub(1),
                2 => self.ssrc = self.ssrc.wrapping_add(1),
                3 => self.seq = self.seq.wrapping_add(1_000),
                4 => self.it.out_of_band(&[Bytes::copy_from_slice(record)]),
                5 => {
                    self.now += ms(record.len() as u64);
                    self.it.handle_timeout(self.now);
                }
                _ => self.seq = self.seq.wrapping_add(1),
            }
            if kind & 2 == 2 {
                self.timestamp = self.timestamp.wrapping_add(3_000);
            }
            let payload = Bytes::copy_from_slice(record);
            let (seq, timestamp, ssrc) = (self.seq, self.timestamp, self.ssrc);
            let packet = Packet { pt: 96, marker, seq, timestamp, ssrc, csrc: SmallVec::new(), payload };
            self.it.insert(self.now, packet);
            while let Some(event) = self.it.poll_event() {
                if let h264::Event::Unit(unit) = event
                    && unit.nals.len() < 64
                {
                    again(self.now, &unit.nals);
                }
            }
        }
    }

    /// Lets all that waits come or be given up.
    ///
    /// # Panics
    /// When that does not end.
    pub fn end(&mut self) {
        for _ in 0..STEPS {
            let Some(next) = self.it.poll_timeout() else { return };
            self.now = self.now.max(next);
            self.it.handle_timeout(self.now);
            while self.it.poll_event().is_some() {}
        }
        panic!("time-outs without end");
    }
}

/// See [`Stream::play`].
pub fn h264(data: &[u8]) {
    let mut stream = Stream::default();
    stream.play(data);
    stream.end();
}

fn again(now: Instant, nals: &[Bytes]) {
    let packetized = Packetizer::new(h264::Mode::NonInterleaved, 200).packetize(nals);
    let mut it = Depacketizer::default();
    let count = packetized.payloads.len();
    for (n, payload) in packetized.payloads.into_iter().enumerate() {
        assert!(payload.bytes.len() <= 200, "{} bytes", payload.bytes.len());
        let marker = n + 1 == count;
        let seq = n as u16;
        let payload = payload.bytes;
        it.insert(now, Packet { pt: 96, marker, seq, timestamp: 0, ssrc: 1, csrc: SmallVec::new(), payload });
    }
    assert_eq!(it.counters().malformed, 0, "what is packed can be unpacked");
}
