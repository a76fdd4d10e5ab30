//! Accounts, registration, and what a conference tells and is told over SIP: by hand, by sipp and by baresip.

use std::{fs, path::PathBuf};

use cau_tests::{
    Baresip, Server,
    raw::{Answer, Raw, audio, sdp},
    secs, sipp, wait_for,
};
use md5::Md5;
use serde_json::json;
use sha2::Sha256;

const REALM: &str = "cau";

/// A file of accounts, gone with the value.
struct Accounts(tempfile::TempDir);

impl Accounts {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::write(dir.path().join("accounts.toml"), text).expect("the accounts");
        Self(dir)
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("accounts.toml")
    }

    fn server(&self, more: &[(&str, &str)]) -> Server {
        let file = self.file();
        let mut all =
            vec![("CAU_REGISTRAR__ENABLED", "true"), ("CAU_REGISTRAR__ACCOUNTS", file.to_str().unwrap())];
        all.extend(more);
        Server::start_with(&all)
    }
}

const HOA_PHU: &str = "[[account]]\nuser = 'hoa-phu'\npassword = 'Mat-Khau-1'\n";

fn hex<D: sha2::Digest>(text: &str) -> String {
    D::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// The line that answers a challenge with SHA-256.
fn authorization(asked: &Answer, password: &str, method: &str, uri: &str) -> String {
    let challenge = asked.header("WWW-Authenticate").expect("a challenge");
    assert!(challenge.contains("algorithm=SHA-256"), "the better one first: {challenge}");
    let nonce = challenge.split("nonce=\"").nth(1).and_then(|n| n.split('"').next()).expect("a nonce");
    let ha1 = hex::<Sha256>(&format!("hoa-phu:{REALM}:{password}"));
    let ha2 = hex::<Sha256>(&format!("{method}:{uri}"));
    let said = hex::<Sha256>(&format!("{ha1}:{nonce}:00000001:xyz:auth:{ha2}"));
    format!(
        "Authorization: Digest username=\"hoa-phu\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"{uri}\", \
         response=\"{said}\", algorithm=SHA-256, qop=auth, nc=00000001, cnonce=\"xyz\""
    )
}

fn devices(server: &Server) -> Option<f64> {
    let metrics = String::from_utf8(server.api.bytes("/metrics").1).expect("text");
    metrics.lines().find_map(|l| l.strip_prefix("cau_sip_devices ")?.parse().ok())
}

#[test]
fn a_device_registers_with_its_password_and_not_with_another() {
    let accounts = Accounts::new(HOA_PHU);
    let mut server = accounts.server(&[]);
    let raw = Raw::new(server.sip);
    let lines = |more: &[String]| [&[raw.contact(), "Expires: 120".to_owned()], more].concat();
    let register = |number: u32, more: &[String]| {
        raw.send(&raw.request("REGISTER", "hoa-phu", (number, "REGISTER"), None, &lines(more), ""));
        raw.answer("REGISTER")
    };
    let uri = server.uri("hoa-phu");
    let asked = register(1, &[]);
    assert_eq!(asked.status, 401);
    assert_eq!(register(2, &[authorization(&asked, "wrong", "REGISTER", &uri)]).status, 401);
    let asked = register(3, &[]);
    let right = authorization(&asked, "Mat-Khau-1", "REGISTER", &uri);
    let done = register(4, std::slice::from_ref(&right));
    assert_eq!(done.status, 200);
    assert!(done.header("Contact").expect("its contact").contains("expires=1"), "{done:?}");
    assert_eq!(devices(&server), Some(1.0));
    let replayed = register(5, &[right]);
    assert_eq!(
        (replayed.status, replayed.header("WWW-Authenticate").unwrap().contains("stale=true")),
        (401, true)
    );
    server.assert_well();
}

#[test]
fn a_call_without_an_account_is_refused_when_configured() {
    let accounts = Accounts::new(HOA_PHU);
    let mut server = accounts.server(&[("CAU_SIP__AUTHENTICATE_CALLS", "true")]);
    let conference = server.conference("8000", json!({}));
    let raw = Raw::new(server.sip);
    let invite = |number: u32, more: &[String]| {
        let lines = [&[raw.contact()], more].concat();
        raw.send(&raw.request("INVITE", "8000", (number, "INVITE"), None, &lines, &sdp(&[&audio(40_000)])));
        let answer = raw.answer("INVITE");
        raw.ack("8000", number, &answer, "");
        answer
    };
    let asked = invite(1, &[]);
    assert_eq!(asked.status, 401);
    assert!(server.api.connected(&conference).is_empty());
    let answer = invite(2, &[authorization(&asked, "Mat-Khau-1", "INVITE", &server.uri("8000"))]);
    assert_eq!(answer.status, 200);
    wait_for("the site", secs(5.0), || (server.api.connected(&conference).len() == 1).then_some(()));
    server.assert_well();
}

/// sipp takes the credentials of its command line into what it sends after a challenge.
#[test]
fn sipp_registers() {
    let ha1 = hex::<Md5>(&format!("hoa-phu:{REALM}:Mat-Khau-1"));
    let accounts = Accounts::new(&format!("[[account]]\nuser = 'hoa-phu'\nha1_md5 = '{ha1}'\n"));
    let mut server = accounts.server(&[]);
    let request = |number: u8, more: &str| {
        format!(
            "<send retrans=\"500\"><![CDATA[
REGISTER sip:[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:hoa-phu@[remote_ip]>;tag=[call_number]
To: <sip:hoa-phu@[remote_ip]>
Call-ID: [call_id]
CSeq: {number} REGISTER
Contact: <sip:hoa-phu@[local_ip]:[local_port]>;+sip.instance=\"<urn:uuid:0>\"
Max-Forwards: 70
Expires: 300
{more}Content-Length: 0

]]></send>"
        )
    };
    let scenario = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><scenario name=\"register\">{}<recv response=\"401\" auth=\"true\"/>{}\
         <recv response=\"200\"/></scenario>",
        request(1, ""),
        request(2, "[authentication username=hoa-phu password=Mat-Khau-1]\n")
    );
    sipp::play(&server.out.clone(), "register", &scenario, server.sip, "8000");
    assert_eq!(devices(&server), Some(1.0));
    server.assert_well();
}

