//! Reading and writing descriptions: what devices write oddly, and what must not get through.

use cau_sip::sdp::h264::{Level, Parameters, Profile, ProfileLevelId};
use cau_sip::sdp::{
    Address, Codec, Direction, Error, Feedback, Fmtp, MAX_BYTES, MAX_MEDIA, MediaKind, Origin, Protocol,
    Role, Session, crypto, formats,
};

fn parse(text: &str) -> Session {
    Session::parse(text.as_bytes()).unwrap()
}

fn line(text: &str) -> cau_sip::sdp::Media {
    parse(text).media.remove(0)
}

#[test]
fn line_ends_may_be_crlf_lf_or_cr() {
    let text =
        "v=0\no=- 1 2 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\nm=audio 4000 RTP/AVP 0\na=sendonly\n";
    let session = parse(text);
    assert_eq!(session, parse(&text.replace('\n', "\r\n")));
    assert_eq!(session, parse(&text.replace('\n', "\r")));
    assert_eq!(session, parse(text.trim_end()));
    assert_eq!(session.media[0].port, 4000);
}

#[test]
fn a_description_is_written_in_the_order_of_rfc_8866() {
    let text = "v=0\r\no=x 1 2 IN IP6 2001:db8::1\r\ns=a name\r\ni=info\r\nu=http://example.org\r\ne=a@b\r\np=+1\r\n\
                c=IN IP6 2001:db8::1\r\nb=AS:64\r\nt=0 0\r\nr=1 2 3\r\nk=prompt\r\na=sendrecv\r\n\
                m=audio 4000 RTP/AVP 0 8\r\ni=sound\r\nc=IN IP4 192.0.2.1\r\nb=TIAS:64000\r\nk=prompt\r\na=ptime:20\r\n";
    assert_eq!(parse(text).to_bytes(), text.as_bytes());
    let shuffled = text.replace(
        "i=info\r\nu=http://example.org\r\ne=a@b\r\n",
        "e=a@b\r\nu=http://example.org\r\ni=info\r\n",
    );
    assert_eq!(parse(&shuffled), parse(text));
}

#[test]
fn lines_that_say_nothing_are_passed_over() {
    let session =
        parse("v=0\n\nnonsense\n=\nx=1\na\na=\na=:\nb=AS\nb=AS:x\no=\ns=\nm=audio 1 RTP/AVP 0\nq=2\nzz=3\n");
    assert_eq!(session.name, "-");
    assert!(session.attributes.0.is_empty() && session.bandwidth.is_empty());
    assert_eq!(session.media.len(), 1);
}

#[test]
fn bytes_that_are_not_utf8_and_control_characters_do_no_harm() {
    let session = Session::parse(b"v=0\ns=\xff\xfe\0x\nm=audio 1 RTP/AVP 0\na=label:\x01\xc3\n").unwrap();
    assert_eq!(Session::parse(&session.to_bytes()).unwrap(), session);
}

#[test]
fn nothing_in_a_value_starts_another_line() {
    let mut session = parse("v=0\nm=audio 1 RTP/AVP 0\n");
    session.media[0].attributes.push("label", "x\r\nm=video 2 RTP/AVP 96");
    assert_eq!(parse(std::str::from_utf8(&session.to_bytes()).unwrap()).media.len(), 1);
}

#[test]
fn what_is_too_large_or_no_description_is_refused() {
    assert_eq!(Session::parse(&vec![b'x'; MAX_BYTES + 1]), Err(Error::TooLong(MAX_BYTES + 1)));
    assert_eq!(Session::parse("v=0\n".repeat(2_001).as_bytes()), Err(Error::TooManyLines));
    let many = format!("v=0\n{}", "m=audio 1 RTP/AVP 0\n".repeat(MAX_MEDIA + 1));
    assert_eq!(Session::parse(many.as_bytes()), Err(Error::TooManyMedia));
    for text in ["", "\r\n", "hello", "a=sendrecv\n"] {
        assert_eq!(Session::parse(text.as_bytes()), Err(Error::NotSdp), "{text:?}");
    }
    for text in ["m=", "m=audio", "m=audio x RTP/AVP 0", "m=audio 70000 RTP/AVP 0", "m=audio 1"] {
        assert_eq!(
            Session::parse(format!("v=0\n{text}").as_bytes()),
            Err(Error::BadMedia { line: 2 }),
            "{text:?}"
        );
    }
}

