use crate::common::{MS, packet, start};
use bytes::Bytes;
use cau_rtp::Packet;
use cau_rtp::h264::{Config, Depacketizer, Event, Mode, Packetizer, Unit};
use proptest::prelude::*;
use std::time::Instant;

pub const SSRC: u32 = 0x264;

/// 640×360 baseline, from a real encoder; CAVLC, one slice group.
pub const SPS: &[u8] =
    &[0x67, 0x42, 0xc0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0x17, 0xfc, 0xb0, 0x0f, 0x08, 0x84, 0x6a];
pub const PPS: &[u8] = &[0x68, 0xce, 0x3c, 0x80];

/// A slice: `first` says whether it begins the picture.
pub fn slice(idr: bool, first: bool, fill: u8, len: usize) -> Bytes {
    let head = if idr { 0x65 } else { 0x61 };
    // first_mb 0 is "1", 2 is "011"; slice type 7 (I) "0001000", 5 (P) "00110"; pps 0 "1".
    let body = match (first, idr) {
        (true, true) => [0b1000_1000, 0b1000_0000],
        (true, false) => [0b1001_1010, 0b0000_0000],
        (false, true) => [0b0110_0010, 0b0010_0000],
        (false, false) => [0b0110_0110, 0b1000_0000],
    };
    let mut nal = vec![head, body[0], body[1] | 0x1f];
    nal.resize(len.max(4), fill | 1);
    nal.into()
}

pub fn packets(mode: Mode, seq: u16, timestamp: u32, nals: &[Bytes]) -> Vec<Packet> {
    let made = Packetizer::new(mode, 300).packetize(nals);
    assert_eq!(made.left_out, 0);
    made.payloads
        .into_iter()
        .enumerate()
        .map(|(i, p)| packet(96, seq.wrapping_add(i as u16), timestamp, SSRC, p.marker, &p.bytes))
        .collect()
}

pub fn events(d: &mut Depacketizer) -> Vec<Event> {
    std::iter::from_fn(|| d.poll_event()).collect()
}

pub fn units(events: Vec<Event>) -> Vec<Unit> {
    events
        .into_iter()
        .filter_map(|e| match e {
            Event::Unit(u) => Some(u),
            Event::Lost(_) => None,
        })
        .collect()
}

fn all(d: &mut Depacketizer, now: Instant, packets: impl IntoIterator<Item = Packet>) -> Vec<Unit> {
    for p in packets {
        d.insert(now, p);
    }
    units(events(d))
}

fn key() -> Vec<Bytes> {
    vec![Bytes::from_static(SPS), Bytes::from_static(PPS), slice(true, true, 9, 1_000)]
}

#[test]
fn a_key_frame_comes_back_whole_in_both_modes() {
    let now = start();
    let small: Vec<Bytes> = vec![
        Bytes::from_static(SPS),
        Bytes::from_static(PPS),
        slice(true, true, 1, 280),
        slice(true, false, 2, 290),
    ];
    for (mode, nals) in [(Mode::NonInterleaved, key()), (Mode::SingleNal, small)] {
        let got = all(&mut Depacketizer::default(), now, packets(mode, 65_534, 7, &nals));
        assert_eq!(got.len(), 1);
        assert!(got[0].key && !got[0].damaged && got[0].nals == nals && got[0].timestamp == 7);
    }
}

#[test]
fn aggregated_parameter_sets_are_taken_apart() {
    let now = start();
    let made = Packetizer::new(Mode::NonInterleaved, 300).aggregate(true).packetize(&key());
    assert_eq!(made.payloads[0].bytes[0], 0x78, "STAP-A with the importance of its units");
    let got = all(
        &mut Depacketizer::default(),
        now,
        made.payloads.iter().enumerate().map(|(i, p)| packet(96, i as u16, 0, SSRC, p.marker, &p.bytes)),
    );
    assert_eq!(got[0].nals, key());
}

