//! Pictures through the mixer: who is where, who pays for whom, and that nothing ever breaks.

use crate::common::{
    CANVAS, Endpoint, World,
    endpoint::{at, is},
    ms, p,
};
use cau_codec::video::Colour;
use cau_mixer::{Command, Event, command::Mode, event::VideoKind};
use cau_model::{layout::Kind, scene::SceneId};

const TWO: Kind = Kind::Equal { cols: 2, rows: 1 };

/// Middle of a tile of the layout.
fn middle(kind: Kind, sites: usize, seat: usize) -> (u32, u32) {
    let r = cau_model::layout::tiles(kind, sites, CANVAS)[seat];
    (r.x + r.w / 2, r.y + r.h / 2)
}

fn shows(world: &World, viewer: u64, kind: Kind, sites: &[u64]) -> bool {
    sites.iter().enumerate().all(|(seat, site)| {
        let (x, y) = middle(kind, sites.len(), seat);
        world.at(viewer).seen(x, y).is_some_and(|c| is(c, world.at(*site).colour()))
    })
}

fn unbroken(world: &World) {
    assert_eq!(world.totals.stranded, 0, "nobody may need to be brought in anew");
    for (participant, e) in &world.endpoints {
        let r = &e.received;
        assert_eq!(
            (r.broken, r.gaps, r.back),
            (0, 0, 0),
            "{participant}: broken pictures, gaps, time going back"
        );
        assert!(r.ssrcs.len() <= 1, "{participant}: SSRC changed");
    }
}

/// `n` sites that see each other in a grid, running for 3 s.
fn grid(n: u64) -> World {
    let mut world = World::new();
    for i in 1..=n {
        world.join(Endpoint::new(i));
    }
    let sites: Vec<_> = (1..=n).collect();
    world.show(Kind::Grid, &sites);
    world.run(ms(3000));
    world
}

#[test]
fn two_sites_see_each_other_in_the_right_tile() {
    let mut world = World::new();
    world.join(Endpoint::new(1));
    world.join(Endpoint::new(2));
    world.show(TWO, &[1, 2]);
    assert!(world.run_until(ms(500), |w| shows(w, 1, TWO, &[1, 2]) && shows(w, 2, TWO, &[1, 2])));
    world.show(TWO, &[2, 1]);
    assert!(world.run_until(ms(100), |w| shows(w, 1, TWO, &[2, 1]) && shows(w, 2, TWO, &[2, 1])));
    world.run(ms(2000));
    unbroken(&world);
    assert_eq!(world.totals.encoders, 1, "one view, one encoder");
    assert_eq!(world.totals.decoders, 2);
    let seen = world.at(1).received.csrc.clone();
    assert_eq!(seen, [2, 1].map(|n| world.at(n).video_ssrc().unwrap()), "CSRCs name who is shown");
    let s = &world.statistics[&p(1)];
    assert_eq!((s.send.kind, s.send.width, s.send.height), (VideoKind::Encoded, CANVAS.0, CANVAS.1));
    let v = s.video.expect("comes in");
    assert_eq!((v.width, v.height, v.visible), (320, 180, true));
    assert!((23.0..27.0).contains(&v.fps) && s.send.fps > 28.0, "{} {}", v.fps, s.send.fps);
}

#[test]
fn who_joins_has_a_picture_at_once_and_the_others_get_no_key_frame_for_it() {
    let mut world = grid(3);
    world.run(ms(2500));
    let before: Vec<_> = (1..=3).map(|i| world.at(i).received.keys.len()).collect();
    world.join(Endpoint::new(4));
    world.show(Kind::Grid, &[1, 2, 3, 4]);
    let joined = world.now;
    assert!(world.run_until(ms(100), |w| !w.at(4).received.pictures.is_empty()), "first picture");
    assert!(world.at(4).received.keys[0] - joined <= ms(50), "within a picture's time");
    world.run(ms(1500));
    let after: Vec<_> = (1..=3).map(|i| world.at(i).received.keys.len()).collect();
    assert_eq!(before, after);
    assert_eq!(world.totals.encoders, 2, "catch-up beside the common one");
    assert!(world.run_until(ms(11_000), |w| w.totals.encoders == 1), "and back to one");
    let after: Vec<_> = (1..=3).map(|i| world.at(i).received.keys.len()).collect();
    assert!(
        after.iter().zip(&before).all(|(a, b)| a - b == 1),
        "one key frame for the merging: {before:?} {after:?}"
    );
    assert!(shows(&world, 4, Kind::Grid, &[1, 2, 3, 4]));
    unbroken(&world);
}