#[test]
fn a_line_that_is_too_long_is_passed_over() {
    let text = format!("v=0\nm=audio 1 RTP/AVP 0\na=label:{}\na=mid:1\n", "x".repeat(5_000));
    assert_eq!(line(&text).attributes.0.len(), 1);
}

#[test]
fn origins_with_blanks_huge_numbers_or_words() {
    let origin = |o: &str| parse(&format!("v=0\no={o}\n")).origin;
    assert_eq!(origin("Hoi truong 1 7 8 IN IP4 192.0.2.1").username, "Hoi_truong_1");
    assert_eq!(origin("Hoi truong 1 7 8 IN IP4 192.0.2.1").id, 7);
    let huge = "- 99999999999999999999999 1 IN IP4 192.0.2.1";
    assert!(origin(huge).is_same_version(&origin(huge)));
    assert!(!origin(huge).is_same_version(&origin("- 99999999999999999999998 1 IN IP4 192.0.2.1")));
    assert_eq!(origin("- 1").id, 1);
}

#[test]
fn addresses_as_devices_write_them() {
    let address = |c: &str| parse(&format!("v=0\nc={c}\n")).connection;
    let ip = |text: &str| Some(Address::Ip(text.parse().unwrap()));
    assert_eq!(address("IN IP4 192.0.2.1"), ip("192.0.2.1"));
    assert_eq!(address("IN IP4 233.252.0.1/127/3"), ip("233.252.0.1"));
    assert_eq!(address("IN IP6 [2001:db8::1]"), ip("2001:db8::1"));
    assert_eq!(address("IN IP6 fe80::1%eth0"), ip("fe80::1"));
    assert_eq!(address("IN IP6 ::ffff:192.0.2.1"), ip("192.0.2.1"));
    assert_eq!(address("IN IP4 vcs.example.org"), Some(Address::Name("vcs.example.org".to_owned())));
    assert_eq!(address("IN IP4"), None);
}

#[test]
fn version_grows_only_when_something_changed() {
    let mut origin = Origin::new(u64::MAX, "192.0.2.1".parse().unwrap());
    assert!(origin.id < 1 << 62);
    let mut first = Session::new(origin.clone(), "192.0.2.1".parse().unwrap());
    origin.revise(&mut first, None);
    let mut same = first.clone();
    origin.revise(&mut same, Some(&first));
    assert_eq!(same, first);
    let mut other = first.clone();
    other.attributes.flag("inactive");
    origin.revise(&mut other, Some(&first));
    assert_eq!((other.origin.version, other.origin.id), (first.origin.version + 1, first.origin.id));
    let mut again = other.clone();
    again.attributes.remove("inactive");
    origin.revise(&mut again, Some(&other));
    assert_eq!(again.origin.version, first.origin.version + 2, "a version never comes twice");
    let mut refused = first.clone();
    refused.attributes.flag("sendonly");
    origin.revise(&mut refused, Some(&again));
    let mut next = first.clone();
    next.attributes.flag("recvonly");
    origin.revise(&mut next, Some(&again));
    assert_eq!(next.origin.version, refused.origin.version + 1, "not even after an offer that was refused");
}

#[test]
fn fmtp_with_blanks_doubled_separators_and_any_case() {
    let f = Fmtp::parse(" profile-level-id=428016; Max-FS=8160 ;;max-mbps = 1 ; packetization-mode=1;");
    assert_eq!(f.value("profile-level-id"), Some("428016"));
    assert_eq!(
        (f.number("max-fs"), f.number("max-mbps"), f.number("packetization-mode")),
        (Some(8160), Some(1), Some(1))
    );
    let f = Fmtp::parse("CIF4=1 CIF=2 QCIF=3");
    assert_eq!(f.number("cif"), Some(2), "Huawei separates H.263 sizes by blanks");
    let f = Fmtp::parse("sprop-parameter-sets=Z0IAHg==,aM4=; x=1");
    assert_eq!(f.value("sprop-parameter-sets"), Some("Z0IAHg==,aM4="));
    assert_eq!(Fmtp::parse("0-15").value("0-15"), None);
}

