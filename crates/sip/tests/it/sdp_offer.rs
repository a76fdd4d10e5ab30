//! Our offers, the answers to them, and what becomes of lines over a call.

use std::net::{IpAddr, Ipv4Addr};

use cau_sip::sdp::h264::{Level, Mode, Profile, Receive};
use cau_sip::sdp::{
    AudioCodec, Capabilities, Codec, Decline, Declined, Direction, Feedback, Origin, Ports, Refused, Rtx,
    Session, accept_answer, answer, formats, offer, settle,
};

const PORTS: Ports = Ports { addr: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), audio: 20_000, video: 20_002 };
const THEIRS: Ports = Ports { addr: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), audio: 4_000, video: 4_002 };

fn ours() -> Capabilities {
    Capabilities::mcu(Receive::HD720, 2_000)
}

fn origin() -> Origin {
    Origin::new(9, PORTS.addr)
}

fn first() -> Session {
    offer(&ours(), &PORTS, &origin(), None)
}

fn text(session: &Session) -> String {
    String::from_utf8(session.to_bytes().to_vec()).unwrap()
}

/// An answer with these lines.
fn said(lines: &str) -> Session {
    let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";
    Session::parse(format!("{head}{}\r\n", lines.trim().replace('\n', "\r\n")).as_bytes()).unwrap()
}

const AUDIO: &str = "m=audio 4000 RTP/AVP 8";
const VIDEO: &str = "m=video 4002 RTP/AVP 126\na=rtpmap:126 H264/90000\na=fmtp:126 profile-level-id=42e01f;packetization-mode=1";

#[test]
fn our_offer_reads_like_this() {
    let expected = "v=0\r\no=- 2 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n\
         m=audio 20000 RTP/AVP 114 9 8 0 13 101\r\n\
         a=rtpmap:114 opus/48000/2\r\na=fmtp:114 useinbandfec=1\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:13 CN/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
         a=ptime:20\r\na=rtcp-mux\r\na=sendrecv\r\n\
         m=video 20002 RTP/AVP 126 97\r\nb=AS:2000\r\nb=TIAS:2000000\r\n\
         a=rtpmap:126 H264/90000\r\n\
         a=fmtp:126 profile-level-id=42e01f;level-asymmetry-allowed=1;packetization-mode=1;max-mbps=108000;max-fs=3600\r\n\
         a=rtpmap:97 H264/90000\r\n\
         a=fmtp:97 profile-level-id=42e01f;level-asymmetry-allowed=1;packetization-mode=0;max-mbps=108000;max-fs=3600\r\n\
         a=rtcp-fb:* nack\r\na=rtcp-fb:* nack pli\r\na=rtcp-fb:* ccm fir\r\na=rtcp-fb:* ccm tmmbr\r\na=rtcp-mux\r\na=sendrecv\r\n";
    assert_eq!(text(&first()), expected);
}

#[test]
fn retransmission_is_offered_where_told_to_and_keeps_its_numbers() {
    let phone = Capabilities { rtx: Rtx::Offered, ..ours() };
    assert!(!text(&first()).contains("rtx"), "not by the MCU");
    let offered = offer(&phone, &THEIRS, &origin(), None);
    let of = |s: &Session| {
        s.media[1]
            .attributes
            .all("fmtp")
            .filter(|f| f.contains("apt="))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&offered), ["127 apt=126", "125 apt=97"]);
    let (answered, at_mcu) = answer(&offered, &ours(), &PORTS, &origin()).unwrap();
    let at_phone = accept_answer(&offered, &answered, &phone).unwrap();
    let (a, b) = (at_mcu.video.unwrap().repairs.unwrap(), at_phone.video.unwrap().repairs.unwrap());
    assert_eq!((a.pt_send, b.pt_send), (127, 127));
    assert_eq!((&a.pt_recv, &b.pt_recv), (&vec![(127, 126), (125, 97)], &vec![(127, 126), (125, 97)]));
    assert_eq!(of(&offer(&phone, &THEIRS, &origin(), Some(&offered))), of(&offered));
    let plain = Capabilities { rtx: Rtx::Never, ..ours() };
    let (answered, _) = answer(&offered, &plain, &PORTS, &origin()).unwrap();
    assert_eq!(accept_answer(&offered, &answered, &phone).unwrap().video.unwrap().repairs, None);
}