#[test]
fn many_who_join_together_share_one_catch_up_encoder() {
    let mut world = grid(1);
    world.run(ms(3000));
    for i in 2..=6 {
        world.join(Endpoint::new(i).no_camera());
    }
    world.show(Kind::Full, &[1]);
    let most = std::cell::Cell::new(0);
    world.run_until(ms(14_000), |w| {
        most.set(most.get().max(w.totals.encoders));
        false
    });
    assert_eq!(most.get(), 2);
    assert_eq!(world.totals.encoders, 1);
    for i in 2..=6 {
        assert!(shows(&world, i, Kind::Full, &[1]));
    }
    unbroken(&world);
}

#[test]
fn a_join_within_a_second_of_a_key_frame_is_replayed_without_another_encoder() {
    let mut world = World::new();
    world.join(Endpoint::new(1));
    world.show(Kind::Full, &[1]);
    world.run(ms(400));
    world.join(Endpoint::new(2).no_camera());
    world.show(Kind::Full, &[1]);
    world.run(ms(100));
    assert_eq!(world.at(2).received.keys.len(), 1);
    assert!(shows(&world, 2, Kind::Full, &[1]));
    assert_eq!(world.at(1).received.keys.len(), 1);
    world.run(ms(1000));
    assert_eq!(world.totals.encoders, 1);
    unbroken(&world);
}

#[test]
fn a_storm_of_requests_costs_two_encoders_and_a_key_frame_per_second() {
    let mut world = grid(4);
    world.run(ms(8000));
    let before: Vec<_> = (1..=4).map(|i| world.at(i).received.keys.len()).collect();
    let mut most = 0;
    for _ in 0..100 {
        for i in 1..=3 {
            world.at_mut(i).pli();
        }
        world.run(ms(50));
        most = most.max(world.totals.encoders);
    }
    for i in 1..=3 {
        let keys = world.at(i).received.keys.len() - before[i as usize - 1];
        assert!((3..=8).contains(&keys), "{keys} key frames in 5 s of asking 20 times a second");
    }
    let quiet = world.at(4).received.keys.len() - before[3];
    assert!(quiet <= 1, "who did not ask pays once in 10 s at most: {quiet}");
    assert!(most <= 2);
    unbroken(&world);
}

#[test]
fn one_receiver_alone_gets_the_key_frame_he_asks_for() {
    let mut world = World::new();
    world.join(Endpoint::new(1));
    world.show(Kind::Full, &[1]);
    world.run(ms(5000));
    let before = world.at(1).received.keys.len();
    world.at_mut(1).pli();
    world.run(ms(150));
    assert_eq!(world.at(1).received.keys.len(), before + 1);
    world.command(Command::FastUpdate { participant: p(1) });
    world.run(ms(1200));
    assert_eq!(world.at(1).received.keys.len(), before + 2, "INFO as well");
    assert_eq!(world.totals.encoders, 1);
}

#[test]
fn mode_0_and_mode_1_share_an_encoder_with_small_nal_units() {
    let mut world = World::new();
    world.join(Endpoint::new(1));
    world.join(Endpoint::new(2).mode(Mode::Single));
    world.show(TWO, &[1, 2]);
    world.run(ms(14_000));
    assert_eq!(world.totals.encoders, 1, "merged");
    for i in 1..=2 {
        assert!(shows(&world, i, TWO, &[1, 2]));
        assert!(world.at(i).received.largest <= 1220);
    }
    assert_eq!(world.at(2).received.fragments, 0, "mode 0 knows no fragments");
    unbroken(&world);
}

#[test]
fn who_needs_small_nal_units_and_comes_right_after_one_who_does_not_has_a_picture_at_once() {
    let mut world = World::new();
    world.join(Endpoint::new(1));
    world.show(TWO, &[1, 2]);
    world.run(ms(2500));
    for (n, mode) in
        [(2, Mode::NonInterleaved), (3, Mode::Single), (4, Mode::Single), (5, Mode::NonInterleaved)]
    {
        world.join(Endpoint::new(n).mode(mode));
        world.show(TWO, &[1, 2]);
        assert!(world.run_until(ms(200), |w| !w.at(n).received.pictures.is_empty()), "{n} has no picture");
        world.run(ms(100));
    }
    world.run(ms(3000));
    for n in [3, 4] {
        assert_eq!(world.at(n).received.fragments, 0, "mode 0 knows no fragments");
    }
    assert_eq!(world.totals.stranded, 0);
    unbroken(&world);
}

