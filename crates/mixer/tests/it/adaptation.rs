//! What each receiver is sent: as much as its line takes, and nobody is lowered for another.

use crate::common::{Endpoint, World, ms, p};
use cau_mixer::{
    Command,
    command::{AudioCodec, Limits},
    event::VideoKind,
};
use cau_model::{layout::Kind, scene::Scene};
use cau_netem::Config as Line;

/// `n` sites that see each other, on a canvas of 320×180 at 768 kbit/s; their pictures move.
fn room(n: u64) -> World {
    room_of((1..=n).map(Endpoint::new).collect())
}

fn room_of(endpoints: Vec<Endpoint>) -> World {
    let mut world = World::configured(|config| config.max_canvas = (320, 180));
    let n = endpoints.len() as u64;
    for mut e in endpoints {
        e.moves = true;
        e.heals = true;
        e.size = (160, 90);
        world.join(e);
    }
    world.show(Kind::Grid, &(1..=n).collect::<Vec<_>>());
    world
}

fn kbps(world: &World, n: u64) -> u32 {
    world.statistics[&p(n)].send.kbps
}

/// Nothing was missing and nothing stood.
fn untouched(world: &World, sites: &[u64]) {
    assert_eq!(world.totals.stranded, 0);
    for n in sites {
        let r = &world.at(*n).received;
        assert_eq!((r.broken, r.gaps, r.odd, r.back), (0, 0, 0, 0), "{n}");
        assert_eq!(r.stood(world.start + ms(2000), world.now), 0.0, "{n}");
        assert_eq!(kbps(world, *n), 768, "{n}");
    }
}

#[test]
fn a_thin_line_gets_less_within_seconds_and_the_others_all() {
    let mut world = room(3);
    let thin = Line { rate: Some(400_000), queue: 20_000, delay: ms(20), ..Line::default() };
    world.line(3, Line::default(), thin, 5);
    world.run(ms(30_000));
    let lost = world.lines[&p(3)].down.counters().overflow;
    assert!(lost > 0, "it was too much at first");
    assert!((96..=384).contains(&kbps(&world, 3)), "{}", kbps(&world, 3));
    let from = world.now;
    world.run(ms(15_000));
    let stood = world.at(3).received.stood(from, world.now);
    assert!(stood < 0.2, "what it gets now it can take: stood {stood:.2} of the time");
    assert_eq!(world.at(3).received.ssrcs.len(), 1);
    untouched(&world, &[1, 2]);
    assert!(world.totals.encoders <= 3, "one for the others, one for him, and one while he changes");
}

#[test]
fn a_limit_is_answered_and_obeyed_down_to_sound_only() {
    let mut world = room(3);
    world.run(ms(3000));
    for (bits, wanted) in [(300_000, 256), (150_000, 128)] {
        world.at_mut(3).limit(bits);
        world.run(ms(6000));
        assert_eq!(kbps(&world, 3), wanted);
        // The mantissa has 17 bits.
        assert!(
            world.at(3).limited.last().is_some_and(|l| bits - l < bits / 1000),
            "{:?}",
            world.at(3).limited
        );
        assert_eq!(world.at(3).received.stood(world.now - ms(6000), world.now), 0.0, "seamless");
    }
    world.at_mut(3).limit(50_000);
    world.run(ms(2000));
    let (pictures, sound) = (world.at(3).received.video_packets, world.at(3).received.audio_packets);
    world.run(ms(2000));
    assert_eq!(world.at(3).received.video_packets, pictures, "no picture any more");
    assert_eq!(world.at(3).received.audio_packets, sound + 100);
    world.at_mut(3).limit(2_000_000);
    assert!(world.run_until(ms(6000), |w| w.at(3).received.video_packets > pictures));
    world.run(ms(2000));
    assert_eq!(kbps(&world, 3), 768);
    let r = &world.at(3).received;
    assert_eq!((r.broken, r.gaps, r.back, r.ssrcs.len()), (0, 0, 0, 1));
    untouched(&world, &[1, 2]);
}

#[test]
fn encoders_are_bounded_and_the_nearest_lower_is_shared() {
    let mut world = World::configured(|config| config.max_encodings = 3);
    for i in 1..=8 {
        let mut e = Endpoint::new(i).no_camera();
        e.video.as_mut().unwrap().max_kbps = match i {
            1..=4 => None,
            5 => Some(600),
            6 => Some(300),
            7 => Some(220),
            _ => Some(80),
        };
        world.join(e);
    }
    world.show(Kind::Full, &[1]);
    assert!(world.run_until(ms(20_000), |w| w.totals.encoders == 3), "{}", world.totals.encoders);
    world.run(ms(12_000));
    assert_eq!(world.totals.encoders, 3);
    let width = |n: u64| world.statistics[&p(n)].send.width;
    assert_eq!((1..=4).map(width).collect::<Vec<_>>(), [640; 4], "the many keep theirs");
    assert!((1..=8).all(|n| !world.at(n).received.pictures.is_empty()));
    assert_eq!(width(8), 160);
    assert_eq!(width(6), width(7), "256 and 192 share");
}

