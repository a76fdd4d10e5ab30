//! Every device's offer we have, answered; line by line what becomes of it.
//!
//! The offers of room systems are third-party data outside the repository and passed over when they are not there.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cau_sip::sdp::h264::{Mode, Receive};
use cau_sip::sdp::{
    AudioChoice, AudioCodec, Capabilities, Direction, Negotiated, Origin, Ports, Session, accept_answer,
    answer, formats,
};

fn ours() -> Capabilities {
    let mut ours = Capabilities::mcu(Receive::HD1080, 4_000);
    ours.feedback.tmmbr = true;
    ours
}

const PORTS: Ports = Ports {
    addr: std::net::IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1)),
    audio: 20_000,
    video: 20_002,
};

#[allow(clippy::disallowed_macros, reason = "a skipped test says so")]
fn load(name: &str) -> Option<Session> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdp").join(name);
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/sdp").join(name);
    let Some(path) = [own, shared].into_iter().find(|p| p.exists()) else {
        eprintln!("skipped, not there: {name}");
        return None;
    };
    Some(Session::parse(&std::fs::read(path).unwrap()).unwrap())
}

/// What was agreed, in one line per `m=` line.
fn report(offer: &Session, agreed: &Negotiated) -> String {
    let mut out = String::new();
    for (index, media) in offer.media.iter().enumerate() {
        let way = |send, recv| Direction::new(send, recv).as_str();
        if let Some(a) = agreed.audio.as_ref().filter(|a| a.stream.index == index) {
            let dtmf = a.dtmf.map_or(String::new(), |pt| format!(" dtmf {pt}/{}", a.dtmf_clock_hz));
            let (name, pt, s) = (a.codec.name(), a.pt_send, &a.stream);
            let ways = way(s.send, s.recv);
            writeln!(
                out,
                "audio {} {name} {pt}{dtmf} {} ms {} kbit/s {ways}",
                s.remote, a.ptime_ms, a.max_kbps
            )
            .unwrap();
        } else if let Some(v) = agreed.video.as_ref().filter(|v| v.stream.index == index) {
            let (l, f, s) = (&v.limits, &v.feedback, &v.stream);
            let recv: Vec<String> =
                v.pt_recv.iter().map(|(pt, mode)| format!("{pt}/{}", mode.number())).collect();
            let on = [(f.nack, " nack"), (f.pli, " pli"), (f.fir, " fir"), (f.tmmbr, " tmmbr")];
            let feedback: String = on.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
            writeln!(
                out,
                "video {} {}/{} {} {:?} fs {} mbps {} {} kbit/s recv {}{feedback} {}",
                s.remote,
                v.pt_send,
                v.mode.number(),
                v.profile_level,
                v.profile_level.profile(),
                l.max_fs,
                l.max_mbps,
                v.max_kbps,
                recv.join(","),
                way(s.send, s.recv)
            )
            .unwrap();
        } else {
            let declined = agreed.declined.iter().find(|d| d.index == index).unwrap();
            writeln!(out, "{} - {:?}", media.kind, declined.why).unwrap();
        }
    }
    out
}