#[test]
fn profile_level_id_with_five_digits_other_case_or_rubbish() {
    let parse = |t| ProfileLevelId::parse(t).map(|p| (p.profile(), p.level()));
    assert_eq!(parse("4280D"), Some((Profile::Baseline, Level::L1_3)), "TANDBERG 990 MXP");
    assert_eq!(parse("42E01F"), Some((Profile::ConstrainedBaseline, Level::L3_1)));
    assert_eq!(parse("0x64001f"), Some((Profile::High, Level::L3_1)));
    assert_eq!(parse("42e0"), Some((Profile::ConstrainedBaseline, Level::L1)));
    for rubbish in ["", "42", "xyzxyz", "é€é", "42é0"] {
        assert_eq!(parse(rubbish), None, "{rubbish}");
    }
}

#[test]
fn profiles_of_rfc_6184_table_5() {
    use Profile::*;
    for (id, profile) in [
        ("42e01f", ConstrainedBaseline),
        ("42401f", ConstrainedBaseline),
        ("4d801f", ConstrainedBaseline),
        ("58c01f", ConstrainedBaseline),
        ("42001f", Baseline),
        ("42801f", Baseline),
        ("58801f", Baseline),
        ("4d001f", Main),
        ("4d401f", Main),
        ("58001f", Extended),
        ("64001f", High),
        ("640c1f", High),
        ("6e001f", Other),
        ("44e016", Other),
        ("f4001f", Other),
    ] {
        assert_eq!(ProfileLevelId::parse(id).unwrap().profile(), profile, "{id}");
    }
    assert!(High.decodes(Main) && High.decodes(ConstrainedBaseline) && !High.decodes(Baseline));
    assert!(Baseline.decodes(ConstrainedBaseline) && !Baseline.decodes(Main) && !Main.decodes(High));
}

#[test]
fn level_1b_is_written_in_two_ways() {
    assert_eq!(ProfileLevelId([0x42, 0xf0, 11]).level(), Level::L1b);
    assert_eq!(ProfileLevelId([0x42, 0xe0, 11]).level(), Level::L1_1);
    assert_eq!(ProfileLevelId([0x64, 0x00, 9]).level(), Level::L1b);
    assert_eq!(ProfileLevelId([0x64, 0x10, 11]).level(), Level::L1_1);
    for level in [Level::L1, Level::L1b, Level::L1_1, Level::L3_1, Level::L6_2] {
        for id in
            [ProfileLevelId::CONSTRAINED_BASELINE, ProfileLevelId::HIGH, ProfileLevelId([0x42, 0xf0, 11])]
        {
            assert_eq!(id.with_level(level).level(), level, "{id}");
            assert_eq!(id.with_level(level).profile(), id.profile(), "{id}");
        }
    }
}

#[test]
fn unknown_levels_mean_the_next_below() {
    assert_eq!(Level::from_idc(0), Level::L1);
    assert_eq!(Level::from_idc(14), Level::L1_3);
    assert_eq!(Level::from_idc(35), Level::L3_2);
    assert_eq!(Level::from_idc(255), Level::L6_2);
    assert_eq!(Level::within(3_600, 108_000), Level::L3_1);
    assert_eq!(Level::within(8_160, 245_760), Level::L3_2);
    assert_eq!(Level::within(1, 1), Level::L1);
}

fn h264(fmtp: &str) -> Parameters {
    let media = line(&format!("v=0\nm=video 1 RTP/AVP 97\na=rtpmap:97 H264/90000\na=fmtp:97 {fmtp}\n"));
    let Codec::H264(parameters) = formats(&media).remove(0).codec else { panic!() };
    parameters
}

