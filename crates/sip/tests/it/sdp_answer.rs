//! Answers to what devices offer, one scenario each. Numbers in names are those of the list of interop pitfalls.

use std::net::{IpAddr, Ipv4Addr};

use cau_sip::sdp::h264::{Level, Mode, Profile, Receive};
use cau_sip::sdp::{
    Audio, AudioChoice, AudioCodec, Capabilities, Codec, Decline, Direction, Feedback, Negotiated, Origin,
    Ports, Refused, Role, Rtx, Session, Video, answer, formats,
};

const PORTS: Ports = Ports { addr: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), audio: 20_000, video: 20_002 };

fn ours() -> Capabilities {
    Capabilities::mcu(Receive::HD720, 2_000)
}

fn offer(lines: &str) -> Session {
    let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";
    Session::parse(format!("{head}{}\r\n", lines.trim().replace('\n', "\r\n")).as_bytes()).unwrap()
}

fn try_answer(lines: &str, ours: &Capabilities) -> Result<(Session, Negotiated), Refused> {
    answer(&offer(lines), ours, &PORTS, &Origin::new(9, PORTS.addr))
}

fn answered(lines: &str) -> (Session, Negotiated) {
    try_answer(lines, &ours()).unwrap()
}

fn audio(lines: &str) -> Audio {
    answered(lines).1.audio.unwrap()
}

fn video(lines: &str) -> Video {
    answered(lines).1.video.unwrap()
}

/// A video line with these formats, `number fmtp`.
fn h264(pts: &[(u8, &str)]) -> String {
    let numbers: Vec<String> = pts.iter().map(|(pt, _)| pt.to_string()).collect();
    let attributes: String =
        pts.iter().map(|(pt, f)| format!("\na=rtpmap:{pt} H264/90000\na=fmtp:{pt} {f}")).collect();
    format!("m=video 4002 RTP/AVP {}{attributes}", numbers.join(" "))
}

/// What we answered as fmtp of a payload type.
fn fmtp(session: &Session, line: usize, pt: u8) -> String {
    let start = format!("{pt} ");
    let mut values = session.media[line].attributes.all("fmtp").filter_map(|v| v.strip_prefix(&start));
    values.next().unwrap_or_default().to_owned()
}

fn text(session: &Session) -> String {
    String::from_utf8(session.to_bytes().to_vec()).unwrap()
}

const PCMA: &str = "m=audio 4000 RTP/AVP 8";

#[test]
fn a_plain_offer_is_answered_like_this() {
    let (session, _) = answered(
        "m=audio 4000 RTP/AVP 101 9 8 13\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-16\na=mid:1\n\
         m=video 4002 RTP/AVP 97\na=rtpmap:97 H264/90000\na=fmtp:97 profile-level-id=428016;packetization-mode=1;max-fs=8160\n\
         a=content:main\na=rtcp-fb:* nack pli\na=rtcp-fb:* ccm fir\n\
         m=application 5070 UDP/BFCP *\na=floorctrl:c-s\n",
    );
    let expected = "v=0\r\no=- 2 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n\
         m=audio 20000 RTP/AVP 9 13 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:13 CN/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=mid:1\r\na=sendrecv\r\n\
         m=video 20002 RTP/AVP 97\r\nb=AS:2000\r\nb=TIAS:2000000\r\na=rtpmap:97 H264/90000\r\n\
         a=fmtp:97 profile-level-id=428016;level-asymmetry-allowed=1;packetization-mode=1;max-mbps=108000;max-fs=3600\r\n\
         a=rtcp-fb:* nack pli\r\na=rtcp-fb:* ccm fir\r\na=content:main\r\na=sendrecv\r\n\
         m=application 0 UDP/BFCP *\r\n";
    assert_eq!(text(&session), expected);
}

// --- lines in their places -------------------------------------------------------------------------------------------------

