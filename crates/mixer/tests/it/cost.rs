//! What the mixer costs beside the bare work. Measured by the CPU time of the thread; run by hand:
//! `cargo test -p cau-mixer --release --test cost -- --ignored --nocapture`.
#![expect(
    clippy::disallowed_macros,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "prints figures; only run by hand"
)]

use std::time::Duration;

use crate::common::{Endpoint, World, ms, p};
use bytes::Bytes;
use cau_codec::{
    draw::Painter,
    scale::{self, Fit},
    video::{Canvas, Colour, Decode, Decoder, Pool, decode, encode},
};
use cau_mixer::{Command, Media, Port, command::AudioCodec};
use cau_model::{layout::Kind, sound::Rules};
use cau_rtp::{
    Packet,
    h264::{self, Packetizer},
};

const SECONDS: u64 = 5;

/// CPU time of this thread.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

/// Moving texture: 720p30 at 1.8 Mbit/s, encoded once; NAL units per picture.
fn clip() -> Vec<Vec<Bytes>> {
    let mut settings = encode::Settings::new(1280, 720, 30, 1800);
    settings.key_interval = Some(150);
    let mut encoder = encode::new(encode::Kind::X264, settings).unwrap();
    (0..SECONDS * 30)
        .map(|n| {
            let mut canvas = Canvas::new(1280, 720).unwrap();
            canvas.fill(Colour::rgb(90, 110, 90));
            let planes = canvas.planes_mut();
            let [y, _, _] = planes.data;
            for (row, line) in y.chunks_mut(planes.stride[0]).enumerate() {
                for (col, pixel) in line.iter_mut().enumerate() {
                    let x = col as u64 + 3 * n;
                    *pixel = (60 + ((x * x / 97 + (row as u64 * 31) / 7) % 120)) as u8;
                }
            }
            encoder.encode(&canvas, (n * 3000) as i64, n == 0).unwrap().nals
        })
        .collect()
}

fn packets(clip: &[Vec<Bytes>], ssrc: u32) -> Vec<Vec<Bytes>> {
    let packetizer = Packetizer::new(h264::Mode::NonInterleaved, 1200);
    let mut seq = 0u16;
    clip.iter()
        .enumerate()
        .map(|(n, nals)| {
            let payloads = packetizer.packetize(nals).payloads;
            payloads
                .into_iter()
                .map(|payload| {
                    seq = seq.wrapping_add(1);
                    let timestamp = n as u32 * 3000;
                    let mut out = Vec::new();
                    let csrc = Default::default();
                    let marker = payload.marker;
                    Packet { pt: 96, marker, seq, timestamp, ssrc, csrc, payload: payload.bytes }
                        .write(&mut out);
                    out.into()
                })
                .collect()
        })
        .collect()
}

/// Decode of every source, scale, copy, one encode.
fn bare(clip: &[Vec<Bytes>], sites: usize) -> Duration {
    let pool = Pool::new(1 << 30);
    let kind = Kind::Grid;
    let rects = cau_model::layout::tiles(kind, sites, (1280, 720));
    let mut decoders: Vec<_> = (0..sites).map(|_| Decoder::new(decode::Limits::default()).unwrap()).collect();
    let mut encoder = encode::new(encode::Kind::X264, encode::Settings::new(1280, 720, 30, 1536)).unwrap();
    let before = cpu();
    for (n, nals) in clip.iter().enumerate() {
        let mut canvas = pool.canvas(1280, 720).unwrap();
        for (decoder, r) in decoders.iter_mut().zip(&rects) {
            if let Ok(Some(d)) = decoder.decode(nals, 0) {
                let small =
                    scale::scaled(&d.picture, (r.w, r.h), Fit::Contain, Colour::BLACK, &pool).unwrap();
                scale::blit(&small, &mut canvas, r.x, r.y);
            }
        }
        encoder.encode(&canvas, n as i64 * 3000, false).unwrap();
    }
    cpu() - before
}

#[test]
#[ignore = "measures"]
fn sixteen_callers_all_seen_in_one_grid() {
    const SITES: u64 = 16;
    let clip = clip();
    let bare = bare(&clip, SITES as usize);
    let mut world = World::sized((1280, 720), 1536);
    let streams: Vec<_> = (1..=SITES).map(|n| packets(&clip, n as u32)).collect();
    for n in 1..=SITES {
        let mut e = Endpoint::new(n).no_camera();
        e.mute_line = true;
        e.blind = true;
        world.join(e);
    }
    let sites: Vec<_> = (1..=SITES).collect();
    world.show(Kind::Grid, &sites);
    let start = world.now;
    let mut spent = Duration::ZERO;
    let mut next = 0;
    while world.now - start < Duration::from_secs(SECONDS) {
        if world.now - start >= ms(1000) * next as u32 / 30 && next < clip.len() {
            let before = cpu();
            for (n, stream) in (1..=SITES).zip(&streams) {
                let port = Port { participant: p(n), media: Media::Video, rtcp: false };
                let from = world.at(n).addresses().1;
                for packet in &stream[next] {
                    world.worker.handle_packet(world.now, world.now, port, from, packet.clone());
                }
            }
            spent += cpu() - before;
            next += 1;
        }
        let before = cpu();
        world.step();
        spent += cpu() - before;
    }
    let s = |d: Duration| d.as_secs_f64() / SECONDS as f64;
    println!(
        "16 seen: {:.3} cores, bare {:.3}, ratio {:.3} (pictures sent to one: {}, {:?})",
        s(spent),
        s(bare),
        s(spent) / s(bare),
        world.at(1).received.video_packets,
        world.totals,
    );
}