#[test]
fn a_device_that_forgets_the_marker_is_read_by_its_timestamps() {
    let t0 = start();
    let mut d = Depacketizer::default();
    let mut got = Vec::new();
    let mut seq = 0;
    for i in 0..10u32 {
        let nals = if i == 0 { key() } else { vec![slice(false, true, 1, 500)] };
        for mut p in packets(Mode::NonInterleaved, seq, i * 3_600, &nals) {
            p.marker = false;
            d.insert(t0 + 40 * MS * i, p);
            seq += 1;
        }
        got.extend(units(events(&mut d)));
    }
    assert_eq!(got.len(), 9, "the last one waits for the next");
    assert!(got.iter().all(|u| !u.damaged));
    // ... but not for ever.
    let at = d.poll_timeout().expect("a time-out");
    assert_eq!(at, t0 + 40 * MS * 9 + 40 * MS);
    d.handle_timeout(at);
    assert_eq!(units(events(&mut d)).len(), 1);
    assert_eq!(d.counters().unmarked, 9);
}

#[test]
fn a_device_that_marks_every_packet_is_found_out() {
    let t0 = start();
    let mut d = Depacketizer::default();
    let mut seq = 0;
    let mut whole = 0;
    for i in 0..10u32 {
        for n in 0..3 {
            let nal = slice(i == 0, n == 0, 1, 100);
            d.insert(t0 + 40 * MS * i, packet(96, seq, i * 3_600, SSRC, true, &nal));
            seq += 1;
        }
        let now = t0 + 40 * MS * i + 20 * MS;
        if d.poll_timeout().is_some_and(|at| at <= now) {
            d.handle_timeout(now);
        }
        whole += units(events(&mut d)).iter().filter(|u| u.nals.len() == 3 && !u.damaged).count();
    }
    assert!(whole >= 9, "{whole}");
    assert_eq!(d.counters().early_markers, 1);
}

#[test]
fn parameter_sets_alone_with_a_marker_go_before_the_next_picture() {
    let now = start();
    let mut d = Depacketizer::default();
    let mut seq = 0..;
    let mut p = |ts, nal: &[u8]| packet(96, seq.next().expect("seq"), ts, SSRC, true, nal);
    assert!(all(&mut d, now, [p(0, SPS), p(0, PPS)]).is_empty());
    let idr = slice(true, true, 1, 50);
    let got = all(&mut d, now, [p(0, &idr)]);
    assert_eq!(got[0].nals, [Bytes::from_static(SPS), Bytes::from_static(PPS), idr.clone()]);
    assert!(got[0].key);
    // Again without sets: they are remembered.
    let got = all(&mut d, now, [p(3_600, &idr)]);
    assert_eq!(got[0].nals.len(), 3);
    // Changed sets in the middle of the stream reach the decoder with a picture that is no key frame.
    let mut changed = PPS.to_vec();
    changed.push(0x80);
    let got = all(&mut d, now, [p(7_200, &changed), p(7_200, &slice(false, true, 1, 50))]);
    assert_eq!(got[0].nals[0], changed);
    assert!(!got[0].key);
}

#[test]
fn sets_from_the_description_serve_until_others_come() {
    let now = start();
    let mut d = Depacketizer::default();
    d.out_of_band(&[Bytes::from_static(SPS), Bytes::from_static(PPS)]);
    assert_eq!(d.sps().map(|s| (s.width, s.height)), Some((640, 360)));
    let got = all(&mut d, now, [packet(96, 1, 0, SSRC, true, &slice(true, true, 1, 50))]);
    assert!(got[0].key && got[0].nals.len() == 3);
}

#[test]
fn an_idr_without_any_sets_is_no_key_frame() {
    let now = start();
    let mut d = Depacketizer::default();
    let got = all(&mut d, now, [packet(96, 1, 0, SSRC, true, &slice(true, true, 1, 50))]);
    assert!(!got[0].key);
    assert_eq!(d.counters().parameterless, 1);
}

#[test]
fn reordered_packets_are_put_right_without_waiting_for_more() {
    let now = start();
    let mut d = Depacketizer::default();
    let mut list = packets(Mode::NonInterleaved, 100, 0, &key());
    d.insert(now, list.remove(0));
    list.reverse();
    let got = all(&mut d, now, list);
    assert!(got.len() == 1 && !got[0].damaged && got[0].nals == key());
    assert_eq!(d.poll_timeout(), None);
}