#[test]
fn pitfall_12_every_line_is_answered_in_its_place() {
    let (session, agreed) = answered(
        "m=application 1 RTP/AVP 100\na=rtpmap:100 H224/4800\n\
         m=video 4004 RTP/AVP 97\na=rtpmap:97 H264/90000\na=content:slides\n\
         m=application 5070 UDP/BFCP *\nm=audio 4000 RTP/AVP 8\nm=application 2 UDP/UDT/IX *\n\
         m=video 4002 RTP/AVP 97 98\na=rtpmap:97 H264/90000\na=rtpmap:98 H263/90000\n\
         m=control 3 RTP/AVP 96\na=rtpmap:96 H264/90000\na=inactive\nm=text 4 TCP/RTP/AVP 99\nm=video 4006 RTP/AVP 97\na=rtpmap:97 H264/90000\n",
    );
    let ports: Vec<u16> = session.media.iter().map(|m| m.port).collect();
    assert_eq!(ports, [0, 0, 0, 20_000, 0, 20_002, 0, 0, 0]);
    let why: Vec<(usize, Decline)> = agreed.declined.iter().map(|d| (d.index, d.why)).collect();
    let expected = [
        (0, Decline::Role(Role::Camera)),
        (1, Decline::Role(Role::Content)),
        (2, Decline::Role(Role::Floor)),
        (4, Decline::Role(Role::Other)),
        (6, Decline::Role(Role::Other)),
        (7, Decline::Role(Role::Other)),
        (8, Decline::Second),
    ];
    assert_eq!(why, expected);
    assert_eq!(agreed.video.unwrap().stream.index, 5);
    assert!(text(&session).contains("m=application 0 UDP/UDT/IX *\r\nm=video 20002 RTP/AVP 97\r\n"));
    assert!(text(&session).contains("m=control 0 RTP/AVP 96\r\nm=text 0 TCP/RTP/AVP 99\r\n"));
}

#[test]
fn slides_alone_are_not_taken_for_people() {
    let (_, agreed) = answered(&format!("{PCMA}\n{}\na=content:slides", h264(&[(97, "")])));
    assert!(agreed.video.is_none() && agreed.audio.is_some());
}

#[test]
fn video_without_a_label_or_labelled_speaker_is_the_main_video() {
    assert_eq!(video(&format!("{PCMA}\n{}", h264(&[(97, "")]))).pt_send, 97);
    assert_eq!(video(&format!("{PCMA}\n{}\na=content:speaker", h264(&[(97, "")]))).pt_send, 97);
}

#[test]
fn video_only_and_audio_only_conferences() {
    let (session, agreed) =
        try_answer(&format!("{PCMA}\n{}", h264(&[(97, "")])), &ours().without_video()).unwrap();
    assert!(agreed.video.is_none() && session.media[1].port == 0);
    assert_eq!(agreed.declined[0].why, Decline::NotWanted);
    let (_, agreed) = answered(&h264(&[(97, "")]));
    assert!(agreed.audio.is_none() && agreed.video.is_some());
}

#[test]
fn pitfall_20_the_plain_twin_of_an_encrypted_line_is_taken_wherever_it_stands() {
    let key = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:hVC+Q/anjaTWFLQ+idPs5SNo4UJ0KM616KBXEZV8";
    let secure = format!("m=audio 4000 RTP/SAVP 8\n{key}");
    let (session, agreed) = answered(&format!("{secure}\n{PCMA}"));
    assert_eq!((session.media[0].port, session.media[1].port), (0, 20_000));
    assert_eq!(agreed.declined[0].why, Decline::Encrypted);
    let (session, agreed) = answered(&format!("{PCMA}\n{secure}"));
    assert_eq!((session.media[0].port, session.media[1].port), (20_000, 0));
    assert_eq!(agreed.declined[0].why, Decline::Second);
    assert!(text(&session).ends_with("m=audio 0 RTP/SAVP 8\r\n"));
}

#[test]
fn encrypted_media_alone_is_refused_with_words() {
    for transport in ["RTP/SAVP", "RTP/SAVPF", "UDP/TLS/RTP/SAVPF"] {
        let refused = try_answer(&format!("m=audio 4000 {transport} 8"), &ours()).unwrap_err();
        assert_eq!(refused, Refused::Encrypted);
        assert_eq!(refused.warning("192.0.2.9"), "302 192.0.2.9 \"encrypted media is not supported yet\"");
        assert_eq!(refused.words_vi(), "chưa hỗ trợ âm thanh, hình ảnh mã hóa");
    }
}

#[test]
fn crypto_lines_inside_plain_rtp_are_passed_over() {
    let (session, agreed) = answered(&format!("{PCMA}\na=crypto:0 AES_CM_128_HMAC_SHA1_80 inline:AAAA|2^48"));
    assert!(agreed.audio.is_some() && !session.media[0].attributes.has("crypto"));
}

