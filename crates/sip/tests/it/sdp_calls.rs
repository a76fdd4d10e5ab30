//! Every description we have of a real device, carried by a call: as an offer in an INVITE, and as the answer to ours in a 200.
//! What each says in detail is in `sdp_devices.rs`; here it is what goes over the wire, line by line.

use std::{net::IpAddr, path::Path};

use crate::common::{Bench, in_dialog, only_request, reply, request, response, to_tag};
use cau_sip::{
    Config, Event,
    message::{Message, Method, Name},
    sdp::{self, Capabilities, Origin, Ports, Session, h264::Receive},
};

const PORTS: Ports =
    Ports { addr: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)), audio: 20_000, video: 20_002 };

fn ours() -> Capabilities {
    Capabilities::mcu(Receive::HD1080, 4_000)
}

#[allow(clippy::disallowed_macros, reason = "a skipped test says so")]
fn load(name: &str) -> Option<String> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdp").join(name);
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/sdp").join(name);
    let Some(path) = [own, shared].into_iter().find(|p| p.exists()) else {
        eprintln!("skipped, not there: {name}");
        return None;
    };
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    Some(text.replace("\r\n", "\n"))
}

/// Kind, port open or not, formats: of each line.
fn lines(session: &Session) -> String {
    let line = |m: &sdp::Media| {
        let port = if m.port == 0 { "0" } else { "open" };
        let way = sdp::Direction::SendRecv;
        let way = [sdp::Direction::SendOnly, sdp::Direction::RecvOnly, sdp::Direction::Inactive]
            .into_iter()
            .find(|d| m.attributes.has(d.as_str()))
            .unwrap_or(way);
        let way = if m.port == 0 { String::new() } else { format!(" {}", way.as_str()) };
        format!("{} {port} {} {}{way}", m.kind, m.protocol, m.formats.join(" "))
    };
    session.media.iter().map(line).collect::<Vec<_>>().join(" | ")
}

/// What the caller gets for its offer.
fn offered(offer: &str) -> String {
    let mut bench = Bench::new(Config { focus: true, ..Config::default() });
    bench.send(&request("INVITE", "1", "", offer));
    let Some(Event::Incoming { call, request: invite }) = bench.events().pop() else { panic!("no call") };
    let offer = Session::parse(invite.offer.as_deref().expect("an offer")).unwrap();
    match sdp::answer(&offer, &ours(), &PORTS, &Origin::new(1 << 40, PORTS.addr)) {
        Ok((answer, _)) => bench.endpoint.accept(bench.now, call, answer.to_bytes()).unwrap(),
        Err(refused) => {
            let warning = format!("{} cau \"{refused}\"", refused.warning_code());
            bench.endpoint.reject(bench.now, call, 488, &[("Warning", &warning)]).unwrap();
        }
    }
    let got = response(bench.sent().remove(0));
    if got.status != 200 {
        return format!("{} {}", got.status, got.headers.text(&Name::Warning).unwrap());
    }
    let answer = Session::parse(&got.body).unwrap();
    assert_eq!(answer.media.len(), offer.media.len(), "as many lines (RFC 3264 6)");
    for (o, a) in offer.media.iter().zip(&answer.media) {
        assert_eq!((&o.kind, &o.protocol), (&a.kind, &a.protocol), "in their places, of the same kind");
    }
    bench.send(&in_dialog("ACK", 1, "ack", &to_tag(&got), "", ""));
    assert!(matches!(bench.events()[..], [Event::Confirmed { .. }]));
    lines(&answer)
}

