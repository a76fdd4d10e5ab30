//! The torture messages of RFC 4475 and RFC 5118, and what comes of each.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::common::{Bench, response};
use bytes::Bytes;
use cau_sip::{
    Config, Event, Transport,
    message::{Message, Name, parse},
};
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

/// A message, what comes of it, and the section that says so.
type Row = (&'static str, Reaction, &'static str);

/// RFC 4475 in its order. "may": the section leaves the choice between this and something else. REGISTER is answered 405 by an
/// endpoint that is no registrar (3.3.7).
const RFC_4475: &[Row] = &[
    (
        "wsinv",
        Status(481),
        "3.1.1.1: well formed; it has a To tag: a dialog, but none of ours (RFC 3261 12.2.2)",
    ),
    ("intmeth", Status(501), "3.1.1.2: endpoints answer 501 with Allow"),
    ("esc01", Call, "3.1.1.3: well formed"),
    ("escnull", Status(405), "3.1.1.4: well formed; no registrar"),
    ("esc02", Status(501), "3.1.1.5: RE%47IST%45R is another method: 501"),
    ("lwsdisp", Status(200), "3.1.1.6: accepted as well formed"),
    ("longreq", Call, "3.1.1.7: well formed"),
    ("dblreq", Status(405), "3.1.1.8: REGISTER as usual, the rest of the datagram ignored"),
    ("semiuri", Status(200), "3.1.1.9: well formed"),
    ("transports", Status(200), "3.1.1.10: as if the lower Vias said UDP"),
    ("mpart01", Status(405), "3.1.1.11: well formed; MESSAGE is not for us"),
    ("unreason", Stray, "3.1.1.12: well formed; matches no request of ours (RFC 3261 18.1.2)"),
    ("noreason", Stray, "3.1.1.13: well formed; matches no request of ours"),
    ("badinv01", Status(400), "3.1.2.1: 400"),
    ("clerr", Status(400), "3.1.2.2: 400 over UDP"),
    ("ncl", Status(400), "3.1.2.3: an error"),
    ("scalar02", Status(400), "3.1.2.4: 400 because of CSeq"),
    ("scalarlg", Stray, "3.1.2.5: discarded"),
    ("quotbal", Status(400), "3.1.2.6: 400"),
    ("ltgtruri", Status(400), "3.1.2.7: always reasonable"),
    ("lwsruri", Status(400), "3.1.2.8: 400"),
    ("lwsstart", Status(400), "3.1.2.9: may be rejected as malformed"),
    ("trws", Status(400), "3.1.2.10: may be rejected as malformed"),
    ("escruri", Status(400), "3.1.2.11: may be rejected with 400"),
    ("baddate", Call, "3.1.2.12: ignored by who does not need the date"),
    ("regbadct", Status(405), "3.1.2.13: 400 is a registrar's; we are none"),
    ("badaspec", Status(200), "3.1.2.14: the spaces may be ignored"),
    ("baddn", Status(200), "3.1.2.15: the quotes may be inferred"),
    ("badvers", Status(505), "3.1.2.16: 505"),
    ("mismatch01", Status(400), "3.1.2.17: 400"),
    ("mismatch02", Status(501), "3.1.2.18: 501, which ages better than 400"),
    ("bigcode", Dropped, "3.1.2.19: dropped"),
    ("badbranch", Status(200), "3.2.1: may be matched as of RFC 2543"),
    ("insuf", Status(400), "3.3.1: ideally 400"),
    ("unkscm", Status(416), "3.3.2: 416"),
    ("novelsc", Status(416), "3.3.3: 416 by who never takes that scheme"),
    ("unksm2", Status(405), "3.3.4: well formed; 400 is a registrar's"),
    ("bext01", Status(420), "3.3.5: 420 with what Require lists: we are an endpoint"),
    ("invut", Status(415), "3.3.6: 415"),
    ("regaut01", Status(405), "3.3.7: 405 by who is no registrar"),
    ("multi01", Status(400), "3.3.8: 400"),
    ("mcl01", Status(400), "3.3.9: an error"),
    ("bcast", Stray, "3.3.10: discarded"),
    ("zeromf", Status(200), "3.3.11: an endpoint goes on as if it were positive"),
    ("cparam01", Status(405), "3.3.12: for a registrar; we are none"),
    ("cparam02", Status(405), "3.3.13: for a registrar; we are none"),
    ("regescrt", Status(405), "3.3.14: for a registrar; we are none"),
    ("sdp01", Status(406), "3.3.15: 406 with Warning 399"),
    ("inv2543", Call, "3.4.1: accepted"),
];

