//! Sound and picture that came in together go out together, by the time they arrive and by the sender reports.

use std::time::{Duration, Instant};

use crate::common::{Endpoint, World, endpoint::Received, ms, p};
use cau_model::layout::Kind;
use cau_netem::Config as Line;

const EVERY: Duration = Duration::from_millis(2000);
const CLOCK: f64 = 8000.0;

/// When tones began to be heard, with their time stamps.
fn tones(r: &Received) -> Vec<(Instant, u32)> {
    let (mut quiet, mut out) = (0, Vec::new());
    for (i, sample) in r.pcm.iter().enumerate() {
        if sample.unsigned_abs() < 800 {
            quiet += 1;
        } else {
            if quiet > 9600 {
                let (at, ts, start) = r.heard[r.heard.partition_point(|h| h.2 <= i) - 1];
                let into = (i - start) as u64;
                out.push((at + Duration::from_micros(into * 1000 / 48), ts + (into / 6) as u32));
            }
            quiet = 0;
        }
    }
    out
}

/// When the picture became bright, with its time stamp.
fn lights(r: &Received) -> Vec<(Instant, u32)> {
    let changes = r.lights.windows(2).filter(|w| w[0].2 < 80 && w[1].2 > 170);
    changes.map(|w| (w[1].0, w[1].1)).collect()
}

/// How much later the picture is than its sound, ms: by arrival, and by the reports; one pair per flash after `from`.
fn skews(world: &World, n: u64, from: Instant) -> Vec<(f64, f64)> {
    let e = world.at(n);
    let ntp = |media: usize, ts: u32, clock: f64| {
        let r = e.reports[media].expect("a sender report");
        let seconds = (r.ntp >> 32) as f64 + (r.ntp as u32) as f64 / 4_294_967_296.0;
        (seconds - 3_900_000_000.0) + f64::from(ts.wrapping_sub(r.rtp_timestamp).cast_signed()) / clock
    };
    let tones = tones(&e.received);
    let seconds = |a: Instant, b: Instant| {
        if a > b { (a - b).as_secs_f64() } else { -(b - a).as_secs_f64() }
    };
    let pair = |(at, ts): (Instant, u32)| {
        let nearest = tones.iter().min_by(|a, b| seconds(a.0, at).abs().total_cmp(&seconds(b.0, at).abs()));
        let (sound, sound_ts) = *nearest.expect("a tone");
        let reported = ntp(1, ts, 90_000.0) - ntp(0, sound_ts, CLOCK);
        (seconds(at, sound) * 1000.0, reported * 1000.0)
    };
    lights(&e.received).into_iter().filter(|(at, _)| *at > from).map(pair).collect()
}

/// A flashing site on such a line before a viewer.
fn run(forward: bool, up: Line, seed: u64) -> Vec<(f64, f64)> {
    let mut world = World::configured(|config| {
        config.forward = forward;
        config.max_canvas = (160, 90);
    });
    world.grain = ms(2);
    let mut site = Endpoint::new(1).tone(1000.0);
    site.flashes = Some(EVERY);
    site.size = (160, 90);
    world.join(site);
    world.join(Endpoint::new(2));
    world.line(1, up, Line::default(), seed);
    world.show_to(vec![(1, Kind::Full, vec![1], vec![p(2)]), (2, Kind::Full, vec![2], vec![p(1)])]);
    world.run(ms(10_000));
    let from = world.now;
    world.run(ms(14_000));
    let skews = skews(&world, 2, from);
    assert!(skews.len() >= 6, "{skews:?}");
    assert_eq!((world.at(2).received.gaps, world.at(2).received.odd, world.at(2).received.back), (0, 0, 0));
    skews
}

fn together(forward: bool) {
    for (jitter, seed) in [(0, 1), (30, 2), (100, 3)] {
        let up = Line { delay: ms(20), jitter: ms(jitter), ..Line::default() };
        let skews = run(forward, up, seed);
        // A packet of sound that comes too late hides the beginning of a tone: one of them may.
        let most = usize::from(jitter == 100);
        let off = |skew: &dyn Fn(&(f64, f64)) -> f64| skews.iter().filter(|s| skew(s).abs() > 40.0).count();
        assert!(off(&|s| s.0) <= most, "jitter {jitter} ms, by arrival: {skews:.0?}");
        assert!(off(&|s| s.1) <= most, "jitter {jitter} ms, by reports: {skews:.0?}");
    }
}

#[test]
fn an_encoded_picture_goes_with_its_sound() {
    together(false);
}

#[test]
fn a_forwarded_picture_goes_with_its_sound() {
    together(true);
}

#[test]
fn clocks_that_differ_keep_the_stream_even_and_the_lips_together() {
    for ppm in [500, -500] {
        let mut world = World::configured(|config| {
            config.forward = true;
            config.max_canvas = (160, 90);
        });
        world.grain = ms(5);
        let mut site = Endpoint::new(1).tone(1000.0);
        site.flashes = Some(EVERY);
        site.size = (160, 90);
        site.ppm = ppm;
        world.join(site);
        world.join(Endpoint::new(2).no_camera());
        world.show_to(vec![(1, Kind::Full, vec![1], vec![p(2)])]);
        world.run(ms(80_000));
        let skews = skews(&world, 2, world.now - ms(20_000));
        assert!(
            skews.len() >= 9 && skews.iter().all(|s| s.0.abs() <= 40.0 && s.1.abs() <= 40.0),
            "{skews:.0?}"
        );
        let r = &world.at(2).received;
        assert_eq!(
            (r.gaps, r.odd, r.back, r.broken),
            (0, 0, 0, 0),
            "{ppm}: gaps, odd steps, time going back, broken"
        );
        // Time stamps run by our clock whatever the source's does.
        let (first, last) = (r.lights[250], *r.lights.last().unwrap());
        let by_stamps = f64::from(last.1.wrapping_sub(first.1)) / 90_000.0;
        let off = by_stamps - (last.0 - first.0).as_secs_f64();
        assert!(off.abs() < 0.012, "{ppm}: {off}");
        let dropped = world.totals.dropped;
        assert!(dropped.shortened + dropped.late <= 1, "one at the start at most: {dropped:?}");
    }
}

#[test]
fn a_tone_of_a_clock_that_differs_is_heard_without_a_click() {
    let worst = |ppm: i64| {
        let mut world = World::new();
        let mut site = Endpoint::new(1).sound_only().tone(500.0);
        site.ppm = ppm;
        world.join(site);
        world.join(Endpoint::new(2).sound_only());
        world.grain = ms(5);
        world.run(ms(90_000));
        let pcm = &world.at(2).received.pcm[48_000..];
        let w = std::f64::consts::TAU * 500.0 / 48_000.0;
        // What a pure tone does not do: a joint stands out by its height.
        let odd = pcm.windows(3).map(|s| {
            let [a, b, c] = [s[0], s[1], s[2]].map(f64::from);
            (a - 2.0 * w.cos() * b + c).abs()
        });
        (odd.fold(0.0, f64::max), world.at(2).received.level_of(500.0))
    };
    let (clean, _) = worst(0);
    for ppm in [500, -500] {
        let (drifting, level) = worst(ppm);
        assert!(drifting < clean * 1.5 + 20.0, "{ppm}: {drifting:.0} against {clean:.0}");
        assert!(level > -20.0);
    }
}
