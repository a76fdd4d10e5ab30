//! With our own phone: odd habits of hardware, set-up times, how fast the speaker changes, how natural pictures come through.

use std::{
    net::Ipv6Addr,
    process::Command,
    time::{Duration, Instant},
};

use cau_codec::video::{Decode as _, Decoder, Image as _, Picture, decode::Limits};
use cau_load::{
    Codec, Fleet, KeyFrames, Modes, Persona, PhoneId, State,
    clip::{Pattern, Shape, Video},
};
use cau_rtp::h264::{Mode, nal};
use cau_sip::sdp::Direction;
use cau_tests::{
    Server, pause, phones,
    phones::{assert_clean, assert_hears, fleet, over_tcp, plan, wait_until_all_see},
    root, secs, turn, wait_for,
};
use serde_json::json;

fn ids_by_uri(server: &Server, conference: &str, count: usize) -> Vec<(u8, String)> {
    wait_for("everybody to be connected", secs(15.0), || {
        let list = server.api.connected(conference);
        (list.len() == count).then(|| {
            list.iter()
                .map(|p| {
                    let uri = p["uri"].as_str().expect("uri");
                    let id = uri
                        .split("ep")
                        .nth(1)
                        .and_then(|s| s.get(..1))
                        .and_then(|s| s.parse().ok())
                        .expect("epN");
                    (id, p["id"].as_str().expect("id").to_owned())
                })
                .collect()
        })
    })
}

/// Two phones, every codec and mode against every other, over UDP and TCP: both see and hear each other, nothing is broken or frozen.
#[test]
fn every_sound_codec_and_packetization_mode() {
    let _turn = turn();
    let mut server = Server::start();
    for (round, (codec, modes)) in [
        (Codec::Opus, Modes::Both),
        (Codec::G722, Modes::Zero),
        (Codec::Pcma, Modes::One),
        (Codec::Pcmu, Modes::Zero),
    ]
    .into_iter()
    .enumerate()
    {
        let room = format!("81{round}0");
        server.conference(&room, json!({ "layout": "grid" }));
        let mut fleet = fleet();
        let persona = Persona { modes, ..Persona::default() };
        let first = fleet.call(plan(&server, &room, 0, codec, persona));
        let other = plan(&server, &room, 1, Codec::Opus, Persona::default());
        let second = fleet.call(over_tcp(other, &server, &room));
        let seen = wait_until_all_see(&fleet, &[first, second], &[0, 1], secs(10.0));
        pause(secs(5.0));
        let (a, b) = (fleet.record(first).unwrap(), fleet.record(second).unwrap());
        let settled = seen + secs(1.0);
        for (record, other) in [(&a, 1), (&b, 0)] {
            assert_clean(record, &[0, 1], settled);
            assert_hears(record, &[other], settled, 0);
        }
        assert_eq!(a.stats.mode, Some(if modes == Modes::Zero { 0 } else { 1 }), "{codec:?}");
        let records = fleet.stop();
        assert!(records.values().all(|r| r.state == State::Done), "{records:?}");
    }
    server.assert_well();
}

/// IPv6, over UDP and over TCP: signalling, sound and picture both ways.
#[test]
fn over_ipv6_as_over_ipv4() {
    let _turn = turn();
    let ip = Ipv6Addr::LOCALHOST.into();
    let mut server = Server::start_at(ip, &[]);
    server.conference("8150", json!({ "layout": "grid" }));
    let mut fleet = phones::fleet_at(ip);
    let first = fleet.call(plan(&server, "8150", 0, Codec::Opus, Persona::default()));
    let other = plan(&server, "8150", 1, Codec::Pcma, Persona::default());
    let second = fleet.call(over_tcp(other, &server, "8150"));
    let seen = wait_until_all_see(&fleet, &[first, second], &[0, 1], secs(10.0));
    pause(secs(4.0));
    for (phone, other) in [(first, 1), (second, 0)] {
        let record = fleet.record(phone).unwrap();
        assert_clean(&record, &[0, 1], seen + secs(1.0));
        assert_hears(&record, &[other], seen + secs(1.0), 0);
    }
    let records = fleet.stop();
    assert!(records.values().all(|r| r.state == State::Done), "{records:?}");
    server.assert_well();
}

