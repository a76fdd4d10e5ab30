//! The torture messages of RFC 4475 and RFC 5118, and what comes of each.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod common;

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use bytes::Bytes;
use cau_sip::{Config, Event, Transport, message::Message, message::parse};
use common::{Bench, response};
use proptest::prelude::*;

/// What an endpoint shall do with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reaction {
    /// A call comes in.
    Call,
    /// A final response.
    Status(u16),
    /// A response that matches nothing of ours: counted.
    Stray,
    /// Counted and dropped.
    Dropped,
}

use Reaction::{Call, Dropped, Status, Stray};

/// RFC 4475 in its order; REGISTER is not ours (405).
const RFC_4475: &[(&str, Reaction)] = &[
    // It has a To tag: some call, but none of ours (12.2.2).
    ("wsinv", Status(481)),
    ("intmeth", Status(501)),
    ("esc01", Call),
    ("escnull", Status(405)),
    ("esc02", Status(501)),
    ("lwsdisp", Status(200)),
    ("longreq", Call),
    ("dblreq", Status(405)),
    ("semiuri", Status(200)),
    ("transports", Status(200)),
    ("mpart01", Status(405)),
    ("unreason", Stray),
    ("noreason", Stray),
    ("badinv01", Status(400)),
    ("clerr", Status(400)),
    ("ncl", Status(400)),
    ("scalar02", Status(400)),
    ("scalarlg", Stray),
    ("quotbal", Status(400)),
    ("ltgtruri", Status(400)),
    ("lwsruri", Status(400)),
    ("lwsstart", Status(400)),
    ("trws", Status(400)),
    ("escruri", Status(400)),
    // What the header says does not matter to us (3.1.2.12).
    ("baddate", Call),
    ("regbadct", Status(405)),
    // Taken as meant (3.1.2.14, 3.1.2.15).
    ("badaspec", Status(200)),
    ("baddn", Status(200)),
    ("badvers", Status(505)),
    ("mismatch01", Status(400)),
    ("mismatch02", Status(400)),
    ("bigcode", Dropped),
    // Without a usable branch it is matched as of RFC 2543 (3.2.1).
    ("badbranch", Status(200)),
    ("insuf", Status(400)),
    ("unkscm", Status(416)),
    ("novelsc", Status(416)),
    ("unksm2", Status(405)),
    ("bext01", Status(420)),
    ("invut", Status(415)),
    ("regaut01", Status(405)),
    ("multi01", Status(400)),
    ("mcl01", Status(400)),
    ("bcast", Stray),
    ("zeromf", Status(483)),
    ("cparam01", Status(405)),
    ("cparam02", Status(405)),
    ("regescrt", Status(405)),
    ("sdp01", Status(406)),
    ("inv2543", Call),
];

