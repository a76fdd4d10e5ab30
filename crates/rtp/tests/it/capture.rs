//! A browser's stream as it was captured, and real clips through the packets and back.

use crate::common::{MS, own, packet, shared, start};
use crate::h264::{SSRC, events, units};
use bytes::Bytes;
use cau_rtp::Packet;
use cau_rtp::h264::nal::{SliceHead, is_slice, kind_of, split_annex_b};
use cau_rtp::h264::{Depacketizer, Mode, Packetizer};
use cau_rtp::stream::Receiver;
use std::collections::BTreeSet;
use std::time::Duration;

/// UDP payloads of a little-endian pcap file of Ethernet and IPv4.
fn pcap(bytes: &Bytes) -> Vec<Bytes> {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    assert_eq!((word(0), word(20)), (0xa1b2_c3d4, 1));
    let (mut at, mut out) = (24, Vec::new());
    while at + 16 <= bytes.len() {
        let len = word(at + 8) as usize;
        let frame = bytes.slice(at + 16..at + 16 + len);
        let udp = 14 + 4 * usize::from(frame[14] & 15);
        let end = udp + usize::from(u16::from_be_bytes([frame[udp + 4], frame[udp + 5]]));
        out.push(frame.slice(udp + 8..end));
        at += 16 + len;
    }
    out
}

#[test]
fn a_browsers_stream_gives_its_pictures_but_those_that_were_hurt() {
    let file = Bytes::from(std::fs::read(own("str0m-h264.pcap")).expect("test data"));
    let (mut r, mut d) = (Receiver::new(90_000), Depacketizer::default());
    let (mut got, mut pictures, mut first, t0) = (Vec::new(), BTreeSet::new(), None, start());
    for datagram in pcap(&file) {
        let p = Packet::parse(datagram).expect("RTP");
        pictures.insert(p.timestamp);
        // The file's times are those of its making; the timestamps tell when it was sent.
        let ticks = p.timestamp.wrapping_sub(*first.get_or_insert(p.timestamp));
        let now = t0 + Duration::from_micros(u64::from(ticks) * 100 / 9);
        d.handle_timeout(now);
        for p in r.insert(now, p) {
            d.insert(now, p);
        }
        got.extend(units(events(&mut d)));
    }
    d.handle_timeout(t0 + Duration::from_secs(3_600));
    got.extend(units(events(&mut d)));
    assert_eq!(d.counters().malformed, 1, "one aggregate in the file is cut off");
    assert_eq!(d.counters().lost, 3, "three packets are missing in the file, each half of a picture");
    assert_eq!((got.len(), got.iter().filter(|u| u.damaged).count()), (pictures.len() - 4, 0));
    assert!(got[0].key && got.iter().filter(|u| u.key).count() >= 3);
    assert_eq!(d.sps().map(|s| s.profile), Some(66));
}

/// A clip cut into pictures: a slice with first macroblock 0 begins one.
pub fn clip(file: &str) -> Option<Vec<Vec<Bytes>>> {
    let stream = shared(&format!("media/openh264-res/{file}"))?;
    let mut pictures: Vec<Vec<Bytes>> = vec![Vec::new()];
    let mut sliced = false;
    for nal in split_annex_b(&stream) {
        let slice = kind_of(&nal).is_some_and(is_slice);
        let begins = if slice { SliceHead::parse(&nal).is_some_and(|h| h.first_mb == 0) } else { true };
        if sliced && begins {
            pictures.push(Vec::new());
            sliced = false;
        }
        sliced |= slice;
        pictures.last_mut().expect("one").push(nal);
    }
    Some(pictures.into_iter().filter(|p| p.iter().any(|n| kind_of(n).is_some_and(is_slice))).collect())
}

#[test]
fn clips_come_through_bit_by_bit() {
    for file in [
        "BA_MW_D.264",
        "Zhling_1280x720.264",
        "SVA_BA1_B.264",
        "test_cif_P_CABAC_slice.264",
        "NL1_Sony_D.jsv",
    ] {
        let Some(pictures) = clip(file) else { return };
        let (packetizer, mut d) = (Packetizer::new(Mode::NonInterleaved, 1_200), Depacketizer::default());
        let (now, mut seq, mut got) = (start(), 0u16, Vec::new());
        for (i, nals) in pictures.iter().enumerate() {
            for p in packetizer.packetize(nals).payloads {
                d.insert(
                    now + 33 * MS * i as u32,
                    packet(96, seq, 3_000 * i as u32, SSRC, p.marker, &p.bytes),
                );
                seq = seq.wrapping_add(1);
            }
            got.extend(units(events(&mut d)));
        }
        assert_eq!(got.len(), pictures.len(), "{file}");
        for (unit, nals) in got.iter().zip(&pictures) {
            let slices = |list: &[Bytes]| {
                list.iter().filter(|n| kind_of(n).is_some_and(is_slice)).cloned().collect::<Vec<_>>()
            };
            assert!(!unit.damaged && slices(&unit.nals) == slices(nals), "{file}");
        }
        assert!(got[0].key, "{file}");
    }
}