#[test]
fn two_of_us_understand_each_other_whatever_the_modes_and_sizes() {
    let sizes = [Receive::HD720, Receive::HD720_60, Receive::HD1080];
    for (size, other) in sizes.iter().flat_map(|a| sizes.iter().map(move |b| (*a, *b))) {
        for mode in [None, Some(Mode::SingleNal), Some(Mode::NonInterleaved)] {
            let mut phone = Capabilities { strict: true, ..Capabilities::mcu(other, 1_500) };
            phone.video.retain(|v| mode.is_none_or(|m| v.mode == m));
            let mcu = Capabilities::mcu(size, 2_000);
            let offered = offer(&phone, &THEIRS, &origin(), None);
            let (answered, at_mcu) = answer(&offered, &mcu, &PORTS, &origin()).unwrap();
            let at_phone = accept_answer(&offered, &answered, &phone).unwrap();
            let (a, b) = (at_mcu.video.unwrap(), at_phone.video.unwrap());
            assert_eq!(a.mode, mode.unwrap_or(Mode::NonInterleaved));
            assert_eq!((a.mode, a.pt_send, a.feedback), (b.mode, b.pt_send, b.feedback));
            assert_eq!(
                (a.limits.max_fs, b.limits.max_fs),
                (other.max_fs, size.max_fs),
                "each sends what the other takes"
            );
            assert_eq!((a.max_kbps, b.max_kbps), (1_500, 2_000));
            let (a, b) = (at_mcu.audio.unwrap(), at_phone.audio.unwrap());
            assert_eq!((a.codec.name(), a.pt_send, a.dtmf), (b.codec.name(), b.pt_send, b.dtmf));
            assert!(a.stream.rtcp_mux && b.stream.rtcp_mux);
            assert_eq!(b.stream.remote, "198.51.100.1:20000".parse().unwrap());
        }
    }
}

#[test]
fn pitfall_11_a_late_offer_answered_in_the_ack() {
    let agreed = accept_answer(&first(), &said(&format!("{AUDIO}\n{VIDEO}")), &ours()).unwrap();
    let (a, v) = (agreed.audio.unwrap(), agreed.video.unwrap());
    assert_eq!((a.codec.name(), a.pt_send, a.stream.remote.port()), ("PCMA", 8, 4_000));
    assert_eq!(a.pt_recv[0].0, 8);
    assert_eq!(a.pt_recv.len(), 4, "everything we offered may come");
    assert_eq!((v.pt_send, v.mode, v.limits.max_fs), (126, Mode::NonInterleaved, 3_600));
    assert_eq!(v.pt_recv, [(126, Mode::NonInterleaved), (97, Mode::SingleNal)]);
}

#[test]
fn real_answers_to_our_offer() {
    let read = |bytes: &[u8], ours: Capabilities| {
        let ours = Capabilities { strict: true, ..ours };
        accept_answer(&offer(&ours, &PORTS, &origin(), None), &Session::parse(bytes).unwrap(), &ours).unwrap()
    };
    let one = ours().with_mode(Mode::NonInterleaved);
    let zero = ours().with_mode(Mode::SingleNal);
    let agreed = read(include_bytes!("../sdp/answers/baresip-1.0.0-mode-1.sdp"), one.clone());
    let (a, v) = (agreed.audio.unwrap(), agreed.video.unwrap());
    assert_eq!((a.codec.name(), a.pt_send, a.dtmf, a.stream.rtcp_mux), ("opus", 114, Some(101), false));
    assert_eq!((v.pt_send, v.mode, v.feedback.pli, v.feedback.fir), (126, Mode::NonInterleaved, true, false));
    let v = read(include_bytes!("../sdp/answers/baresip-1.0.0-mode-0.sdp"), zero).video.unwrap();
    assert_eq!((v.pt_send, v.mode), (97, Mode::SingleNal));
    let agreed = read(include_bytes!("../sdp/answers/baresip-1.0.0-no-common-mode.sdp"), one);
    assert!(agreed.audio.is_some() && agreed.video.is_none(), "it knows mode 0 only: m=video 0 RTP/AVP 0");
    let v = read(include_bytes!("../sdp/answers/linphone-5.1-plain.sdp"), ours()).video.unwrap();
    assert_eq!((v.pt_send, v.mode, v.limits.max_fs), (126, Mode::NonInterleaved, 3_600));
    assert_eq!(
        (v.profile_level.to_string().as_str(), v.feedback.pli, v.feedback.fir),
        ("42801f", true, true)
    );
}

