//! A dialog goes on after one side's program was killed and started again.

use std::time::Duration;

use crate::common::{FAIR, OFFER, Pair, at};
use bytes::Bytes;
use cau_sip::{CallId, Config, Endpoint, Event, Protocol, Refused, Target, Uri};

const SECOND: Duration = Duration::from_secs(1);

/// Kills side 0 and starts it again with what was kept of this call.
fn restart(pair: &mut Pair, call: CallId, seed: u64) -> CallId {
    let saved = pair.a().endpoint.saved(call).unwrap();
    let address = pair.a().address;
    let config = Config { udp: vec![address], tcp: vec![address], ..Config::default() };
    pair.a().endpoint = Endpoint::new(config, seed);
    pair.a().events.clear();
    let call = pair.a().endpoint.resume(&saved).unwrap();
    assert_eq!(pair.a().endpoint.resume(&saved), Err(Refused::WrongState), "only once");
    call
}

#[test]
fn the_dialog_goes_on_both_ways_after_a_restart() {
    let mut pair = Pair::new(1, FAIR);
    let (call, other) = pair.established(Protocol::Udp);
    let call = restart(&mut pair, call, 99);
    let now = pair.now;
    pair.a().endpoint.reoffer(now, call, Some(Bytes::from_static(OFFER))).unwrap();
    pair.run(SECOND);
    assert_eq!(pair.a().story(), ["answer"]);
    assert_eq!(pair.b().told("reoffer"), 1);
    // And the other side's requests find it.
    let now = pair.now;
    pair.b().endpoint.reoffer(now, other, Some(Bytes::from_static(OFFER))).unwrap();
    pair.run(SECOND);
    assert_eq!(pair.a().told("reoffer"), 1);
    let now = pair.now;
    pair.b().endpoint.hangup(now, other, None).unwrap();
    pair.run(SECOND);
    assert_eq!(pair.a().story().last().unwrap(), "ended remote-hang-up");
}

#[test]
fn a_call_that_was_taken_goes_on_as_well() {
    let mut pair = Pair::new(2, FAIR);
    let (_, called) = pair.established(Protocol::Udp);
    let saved = pair.b().endpoint.saved(called).unwrap();
    let address = pair.b().address;
    let config = Config { udp: vec![address], focus: true, ..Config::default() };
    pair.b().endpoint = Endpoint::new(config, 77);
    let resumed = pair.b().endpoint.resume(&saved).unwrap();
    let now = pair.now;
    pair.b().endpoint.hangup(now, resumed, None).unwrap();
    pair.run(SECOND);
    assert_eq!(pair.a().story().last().unwrap(), "ended remote-hang-up");
}

#[test]
fn a_device_that_forgot_the_call_says_so() {
    let mut pair = Pair::new(3, FAIR);
    let (call, _) = pair.established(Protocol::Udp);
    let call = restart(&mut pair, call, 98);
    let address = pair.b().address;
    pair.b().endpoint = Endpoint::new(Config { udp: vec![address], ..Config::default() }, 5);
    let now = pair.now;
    pair.a().endpoint.reoffer(now, call, Some(Bytes::from_static(OFFER))).unwrap();
    pair.run(SECOND);
    assert_eq!(pair.a().story(), ["ended forgotten"]);
}

#[test]
fn only_calls_that_stand_are_kept() {
    let mut pair = Pair::new(4, FAIR);
    let now = pair.now;
    let target = Target::new(Uri::sip("8000", at("192.0.2.9:5060")));
    let call = pair.a().endpoint.call(now, target, None).unwrap();
    assert_eq!(pair.a().endpoint.saved(call), None);
}

#[test]
fn redirections_come_in_the_order_of_their_preference_and_refusals_with_their_words() {
    let mut pair = Pair::new(5, FAIR);
    pair.b().manner = crate::common::Manner::Silent;
    let call = pair.dial(Protocol::Udp, Some(OFFER));
    pair.run(SECOND);
    let (now, incoming) = (pair.now, pair.b().call());
    let contacts = "<sip:low@192.0.2.7>;q=0.1, <sip:high@192.0.2.8>, sip:middle@192.0.2.9;q=0.5";
    let headers = [("Contact", contacts), ("Warning", "399 mcu \"moved to the new room\"")];
    pair.b().endpoint.reject(now, incoming, 302, &headers).unwrap();
    pair.run(SECOND);
    let Some(Event::Rejected { call: refused, status: 302, contacts, told, .. }) = pair.a().events.last()
    else {
        panic!("{:?}", pair.a().story())
    };
    assert_eq!(*refused, call);
    let users: Vec<String> = contacts.iter().map(Uri::user).collect();
    assert_eq!(users, ["high", "middle", "low"]);
    assert_eq!(told.warning, Some((399, "moved to the new room".to_owned())));
}