/// What must be true of every answer, and what the offerer makes of it.
fn check(name: &str, offer: &Session, answered: &Session, agreed: &Negotiated) {
    assert_eq!(offer.media.len(), answered.media.len(), "{name}");
    assert_eq!(Session::parse(&answered.to_bytes()).unwrap(), *answered, "{name}");
    for (o, a) in offer.media.iter().zip(&answered.media) {
        assert_eq!((&o.kind, &o.protocol), (&a.kind, &a.protocol), "{name}");
        assert!(
            !a.formats.is_empty() && a.formats.iter().all(|f| o.formats.contains(f)),
            "{name}: {:?}",
            a.formats
        );
        if a.port == 0 {
            assert_eq!(o.formats, a.formats, "{name}: a declined line keeps its formats");
        }
        let offered = formats(o);
        for format in formats(a).iter().filter(|_| a.port != 0) {
            let same = offered.iter().find(|f| f.pt == format.pt).unwrap();
            let (cau_sip::sdp::Codec::H264(mine), cau_sip::sdp::Codec::H264(theirs)) =
                (&format.codec, &same.codec)
            else {
                assert_eq!(format.clock_hz, same.clock_hz, "{name}");
                continue;
            };
            assert_eq!(mine.mode, theirs.mode, "{name}: RFC 6184 8.2.2, the mode is symmetric");
            assert_eq!(
                mine.profile_level.profile(),
                theirs.profile_level.profile(),
                "{name}: so is the profile"
            );
            let raised = mine.profile_level.level() > theirs.profile_level.level();
            assert!(theirs.level_asymmetry || !raised, "{name}: the level must not be raised");
            assert!(mine.max_fs.is_some() && mine.max_mbps.is_some(), "{name}: Polycom DMA wants max-fs");
        }
    }
    // Seen from the device: it must find what it offered.
    let mut device = ours();
    device.strict = true;
    device.profiles.push(cau_sip::sdp::h264::Profile::Other);
    let seen = accept_answer(offer, answered, &device).unwrap();
    assert_eq!(seen.audio.is_some(), agreed.audio.is_some(), "{name}");
    assert_eq!(seen.video.is_some(), agreed.video.is_some(), "{name}");
    if let (Some(seen), Some(agreed)) = (&seen.audio, &agreed.audio) {
        assert!(seen.codec.is_same(&agreed.codec), "{name}");
        assert_eq!(
            (seen.pt_send, seen.dtmf, seen.comfort_noise),
            (agreed.pt_send, agreed.dtmf, agreed.comfort_noise),
            "{name}"
        );
        assert_eq!((seen.stream.send, seen.stream.recv), (agreed.stream.recv, agreed.stream.send), "{name}");
    }
    if let (Some(seen), Some(agreed)) = (&seen.video, &agreed.video) {
        assert_eq!(
            (seen.pt_send, seen.mode, seen.feedback),
            (agreed.pt_send, agreed.mode, agreed.feedback),
            "{name}"
        );
        assert!(seen.max_kbps <= 4_000, "{name}: {}", seen.max_kbps);
    }
}