#[test]
fn a_lost_packet_is_waited_for_and_then_given_up() {
    let t0 = start();
    let mut d = Depacketizer::default();
    let mut list = packets(Mode::NonInterleaved, 100, 0, &key());
    list.remove(3);
    assert!(all(&mut d, t0, list).is_empty());
    let at = d.poll_timeout().expect("a time-out");
    assert_eq!(at, t0 + 20 * MS);
    d.handle_timeout(at - MS);
    assert!(events(&mut d).is_empty());
    d.handle_timeout(at);
    let e = events(&mut d);
    assert!(matches!(e[0], Event::Lost(l) if l.packets == 1 && l.at == at));
    // The slice missed its middle and is gone; no picture without slices comes out.
    assert_eq!(e.len(), 1);
}

#[test]
fn one_lost_slice_of_several_gives_a_damaged_picture() {
    let t0 = start();
    let mut d = Depacketizer::default();
    let nals = [slice(false, true, 1, 100), slice(false, false, 2, 100), slice(false, false, 3, 100)];
    let mut list = packets(Mode::SingleNal, 5, 0, &nals);
    list.remove(1);
    assert!(all(&mut d, t0, list).is_empty());
    d.handle_timeout(t0 + 20 * MS);
    let got = units(events(&mut d));
    assert!(got.len() == 1 && got[0].damaged && got[0].nals.len() == 2);
}

#[test]
fn a_lost_last_packet_damages_only_its_own_picture() {
    let t0 = start();
    let mut d = Depacketizer::default();
    let a = packets(Mode::SingleNal, 0, 0, &[slice(false, true, 1, 100), slice(false, false, 1, 100)]);
    let b = packets(Mode::SingleNal, 2, 3_600, &[slice(false, true, 1, 100), slice(false, false, 1, 100)]);
    d.insert(t0, a[0].clone());
    let mut got = all(&mut d, t0 + 33 * MS, b);
    d.handle_timeout(t0 + 60 * MS);
    got.extend(units(events(&mut d)));
    assert_eq!(got.iter().map(|u| (u.timestamp, u.damaged)).collect::<Vec<_>>(), [(0, true), (3_600, false)]);
}

#[test]
fn a_whole_lost_picture_damages_no_other() {
    let t0 = start();
    let mut d = Depacketizer::default();
    let p = |seq, ts| packet(96, seq, ts, SSRC, true, &slice(false, true, 1, 100));
    let mut got = all(&mut d, t0, [p(1, 0), p(3, 7_200)]);
    d.handle_timeout(t0 + 20 * MS);
    let e = events(&mut d);
    assert!(matches!(e[0], Event::Lost(l) if l.packets == 1));
    got.extend(units(e));
    assert!(got.len() == 2 && got.iter().all(|u| !u.damaged));
}

