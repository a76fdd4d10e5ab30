use crate::common::{MS, packet, start};
use bytes::Bytes;
use cau_rtp::Session;
use cau_rtp::keyframe::{Ask, Heard};
use cau_rtp::rtcp::{Item, parse};
use cau_rtp::session::{Config, Notice};
use cau_rtp::stream::Outgoing;
use proptest::prelude::*;
use std::time::{Duration, Instant, SystemTime};

fn session(now: Instant, seed: u64, reduced_size: bool) -> Session {
    Session::new(
        now,
        Config {
            clock_rate: 90_000,
            cname: format!("site-{seed}"),
            name: Some("Xã Hòa Phú".into()),
            kbps: 1_500,
            reduced_size,
            wall: (now, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
            seed,
        },
    )
}

fn out(timestamp: u32) -> Outgoing<'static> {
    Outgoing {
        pt: 96,
        marker: true,
        source: 0,
        timestamp,
        csrc: &[],
        payload: Bytes::from_static(&[1]),
        origin: 0,
    }
}

#[test]
fn two_sides_learn_loss_and_round_trip_of_each_other() {
    let t0 = start();
    let (mut a, mut b) = (session(t0, 1, false), session(t0, 2, false));
    let way = 30 * MS;
    let mut mail: Vec<(Instant, bool, Vec<u8>)> = Vec::new();
    let mut names = Vec::new();
    for ms in 0..20_000u32 {
        let now = t0 + MS * ms;
        if ms % 40 == 0 {
            let p = a.send(now, out(90 * ms));
            if ms % 400 != 0 || ms == 0 {
                b.receive(now + way, p);
            }
            let p = b.send(now, out(90 * ms));
            a.receive(now + way, p);
        }
        mail.extend(a.poll_rtcp(now).map(|d| (now + way, true, d)));
        mail.extend(b.poll_rtcp(now).map(|d| (now + way, false, d)));
        for (_, to_b, d) in mail.extract_if(.., |m| m.0 <= now) {
            let notices = if to_b { b.handle_rtcp(now, &d) } else { a.handle_rtcp(now, &d) };
            names.extend(notices.into_iter().filter_map(|n| match n {
                Notice::Name(n) => Some(n),
                _ => None,
            }));
        }
    }
    for s in [&a, &b] {
        let rtt = s.sender.rtt().expect("round trip");
        assert!(rtt >= 59 * MS && rtt <= 61 * MS, "{rtt:?}");
    }
    let seen = a.sender.remote().expect("report").lost;
    assert!((30..50).contains(&seen), "{seen}");
    assert_eq!(b.sender.remote().map(|r| r.lost), Some(0));
    assert!(names.contains(&Bytes::from("Xã Hòa Phú")));
}

#[test]
fn a_request_goes_at_once_inside_a_compound_packet() {
    let t0 = start();
    let mut s = session(t0, 1, false);
    assert!(!s.ask(Ask::Pli), "nobody to ask yet");
    s.receive(t0, packet(96, 1, 0, 77, false, &[1]));
    assert!(!s.ask(Ask::Info), "the signalling's");
    assert!(s.ask(Ask::Pli) && s.ask(Ask::Pli));
    let items = parse(&s.poll_rtcp(t0).expect("at once")).items;
    assert!(
        matches!(
            &items[..],
            [Item::ReceiverReport { .. }, Item::Description(_), Item::Pli { media: 77, .. }]
        ),
        "{items:?}"
    );
    assert_eq!(s.poll_rtcp(t0), None);
}

#[test]
fn reduced_size_feedback_goes_alone_once_a_report_was_sent() {
    let t0 = start();
    let mut s = session(t0, 1, true);
    s.receive(t0, packet(96, 1, 0, 77, false, &[1]));
    s.ask(Ask::Fir);
    assert!(s.poll_rtcp(t0).is_some_and(|d| parse(&d).items.len() == 3));
    s.ask(Ask::Fir);
    let items = parse(&s.poll_rtcp(t0 + 60 * MS).expect("feedback")).items;
    assert_eq!(items, [Item::Fir { sender: s.sender.ssrc(), targets: [(77, 1)].into_iter().collect() }]);
}

#[test]
fn requests_of_every_kind_are_heard_even_with_a_wrong_target() {
    let t0 = start();
    let mut s = session(t0, 1, false);
    let mut w = cau_rtp::rtcp::Writer::new();
    w.receiver_report(9, &[]).description(9, "x", None).pli(9, 0).fir(9, 1_234, 5).fir_rfc2032(9);
    let heard: Vec<_> =
        s.handle_rtcp(t0, &w.finish()).into_iter().filter(|n| matches!(n, Notice::KeyFrame(_))).collect();
    assert_eq!(
        heard,
        [
            Notice::KeyFrame(Heard::Pli),
            Notice::KeyFrame(Heard::Fir { from: 9, seq: 5 }),
            Notice::KeyFrame(Heard::FirRfc2032)
        ]
    );
}

#[test]
fn a_limit_is_obeyed_and_confirmed() {
    let t0 = start();
    let (mut a, mut b) = (session(t0, 1, false), session(t0, 2, false));
    let p = a.send(t0, out(0));
    b.receive(t0, p);
    b.limit(512_000);
    let notices = a.handle_rtcp(t0, &b.poll_rtcp(t0).expect("request"));
    assert!(notices.iter().any(|n| matches!(n, Notice::Limit { bits: 512_000, .. })), "{notices:?}");
    let items = parse(&a.poll_rtcp(t0).expect("notification")).items;
    assert!(items.iter().any(|i| matches!(i, Item::Tmmbn { limits, .. }
        if limits[0].ssrc == b.sender.ssrc() && limits[0].bitrate == 512_000)));
}

#[test]
fn the_last_word_is_a_report_and_goodbye() {
    let t0 = start();
    let (mut a, mut b) = (session(t0, 1, false), session(t0, 2, false));
    let p = a.send(t0, out(0));
    b.receive(t0, p);
    let last = a.goodbye(t0);
    assert!(matches!(
        &parse(&last).items[..],
        [Item::SenderReport { .. }, Item::Description(_), Item::Bye(_)]
    ));
    assert!(b.handle_rtcp(t0, &last).iter().any(|n| matches!(n, Notice::Bye(_))));
}

#[test]
fn a_line_that_stopped_sending_reports_as_a_receiver() {
    let t0 = start();
    let mut s = session(t0, 1, false);
    s.send(t0, out(0));
    let kind = |s: &mut Session| {
        let at = s.poll_timeout();
        parse(&s.poll_rtcp(at).expect("due")).items.remove(0)
    };
    assert!(matches!(kind(&mut s), Item::SenderReport { .. }));
    while s.poll_timeout() < t0 + Duration::from_secs(20) {
        let at = s.poll_timeout();
        s.poll_rtcp(at);
    }
    assert!(matches!(kind(&mut s), Item::ReceiverReport { .. }));
}

proptest! {
    #[test]
    fn any_bytes(datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..20)) {
        let t0 = start();
        let mut s = session(t0, 1, false);
        for d in datagrams {
            s.handle_rtcp(t0, &d);
        }
        s.poll_rtcp(t0 + MS * 2_000);
    }
}
