use crate::common::{MS, start};
use bytes::Bytes;
use cau_rtp::rtcp::{ReportBlock, Wall, to_short};
use cau_rtp::seq::ts_diff;
use cau_rtp::stream::{Outgoing, Sender};
use std::time::{Duration, Instant, SystemTime};

fn wall(t0: Instant) -> (Instant, SystemTime) {
    (t0, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
}

fn out(source: u64, timestamp: u32) -> Outgoing<'static> {
    Outgoing {
        pt: 96,
        marker: true,
        source,
        timestamp,
        csrc: &[],
        payload: Bytes::from_static(&[1, 2, 3]),
        origin: 0,
    }
}

#[test]
fn sequence_and_timestamps_go_on_over_a_change_of_source() {
    let t0 = start();
    let mut s = Sender::new(90_000, wall(t0), 1);
    let a: Vec<_> = (0..10u32).map(|i| s.send(t0 + MS * 40 * i, out(1, 5_000 + 3_600 * i))).collect();
    assert!(a.windows(2).all(|w| w[1].timestamp == w[0].timestamp.wrapping_add(3_600)));
    let t1 = t0 + MS * 400;
    let b: Vec<_> = (0..10u32)
        .map(|i| s.send(t1 + MS * 40 * i, out(2, 4_000_000_000u32.wrapping_add(3_600 * i))))
        .collect();
    assert_eq!(b[0].timestamp, a[9].timestamp.wrapping_add(3_600), "40 ms have passed");
    assert!(b.windows(2).all(|w| w[1].timestamp == w[0].timestamp.wrapping_add(3_600)));
    assert_eq!(b[9].seq, a[0].seq.wrapping_add(19));
    assert!(a.iter().chain(&b).all(|p| p.ssrc == s.ssrc()));
}

#[test]
fn switching_forth_and_back_at_once_still_goes_forward() {
    let t0 = start();
    let mut s = Sender::new(90_000, wall(t0), 2);
    let mut last = s.send(t0, out(1, 0)).timestamp;
    for i in 0..20u64 {
        let next = s.send(t0, out(i % 2 + 7, 1_000_000 * i as u32)).timestamp;
        assert!(ts_diff(next, last) > 0);
        last = next;
    }
}

#[test]
fn a_source_whose_timestamps_jump_does_not_take_the_stream_along() {
    let t0 = start();
    let mut s = Sender::new(90_000, wall(t0), 3);
    let a = s.send(t0, out(1, 0));
    let b = s.send(t0 + 40 * MS, out(1, 3_000_000_000));
    assert_eq!(b.timestamp, a.timestamp.wrapping_add(3_600));
}

#[test]
fn a_gap_from_upstream_stays_a_gap() {
    let t0 = start();
    let mut s = Sender::new(90_000, wall(t0), 4);
    let a = s.send(t0, out(1, 0));
    s.skip(3);
    assert_eq!(s.send(t0, out(1, 0)).seq, a.seq.wrapping_add(4));
}

#[test]
fn sender_reports_map_the_rtp_clock_to_the_wall() {
    let t0 = start();
    let mut s = Sender::new(90_000, wall(t0), 5);
    assert_eq!(s.report(t0), None);
    let mut last = s.send(t0, out(1, 0));
    for i in 1..100u32 {
        // Sent up to 20 ms late now and then: the report must not follow that.
        let late = if i % 7 == 0 { 20 } else { 0 };
        last = s.send(t0 + MS * (40 * i + late), out(1, 3_600 * i));
    }
    let at = t0 + MS * 4_000;
    let info = s.report(at).expect("report");
    assert_eq!(info.ntp, Wall::new(wall(t0)).ntp(at));
    assert_eq!((info.packets, info.octets), (100, 300));
    let error = ts_diff(info.rtp_timestamp, last.timestamp.wrapping_add(3_600));
    assert!(error.abs() < 90 * 5, "{error} ticks off");
}

#[test]
fn the_round_trip_is_measured_from_the_other_sides_report() {
    let t0 = start();
    let mut s = Sender::new(90_000, wall(t0), 6);
    let last_sr = Wall::new(wall(t0)).middle(t0 + 1_000 * MS);
    let block = ReportBlock { ssrc: s.ssrc(), last_sr, delay: to_short(300 * MS), ..ReportBlock::default() };
    s.handle_report(t0 + 1_420 * MS, &ReportBlock { ssrc: s.ssrc() ^ 1, ..block });
    assert_eq!(s.rtt(), None, "not about us");
    s.handle_report(t0 + 1_420 * MS, &block);
    let rtt = s.rtt().expect("rtt");
    assert!(rtt > 119 * MS && rtt < 121 * MS, "{rtt:?}");
    s.handle_report(t0 + 1_420 * MS, &ReportBlock { delay: to_short(421 * MS), ..block });
    assert_eq!(s.rtt(), Some(Duration::ZERO), "a device that rounds up");
    s.handle_report(t0 + 500_000 * MS, &block);
    assert_eq!(s.rtt(), Some(Duration::ZERO), "a device that repeats an old report");
}

#[test]
fn the_sequence_map_remembers_where_packets_came_from() {
    let t0 = start();
    let mut s = Sender::new(90_000, wall(t0), 7).with_history(100);
    let seqs: Vec<u16> =
        (0..150u64).map(|i| s.send(t0, Outgoing { origin: 1_000 + i, ..out(1, 0) }).seq).collect();
    assert_eq!(s.origin(seqs[149]), Some(1_149));
    assert_eq!(s.origin(seqs[50]), Some(1_050));
    assert_eq!(s.origin(seqs[49]), None);
}

#[test]
fn bases_are_random_and_reproducible() {
    let t0 = start();
    let first = |seed| Sender::new(8_000, wall(t0), seed).send(t0, out(0, 0));
    assert_eq!(first(1), first(1));
    let (a, b) = (first(1), first(2));
    assert!(a.ssrc != b.ssrc && a.seq != b.seq && a.timestamp != b.timestamp);
}
