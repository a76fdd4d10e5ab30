//! Changes within a call, both ways.

use std::time::Duration;

use crate::common::{ANSWER, FAIR, Manner, OFFER, Pair, STORM};
use bytes::Bytes;
use cau_sip::{CallId, Protocol};

const SECOND: Duration = Duration::from_secs(1);

fn reoffer(pair: &mut Pair, which: usize, call: CallId, sdp: Option<&'static [u8]>) {
    let now = pair.now;
    pair.sides[which].endpoint.reoffer(now, call, sdp.map(Bytes::from_static)).unwrap();
    pair.settle();
}

#[test]
fn both_sides_can_reoffer_with_and_without_offer() {
    for which in 0..2 {
        for sdp in [Some(OFFER), None] {
            let mut pair = Pair::new(1, FAIR);
            let (a, b) = pair.established(Protocol::Udp);
            let other = 1 - which;
            let before = (pair.sides[which].events.len(), pair.sides[other].events.len());
            reoffer(&mut pair, which, [a, b][which], sdp);
            pair.run(SECOND * 2);
            let asked = pair.sides[which].story()[before.0..].to_vec();
            let answered = pair.sides[other].story()[before.1..].to_vec();
            match sdp {
                Some(_) => {
                    assert_eq!(asked, ["answer"]);
                    assert_eq!(answered, ["reoffer"]);
                }
                None => {
                    assert_eq!(asked, ["offer"]);
                    assert_eq!(answered, ["reoffer without offer", "answer"]);
                }
            }
        }
    }
}

#[test]
fn reoffers_at_once_after_the_answer_and_in_a_storm() {
    for seed in 0..100 {
        let mut pair = Pair::new(seed, STORM);
        let call = pair.dial(Protocol::Udp, Some(OFFER));
        pair.run(SECOND * 60);
        assert_eq!(pair.a().told("confirmed"), 1, "seed {seed}");
        reoffer(&mut pair, 0, call, Some(OFFER));
        reoffer(&mut pair, 0, call, Some(ANSWER));
        pair.run(SECOND * 60);
        assert_eq!(pair.a().told("answer"), 3, "seed {seed}: {:?}", pair.a().story());
        assert_eq!(pair.b().told("reoffer"), 2, "seed {seed}");
    }
}

#[test]
fn glare_is_resolved_by_waiting() {
    for seed in 0..50 {
        let mut pair = Pair::new(seed, FAIR);
        let (a, b) = pair.established(Protocol::Udp);
        reoffer(&mut pair, 0, a, Some(OFFER));
        reoffer(&mut pair, 1, b, Some(OFFER));
        let crossed = pair.now;
        pair.run(Duration::from_millis(100));
        assert_eq!((pair.a().sent("SIP/2.0 491"), pair.b().sent("SIP/2.0 491")), (1, 1));
        // The callee did not make the Call-ID: it waits 0–2 s, the caller 2.1–4 s.
        pair.run(crossed + Duration::from_millis(2080) - pair.now);
        assert_eq!(pair.a().told("reoffer"), 1, "seed {seed}");
        assert_eq!(pair.b().told("reoffer"), 0, "seed {seed}");
        pair.run(SECOND * 3);
        assert_eq!((pair.a().told("answer"), pair.b().told("answer")), (2, 1), "seed {seed}");
        assert_eq!((pair.a().told("reoffer"), pair.b().told("reoffer")), (1, 1), "seed {seed}");
    }
}

#[test]
fn glare_in_a_storm_ends_with_both_answered() {
    for seed in 0..100 {
        let mut pair = Pair::new(seed, STORM);
        pair.dial(Protocol::Udp, Some(OFFER));
        pair.run(SECOND * 60);
        let (a, b) = (cau_sip::CallId(1), pair.b().call());
        reoffer(&mut pair, 0, a, Some(OFFER));
        reoffer(&mut pair, 1, b, Some(OFFER));
        pair.run(SECOND * 60);
        assert_eq!((pair.a().told("answer"), pair.b().told("answer")), (2, 1), "seed {seed}");
    }
}

#[test]
fn a_refused_reoffer_changes_nothing() {
    let mut pair = Pair::new(1, FAIR);
    let (a, b) = pair.established(Protocol::Udp);
    pair.b().manner = Manner::Silent;
    reoffer(&mut pair, 0, a, Some(OFFER));
    pair.run(Duration::from_millis(50));
    let now = pair.now;
    pair.b().endpoint.reject_reoffer(now, b, 488, &[]).unwrap();
    pair.run(SECOND);
    assert_eq!(pair.a().story().last().unwrap(), "reoffer rejected 488");
    let now = pair.now;
    pair.b().endpoint.hangup(now, b, None).unwrap();
    pair.run(SECOND);
    assert_eq!(pair.a().story().last().unwrap(), "ended remote-hang-up");
}

#[test]
fn bye_during_a_reoffer_refuses_it() {
    let mut pair = Pair::new(1, FAIR);
    let (a, b) = pair.established(Protocol::Udp);
    pair.b().manner = Manner::Silent;
    reoffer(&mut pair, 0, a, Some(OFFER));
    pair.run(Duration::from_millis(50));
    let now = pair.now;
    pair.b().endpoint.hangup(now, b, None).unwrap();
    pair.run(SECOND);
    assert_eq!(pair.b().sent("SIP/2.0 487"), 1);
    assert_eq!(pair.a().story().last().unwrap(), "ended remote-hang-up");
    pair.run(SECOND * 60);
    assert_eq!((pair.a().endpoint.transactions(), pair.b().endpoint.transactions()), (0, 0));
}

#[test]
fn a_reoffer_without_response_ends_the_call() {
    let mut pair = Pair::new(1, FAIR);
    let (a, _) = pair.established(Protocol::Udp);
    pair.swallow.push((0, "INVITE", usize::MAX));
    reoffer(&mut pair, 0, a, Some(OFFER));
    pair.run(SECOND * 33);
    assert_eq!(pair.a().story().last().unwrap(), "ended no-response");
    assert_eq!(pair.b().story().last().unwrap(), "ended remote-hang-up");
}

#[test]
fn a_reoffer_with_100_only_ends_with_its_call_and_ends_its_call() {
    for hung_up in [true, false] {
        let mut pair = Pair::new(1, FAIR);
        let (a, b) = pair.established(Protocol::Udp);
        pair.b().manner = Manner::Silent;
        pair.swallow.push((1, "SIP/2.0 4", usize::MAX));
        reoffer(&mut pair, 0, a, Some(OFFER));
        pair.run(SECOND);
        assert_eq!(pair.b().sent("SIP/2.0 100"), 1);
        let now = pair.now;
        if hung_up {
            pair.b().endpoint.hangup(now, b, None).unwrap();
        }
        pair.run(SECOND * 300);
        let end = if hung_up { "ended remote-hang-up" } else { "ended no-response" };
        assert_eq!(pair.a().story().last().unwrap(), end);
        assert_eq!((pair.a().endpoint.calls(), pair.a().endpoint.transactions()), (0, 0));
    }
}

#[test]
fn a_side_that_restarted_is_noticed() {
    let mut pair = Pair::new(1, FAIR);
    let (a, _) = pair.established(Protocol::Udp);
    let fresh = Pair::new(7, FAIR);
    let [_, b] = fresh.sides;
    pair.sides[1] = b;
    reoffer(&mut pair, 0, a, Some(OFFER));
    pair.run(SECOND);
    assert_eq!(pair.a().story().last().unwrap(), "ended forgotten");
}
