//! Calls out to devices played by hand: they ask for passwords, speak before they answer, register and are called where they are.

use std::{fs, net::SocketAddr, thread};

use cau_tests::{
    Server,
    raw::{Raw, audio, header, sdp},
    secs,
    voice::Voice,
    wait_for,
};
use md5::Md5;
use serde_json::{Value, json};
use sha2::Sha256;

const CONFIG: &str = "
[[sip.credentials]]
realm = 'xa.example'
user = 'mcu'
password = 'Mat-Khau-2'
[[sip.credentials]]
realm = 'huyen.example'
user = 'mcu'
password = 'cu'
";

/// What a device asks for, and what it does with the answer.
struct Asks {
    name: &'static str,
    status: &'static str,
    /// The challenges, the one first that is meant to be taken.
    challenges: &'static [&'static str],
    realm: &'static str,
    /// How often it asks.
    times: usize,
    /// Whether it takes the call then.
    takes: bool,
}

const DEVICES: [Asks; 5] = [
    Asks {
        name: "md5",
        status: "401 Unauthorized",
        challenges: &["algorithm=MD5, qop=\"auth\""],
        realm: "xa.example",
        times: 1,
        takes: true,
    },
    Asks {
        name: "proxy",
        status: "407 Proxy Authentication Required",
        challenges: &["algorithm=SHA-256, qop=\"auth\"", "algorithm=MD5, qop=\"auth\""],
        realm: "xa.example",
        times: 1,
        takes: true,
    },
    Asks {
        name: "old",
        status: "401 Unauthorized",
        challenges: &["opaque=\"o\""],
        realm: "xa.example",
        times: 1,
        takes: true,
    },
    Asks {
        name: "wrong",
        status: "401 Unauthorized",
        challenges: &["algorithm=MD5, qop=\"auth\""],
        realm: "huyen.example",
        times: 2,
        takes: false,
    },
    Asks {
        name: "stranger",
        status: "407 Proxy Authentication Required",
        challenges: &["algorithm=SHA-256, qop=\"auth\""],
        realm: "ai-do.example",
        times: 1,
        takes: false,
    },
];

fn hex<D: sha2::Digest>(text: &str) -> String {
    D::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// A parameter of credentials.
fn param<'a>(credentials: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = credentials.split_once(&format!(" {name}="))?;
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split([',', ' ']).next(),
    }
}

/// Whether these credentials are those of the user `mcu` (RFC 7616 3.4.1).
fn right<D: sha2::Digest>(credentials: &str, password: &str, method: &str) -> bool {
    let value = |name| param(credentials, name).unwrap_or_default();
    let ha1 = hex::<D>(&format!("mcu:{}:{password}", value("realm")));
    let ha2 = hex::<D>(&format!("{method}:{}", value("uri")));
    let said = match value("qop") {
        "" => format!("{ha1}:{}:{ha2}", value("nonce")),
        qop => format!("{ha1}:{}:{}:{}:{qop}:{ha2}", value("nonce"), value("nc"), value("cnonce")),
    };
    value("username") == "mcu" && value("response") == hex::<D>(&said)
}

