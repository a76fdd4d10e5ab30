//! The event package and REFER in a conference, with messages written by hand beside real phones.

use cau_model::Settings;
use cau_model::body::Patch;
use cau_model::command::{Patch as Set, Who};
use cau_sip::Transport;
use cau_sip::digest::{Accounts, Config as Digest, Secret};
use cau_sip::register::Registration;

use super::bench::*;
use super::*;
use crate::config::{Referrers, Roster};
use crate::notice::Body;
use crate::request::Request;

/// A message to the focus by hand; what it sends in answer.
fn send(bench: &mut Bench, from: &str, text: &str) -> Vec<String> {
    let before = bench.wire.len();
    let bytes = text.replace("\r\n", "\n").replace('\n', "\r\n");
    let input = Input {
        transport: Transport::Udp,
        local: MCU.parse().unwrap(),
        remote: from.parse().unwrap(),
        bytes: bytes.as_bytes(),
    };
    let now = bench.now;
    bench.focus.handle_input(now, input);
    bench.settle();
    bench.wire[before..].to_vec()
}

fn later(bench: &mut Bench, time: Duration) -> Vec<String> {
    let before = bench.wire.len();
    bench.wait(time);
    bench.wire[before..].to_vec()
}

/// A request from site `n`, from another port than its phone's, so that the phone does not see the answers.
fn request(n: u8, method: &str, room: &str, number: u32, lines: &str) -> String {
    format!(
        "{method} sip:{room}@{MCU} SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.{n}:5999;branch=z9hG4bK{method}{n}{number};rport\n\
         Max-Forwards: 70\nFrom: <sip:site{n}@10.0.0.{n}>;tag=w{n}\nTo: <sip:{room}@{MCU}>\nCall-ID: w{n}-{number}\n\
         CSeq: {number} {method}\nContact: <sip:w@10.0.0.{n}:5999>\n{lines}Content-Length: 0\n\n"
    )
}

fn header<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find(|l| l.to_lowercase().starts_with(&format!("{}:", name.to_lowercase())));
    line.and_then(|l| l.split_once(": ")).map_or("", |(_, value)| value.trim())
}

/// The same request within the call of phone `n`.
fn in_call(bench: &Bench, n: u8, text: &str) -> String {
    let mine = |m: &&String| m.starts_with("SIP/2.0 200") && header(m, "From").contains(&format!("site{n}@"));
    let ok = bench.wire.iter().find(mine).expect("its call");
    let keep = |line: &&str| !["From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name));
    let method = text.split(' ').next().unwrap();
    let mut lines: Vec<String> = text.lines().filter(keep).map(str::to_owned).collect();
    let own = format!(
        "From: {}\nTo: {}\nCall-ID: {}\nCSeq: 60000 {method}",
        header(ok, "From"),
        header(ok, "To"),
        header(ok, "Call-ID")
    );
    lines.insert(1, own);
    lines.join("\n") + "\n\n"
}

fn answer(bench: &mut Bench, from: &str, to: &str) -> Vec<String> {
    let copy = |name: &str| format!("{name}: {}\n", header(to, name));
    let head: String = ["Via", "From", "To", "Call-ID", "CSeq"].iter().map(|n| copy(n)).collect();
    send(bench, from, &format!("SIP/2.0 200 OK\n{head}Content-Length: 0\n\n"))
}

fn status(sent: &[String]) -> &str {
    sent.iter().find_map(|m| m.strip_prefix("SIP/2.0 ")).map_or("", |rest| &rest[..3])
}

fn notify(sent: &[String]) -> &String {
    sent.iter().find(|m| m.starts_with("NOTIFY")).unwrap_or_else(|| panic!("no NOTIFY in {sent:#?}"))
}

const WATCH: &str = "Event: conference\nExpires: 600\n";

#[test]
fn who_is_in_the_conference_may_watch_it() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    bench.dial(3, "8000");
    let sent = send(&mut bench, "10.0.0.2:5999", &request(2, "SUBSCRIBE", "8000", 1, WATCH));
    assert_eq!(status(&sent), "200");
    let first = notify(&sent).clone();
    let two = bench.id(2);
    for part in [
        "state=\"full\" version=\"0\"",
        "entity=\"sip:8000@10.0.0.1\"",
        "<display-text>Điểm cầu 2</display-text>",
        "<user entity=\"sip:site3@10.0.0.3\"",
        &format!("<endpoint entity=\"sip:8000@10.0.0.1;participant={two}\""),
        "<status>connected</status><joining-method>dialed-in</joining-method>",
        "<media id=\"1\"><type>audio</type><status>sendrecv</status></media>",
        "<user-count>2</user-count>",
    ] {
        assert!(first.contains(part), "{part} in {first}");
    }
    answer(&mut bench, "10.0.0.2:5999", &first);
    // Muted by the operator: told, and only that.
    let three = bench.id(3);
    let patch = Set { audio_muted: Some(true), ..Set::default() };
    let conference = ConferenceId(1);
    bench.ask(|answer| Request::Patch { conference, who: Who::One(three), patch, answer }).unwrap();
    let sent = later(&mut bench, Duration::from_secs(5));
    let muted = notify(&sent).clone();
    assert!(
        muted.contains("state=\"partial\" version=\"1\"") && !muted.contains("site2@10.0.0.2\" state"),
        "{muted}"
    );
    assert!(
        muted.contains("<status>muted-via-focus</status>") && muted.contains("<status>recvonly</status>"),
        "{muted}"
    );
    answer(&mut bench, "10.0.0.2:5999", &muted);
    // Gone: shown as such for a while, then no more.
    bench.hang_up(3);
    let sent = later(&mut bench, Duration::from_secs(5));
    let gone = notify(&sent).clone();
    assert!(gone.contains("<status>disconnected</status>"), "{gone}");
    assert!(gone.contains("<disconnection-method>departed</disconnection-method>"), "{gone}");
    assert!(gone.contains("<user-count>1</user-count>"), "{gone}");
    answer(&mut bench, "10.0.0.2:5999", &gone);
    let sent = later(&mut bench, Duration::from_secs(40));
    assert!(notify(&sent).contains("entity=\"sip:site3@10.0.0.3\" state=\"deleted\""));
    let last = notify(&sent).clone();
    answer(&mut bench, "10.0.0.2:5999", &last);
    assert_eq!(bench.focus.totals().subscriptions, 1);
    // The end of the conference is the end of it.
    bench.ask(|answer| Request::End(ConferenceId(1), answer)).unwrap();
    assert!(bench.sent("NOTIFY").contains("Subscription-State: terminated;reason=noresource"));
    assert_eq!(bench.focus.totals().subscriptions, 0);
}