/// What comes of it when a device we call answers this.
fn answered(answer: &str) -> String {
    let mut bench = Bench::new(Config::default());
    let offer = sdp::offer(&ours(), &PORTS, &Origin::new(1 << 40, PORTS.addr), None);
    let target = cau_sip::Target::new(cau_sip::Uri::sip("site", bench.peer));
    let config = bench.endpoint.config_mut();
    config.tcp_for_large = false;
    let call = bench.endpoint.call(bench.now, target, Some(offer.to_bytes())).unwrap();
    let invite = only_request(bench.sent(), Method::Invite);
    let ok = reply(&invite, 200, "b", "Contact: <sip:site@192.0.2.1:5060>\n", answer);
    only_request(bench.send(&ok), Method::Ack);
    let Some(Event::Answer { sdp, .. }) = bench.events().into_iter().next() else { panic!("no answer") };
    let answer = Session::parse(&sdp).unwrap();
    match sdp::accept_answer(&offer, &answer, &ours()) {
        Ok(agreed) => {
            let audio = agreed.audio.map(|a| format!("{} {}", a.codec.name(), a.pt_send));
            let video = agreed.video.map(|v| format!("H264 {}/{}", v.pt_send, v.mode.number()));
            let or = |it: Option<String>| it.unwrap_or_else(|| "-".into());
            format!("audio {} | video {}", or(audio), or(video))
        }
        Err(refused) => {
            // RFC 3261 13.2.2.4: acknowledged first, then ended with the reason.
            bench.endpoint.hangup(bench.now, call, Some(&refused.words_en())).unwrap();
            let sent = bench.sent();
            let Some(Message::Request(bye)) = sent.first().filter(|_| sent.len() == 1) else {
                panic!("{sent:?}")
            };
            assert_eq!(bye.method, Method::Bye);
            assert!(bye.headers.text(&Name::Reason).unwrap().starts_with("Q.850;cause=16;text="));
            format!("BYE: {refused}")
        }
    }
}