/// A device with a habit of its own is seen by the other and sees it.
#[test]
fn odd_devices_are_understood() {
    let _turn = turn();
    let mut server = Server::start();
    let odd = [
        ("re-INVITEs at once", Persona { reinvite_after: Some(Duration::ZERO), ..Persona::default() }),
        ("offers late", Persona { late_offer: true, ..Persona::default() }),
        ("sends an INVITE of 4 kB", Persona { invite_bytes: 4_000, ..Persona::default() }),
        ("sends no sender reports", Persona { sender_reports: false, ..Persona::default() }),
        ("sends key frames only when asked", Persona { key_frames: KeyFrames::Asked, ..Persona::default() }),
        ("obeys only INFO", Persona { key_frames: KeyFrames::InfoOnly, ..Persona::default() }),
        ("sends key frames late", Persona { key_frames: KeyFrames::Late, ..Persona::default() }),
        ("changes its SSRC", Persona { ssrc_change_after: Some(secs(2.0)), ..Persona::default() }),
        ("changes its size", Persona { size_change_after: Some(secs(2.0)), ..Persona::default() }),
        ("sends one key frame and no more", Persona { key_frames: KeyFrames::Never, ..Persona::default() }),
        ("knows mode 0 only", Persona { modes: Modes::Zero, ..Persona::default() }),
        ("knows mode 1 only", Persona { modes: Modes::One, ..Persona::default() }),
    ];
    for (group, odd) in odd.chunks(3).enumerate() {
        std::thread::scope(|scope| {
            for (round, (what, persona)) in odd.iter().enumerate() {
                let server = &server;
                scope.spawn(move || {
                    eprintln!("a device that {what}");
                    meets_another(server, &format!("82{group}{round}"), persona);
                });
            }
        });
    }
    server.assert_well();
}

/// A device of these habits and a usual one see and hear each other, and go on doing so when the speaker changes.
fn meets_another(server: &Server, room: &str, persona: &Persona) {
    let conference = server.conference(room, json!({ "layout": "grid" }));
    let mut fleet = fleet();
    let device = fleet.call(plan(server, room, 2, Codec::Opus, persona.clone()));
    // The other one comes later: the MCU must ask the device for a key frame, or have one.
    pause(secs(1.0));
    let other = fleet.call(plan(server, room, 3, Codec::Opus, Persona::default()));
    let seen = wait_until_all_see(&fleet, &[device, other], &[2, 3], secs(10.0));
    pause(secs(4.0));
    let settled = seen + secs(1.0);
    // Who listens may be behind on a machine that is full.
    fleet.wait(secs(8.0), |records| {
        let listened = |phone: &PhoneId| {
            records[phone].sight.seconds.iter().filter(|(at, _)| *at >= settled).count() >= 2
        };
        [device, other].iter().all(listened).then_some(())
    });
    assert_clean(&fleet.record(device).unwrap(), &[2, 3], settled);
    assert_clean(&fleet.record(other).unwrap(), &[2, 3], settled);
    assert_hears(&fleet.record(other).unwrap(), &[2], settled, 0);
    assert_hears(&fleet.record(device).unwrap(), &[3], settled, 0);
    survives_speaker_changes(server, &conference, &fleet, [(2, device), (3, other)]);
    fleet.stop();
}