#[test]
fn an_answer_may_use_its_own_numbers() {
    let lines = "m=audio 4000 RTP/AVP 120 96\na=rtpmap:120 opus/48000/2\na=fmtp:120 stereo=1\na=rtpmap:96 telephone-event/8000\n\
                 m=video 4002 RTP/AVP 100\na=rtpmap:100 H264/90000\na=fmtp:100 profile-level-id=42e01f;packetization-mode=0";
    let agreed = accept_answer(&first(), &said(lines), &ours()).unwrap();
    let (a, v) = (agreed.audio.unwrap(), agreed.video.unwrap());
    assert_eq!((a.pt_send, a.pt_recv[0].0, a.dtmf, a.dtmf_recv[0].0), (120, 114, Some(96), 101));
    assert!(matches!(a.codec, AudioCodec::Opus(opus) if opus.stereo));
    assert_eq!((v.pt_send, v.mode, v.pt_recv[0]), (100, Mode::SingleNal, (97, Mode::SingleNal)));
}

#[test]
fn a_device_of_sound_alone_may_leave_the_picture_out_of_its_answer() {
    let agreed = accept_answer(&first(), &said(AUDIO), &ours()).unwrap();
    assert!(agreed.audio.is_some() && agreed.video.is_none());
    assert!(matches!(agreed.declined.as_slice(), [Declined { index: 1, why: Decline::Off, .. }]));
}

#[test]
fn lines_missing_or_changed_are_refused_clearly() {
    let refused = |lines: &str| accept_answer(&first(), &said(lines), &ours()).unwrap_err();
    assert_eq!(refused(""), Refused::LineCount { offered: 2, answered: 0 });
    assert_eq!(
        refused(&format!("{AUDIO}\n{VIDEO}\n{VIDEO}")),
        Refused::LineCount { offered: 2, answered: 3 }
    );
    let swapped = refused(&format!("{VIDEO}\n{AUDIO}"));
    assert!(matches!(swapped, Refused::LineKind { index: 0, .. }));
    assert_eq!(swapped.words_en(), "line 0 of the answer is video, the offer has audio there");
    let secure = refused(&format!("{AUDIO}\n{}", VIDEO.replace("RTP/AVP", "RTP/SAVP")));
    assert!(matches!(secure, Refused::LineTransport { index: 1, .. }));
    assert_eq!(refused("m=audio 0 RTP/AVP 8\nm=video 0 RTP/AVP 126"), Refused::AllDeclined);
    assert_eq!(refused("m=audio 4000 RTP/AVP 18\nm=video 0 RTP/AVP 126"), Refused::NoCommonFormat);
    for refused in [refused(""), swapped, secure] {
        assert!(!refused.words_vi().is_empty() && refused.warning_code() >= 300);
    }
}

#[test]
fn a_closed_line_must_not_be_opened_by_the_answer() {
    let mut offered = first();
    offered.media[1] = offered.media[1].declined();
    let lines = format!("{AUDIO}\n{VIDEO}");
    assert_eq!(accept_answer(&offered, &said(&lines), &ours()), Err(Refused::LineOpened { index: 1 }));
}

#[test]
fn sound_declined_pictures_live_as_a_huawei_answers() {
    let agreed = accept_answer(&first(), &said(&format!("m=audio 0 RTP/AVP 8\n{VIDEO}")), &ours()).unwrap();
    assert!(agreed.audio.is_none() && agreed.video.is_some());
    assert_eq!(agreed.declined[0].why, Decline::Off);
}

#[test]
fn avp_answered_to_avpf_is_taken() {
    let offered = offer(&Capabilities { avpf: true, ..ours() }, &PORTS, &origin(), None);
    assert!(text(&offered).contains("m=audio 20000 RTP/AVPF "));
    let agreed = accept_answer(&offered, &said(&format!("{AUDIO}\n{VIDEO}")), &ours()).unwrap();
    assert!(!agreed.audio.unwrap().stream.avpf);
}