#[test]
fn limits_come_from_the_level_and_what_extends_it() {
    let p = h264(
        "profile-level-id=428016;max-br=5000;max-mbps=490000;max-fs=8160;max-dpb=16320;max-smbps=500000;max-fps=6000",
    );
    let limits = p.limits(p.receive_level(false));
    assert_eq!(
        (limits.max_fs, limits.max_mbps, limits.max_br_kbps, limits.max_smbps),
        (8_160, 490_000, 5_000, 500_000)
    );
    assert_eq!((limits.max_fps, limits.max_dpb_mbs), (Some(60), 43_520));
    assert!(limits.fits(1920, 1080, 60) && !limits.fits(1920, 1080, 61) && !limits.fits(1920, 1200, 30));
    let p = h264("profile-level-id=42e01f");
    let limits = p.limits(p.receive_level(false));
    assert_eq!(
        (limits.max_fs, limits.max_mbps, limits.max_br_kbps, limits.max_nal_bytes),
        (3_600, 108_000, 14_000, None)
    );
    assert!(limits.fits(1280, 720, 30) && !limits.fits(1280, 720, 31) && !limits.fits(1920, 1080, 1));
    assert!(!limits.fits(4_000, 16, 1), "no side longer than the level allows");
    let p = h264("profile-level-id=42801f;max-fs=0;max-mbps=0");
    assert_eq!(p.limits(Level::L3_1).max_fs, 3_600, "a zero says nothing");
    assert_eq!(h264("max-fs=1620").limits(Level::L3_1).max_fs, 1_620, "less than the level is meant so");
    assert_eq!(h264("profile-level-id=42800d").limits(Level::L1_3).max_br_kbps, 768);
}

#[test]
fn without_profile_level_id_it_is_baseline_level_1() {
    for fmtp in ["", "profile-level-id=", "profile-level-id=hello"] {
        assert_eq!(h264(fmtp).profile_level, ProfileLevelId([0x42, 0x00, 10]), "{fmtp}");
    }
    assert_eq!(h264("").limits(Level::L1).max_fs, 99);
}

#[test]
fn the_highest_level_received_may_be_above_the_default() {
    let p = h264("profile-level-id=42e01e;max-recv-level=e028;level-asymmetry-allowed=1");
    assert_eq!((p.receive_level(true), p.receive_level(false)), (Level::L4, Level::L3));
    assert_eq!(h264("profile-level-id=42e01e;max-recv-level=e00b").max_recv_level, None);
}

#[test]
fn parameter_sets_are_read() {
    let p = h264("profile-level-id=42e01e;sprop-parameter-sets=Z0LAHtkDxWhAAAADAEAAAAwDxYuS,aMuMsg==,*,");
    assert_eq!(p.parameter_sets.iter().map(|s| s[0]).collect::<Vec<_>>(), [0x67, 0x68]);
}

#[test]
fn interleaved_mode_is_not_taken() {
    let media = line("v=0\nm=video 1 RTP/AVP 97\na=rtpmap:97 H264/90000\na=fmtp:97 packetization-mode=2\n");
    assert!(formats(&media).is_empty());
}

#[test]
fn payload_types_as_devices_list_them() {
    // Two rtpmaps for one number, numbers that are not listed, numbers without rtpmap, numbers twice, no numbers.
    let media = line(
        "v=0\nm=audio 1 RTP/AVP 101 96 96 105 0 8 200 x 13\na=rtpmap:101 telephone-event/8000\n\
         a=rtpmap:96 MP4A-LATM/90000\na=rtpmap:96 OPUS/48000/2\na=rtpmap:99 G722/8000\na=rtpmap:8 pcma/8000/1\n",
    );
    let found: Vec<(u8, u32)> = formats(&media).iter().map(|f| (f.pt, f.clock_hz)).collect();
    assert_eq!(found, [(101, 8_000), (96, 48_000), (0, 8_000), (8, 8_000), (13, 8_000)]);
}

#[test]
fn a_fixed_number_mapped_to_something_else_is_something_else() {
    assert!(formats(&line("v=0\nm=audio 1 RTP/AVP 0\na=rtpmap:0 GSM/8000\n")).is_empty());
}

