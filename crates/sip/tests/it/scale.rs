//! Many calls at once: everything goes on working, and nothing stays behind.

use std::time::Duration;

use crate::common::{FAIR, OFFER, Pair};
use bytes::Bytes;
use cau_sip::{Protocol, Target, Uri};

#[test]
fn a_thousand_calls_at_a_time() {
    const CALLS: usize = 1_000;
    let mut pair = Pair::new(1, FAIR);
    let mut calls = Vec::new();
    for n in 0..CALLS {
        let protocol = if n % 2 == 0 { Protocol::Udp } else { Protocol::Tcp };
        let target =
            Target { protocol: Some(protocol), ..Target::new(Uri::sip("8000", pair.sides[1].address)) };
        let now = pair.now;
        calls.push(pair.a().endpoint.call(now, target, Some(Bytes::from_static(OFFER))).unwrap());
        pair.run(Duration::from_millis(1));
    }
    pair.run(Duration::from_secs(1));
    assert_eq!((pair.a().told("confirmed"), pair.b().told("confirmed")), (CALLS, CALLS));
    assert_eq!(pair.a().endpoint.counters().retransmitted + pair.b().endpoint.counters().retransmitted, 0);
    for call in calls {
        let now = pair.now;
        pair.a().endpoint.hangup(now, call, None).unwrap();
    }
    pair.run(Duration::from_secs(60));
    assert_eq!(pair.b().told("ended remote-hang-up"), CALLS);
    for side in &pair.sides {
        assert_eq!((side.endpoint.calls(), side.endpoint.transactions()), (0, 0));
    }
}