const RFC_5118: &[Row] = &[
    ("ipv6-good", Status(405), "4.1: well formed; no registrar"),
    ("ipv6-bad", Status(400), "4.2: 400"),
    ("port-ambiguous", Status(405), "4.3: well formed"),
    ("port-unambiguous", Status(405), "4.4: well formed"),
    ("via-received-param-with-delim", Status(481), "4.5: parsed; BYE of a dialog that is not ours"),
    ("via-received-param-no-delim", Status(200), "4.5: parsed"),
    // As printed, its Content-Length is more than the body: RFC 4475 3.1.2.2 then. With the right one it is a call, see below.
    ("ipv6-in-sdp", Status(400), "4.6: valid but for its Content-Length"),
    ("mult-ip-in-header", Status(481), "4.7: well formed; BYE of a dialog that is not ours"),
    ("mult-ip-in-sdp", Call, "4.8: well formed"),
    ("ipv4-mapped-ipv6", Call, "4.9: well formed"),
    ("ipv6-bug-abnf-3-colons", Status(200), "4.10: both forms are tolerated"),
    ("ipv6-correct-abnf-2-colons", Status(200), "4.10: both forms are tolerated"),
];

/// Another stack's oddities, which are not ours to copy. Reasons as far as they are not those of the same mistake above.
const OTHERS: &[Row] = &[
    ("own0", Status(405), "REGISTER"),
    ("own1", Status(481), "a To tag of nobody"),
    ("own2", Stray, "a 401 nobody asked for"),
    ("own3", Status(405), "REGISTER"),
    ("own4", Status(405), "REGISTER"),
    ("own5", Call, "IPv6 everywhere"),
    ("own6", Status(200), "OPTIONS"),
    ("own8", Dropped, "JUNK * SIP/1.0 and no header at all"),
    ("test-ack-1", Dropped, "an ACK that is not well formed is never answered (RFC 3261 17.1.1.3)"),
    ("test1", Status(481), "a To tag of nobody"),
    ("test1a", Status(481), "a To tag of nobody"),
    ("test2", Status(420), "Require: something unknown"),
    ("test3", Call, ""),
    ("test4", Status(405), "REGISTER"),
    ("test5", Status(406), "Accept without application/sdp"),
    ("test6", Status(415), "a body of another kind"),
    ("test7", Status(501), "NEWMETHOD"),
    ("test8", Status(501), "NEWMETHOD"),
    ("test9", Status(405), "REGISTER"),
    ("test10", Status(405), "REGISTER"),
    ("test10b", Status(405), "REGISTER"),
    ("test10c", Status(405), "REGISTER"),
    ("test11", Status(400), "no From"),
    ("test12", Status(400), "two of From"),
    ("test13", Call, ""),
    ("test14", Stray, "a 200 nobody asked for"),
    ("test14-req", Call, ""),
    ("test15", Status(400), "Via with empty parameters"),
    ("test16", Status(400), "Content-Length above the body"),
    ("test17", Status(400), "Content-Length below zero"),
    ("test18", Call, "a Date in another form"),
    ("test19", Status(400), "an open quote in To"),
    ("test20", Status(400), "a blank behind the version"),
    ("test21", Status(400), "<> round the Request-URI"),
    ("test22", Status(400), "a blank within the Request-URI"),
    ("test23", Status(400), "two blanks in the start line"),
    ("test24", Call, "an escaped address as user"),
    ("test25", Status(400), "headers in the Request-URI"),
    ("test26", Status(416), "name:user"),
    ("test27", Status(200), "OPTIONS"),
    ("test28", Status(200), "OPTIONS"),
    ("test29", Call, ""),
    ("test30", Call, ""),
    ("test31", Status(483), "Max-Forwards: 0 in an INVITE"),
    ("test32", Status(405), "REGISTER"),
    ("test33", Status(405), "REGISTER"),
    ("test34", Call, ""),
    ("test35", Status(400), "two of To"),
    ("test36", Call, "a user part with nearly every sign"),
    ("test37", Status(405), "REGISTER"),
    ("test38", Status(405), "REGISTER"),
    ("test39", Call, "line ends behind the headers are no body"),
    ("test40", Call, "the same"),
    ("test41", Status(505), "SIP/7.0"),
    ("test42", Status(505), "SIP/7.0"),
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn reaction(bytes: &[u8]) -> Reaction {
    let mut bench = Bench::new(Config::default());
    bench.input(Transport::Udp, bytes);
    let seen = outcome(&mut bench);
    let answered = bench.endpoint.counters().sent;
    // Alive, and with nothing left over: the next one is served, and all that was begun comes to its end.
    let options = crate::common::request("OPTIONS", "alive", "", "").replace("bench", "alive");
    assert_eq!(bench.response(&options).status, 200);
    for _ in 0..3 {
        bench.run(std::time::Duration::from_secs(400));
        for event in bench.events() {
            assert!(matches!(event, Event::Ended { .. }), "{event:?}");
        }
    }
    assert_eq!((bench.endpoint.calls(), bench.endpoint.transactions()), (0, 0));
    assert!(answered <= 1);
    seen
}

/// What came of the input, looked at closely.
fn outcome(bench: &mut Bench) -> Reaction {
    let mut sent = bench.sent();
    match bench.events().pop() {
        Some(Event::Incoming { request, .. }) => {
            assert!(sent.is_empty());
            assert!(!request.call_id.is_empty());
            return Call;
        }
        Some(other) => panic!("{other:?}"),
        None => {}
    }
    let counters = *bench.endpoint.counters();
    match sent.pop() {
        Some(message) => {
            assert!(sent.is_empty(), "one response");
            let response = response(message);
            let says = |name: Name| response.headers.value(&name).is_some();
            let explained = match response.status {
                400 => counters.malformed == 1,
                405 | 501 => says(Name::Allow),
                406 => says(Name::Warning),
                415 => says(Name::Accept) || says(Name::AcceptEncoding),
                420 => says(Name::Unsupported),
                _ => true,
            };
            assert!(explained, "{response:?}");
            Status(response.status)
        }
        None if counters.stray_responses == 1 => Stray,
        None => {
            assert_eq!(counters.unreadable, 1, "dropped without being counted");
            Dropped
        }
    }
}

fn check(table: &[Row], read: impl Fn(&str) -> Vec<u8>) {
    let mut wrong = Vec::new();
    for (file, expected, why) in table {
        let seen = reaction(&read(file));
        if seen != *expected {
            wrong.push(format!("{file}: {seen:?}, not {expected:?} ({why})"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn check_folder(name: &str, table: &[Row]) {
    check(table, |file| std::fs::read(folder(name).join(format!("{file}.dat"))).unwrap());
    assert_eq!(std::fs::read_dir(folder(name)).unwrap().count(), table.len(), "every file has its line");
}

#[test]
fn rfc_4475() {
    check_folder("rfc4475", RFC_4475);
}

#[test]
fn rfc_5118() {
    check_folder("rfc5118", RFC_5118);
}

#[test]
fn ipv6_in_a_description_is_a_call_with_the_right_length() {
    let bytes = std::fs::read(folder("rfc5118").join("ipv6-in-sdp.dat")).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let lines: Vec<_> = head.lines().filter(|l| !l.starts_with("Content-Length")).collect();
    let right = format!("{}\r\nContent-Length: {}\r\n\r\n{body}", lines.join("\r\n"), body.len());
    assert_eq!(reaction(right.as_bytes()), Call);
}

/// On a stream the end of a message is where Content-Length says (RFC 4475 3.1.2.2, 3.1.2.3, 3.3.9).
#[test]
fn the_same_messages_over_a_stream() {
    /// What becomes of the connection.
    #[derive(Debug, PartialEq)]
    enum After {
        Open,
        Waiting,
        Closed,
    }
    let special = [
        ("clerr", None, After::Waiting),
        ("ipv6-in-sdp", None, After::Waiting),
        ("ncl", Some(400), After::Closed),
        ("mcl01", Some(400), After::Closed),
        // Nobody is told where a message without a length ends.
        ("inv2543", Some(400), After::Closed),
        // As printed it has no empty line at its end: it may go on.
        ("baddn", None, After::Waiting),
        // Of a head that cannot be read nobody knows where its message ends.
        ("bigcode", None, After::Closed),
        // What follows the REGISTER is a message of its own here, and does not keep to its Content-Length.
        ("dblreq", Some(405), After::Closed),
    ];
    for (name, table) in [("rfc4475", RFC_4475), ("rfc5118", RFC_5118)] {
        for (file, expected, why) in table {
            let bytes = std::fs::read(folder(name).join(format!("{file}.dat"))).unwrap();
            for piece in [1, 50, usize::MAX] {
                let mut bench = Bench::new(Config::default());
                let conn = cau_sip::ConnId(1);
                for part in bytes.chunks(piece.min(bytes.len())) {
                    bench.input(Transport::Tcp(conn), part);
                }
                let closed = |sent: &[cau_sip::Transmit]| {
                    sent.iter().any(|t| matches!(t.transport, Transport::TcpClose(_)))
                };
                let sent = bench.transmits();
                let statuses: Vec<u16> = sent
                    .iter()
                    .filter(|t| !t.bytes.is_empty() && &t.bytes[..] != b"\r\n")
                    .map(|t| response(crate::common::read(&t.bytes)).status)
                    .collect();
                let rule = special.iter().find(|(f, ..)| f == file);
                let (status, after) = match rule {
                    Some((_, status, after)) => (*status, after),
                    None => (if let Status(s) = expected { Some(*s) } else { None }, &After::Open),
                };
                let first = statuses.first().copied();
                assert_eq!(first, status, "{file} in pieces of {piece}: {why}");
                match after {
                    After::Closed => assert!(closed(&sent), "{file}"),
                    After::Open => assert!(!closed(&sent), "{file}"),
                    After::Waiting => {
                        assert!(!closed(&sent) && bench.events().is_empty(), "{file}");
                        bench.now += std::time::Duration::from_secs(32);
                        bench.endpoint.handle_timeout(bench.now);
                        assert!(closed(&bench.transmits()), "{file}: not for ever");
                    }
                }
            }
        }
    }
}

/// Messages of another project's tests: not ours to copy, so read where they lie.
#[test]
#[allow(clippy::disallowed_macros, reason = "a skipped test says so")]
fn oddities_of_another_stack() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/sip/sofia-sip");
    if !folder.exists() {
        eprintln!("skipped: {} is not there", folder.display());
        return;
    }
    let read = |file: &str| std::fs::read(folder.join(format!("{file}.txt"))).unwrap();
    // Their line ends are those of the version control: as they would be on the wire, and as they are.
    check(OTHERS, |file| {
        String::from_utf8_lossy(&read(file)).replace("\r\n", "\n").replace('\n', "\r\n").into_bytes()
    });
    for (file, ..) in OTHERS {
        reaction(&read(file));
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), OTHERS.len(), "every file has its line");
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
                let _ = bench.endpoint.accept(bench.now, call, Bytes::from_static(crate::common::ANSWER));
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
            let named = |m: &Message| m.headers().iter().filter(|h| h.name != Name::ContentLength).cloned().collect::<Vec<_>>();
            prop_assert_eq!(named(&message), named(&again));
        }
    }
}
