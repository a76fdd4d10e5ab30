//! The harness itself: clients and judge without any server between them. When these fail, the other tests say nothing.

use std::{f64::consts::TAU, process::Command, time::Instant};

use cau_load::{Codec, Persona, Plan, clip::Shape};
use cau_rtp::h264::Mode;
use cau_sip::{Uri, sdp::h264::Receive};
use cau_tests::{Baresip, kit, pause, phones, phones::assert_hears, python, secs, turn};

/// What the judge hears in one second of sound.
fn judged(sound: impl Fn(f64) -> f64) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("recv.wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(&file, spec).unwrap();
    for n in 0..48_000 {
        wav.write_sample((sound(f64::from(n) / 48_000.0) * 32_767.0) as i16).unwrap();
    }
    wav.finalize().unwrap();
    let out = Command::new(python()).arg(kit("judge.py")).arg("wav").arg(&file).output().unwrap();
    let said: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    serde_json::from_value(said["heard"].clone()).unwrap()
}

/// A lost packet breaks every tone and spreads it over its neighbours': that is no voice. A voice far below the others is one.
#[test]
fn the_judge_tells_a_faint_voice_from_broken_ones() {
    let tone = |hertz: f64, t: f64| (TAU * hertz * t).sin();
    let others =
        |t: f64| [440.0, 680.0, 800.0, 920.0, 1040.0].iter().map(|hz| 0.16 * tone(*hz, t)).sum::<f64>();
    assert_eq!(judged(others), [0, 2, 3, 4, 5]);
    let lost = [0.31, 0.42, 0.49, 0.55, 0.6, 0.71];
    let broken = |t: f64| if lost.iter().any(|at| (*at..at + 0.02).contains(&t)) { 0.0 } else { others(t) };
    assert_eq!(judged(broken), [0, 2, 3, 4, 5]);
    assert_eq!(judged(|t| others(t) + 0.016 * tone(560.0, t)), [0, 1, 2, 3, 4, 5]);
    let short = |t: f64| if (0.4..0.6).contains(&t) { 0.1 * tone(560.0, t) } else { 0.0 };
    assert_eq!(judged(|t| broken(t) + short(t)), [0, 1, 2, 3, 4, 5]);
}

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