#[test]
fn a_lost_beginning_is_noticed_by_its_slices() {
    let t0 = start();
    let mut d = Depacketizer::default();
    let mut got = all(&mut d, t0, packets(Mode::SingleNal, 0, 0, &[slice(false, true, 1, 100)]));
    let next = packets(Mode::SingleNal, 1, 3_600, &[slice(false, true, 1, 100), slice(false, false, 1, 100)]);
    got.extend(all(&mut d, t0, [next[1].clone()]));
    d.handle_timeout(t0 + 20 * MS);
    got.extend(units(events(&mut d)));
    assert_eq!(got.iter().map(|u| u.damaged).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn joining_in_the_middle_of_a_picture_gives_a_damaged_one() {
    let got = all(
        &mut Depacketizer::default(),
        start(),
        [packet(96, 9, 0, SSRC, true, &slice(false, false, 1, 100))],
    );
    assert!(got[0].damaged);
    let got =
        all(&mut Depacketizer::default(), start(), packets(Mode::NonInterleaved, 0, 0, &key()).split_off(4));
    assert!(got.is_empty());
}

#[test]
fn waiting_grows_with_the_lateness_seen_and_stays_bounded() {
    let t0 = start();
    let mut d = Depacketizer::default();
    let p = |seq: u16| packet(96, seq, u32::from(seq) * 3_600, SSRC, true, &slice(false, true, 1, 100));
    d.insert(t0, p(0));
    d.insert(t0 + 33 * MS, p(2));
    d.handle_timeout(t0 + 53 * MS);
    d.insert(t0 + 65 * MS, p(1)); // 32 ms after the gap was seen
    assert_eq!(d.wait(), 40 * MS);
    d.insert(t0 + 100 * MS, p(4));
    d.handle_timeout(t0 + 140 * MS);
    d.insert(t0 + 170 * MS, p(3));
    assert_eq!(d.wait(), 60 * MS);
    assert_eq!(d.counters().late, 2);
    // The next late one comes in time.
    events(&mut d);
    d.insert(t0 + 200 * MS, p(6));
    d.insert(t0 + 250 * MS, p(5));
    assert_eq!(units(events(&mut d)).len(), 2);
}

#[test]
fn a_change_of_ssrc_begins_anew_with_the_new_sources_sets_only() {
    let t0 = start();
    let mut d = Depacketizer::default();
    assert_eq!(all(&mut d, t0, packets(Mode::NonInterleaved, 0, 0, &key())).len(), 1);
    let mut other = packet(96, 40_000, 99, 7, true, &slice(true, true, 1, 50));
    d.insert(t0, other.clone());
    let e = events(&mut d);
    assert!(matches!(e[0], Event::Lost(l) if l.packets == 0));
    assert!(
        matches!(&e[1], Event::Unit(u) if !u.key && u.ssrc == 7),
        "the other source's sets are not its own"
    );
    other.seq += 1;
    other.payload = Bytes::from_static(SPS);
    d.insert(t0, other);
    assert_eq!(d.counters().restarts, 1);
}

#[test]
fn a_sequence_jump_begins_anew() {
    let t0 = start();
    let mut d = Depacketizer::default();
    let p = |seq: u16, ts| packet(96, seq, ts, SSRC, true, &slice(false, true, 1, 100));
    assert_eq!(all(&mut d, t0, [p(0, 0), p(30_000, 1), p(30_001, 2)]).len(), 3);
    assert_eq!((d.counters().restarts, d.counters().lost), (1, 0));
}

#[test]
fn odd_fragments_are_counted_and_survived() {
    let t0 = start();
    let mut d = Depacketizer::default();
    let mut seq = 0;
    let mut put = |d: &mut Depacketizer, payload: &[u8], marker: bool| {
        d.insert(t0, packet(96, seq, 0, SSRC, marker, payload));
        seq += 1;
    };
    put(&mut d, &[0x7c, 0xc5, 0b1000_1000, 0x9f], false); // start and end in one
    put(&mut d, &[0x7c, 0x05, 1], false); // middle of nothing
    put(&mut d, &[0x7c, 0x85, 1], false); // start ...
    put(&mut d, &[0x7c, 0x85, 1], false); // ... and start again
    put(&mut d, &[0x7c, 0x41, 1], false); // end of another type
    put(&mut d, &[0x7c, 0x98, 1], false); // an aggregate inside
    put(&mut d, &[0x7c], false);
    put(&mut d, &[], false);
    put(&mut d, &[0x1f, 1], false);
    put(&mut d, &[0x78, 0, 9, 1], false);
    put(&mut d, &[0x7d, 0x85, 0, 0, 0b1000_1000, 0x9f], false); // FU-B start with order number
    put(&mut d, &[0x7d, 0x45, 0x77], true);
    let got = units(events(&mut d));
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].nals, [&[0x65, 0b1000_1000, 0x9f][..], &[0x65, 0b1000_1000, 0x9f, 0x77]]);
    let c = d.counters();
    assert_eq!((c.whole_fragments, c.orphan_fragments, c.malformed, c.interleaved), (1, 3, 5, 2));
    assert!(got[0].damaged);
}

#[test]
fn interleaved_aggregates_are_taken_in_order() {
    let now = start();
    let idr = slice(true, true, 1, 8);
    let mut mtap = vec![0x7a, 0, 0];
    for nal in [SPS, PPS, &idr] {
        mtap.extend((nal.len() as u16).to_be_bytes());
        mtap.extend([0, 0, 0]);
        mtap.extend(nal);
    }
    let got = all(&mut Depacketizer::default(), now, [packet(96, 0, 0, SSRC, true, &mtap)]);
    assert_eq!(got[0].nals, [Bytes::from_static(SPS), Bytes::from_static(PPS), idr]);
    assert!(got[0].key);
}