#[test]
fn an_answer_that_forgets_its_mode_gets_single_nal_units_and_a_strict_reader_does_not_take_it() {
    let answered = said(&format!("{AUDIO}\n{}", VIDEO.replace(";packetization-mode=1", "")));
    let v = accept_answer(&first(), &answered, &ours()).unwrap().video.unwrap();
    assert_eq!((v.pt_send, v.mode), (126, Mode::SingleNal));
    let strict = Capabilities { strict: true, ..ours() };
    assert!(accept_answer(&first(), &answered, &strict).unwrap().video.is_none());
    let other_profile = said(&format!("{AUDIO}\n{}", VIDEO.replace("42e01f", "64001f")));
    assert!(accept_answer(&first(), &other_profile, &strict).unwrap().video.is_none());
    assert!(accept_answer(&first(), &other_profile, &ours()).unwrap().video.unwrap().decodes(Profile::High));
}

#[test]
fn pitfall_1_an_answer_above_our_level_is_taken() {
    let v = |id: &str| {
        let answered = said(&format!("{AUDIO}\n{}", VIDEO.replace("42e01f", id)));
        accept_answer(&first(), &answered, &ours()).unwrap().video.unwrap()
    };
    assert_eq!((v("42e028").profile_level.level(), v("42e028").limits.max_fs), (Level::L4, 3_600));
    assert_eq!(v("42e028;level-asymmetry-allowed=1").limits.max_fs, 8_192);
    assert_eq!(v("42e00d;max-fs=3600").limits.max_fs, 3_600);
}

#[test]
fn hold_in_an_answer() {
    let ways = |attribute: &str| {
        let s = accept_answer(&first(), &said(&format!("{AUDIO}\n{attribute}\n{VIDEO}")), &ours())
            .unwrap()
            .audio
            .unwrap()
            .stream;
        (s.send, s.recv)
    };
    assert_eq!(ways("a=sendrecv"), (true, true));
    assert_eq!(ways("a=recvonly"), (true, false));
    assert_eq!(ways("a=sendonly"), (false, true));
    assert_eq!(ways("a=inactive"), (false, false));
    assert_eq!(ways("c=IN IP4 0.0.0.0"), (false, true));
}

#[test]
fn our_hold_is_said_and_kept() {
    let held =
        Capabilities { audio_direction: Direction::SendOnly, video_direction: Direction::Inactive, ..ours() };
    let offered = offer(&held, &PORTS, &origin(), Some(&first()));
    assert!(offered.media[0].attributes.has("sendonly") && offered.media[1].attributes.has("inactive"));
    let agreed = accept_answer(&offered, &said(&format!("{AUDIO}\n{VIDEO}")), &held).unwrap();
    let (a, v) = (agreed.audio.unwrap().stream, agreed.video.unwrap().stream);
    assert_eq!(
        (a.send, a.recv, v.send, v.recv),
        (true, false, false, false),
        "even when the answer says sendrecv"
    );
}

#[test]
fn feedback_needs_both() {
    let answered = said(&format!("{AUDIO}\n{VIDEO}\na=rtcp-fb:126 nack pli\na=rtcp-fb:* ccm tmmbr"));
    let v = accept_answer(&first(), &answered, &ours()).unwrap().video.unwrap();
    assert_eq!(v.feedback, Feedback { pli: true, tmmbr: true, ..Feedback::default() });
}

// --- over the call ---------------------------------------------------------------------------------------------------------

#[test]
fn pitfall_12_a_line_that_was_declined_keeps_port_0_in_its_place() {
    let answered = said("m=audio 4000 RTP/AVP 8\nm=video 0 RTP/AVP 126");
    let settled = settle(&first(), &answered);
    let again = offer(&ours(), &PORTS, &origin(), Some(&settled));
    assert_eq!(again.media.iter().map(|m| m.port).collect::<Vec<_>>(), [20_000, 0]);
    let reopened = offer(&Capabilities { reopen: true, ..ours() }, &PORTS, &origin(), Some(&settled));
    assert_eq!(reopened.media.iter().map(|m| m.port).collect::<Vec<_>>(), [20_000, 20_002]);
    assert_eq!(reopened.media[1].formats, ["126", "97"]);
}

