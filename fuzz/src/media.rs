//! RTP, RTCP and H.264 payloads.

use std::time::{Instant, SystemTime};

use bytes::Bytes;
use cau_rtp::{
    Packet, Session, dtmf,
    h264::{self, Depacketizer, Packetizer},
    jitter, keyframe::Ask,
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

fn session(now: Instant, reduced_size: bool) -> Session {
    Session::new(
        now,
        Config {
            clock_rate: 90_000,
            cname: "fuzz".into(),
            name: Some("Xã Hòa Phú".into()),
            kbps: 1_500,
            reduced_size,
            wall: (now, SystemTime::UNIX_EPOCH + ms(1_700_000_000_000)),
            seed: 7,
        },
    )
}

/// Datagrams, time and requests for one media line, in any order. A record of kind 0 is a datagram as it is classified by its first
/// bytes, 1 RTP, 2 RTCP; the others ask, send, and let time pass.
pub fn rtp_session(data: &[u8]) {
    let mut now = start();
    let mut it = session(now, data.first().is_some_and(|b| b & 1 == 1));
    let mut sound = jitter::Audio::new(jitter::Config::new([(0, Format::Pcmu), (13, Format::ComfortNoise), (96, Format::Opus)]));
    let mut keys = dtmf::Receiver::default();
    for (kind, record) in records(data).take(STEPS) {
        match kind % 8 {
            0 => match classify(record) {
                Class::Rtp => rtp(&mut it, &mut sound, &mut keys, now, record),
                Class::Rtcp => rtcp(&mut it, now, record),
                _ => {}
            },
            1 => rtp(&mut it, &mut sound, &mut keys, now, record),
            2 => rtcp(&mut it, now, record),
            3 => {
                it.ask(if record.len() % 2 == 0 { Ask::Pli } else { Ask::Fir });
                it.nack(&record.as_chunks::<2>().0.iter().map(|c| u16::from_be_bytes(*c)).collect::<Vec<_>>());
                it.limit(record.len() as u64 * 1_000);
            }
            4 => {
                let payload = Bytes::copy_from_slice(record);
                let timestamp = u32::from(record.first().copied().unwrap_or_default()) * 90;
                let out = Outgoing { pt: 96, marker: true, source: 0, timestamp, csrc: &[], payload, origin: 0 };
                let packet = it.send(now, out);
                let mut bytes = Vec::new();
                packet.write(&mut bytes);
                assert_eq!(Packet::parse(bytes.into()).expect("what is written reads back"), packet);
            }
            _ => {
                now += ms(1 + record.len() as u64 * 10);
                keys.handle_timeout(now);
                let _ = sound.pull(now);
            }
        }
        while keys.poll().is_some() {}
        if let Some(report) = it.poll_rtcp(now) {
            assert!(report.len() < 1_500, "an RTCP datagram of {} bytes", report.len());
            let compound = rtcp::parse(&report);
            assert_eq!((compound.malformed, compound.skipped), (0, 0), "our own reports can be read");
        }
    }
    let _ = it.goodbye(now);
}

fn rtp(
    it: &mut Session,
    sound: &mut jitter::Audio,
    keys: &mut dtmf::Receiver,
    now: Instant,
    record: &[u8],
) {
    let Ok(packet) = Packet::parse(Bytes::copy_from_slice(record)) else { return };
    let _ = (ComfortNoise::parse(&packet.payload), opus_ticks(&packet.payload), opus_is_dtx(&packet.payload));
    keys.insert(now, &packet, 8_000);
    for packet in it.receive(now, packet) {
        sound.insert(now, packet);
    }
}

fn rtcp(it: &mut Session, now: Instant, record: &[u8]) {
    let notices = it.handle_rtcp(now, record);
    assert!(notices.len() <= record.len(), "no more than was said");
    for notice in notices {
        if let Notice::Nack(lost) = notice {
            assert!(lost.len() <= record.len() * 17, "17 packets per four bytes at most");
        }
    }
}

/// Packets of one H.264 stream: payloads, with gaps, repeats, other timestamps and sources as the kind says. What comes out as a whole
/// picture is packed again both ways and must come out the same.
pub fn h264(data: &[u8]) {
    let mut now = start();
    let mut it = Depacketizer::default();
    let (mut seq, mut timestamp, mut ssrc) = (0u16, 0u32, 1u32);
    for (kind, record) in records(data).take(STEPS) {
        let marker = kind & 1 == 1;
        match kind >> 4 {
            0 => seq = seq.wrapping_add(2),
            1 => seq = seq.wrapping_sub(1),
            2 => ssrc = ssrc.wrapping_add(1),
            3 => seq = seq.wrapping_add(1_000),
            4 => it.out_of_band(&[Bytes::copy_from_slice(record)]),
            5 => {
                now += ms(record.len() as u64);
                it.handle_timeout(now);
            }
            _ => seq = seq.wrapping_add(1),
        }
        if kind & 2 == 2 {
            timestamp = timestamp.wrapping_add(3_000);
        }
        let payload = Bytes::copy_from_slice(record);
        it.insert(now, Packet { pt: 96, marker, seq, timestamp, ssrc, csrc: SmallVec::new(), payload });
        while let Some(event) = it.poll_event() {
            if let h264::Event::Unit(unit) = event
                && unit.nals.len() < 64
            {
                again(now, &unit.nals);
            }
        }
    }
    for _ in 0..STEPS {
        let Some(next) = it.poll_timeout() else { return };
        now = now.max(next);
        it.handle_timeout(now);
        while it.poll_event().is_some() {}
    }
    panic!("time-outs without end");
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
