//! The table of bindings.
#![expect(clippy::disallowed_methods, reason = "a clock has to begin somewhere")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{binding::Key, table::Full, *};
use crate::{
    transport::{ConnId, Protocol},
    wire::Flow,
};

const SECOND: Duration = Duration::from_secs(1);

fn binding(user: &str, expires: Instant) -> Binding {
    let remote = "203.0.113.7:1024".parse().unwrap();
    let flow = Flow { protocol: Protocol::Udp, conn: None, local: "192.0.2.1:5060".parse().unwrap(), remote };
    let uri = format!("sip:{user}@10.0.0.5:5060");
    Binding {
        device: Device {
            contact: uri.parse().unwrap(),
            remote,
            protocol: Protocol::Udp,
            user_agent: None,
            q: 1000,
        },
        written: format!("<{uri}>").into(),
        key: Key::Address(uri.into()),
        call_id: "c".into(),
        cseq: 1,
        expires,
        path: Vec::new(),
        flow,
        hidden: true,
    }
}

fn put(registrar: &mut Registrar, account: &Arc<str>, binding: Binding) -> Vec<Change> {
    let changed = registrar.update(account, vec![Update::Put(Box::new(binding))]).unwrap();
    changed.into_iter().map(|c| c.change).collect()
}

fn registrar(config: Config) -> (Instant, Registrar, Arc<str>) {
    (Instant::now(), Registrar::new(config), "hoa-phu".into())
}

#[test]
fn a_refresh_is_no_news_and_the_end_is() {
    let (now, mut it, who) = registrar(Config::default());
    assert_eq!(put(&mut it, &who, binding("a", now + 60 * SECOND)), [Change::Registered]);
    assert_eq!(put(&mut it, &who, binding("a", now + 90 * SECOND)), []);
    assert_eq!((it.count(), it.next()), (1, Some(now + 90 * SECOND)));
    assert!(it.expire(now + 89 * SECOND).is_empty());
    let gone = it.expire(now + 90 * SECOND);
    assert_eq!(gone.iter().map(|c| c.change).collect::<Vec<_>>(), [Change::Lost]);
    assert_eq!((it.count(), it.next(), it.of("hoa-phu").len()), (0, None, 0));
}

#[test]
fn one_account_makes_room_for_itself_and_the_whole_is_bounded() {
    let (now, mut it, who) = registrar(Config { max_per_account: 2, max_bindings: 3, ..Config::default() });
    put(&mut it, &who, binding("a", now + 60 * SECOND));
    put(&mut it, &who, binding("b", now + 90 * SECOND));
    assert_eq!(put(&mut it, &who, binding("c", now + 70 * SECOND)), [Change::Registered, Change::Lost]);
    let left: Vec<_> = it.of("hoa-phu").iter().map(|b| b.device.contact.user()).collect();
    assert_eq!(left, ["b", "c"]);
    let other: Arc<str> = "other".into();
    put(&mut it, &other, binding("d", now + 60 * SECOND));
    let full = it.update(&other, vec![Update::Put(Box::new(binding("e", now + 60 * SECOND)))]);
    assert_eq!(full.map(|_| ()), Err(Full));
    assert_eq!(put(&mut it, &other, binding("d", now + 80 * SECOND)), [], "a refresh needs no room");
}

#[test]
fn the_preferred_device_comes_first() {
    let (now, mut it, who) = registrar(Config::default());
    let mut low = binding("low", now + 90 * SECOND);
    low.device.q = 100;
    put(&mut it, &who, low);
    put(&mut it, &who, binding("old", now + 60 * SECOND));
    put(&mut it, &who, binding("new", now + 70 * SECOND));
    let order: Vec<_> = it.of("hoa-phu").iter().map(|b| b.device.contact.user()).collect();
    assert_eq!(order, ["new", "old", "low"]);
}

#[test]
fn a_connection_takes_those_with_it_who_have_no_other_way() {
    let (now, mut it, who) = registrar(Config::default());
    let over = |user: &str, hidden| {
        let mut it = binding(user, now + 60 * SECOND);
        it.flow.protocol = Protocol::Tcp;
        it.flow.conn = Some(ConnId(4));
        it.hidden = hidden;
        it
    };
    put(&mut it, &who, over("behind-nat", true));
    put(&mut it, &who, over("reachable", false));
    let way = |it: &Registrar| it.of("hoa-phu").iter().map(|b| b.remote().to_string()).collect::<Vec<_>>();
    assert_eq!(way(&it), ["203.0.113.7:1024", "203.0.113.7:1024"]);
    let gone = it.closed(ConnId(4));
    assert_eq!(gone.iter().map(|c| c.device.contact.user()).collect::<Vec<_>>(), ["behind-nat"]);
    assert_eq!(way(&it), ["10.0.0.5:5060"]);
    assert!(it.closed(ConnId(4)).is_empty());
}

#[test]
fn what_came_late_is_known_by_its_number() {
    let (now, mut it, who) = registrar(Config::default());
    put(&mut it, &who, Binding { cseq: 5, ..binding("a", now + 60 * SECOND) });
    let key = binding("a", now).key;
    assert!(it.is_late("hoa-phu", &key, b"c", 5));
    assert!(!it.is_late("hoa-phu", &key, b"c", 6));
    assert!(!it.is_late("hoa-phu", &key, b"other", 1));
}
