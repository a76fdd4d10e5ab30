use crate::common::{MS, own, start};
use bytes::Bytes;
use cau_rtp::rtcp::{
    Item, Limit, ReportBlock, Schedule, SenderInfo, Wall, Writer, from_short, parse, to_short,
};
use proptest::prelude::*;
use std::time::{Duration, SystemTime};

const BLOCK: ReportBlock =
    ReportBlock { ssrc: 7, fraction_lost: 64, lost: -3, highest: 0x1_0002, jitter: 99, last_sr: 5, delay: 6 };
const INFO: SenderInfo = SenderInfo { ntp: 0x0102_0304_0506_0708, rtp_timestamp: 9, packets: 10, octets: 11 };

#[test]
fn everything_written_is_read_again() {
    let limit = Limit { ssrc: 9, bitrate: 1_500_000, overhead: 40 };
    let mut w = Writer::new();
    w.sender_report(1, &INFO, &[BLOCK])
        .receiver_report(1, &[])
        .description(1, "cau@bridge", Some("Cầu"))
        .pli(1, 2)
        .fir(1, 2, 200)
        .fir_rfc2032(2)
        .nack(1, 2, &[10, 11, 26, 27, 65_535])
        .tmmbr(1, &limit)
        .tmmbn(1, &[limit])
        .bye(1);
    let bytes = w.finish();
    assert_eq!(bytes.len() % 4, 0);
    let c = parse(&bytes);
    assert_eq!((c.skipped, c.malformed), (0, 0));
    let rate = c.items.iter().find_map(|i| match i {
        Item::Tmmbr { limits, .. } => Some(limits[0].bitrate),
        _ => None,
    });
    assert_eq!(rate, Some(1_500_000 >> 4 << 4), "17 bits of mantissa, rounded down");
    assert_eq!(c.items[0], Item::SenderReport { ssrc: 1, info: INFO, blocks: [BLOCK].into_iter().collect() });
    assert!(
        matches!(&c.items[2], Item::Description(d) if d.name == Some(Bytes::from_static("Cầu".as_bytes())))
    );
    assert_eq!(c.items[4], Item::Fir { sender: 1, targets: [(2, 200)].into_iter().collect() });
    assert_eq!(c.items[6], Item::Nack { sender: 1, media: 2, lost: vec![10, 11, 26, 27, 65_535] });
    assert_eq!(c.items[9], Item::Bye([1].into_iter().collect()));
    assert_eq!(c.items.len(), 10);
}

#[test]
fn a_fir_has_no_media_source_and_its_target_in_the_entry() {
    let mut w = Writer::new();
    w.fir(0x1111_1111, 0x2222_2222, 3);
    let expected = [0x84, 206, 0, 4, 0x11, 0x11, 0x11, 0x11, 0, 0, 0, 0, 0x22, 0x22, 0x22, 0x22, 3, 0, 0, 0];
    assert_eq!(w.finish(), expected);
}