fn check(table: &[(&str, &str)], of: impl Fn(&str) -> String) {
    let mut wrong = String::new();
    for (name, expected) in table {
        let Some(text) = load(name) else { continue };
        let said = of(&text);
        if said != *expected {
            wrong.push_str(&format!("    (\"{name}\", {said:?}),\n"));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_device_offers_in_an_invite() {
    check(OFFERS, offered);
}

#[test]
fn every_description_answers_ours() {
    check(ANSWERS, answered);
}

#[test]
fn every_description_has_its_line() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in [here.join("tests/sdp"), here.join("../../../shared/data/sdp")] {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let known = |table: &[(&str, &str)]| table.iter().any(|(n, _)| *n == name);
            assert!(!name.ends_with(".sdp") || (known(OFFERS) && known(ANSWERS)), "{name}");
        }
    }
}

#[test]
fn the_descriptions_of_devices_are_no_surprise_in_a_late_answer() {
    for (name, expected) in ANSWERS {
        let Some(text) = load(name) else { continue };
        let mut bench = Bench::new(Config::default());
        bench.send(&request("INVITE", "1", "", ""));
        let Some(Event::Incoming { call, .. }) = bench.events().pop() else { panic!("no call") };
        let offer = sdp::offer(&ours(), &PORTS, &Origin::new(1 << 40, PORTS.addr), None);
        bench.endpoint.accept(bench.now, call, offer.to_bytes()).unwrap();
        let tag = to_tag(&response(bench.sent().remove(0)));
        bench.send(&in_dialog("ACK", 1, "ack", &tag, "", &text));
        let Some(Event::Answer { sdp, .. }) = bench.events().into_iter().next() else { panic!("{name}") };
        let fits = sdp::accept_answer(&offer, &Session::parse(&sdp).unwrap(), &ours()).is_ok();
        assert_eq!(fits, !expected.starts_with("BYE"), "{name}");
    }
}

/// Name of the file, and what stands on the lines of the answer.
const OFFERS: &[(&str, &str)] = &[
    ("baresip-1.0.0-default.sdp", "audio open RTP/AVP 96 101 sendrecv | video open RTP/AVP 97 96 sendrecv"),
    ("baresip-1.0.0-dtls.sdp", "488 302 cau \"encrypted media is not supported yet\""),
    ("baresip-1.0.0-h264-0.sdp", "audio open RTP/AVP 96 101 sendrecv | video open RTP/AVP 96 sendrecv"),
    ("baresip-1.0.0-ice-mux.sdp", "audio open RTP/AVP 8 101 sendrecv | video open RTP/AVP 97 96 sendrecv"),
    ("baresip-1.0.0-srtp-mand.sdp", "488 302 cau \"encrypted media is not supported yet\""),
    ("baresip-1.0.0-srtp.sdp", "audio open RTP/AVP 96 101 sendrecv | video open RTP/AVP 97 96 sendrecv"),
    (
        "cisco-ce-anonymised-h265-offer.sdp",
        "audio open RTP/AVP 114 101 sendrecv | video open RTP/AVP 126 97 sendrecv | application 0 UDP/BFCP * | video 0 RTP/AVP 97 126 96 34 123 | application 0 RTP/AVP 100 | application 0 UDP/UDT/IX *",
    ),
    (
        "cisco-cucm-133090092-offer.sdp",
        "audio open RTP/AVP 114 101 sendrecv | video open RTP/AVP 126 97 sendrecv | application 0 RTP/AVP 100",
    ),
    (
        "cisco-cucm-133090092-reinvite.sdp",
        "audio open RTP/AVP 0 sendrecv | video 0 RTP/AVP 99 97 126 123 | application 0 RTP/AVP 96",
    ),
    ("cisco-vcs-b2bua-x8.7.3-savp-offer.sdp", "488 302 cau \"encrypted media is not supported yet\""),
    (
        "grandstream-8000-savp-avp-offer.sdp",
        "audio 0 RTP/SAVP 9 8 0 18 101 121 124 | audio open RTP/AVP 9 101 sendrecv | video 0 RTP/SAVP 99 | video 0 RTP/AVP 99",
    ),
    (
        "lifesize-1335371328-offer.sdp",
        "audio open RTP/AVP 0 101 sendrecv | video open RTP/AVP 96 sendrecv | application 0 RTP/AVP 100 | control 0 RTP/AVP 96 | application 0 TCP/BFCP *",
    ),
    ("lifesize-1335371328-short.sdp", "audio open RTP/AVP 0 101 sendrecv | video open RTP/AVP 96 sendrecv"),
    ("linphone-5.1-plain.sdp", "audio open RTP/AVP 96 99 sendrecv | video open RTP/AVP 97 sendrecv"),
    ("linphone-5.1-srtp.sdp", "488 302 cau \"encrypted media is not supported yet\""),
    ("pexip-pexep-audio-bfcp-offer.sdp", "488 305 cau \"no codec in common\""),
    (
        "poly-studio-x30-offer.sdp",
        "audio open RTP/AVP 9 101 sendrecv | video open RTP/AVP 110 111 109 sendrecv | application 0 RTP/AVP 100 | application 0 TCP/BFCP *",
    ),
    (
        "polycom-groupseries500-offer.sdp",
        "audio open RTP/AVP 9 101 sendrecv | video open RTP/AVP 110 111 109 sendrecv | application 0 RTP/AVP 100 | application 0 UDP/BFCP *",
    ),
    (
        "polycom-hdx-alpha-offer.sdp",
        "audio open RTP/AVP 9 119 sendrecv | video open RTP/AVP 110 111 109 sendrecv | application 0 RTP/AVP 100",
    ),
    (
        "polycom-hdx-dme-offer.sdp",
        "audio open RTP/AVP 9 101 sendrecv | video open RTP/AVP 110 111 109 sendrecv | application 0 RTP/AVP 10",
    ),
    ("sipxtapi-3570486035-offer.sdp", "audio open RTP/AVP 9 96 sendrecv | video open RTP/AVP 97 sendrecv"),
    (
        "tandberg-c-series-5mlines-offer.sdp",
        "audio open RTP/AVP 9 101 sendrecv | video open RTP/AVP 98 97 sendrecv | application 0 UDP/BFCP * | video 0 RTP/AVP 97 98 99 34 31 | application 0 RTP/AVP 106",
    ),
    (
        "tandberg-e20-te4.1.1-crypto-offer.sdp",
        "audio open RTP/AVP 9 101 sendrecv | video open RTP/AVP 98 97 sendrecv | application 0 UDP/BFCP * | video 0 RTP/AVP 97 98 99 34 31 | application 0 RTP/AVP 104",
    ),
];

/// Name of the file, and what is agreed on when it answers our offer of sound and pictures.
const ANSWERS: &[(&str, &str)] = &[
    ("answers/baresip-1.0.0-mode-0.sdp", "audio opus 114 | video H264 97/0"),
    ("answers/baresip-1.0.0-mode-1.sdp", "audio opus 114 | video H264 126/1"),
    ("answers/baresip-1.0.0-no-common-mode.sdp", "audio opus 114 | video -"),
    ("answers/linphone-5.1-plain.sdp", "audio opus 114 | video H264 126/1"),
    ("baresip-1.0.0-default.sdp", "audio opus 96 | video H264 96/0"),
    (
        "baresip-1.0.0-dtls.sdp",
        "BYE: line 0 of the answer has the transport UDP/TLS/RTP/SAVPF, RTP/AVP was offered",
    ),
    ("baresip-1.0.0-h264-0.sdp", "audio opus 96 | video H264 96/0"),
    ("baresip-1.0.0-ice-mux.sdp", "audio PCMA 8 | video H264 96/0"),
    (
        "baresip-1.0.0-srtp-mand.sdp",
        "BYE: line 0 of the answer has the transport RTP/SAVP, RTP/AVP was offered",
    ),
    ("baresip-1.0.0-srtp.sdp", "audio opus 96 | video H264 96/0"),
    ("cisco-ce-anonymised-h265-offer.sdp", "BYE: the answer has 6 media lines, the offer has 2"),
    ("cisco-cucm-133090092-offer.sdp", "BYE: the answer has 3 media lines, the offer has 2"),
    ("cisco-cucm-133090092-reinvite.sdp", "BYE: the answer has 3 media lines, the offer has 2"),
    ("cisco-vcs-b2bua-x8.7.3-savp-offer.sdp", "BYE: the answer has 6 media lines, the offer has 2"),
    ("grandstream-8000-savp-avp-offer.sdp", "BYE: the answer has 4 media lines, the offer has 2"),
    ("lifesize-1335371328-offer.sdp", "BYE: the answer has 5 media lines, the offer has 2"),
    ("lifesize-1335371328-short.sdp", "audio PCMU 0 | video H264 96/0"),
    ("linphone-5.1-plain.sdp", "audio opus 96 | video H264 97/0"),
    ("linphone-5.1-srtp.sdp", "BYE: line 0 of the answer has the transport RTP/SAVP, RTP/AVP was offered"),
    (
        "pexip-pexep-audio-bfcp-offer.sdp",
        "BYE: line 1 of the answer is application, the offer has video there",
    ),
    ("poly-studio-x30-offer.sdp", "BYE: the answer has 4 media lines, the offer has 2"),
    ("polycom-groupseries500-offer.sdp", "BYE: the answer has 4 media lines, the offer has 2"),
    ("polycom-hdx-alpha-offer.sdp", "BYE: the answer has 3 media lines, the offer has 2"),
    ("polycom-hdx-dme-offer.sdp", "BYE: the answer has 3 media lines, the offer has 2"),
    ("sipxtapi-3570486035-offer.sdp", "audio PCMU 0 | video H264 97/0"),
    ("tandberg-c-series-5mlines-offer.sdp", "BYE: the answer has 5 media lines, the offer has 2"),
    ("tandberg-e20-te4.1.1-crypto-offer.sdp", "BYE: the answer has 5 media lines, the offer has 2"),
];