#[test]
fn what_cannot_be_used_is_refused_with_its_reason() {
    let refused = |lines: &str| try_answer(lines, &ours()).unwrap_err();
    assert_eq!(refused("m=audio 4000 RTP/AVP 18"), Refused::NoCommonFormat);
    assert_eq!(refused("m=audio 4000 RTP/AVP 18").warning_code(), 305);
    assert_eq!(refused("m=audio 4000 TCP/RTP/AVP 8"), Refused::Transport);
    assert_eq!(refused("m=application 5070 UDP/BFCP *").warning_code(), 304);
    assert_eq!(refused(""), Refused::NoMedia);
    assert_eq!(refused("m=audio 4000 RTP/AVP 8\nc=IN IP6 2001:db8::1"), Refused::AddressVersion);
    assert_eq!(refused("m=audio 4000 RTP/AVP 8\nc=IN IP6 2001:db8::1").warning_code(), 301);
    assert_eq!(try_answer(PCMA, &Capabilities { audio: vec![], ..ours() }).unwrap_err(), Refused::NoMedia);
}

#[test]
fn no_port_no_line() {
    let both = offer(&format!("{PCMA}\n{}", h264(&[(97, "")])));
    let (session, agreed) =
        answer(&both, &ours(), &Ports { video: 0, ..PORTS }, &Origin::new(9, PORTS.addr)).unwrap();
    assert!(agreed.video.is_none() && session.media[1].port == 0);
}

#[test]
fn ipv6_to_ipv6() {
    let v6 = Session::parse(
        b"v=0\no=- 1 1 IN IP6 2001:db8::1\ns=-\nc=IN IP6 2001:db8::1\nt=0 0\nm=audio 4000 RTP/AVP 8\n",
    )
    .unwrap();
    let ports = Ports { addr: "2001:db8::9".parse().unwrap(), ..PORTS };
    let (session, agreed) = answer(&v6, &ours(), &ports, &Origin::new(9, ports.addr)).unwrap();
    assert!(text(&session).contains("c=IN IP6 2001:db8::9\r\n"));
    assert_eq!(agreed.audio.unwrap().stream.remote, "[2001:db8::1]:4000".parse().unwrap());
}

#[test]
fn the_session_times_are_repeated() {
    let offer = Session::parse(b"v=0\nc=IN IP4 192.0.2.1\nt=3034423619 3042462419\nm=audio 4000 RTP/AVP 8\n")
        .unwrap();
    let (session, _) = answer(&offer, &ours(), &PORTS, &Origin::new(9, PORTS.addr)).unwrap();
    assert_eq!(session.times, ["3034423619 3042462419"]);
}

// --- where and which way ---------------------------------------------------------------------------------------------------

#[test]
fn addresses_of_the_session_the_line_and_rtcp() {
    let rtcp = |lines: &str| {
        let s = audio(lines).stream;
        (s.remote.to_string(), s.remote_rtcp.to_string(), s.rtcp_mux)
    };
    let is = |a: &str, b: &str, mux| (a.to_owned(), b.to_owned(), mux);
    assert_eq!(rtcp(PCMA), is("192.0.2.1:4000", "192.0.2.1:4001", false));
    assert_eq!(rtcp(&format!("{PCMA}\nc=IN IP4 192.0.2.7")), is("192.0.2.7:4000", "192.0.2.7:4001", false));
    assert_eq!(rtcp(&format!("{PCMA}\na=rtcp:5555")), is("192.0.2.1:4000", "192.0.2.1:5555", false));
    assert_eq!(
        rtcp(&format!("{PCMA}\na=rtcp:5555 IN IP4 192.0.2.8")),
        is("192.0.2.1:4000", "192.0.2.8:5555", false)
    );
    assert_eq!(
        rtcp(&format!("{PCMA}\na=rtcp:5555\na=rtcp-mux")),
        is("192.0.2.1:4000", "192.0.2.1:4000", true)
    );
    assert_eq!(rtcp(&format!("{PCMA}\na=rtcp:x")), is("192.0.2.1:4000", "192.0.2.1:4001", false));
    assert_eq!(rtcp("m=audio 65535 RTP/AVP 8"), is("192.0.2.1:65535", "192.0.2.1:65535", false));
}

