//! Legs that join this mixer with another: sites named on their way up, and one leg that stands for several sites in turn.

use crate::common::{Endpoint, ROOM, World, ms, p};
use cau_mixer::{Command, Event, event::Progress};
use cau_model::layout::Kind;

const A: u32 = 0xaaaa_0001;
const B: u32 = 0xbbbb_0002;

fn passed(world: &World) -> Vec<(u64, u32)> {
    let passed = |event: &Event| match event {
        Event::Passed { participant, csrc } => Some((participant.0, *csrc)),
        _ => None,
    };
    world.events.iter().filter_map(|(_, event)| passed(event)).collect()
}

/// Sites 1 and 2; 3 is the call of a slot.
fn slave(mut world: World) -> World {
    for n in 1..=3 {
        world.join(Endpoint::new(n));
    }
    world.show(Kind::Full, &[1]);
    world.run(ms(4_000));
    world
}

fn route(world: &mut World, site: u64, csrc: u32) {
    world.command(Command::Name { participant: p(site), csrc: Some(csrc) });
    world.command(Command::Await { participant: p(3), site: p(site), csrc });
    world.show_to(vec![(1, Kind::Full, vec![1], vec![p(1), p(2)]), (2, Kind::Full, vec![site], vec![p(3)])]);
}

/// Passed on or encoded: what goes up is named, it is told when the first key frame has gone, once, and the change is seamless.
#[test]
fn what_goes_up_in_a_slot_is_named_and_told() {
    for world in [World::forwarding(), World::new()] {
        let mut world = slave(world);
        for (site, csrc) in [(2, B), (1, A), (2, B)] {
            world.events.clear();
            route(&mut world, site, csrc);
            assert!(world.run_until(ms(500), |w| passed(w) == [(3, csrc)]), "{:?}", passed(&world));
            world.run(ms(3_000));
            assert_eq!(passed(&world), [(3, csrc)], "once");
            assert_eq!(world.at(3).received.csrc, [csrc]);
        }
        let r = &world.at(3).received;
        assert_eq!((r.broken, r.gaps, r.back), (0, 0, 0));
    }
}

/// A site below may be quicker than the order on its way here: on a short line, on a busy machine.
#[test]
fn a_key_frame_that_went_before_it_was_waited_for_counts() {
    let mut world = World::forwarding();
    for n in 1..=3 {
        world.join(Endpoint::new(n));
    }
    world.at_mut(2).stand_for(A);
    world.command(Command::Expect { participant: p(2), csrc: Some(A) });
    world.show_to(vec![(1, Kind::Full, vec![1], vec![p(1), p(2)]), (2, Kind::Full, vec![2], vec![p(3)])]);
    world.run(ms(4_000));
    assert_eq!(world.at(3).received.csrc, [A]);
    world.events.clear();
    world.command(Command::Await { participant: p(3), site: p(2), csrc: B });
    world.run(ms(500));
    assert_eq!(passed(&world), [], "that of somebody else does not");
    let asked = world.at(2).asked;
    world.command(Command::Await { participant: p(3), site: p(2), csrc: A });
    assert!(world.run_until(ms(100), |w| passed(w) == [(3, A)]), "{:?}", passed(&world));
    assert_eq!(world.at(2).asked, asked, "and the site is not asked for another");
}

/// A leg that stands for one site at a time: only what was asked for is taken, and what was there goes on until it comes.
#[test]
fn of_a_slot_only_what_was_asked_for_is_taken() {
    let mut world = World::forwarding();
    for n in 1..=2 {
        world.join(Endpoint::new(n).tone(400.0 + 100.0 * n as f32));
    }
    world.at_mut(2).stand_for(A);
    world.command(Command::Expect { participant: p(2), csrc: None });
    world.show_to(vec![(1, Kind::Full, vec![2], vec![p(1)])]);
    world.run(ms(3_000));
    let own = |w: &World| {
        let sent = &w.at(2).slices;
        w.at(1).received.slices.iter().filter(|(_, s)| s.iter().all(|h| sent.contains(h))).count()
    };
    let named = |w: &World| w.at(1).received.csrc.clone();
    assert_eq!(named(&world), [0u32; 0], "nobody has asked for anything");
    assert!(world.totals.dropped_unexpected > 50, "{}", world.totals.dropped_unexpected);

    world.events.clear();
    let viewers = vec![p(1)];
    world.command(Command::BringUp { operation: 9, conference: ROOM, site: p(2), viewers, csrc: Some(B) });
    world.command(Command::Expect { participant: p(2), csrc: Some(B) });
    world.run(ms(2_000));
    let told = |w: &World| {
        let of = |event: &Event| match event {
            Event::BringUp { progress, .. } if *progress != Progress::Heard => Some(*progress),
            _ => None,
        };
        w.events.iter().filter_map(|(_, event)| of(event)).collect::<Vec<_>>()
    };
    assert_eq!((named(&world), told(&world)), (vec![], vec![]), "what comes is somebody else's");
    world.at_mut(2).stand_for(B);
    let sent = Progress::Sent { viewer: p(1), reports: true };
    assert!(world.run_until(ms(3_000), |w| told(w).contains(&sent)), "{:?}", told(&world));
    world.run(ms(6_000));
    assert!(own(&world) > 50, "{}", own(&world));
    assert_eq!(named(&world), [B]);
    let r = &world.at(1).received;
    assert_eq!((r.broken, r.gaps, r.back), (0, 0, 0));
}
