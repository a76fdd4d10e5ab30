//! A machine that is too busy.

use std::time::Duration;

use cau_mixer::{Command as Mix, Event as Mixed, event};

use super::bench::Bench;
use crate::notice::Body;
use crate::request::Request;

/// A second of these figures.
fn second(bench: &mut Bench, media: f32, pictures: f32, late_ms: u32) {
    bench.now += Duration::from_secs(1);
    bench.media(Mixed::Totals(Box::new(event::Totals {
        tick_late_us: late_ms * 1000,
        ..event::Totals::default()
    })));
    bench.focus.handle_request(bench.now, Request::Load { media, pictures });
    bench.settle();
}

fn alarms(bench: &Bench) -> Vec<&'static str> {
    let alarm = |notice: &crate::Notice| match notice.body {
        Body::Alarm { code, .. } => Some(code),
        _ => None,
    };
    bench.notices.iter().filter_map(alarm).collect()
}

fn cadences(bench: &mut Bench) -> Vec<u32> {
    let fps = |(_, command): (_, Mix)| match command {
        Mix::Cadence { fps, .. } => Some(fps),
        _ => None,
    };
    bench.commands().into_iter().filter_map(fps).collect()
}

#[test]
fn pictures_come_slower_before_anybody_is_refused_and_a_new_room_begins_as_slow() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    (0..3).for_each(|_| second(&mut bench, 0.4, 0.99, 1));
    assert_eq!(cadences(&mut bench), [20]);
    assert_eq!(alarms(&bench), ["pictures-slowed"]);
    bench.dial(3, "8000");
    assert_eq!(bench.phone(3).refused(), None);
    bench.create(2, "8001").unwrap();
    assert_eq!(cadences(&mut bench), [20]);
    (0..40).for_each(|_| second(&mut bench, 0.2, 0.3, 1));
    assert_eq!(alarms(&bench), ["pictures-slowed", "pictures-normal"]);
}

#[test]
fn late_sound_refuses_new_calls_in_words_and_who_is_there_stays() {
    let mut bench = Bench::new();
    bench.dial(2, "8000");
    (0..3).for_each(|_| second(&mut bench, 0.5, 0.0, 30));
    assert_eq!(alarms(&bench), ["overload"]);
    bench.dial(3, "8000");
    assert_eq!(bench.phone(3).refused(), Some(503));
    let refusal = bench.sent("SIP/2.0 503").to_owned();
    assert!(refusal.contains("Retry-After: 5"), "{refusal}");
    assert!(refusal.contains("Warning: 399") && refusal.contains("overloaded"), "{refusal}");
    let totals = bench.focus.totals();
    assert_eq!((totals.participants, totals.refused_overload, totals.overloaded), (1, 1, true));
    // Who is there may negotiate anew, and an operator may call somebody in.
    bench.reoffer(2, |_| {});
    bench.call_out(4);
    (0..12).for_each(|_| second(&mut bench, 0.3, 0.0, 1));
    assert_eq!(alarms(&bench), ["overload", "overload-over"]);
    bench.dial(5, "8000");
    assert_eq!(bench.phone(5).refused(), None);
    assert_eq!(bench.focus.totals().participants, 3);
}