impl Asks {
    /// Plays the device until its call stands or is refused for good.
    fn play(&self, raw: &Raw) {
        let (ask, answered) = match self.status.starts_with("401") {
            true => ("WWW-Authenticate", "Authorization"),
            false => ("Proxy-Authenticate", "Proxy-Authorization"),
        };
        let mut invite = raw.asked("INVITE");
        assert_eq!(header(&invite, answered), None, "{}: nobody has asked yet", self.name);
        for n in 0..self.times {
            let challenge = |c: &&str| format!("{ask}: Digest realm=\"{}\", nonce=\"n{n}\", {c}", self.realm);
            let lines: Vec<String> = self.challenges.iter().map(challenge).collect();
            raw.respond(&invite, self.status, &lines, "");
            raw.asked("ACK");
            if n + 1 < self.times || self.takes {
                invite = raw.asked("INVITE");
                let credentials = header(&invite, answered).expect(self.name);
                let nonce = format!("n{n}");
                assert_eq!(param(credentials, "nonce"), Some(nonce.as_str()), "{}: {credentials}", self.name);
            }
        }
        if !self.takes {
            let more = raw.asked_within("INVITE", secs(1.0));
            assert_eq!(more, None, "{}: said once is enough", self.name);
            return;
        }
        let credentials = header(&invite, answered).expect(self.name);
        let known = match self.challenges[0].contains("SHA-256") {
            true => right::<Sha256>(credentials, "Mat-Khau-2", "INVITE"),
            false => right::<Md5>(credentials, "Mat-Khau-2", "INVITE"),
        };
        assert!(known, "{}: {credentials}", self.name);
        raw.respond(&invite, "200 OK", &[raw.contact()], &sdp(&[&audio(40_000)]));
        let ack = raw.asked("ACK");
        assert_eq!(header(&ack, answered), Some(credentials), "{}: RFC 3261 22.1", self.name);
    }
}

fn call(server: &Server, conference: &str, sites: &[Value]) -> Vec<String> {
    let path = format!("/api/v1/conferences/{conference}/participants");
    let (status, called) = server.api.post(&path, &Value::Array(sites.to_vec()));
    assert_eq!(status, 202, "{called}");
    called.as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap().to_owned()).collect()
}

/// Waits until a site is in that state.
fn reaches(server: &Server, conference: &str, id: &str, state: &str) -> Value {
    let path = format!("/api/v1/conferences/{conference}/participants/{id}");
    wait_for(&format!("{id} to be {state}"), secs(5.0), || {
        Some(server.api.get(&path).1).filter(|site| site["state"] == state)
    })
}

#[test]
fn devices_that_ask_for_a_password_get_it_and_the_others_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cau.toml");
    fs::write(&file, CONFIG).unwrap();
    let mut server = Server::start_with(&[("CAU_CONFIG", file.to_str().unwrap())]);
    let conference = server.conference("8000", json!({}));
    let raws: Vec<Raw> = DEVICES.iter().map(|_| Raw::new(server.sip)).collect();
    let sites: Vec<Value> = raws
        .iter()
        .zip(&DEVICES)
        .map(|(raw, device)| json!({ "uri": format!("sip:{}@{}", device.name, raw.addr()), "name": device.name }))
        .collect();
    let ids = call(&server, &conference, &sites);
    thread::scope(|scope| {
        for (raw, device) in raws.iter().zip(&DEVICES) {
            scope.spawn(|| device.play(raw));
        }
    });
    for (id, device) in ids.iter().zip(&DEVICES) {
        let site = reaches(&server, &conference, id, if device.takes { "connected" } else { "left" });
        if !device.takes {
            let (vi, en) = (site["reason"].as_str().unwrap(), site["reason_en"].as_str().unwrap());
            assert!(en.contains("asks for a password") && vi.contains("đòi mật khẩu"), "{site}");
        }
    }
    server.assert_well();
}

/// A gateway plays a tone or an announcement before anybody has answered (RFC 3960): it reaches nobody, and is no connection.
#[test]
fn what_plays_before_the_answer_reaches_nobody() {
    let mut server = Server::start();
    let conference = server.conference("8000", json!({}));
    let (listener, ear) = (Raw::new(server.sip), Voice::new());
    listener.send(&listener.request(
        "INVITE",
        "8000",
        (1, "INVITE"),
        None,
        &[listener.contact()],
        &sdp(&[&audio(ear.port())]),
    ));
    listener.ack("8000", 1, &listener.answer("INVITE"), "");
    wait_for("the listener", secs(3.0), || (server.api.connected(&conference).len() == 1).then_some(()));

    let (device, mut mouth) = (Raw::new(server.sip), Voice::new());
    let uri = format!("sip:tong-dai@{}", device.addr());
    let id = call(&server, &conference, &[json!({ "uri": uri })]).remove(0);
    let invite = device.asked("INVITE");
    let answer = sdp(&[&audio(mouth.port())]);
    let to = SocketAddr::from(([127, 0, 0, 1], offered(&invite)));
    device.respond(&invite, "183 Session Progress", &[device.contact()], &answer);
    reaches(&server, &conference, &id, "ringing");
    thread::scope(|scope| {
        let playing = scope.spawn(|| mouth.speak(to, secs(1.0)));
        let (loud, all) = ear.heard(secs(1.0));
        assert!(loud == 0 && all > 30, "{loud} of {all} packets are loud");
        playing.join().unwrap();
    });
    reaches(&server, &conference, &id, "ringing");
    assert_eq!(server.api.connected(&conference).len(), 1, "it has no seat yet");
    device.respond(&invite, "200 OK", &[device.contact()], &answer);
    device.asked("ACK");
    reaches(&server, &conference, &id, "connected");
    thread::scope(|scope| {
        let playing = scope.spawn(|| mouth.speak(to, secs(1.5)));
        let (loud, all) = ear.heard(secs(1.5));
        assert!(loud >= 30, "{loud} of {all} packets are loud");
        playing.join().unwrap();
    });
    server.assert_well();
}