#[test]
fn strangers_may_not_watch_unless_everybody_may() {
    let watch = |bench: &mut Bench, n: u8, room: &str| {
        let sent = send(bench, &format!("10.0.0.{n}:5999"), &request(n, "SUBSCRIBE", room, 1, WATCH));
        status(&sent).to_owned()
    };
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    assert_eq!(watch(&mut bench, 3, "8000"), "403");
    assert_eq!(watch(&mut bench, 2, "8001"), "404");
    // The address of a participant, the name of another.
    let text = request(3, "SUBSCRIBE", "8000", 2, WATCH);
    assert_eq!(status(&send(&mut bench, "10.0.0.2:5999", &text)), "403");
    assert_eq!(watch(&mut Bench::with(|c| c.roster = Roster::Anyone), 3, "8000"), "200");
    let mut off = Bench::with(|c| c.roster = Roster::Off);
    off.dial(2, "8000");
    assert_eq!(watch(&mut off, 2, "8000"), "403");
}

fn chaired() -> Bench {
    let mut bench = Bench::new();
    let settings = Settings::new("8000").unwrap();
    let chair = Patch { chair: Some(Some("sip:site2@10.0.0.2".into())), ..Patch::default() };
    let settings = Box::new(settings.patched(chair).unwrap());
    bench.ask(|answer| Request::Change { id: ConferenceId(1), settings, answer }).unwrap();
    for n in 2..=4 {
        bench.dial(n, "8000");
    }
    bench
}

const REMOVE_3: &str = "Refer-To: <sip:site3@10.0.0.3;method=BYE>\n";

#[test]
fn the_chair_takes_a_site_away() {
    let mut bench = chaired();
    let text = in_call(&bench, 2, &request(2, "REFER", "8000", 1, REMOVE_3));
    let sent = send(&mut bench, "10.0.0.2:5060", &text);
    assert_eq!(status(&sent), "202");
    assert!(notify(&sent).contains("SIP/2.0 100 Trying"), "{sent:#?}");
    assert!(bench.phone(3).has_ended() && !bench.phone(4).has_ended());
    let site = bench.sites().into_iter().find(|s| s.uri.contains("site3")).unwrap();
    assert!(site.reason_en.unwrap().contains("REFER"));
}

#[test]
fn outside_of_the_call_the_outcome_is_reported_too() {
    let mut bench = chaired();
    let sent = send(&mut bench, "10.0.0.2:5999", &request(2, "REFER", "8000", 1, REMOVE_3));
    assert_eq!(status(&sent), "202");
    let trying = notify(&sent).clone();
    let sent = answer(&mut bench, "10.0.0.2:5999", &trying);
    let done = notify(&sent);
    assert!(done.contains("SIP/2.0 200 OK") && done.contains("terminated;reason=noresource"), "{done}");
    assert!(bench.phone(3).has_ended());
}