fn sound_only(name: &str, codec: AudioCodec, pt: u8, callers: u64, talkers: u64) {
    let even = Rules { watch: false, ..Rules::default() };
    let rules =
        [("", None), (", levels evened", Some(even)), (", evened and watched", Some(Rules::default()))];
    for (how, rules) in rules {
        let per = per_caller(codec, pt, callers, talkers, rules);
        println!("{name}{how}: {per:.5} cores per caller, {:.1} µs per frame", per * 20_000.0);
    }
}

fn per_caller(codec: AudioCodec, pt: u8, callers: u64, talkers: u64, rules: Option<Rules>) -> f64 {
    let mut world = World::new();
    if let Some(rules) = rules {
        world.command(Command::Discipline { conference: crate::common::ROOM, rules });
    }
    // Recorded twice only: the coding of the test's own sound is not what is measured.
    let endpoint = |n: u64| Endpoint::new(n).sound_only().codec(codec, pt);
    let talk = endpoint(1).tone(440.0).record(SECONDS * 50);
    let silence = endpoint(1).record(SECONDS * 50);
    for n in 1..=callers {
        let mut e = endpoint(n);
        e.mute_line = true;
        e.blind = true;
        world.join(e);
    }
    let start = world.now;
    let mut spent = Duration::ZERO;
    for tick in 0..(SECONDS * 50) as usize {
        let before = cpu();
        for n in 1..=callers {
            let frames = if n <= talkers { &talk } else { &silence };
            let port = Port { participant: p(n), media: Media::Audio, rtcp: false };
            let from = world.at(n).addresses().0;
            world.worker.handle_packet(world.now, world.now, port, from, frames[tick].clone());
        }
        world.step();
        world.step();
        spent += cpu() - before;
    }
    assert!(world.now - start >= Duration::from_secs(SECONDS));
    spent.as_secs_f64() / SECONDS as f64 / callers as f64
}

#[test]
#[ignore = "measures"]
fn sound_only_per_caller() {
    sound_only("G.711, 16 callers, all talk", AudioCodec::Pcma, 8, 16, 16);
    sound_only("G.711, 100 callers, all talk", AudioCodec::Pcma, 8, 100, 100);
    sound_only("G.711, 100 callers, 3 talk", AudioCodec::Pcma, 8, 100, 3);
    sound_only("Opus, 100 callers, 3 talk", AudioCodec::Opus { fec: true }, 96, 100, 3);
}

#[test]
#[ignore = "measures"]
fn ornaments_at_720p() {
    const TIMES: u32 = 500;
    const SIZE: (u32, u32) = (1280, 720);
    let tell = |what: &str, work: &mut dyn FnMut(u32)| {
        let before = cpu();
        (0..TIMES).for_each(&mut *work);
        println!("{what}: {:.1} µs", (cpu() - before).as_secs_f64() * 1e6 / f64::from(TIMES));
    };
    let mut painter = Painter::new();
    let pool = Pool::new(1 << 26);
    let mut canvas = pool.canvas(SIZE.0, SIZE.1).unwrap();
    canvas.fill(Colour::rgb(90, 110, 90));
    let bare = canvas.freeze();
    let mut canvas = pool.canvas(SIZE.0, SIZE.1).unwrap();
    let message =
        painter.ticker("Họp lại lúc 14 giờ 30 phút, các điểm cầu kiểm tra đường truyền", true, SIZE);
    let clock = painter.label(SIZE.0, 36.0, "08:30:00");
    tell("copy of the picture without ornaments", &mut |_| scale::blit(&bare, &mut canvas, 0, 0));
    tell("running message", &mut |n| message.paint(&mut canvas, 660, f64::from(n) / 30.0));
    tell("clock", &mut |_| clock.paint(&mut canvas, 1_000, 20));
    tell("clock written anew (once a second)", &mut |n| {
        drop(painter.label(SIZE.0, 36.0, &format!("08:{:02}:{:02}", n / 60, n % 60)));
    });
}