#[test]
fn a_site_that_comes_late_is_a_card_first_and_a_picture_then() {
    let mut world = World::new();
    world.join(Endpoint::new(1));
    world.join(Endpoint::new(2).no_camera());
    world.show(TWO, &[1, 2]);
    world.run(ms(1500));
    let (x, y) = middle(TWO, 2, 1);
    let right = cau_model::layout::tiles(TWO, 2, CANVAS)[1];
    let corner = world.at(1).seen(x, right.y + 6).expect("a picture");
    assert!(!is(corner, world.at(2).colour()) && corner.0 > 20, "a card, and not black: {corner:?}");
    assert!(shows(&world, 1, Kind::Equal { cols: 2, rows: 1 }, &[1]), "the other is there meanwhile");
    world.at_mut(2).camera = true;
    assert!(world.run_until(ms(300), |w| shows(w, 1, TWO, &[1, 2])));
    assert!(
        !told(&world, Event::VideoBack { participant: p(2) }),
        "a first picture is nothing to be told of"
    );
    world.at_mut(2).camera = false;
    assert!(
        world.run_until(ms(3500), |w| w.at(1).seen(x, y).is_some_and(|c| !is(c, w.at(2).colour()))),
        "a card again when it stops"
    );
    assert!(told(&world, Event::VideoLost { participant: p(2) }));
    world.at_mut(2).camera = true;
    assert!(world.run_until(ms(2000), |w| shows(w, 1, TWO, &[1, 2])));
    assert!(told(&world, Event::VideoBack { participant: p(2) }));
    unbroken(&world);
}

fn told(world: &World, event: Event) -> bool {
    world.events.iter().any(|(_, e)| *e == event)
}

#[test]
fn a_change_of_scene_never_shows_anything_but_the_old_and_the_new() {
    let mut world = World::new();
    for i in 1..=3 {
        world.join(Endpoint::new(i));
    }
    world.show(Kind::Full, &[1]);
    world.run(ms(4000));
    for i in 1..=3 {
        world.at_mut(i).received.keep_all();
    }
    let keys = world.at(3).received.keys.len();
    for site in [2, 1, 3, 2, 1] {
        world.show(Kind::Full, &[site]);
        let asked = world.now;
        assert!(world.run_until(ms(700), |w| shows(w, 1, Kind::Full, &[site])), "site {site}");
        assert!(world.now - asked <= ms(200), "site {site} hidden before: {:?}", world.now - asked);
        world.run(ms(1500));
    }
    let colours: Vec<Colour> = (1..=3).map(|i| world.at(i).colour()).collect();
    for viewer in 1..=3 {
        for (when, picture) in &world.at(viewer).received.pictures {
            for (x, y) in [(20, 20), (320, 180), (600, 340)] {
                let seen = at(picture, x, y);
                assert!(
                    colours.iter().any(|c| is(seen, *c)),
                    "{seen:?} at {x},{y} for {viewer} after {:?}",
                    *when - world.start
                );
            }
        }
    }
    assert_eq!(world.at(3).received.keys.len(), keys, "a new scene costs no key frame");
    world.run(ms(1000));
    assert_eq!(world.totals.decoders, 1, "only who is seen is decoded");
    unbroken(&world);
}

#[test]
fn the_speaker_sees_the_one_before_and_moving_between_views_breaks_nothing() {
    let mut world = World::new();
    for i in 1..=4 {
        world.join(Endpoint::new(i));
    }
    let speak = |world: &mut World, speaker: u64, previous: u64| {
        let others = (1..=4).filter(|i| *i != speaker).map(p).collect();
        world.show_to(vec![
            (1, Kind::Full, vec![speaker], others),
            (2, Kind::Full, vec![previous], vec![p(speaker)]),
        ]);
    };
    speak(&mut world, 1, 2);
    world.run(ms(3000));
    for i in 1..=4 {
        world.at_mut(i).received.keep_all();
    }
    for (speaker, previous) in [(2, 1), (3, 2), (1, 3), (4, 1)] {
        speak(&mut world, speaker, previous);
        world.run(ms(1700));
        for i in 1..=4 {
            let sees = if i == speaker { previous } else { speaker };
            assert!(shows(&world, i, Kind::Full, &[sees]), "{i} sees {sees}");
        }
    }
    let colours: Vec<Colour> = (1..=4).map(|i| world.at(i).colour()).collect();
    for viewer in 1..=4 {
        assert!(
            world
                .at(viewer)
                .received
                .pictures
                .iter()
                .all(|(_, p)| colours.iter().any(|c| is(at(p, 320, 180), *c))),
            "no black, no card"
        );
    }
    unbroken(&world);
}