#[test]
fn roles_of_lines() {
    let role = |text: &str| Role::of(&line(&format!("v=0\n{text}\n")));
    assert_eq!(role("m=audio 1 RTP/AVP 0"), Role::Audio);
    assert_eq!(role("m=video 1 RTP/AVP 96"), Role::Video);
    assert_eq!(role("m=video 1 RTP/AVP 96\na=content:main"), Role::Video);
    assert_eq!(role("m=video 1 RTP/AVP 96\na=content:slides"), Role::Content);
    assert_eq!(role("m=video 1 RTP/AVP 96\na=content:slides,main"), Role::Video);
    assert_eq!(role("m=application 1 UDP/BFCP *"), Role::Floor);
    assert_eq!(role("m=application 1 TCP/TLS/BFCP *"), Role::Floor);
    assert_eq!(role("m=application 1 RTP/AVP 100\na=rtpmap:100 H224/4800"), Role::Camera);
    assert_eq!(role("m=application 1 RTP/AVP 96\na=rtpmap:96 H224/0"), Role::Camera);
    assert_eq!(role("m=application 1 UDP/UDT/IX *"), Role::Other);
    assert_eq!(role("m=control 1 RTP/AVP 96\na=rtpmap:96 H264/90000"), Role::Other);
}

#[test]
fn kinds_and_transports_are_written_back_as_they_came() {
    let text = "m=text 11 TCP/RTP/AVP 98\r\nm=image 5 udptl t38\r\nm=video 1 UDP/TLS/RTP/SAVPF 96\r\n";
    let session = parse(&format!("v=0\r\n{text}"));
    assert_eq!(session.media[0].kind, MediaKind::Other("text".to_owned()));
    assert_eq!(session.media[2].protocol, Protocol::DtlsSavpf);
    assert!(std::str::from_utf8(&session.to_bytes()).unwrap().ends_with(text));
    assert_eq!(line("v=0\nm=audio 4000/2 RTP/AVP 0\n").port, 4000);
}

#[test]
fn crypto_lines_of_the_field() {
    let media = line(
        "v=0\nm=audio 1 RTP/SAVP 0\n\
         a=crypto:0 AES_CM_128_HMAC_SHA1_80 inline:hVC+Q/anjaTWFLQ+idPs5SNo4UJ0KM616KBXEZV8|2^48\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:hVC+Q/anjaTWFLQ+idPs5SNo4UJ0KM616KBXEZV8|2^48 UNENCRYPTED_SRTCP\n\
         a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:hVC+Q/anjaTWFLQ+idPs5SNo4UJ0KM616KBXEZV8|2^31|1:1\n\
         a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:hVC+Q/anjaTWFLQ+idPs5SNo4UJ0KM616KBXEZV8|7:4\n\
         a=crypto:x y z\na=crypto:4 S inline:*\na=crypto:5 S inline:AAAA|2^99\na=crypto:\n",
    );
    let lines = crypto::of(&media);
    assert_eq!(lines.iter().map(|c| c.tag).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(lines[0].keys[0].material.len(), 30);
    assert_eq!(lines[0].keys[0].lifetime, Some(1 << 48));
    assert_eq!(lines[1].session_parameters, ["UNENCRYPTED_SRTCP"]);
    assert_eq!((lines[2].keys[0].lifetime, lines[2].keys[0].mki), (Some(1 << 31), Some((1, 1))));
    assert_eq!((lines[3].keys[0].lifetime, lines[3].keys[0].mki), (None, Some((7, 4))));
    assert!(!format!("{lines:?}").contains("hVC"), "keys do not get into logs");
}

#[test]
fn directions_mirror_and_meet() {
    use Direction::*;
    assert_eq!(
        [SendRecv, SendOnly, RecvOnly, Inactive].map(Direction::mirrored),
        [SendRecv, RecvOnly, SendOnly, Inactive]
    );
    assert_eq!(SendOnly.and(RecvOnly), Inactive);
    assert_eq!(SendRecv.and(RecvOnly), RecvOnly);
    assert_eq!(Feedback::default().and(Feedback { pli: true, ..Feedback::default() }), Feedback::default());
}
