use crate::common::{MS, Random, packet, start};
use cau_rtp::rtcp::{SenderInfo, Wall};
use cau_rtp::stream::Receiver;
use proptest::prelude::*;
use std::time::{Duration, Instant, SystemTime};

const A: u32 = 0xaaaa;
const B: u32 = 0xbbbb;

/// Sequence numbers let through when `seqs` of `ssrc` come 20 ms apart.
fn feed(r: &mut Receiver, now: &mut Instant, ssrc: u32, seqs: impl IntoIterator<Item = u16>) -> Vec<u16> {
    let mut out = Vec::new();
    for seq in seqs {
        *now += 20 * MS;
        let p = packet(8, seq, u32::from(seq) * 160, ssrc, false, &[0; 160]);
        out.extend(r.insert(*now, p).iter().map(|p| p.seq));
    }
    out
}

#[test]
fn the_first_packet_is_used_at_once() {
    let mut now = start();
    let mut r = Receiver::new(8_000);
    assert_eq!(feed(&mut r, &mut now, A, [17]), [17]);
}

#[test]
fn sequence_numbers_wrap_without_loss() {
    let mut now = start();
    let mut r = Receiver::new(8_000);
    feed(&mut r, &mut now, A, (65_500..=65_535).chain(0..100));
    let report = r.report(now).expect("report");
    assert_eq!((report.lost, report.fraction_lost, report.highest), (0, 0, 0x1_0000 + 99));
    assert_eq!(r.stats().expected, 136);
}

#[test]
fn loss_is_reported_per_interval_and_in_all() {
    let mut now = start();
    let mut r = Receiver::new(8_000);
    feed(&mut r, &mut now, A, (0..100).filter(|s| s % 4 != 1));
    let report = r.report(now).expect("report");
    assert_eq!((report.lost, report.fraction_lost), (25, 64));
    feed(&mut r, &mut now, A, 100..200);
    let report = r.report(now).expect("report");
    assert_eq!((report.lost, report.fraction_lost), (25, 0));
    assert_eq!(r.stats().loss, 0.0);
}

#[test]
fn duplicates_are_dropped_and_late_packets_are_not() {
    let mut now = start();
    let mut r = Receiver::new(8_000);
    assert_eq!(feed(&mut r, &mut now, A, [1, 2, 2, 5, 3, 5, 3, 1, 4]), [1, 2, 5, 3, 4]);
    assert_eq!(r.counters().duplicate, 4);
    assert_eq!(r.stats().lost, 0);
}

#[test]
fn a_packet_far_behind_is_stale() {
    let mut now = start();
    let mut r = Receiver::new(8_000);
    feed(&mut r, &mut now, A, 0..300);
    assert_eq!(feed(&mut r, &mut now, A, [150]), []);
    assert_eq!((r.counters().stale, r.counters().sequence_restarts), (1, 0));
}

#[test]
fn a_sequence_that_begins_anew_is_followed_and_no_packet_of_it_lost() {
    let mut now = start();
    let mut r = Receiver::new(8_000);
    feed(&mut r, &mut now, A, 0..50);
    assert_eq!(feed(&mut r, &mut now, A, [20_000]), []);
    assert_eq!(feed(&mut r, &mut now, A, [20_001]), [20_000, 20_001]);
    assert_eq!(feed(&mut r, &mut now, A, [20_002]), [20_002]);
    assert_eq!(r.counters().sequence_restarts, 1);
}

#[test]
fn one_wild_number_is_dropped() {
    let mut now = start();
    let mut r = Receiver::new(8_000);
    feed(&mut r, &mut now, A, 0..50);
    assert_eq!(feed(&mut r, &mut now, A, [30_000, 50, 51]), [50, 51]);
    assert_eq!(r.counters().foreign, 1);
}

#[test]
fn a_device_that_changes_ssrc_in_mid_call_is_followed_and_loses_nothing() {
    let mut now = start();
    let mut r = Receiver::new(8_000);
    feed(&mut r, &mut now, A, 0..50);
    let heard = feed(&mut r, &mut now, B, 900..920);
    assert_eq!(heard, (900..920).collect::<Vec<_>>());
    assert_eq!(r.ssrc(), Some(B));
    assert_eq!(r.counters().source_changes, 1);
    assert_eq!(r.report(now).map(|b| (b.ssrc, b.lost)), Some((B, 0)));
}