/// Two phones full screen, hidden and brought back in turn: each is seen by the other every time, whole. A device's own habits cost it the
/// time of a key frame at most.
fn survives_speaker_changes(server: &Server, conference: &str, fleet: &Fleet, phones: [(u8, PhoneId); 2]) {
    let by_id = ids_by_uri(server, conference, 2);
    let path = format!("/api/v1/conferences/{conference}");
    let done = |(status, answer): (u16, serde_json::Value)| assert_eq!(status, 200, "{answer}");
    done(server.api.put(&format!("{path}/layout"), &json!({ "layout": "full" })));
    for (speaker, viewer) in [(2, 3), (3, 2)] {
        let participant = &by_id.iter().find(|(id, _)| *id == speaker).unwrap().1;
        let hide = |hidden: bool| {
            let change = json!({ "video_hidden": hidden });
            done(server.api.patch(&format!("{path}/participants/{participant}"), &change));
        };
        hide(true);
        pause(secs(2.2));
        hide(false);
        done(server.api.put(&format!("{path}/speaker"), &json!({ "participant": participant })));
        let asked = Instant::now();
        let viewer = phones.iter().find(|(id, _)| *id == viewer).unwrap().1;
        let shown = fleet.wait(secs(5.0), |r| r[&viewer].sight.first_with(speaker, asked));
        assert!(shown.is_some(), "{speaker} was not shown again");
        pause(secs(1.0));
        let record = fleet.record(viewer).unwrap();
        let broken: Vec<_> = record
            .sight
            .since(asked)
            .filter(|l| l.damaged || l.tiles.iter().any(|t| t.bar.is_none()))
            .collect();
        assert!(broken.is_empty(), "changes must be clean: {broken:#?}");
    }
}

/// A call on hold stays; resumed, picture and sound are back within two seconds.
#[test]
fn hold_and_resume_by_reinvite() {
    let _turn = turn();
    let mut server = Server::start();
    let conference = server.conference("8300", json!({ "layout": "grid" }));
    let mut fleet = fleet();
    let a = fleet.call(plan(&server, "8300", 0, Codec::Opus, Persona::default()));
    let b = fleet.call(plan(&server, "8300", 1, Codec::Opus, Persona::default()));
    wait_until_all_see(&fleet, &[a, b], &[0, 1], secs(10.0));
    fleet.reoffer(b, Direction::SendOnly, Direction::SendOnly);
    pause(secs(3.0));
    assert_eq!(server.api.connected(&conference).len(), 2, "a call on hold stays in the conference");
    let held = Instant::now();
    pause(secs(1.0));
    let quiet = fleet.record(b).unwrap();
    assert!(quiet.sight.since(held).count() == 0, "nothing is sent to who holds");
    fleet.reoffer(b, Direction::SendRecv, Direction::SendRecv);
    let resumed = Instant::now();
    let back = fleet.wait(secs(5.0), |r| r[&b].sight.first_with(0, resumed)).expect("the picture comes back");
    assert!(back - resumed < secs(2.0), "{:?}", back - resumed);
    pause(secs(5.0));
    for (phone, other) in [(a, 1), (b, 0)] {
        let record = fleet.record(phone).unwrap();
        let broken = record
            .sight
            .since(resumed + secs(1.0))
            .filter(|l| l.damaged || l.tiles.iter().any(|t| t.bar.is_none()))
            .count();
        assert_eq!(broken, 0, "phone {}", record.id);
        assert_hears(&record, &[other], resumed + secs(1.2), 0);
    }
    fleet.stop();
    server.assert_well();
}

