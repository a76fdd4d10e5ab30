//! No description from outside can do harm: random bytes, random lines, and real offers with random damage.

use std::net::Ipv4Addr;

use cau_sip::sdp::h264::Receive;
use cau_sip::sdp::{
    Capabilities, Origin, Ports, Session, accept_answer, answer, crypto, formats, offer, settle,
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Real offers to damage.
const SEEDS: [&[u8]; 5] = [
    include_bytes!("../sdp/cisco-ce-anonymised-h265-offer.sdp"),
    include_bytes!("../sdp/tandberg-e20-te4.1.1-crypto-offer.sdp"),
    include_bytes!("../sdp/baresip-1.0.0-default.sdp"),
    include_bytes!("../sdp/linphone-5.1-plain.sdp"),
    include_bytes!("../sdp/linphone-5.1-srtp.sdp"),
];

/// Everything that is done with a description of somebody else.
fn run(bytes: &[u8]) {
    let Ok(session) = Session::parse(bytes) else { return };
    let written = session.to_bytes();
    let again = Session::parse(&written).expect("what we write we can read");
    assert_eq!(again, session, "reading and writing lose nothing");
    for media in &session.media {
        assert!(formats(media).len() <= 128);
        crypto::of(media);
    }
    let ours = Capabilities::mcu(Receive::HD720, 2_000);
    let ports = Ports { addr: Ipv4Addr::new(192, 0, 2, 9).into(), audio: 4_000, video: 4_002 };
    let origin = Origin::new(1, ports.addr);
    if let Ok((answered, agreed)) = answer(&session, &ours, &ports, &origin) {
        assert_eq!(answered.media.len(), session.media.len());
        let taken = answered.media.iter().filter(|m| m.port != 0).count();
        assert_eq!(taken, usize::from(agreed.audio.is_some()) + usize::from(agreed.video.is_some()));
        assert_eq!(taken + agreed.declined.len(), session.media.len());
        for (o, a) in session.media.iter().zip(&answered.media) {
            assert_eq!((&o.kind, &o.protocol), (&a.kind, &a.protocol));
        }
        let next = offer(&ours, &ports, &origin, Some(&settle(&answered, &session)));
        assert!(next.media.len() >= answered.media.len());
        accept_answer(&session, &answered, &ours).expect("our own answer fits");
    }
    let first = offer(&ours, &ports, &origin, None);
    let _ = accept_answer(&first, &session, &ours);
    let reopened = Capabilities { reopen: true, ..ours };
    Session::parse(&offer(&reopened, &ports, &origin, Some(&session)).to_bytes())
        .expect("an offer can be read");
}

fn line() -> impl Strategy<Value = String> {
    let pt = prop_oneof![0..128u32, 90..110u32];
    prop_oneof![
        Just("v=0".to_owned()),
        "o=.{0,40}",
        "[a-z]=.{0,40}",
        (any::<u16>(), proptest::collection::vec(pt.clone(), 0..6), 0..7usize).prop_map(|(port, pts, which)| {
            let kinds = ["audio", "video", "video", "application", "control", "audio", "video"];
            let transports = ["RTP/AVP", "RTP/AVPF", "RTP/SAVP", "UDP/BFCP", "RTP/AVP", "RTP/AVP", "RTP/AVP"];
            let pts: Vec<String> = pts.iter().map(u32::to_string).collect();
            format!("m={} {port} {} {}", kinds[which], transports[(port % 7) as usize], pts.join(" "))
        }),
        (pt.clone(), 0..7usize).prop_map(|(pt, which)| {
            let names = ["H264/90000", "opus/48000/2", "G722/8000", "telephone-event/8000", "CN/8000", "H264", "/"];
            format!("a=rtpmap:{pt} {}", names[which])
        }),
        (pt, "[a-f0-9]{0,8}", any::<u32>(), 0..4u32).prop_map(|(pt, id, n, mode)| {
            format!("a=fmtp:{pt} profile-level-id={id};packetization-mode={mode}; max-fs={n};max-dpb={n};max-br={n};max-fps={n}")
        }),
        (0..6usize, any::<u64>()).prop_map(|(which, n)| {
            let kinds = ["b=AS:", "b=TIAS:", "b=CT:", "a=ptime:", "a=maxptime:", "a=rtcp:"];
            format!("{}{n}", kinds[which])
        }),
        prop_oneof!["c=IN IP4 0.0.0.0", "c=IN IP6 ::", "c=IN IP4 192.0.2.1", "a=inactive", "a=rtcp-fb:\\* ccm fir"],
    ]
}

/// The same cases every time.
fn config() -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        cases: 256,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        run(&bytes);
    }

    #[test]
    fn random_lines_do_no_harm(lines in proptest::collection::vec(line(), 0..60)) {
        run(lines.join("\r\n").as_bytes());
    }

    #[test]
    fn damaged_offers_do_no_harm(
        seed in 0..SEEDS.len(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in any::<prop::sample::Index>(),
        cut_it in any::<bool>(),
    ) {
        let mut bytes = SEEDS[seed].to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut_it {
            bytes.truncate(cut.index(bytes.len()));
        }
        run(&bytes);
    }
}