#[test]
fn a_source_that_changes_ssrc_in_mid_call_is_seen_on() {
    let mut world = grid(2);
    world.at_mut(2).change_ssrc();
    world.run(ms(1000));
    assert!(shows(&world, 1, Kind::Grid, &[1, 2]));
    let ssrc = world.at(2).video_ssrc().unwrap();
    assert!(world.at(1).received.csrc.contains(&ssrc), "and named by its new one");
    unbroken(&world);
}

#[test]
fn a_source_that_changes_size_in_mid_call_is_seen_on() {
    let mut world = grid(2);
    for size in [(640, 360), (176, 144), (360, 640)] {
        world.at_mut(2).change_size(size);
        world.run(ms(1200));
        assert!(shows(&world, 1, Kind::Grid, &[1, 2]), "{size:?}");
        let v = world.statistics[&p(2)].video.unwrap();
        assert_eq!((v.width, v.height), size);
    }
    unbroken(&world);
}

#[test]
fn loss_on_the_way_in_is_asked_about_and_heals() {
    let mut world = grid(2);
    let asked = world.at(2).asked;
    world.at_mut(2).lose_every = Some(10);
    world.run(ms(3000));
    world.at_mut(2).lose_every = None;
    let times = world.at(2).asked - asked;
    assert!((1..=8).contains(&times), "asked {times} times");
    assert!(world.statistics[&p(2)].loss > 0.01);
    world.run(ms(2500));
    assert!(shows(&world, 1, Kind::Grid, &[1, 2]));
    assert_eq!(world.statistics[&p(2)].loss, 0.0);
    unbroken(&world);
}

#[test]
fn a_hidden_site_is_not_decoded_and_its_card_stands_there() {
    let mut world = grid(2);
    world.command(Command::Sound {
        participant: p(2),
        muted: false,
        deafened: false,
        volume_db: 0.0,
        hidden: true,
    });
    world.run(ms(1500));
    let (x, y) = middle(Kind::Grid, 2, 1);
    assert!(world.at(1).seen(x, y).is_some_and(|c| !is(c, world.at(2).colour())));
    world.run(ms(1000));
    assert_eq!(world.totals.decoders, 1);
    world.command(Command::Sound {
        participant: p(2),
        muted: false,
        deafened: false,
        volume_db: 0.0,
        hidden: false,
    });
    assert!(world.run_until(ms(200), |w| shows(w, 1, Kind::Grid, &[1, 2])));
    unbroken(&world);
}

#[test]
fn a_device_that_never_sends_another_key_frame_is_seen_again_after_it_was_hidden() {
    let mut world = grid(3);
    for n in 1..=2 {
        world.at_mut(n).obeys = n == 1;
    }
    let asked = world.at(2).asked;
    world.show(Kind::Full, &[1]);
    world.run(ms(15_000));
    assert!(world.statistics[&p(2)].video.as_ref().is_some_and(|v| !v.visible));
    assert_eq!(world.totals.decoders, 2, "of the one seen, and of the one that does not answer");
    assert!((1..=12).contains(&(world.at(2).asked - asked)), "asked {} times", world.at(2).asked - asked);
    world.show(Kind::Full, &[2]);
    world.run(ms(300));
    assert!(shows(&world, 1, Kind::Full, &[2]), "at once");
    assert!(world.run_until(ms(4000), |w| w.totals.decoders == 2), "it stays decoded");
    unbroken(&world);
}

#[test]
fn a_still_view_falls_to_five_pictures_a_second_and_a_key_frame_comes_all_the_same() {
    let mut world = World::new();
    world.join(Endpoint::new(1).no_camera());
    world.show(Kind::Full, &[1]);
    world.run(ms(4000));
    let fps = world.statistics[&p(1)].send.fps;
    assert!((4.0..=6.5).contains(&fps), "{fps}");
    let keys = world.at(1).received.keys.len();
    world.at_mut(1).pli();
    world.run(ms(300));
    assert_eq!(world.at(1).received.keys.len(), keys + 1);
    unbroken(&world);
}