#[test]
fn who_cannot_take_the_forwarded_rate_gets_the_encoded_view_and_nobody_else() {
    let mut world = World::forwarding();
    for i in 1..=3 {
        let mut e = Endpoint::new(i);
        e.moves = true;
        world.join(e);
    }
    world.show_to(vec![(1, Kind::Full, vec![1], vec![p(2), p(3)]), (2, Kind::Full, vec![2], vec![p(1)])]);
    world.run(ms(15_000));
    let kind = |w: &World, n: u64| w.statistics[&p(n)].send.kind;
    assert_eq!((kind(&world, 2), kind(&world, 3)), (VideoKind::Forwarded, VideoKind::Forwarded));
    world.at_mut(3).limit(110_000);
    world.run(ms(5000));
    assert_eq!((kind(&world, 2), kind(&world, 3)), (VideoKind::Forwarded, VideoKind::Encoded));
    for n in 1..=3 {
        let r = &world.at(n).received;
        assert_eq!((r.broken, r.gaps, r.back), (0, 0, 0), "{n}");
    }
}

#[test]
fn a_line_with_loss_of_its_own_keeps_its_rate_and_gets_packets_more_than_once() {
    for (nack, copies, least) in [(true, 2, 256), (false, 3, 192)] {
        let third = Endpoint::new(3);
        let third = if nack { third.with_nack() } else { third };
        let mut world = room_of(vec![Endpoint::new(1), Endpoint::new(2), third]);
        let lossy = Line { loss: cau_netem::Loss::Random(0.1), delay: ms(20), ..Line::default() };
        world.line(3, Line::default(), lossy, 5);
        world.run(ms(60_000));
        let send = world.statistics[&p(3)].send;
        assert_eq!(send.copies, copies, "NACK {nack}");
        assert!(send.kbps >= least, "NACK {nack}: {} kbit/s", send.kbps);
        assert_eq!(world.statistics[&p(1)].send.copies, 1);
        untouched(&world, &[1, 2]);
    }
}

fn tmmbr(n: u64) -> Endpoint {
    let mut e = Endpoint::new(n);
    e.video.as_mut().unwrap().feedback.tmmbr = true;
    e
}

#[test]
fn thrift_asks_only_who_is_unseen_and_sets_free_before_it_is_shown() {
    let mut world = World::configured(|config| config.thrift = true);
    (1..=3).for_each(|n| world.join(tmmbr(n)));
    world.join(Endpoint::new(4));
    let prepare = |scene: &mut Scene| scene.prepare = vec![p(2)];
    world.show_changed(Kind::Full, &[1], prepare);
    world.run(ms(20_000));
    assert_eq!(world.at(3).told.first(), Some(&128_000));
    assert!(world.at(1).told.is_empty() && world.at(2).told.is_empty(), "shown, prepared");
    assert!(world.at(4).told.is_empty(), "not negotiated");
    world.show_changed(Kind::Full, &[3], |_| {});
    world.run(ms(100));
    assert!(world.at(3).told.last().is_some_and(|bits| *bits > 5_000_000), "{:?}", world.at(3).told);
}

#[test]
fn without_the_setting_nobody_is_asked_for_less() {
    let mut world = World::new();
    (1..=2).for_each(|n| world.join(tmmbr(n)));
    world.show(Kind::Full, &[1]);
    world.run(ms(20_000));
    assert!(world.at(2).told.is_empty());
}

#[test]
fn repairs_of_their_own_stream_heal_both_ways() {
    let mut world = World::new();
    let mut sender = Endpoint::new(1).with_rtx();
    sender.lose_every = Some(15);
    sender.moves = true;
    world.join(sender);
    let mut viewer = Endpoint::new(2).with_rtx();
    viewer.miss_every = Some(20);
    world.join(viewer);
    world.show(Kind::Grid, &[1, 2]);
    world.run(ms(1000));
    let asked = world.at(1).asked;
    world.run(ms(10_000));
    assert!(world.at(1).repeated >= 15, "{} packets were asked for again", world.at(1).repeated);
    assert_eq!(world.at(1).asked, asked, "no key frame was needed");
    assert_eq!(world.totals.dropped_decode + world.totals.codec_errors, 0);
    assert!(world.at(2).repairs >= 10, "{}", world.at(2).repairs);
    assert_eq!(world.at(2).received.broken, 0, "every picture was whole");
    assert_eq!(world.at(2).received.ssrcs.len(), 1);
    assert_eq!(world.at(1).received.gaps, 0);
}

#[test]
fn small_decoders_and_thin_lines_are_two_things() {
    let mut world = World::new();
    let mut e = Endpoint::new(1);
    e.video.as_mut().unwrap().limits = Limits { max_fs: 99, max_mbps: 1485, max_kbps: 64 };
    world.join(e);
    let mut thin = Endpoint::new(2).codec(AudioCodec::Opus { fec: true }, 96);
    thin.video.as_mut().unwrap().max_kbps = Some(32);
    world.join(thin);
    world.show(Kind::Grid, &[1, 2]);
    world.run(ms(3000));
    assert!(world.at(1).received.video_packets > 30, "level 1 takes 64 kbit/s");
    assert_eq!(world.at(2).received.video_packets, 0, "a line of 64 kbit/s is for sound");
    assert!(world.at(2).received.audio_packets > 140);
    world.command(Command::FastUpdate { participant: p(2) });
    world.run(ms(500));
    assert_eq!(world.at(2).received.video_packets, 0);
}
