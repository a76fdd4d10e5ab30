//! Sites that are passed on: bit by bit to those who can take it, encoded for the others, and every change seamless.

use std::time::Instant;

use crate::common::{Endpoint, ROOM, World, ms, p};
use cau_mixer::{
    Command,
    command::{Limits, Mode},
    event::VideoKind,
};
use cau_model::{ParticipantId, layout::Kind};

const FULL: Kind = Kind::Full;

fn unbroken(world: &World) {
    assert_eq!(world.totals.stranded, 0);
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

/// Of the pictures `viewer` got since `from`, those that are `site`'s own, and all.
fn own(world: &World, viewer: u64, site: u64, from: Instant) -> (usize, usize) {
    let sent = &world.at(site).slices;
    let got: Vec<_> = world.at(viewer).received.slices.iter().filter(|(at, _)| *at > from).collect();
    (got.iter().filter(|(_, s)| s.iter().all(|h| sent.contains(h))).count(), got.len())
}

fn kind(world: &World, n: u64) -> VideoKind {
    world.statistics[&p(n)].send.kind
}

/// `n` sites; all but `site` see `site`, who sees the next.
fn show(world: &mut World, site: u64, n: u64) {
    let others: Vec<ParticipantId> = (1..=n).filter(|i| *i != site).map(p).collect();
    let next = site % n + 1;
    world.show_to(vec![(1, FULL, vec![site], others), (2, FULL, vec![next], vec![p(site)])]);
}

fn room(n: u64) -> World {
    let mut world = World::forwarding();
    for i in 1..=n {
        world.join(Endpoint::new(i));
    }
    show(&mut world, 1, n);
    world
}

#[test]
fn everybody_gets_the_speakers_own_pictures_and_nothing_is_decoded_or_encoded() {
    let mut world = room(4);
    assert!(world.run_until(ms(300), |w| (1..=4).all(|i| !w.at(i).received.pictures.is_empty())), "at once");
    world.run(ms(2000));
    assert!(world.run_until(ms(18_000), |w| w.totals.encoders == 0 && w.totals.decoders == 0));
    let from = world.now;
    world.run(ms(3000));
    for viewer in 2..=4 {
        let (own, all) = own(&world, viewer, 1, from);
        assert!(own == all && all >= 74, "{viewer}: {own} of {all}");
        assert_eq!(kind(&world, viewer), VideoKind::Forwarded);
        assert_eq!(world.statistics[&p(viewer)].send.width, 320);
        assert_eq!(world.at(viewer).received.csrc, [world.at(1).video_ssrc().unwrap()]);
    }
    assert_eq!(own(&world, 1, 2, from), (75, 75), "the speaker sees another, passed on, too");
    unbroken(&world);
}

#[test]
fn a_change_of_speaker_and_back_is_seamless_and_fast() {
    let mut world = room(4);
    world.run(ms(15_000));
    for speaker in [3, 1, 4, 1, 2, 1] {
        let before = world.now;
        show(&mut world, speaker, 4);
        let viewers: Vec<u64> = (1..=4).filter(|i| *i != speaker).collect();
        let shown = |w: &World| viewers.iter().all(|v| own(w, *v, speaker, before).0 > 0);
        assert!(world.run_until(ms(300), shown), "{speaker} within 300 ms");
        // The old picture ran until the new one's key frame was there.
        for v in &viewers {
            let times: Vec<_> = world
                .at(*v)
                .received
                .slices
                .iter()
                .map(|(at, _)| *at)
                .filter(|at| *at >= before - ms(100))
                .collect();
            let gap = times.windows(2).map(|t| t[1] - t[0]).max().unwrap();
            assert!(gap <= ms(100), "{v}: {gap:?} without a picture");
        }
        world.run(ms(1500));
        assert_eq!(world.totals.encoders, 0);
    }
    unbroken(&world);
}

#[test]
fn who_cannot_take_it_gets_an_encoded_view_while_the_others_go_on() {
    let mut world = room(3);
    world.run(ms(5000));
    let mut small = Endpoint::new(4);
    small.video.as_mut().unwrap().limits = Limits { max_fs: 99, max_mbps: 1485, max_kbps: 64 };
    world.join(small);
    show(&mut world, 1, 4);
    world.run(ms(15_000));
    let from = world.now;
    world.run(ms(2000));
    assert_eq!(own(&world, 2, 1, from), (50, 50));
    assert_eq!(own(&world, 4, 1, from).0, 0);
    assert_eq!((kind(&world, 2), kind(&world, 4)), (VideoKind::Forwarded, VideoKind::Encoded));
    assert_eq!((world.totals.encoders, world.totals.decoders), (1, 1));
    unbroken(&world);
}

#[test]
fn a_device_of_mode_0_gets_what_fits_its_packets() {
    let mut world = World::forwarding();
    world.join(Endpoint::new(1).mode(Mode::Single));
    world.join(Endpoint::new(2).mode(Mode::Single));
    show(&mut world, 1, 2);
    world.run(ms(15_000));
    let from = world.now;
    world.run(ms(2000));
    assert_eq!(own(&world, 2, 1, from), (50, 50));
    assert_eq!(world.at(2).received.fragments, 0);
    unbroken(&world);
}

#[test]
fn who_joins_sees_something_at_once_and_is_passed_on_to_later_at_the_price_of_one_key_frame() {
    let mut world = room(3);
    world.run(ms(15_000));
    let (before, asked) = (world.at(2).received.keys.len(), world.at(1).asked);
    for i in 4..=6 {
        world.join(Endpoint::new(i).no_camera());
        show(&mut world, 1, 6);
        let joined = world.now;
        assert!(
            world.run_until(ms(150), |w| !w.at(i).received.pictures.is_empty()),
            "{i} sees something at once"
        );
        let _ = joined;
        world.run(ms(400));
    }
    assert!(world.run_until(ms(20_000), |w| w.totals.encoders == 0), "all are passed on to");
    world.run(ms(1500));
    for i in 4..=6 {
        assert_eq!(kind(&world, i), VideoKind::Forwarded);
    }
    let keys = world.at(2).received.keys.len() - before;
    assert!(
        keys <= 3,
        "three joins cost those who were there {keys} key frames, the source {} requests",
        world.at(1).asked - asked
    );
    unbroken(&world);
}

#[test]
fn a_receiver_that_asks_again_and_again_is_served_apart_and_costs_the_others_next_to_nothing() {
    let mut world = room(4);
    world.run(ms(15_000));
    let before = world.at(2).received.keys.len();
    for _ in 0..50 {
        world.at_mut(4).pli();
        world.run(ms(200));
    }
    assert_eq!(kind(&world, 4), VideoKind::Encoded);
    let keys = world.at(2).received.keys.len() - before;
    assert!(keys <= 3, "50 requests of one cost the others {keys} key frames");
    assert_eq!(kind(&world, 2), VideoKind::Forwarded);
    unbroken(&world);
}

#[test]
fn under_pressure_who_is_passed_on_to_stays_so_and_nothing_is_encoded_for_him() {
    let mut world = room(4);
    world.run(ms(15_000));
    // Every second tick of sound comes 20 ms late.
    world.grain = ms(40);
    world.run(ms(200));
    for _ in 0..50 {
        world.at_mut(4).pli();
        world.run(ms(200));
        assert_eq!((world.totals.encoders, world.totals.decoders), (0, 0));
    }
    assert_eq!(kind(&world, 4), VideoKind::Forwarded);
    assert_eq!(world.totals.stranded, 0);
    // When that is over, he is served apart like anybody who asks that often.
    world.grain = ms(10);
    world.run(ms(6000));
    for _ in 0..50 {
        world.at_mut(4).pli();
        world.run(ms(200));
    }
    assert_eq!((kind(&world, 4), kind(&world, 2)), (VideoKind::Encoded, VideoKind::Forwarded));
}

#[test]
fn a_site_that_sends_no_key_frame_when_asked_is_encoded() {
    let mut world = room(3);
    world.at_mut(2).obeys = false;
    world.run(ms(15_000));
    let from = world.now;
    show(&mut world, 2, 3);
    world.run(ms(6000));
    // It has never been decoded since its only key frame: nobody can show it, but the others' picture of before goes on or a card stands.
    for viewer in [1, 3] {
        let (_, all) = own(&world, viewer, 2, from);
        assert!(all > 20, "{viewer} gets pictures: {all}");
    }
    world.at_mut(2).obeys = true;
    let healed =
        world.run_until(ms(25_000), |w| kind(w, 1) == VideoKind::Forwarded && own(w, 1, 2, from).0 > 50);
    assert!(healed, "once it obeys it is passed on");
    unbroken(&world);
}

#[test]
fn loss_on_the_way_in_heals_by_a_key_frame_and_receivers_miss_nothing() {
    let mut world = room(3);
    world.run(ms(15_000));
    world.at_mut(1).lose_every = Some(40);
    world.run(ms(4000));
    world.at_mut(1).lose_every = None;
    world.run(ms(3000));
    let from = world.now;
    world.run(ms(2000));
    assert_eq!(own(&world, 2, 1, from), (50, 50));
    assert_eq!(world.at(2).received.gaps, 0, "the picture before stood until the key frame");
    assert_eq!(world.at(2).received.back, 0);
    assert!(world.at(1).asked > 0);
}

#[test]
fn when_the_site_goes_its_watchers_get_an_encoded_view() {
    let mut world = room(3);
    world.run(ms(15_000));
    world.leave(p(1));
    world.command(Command::Scenes { conference: ROOM, scenes: Vec::new() });
    world.show_to(vec![(1, FULL, vec![2], vec![p(3)]), (2, FULL, vec![3], vec![p(2)])]);
    world.run(ms(3000));
    let from = world.now;
    world.run(ms(1000));
    assert!(own(&world, 3, 2, from).1 >= 20 && own(&world, 2, 3, from).1 >= 20);
    unbroken(&world);
}