/// INVITE → first decodable picture, and PUT speaker → the receiver's picture shows the new one, over and over; nothing breaks on the way.
#[test]
fn the_speaker_changes_at_once_and_cleanly() {
    let _turn = turn();
    let mut server = Server::start();
    let conference = server.conference("8400", json!({ "layout": "full" }));
    let mut fleet = fleet();
    let called: Vec<PhoneId> =
        (0..4).map(|id| fleet.call(plan(&server, "8400", id, Codec::Opus, Persona::default()))).collect();
    let by_id = ids_by_uri(&server, &conference, 4);
    let path = format!("/api/v1/conferences/{conference}/speaker");
    let viewer = called[3];
    let mut took = Vec::new();
    pause(secs(1.5));
    for round in 0..12u8 {
        let speaker = round % 3;
        let participant = &by_id.iter().find(|(id, _)| *id == speaker).unwrap().1;
        let asked = Instant::now();
        let (status, answer) = server.api.put(&path, &json!({ "participant": participant }));
        assert_eq!(status, 200, "{answer}");
        let shown = fleet.wait(secs(3.0), |r| r[&viewer].sight.first_with(speaker, asked));
        let state = || {
            (
                server.api.get(&format!("/api/v1/conferences/{conference}")).1,
                server.api.connected(&conference),
                fleet.record(viewer).map(|r| (r.stats, r.sight.looks.back().cloned())),
            )
        };
        took.push(
            shown.unwrap_or_else(|| panic!("round {round}: {speaker} was never shown: {:#?}", state()))
                - asked,
        );
        pause(secs(0.7));
    }
    let record = fleet.record(viewer).unwrap();
    let broken: Vec<_> = record
        .sight
        .since(Instant::now() - secs(8.0))
        .filter(|l| l.damaged || l.tiles.len() != 1 || l.tiles[0].bar.is_none())
        .collect();
    assert!(broken.is_empty(), "changes must be clean: {broken:#?}");
    assert_eq!(record.stats.freezes, 0, "longest gap {} ms", record.stats.longest_gap_ms);
    took.sort();
    let set_up: Vec<f64> = called
        .iter()
        .filter_map(|p| fleet.record(*p).and_then(|r| r.since_invite(r.stats.first_decodable)))
        .collect();
    println!(
        "speaker change: median {:?}, worst {:?}; INVITE to first decodable picture: {set_up:?} ms",
        took[6], took[11]
    );
    assert!(took[6] < Duration::from_millis(300), "median {:?} of {took:?}", took[6]);
    assert!(set_up.len() == 4 && set_up.iter().all(|ms| *ms < 2_000.0), "{set_up:?}");
    fleet.stop();
    server.assert_well();
}

/// Six phones through every layout and several speakers, changed quickly one after the other: nobody's picture stops, breaks or stays behind.
#[test]
fn layouts_and_speakers_in_quick_succession_leave_nobody_behind() {
    let _turn = turn();
    let mut server = Server::start();
    let conference = server.conference("8450", json!({ "layout": "grid" }));
    let mut fleet = fleet();
    let modes = [Modes::Both, Modes::Zero, Modes::Zero, Modes::Both, Modes::Both, Modes::Zero];
    let called: Vec<PhoneId> = (0..6u8)
        .zip(modes)
        .map(|(id, modes)| {
            fleet.call(plan(&server, "8450", id, Codec::Pcma, Persona { modes, ..Persona::default() }))
        })
        .collect();
    let by_id = ids_by_uri(&server, &conference, 6);
    let all: Vec<u8> = (0..6).collect();
    wait_until_all_see(&fleet, &called, &all, secs(10.0));
    let path = format!("/api/v1/conferences/{conference}");
    let put = |what: &str, body: serde_json::Value| {
        let (status, answer) = server.api.put(&format!("{path}/{what}"), &body);
        assert_eq!(status, 200, "{body}: {answer}");
    };
    let pins: Vec<_> = (0..).zip([3, 0, 1, 2, 4, 5]).map(|(seat, id): (u16, u8)| json!({ "seat": seat, "participant": by_id.iter().find(|(i, _)| *i == id).unwrap().1 })).collect();
    for round in 0..6u8 {
        for layout in ["full", "1+5", "grid", "full"] {
            let seats = if layout == "1+5" { pins.clone() } else { Vec::new() };
            put("layout", json!({ "layout": layout, "seats": seats }));
            let speaker = &by_id.iter().find(|(id, _)| *id == (round + 2) % 6).unwrap().1;
            put("speaker", json!({ "participant": speaker }));
            let asked = Instant::now();
            let wanted = (round + 2) % 6;
            let seen = fleet.wait(secs(3.0), |r| {
                called
                    .iter()
                    .all(|p| r[p].id == wanted || r[p].sight.first_with(wanted, asked).is_some())
                    .then_some(())
            });
            let behind = || {
                fleet.look(|r| {
                    r.values()
                        .map(|r| {
                            (
                                r.id,
                                r.sight.looks.back().map(|l| {
                                    (
                                        asked.elapsed().saturating_sub(l.at.elapsed()),
                                        l.tiles.iter().filter_map(|t| t.bar).collect::<Vec<_>>(),
                                    )
                                }),
                            )
                        })
                        .collect::<Vec<_>>()
                })
            };
            assert!(
                seen.is_some(),
                "round {round}, {layout}, speaker {wanted}: somebody does not see him: {:?}",
                behind()
            );
            // The speaker himself sees something that moves, too.
            let moves = fleet.wait(secs(1.0), |r| {
                called.iter().all(|p| r[p].sight.since(asked).count() > 3).then_some(())
            });
            assert!(moves.is_some(), "round {round}, {layout}: a picture stopped: {:?}", behind());
        }
    }
    for phone in &called {
        let record = fleet.record(*phone).unwrap();
        assert_eq!(
            (record.stats.freezes, record.sight.errors, record.stats.missed),
            (0, 0, 0),
            "phone {}: longest gap {} ms",
            record.id,
            record.stats.longest_gap_ms
        );
    }
    fleet.stop();
    server.assert_well();
}

