use crate::common::{MS, start};
use cau_rtp::keyframe::{Ask, Feedback, Heard, Requester, Responder};
use std::time::{Duration, Instant};

const BOTH: Feedback = Feedback { pli: true, fir: true };

/// Everything the requester sends until `end`, with the device answering `after` to what it `obeys`.
fn ask(
    r: &mut Requester,
    t0: Instant,
    end: Duration,
    obeys: Option<Ask>,
    after: Duration,
) -> Vec<(Duration, Ask)> {
    let mut sent = Vec::new();
    let mut answer = None;
    let mut ms = 0;
    while MS * ms < end {
        let now = t0 + MS * ms;
        if answer.is_some_and(|at| at <= now) {
            answer = None;
            r.key_frame(now);
        }
        if let Some(a) = r.poll(now) {
            assert!(r.poll(now).is_none());
            sent.push((now - t0, a));
            if obeys == Some(a) {
                answer = Some(now + after);
            }
        }
        ms += 1;
    }
    sent
}

#[test]
fn what_was_negotiated_comes_first_then_the_other_then_info() {
    let t0 = start();
    let kinds = |f: Feedback, info: bool| {
        let mut r = Requester::new(f, info);
        r.request(t0);
        ask(&mut r, t0, 1_600 * MS, None, MS).into_iter().map(|(t, a)| (t.as_millis(), a)).collect::<Vec<_>>()
    };
    let all = [(0, Ask::Pli), (500, Ask::Fir), (1_000, Ask::Info), (1_500, Ask::FirRfc2032)];
    assert_eq!(kinds(BOTH, true), all);
    assert_eq!(kinds(Feedback::default(), true), all, "nothing negotiated: old devices still understand");
    assert_eq!(kinds(Feedback { pli: false, fir: true }, true)[..2], [(0, Ask::Fir), (500, Ask::Pli)]);
    assert_eq!(kinds(BOTH, false)[..3], [(0, Ask::Pli), (500, Ask::Fir), (1_000, Ask::FirRfc2032)]);
}

#[test]
fn a_device_that_obeys_only_info_is_asked_by_info_the_next_time() {
    let t0 = start();
    let mut r = Requester::new(BOTH, true);
    r.request(t0);
    let first = ask(&mut r, t0, 5_000 * MS, Some(Ask::Info), 80 * MS);
    assert_eq!(first.last().map(|(_, a)| *a), Some(Ask::Info));
    assert_eq!(first.len(), 3);
    assert_eq!(r.obeys(), Some(Ask::Info));
    let t1 = t0 + Duration::from_secs(10);
    r.request(t1);
    assert_eq!(ask(&mut r, t1, 3_000 * MS, Some(Ask::Info), 80 * MS), [(Duration::ZERO, Ask::Info)]);
}

#[test]
fn a_device_that_changed_its_habits_is_asked_the_other_way_again() {
    let t0 = start();
    let mut r = Requester::new(BOTH, true);
    r.request(t0);
    ask(&mut r, t0, 1_000 * MS, Some(Ask::Pli), 50 * MS);
    assert_eq!(r.obeys(), Some(Ask::Pli));
    for i in 1..=4 {
        let t = t0 + Duration::from_secs(20 * i);
        r.request(t);
        let sent = ask(&mut r, t, Duration::from_secs(10), Some(Ask::Fir), 50 * MS);
        assert!(sent.iter().any(|(_, a)| *a == Ask::Fir));
    }
    assert_eq!(r.obeys(), Some(Ask::Fir));
}

#[test]
fn a_device_that_never_answers_is_asked_less_and_less() {
    let t0 = start();
    let mut r = Requester::new(BOTH, true);
    r.request(t0);
    let sent = ask(&mut r, t0, Duration::from_secs(120), None, MS);
    assert!(sent.len() >= 15 && sent.len() < 30, "{}", sent.len());
    let gaps: Vec<_> = sent.windows(2).map(|w| w[1].0 - w[0].0).collect();
    assert!(gaps.is_sorted() && gaps.last() == Some(&(8_000 * MS)), "{gaps:?}");
}

