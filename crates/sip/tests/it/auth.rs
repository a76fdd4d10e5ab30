//! Credentials, the registrar, and we as a device of others.

use std::time::Duration;

use crate::common::{Bench, FAIR, OFFER, Pair, STORM, at, request, response};
use cau_sip::{
    Config, Event, Protocol, Target, Uri,
    digest::{self, Accounts, Credentials, Secret},
    message::{Message, Method, Name},
    register::{Registration, RegistrationState},
    registrar,
};
use sha2::{Digest, Sha256};

const SECOND: Duration = Duration::from_secs(1);
const REALM: &str = "mcu.example";

fn digest() -> digest::Config {
    let accounts = [("hoa-phu", "right"), ("ea-tu", "other")];
    let all = accounts.map(|(n, p)| (n.to_owned(), Secret::Password(p.to_owned())));
    digest::Config::new(REALM, Accounts::new(all).unwrap())
}

fn with_registrar() -> Config {
    Config { digest: Some(digest()), registrar: Some(Default::default()), focus: true, ..Config::default() }
}

fn credentials(password: &str) -> Vec<Credentials> {
    let secret = Secret::Password(password.to_owned());
    vec![Credentials { realm: REALM.to_owned(), user: "hoa-phu".to_owned(), secret }]
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// A REGISTER by hand; `user` gives the credentials for the challenge, if any.
struct Device {
    bench: Bench,
    cseq: u32,
}

impl Device {
    fn new(config: Config) -> Self {
        Self { bench: Bench::new(config), cseq: 0 }
    }

    fn text(&mut self, user: &str, lines: &str) -> String {
        self.cseq += 1;
        let it = request("REGISTER", &format!("r{}", self.cseq), lines, "");
        it.replace("sip:8000@192.0.2.2 SIP", "sip:mcu.example SIP")
            .replace("To: <sip:8000@192.0.2.2>", &format!("To: <sip:{user}@mcu.example>"))
            .replace("Contact: <sip:site@192.0.2.1:5060>\n", "")
            .replace("CSeq: 1 ", &format!("CSeq: {} ", self.cseq))
    }

    fn send(&mut self, user: &str, lines: &str) -> cau_sip::message::Response {
        let text = self.text(user, lines);
        self.bench.response(&text)
    }

    /// Asks, is asked, and answers with this password.
    fn register(&mut self, user: &str, password: &str, lines: &str) -> cau_sip::message::Response {
        self.register_as(user, user, password, lines)
    }

    fn register_as(
        &mut self,
        user: &str,
        aor: &str,
        password: &str,
        lines: &str,
    ) -> cau_sip::message::Response {
        let asked = self.send(aor, lines);
        assert_eq!(asked.status, 401);
        let challenge = asked.headers.text(&Name::WwwAuthenticate).unwrap();
        let nonce = challenge.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
        let ha1 = sha256(&format!("{user}:{REALM}:{password}"));
        let ha2 = sha256("REGISTER:sip:mcu.example");
        let said = sha256(&format!("{ha1}:{nonce}:00000001:abc:auth:{ha2}"));
        let line = format!(
            "Authorization: Digest username=\"{user}\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"sip:mcu.example\", \
             response=\"{said}\", algorithm=SHA-256, qop=auth, nc=00000001, cnonce=\"abc\"\n"
        );
        self.send(aor, &format!("{lines}{line}"))
    }
}

fn contacts(response: &cau_sip::message::Response) -> Vec<String> {
    response.headers.all(&Name::Contact).map(|c| String::from_utf8_lossy(c).into_owned()).collect()
}

const PHONE: &str = "Contact: <sip:p@192.0.2.1:5070>\nExpires: 120\n";

#[test]
fn a_device_registers_refreshes_and_goes() {
    let mut it = Device::new(with_registrar());
    let ok = it.register("hoa-phu", "right", PHONE);
    assert_eq!((ok.status, contacts(&ok)), (200, vec!["<sip:p@192.0.2.1:5070>;expires=120".to_owned()]));
    assert!(
        matches!(&it.bench.events()[..], [Event::Registrar(c)] if c.change == registrar::Change::Registered)
    );
    it.bench.now += 60 * SECOND;
    let again = it.register("hoa-phu", "right", PHONE);
    assert_eq!(contacts(&again), ["<sip:p@192.0.2.1:5070>;expires=120"]);
    assert!(it.bench.events().is_empty(), "a refresh is no news");
    let query = it.register("hoa-phu", "right", "");
    assert_eq!(contacts(&query).len(), 1);
    let gone = it.register("hoa-phu", "right", "Contact: *\nExpires: 0\n");
    assert_eq!((gone.status, contacts(&gone).len()), (200, 0));
    assert!(matches!(&it.bench.events()[..], [Event::Registrar(c)] if c.change == registrar::Change::Left));
}

/// Some devices take the tag of our 200 into their next REGISTER, as if there were a dialog.
#[test]
fn a_refresh_with_a_tag_is_a_refresh() {
    let mut it = Device::new(with_registrar());
    let tagged = it.text("hoa-phu", PHONE).replace("@mcu.example>\n", "@mcu.example>;tag=old\n");
    assert_eq!(it.bench.response(&tagged).status, 401);
}

#[test]
fn a_binding_that_is_not_refreshed_ends() {
    let mut it = Device::new(with_registrar());
    it.register("hoa-phu", "right", PHONE);
    it.bench.events();
    it.bench.pass(119 * SECOND);
    assert_eq!(it.bench.endpoint.devices("hoa-phu").len(), 1);
    it.bench.pass(SECOND);
    assert_eq!(it.bench.endpoint.devices("hoa-phu").len(), 0);
    assert!(matches!(&it.bench.events()[..], [Event::Registrar(c)] if c.change == registrar::Change::Lost));
}

#[test]
fn who_may_not_register_is_told_so() {
    let mut it = Device::new(with_registrar());
    assert_eq!(it.register("hoa-phu", "wrong", PHONE).status, 401);
    assert_eq!(it.register("nobody", "right", PHONE).status, 401);
    assert_eq!(it.register_as("hoa-phu", "ea-tu", "right", PHONE).status, 403, "not for others");
    assert_eq!(it.register("hoa-phu", "right", "Contact: <sip:p@192.0.2.1>;expires=5\n").status, 423);
    assert_eq!(it.register("hoa-phu", "right", "Contact: <sip:p@192.0.2.1\n").status, 400);
    assert_eq!(it.register("hoa-phu", "right", "Contact: *\nExpires: 60\n").status, 400);
    assert_eq!(it.register("hoa-phu", "right", "Contact: <mailto:p@192.0.2.1>\n").status, 400);
    assert!(it.bench.events().is_empty());
    assert_eq!(it.bench.endpoint.counters().wrong_credentials, 2);
    let mut none = Device::new(Config { focus: true, ..Config::default() });
    assert_eq!(none.send("hoa-phu", PHONE).status, 405);
    let domains = vec![cau_sip::Host::Name("elsewhere.example".into())];
    let registrar = Some(registrar::Config { domains, ..Default::default() });
    let mut strict = Device::new(Config {
        registrar,
        digest: Some(digest::Config { realm: "r".into(), ..digest() }),
        ..Config::default()
    });
    assert_eq!(strict.send("hoa-phu", PHONE).status, 404);
}

#[test]
fn a_full_registrar_says_when_to_come_again() {
    let registrar = Some(registrar::Config { max_bindings: 1, ..Default::default() });
    let mut it = Device::new(Config { registrar, ..with_registrar() });
    assert_eq!(it.register("hoa-phu", "right", PHONE).status, 200);
    let full = it.register("ea-tu", "other", PHONE);
    assert_eq!((full.status, full.headers.value(&Name::RetryAfter).is_some()), (503, true));
}

#[test]
fn our_users_are_found_where_they_can_be_reached() {
    let mut it = Device::new(with_registrar());
    // Behind a NAT: names an address nobody else can use.
    it.register("hoa-phu", "right", "Contact: <sip:p@10.1.2.3:5070>;q=0.5\n");
    it.register("hoa-phu", "right", "Contact: <sip:q@192.0.2.1:5080>;+sip.instance=\"<urn:uuid:1>\"\n");
    // The same device from another port.
    it.register("hoa-phu", "right", "Contact: <sip:q@192.0.2.1:5090>;+sip.instance=\"<urn:uuid:1>\"\nPath: <sip:192.0.2.77;lr>\nSupported: path\n");
    let find = |uri: &str| it.bench.endpoint.locate(&uri.parse().unwrap());
    let all = find("sip:hoa-phu@mcu.example").expect("ours");
    let ways: Vec<_> =
        all.iter().map(|(t, _)| (t.uri.to_string(), t.remote.unwrap().to_string(), t.routes.len())).collect();
    assert_eq!(
        ways,
        [
            ("sip:q@192.0.2.1:5090".to_owned(), "192.0.2.77:5060".to_owned(), 1),
            ("sip:p@10.1.2.3:5070".to_owned(), "192.0.2.1:5060".to_owned(), 0),
        ]
    );
    assert_eq!(find("sip:hoa-phu@192.0.2.2:5060").map(|t| t.len()), Some(2), "our address is our domain too");
    assert_eq!(find("sip:ea-tu@mcu.example").map(|t| t.len()), Some(0), "ours, and not registered");
    assert!(find("sip:hoa-phu@elsewhere.example").is_none() && find("tel:+84").is_none());
    assert!(find("sip:8000@192.0.2.2:5060").is_none(), "no account: a room, perhaps");
    assert_eq!(all[0].1, it.bench.peer, "where it spoke from");
    let call = it.bench.endpoint.call(it.bench.now, all[0].0.clone(), None).unwrap();
    let sent = it.bench.transmits().remove(0);
    let text = String::from_utf8_lossy(&sent.bytes).into_owned();
    assert_eq!(sent.remote, at("192.0.2.77:5060"));
    assert!(
        text.starts_with("INVITE sip:q@192.0.2.1:5090 ") && text.contains("Route: <sip:192.0.2.77;lr>"),
        "{text}"
    );
    let _ = call;
}

#[test]
fn calls_are_taken_only_from_those_we_know_when_configured() {
    let called = Config { authenticate_calls: true, ..with_registrar() };
    for (password, protocol) in [("right", Protocol::Udp), ("right", Protocol::Tcp), ("wrong", Protocol::Udp)]
    {
        let caller = Config { credentials: credentials(password), ..Config::default() };
        let mut pair = Pair::with(1, FAIR, caller, called.clone());
        pair.dial(protocol, Some(OFFER));
        pair.run(5 * SECOND);
        if password == "wrong" {
            assert_eq!((pair.a().told("rejected 401"), pair.b().told("incoming")), (1, 0));
            assert_eq!(pair.a().sent("INVITE"), 2, "said once is enough");
            continue;
        }
        assert_eq!((pair.a().told("confirmed"), pair.b().told("confirmed")), (1, 1), "{protocol:?}");
        let account = pair.b().events.iter().find_map(|e| match e {
            Event::Incoming { request, .. } => request.account.clone(),
            _ => None,
        });
        assert_eq!(account.as_deref(), Some("hoa-phu"));
        let (now, call) = (pair.now, pair.b().call());
        pair.b().endpoint.hangup(now, call, None).unwrap();
        pair.run(SECOND);
        assert_eq!(pair.a().told("ended remote-hang-up"), 1);
    }
}

#[test]
fn a_challenged_call_comes_through_a_storm() {
    for seed in 0..30 {
        let caller = Config { credentials: credentials("right"), ..Config::default() };
        let called = Config { authenticate_calls: true, ..with_registrar() };
        let mut pair = Pair::with(seed, STORM, caller, called);
        pair.dial(Protocol::Udp, Some(OFFER));
        pair.run(40 * SECOND);
        assert_eq!((pair.a().told("confirmed"), pair.b().told("incoming")), (1, 1), "seed {seed}");
    }
}

#[test]
fn a_call_given_up_while_it_is_challenged_is_not_made() {
    let caller = Config { credentials: credentials("right"), ..Config::default() };
    let called = Config { authenticate_calls: true, ..with_registrar() };
    let mut pair = Pair::with(1, FAIR, caller, called);
    let call = pair.dial(Protocol::Udp, Some(OFFER));
    let now = pair.now;
    pair.a().endpoint.hangup(now, call, None).unwrap();
    pair.run(5 * SECOND);
    assert_eq!((pair.a().sent("INVITE"), pair.b().told("incoming")), (1, 0));
    assert_eq!((pair.a().endpoint.calls(), pair.a().story()), (0, vec!["ended local-hang-up".to_owned()]));
}

/// A proxy that asks for credentials at everything we send within a call.
#[test]
fn requests_within_a_call_are_sent_again_with_credentials() {
    let mut bench =
        Bench::new(Config { focus: true, credentials: credentials("right"), ..Config::default() });
    let (call, _) = bench.established();
    bench.endpoint.reoffer(bench.now, call, Some(OFFER.into())).unwrap();
    bench.endpoint.fast_update(bench.now, call).unwrap();
    let challenged = |bench: &mut Bench, messages: Vec<Message>| {
        for message in &messages {
            let Message::Request(r) = message else { panic!("{message:?}") };
            let copy = |n: &Name| format!("{n}: {}\n", r.headers.text(n).unwrap());
            let head: String =
                [Name::Via, Name::From, Name::To, Name::CallId, Name::CSeq].iter().map(copy).collect();
            let ask = "Proxy-Authenticate: Digest realm=\"mcu.example\", nonce=\"n\", qop=\"auth\"\n";
            bench.input(
                cau_sip::Transport::Udp,
                format!("SIP/2.0 407 x\n{head}{ask}Content-Length: 0\n\n").replace('\n', "\r\n").as_bytes(),
            );
        }
        let requests = bench.sent().into_iter().filter_map(|m| match m {
            Message::Request(r) if r.method != Method::Ack => Some(r),
            _ => None,
        });
        requests.collect::<Vec<_>>()
    };
    let first = bench.sent();
    let again = challenged(&mut bench, first);
    let seen: Vec<_> = again.iter().map(|r| r.headers.text(&Name::CSeq).unwrap()).collect();
    let number = |text: &str| text.split(' ').next().unwrap().parse::<u32>().unwrap();
    assert!(number(&seen[1]) > number(&seen[0]), "each has a number of its own: {seen:?}");
    assert!(again.iter().all(|r| r.headers.count(&Name::ProxyAuthorization) == 1));
    bench.endpoint.hangup(bench.now, call, None).unwrap();
    let bye = bench.sent();
    let again = challenged(&mut bench, bye);
    assert!(
        matches!(&again[..], [r] if r.method == Method::Bye && r.headers.count(&Name::ProxyAuthorization) == 1)
    );
    assert_eq!(bench.endpoint.counters().answered_challenges, 3);
}

fn plan(password: &str, protocol: Protocol) -> Registration {
    Registration {
        registrar: Uri::sip("", at("192.0.2.2:5060")),
        remote: None,
        protocol: Some(protocol),
        user: "hoa-phu".to_owned(),
        auth_user: None,
        secret: Secret::Password(password.to_owned()),
        contact: "8000".to_owned(),
        expires: Duration::from_secs(30),
    }
}

#[test]
fn we_register_elsewhere_keep_it_and_sign_off() {
    for protocol in [Protocol::Udp, Protocol::Tcp] {
        let mut pair = Pair::with(4, FAIR, Config { focus: true, ..Config::default() }, with_registrar());
        let now = pair.now;
        pair.a().endpoint.register(now, plan("right", protocol));
        pair.run(SECOND);
        assert_eq!(pair.a().story(), ["registered"], "after 401 and 423");
        let device = pair.b().endpoint.devices("hoa-phu").remove(0);
        assert_eq!(device.contact.user(), "8000");
        pair.run(600 * SECOND);
        assert_eq!(pair.b().endpoint.devices("hoa-phu").len(), 1, "refreshed in time");
        assert_eq!(pair.b().story(), ["hoa-phu Registered"]);
        // Its calls come to the room.
        let all = pair.b().endpoint.locate(&"sip:hoa-phu@mcu.example".parse().unwrap()).unwrap();
        let (target, _) = all[0].clone();
        let now = pair.now;
        pair.b().endpoint.call(now, Target { headers: Vec::new(), ..target }, Some(OFFER.into())).unwrap();
        pair.run(SECOND);
        assert_eq!(pair.a().told("incoming"), 1);
        let now = pair.now;
        pair.a().endpoint.unregister_all(now);
        pair.run(SECOND);
        assert_eq!(pair.b().endpoint.devices("hoa-phu").len(), 0);
        assert_eq!(pair.a().endpoint.registrations().count(), 0);
    }
}

/// The answer to a REGISTER may come after the word that we go: then the registrar is told in turn, and has us no more.
#[test]
fn who_goes_while_a_register_is_under_way_is_not_left_at_the_registrar() {
    for wait in (0..120).step_by(5) {
        let mut pair = Pair::with(4, FAIR, Config { focus: true, ..Config::default() }, with_registrar());
        let now = pair.now;
        pair.a().endpoint.register(now, plan("right", Protocol::Udp));
        pair.run(Duration::from_millis(wait));
        let now = pair.now;
        pair.a().endpoint.unregister_all(now);
        pair.run(SECOND);
        let left = (pair.b().endpoint.bindings(), pair.a().endpoint.registrations().count());
        assert_eq!(left, (0, 0), "gone after {wait} ms");
        let sent = pair.a().sent("REGISTER");
        pair.run(1000 * SECOND);
        assert_eq!(pair.a().sent("REGISTER"), sent, "gone after {wait} ms: nothing is tried again");
    }
    // A refresh is under way.
    let mut pair = Pair::with(4, FAIR, Config { focus: true, ..Config::default() }, with_registrar());
    let now = pair.now;
    pair.a().endpoint.register(now, plan("right", Protocol::Udp));
    pair.run(SECOND);
    let sent = pair.a().sent("REGISTER");
    while pair.a().sent("REGISTER") == sent {
        pair.run(Duration::from_millis(5));
    }
    assert_eq!(pair.b().endpoint.bindings(), 1);
    let now = pair.now;
    pair.a().endpoint.unregister_all(now);
    pair.run(SECOND);
    assert_eq!((pair.b().endpoint.bindings(), pair.a().endpoint.registrations().count()), (0, 0));
}

#[test]
fn a_registration_that_fails_is_tried_again_with_growing_waits() {
    let mut pair = Pair::with(5, FAIR, Config::default(), with_registrar());
    let now = pair.now;
    pair.a().endpoint.register(now, plan("wrong", Protocol::Udp));
    pair.run(100 * SECOND);
    assert_eq!(pair.a().story(), ["failed Some(401)"], "accounts get locked by insisting");
    let mut pair = Pair::with(6, FAIR, Config::default(), with_registrar());
    pair.swallow.push((0, "REGISTER", usize::MAX));
    let now = pair.now;
    pair.a().endpoint.register(now, plan("right", Protocol::Udp));
    pair.run(400 * SECOND);
    let tries = pair.a().told("failed None");
    assert!((5..=10).contains(&tries), "{tries}");
    pair.swallow.clear();
    pair.run(600 * SECOND);
    assert!(pair.a().told("registered") > 0);
    let state = pair.a().endpoint.registrations().next().unwrap().2.clone();
    assert!(matches!(state, RegistrationState::Registered { .. }));
}

#[test]
fn a_broken_connection_is_registered_over_anew() {
    let mut pair = Pair::with(7, FAIR, Config::default(), with_registrar());
    let now = pair.now;
    pair.a().endpoint.register(now, plan("right", Protocol::Tcp));
    pair.run(SECOND);
    pair.cut();
    pair.run(5 * SECOND);
    assert_eq!(pair.a().told("registered"), 2);
    assert_eq!(pair.b().endpoint.devices("hoa-phu").len(), 1);
}

#[test]
fn floods_of_wrong_registers_leave_nothing_behind() {
    let mut it = Device::new(with_registrar());
    for n in 0..2000 {
        let text = it.text(&format!("u{n}"), PHONE);
        let answer = response(it.bench.send(&text).remove(0));
        assert_eq!(answer.status, 401);
    }
    assert_eq!((it.bench.endpoint.transactions(), it.bench.endpoint.bindings()), (0, 0));
}

/// baresip 1.0 gives up when it sees SHA-256, and comes again after a while.
#[test]
fn a_device_that_knows_only_md5_is_asked_for_that_the_second_time() {
    let mut it = Device::new(with_registrar());
    let asked = |it: &mut Device| {
        let response = it.send("hoa-phu", PHONE);
        response
            .headers
            .all(&Name::WwwAuthenticate)
            .map(|c| String::from_utf8_lossy(c).into_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(asked(&mut it).len(), 2);
    it.bench.now += 30 * SECOND;
    let second = asked(&mut it);
    assert!(matches!(&second[..], [only] if only.contains("algorithm=MD5")), "{second:?}");
}