#[test]
fn multiplexing_only_when_both_want_it() {
    let (session, _) = answered(&format!("{PCMA}\na=rtcp-mux"));
    assert!(session.media[0].attributes.has("rtcp-mux"));
    assert!(!answered(PCMA).0.media[0].attributes.has("rtcp-mux"));
    let without = Capabilities { rtcp_mux: false, ..ours() };
    let (session, agreed) = try_answer(&format!("{PCMA}\na=rtcp-mux"), &without).unwrap();
    assert!(!session.media[0].attributes.has("rtcp-mux") && !agreed.audio.unwrap().stream.rtcp_mux);
}

#[test]
fn no_connection_line_or_a_host_name_means_learn_the_address() {
    let offer = Session::parse(b"v=0\nm=audio 4000 RTP/AVP 8\nm=video 4002 RTP/AVP 97\nc=IN IP4 vcs.example.org\na=rtpmap:97 H264/90000\n").unwrap();
    let (_, agreed) = answer(&offer, &ours(), &PORTS, &Origin::new(9, PORTS.addr)).unwrap();
    for stream in [agreed.audio.unwrap().stream, agreed.video.unwrap().stream] {
        assert!(stream.remote.ip().is_unspecified() && stream.send && stream.recv);
    }
}

#[test]
fn hold_and_resume_in_every_form() {
    let ways = |lines: &str| {
        let (session, agreed) = answered(lines);
        let (stream, line) = (agreed.audio.unwrap().stream, &session.media[0]);
        let said =
            ["sendrecv", "sendonly", "recvonly", "inactive"].iter().find(|d| line.attributes.has(d)).copied();
        assert_ne!(line.port, 0, "a held line keeps its port");
        (said.unwrap(), stream.send, stream.recv)
    };
    assert_eq!(ways(PCMA), ("sendrecv", true, true));
    assert_eq!(ways(&format!("{PCMA}\na=sendonly")), ("recvonly", false, true));
    assert_eq!(ways(&format!("{PCMA}\na=recvonly")), ("sendonly", true, false));
    assert_eq!(ways(&format!("{PCMA}\na=inactive")), ("inactive", false, false));
    assert_eq!(ways(&format!("{PCMA}\nc=IN IP4 0.0.0.0")), ("recvonly", false, true), "RFC 2543");
    assert_eq!(ways(&format!("{PCMA}\nc=IN IP4 0.0.0.0\na=inactive")), ("inactive", false, false));
    assert_eq!(ways(&format!("a=sendonly\n{PCMA}")), ("recvonly", false, true), "said once for the session");
    assert_eq!(
        ways(&format!("a=sendonly\n{PCMA}\na=sendrecv")),
        ("sendrecv", true, true),
        "the line overrides"
    );
}

#[test]
fn a_receive_only_main_video_is_sent_to() {
    let v = video(&format!("{PCMA}\n{}\na=recvonly", h264(&[(97, "")])));
    assert!(v.stream.send && !v.stream.recv, "Cisco Jabber without a camera");
}

#[test]
fn our_own_hold_is_kept_in_an_answer() {
    let held = Capabilities { audio_direction: Direction::SendOnly, ..ours() };
    let (session, agreed) = try_answer(PCMA, &held).unwrap();
    assert!(session.media[0].attributes.has("sendonly") && !agreed.audio.unwrap().stream.recv);
}

#[test]
fn video_is_added_later_switched_off_and_on() {
    assert!(answered(PCMA).1.video.is_none());
    let with = format!("{PCMA}\n{}", h264(&[(97, "")]));
    assert!(answered(&with).1.video.is_some());
    let (session, agreed) = answered(&with.replace("video 4002", "video 0"));
    assert_eq!((session.media.len(), session.media[1].port), (2, 0));
    assert_eq!(agreed.declined[0].why, Decline::Off);
    assert!(answered(&with).1.video.is_some());
}

#[test]
fn an_offer_that_closes_everything_is_answered_not_refused() {
    let (session, agreed) = answered("m=audio 0 RTP/AVP 8\nm=video 0 RTP/AVP 97");
    assert!(agreed.audio.is_none() && agreed.video.is_none());
    assert!(session.media.iter().all(|m| m.port == 0));
}

// --- sound -----------------------------------------------------------------------------------------------------------------