#[test]
fn a_satisfied_source_is_left_in_peace_for_a_second_whoever_asks() {
    let t0 = start();
    let mut r = Requester::new(BOTH, true);
    r.request(t0);
    let mut keys = 0;
    let mut asks = 0;
    for ms in 0..10_000u32 {
        let now = t0 + MS * ms;
        r.request(now); // a hundred receivers
        if r.poll(now).is_some() {
            asks += 1;
        }
        if ms % 1_000 == 100 {
            r.key_frame(now);
            keys += 1;
        }
    }
    assert!(asks <= keys + 1, "{asks} asks for {keys} key frames");
}

#[test]
fn a_key_frame_that_was_on_its_way_teaches_nothing() {
    let t0 = start();
    let mut r = Requester::new(BOTH, true);
    r.request(t0);
    assert_eq!(r.poll(t0), Some(Ask::Pli));
    r.key_frame(t0 + 3 * MS);
    assert_eq!((r.obeys(), r.wanted_since(), r.poll_timeout()), (None, None, None));
}

#[test]
fn a_storm_of_requests_gives_one_key_frame_a_second() {
    let t0 = start();
    let mut r = Responder::default();
    let mut keys = Vec::new();
    for ms in 0..10_000u32 {
        let now = t0 + MS * ms;
        let heard = match ms % 3 {
            0 => Heard::Pli,
            1 => Heard::Fir { from: ms % 7, seq: (ms / 9) as u8 },
            _ => Heard::Info,
        };
        if r.handle(now, heard) {
            keys.push(ms);
        }
    }
    assert!(keys.len() >= 10 && keys.len() <= 12, "{keys:?}");
    assert!(keys.windows(2).skip(1).all(|w| w[1] - w[0] >= 900), "{keys:?}");
}

#[test]
fn a_request_put_off_is_answered_when_its_time_comes() {
    let t0 = start();
    let mut r = Responder::new(1);
    assert!(r.handle(t0, Heard::Pli));
    assert!(!r.handle(t0 + 300 * MS, Heard::Pli));
    assert_eq!(r.poll_timeout(), Some(t0 + 1_000 * MS));
    assert!(!r.poll(t0 + 999 * MS));
    assert!(r.poll(t0 + 1_000 * MS));
    assert_eq!(r.poll_timeout(), None);
    assert!(!r.poll(t0 + 5_000 * MS), "answered once");
}

#[test]
fn a_key_frame_made_for_another_reason_answers_what_was_put_off() {
    let t0 = start();
    let mut r = Responder::new(1);
    assert!(r.handle(t0, Heard::Pli));
    assert!(!r.handle(t0 + 300 * MS, Heard::Info));
    r.key_sent(t0 + 400 * MS);
    assert!(!r.poll(t0 + 2_000 * MS));
}

#[test]
fn a_repeated_fir_is_one_request_and_its_number_counts_per_asker() {
    let t0 = start();
    let mut r = Responder::new(4);
    assert!(r.handle(t0, Heard::Fir { from: 1, seq: 9 }));
    assert!(!r.handle(t0 + 20 * MS, Heard::Fir { from: 1, seq: 9 }));
    assert!(r.handle(t0 + 40 * MS, Heard::Fir { from: 2, seq: 9 }));
    assert!(r.handle(t0 + 60 * MS, Heard::Fir { from: 1, seq: 10 }));
    assert!(r.handle(t0 + 3_000 * MS, Heard::Fir { from: 1, seq: 10 }), "a device that never counts");
}

#[test]
fn what_was_asked_before_the_last_key_frame_arrived_there_is_no_new_request() {
    let t0 = start();
    let mut r = Responder::new(3);
    r.set_rtt(120 * MS);
    assert!(r.handle(t0, Heard::Pli));
    assert!(!r.handle(t0 + 100 * MS, Heard::Pli));
    assert!(r.handle(t0 + 130 * MS, Heard::Pli));
}