/// Natural pictures, full screen: every received frame is close to the frame of the same number that was sent.
#[test]
fn natural_pictures_come_through() {
    let _turn = turn();
    let mut server = Server::start();
    let conference = server.conference("8500", json!({ "layout": "full", "names": "off" }));
    let sources = natural("ha-noi", 60);
    let shape = Shape { frames: 60, kbps: 2_500, ..Shape::hd(Mode::SingleNal) };
    let clip = std::sync::Arc::new(Video::judged(6, shape, &Pattern::Natural(&sources)).unwrap());
    // What the MCU was sent, decoded: the encoder of the test is not on trial.
    let sent = decode(&clip);
    let mut fleet = fleet();
    let mut source =
        plan(&server, "8500", 6, Codec::Opus, Persona { modes: Modes::Zero, ..Persona::default() });
    source.reel = Some(phones::only(clip, Mode::SingleNal));
    fleet.call(source);
    let viewer = fleet.call(plan(&server, "8500", 1, Codec::Opus, Persona::default()));
    let by_id = ids_by_uri(&server, &conference, 2);
    let participant = &by_id.iter().find(|(id, _)| *id == 6).unwrap().1;
    let (status, answer) = server
        .api
        .put(&format!("/api/v1/conferences/{conference}/speaker"), &json!({ "participant": participant }));
    assert_eq!(status, 200, "{answer}");
    let asked = Instant::now();
    fleet.wait(secs(5.0), |r| r[&viewer].sight.first_with(6, asked)).expect("the natural picture is shown");
    pause(secs(1.0));
    let qualities = compare(&fleet, viewer, &sent, secs(6.0));
    assert!(qualities.len() >= 20, "only {} pictures could be compared", qualities.len());
    let mean = qualities.iter().sum::<f64>() / qualities.len() as f64;
    let worst = qualities.iter().copied().fold(f64::MAX, f64::min);
    println!("natural pictures: PSNR mean {mean:.1} dB, worst {worst:.1} dB of {}", qualities.len());
    assert!(mean > 32.0 && worst > 27.0, "mean {mean:.1} dB, worst {worst:.1} dB");
    let record = fleet.record(viewer).unwrap();
    assert_eq!((record.sight.errors, record.stats.damaged), (0, 0));
    fleet.stop();
    server.assert_well();
}