#[test]
fn wide_band_is_taken_before_narrow_band_then_the_offers_order() {
    let name = |lines: &str| audio(lines).codec.name();
    let opus = "a=rtpmap:96 opus/48000/2";
    assert_eq!(name(&format!("m=audio 4000 RTP/AVP 0 8 9 96\n{opus}")), "G722");
    assert_eq!(name(&format!("m=audio 4000 RTP/AVP 0 96 9\n{opus}")), "opus");
    assert_eq!(name("m=audio 4000 RTP/AVP 0 8"), "PCMU");
    assert_eq!(name("m=audio 4000 RTP/AVP 8 0"), "PCMA");
    let chosen = |choice| {
        let ours = Capabilities { audio_choice: choice, ..ours() };
        try_answer(&format!("m=audio 4000 RTP/AVP 0 9 96\n{opus}"), &ours)
            .unwrap()
            .1
            .audio
            .unwrap()
            .codec
            .name()
    };
    assert_eq!(
        [chosen(AudioChoice::Offer), chosen(AudioChoice::WideFirst), chosen(AudioChoice::Own)],
        ["PCMU", "G722", "opus"]
    );
}

#[test]
fn one_codec_is_answered_and_everything_offered_is_understood() {
    let (session, agreed) = answered("m=audio 4000 RTP/AVP 18 0 9 8 101\na=rtpmap:101 telephone-event/8000");
    assert_eq!(session.media[0].formats, ["9", "101"]);
    let recv: Vec<u8> = agreed.audio.unwrap().pt_recv.iter().map(|(pt, _)| *pt).collect();
    assert_eq!(recv, [9, 0, 8]);
}

#[test]
fn telephone_event_first_in_the_line_is_not_the_codec() {
    let a = audio("m=audio 4000 RTP/AVP 101 13 8\na=rtpmap:101 telephone-event/8000");
    assert_eq!((a.codec.name(), a.pt_send, a.dtmf, a.comfort_noise), ("PCMA", 8, Some(101), Some(13)));
}

#[test]
fn telephone_event_goes_with_the_clock_of_the_codec() {
    let events =
        "a=rtpmap:96 opus/48000/2\na=rtpmap:99 telephone-event/48000\na=rtpmap:101 telephone-event/8000";
    let (session, agreed) = answered(&format!("m=audio 4000 RTP/AVP 101 99 96\n{events}"));
    let a = agreed.audio.unwrap();
    assert_eq!((a.dtmf, a.dtmf_clock_hz), (Some(99), 48_000));
    assert_eq!(a.dtmf_recv, [(101, 8_000), (99, 48_000)]);
    assert_eq!(session.media[0].formats, ["96", "99"]);
    let a = audio(&format!("m=audio 4000 RTP/AVP 101 99 9\n{events}"));
    assert_eq!((a.dtmf, a.dtmf_clock_hz), (Some(101), 8_000));
    let a = audio("m=audio 4000 RTP/AVP 96 101\na=rtpmap:96 opus/48000/2\na=rtpmap:101 telephone-event/8000");
    assert_eq!((a.dtmf, a.dtmf_clock_hz), (Some(101), 8_000), "better than none");
    assert_eq!(
        audio("m=audio 4000 RTP/AVP 8 101").dtmf,
        None,
        "a dynamic number without rtpmap says nothing"
    );
}

#[test]
fn comfort_noise_only_of_the_same_clock_and_when_wanted() {
    assert_eq!(audio("m=audio 4000 RTP/AVP 8 13").comfort_noise, Some(13));
    let wide = "m=audio 4000 RTP/AVP 96 13 98\na=rtpmap:96 opus/48000/2\na=rtpmap:98 CN/16000";
    assert_eq!(audio(wide).comfort_noise, None);
    let quiet = Capabilities { comfort_noise: false, ..ours() };
    let (session, agreed) = try_answer("m=audio 4000 RTP/AVP 8 13", &quiet).unwrap();
    assert_eq!((agreed.audio.unwrap().comfort_noise, session.media[0].formats.len()), (None, 1));
}

#[test]
fn the_encoding_is_repeated_as_it_was_written() {
    let (session, agreed) = answered("m=audio 4000 RTP/AVP 9\na=rtpmap:9 G722/16000");
    assert!(text(&session).contains("a=rtpmap:9 G722/16000\r\n"));
    assert_eq!(agreed.audio.unwrap().clock_hz, 16_000);
    let (session, agreed) = answered("m=audio 4000 RTP/AVP 107\na=rtpmap:107 OPUS/48000/2");
    assert!(text(&session).contains("a=rtpmap:107 OPUS/48000/2\r\n"));
    assert_eq!(agreed.audio.unwrap().clock_hz, 48_000);
}