const RFC_5118: &[(&str, Reaction)] = &[
    ("ipv6-good", Status(405)),
    ("ipv6-bad", Status(400)),
    ("port-ambiguous", Status(405)),
    ("port-unambiguous", Status(405)),
    ("via-received-param-with-delim", Status(481)),
    ("via-received-param-no-delim", Status(200)),
    // Content-Length is not that of the body, in the RFC too.
    ("ipv6-in-sdp", Status(400)),
    ("mult-ip-in-header", Status(481)),
    ("mult-ip-in-sdp", Call),
    ("ipv4-mapped-ipv6", Call),
    ("ipv6-bug-abnf-3-colons", Status(200)),
    ("ipv6-correct-abnf-2-colons", Status(200)),
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn reaction(bytes: &[u8]) -> Reaction {
    let mut bench = Bench::new(Config::default());
    bench.input(Transport::Udp, bytes);
    let mut sent = bench.sent();
    match bench.events().pop() {
        Some(Event::Incoming { .. }) => {
            assert!(sent.is_empty());
            return Call;
        }
        Some(other) => panic!("{other:?}"),
        None => {}
    }
    let counters = *bench.endpoint.counters();
    match sent.pop() {
        Some(message) => Status(response(message).status),
        None if counters.stray_responses == 1 => Stray,
        None => {
            assert_eq!(counters.unreadable, 1, "dropped without being counted");
            Dropped
        }
    }
}

fn check(name: &str, table: &[(&str, Reaction)]) {
    let mut wrong = Vec::new();
    for (file, expected) in table {
        let bytes = std::fs::read(folder(name).join(format!("{file}.dat"))).unwrap();
        let seen = reaction(&bytes);
        if seen != *expected {
            wrong.push(format!("{file}: {seen:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(std::fs::read_dir(folder(name)).unwrap().count(), table.len(), "every file has its line");
}

#[test]
fn rfc_4475() {
    check("rfc4475", RFC_4475);
}

#[test]
fn rfc_5118() {
    check("rfc5118", RFC_5118);
}

/// Messages of another project's tests: not ours to copy, so read where they lie.
#[test]
#[allow(clippy::disallowed_macros, reason = "a skipped test says so")]
fn oddities_of_another_stack_are_survived() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/sip/sofia-sip");
    let Ok(files) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: {} is not there", folder.display());
        return;
    };
    let mut seen = 0;
    for file in files {
        let text = std::fs::read(file.unwrap().path()).unwrap();
        let with_crlf = String::from_utf8_lossy(&text).replace("\r\n", "\n").replace('\n', "\r\n");
        for bytes in [&text[..], with_crlf.as_bytes()] {
            reaction(bytes);
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen}");
}

fn messages() -> &'static [Vec<u8>] {
    static ALL: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = Vec::new();
        for name in ["rfc4475", "rfc5118"] {
            let mut files: Vec<_> =
                std::fs::read_dir(folder(name)).unwrap().map(|f| f.unwrap().path()).collect();
            files.sort();
            all.extend(files.into_iter().map(|f| std::fs::read(f).unwrap()));
        }
        all
    })
}

/// Damage to a message: bytes overwritten, ranges cut out or repeated.
fn damage() -> impl Strategy<Value = Vec<(u8, prop::sample::Index, prop::sample::Index, u8)>> {
    let byte = prop_oneof![
        any::<u8>(),
        Just(b'\n'),
        Just(b'\r'),
        Just(b'"'),
        Just(b'<'),
        Just(b';'),
        Just(b','),
        Just(b':')
    ];
    prop::collection::vec((0u8..4, any::<prop::sample::Index>(), any::<prop::sample::Index>(), byte), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_from_outside_panics(which in any::<prop::sample::Index>(), damage in damage(), piece in 1usize..200) {
        let mut bytes = which.get(messages()).clone();
        for (kind, from, to, byte) in damage {
            if bytes.is_empty() {
                break;
            }
            let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
            let (low, high) = (from.min(to), from.max(to));
            match kind {
                0 => bytes[from] = byte,
                1 => bytes.insert(from, byte),
                2 => drop(bytes.drain(low..high.min(low + 40))),
                _ => {
                    let copy = bytes[low..high.min(low + 200)].to_vec();
                    bytes.splice(low..low, copy);
                }
            }
        }
        let mut bench = Bench::new(Config::default());
        // As a datagram, and as a stream in pieces.
        bench.input(Transport::Udp, &bytes);
        for part in bytes.chunks(piece) {
            bench.input(Transport::Tcp(cau_sip::ConnId(1)), part);
        }
        for event in bench.events() {
            if let Event::Incoming { call, .. } = event {
                let _ = bench.endpoint.accept(bench.now, call, Bytes::from_static(common::ANSWER));
                let _ = bench.endpoint.hangup(bench.now, call, Some("\"\\\r\n"));
            }
        }
        for transmit in bench.transmits() {
            if !transmit.bytes.is_empty() && &transmit.bytes[..] != b"\r\n" {
                prop_assert!(parse(&transmit.bytes, &Default::default()).is_ok(), "what we send can be read: {:?}", transmit.bytes);
            }
        }
        // Everything is over one day.
        for _ in 0..200 {
            let Some(next) = bench.endpoint.poll_timeout() else { break };
            bench.now = bench.now.max(next);
            bench.endpoint.handle_timeout(bench.now);
            bench.transmits();
            bench.events();
        }
        prop_assert_eq!((bench.endpoint.calls(), bench.endpoint.transactions()), (0, 0));
    }

    #[test]
    fn a_message_read_and_written_reads_the_same(which in any::<prop::sample::Index>()) {
        if let Ok(message) = parse(&Bytes::from(which.get(messages()).clone()), &Default::default()) {
            let bytes = match &message {
                Message::Request(r) => r.to_bytes(),
                Message::Response(r) => r.to_bytes(),
            };
            let again = parse(&bytes, &Default::default()).unwrap();
            let bodies = |m: &Message| match m { Message::Request(r) => r.body.clone(), Message::Response(r) => r.body.clone() };
            prop_assert_eq!(bodies(&message), bodies(&again));
            let named = |m: &Message| m.headers().iter().filter(|h| h.name != cau_sip::message::Name::ContentLength).cloned().collect::<Vec<_>>();
            prop_assert_eq!(named(&message), named(&again));
        }
    }
}