#[test]
fn every_device_is_answered_line_by_line() {
    let mut wrong = String::new();
    for (name, expected) in TABLE {
        let Some(offer) = load(name) else { continue };
        let said = match answer(&offer, &ours(), &PORTS, &Origin::new(1 << 40, PORTS.addr)) {
            Ok((answered, agreed)) => {
                check(name, &offer, &answered, &agreed);
                report(&offer, &agreed)
            }
            Err(refused) => format!("refused {} {refused}\n", refused.warning_code()),
        };
        if said != *expected {
            write!(wrong, "{name}\n--- expected\n{expected}--- got\n{said}").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn an_offer_that_is_not_in_the_table_keeps_the_rules_too() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders: [PathBuf; 2] = [here.join("tests/sdp"), here.join("../../../shared/data/sdp")];
    for entry in folders.iter().filter_map(|f| std::fs::read_dir(f).ok()).flatten() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(offer) = Some(&name).filter(|n| n.ends_with(".sdp")).and_then(|n| load(n)) else { continue };
        for mut ours in [ours(), ours().with_mode(Mode::SingleNal), ours().without_video()] {
            for choice in [AudioChoice::Offer, AudioChoice::Own] {
                ours.audio_choice = choice;
                if let Ok((answered, agreed)) = answer(&offer, &ours, &PORTS, &Origin::new(1, PORTS.addr)) {
                    check(&name, &offer, &answered, &agreed);
                }
            }
        }
    }
}

#[test]
fn a_device_with_one_mode_only_gets_that_mode() {
    for mode in [Mode::SingleNal, Mode::NonInterleaved] {
        let Some(offer) = load("baresip-1.0.0-default.sdp") else { continue };
        let ours = ours().with_mode(mode);
        let (answered, agreed) = answer(&offer, &ours, &PORTS, &Origin::new(1, PORTS.addr)).unwrap();
        let video = agreed.video.unwrap();
        assert_eq!(video.mode, mode);
        assert_eq!(video.pt_recv, [(96 + mode.number(), mode)]);
        assert_eq!(answered.media[1].formats, [(96 + mode.number()).to_string()]);
    }
}

#[test]
fn opus_parameters_are_the_peers_wishes() {
    let Some(offer) = load("baresip-1.0.0-default.sdp") else { return };
    let (answered, agreed) = answer(&offer, &ours(), &PORTS, &Origin::new(1, PORTS.addr)).unwrap();
    let AudioCodec::Opus(opus) = agreed.audio.unwrap().codec else { panic!("not Opus") };
    assert!(opus.stereo && !opus.fec && !opus.dtx && !opus.cbr);
    assert_eq!(answered.media[0].attributes.first("fmtp"), Some("96 useinbandfec=1"), "ours are ours");
}

/// Name of the file, and a line per `m=` line.
const TABLE: &[(&str, &str)] = &[
    (
        "baresip-1.0.0-default.sdp",
        "audio 127.0.0.1:20086 opus 96 dtmf 101/8000 20 ms 510 kbit/s sendrecv\n\
         video 127.0.0.1:20084 97/1 42e01f ConstrainedBaseline fs 3600 mbps 108000 14000 kbit/s recv 97/1,96/0 pli sendrecv\n",
    ),
    ("baresip-1.0.0-dtls.sdp", "refused 302 encrypted media is not supported yet\n"),
    (
        "baresip-1.0.0-h264-0.sdp",
        "audio 127.0.0.1:20018 opus 96 dtmf 101/8000 20 ms 510 kbit/s sendrecv\n\
         video 127.0.0.1:20080 96/0 42e01f ConstrainedBaseline fs 3600 mbps 108000 14000 kbit/s recv 96/0 pli sendrecv\n",
    ),
    (
        "baresip-1.0.0-ice-mux.sdp",
        "audio 192.0.2.2:20014 PCMA 8 dtmf 101/8000 20 ms 64 kbit/s sendrecv\n\
         video 192.0.2.2:20082 97/1 42e01f ConstrainedBaseline fs 3600 mbps 108000 14000 kbit/s recv 97/1,96/0 pli sendrecv\n",
    ),
    ("baresip-1.0.0-srtp-mand.sdp", "refused 302 encrypted media is not supported yet\n"),
    (
        "baresip-1.0.0-srtp.sdp",
        "audio 127.0.0.1:20068 opus 96 dtmf 101/8000 20 ms 510 kbit/s sendrecv\n\
         video 127.0.0.1:20096 97/1 42e01f ConstrainedBaseline fs 3600 mbps 108000 14000 kbit/s recv 97/1,96/0 pli sendrecv\n",
    ),
    (
        "cisco-ce-anonymised-h265-offer.sdp",
        "audio 192.168.1.155:2332 opus 114 dtmf 101/8000 20 ms 128 kbit/s sendrecv\n\
         video 192.168.1.155:2364 126/1 428016 Baseline fs 8160 mbps 490000 5000 kbit/s recv 126/1,97/0 pli fir tmmbr sendrecv\n\
         application - Role(Floor)\n\
         video - Role(Content)\n\
         application - Role(Camera)\n\
         application - Role(Other)\n",
    ),
    (
        "cisco-cucm-133090092-offer.sdp",
        "audio 203.0.113.206:18860 opus 114 dtmf 101/8000 20 ms 64 kbit/s sendrecv\n\
         video 203.0.113.206:19952 126/1 428016 Baseline fs 8160 mbps 490000 5000 kbit/s recv 126/1,97/0 pli fir tmmbr sendrecv\n\
         application - Role(Camera)\n",
    ),
    (
        "cisco-cucm-133090092-reinvite.sdp",
        "audio 203.0.113.144:27248 PCMU 0 20 ms 64 kbit/s sendrecv\n\
         video - Off\n\
         application - Off\n",
    ),
    ("cisco-vcs-b2bua-x8.7.3-savp-offer.sdp", "refused 302 encrypted media is not supported yet\n"),
    (
        "grandstream-8000-savp-avp-offer.sdp",
        "audio - Encrypted\n\
         audio 10.69.2.171:10730 G722 9 dtmf 101/8000 20 ms 64 kbit/s sendrecv\n\
         video - Encrypted\n\
         video - Format\n",
    ),
    (
        "lifesize-1335371328-offer.sdp",
        "audio 203.0.113.249:60802 PCMU 0 dtmf 101/8000 20 ms 64 kbit/s sendrecv\n\
         video 203.0.113.249:60804 96/0 42801f Baseline fs 3840 mbps 108000 910 kbit/s recv 96/0 pli fir tmmbr sendrecv\n\
         application - Role(Camera)\n\
         control - Role(Other)\n\
         application - Role(Floor)\n",
    ),
    (
        "lifesize-1335371328-short.sdp",
        "audio 203.0.113.63:60802 PCMU 0 dtmf 101/8000 20 ms 64 kbit/s sendrecv\n\
         video 203.0.113.63:60804 96/0 42801f Baseline fs 3840 mbps 108000 910 kbit/s recv 96/0 sendrecv\n",
    ),
    (
        "linphone-5.1-plain.sdp",
        "audio 192.0.2.2:21100 opus 96 dtmf 99/48000 20 ms 510 kbit/s sendrecv\n\
         video 192.0.2.2:21110 97/0 42801f Baseline fs 3600 mbps 108000 14000 kbit/s recv 97/0 pli fir tmmbr sendrecv\n",
    ),
    ("linphone-5.1-srtp.sdp", "refused 302 encrypted media is not supported yet\n"),
    ("pexip-pexep-audio-bfcp-offer.sdp", "refused 305 no codec in common\n"),
    (
        "poly-studio-x30-offer.sdp",
        "audio 192.168.0.104:17326 G722 9 dtmf 101/8000 20 ms 64 kbit/s sendrecv\n\
         video 192.168.0.104:17328 110/1 428020 Baseline fs 8192 mbps 490000 960 kbit/s recv 110/1,111/1,109/0 fir tmmbr sendrecv\n\
         application - Role(Camera)\n\
         application - Role(Floor)\n",
    ),
    (
        "polycom-groupseries500-offer.sdp",
        "audio 203.0.113.56:49242 G722 9 dtmf 101/8000 20 ms 64 kbit/s sendrecv\n\
         video 203.0.113.56:49244 110/1 428020 Baseline fs 8192 mbps 245000 960 kbit/s recv 110/1,111/1,109/0 fir sendrecv\n\
         application - Role(Camera)\n\
         application - Role(Floor)\n",
    ),
    (
        "polycom-hdx-alpha-offer.sdp",
        "audio 172.22.2.35:49430 G722 9 dtmf 119/8000 20 ms 64 kbit/s sendrecv\n\
         video 172.22.2.35:49432 110/1 428016 Baseline fs 8160 mbps 244800 960 kbit/s recv 110/1,111/1,109/0 fir tmmbr sendrecv\n\
         application - Role(Camera)\n",
    ),
    (
        "polycom-hdx-dme-offer.sdp",
        "audio 172.22.2.119:49160 G722 9 dtmf 101/8000 20 ms 64 kbit/s sendrecv\n\
         video 172.22.2.119:49162 110/1 42e016 ConstrainedBaseline fs 3600 mbps 216000 448 kbit/s recv 110/1,111/1,109/0 fir tmmbr sendrecv\n\
         application - Role(Camera)\n",
    ),
    (
        "sipxtapi-3570486035-offer.sdp",
        "audio 203.0.113.92:40000 G722 9 dtmf 96/8000 20 ms 64 kbit/s sendrecv\n\
         video 203.0.113.92:40002 97/1 42e01e ConstrainedBaseline fs 1620 mbps 40500 256 kbit/s recv 97/1 sendrecv\n",
    ),
    (
        "tandberg-c-series-5mlines-offer.sdp",
        "audio 172.17.2.59:2342 G722 9 dtmf 101/8000 20 ms 64 kbit/s sendrecv\n\
         video 172.17.2.59:2344 98/1 428014 Baseline fs 3600 mbps 108000 3333 kbit/s recv 98/1,97/0 pli sendrecv\n\
         application - Role(Floor)\n\
         video - Role(Content)\n\
         application - Role(Camera)\n",
    ),
    (
        "tandberg-e20-te4.1.1-crypto-offer.sdp",
        "audio 10.44.10.2:2326 G722 9 dtmf 101/8000 20 ms 64 kbit/s sendrecv\n\
         video 10.44.10.2:2328 98/1 42800d Baseline fs 1344 mbps 40500 906 kbit/s recv 98/1,97/0 pli sendrecv\n\
         application - Role(Floor)\n\
         video - Role(Content)\n\
         application - Role(Camera)\n",
    ),
];