/// The port of the sound an INVITE offers.
fn offered(invite: &str) -> u16 {
    let line = invite.lines().find_map(|l| l.strip_prefix("m=audio ")).expect("sound is offered");
    line.split(' ').next().unwrap().parse().unwrap()
}

/// An account is called where its device has registered, and the operator is told when there is none.
#[test]
fn a_registered_device_is_called_by_its_account() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("accounts.toml");
    fs::write(&file, "[[account]]\nuser = 'hoa-phu'\npassword = 'Mat-Khau-1'\n").unwrap();
    let mut server = Server::start_with(&[
        ("CAU_REGISTRAR__ENABLED", "true"),
        ("CAU_REGISTRAR__ACCOUNTS", file.to_str().unwrap()),
        ("CAU_REGISTRAR__REALM", "mcu.example"),
    ]);
    let conference = server.conference("8000", json!({}));
    let account = json!({ "uri": "sip:hoa-phu@mcu.example" });
    let id = call(&server, &conference, std::slice::from_ref(&account)).remove(0);
    let left = reaches(&server, &conference, &id, "left");
    assert!(left["reason_en"].as_str().unwrap().contains("not registered"), "{left}");
    assert!(left["reason"].as_str().unwrap().contains("chưa đăng ký"), "{left}");

    let device = Raw::new(server.sip);
    let register = |number: u32, more: &[String]| {
        let lines = [&[device.contact()], more].concat();
        device.send(&device.request("REGISTER", "hoa-phu", (number, "REGISTER"), None, &lines, ""));
        device.answer("REGISTER")
    };
    let asked = register(1, &[]);
    let nonce = param(asked.header("WWW-Authenticate").unwrap(), "nonce").unwrap().to_owned();
    let uri = server.uri("hoa-phu");
    let ha1 = hex::<Sha256>("hoa-phu:mcu.example:Mat-Khau-1");
    let ha2 = hex::<Sha256>(&format!("REGISTER:{uri}"));
    let said = hex::<Sha256>(&format!("{ha1}:{nonce}:00000001:xyz:auth:{ha2}"));
    let done = register(
        2,
        &[format!(
            "Authorization: Digest username=\"hoa-phu\", realm=\"mcu.example\", nonce=\"{nonce}\", uri=\"{uri}\", \
             response=\"{said}\", algorithm=SHA-256, qop=auth, nc=00000001, cnonce=\"xyz\""
        )],
    );
    assert_eq!(done.status, 200);
    assert_eq!(call(&server, &conference, &[account]), [id.as_str()], "the same site");
    let invite = device.asked("INVITE");
    assert!(invite.starts_with(&format!("INVITE sip:tester@{} ", device.addr())), "{invite}");
    device.respond(&invite, "200 OK", &[device.contact()], &sdp(&[&audio(40_000)]));
    device.asked("ACK");
    let there = reaches(&server, &conference, &id, "connected");
    assert_eq!(there["uri"], "sip:hoa-phu@mcu.example");
    server.assert_well();
}