#[test]
fn baresip_registers_and_calls_where_an_account_is_needed() {
    let ha1 = hex::<Md5>(&format!("hoa-phu:{REALM}:Mat-Khau-1"));
    let accounts = Accounts::new(&format!("[[account]]\nuser = 'hoa-phu'\nha1_md5 = '{ha1}'\n"));
    let mut server = accounts.server(&[("CAU_SIP__AUTHENTICATE_CALLS", "true")]);
    let conference = server.conference("8000", json!({}));
    let running = Baresip::new(0, 6.0)
        .with("--register", &format!("sip:{}", server.sip))
        .with("--user", "hoa-phu")
        .with("--password", "Mat-Khau-1")
        .dial(&server, "8000");
    wait_for("its registration", secs(10.0), || (devices(&server) == Some(1.0)).then_some(()));
    wait_for("its call", secs(10.0), || (server.api.connected(&conference).len() == 1).then_some(()));
    running.judge();
    server.assert_well();
}

#[test]
fn who_is_in_a_conference_watches_it_and_the_chair_removes_a_site() {
    let mut server = Server::start();
    let chair = Raw::new(server.sip);
    let address = format!("sip:tester@{}", chair.addr());
    let conference = server.conference("8000", json!({ "chair": address }));
    let invite = |raw: &Raw| {
        raw.send(&raw.request(
            "INVITE",
            "8000",
            (1, "INVITE"),
            None,
            &[raw.contact()],
            &sdp(&[&audio(40_000)]),
        ));
        let answer = raw.answer("INVITE");
        assert_eq!(answer.status, 200);
        raw.ack("8000", 1, &answer, "");
        answer
    };
    let answered = invite(&chair);
    let other = Raw::new(server.sip);
    invite(&other);
    wait_for("two sites", secs(5.0), || (server.api.connected(&conference).len() == 2).then_some(()));
    // Within its call, where the server knows it.
    let tag = Raw::tag(&answered);
    let event = ["Event: conference".to_owned(), "Expires: 300".to_owned(), chair.contact()];
    chair.send(&chair.request("SUBSCRIBE", "8000", (2, "SUBSCRIBE"), Some(&tag), &event, ""));
    assert_eq!(chair.answer("SUBSCRIBE").status, 200);
    let notify = chair.asked("NOTIFY");
    assert!(
        notify.contains("application/conference-info+xml") && notify.contains("<user-count>2</user-count>"),
        "{notify}"
    );
    assert!(notify.contains(&format!("entity=\"sip:tester@{}\"", other.addr())), "{notify}");
    chair.agree(&notify);
    let refer = [format!("Refer-To: <sip:tester@{};method=BYE>", other.addr()), chair.contact()];
    chair.send(&chair.request("REFER", "8000", (3, "REFER"), Some(&tag), &refer, ""));
    assert_eq!(chair.answer("REFER").status, 202);
    let trying = chair.asked("NOTIFY");
    assert!(trying.contains("SIP/2.0 100 Trying"), "{trying}");
    chair.agree(&trying);
    // The roster's and the REFER's come as they happen, in no order of their own.
    let (mut done, mut gone) = (false, false);
    while !(done && gone) {
        let notify = chair.asked("NOTIFY");
        chair.agree(&notify);
        done |= notify.contains("SIP/2.0 200 OK\r\n") && notify.contains("Subscription-State: terminated");
        gone |= notify.contains("<user-count>1</user-count>");
    }
    wait_for("one site", secs(5.0), || (server.api.connected(&conference).len() == 1).then_some(()));
    // Who is not the chair may not.
    let third = Raw::new(server.sip);
    let answered = invite(&third);
    let refer = [format!("Refer-To: <{address};method=BYE>"), third.contact()];
    third.send(&third.request("REFER", "8000", (2, "REFER"), Some(&Raw::tag(&answered)), &refer, ""));
    assert_eq!(third.answer("REFER").status, 403);
    server.assert_well();
}