#[test]
fn jobs_that_never_run_fill_no_memory_and_hurt_no_sound() {
    let mut world = World::deferred();
    for i in 1..=3 {
        world.join(Endpoint::new(i).tone(400.0 + 100.0 * i as f32));
    }
    world.show(Kind::Grid, &[1, 2, 3]);
    world.run(ms(5000));
    let waiting = world.queue.as_ref().unwrap().lock().unwrap().len();
    assert!(waiting <= 3 + 2, "each object once: {waiting}");
    assert!(world.totals.skipped_compose > 100 && world.totals.dropped_decode > 100);
    for i in 1..=3 {
        let r = &world.at(i).received;
        assert!(r.audio_packets >= 245 && r.video_packets == 0);
        assert_eq!((r.gaps, r.odd), (0, 0));
    }
    // And when there is time again, pictures come again.
    for _ in 0..200 {
        world.step();
        world.run_jobs();
    }
    assert!(shows(&world, 1, Kind::Grid, &[1, 2, 3]));
    unbroken(&world);
}

#[test]
fn who_asks_while_the_catch_up_encoder_is_slow_to_start_does_not_lose_the_picture() {
    let mut world = World::deferred();
    for i in 1..=3 {
        world.join(Endpoint::new(i));
    }
    world.show(Kind::Grid, &[1, 2, 3]);
    let in_time = |world: &mut World, steps: usize| {
        for _ in 0..steps {
            world.step();
            while world.run_jobs() > 0 {}
        }
    };
    in_time(&mut world, 250);
    // A key frame for one alone; its encoder is not run before the room has been looked after several times.
    world.at_mut(2).pli();
    world.run(ms(100));
    in_time(&mut world, 50);
    world.at_mut(2).received.keep_all();
    let before = world.at(2).received.pictures.len();
    in_time(&mut world, 100);
    let came = world.at(2).received.pictures.len() - before;
    assert!(came > 25, "{came} pictures in a second");
    unbroken(&world);
}

#[test]
fn when_everybody_has_left_nothing_is_left() {
    let mut world = grid(3);
    world.leave(p(2));
    world.show(Kind::Grid, &[1, 3]);
    assert!(world.run_until(ms(300), |w| shows(w, 1, Kind::Grid, &[1, 3])));
    let bye = world.at(1).bye;
    assert_eq!(bye, 0);
    world.command(Command::RemoveLeg { participant: p(1) });
    assert_eq!(world.at(1).bye, 2, "one per medium");
    world.command(Command::CloseConference { id: crate::common::ROOM });
    assert_eq!(world.at(3).bye, 2);
    world.transmits = 0;
    world.run(ms(2500));
    assert_eq!(world.transmits, 0);
    let t = world.totals;
    assert_eq!((t.conferences, t.legs, t.decoders, t.encoders), (0, 0, 0, 0));
    assert!(world.worker.poll_timeout().unwrap() > world.now + ms(100), "nothing to do but the report");
}

#[test]
fn a_preview_of_a_hidden_site_comes_within_a_second_and_its_decoder_goes() {
    let mut world = grid(2);
    world.show(Kind::Full, &[1]);
    world.run(ms(2000));
    assert_eq!(world.totals.decoders, 1);
    let (reply, answer) = crossbeam_channel::bounded(1);
    world.command(Command::Preview { participant: p(2), seen: false, reply: reply.into() });
    assert!(world.run_until(ms(1000), |_| !answer.is_empty()));
    let jpeg = answer.recv().unwrap().expect("a picture");
    assert_eq!(&jpeg[..3], [0xff, 0xd8, 0xff]);
    world.run(ms(2500));
    assert_eq!(world.totals.decoders, 1);
    let (reply, answer) = crossbeam_channel::bounded(1);
    world.command(Command::Preview { participant: p(2), seen: true, reply: reply.into() });
    assert!(answer.try_recv().unwrap().is_some(), "what it sees");
    world.at_mut(2).camera = false;
    world.run(ms(4000));
    let (reply, answer) = crossbeam_channel::bounded(1);
    world.command(Command::Preview { participant: p(2), seen: false, reply: reply.into() });
    world.run(ms(1100));
    assert_eq!(answer.try_recv(), Ok(None), "no picture to be had");
    let (reply, answer) = crossbeam_channel::bounded(1);
    world.command(Command::Preview { participant: p(9), seen: false, reply: reply.into() });
    assert_eq!(answer.try_recv(), Ok(None), "nobody");
    let _ = SceneId(0);
}
