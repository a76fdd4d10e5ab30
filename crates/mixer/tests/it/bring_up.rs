//! Bringing a site up: what is told of it, and when.

use crate::common::{Endpoint, ROOM, World, endpoint::is, ms, p};
use cau_mixer::{Command, Event, event::Progress};
use cau_model::layout::Kind;

/// Sites 1 to 3, of which everybody sees 1 full screen; nobody sees 2 and 3.
fn meeting() -> World {
    let mut world = World::new();
    for n in 1..=3 {
        world.join(Endpoint::new(n).tone(400.0 + 100.0 * n as f32));
    }
    world.show(Kind::Full, &[1]);
    world.run(ms(6_500));
    world.events.clear();
    world
}

fn bring_up(world: &mut World, site: u64, viewers: &[u64]) {
    let viewers = viewers.iter().map(|v| p(*v)).collect();
    world.command(Command::BringUp { operation: 9, conference: ROOM, site: p(site), viewers, csrc: None });
}

/// 3 full screen to 1, everybody else as before.
fn show_three_to_one(world: &mut World) {
    world.show_to(vec![(1, Kind::Full, vec![1], vec![p(2), p(3)]), (2, Kind::Full, vec![3], vec![p(1)])]);
}

fn told(world: &World) -> Vec<Progress> {
    let told = world.events.iter().filter_map(|(_, event)| match event {
        Event::BringUp { operation, progress } => {
            assert_eq!(*operation, 9);
            Some(*progress)
        }
        _ => None,
    });
    told.collect()
}

#[test]
fn the_picture_is_ready_before_the_layout_changes_and_covered_when_the_viewer_reports() {
    let mut world = meeting();
    assert_eq!(world.totals.decoders, 1, "nobody looks at 3");
    let begun = world.now;
    bring_up(&mut world, 3, &[1]);
    assert!(world.run_until(ms(300), |w| told(w).contains(&Progress::KeyFrame)), "asked for at once");
    assert!(world.run_until(ms(100), |w| told(w).contains(&Progress::Heard)));
    world.run(ms(1_000));
    assert!(!told(&world).iter().any(|p| matches!(p, Progress::Sent { .. })), "nobody sees it yet");
    show_three_to_one(&mut world);
    let sent = Progress::Sent { viewer: p(1), reports: true };
    assert!(world.run_until(ms(200), |w| told(w).contains(&sent)), "{:?}", told(&world));
    let colour = world.at(3).colour();
    assert!(is(world.at(1).seen(320, 180).unwrap(), colour), "what was sent shows it");
    assert!(world.at(1).received.keys.last().is_some_and(|at| *at > begun));
    let covered = Progress::Covered { viewer: p(1) };
    assert!(world.run_until(ms(8_000), |w| told(w).contains(&covered)), "{:?}", told(&world));
    world.run(ms(8_000));
    let told = told(&world);
    // Picture and sound are two ways: either may be ready first.
    assert!(told[..2].contains(&Progress::KeyFrame) && told[..2].contains(&Progress::Heard), "{told:?}");
    assert_eq!(told[2..], [sent, covered], "each once");
    world.command(Command::EndBringUp { operation: 9, conference: ROOM });
    assert_eq!(world.at(1).received.broken, 0);
}

#[test]
fn within_a_running_view_a_key_frame_is_made_for_it() {
    let mut world = meeting();
    bring_up(&mut world, 3, &[1, 2]);
    assert!(world.run_until(ms(300), |w| told(w).contains(&Progress::KeyFrame)));
    let keys = world.at(1).received.keys.len();
    // The same view for everybody: a new speaker.
    world.show(Kind::Full, &[3]);
    let sent =
        |w: &World| [1, 2].iter().all(|n| told(w).contains(&Progress::Sent { viewer: p(*n), reports: true }));
    assert!(world.run_until(ms(1_500), sent), "{:?}", told(&world));
    assert_eq!(world.at(1).received.keys.len(), keys + 1, "one key frame, for both");
    let covered = |w: &World| [1, 2].iter().all(|n| told(w).contains(&Progress::Covered { viewer: p(*n) }));
    assert!(world.run_until(ms(8_000), covered), "{:?}", told(&world));
}

#[test]
fn what_is_lost_on_the_way_counts_with_the_next_key_frame() {
    let mut world = meeting();
    bring_up(&mut world, 3, &[1]);
    assert!(world.run_until(ms(300), |w| told(w).contains(&Progress::KeyFrame)));
    show_three_to_one(&mut world);
    let sent = Progress::Sent { viewer: p(1), reports: true };
    world.at_mut(1).lose_next = 3;
    assert!(world.run_until(ms(300), |w| told(w).contains(&sent)));
    let hurt = Progress::Hurt { viewer: p(1) };
    assert!(world.run_until(ms(8_000), |w| told(w).contains(&hurt)), "{:?}", told(&world));
    let covered = Progress::Covered { viewer: p(1) };
    assert!(world.run_until(ms(15_000), |w| told(w).contains(&covered)), "{:?}", told(&world));
}

#[test]
fn who_sends_no_reports_is_told_as_such() {
    let mut world = World::new();
    for n in 1..=2 {
        world.join(Endpoint::new(n).tone(500.0));
    }
    world.at_mut(1).no_reports = true;
    world.show(Kind::Full, &[1]);
    world.run(ms(2_000));
    bring_up(&mut world, 2, &[1]);
    world.show_to(vec![(1, Kind::Full, vec![1], vec![p(2)]), (2, Kind::Full, vec![2], vec![p(1)])]);
    let sent = Progress::Sent { viewer: p(1), reports: false };
    assert!(world.run_until(ms(1_500), |w| told(w).contains(&sent)), "{:?}", told(&world));
    world.run(ms(10_000));
    assert!(!told(&world).contains(&Progress::Covered { viewer: p(1) }));
}

#[test]
fn a_soft_site_is_in_the_mix_while_it_is_brought_up_and_a_muted_one_is_not() {
    let mut world = meeting();
    world.at_mut(3).tone = None;
    world.run(ms(2_000));
    bring_up(&mut world, 3, &[1]);
    assert!(world.run_until(ms(300), |w| told(w).contains(&Progress::Heard)), "silence, but admitted");
    let mut world = meeting();
    world.command(Command::Sound {
        participant: p(3),
        muted: true,
        deafened: false,
        volume_db: 0.0,
        hidden: false,
    });
    world.run(ms(500));
    bring_up(&mut world, 3, &[1]);
    world.run(ms(1_000));
    assert!(!told(&world).contains(&Progress::Heard));
}