#[test]
fn others_may_only_take_themselves_away() {
    let mut bench = chaired();
    let refused = |bench: &mut Bench, n: u8, number, lines: &str| {
        let sent = send(bench, &format!("10.0.0.{n}:5999"), &request(n, "REFER", "8000", number, lines));
        status(&sent).to_owned()
    };
    assert_eq!(refused(&mut bench, 4, 1, REMOVE_3), "403", "not the chair");
    assert_eq!(refused(&mut bench, 9, 2, REMOVE_3), "403", "not in the conference");
    assert_eq!(refused(&mut bench, 2, 3, "Refer-To: <sip:nobody@10.0.0.8;method=BYE>\n"), "404");
    assert!(bench.sent("SIP/2.0 404").contains("Warning: 399"));
    assert!((2..=4).all(|n| !bench.phone(n).has_ended()));
    assert_eq!(refused(&mut bench, 3, 4, REMOVE_3), "202", "himself");
    assert!(bench.phone(3).has_ended());
    let four = bench.id(4);
    let by_entity =
        format!("Refer-To: <sip:8000@10.0.0.1;participant={four};method=BYE>\nRefer-Sub: false\n");
    assert_eq!(refused(&mut bench, 2, 5, &by_entity), "200", "as the roster names it");
    assert!(bench.phone(4).has_ended());
    bench.focus.config.refer = Referrers::Off;
    bench.dial(3, "8000");
    assert_eq!(refused(&mut bench, 2, 6, REMOVE_3), "403");
}

#[test]
fn who_is_there_already_is_not_called_when_the_chair_wants_him_in() {
    let mut bench = chaired();
    let refer = |number, site| request(2, "REFER", "8000", number, &format!("Refer-To: <sip:{site}>\n"));
    let sent = send(&mut bench, "10.0.0.2:5999", &refer(1, "site3@10.0.0.3"));
    assert_eq!(status(&sent), "202");
    let trying = notify(&sent).clone();
    let done = answer(&mut bench, "10.0.0.2:5999", &trying);
    assert!(notify(&done).contains("SIP/2.0 200 OK"), "{done:#?}");
    assert_eq!(bench.sites().len(), 3);
    let sent = send(&mut bench, "10.0.0.2:5999", &refer(2, "site8@10.0.0.8"));
    assert_eq!(status(&sent), "501");
    assert!(bench.sent("SIP/2.0 501").contains("Warning: 399"));
}

fn accounts() -> Digest {
    let all = [("xa-hoa-phu".to_owned(), Secret::Password("right".into()))];
    Digest::new("mcu.example", Accounts::new(all).unwrap())
}

#[test]
fn devices_and_registrations_are_told_of() {
    let mut bench = Bench::with(|config| {
        config.sip.digest = Some(accounts());
        config.sip.registrar = Some(cau_sip::registrar::Config::default());
    });
    let now = bench.now;
    let plan = Registration {
        registrar: "sip:10.0.0.1".parse().unwrap(),
        remote: None,
        protocol: None,
        user: "xa-hoa-phu".into(),
        auth_user: None,
        secret: Secret::Password("right".into()),
        contact: "site".into(),
        expires: Duration::from_secs(60),
    };
    bench.phone(2).sip.register(now, plan.clone());
    bench.settle();
    assert_eq!(bench.focus.totals().devices, 1);
    let told = |bench: &Bench, what: &str| {
        let is = |n: &&Notice| matches!(&n.body, Body::Device { account, change, .. } if account == "xa-hoa-phu" && *change == what);
        bench.notices.iter().filter(is).count()
    };
    assert_eq!((told(&bench, "registered"), told(&bench, "lost")), (1, 0));
    bench.phone(2).unplugged = true;
    later(&mut bench, Duration::from_secs(61));
    assert_eq!((bench.focus.totals().devices, told(&bench, "lost")), (0, 1));
    // We ourselves at a registrar that is not there: told once, and again when it works.
    let alarms = |bench: &Bench| -> Vec<&'static str> {
        let code = |n: &Notice| match n.body {
            Body::Alarm { code, .. } => Some(code),
            _ => None,
        };
        bench.notices.iter().filter_map(code).collect()
    };
    let elsewhere = Registration { registrar: "sip:10.0.0.77".parse().unwrap(), ..plan };
    let now = bench.now;
    bench.focus.handle_request(now, Request::Register(Box::new(elsewhere)));
    later(&mut bench, Duration::from_secs(120));
    assert_eq!(alarms(&bench), ["registration-failed"]);
    let shown = bench.focus.totals().registrations;
    assert_eq!(shown[0].address, "sip:xa-hoa-phu@10.0.0.77");
    assert_ne!(shown[0].state, "registered");
}

#[test]
fn calls_without_an_account_are_refused_when_configured() {
    let mut bench = Bench::with(|config| {
        config.sip.digest = Some(accounts());
        config.sip.authenticate_calls = true;
    });
    bench.dial(2, "8000");
    assert_eq!(bench.phone(2).refused(), Some(401));
    assert_eq!(bench.open_ports(), 0);
    let known = cau_sip::digest::Credentials {
        realm: "mcu.example".into(),
        user: "xa-hoa-phu".into(),
        secret: Secret::Password("right".into()),
    };
    bench.phone(3).sip.config_mut().credentials = vec![known];
    bench.dial(3, "8000");
    assert_eq!(bench.sites().len(), 1);
}