/// The first pictures of a demo clip.
fn natural(name: &str, count: usize) -> Vec<Picture> {
    let stream = std::fs::read(root().join(format!("assets/demo/{name}.h264"))).unwrap();
    let video = Video::from_annex_b(&stream.into(), 30, (1280, 720), Mode::SingleNal).unwrap();
    decode(&video).into_iter().take(count).collect()
}

fn decode(video: &Video) -> Vec<Picture> {
    let mut decoder = Decoder::new(Limits::default()).unwrap();
    let mut pictures = Vec::new();
    for (n, unit) in video.units.iter().enumerate() {
        let nals: Vec<_> = unit
            .payloads
            .iter()
            .map(|p| p.bytes.clone())
            .filter(|b| nal::kind_of(b).is_some_and(|k| k < 24))
            .collect();
        pictures.extend(decoder.decode(&nals, n as i64).unwrap().map(|d| d.picture));
    }
    pictures
}

/// PSNR (luma) of what a phone sees against what was sent, frame by frame.
fn compare(fleet: &Fleet, viewer: PhoneId, sent: &[Picture], time: Duration) -> Vec<f64> {
    let mut qualities = Vec::new();
    let end = Instant::now() + time;
    while Instant::now() < end {
        let seen = fleet.look(|r| {
            let sight = &r[&viewer].sight;
            Some((sight.looks.back()?.tiles.first()?.bar?.1, sight.picture.clone()?))
        });
        if let Some((n, picture)) = seen
            && let Some(original) = sent.get(usize::from(n))
        {
            qualities.push(psnr(original, &picture));
        }
        pause(Duration::from_millis(70));
    }
    qualities
}

fn psnr(a: &Picture, b: &Picture) -> f64 {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    let (a, b) = (a.planes(), b.planes());
    let mut squares = 0u64;
    for y in 0..a.rows(0) {
        squares +=
            a.row(0, y).iter().zip(b.row(0, y)).map(|(p, q)| u64::from(p.abs_diff(*q)).pow(2)).sum::<u64>();
    }
    let mean = squares as f64 / (f64::from(a.width) * f64::from(a.height));
    10.0 * (255.0 * 255.0 / mean.max(1e-6)).log10()
}

/// `cau load` itself: ten phones, a report, exit status 0; and 1 when the room does not exist.
#[test]
fn the_load_command_measures_and_reports() {
    let _turn = turn();
    let mut server = Server::start();
    server.conference("8600", json!({ "layout": "full" }));
    let report = server.out.join("report.json");
    let (first, last) = cau_tests::server::free_block(80);
    let ports = format!("{first}-{last}");
    let load = |room: &str| {
        Command::new(cau_tests::cau())
            .args([
                "load",
                "--target",
                &server.uri(room),
                "--endpoints",
                "10",
                "--rate",
                "10",
                "--duration",
                "6",
                "--video",
                "360p30",
            ])
            .args(["--ports", &ports, "--pid", &server.pid().to_string(), "--report"])
            .arg(&report)
            .output()
            .unwrap()
    };
    let done = load("8600");
    let words = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{words}");
    let text = std::fs::read_to_string(&report).unwrap();
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found["summary"]["well"], 10, "{words}");
    assert_eq!(found["phones"].as_array().unwrap().len(), 10);
    assert!(
        found["summary"]["cpu"]["p50"].as_f64().unwrap() > 0.0
            && found["summary"]["rss_mb"]["max"].as_f64().unwrap() > 5.0
    );
    assert_eq!(found["summary"]["first_picture_ms"]["n"], 10, "{words}");
    assert!(report.with_extension("html").exists());
    assert_eq!(load("9999").status.code(), Some(1), "calls that are refused are a failure");
    server.assert_well();
}
