use crate::common::{MS, packet, start};
use cau_rtp::dtmf::{Press, Receiver, Sender, digit, event};
use proptest::prelude::*;
use std::time::{Duration, Instant};

const SSRC: u32 = 5;

/// Packets of one press, from our own sender: (20 ms step, event packets).
fn press(keys: &str, held: Duration) -> Vec<(u32, bool, u32, Vec<u8>)> {
    let mut s = Sender::new(8_000);
    assert!(keys.chars().all(|k| s.press(k, held)));
    let mut out = Vec::new();
    for step in 0..1_000 {
        for p in s.poll() {
            out.push((step, p.marker, step * 160 - p.age, p.bytes.to_vec()));
        }
        if s.is_idle() {
            break;
        }
    }
    out
}

fn hear(t0: Instant, events: &[(u32, bool, u32, Vec<u8>)], keep: impl Fn(usize) -> bool) -> Vec<Press> {
    let mut r = Receiver::default();
    let mut presses = Vec::new();
    let mut now = t0;
    for (i, (step, marker, timestamp, bytes)) in events.iter().enumerate() {
        now = t0 + 20 * MS * *step;
        r.handle_timeout(now);
        if keep(i) {
            r.insert(now, &packet(101, i as u16, *timestamp, SSRC, *marker, bytes), 8_000);
        }
        presses.extend(r.poll());
    }
    r.handle_timeout(now + 200 * MS);
    presses.extend(r.poll());
    presses
}

fn digits(presses: &[Press]) -> String {
    presses.iter().map(|p| p.digit).collect()
}

#[test]
fn a_pin_is_heard_once_per_key_whatever_is_repeated() {
    let events = press("1123#", 100 * MS);
    let presses = hear(start(), &events, |_| true);
    assert_eq!(digits(&presses), "1123#");
    assert!(presses.iter().all(|p| p.duration == 100 * MS));
}

#[test]
fn all_three_ends_lost_time_out() {
    let events = press("5", 100 * MS);
    let presses = hear(start(), &events, |i| i < 4);
    assert_eq!(presses, [Press { digit: '5', duration: 80 * MS }]);
}

#[test]
fn only_one_end_of_all_packets_arrives() {
    let events = press("*", 100 * MS);
    let last = events.len() - 1;
    assert_eq!(digits(&hear(start(), &events, |i| i == last)), "*");
}

#[test]
fn a_lost_end_is_ended_by_the_next_key() {
    let events = press("78", 100 * MS);
    let presses = hear(start(), &events, |i| !(4..=6).contains(&i));
    assert_eq!(digits(&presses), "78");
}

#[test]
fn straggling_packets_of_a_press_told_do_not_tell_it_again() {
    let t0 = start();
    let mut r = Receiver::default();
    for (seq, end) in [(1, false), (3, true), (2, false), (3, true), (4, true)] {
        r.insert(t0, &packet(101, seq, 800, SSRC, false, &[9, if end { 0x8a } else { 10 }, 0, 160]), 8_000);
    }
    assert_eq!(r.poll().map(|p| p.digit), Some('9'));
    assert_eq!(r.poll(), None);
    assert_eq!(r.poll_timeout(), None);
}

#[test]
fn flash_and_short_packets_are_ignored() {
    let t0 = start();
    let mut r = Receiver::default();
    r.insert(t0, &packet(101, 1, 0, SSRC, true, &[16, 0x80, 0, 160]), 8_000);
    r.insert(t0, &packet(101, 2, 0, SSRC, true, &[1, 0x80, 0]), 8_000);
    assert_eq!((r.poll(), r.malformed()), (None, 1));
}

#[test]
fn the_sender_repeats_the_end_three_times_and_pauses_between_keys() {
    let events = press("00", 60 * MS);
    let first: Vec<_> = events.iter().take(5).collect();
    assert_eq!(first.iter().map(|e| e.1).collect::<Vec<_>>(), [true, false, false, false, false]);
    assert!(first.iter().all(|e| e.2 == 0), "one timestamp");
    assert_eq!(first[4].3, [0, 0x8a, 1, 0xe0]);
    assert!(events[5].0 - events[4].0 >= 3 && events[5].1);
    assert!(!Sender::new(8_000).press('x', 100 * MS));
}

#[test]
fn sixteen_keys_have_numbers() {
    assert!((0..16).all(|n| digit(n).and_then(event) == Some(n)));
    assert_eq!((digit(16), event('a'), event('E')), (None, Some(12), None));
}

proptest! {
    #[test]
    fn any_packets(payloads in proptest::collection::vec((any::<u16>(), 0u32..5, proptest::collection::vec(any::<u8>(), 0..6)), 0..60)) {
        let t0 = start();
        let mut r = Receiver::default();
        for (i, (seq, ts, payload)) in payloads.iter().enumerate() {
            r.insert(t0 + MS * i as u32, &packet(101, *seq, *ts, SSRC, false, payload), 8_000);
            r.handle_timeout(t0 + MS * i as u32);
        }
        let told = std::iter::from_fn(|| r.poll()).count();
        prop_assert!(told <= payloads.len());
    }

    #[test]
    fn every_key_is_heard_when_one_packet_of_it_arrives(seed: u64, loss in 0.0f64..0.5) {
        let events = press("0918#", 120 * MS);
        let mut rng = crate::common::Random(seed | 1);
        let kept: Vec<bool> = events.iter().map(|_| rng.below(1_000) as f64 >= loss * 1_000.0).collect();
        let mut expected: Vec<u32> = events.iter().zip(&kept).filter(|(_, k)| **k).map(|(e, _)| e.2).collect();
        expected.dedup();
        prop_assert_eq!(hear(start(), &events, |i| kept[i]).len(), expected.len());
    }
}