#[test]
fn two_encodings_for_one_number_the_known_one_counts() {
    let a = audio("m=audio 4000 RTP/AVP 96\na=rtpmap:96 MP4A-LATM/90000\na=rtpmap:96 opus/48000/2");
    assert_eq!((a.codec.name(), a.pt_send), ("opus", 96));
}

#[test]
fn opus_wishes_and_rates() {
    let with = |fmtp: &str, b: &str| {
        audio(&format!("m=audio 4000 RTP/AVP 96\n{b}\na=rtpmap:96 opus/48000/2\na=fmtp:96 {fmtp}"))
    };
    let a =
        with("maxaveragebitrate=64000; stereo=1; useinbandfec=1;usedtx=1;cbr=1;maxplaybackrate=16000", "");
    let AudioCodec::Opus(opus) = &a.codec else { panic!() };
    assert!(opus.stereo && opus.fec && opus.dtx && opus.cbr);
    assert_eq!((opus.max_average_bps, opus.max_playback_hz, a.max_kbps), (Some(64_000), 16_000, 64));
    assert_eq!(with("x=1", "").max_kbps, 510);
    assert_eq!(with("x=1", "b=TIAS:32000").max_kbps, 32);
    assert_eq!(with("x=1", "b=AS:64").max_kbps, 48, "AS counts headers");
    assert_eq!(with("maxaveragebitrate=9", "").max_kbps, 6, "out of range");
    assert!(try_answer("m=audio 4000 RTP/AVP 96\na=rtpmap:96 opus/16000", &ours()).is_err());
}

#[test]
fn packet_length() {
    let ptime = |attributes: &str| audio(&format!("{PCMA}{attributes}")).ptime_ms;
    assert_eq!(ptime(""), 20);
    assert_eq!(ptime("\na=ptime:30"), 30);
    assert_eq!(ptime("\na=ptime:60\na=maxptime:40"), 40);
    assert_eq!(ptime("\na=maxptime:10"), 10);
    assert_eq!(ptime("\na=ptime:20.0"), 20);
    assert_eq!(ptime("\na=ptime:0"), 20);
    assert_eq!(ptime("\na=ptime:65000"), 120);
    assert_eq!(audio(&format!("a=ptime:40\n{PCMA}")).ptime_ms, 40);
}

// --- pictures --------------------------------------------------------------------------------------------------------------

#[test]
fn pitfall_1_levels_are_bounds_never_compared() {
    for id in ["42e00a", "42e01f", "42e028", "42e034", "42e0ff", "42e000"] {
        for asymmetric in ["", ";level-asymmetry-allowed=1"] {
            let line = h264(&[(97, &format!("profile-level-id={id}{asymmetric}"))]);
            let (session, agreed) = answered(&line);
            let Codec::H264(said) = &formats(&session.media[0])[0].codec else { panic!() };
            let theirs = agreed.video.unwrap().profile_level.level();
            let expected = if asymmetric.is_empty() { theirs.min(Level::L3_1) } else { Level::L3_1 };
            assert_eq!(said.profile_level.level(), expected, "{id}{asymmetric}");
            assert!(said.level_asymmetry);
        }
    }
}

#[test]
fn the_level_to_send_at_is_the_lower_one_unless_they_may_differ() {
    let fs = |f: &str| video(&h264(&[(97, f)])).limits.max_fs;
    assert_eq!(fs("profile-level-id=42e028"), 3_600, "ours is 3.1");
    assert_eq!(fs("profile-level-id=42e028;level-asymmetry-allowed=1"), 8_192);
    assert_eq!(fs("profile-level-id=42e01e"), 1_620);
    assert_eq!(fs("profile-level-id=42e01e;level-asymmetry-allowed=1;max-recv-level=e028"), 8_192);
    assert_eq!(fs("profile-level-id=42e01e;max-fs=8160"), 8_160);
}

#[test]
fn pitfall_2_five_digits_of_a_tandberg_mxp() {
    let (session, agreed) = answered(&h264(&[(97, "profile-level-id=4280D;max-br=7680")]));
    let v = agreed.video.unwrap();
    assert_eq!((v.profile_level.level(), v.max_kbps), (Level::L1_3, 7_680));
    assert!(fmtp(&session, 0, 97).starts_with("profile-level-id=42800d;"));
}

