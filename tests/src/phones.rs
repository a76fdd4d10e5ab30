//! Our own phone, for what the clients cannot do: odd habits, times to the millisecond, every picture judged.

use std::{
    net::IpAddr,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use cau_load::{
    Codec, Fleet, Options, Persona, PhoneId, Plan, Record,
    clip::{Library, Shape},
};
use cau_rtp::h264::Mode;
use cau_sip::{Uri, sdp::h264::Receive};

use crate::{Server, server::free_block};

/// Clips are made once per test program.
static LIBRARY: LazyLock<Library> = LazyLock::new(Library::default);

/// 640×360 at 30 pictures a second: enough for the judge, and light.
pub fn shape() -> Shape {
    Shape { width: 640, height: 360, kbps: 600, ..Shape::hd(Mode::SingleNal) }
}

/// A fleet on ports of its own.
pub fn fleet() -> Fleet {
    fleet_at(Options::default().ip)
}

/// The same at this address of the machine.
pub fn fleet_at(ip: IpAddr) -> Fleet {
    let (first, last) = free_block(160);
    Fleet::start(&Options { ip, ports: first..=last, ..Options::default() }).expect("the phones' threads")
}

/// A phone of this identity that decodes and judges everything it gets.
pub fn plan(server: &Server, room: &str, id: u8, codec: Codec, persona: Persona) -> Plan {
    let sound = LIBRARY.sound(id, codec).expect("a judged sound");
    let reel = LIBRARY.reel(id, &persona, shape()).expect("a judged clip");
    Plan {
        target: Uri::parse(server.uri(room).as_bytes()).expect("an address"),
        remote: None,
        user: format!("ep{id}"),
        name: Some(format!("Điểm cầu {id}")),
        id,
        sound: vec![(codec, sound)],
        reel: Some(reel),
        receive: Receive::HD720,
        max_kbps: 2_000,
        persona,
        decodes: true,
        redials: false,
    }
}

/// The same over TCP.
pub fn over_tcp(mut plan: Plan, server: &Server, room: &str) -> Plan {
    plan.target = Uri::parse(format!("{};transport=tcp", server.uri(room)).as_bytes()).expect("an address");
    plan
}

/// Waits until every one of these phones has seen every one of these identities, each with a readable bar, in one picture.
pub fn wait_until_all_see(fleet: &Fleet, phones: &[PhoneId], ids: &[u8], limit: Duration) -> Instant {
    let seen = fleet.wait(limit, |records| {
        phones
            .iter()
            .map(|phone| {
                let sight = &records[phone].sight;
                let all = |look: &&cau_load::Look| {
                    ids.iter().all(|id| look.tiles.iter().any(|t| t.bar.is_some_and(|(i, _)| i == *id)))
                };
                sight.looks.iter().find(all).map(|l| l.at)
            })
            .collect::<Option<Vec<Instant>>>()
    });
    let states = || {
        fleet.look(|r| {
            r.values()
                .map(|r| (r.id, r.state.clone(), r.stats.pictures, r.sight.looks.back().cloned()))
                .collect::<Vec<_>>()
        })
    };
    let seen = seen.unwrap_or_else(|| panic!("not everybody saw {ids:?} within {limit:?}: {:#?}", states()));
    seen.into_iter().max().expect("at least one phone")
}

/// Asserts what holds for every phone in a calm conference from `from` on: no broken bar, nothing damaged, no decoder error, nothing frozen for
/// more than half a second, no gap of sound.
pub fn assert_clean(record: &Record, ids: &[u8], from: Instant) {
    assert_eq!(record.stats.missed, 0, "phone {}: this machine was too slow to judge", record.id);
    let broken: Vec<_> = record
        .sight
        .since(from)
        .filter(|l| l.damaged || l.tiles.iter().any(|t| t.bar.is_none()))
        .take(3)
        .collect();
    assert!(broken.is_empty(), "phone {} saw broken pictures: {broken:#?}", record.id);
    assert_eq!(
        record.sight.errors,
        0,
        "phone {}: the decoder refused pictures: {:#?}",
        record.id,
        (record.answered, record.stats.first_decodable, &record.sight.first_error, &record.sight.last_error)
    );
    for id in ids {
        let frozen = record.sight.longest_freeze(*id, from);
        assert!(
            frozen <= Duration::from_millis(500),
            "phone {}: the picture of {id} stood for {frozen:?}",
            record.id
        );
    }
    assert_eq!(
        record.stats.freezes, 0,
        "phone {}: no picture for {} ms",
        record.id, record.stats.longest_gap_ms
    );
}

/// Asserts that phone hears exactly these identities in every full second after `from` but `bad` of them.
pub fn assert_hears(record: &Record, ids: &[u8], from: Instant, bad: usize) {
    let wanted = ids.iter().fold(0u8, |bits, id| bits | 1 << id);
    let seconds: Vec<u8> =
        record.sight.seconds.iter().filter(|(at, _)| *at >= from).map(|(_, bits)| *bits).collect();
    assert!(seconds.len() >= 2, "phone {}: too little sound after that: {seconds:?}", record.id);
    let wrong = seconds.iter().filter(|bits| **bits != wanted).count();
    assert!(wrong <= bad, "phone {} should hear {wanted:08b}, hears {seconds:?}", record.id);
}

/// The library of judged clips, for odd shapes.
pub fn library() -> &'static Library {
    &LIBRARY
}

/// A shared clip as the only one of a plan.
pub fn only(video: Arc<cau_load::clip::Video>, mode: Mode) -> cau_load::Reel {
    match mode {
        Mode::SingleNal => cau_load::Reel { single: Some(video), ..Default::default() },
        Mode::NonInterleaved => cau_load::Reel { fragmented: Some(video), ..Default::default() },
    }
}