#[test]
fn a_re_offer_after_our_answer_keeps_lines_numbers_and_profiles() {
    let theirs = said(
        "m=application 5070 UDP/BFCP *\n\
         m=audio 4000 RTP/AVP 8 114 97\na=rtpmap:114 telephone-event/8000\na=rtpmap:97 opus/48000/2\na=mid:7\n\
         m=video 4002 RTP/AVP 110 111 109\na=rtpmap:110 H264/90000\na=fmtp:110 profile-level-id=428016;packetization-mode=1\n\
         a=rtpmap:111 H264/90000\na=fmtp:111 profile-level-id=640016;packetization-mode=1\n\
         a=rtpmap:109 H264/90000\na=fmtp:109 profile-level-id=428016\n\
         m=video 4004 RTP/AVP 97\na=content:slides",
    );
    let (mine, _) = answer(&theirs, &ours(), &PORTS, &origin()).unwrap();
    let again = offer(&ours(), &PORTS, &origin(), Some(&mine));
    let lines: Vec<String> =
        again.media.iter().map(|m| format!("{} {} {}", m.kind, m.port, m.formats.join(" "))).collect();
    assert_eq!(
        lines,
        ["application 0 *", "audio 20000 97 9 8 0 13 114", "video 20002 110 111 109", "video 0 97"],
        "114 stays what it was, DTMF"
    );
    assert_eq!(again.media[1].attributes.first("mid"), Some("7"));
    let ids: Vec<String> = formats(&again.media[2])
        .iter()
        .map(|f| match &f.codec {
            Codec::H264(p) => p.profile_level.to_string(),
            _ => String::new(),
        })
        .collect();
    assert_eq!(ids, ["42801f", "64001f", "42801f"]);
}

#[test]
fn a_number_that_is_taken_is_not_given_twice() {
    let theirs = said("m=audio 4000 RTP/AVP 8 114\na=rtpmap:114 telephone-event/8000");
    let (mine, _) = answer(&theirs, &ours(), &PORTS, &origin()).unwrap();
    let again = offer(&ours(), &PORTS, &origin(), Some(&mine));
    assert_eq!(again.media[0].formats, ["8", "127", "9", "0", "13", "114"]);
    assert!(text(&again).contains("a=rtpmap:127 opus/48000/2\r\n"));
}

#[test]
fn video_is_added_at_the_end_and_closed_in_its_place() {
    let sound = offer(&ours().without_video(), &PORTS, &origin(), None);
    assert_eq!(sound.media.len(), 1);
    let both = offer(&ours(), &PORTS, &origin(), Some(&sound));
    assert_eq!(both.media.iter().map(|m| m.port).collect::<Vec<_>>(), [20_000, 20_002]);
    let closed = offer(&ours(), &Ports { video: 0, ..PORTS }, &origin(), Some(&both));
    assert_eq!((closed.media.len(), closed.media[1].port), (2, 0));
    assert_eq!(closed.media[1].formats, both.media[1].formats);
}

#[test]
fn nothing_changed_nothing_said() {
    let mut origin = origin();
    let mut one = offer(&ours(), &PORTS, &origin, None);
    origin.revise(&mut one, None);
    let mut two = offer(&ours(), &PORTS, &origin, Some(&one));
    origin.revise(&mut two, Some(&one));
    assert_eq!(one.to_bytes(), two.to_bytes(), "a session refresh");
    let mut three = offer(&Capabilities { max_kbps: 512, ..ours() }, &PORTS, &origin, Some(&two));
    origin.revise(&mut three, Some(&two));
    assert_eq!((three.origin.id, three.origin.version), (one.origin.id, one.origin.version + 1));
}

#[test]
fn odd_endpoints_can_be_played() {
    let mut old = ours().with_mode(Mode::SingleNal);
    old.audio.retain(|a| matches!(a.codec, AudioCodec::Pcmu));
    old.feedback = Feedback::default();
    let mut offered = offer(&old, &THEIRS, &origin(), None);
    // DTMF first, pictures before sound, no packetization-mode, as some devices have it.
    offered.media[0].formats.rotate_right(1);
    offered.media.swap(0, 1);
    for a in &mut offered.media[0].attributes.0 {
        a.value = a.value.take().map(|v| v.replace(";packetization-mode=0", ""));
    }
    let (answered, at_mcu) = answer(&offered, &ours(), &PORTS, &origin()).unwrap();
    let at_phone = accept_answer(&offered, &answered, &Capabilities { strict: true, ..old }).unwrap();
    assert_eq!(at_mcu.video.unwrap().mode, Mode::SingleNal);
    assert_eq!(at_mcu.audio.unwrap().codec.name(), "PCMU");
    assert_eq!(at_phone.video.unwrap().stream.index, 0);
    assert_eq!(at_phone.audio.unwrap().dtmf, Some(101));
}