#[test]
fn pitfall_3_limits_are_always_written_and_extend_a_low_level() {
    let (session, _) = answered(&h264(&[(97, "profile-level-id=42800d")]));
    let f = fmtp(&session, 0, 97);
    assert_eq!(
        f,
        "profile-level-id=42800d;level-asymmetry-allowed=1;max-mbps=108000;max-fs=3600;max-br=2000"
    );
}

#[test]
fn pitfall_4_mode_is_absent_0_or_1_and_answered_in_kind() {
    let (session, agreed) = answered(&h264(&[(97, "profile-level-id=42e01f")]));
    assert_eq!(agreed.video.unwrap().mode, Mode::SingleNal);
    assert!(!fmtp(&session, 0, 97).contains("packetization-mode"));
    let (session, agreed) = answered(&h264(&[(97, "packetization-mode=0;profile-level-id=42e01f")]));
    assert_eq!(agreed.video.unwrap().mode, Mode::SingleNal);
    assert!(fmtp(&session, 0, 97).contains(";packetization-mode=0;"));
    let (session, agreed) = answered(&h264(&[(97, "packetization-mode=1;profile-level-id=42e01f")]));
    assert_eq!(agreed.video.unwrap().mode, Mode::NonInterleaved);
    assert!(fmtp(&session, 0, 97).contains(";packetization-mode=1;"));
}

#[test]
fn mode_1_is_sent_when_offered_and_both_are_received() {
    let (session, agreed) = answered(&h264(&[
        (97, "profile-level-id=428016;max-mbps=10000"),
        (126, "profile-level-id=428016;packetization-mode=1;max-mbps=20000"),
        (98, "profile-level-id=428016;packetization-mode=2"),
    ]));
    let v = agreed.video.unwrap();
    assert_eq!(
        (v.pt_send, v.mode, v.limits.max_mbps),
        (126, Mode::NonInterleaved, 20_000),
        "limits are those of the number used"
    );
    assert_eq!(v.pt_recv, [(126, Mode::NonInterleaved), (97, Mode::SingleNal)]);
    assert_eq!(session.media[0].formats, ["126", "97"]);
}

#[test]
fn profiles_are_kept_and_what_we_cannot_decode_is_left_out() {
    let (session, agreed) = answered(&h264(&[
        (100, "profile-level-id=6e0016;packetization-mode=1"),
        (101, "profile-level-id=640016;packetization-mode=1"),
        (102, "profile-level-id=4d0016;packetization-mode=1"),
        (103, "profile-level-id=580016;packetization-mode=1"),
        (104, "profile-level-id=42e016;packetization-mode=1"),
    ]));
    assert_eq!(session.media[0].formats, ["101", "102", "104"]);
    for (pt, id) in [(101, "640016"), (102, "4d0016"), (104, "42e016")] {
        assert!(fmtp(&session, 0, pt).starts_with(&format!("profile-level-id={id};")));
    }
    let v = agreed.video.unwrap();
    assert_eq!(v.pt_send, 101);
    assert!(v.decodes(Profile::High) && v.decodes(Profile::ConstrainedBaseline));
    let v = video(&h264(&[(97, "profile-level-id=42801f")]));
    assert!(
        v.decodes(Profile::ConstrainedBaseline) && !v.decodes(Profile::Main) && !v.decodes(Profile::High)
    );
}

#[test]
fn other_video_codecs_alone_are_declined() {
    for codec in ["H263-1998/90000", "X-H264UC/90000", "H264-SVC/90000", "H265/90000", "dummy/90000"] {
        let (session, agreed) = answered(&format!("{PCMA}\nm=video 4002 RTP/AVP 96\na=rtpmap:96 {codec}"));
        assert_eq!((session.media[1].port, agreed.declined[0].why), (0, Decline::Format), "{codec}");
    }
}