#[test]
fn after_a_goodbye_the_next_source_needs_no_waiting() {
    let mut now = start();
    let mut r = Receiver::new(8_000);
    feed(&mut r, &mut now, A, 0..50);
    r.goodbye(A);
    assert_eq!(feed(&mut r, &mut now, B, [7, 8]), [7, 8]);
}

#[test]
fn a_stray_stream_beside_the_one_followed_gets_nowhere() {
    let mut now = start();
    let mut r = Receiver::new(8_000);
    feed(&mut r, &mut now, A, [0, 1]);
    for i in 0..200u16 {
        now += 10 * MS;
        assert!(r.insert(now, packet(8, 5_000 + i, 0, B, false, &[1])).is_empty());
        assert_eq!(feed(&mut r, &mut now, A, [2 + i]), [2 + i]);
    }
    assert_eq!(r.ssrc(), Some(A));
    assert_eq!((r.counters().source_changes, r.counters().foreign), (0, 200));
}

#[test]
fn a_burst_of_a_stray_stream_in_a_pause_of_frames_gets_nowhere() {
    let t0 = start();
    let mut r = Receiver::new(90_000);
    r.insert(t0, packet(96, 1, 0, A, false, &[1]));
    r.insert(t0, packet(96, 2, 0, A, true, &[1]));
    for i in 0..20u16 {
        assert!(r.insert(t0 + MS * u32::from(i), packet(96, 100 + i, 0, B, false, &[1])).is_empty());
    }
    assert_eq!(r.insert(t0 + 33 * MS, packet(96, 3, 3_000, A, true, &[1])).len(), 1);
}

#[test]
fn jitter_follows_appendix_a_8() {
    let t0 = start();
    let mut r = Receiver::new(8_000);
    // Every second packet 10 ms late: |D| is 80 ticks each time, the mean tends to 80.
    for i in 0..400u32 {
        let late = if i % 2 == 0 { 0 } else { 10 };
        r.insert(t0 + MS * (20 * i + late), packet(8, i as u16, 160 * i, A, false, &[0; 160]));
    }
    let jitter = r.report(t0).map(|b| b.jitter);
    assert!(jitter.is_some_and(|j| (78..=80).contains(&j)), "{jitter:?}");
    assert!(r.stats().jitter >= 9 * MS);
}

#[test]
fn packets_of_one_picture_are_no_jitter() {
    let t0 = start();
    let mut r = Receiver::new(90_000);
    for i in 0..300u32 {
        r.insert(t0 + MS * (i / 10 * 40 + i % 10), packet(96, i as u16, i / 10 * 3_600, A, false, &[1]));
    }
    assert_eq!(r.report(t0).map(|b| b.jitter), Some(0));
}

#[test]
fn the_report_answers_the_last_sender_report() {
    let mut now = start();
    let mut r = Receiver::new(8_000);
    feed(&mut r, &mut now, A, 0..10);
    assert_eq!(r.report(now).map(|b| (b.last_sr, b.delay)), Some((0, 0)));
    let ntp = Wall::new((now, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))).ntp(now);
    r.sender_report(now, A, &SenderInfo { ntp, ..SenderInfo::default() });
    r.sender_report(now, B, &SenderInfo::default());
    let block = r.report(now + 1_500 * MS).expect("block");
    assert_eq!((block.last_sr, block.delay), ((ntp >> 16) as u32, 3 << 15));
}

proptest! {
    /// Whatever comes, nothing comes out twice in a row of one source, and counts stay sane.
    #[test]
    fn any_packets(seed: u64, n in 1usize..400) {
        let mut rng = Random(seed | 1);
        let mut now = start();
        let mut r = Receiver::new(8_000);
        let (mut given, mut base) = (0u64, 0u16);
        for _ in 0..n {
            now += MS * rng.below(200) as u32;
            if rng.below(20) == 0 {
                base = rng.next() as u16;
            }
            let ssrc = rng.below(3) as u32;
            let p = packet(8, base.wrapping_add(rng.below(300) as u16), rng.next() as u32, ssrc, false, &[0; 10]);
            given += r.insert(now, p).len() as u64;
            if rng.below(10) == 0 {
                r.report(now);
            }
        }
        let stats = r.stats();
        prop_assert_eq!(stats.packets, given);
        prop_assert!(stats.expected >= 1 && stats.lost <= stats.expected as i64);
        prop_assert!(given <= n as u64);
    }
}
