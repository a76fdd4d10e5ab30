//! The harness itself: clients and judge without any server between them. When these fail, the other tests say nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "end-to-end tests live in the world"
)]

use std::time::Instant;

use cau_load::{Codec, Persona, Plan, clip::Shape};
use cau_rtp::h264::Mode;
use cau_sip::{Uri, sdp::h264::Receive};
use cau_tests::{Baresip, pause, phones, phones::assert_hears, secs, turn};

#[test]
fn two_baresips_see_and_hear_each_other_by_the_judge() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    let (callee, uri) = Baresip::new(0, 9.0).answer(dir.path());
    pause(secs(2.0));
    let caller = Baresip::new(1, 8.0).dial_to(dir.path(), &uri);
    let (callee, caller) = (callee.judge(), caller.judge());
    for (client, other) in [(&callee, 1), (&caller, 0)] {
        let pictures: Vec<_> = client.pictures.iter().skip(1).collect();
        client.assert_unbroken(&pictures);
        client.assert_seats(&pictures, &[(other, [0.0, 0.0, 1.0, 1.0])]);
        client.assert_running(&pictures, &[other]);
        client.assert_hears(1, &[other], 0);
    }
}

#[test]
fn our_phone_and_a_baresip_see_and_hear_each_other() {
    let _turn = turn();
    let dir = tempfile::tempdir().unwrap();
    for (codec, mode, baresip) in
        [(Codec::Opus, Mode::NonInterleaved, "h264"), (Codec::Pcma, Mode::SingleNal, "h264-0")]
    {
        let out = dir.path().join(baresip);
        std::fs::create_dir_all(&out).unwrap();
        let (callee, uri) = Baresip::new(0, 8.0).with("--vcodec", baresip).with("--snap", "2").answer(&out);
        pause(secs(2.0));
        let persona = Persona::default();
        let sound = phones::library().sound(3, codec).unwrap();
        let clip = phones::library().video(3, Shape { mode, ..phones::shape() }).unwrap();
        let mut fleet = phones::fleet();
        let begun = Instant::now();
        let phone = fleet.call(Plan {
            target: Uri::parse(uri.as_bytes()).unwrap(),
            remote: None,
            user: "ep3".into(),
            name: Some("Điểm cầu 3".into()),
            id: 3,
            sound: vec![(codec, sound)],
            reel: Some(phones::only(clip, mode)),
            receive: Receive::HD720,
            max_kbps: 2_000,
            persona,
            decodes: true,
            redials: false,
        });
        let seen = fleet.wait(secs(8.0), |r| r[&phone].sight.first_with(0, begun));
        let seen = seen.unwrap_or_else(|| panic!("the phone never saw baresip: {:#?}", fleet.record(phone)));
        pause(secs(5.0));
        let record = fleet.record(phone).unwrap();
        phones::assert_clean(&record, &[0], seen + secs(1.0));
        assert_hears(&record, &[0], seen + secs(1.0), 0);
        fleet.hang_up(phone);
        let client = callee.judge();
        let pictures: Vec<_> = client.pictures.iter().skip(2).collect();
        client.assert_unbroken(&pictures);
        client.assert_seats(&pictures, &[(3, [0.0, 0.0, 1.0, 1.0])]);
        client.assert_running(&pictures, &[3]);
        client.assert_hears(1, &[3], 0);
        fleet.stop();
    }
}