#[test]
fn a_fir_with_its_target_in_the_header_is_understood() {
    let c = parse(&[0x84, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    assert_eq!(c.items, [Item::Fir { sender: 1, targets: [(2, 0)].into_iter().collect() }]);
}

#[test]
fn one_broken_packet_does_not_spoil_its_neighbours() {
    let mut w = Writer::new();
    w.receiver_report(1, &[]).description(1, "a", None);
    let mut bytes = w.finish();
    bytes.extend([0x81, 206, 0, 1, 0, 0, 0, 9]); // a PLI that is too short
    bytes.extend([0x80, 204, 0, 2, 0, 0, 0, 1, b'q', b'c', b'd', b'a']); // APP
    bytes.extend([0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    let c = parse(&bytes);
    assert_eq!((c.items.len(), c.skipped, c.malformed), (3, 1, 1));
    assert_eq!(c.items[2], Item::Pli { sender: 1, media: 2 });
}

#[test]
fn a_length_beyond_the_datagram_ends_the_reading() {
    let c = parse(&[0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0x81, 206, 0, 9, 0, 0, 0, 1]);
    assert_eq!((c.items.len(), c.malformed), (1, 1));
    assert_eq!(parse(&[0x80]).malformed, 1);
    assert_eq!(parse(&[]).malformed, 0);
    assert_eq!(parse(&[0; 8]).malformed, 1);
}

#[test]
fn padding_at_the_end_of_a_compound_is_taken_off() {
    let c = parse(&[0xa1, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4]);
    assert_eq!(c.items, [Item::Pli { sender: 1, media: 2 }]);
    assert_eq!(parse(&[0xa1, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 99]).malformed, 1);
}

#[test]
fn a_browsers_bandwidth_estimate_is_read() {
    // From draft-alvestrand-rmcat-remb: mantissa 0x3ffff would be the top; here 0x2_0000 << 4.
    let c = parse(&[
        0x8f,
        206,
        0,
        5,
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        0,
        b'R',
        b'E',
        b'M',
        b'B',
        1,
        4 << 2 | 2,
        0,
        0,
        0,
        0,
        0,
        7,
    ]);
    assert_eq!(c.items, [Item::Remb { sender: 1, bitrate: 0x2_0000 << 4, ssrcs: [7].into_iter().collect() }]);
    let other = parse(&[0x8f, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, b'G', b'O', b'O', b'G']);
    assert_eq!((other.skipped, other.malformed), (1, 0));
}

#[test]
fn texts_are_cut_between_letters_at_255_bytes() {
    let long = "ầ".repeat(100); // 300 bytes
    let mut w = Writer::new();
    w.description(1, &long, Some(""));
    let c = parse(&w.finish());
    assert!(matches!(&c.items[..], [Item::Description(d)]
        if d.cname == Some(Bytes::from("ầ".repeat(85))) && d.name.is_none()));
}

#[test]
fn fuzzers_finds_do_not_panic() {
    let mut items = 0;
    for entry in std::fs::read_dir(own("webrtc-rtcp")).expect("test data") {
        items += parse(&std::fs::read(entry.expect("entry").path()).expect("file")).items.len();
    }
    assert!(items >= 40, "{items}");
}

#[test]
fn ntp_time_goes_on_with_the_monotonic_clock() {
    let t0 = start();
    let wall = Wall::new((t0, SystemTime::UNIX_EPOCH + Duration::from_secs(1)));
    assert_eq!(wall.ntp(t0), 2_208_988_801 << 32);
    assert_eq!(wall.ntp(t0 + 500 * MS) as u32, 1 << 31);
    assert_eq!(from_short(to_short(1_500 * MS)), 1_500 * MS);
    assert_eq!(to_short(Duration::MAX), u32::MAX);
}

/// When the first 20 reports of a session of that bandwidth go.
fn reports(kbps: u32, seed: u64) -> Vec<Duration> {
    let t0 = start();
    let mut s = Schedule::new(t0, kbps, seed);
    let mut times = Vec::new();
    for _ in 0..20 {
        let at = s.poll_timeout();
        assert!(s.due(at) && !s.due(at - MS));
        s.sent(at, 100);
        times.push(at - t0);
    }
    times
}

#[test]
fn reports_of_sound_come_early_first_then_every_five_seconds() {
    for seed in 0..20 {
        let times = reports(64, seed);
        assert!(times[0] >= 250 * MS && times[0] < 1_000 * MS, "{:?}", times[0]);
        assert!(times.windows(2).all(|w| w[1] - w[0] >= 500 * MS && w[1] - w[0] < 7_500 * MS));
        let mean = (times[19] - times[4]) / 15;
        assert!(mean > 3_800 * MS && mean < 6_200 * MS, "{mean:?}");
    }
}

#[test]
fn reports_of_video_come_at_the_reduced_minimum() {
    for (kbps, every) in [(2_000, 400), (900, 400), (360, 1_000)] {
        for seed in 0..20 {
            let times = reports(kbps, seed);
            let mean = (times[19] - times[4]) / 15;
            assert!(mean > MS * (every * 3 / 4) && mean < MS * (every * 5 / 4), "{kbps}: {mean:?}");
        }
    }
}

#[test]
fn urgent_feedback_goes_at_once_but_twenty_times_a_second_at_most() {
    let t0 = start();
    let mut s = Schedule::new(t0, 1_000, 1);
    s.hurry();
    assert!(s.due(t0));
    s.sent(t0, 60);
    s.hurry();
    assert_eq!(s.poll_timeout(), t0 + 50 * MS);
    let mut sent = 0;
    for ms in 0..1_000 {
        s.hurry();
        if s.due(t0 + MS * ms) {
            s.sent(t0 + MS * ms, 60);
            sent += 1;
        }
    }
    assert!(sent <= 21, "{sent}");
}

#[test]
fn a_narrow_line_gets_fewer_reports() {
    let t0 = start();
    let mut s = Schedule::new(t0, 16, 1);
    for _ in 0..6 {
        let at = s.poll_timeout();
        s.sent(at, 1_200);
    }
    let at = s.poll_timeout();
    assert!(at - t0 > 20_000 * MS, "{:?}", at - t0);
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let c = parse(&bytes);
        prop_assert!(c.items.len() <= 200);
    }

    #[test]
    fn any_bodies(parts in proptest::collection::vec((0u8..32, 192u8..210, proptest::collection::vec(any::<u32>(), 0..20)), 0..8)) {
        let mut bytes = Vec::new();
        for (count, pt, body) in parts {
            bytes.extend([0x80 | count, pt, 0, body.len() as u8]);
            bytes.extend(body.iter().flat_map(|w| w.to_be_bytes()));
        }
        let _ = parse(&bytes);
    }

    #[test]
    fn nacks_round_trip(mut lost in proptest::collection::btree_set(0u16..2_000, 1..60)) {
        let mut w = Writer::new();
        w.nack(1, 2, &lost.iter().copied().collect::<Vec<_>>());
        match &parse(&w.finish()).items[..] {
            [Item::Nack { lost: read, .. }] => prop_assert_eq!(read, &std::mem::take(&mut lost).into_iter().collect::<Vec<_>>()),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn limits_never_grow_by_rounding(bitrate in 1u64..(1 << 50)) {
        let mut w = Writer::new();
        w.tmmbr(1, &Limit { ssrc: 2, bitrate, overhead: 511 });
        match &parse(&w.finish()).items[..] {
            [Item::Tmmbr { limits, .. }] => {
                prop_assert!(limits[0].bitrate <= bitrate && limits[0].bitrate > bitrate - bitrate / 60_000 - 1);
                prop_assert_eq!(limits[0].overhead, 511);
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