#[test]
fn a_picture_without_end_is_bounded() {
    let t0 = start();
    let mut d = Depacketizer::new(Config { max_unit: 10_000, max_nals: 20, ..Config::default() });
    for seq in 0..100u16 {
        d.insert(t0, packet(96, seq, 0, SSRC, seq == 99, &slice(false, seq == 0, 1, 1_000)));
    }
    let got = units(events(&mut d));
    assert!(got[0].damaged && got[0].len() <= 10_000 && got[0].nals.len() <= 20);
    for seq in 100..200u16 {
        let fu = [&[0x7c, if seq == 100 { 0x81 } else { 1 }][..], &[0x9a; 900]].concat();
        d.insert(t0, packet(96, seq, 5, SSRC, seq == 199, &fu));
    }
    assert!(d.counters().too_big > 0);
}

#[test]
fn mode_0_leaves_out_what_does_not_fit_and_says_so() {
    let made = Packetizer::new(Mode::SingleNal, 300).packetize(&[
        slice(false, true, 1, 300),
        slice(false, false, 1, 301),
        Bytes::from_static(&[0x7c, 1]),
        Bytes::from_static(&[0x09, 0xf0]),
        Bytes::new(),
    ]);
    assert_eq!((made.payloads.len(), made.left_out), (1, 3));
    assert!(made.payloads[0].marker);
    assert!(Packetizer::new(Mode::NonInterleaved, 300).packetize(&[]).payloads.is_empty());
    assert_eq!(
        [Mode::from_number(0), Mode::from_number(1), Mode::from_number(2)],
        [Some(Mode::SingleNal), Some(Mode::NonInterleaved), None]
    );
}

#[test]
fn intra_pictures_and_recovery_points_are_noticed() {
    let t0 = start();
    let mut d = Depacketizer::default();
    d.out_of_band(&[Bytes::from_static(SPS), Bytes::from_static(PPS)]);
    let i_slice = Bytes::from_static(&[0x61, 0b1000_1000, 0x9f, 1]); // slice type 7
    let got = all(&mut d, t0, [packet(96, 0, 0, SSRC, true, &i_slice)]);
    assert!(got[0].recovery && !got[0].key && got[0].nals.len() == 3);
    let sei = Bytes::from_static(&[0x06, 6, 1, 0x84, 0x80]);
    let got = all(&mut d, t0, packets(Mode::SingleNal, 1, 1, &[sei, slice(false, true, 1, 50)]));
    assert!(got[0].recovery);
    let got = all(&mut d, t0, [packet(96, 3, 2, SSRC, true, &slice(false, true, 1, 50))]);
    assert!(!got[0].recovery && got[0].nals.len() == 1);
}

proptest! {
    #[test]
    fn any_payloads(list in proptest::collection::vec((0u16..40, 0u32..4, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..120)) {
        let t0 = start();
        let mut d = Depacketizer::default();
        for (i, (seq, ts, marker, payload)) in list.iter().enumerate() {
            let now = t0 + MS * i as u32;
            d.insert(now, packet(96, *seq, *ts, SSRC, *marker, payload));
            d.handle_timeout(now);
        }
        for u in units(events(&mut d)) {
            prop_assert!(!u.is_empty());
        }
    }

    /// Any picture, any budget: within the budget, no fragment both start and end, and back again bit by bit.
    #[test]
    fn packets_fit_and_come_back(sizes in proptest::collection::vec(4usize..4_000, 1..6), budget in 64usize..1_500, aggregate: bool, seq: u16) {
        let nals: Vec<Bytes> = sizes.iter().enumerate().map(|(i, n)| slice(true, i == 0, i as u8, *n)).collect();
        let made = Packetizer::new(Mode::NonInterleaved, budget).aggregate(aggregate).packetize(&nals);
        prop_assert_eq!(made.left_out, 0);
        for p in &made.payloads {
            prop_assert!(p.bytes.len() <= budget);
            prop_assert!(p.bytes[0] & 0x1f != 28 || p.bytes[1] & 0xc0 != 0xc0);
        }
        let mut d = Depacketizer::default();
        let got = all(&mut d, start(), made.payloads.iter().enumerate().map(|(i, p)| packet(96, seq.wrapping_add(i as u16), 0, SSRC, p.marker, &p.bytes)));
        prop_assert_eq!(got.len(), 1);
        prop_assert_eq!(&got[0].nals, &nals);
        prop_assert!(!got[0].damaged);
    }
}