#[test]
fn bandwidth_of_the_line_and_of_the_session() {
    let kbps = |session: &str, line: &str| {
        let f = "profile-level-id=42e01f;packetization-mode=1";
        video(&format!("{session}{PCMA}\n{}{line}", h264(&[(97, f)]))).max_kbps
    };
    assert_eq!(kbps("", ""), 14_000, "the decoder's limit");
    assert_eq!(kbps("", "\nb=TIAS:910000"), 910);
    assert_eq!(kbps("", "\nb=AS:512"), 512);
    assert_eq!(kbps("b=CT:1000\n", ""), 936, "less the sound");
    assert_eq!(kbps("b=AS:1024\n", "\nb=TIAS:1024000"), 960);
    assert_eq!(kbps("b=AS:1024\n", "\nb=TIAS:300000\nb=AS:400"), 300);
    assert_eq!(kbps("b=TIAS:5952000\nb=AS:5952\n", "\nb=TIAS:5952000"), 5_888);
    assert_eq!(kbps("b=AS:64\n", ""), 32, "half of it is left for pictures at least");
    assert_eq!(kbps("b=AS:0\n", "\nb=RR:1"), 14_000, "zero and other kinds say nothing");
}

#[test]
fn feedback_in_avp_several_on_a_line_and_only_what_both_want() {
    let line = h264(&[(97, ""), (98, "packetization-mode=1")]);
    let (session, agreed) = answered(&format!("{line}\na=rtcp-fb:* ccm fir tmmbr"));
    assert_eq!(agreed.video.unwrap().feedback, Feedback { fir: true, tmmbr: true, ..Feedback::default() });
    assert_eq!(session.media[0].attributes.all("rtcp-fb").collect::<Vec<_>>(), ["* ccm fir", "* ccm tmmbr"]);
    let (session, agreed) =
        answered(&format!("{line}\na=rtcp-fb:97 nack pli\na=rtcp-fb:98 nack\na=rtcp-fb:98 ccm fir"));
    assert_eq!(
        agreed.video.unwrap().feedback,
        Feedback { nack: true, fir: true, ..Feedback::default() },
        "of the number we send"
    );
    assert_eq!(
        session.media[0].attributes.all("rtcp-fb").collect::<Vec<_>>(),
        ["98 nack", "98 ccm fir", "97 nack pli"]
    );
    let (session, agreed) = answered(&line);
    assert_eq!(agreed.video.unwrap().feedback, Feedback::default());
    assert!(!session.media[0].attributes.has("rtcp-fb"));
}

#[test]
fn retransmission_is_answered_where_it_is_offered_with_nack() {
    let line = h264(&[(97, ""), (98, "packetization-mode=1")]).replace("AVP 97 98", "AVP 97 98 99 100 101");
    let line = format!(
        "{line}\na=rtpmap:99 rtx/90000\na=fmtp:99 apt=98;rtx-time=3000\na=rtpmap:100 rtx/90000\na=fmtp:100 apt=97\n\
         a=rtpmap:101 rtx/90000\na=fmtp:101 apt=55"
    );
    let (session, agreed) = answered(&format!("{line}\na=rtcp-fb:* nack"));
    let repairs = agreed.video.unwrap().repairs.unwrap();
    assert_eq!((repairs.pt_send, repairs.pt_recv), (99, vec![(99, 98), (100, 97)]));
    assert_eq!(session.media[0].formats, ["98", "97", "99", "100"]);
    assert_eq!((fmtp(&session, 0, 99), fmtp(&session, 0, 100)), ("apt=98".to_owned(), "apt=97".to_owned()));
    for without in [format!("{line}\na=rtcp-fb:* nack pli"), line.clone()] {
        let (session, agreed) = answered(&without);
        assert_eq!(agreed.video.unwrap().repairs, None, "nothing to ask with");
        assert_eq!(session.media[0].formats, ["98", "97"]);
    }
    let never = Capabilities { rtx: Rtx::Never, ..ours() };
    let (_, agreed) = try_answer(&format!("{line}\na=rtcp-fb:* nack"), &never).unwrap();
    assert_eq!(agreed.video.unwrap().repairs, None);
}

#[test]
fn avpf_is_answered_with_avpf() {
    let (session, agreed) = answered("m=audio 4000 RTP/AVPF 8");
    assert!(text(&session).contains("m=audio 20000 RTP/AVPF 8\r\n") && agreed.audio.unwrap().stream.avpf);
}

#[test]
fn pitfall_13_a_new_port_or_codec_in_a_re_offer_is_seen() {
    let (first, second) = (audio(PCMA), audio("m=audio 4444 RTP/AVP 0"));
    assert_ne!(first.stream.remote, second.stream.remote);
    assert_eq!(second.codec.name(), "PCMU");
    assert!(try_answer("m=audio 4000 RTP/AVP 18", &ours()).is_err(), "488, the call goes on as it was");
}
