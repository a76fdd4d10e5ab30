//! A conference of four with real speech, packets in and packets out on a virtual clock: nobody hears himself, and the picture goes
//! to whoever speaks. `--nocapture` shows the figures.
#![expect(clippy::disallowed_macros, reason = "tells what it measured")]

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::common::{Endpoint, ROOM, World, ms, p, speech};
use cau_mixer::{Command, Event, command::AudioCodec};
use cau_model::{
    Command as Order, Conference, ParticipantId, Settings,
    command::Join,
    participant::{Direction, State},
    sound::Rules,
    voice::{Level, SILENCE_DBOV, Times},
};
use realfft::{RealFftPlanner, num_complex::Complex};

const RATE: usize = 48_000;
const SITES: u64 = 4;
/// Found within so many samples: 500 ms.
const LAGS: usize = RATE / 2;

/// Who talks from when to when, s.
type Script = Vec<(f32, f32, u64)>;

fn samples(seconds: f32) -> usize {
    (seconds * RATE as f32) as usize
}

/// What a site says in all its turns: it goes on where it stopped.
fn lines(person: &[f32], script: &Script, site: u64, end: f32) -> Arc<[f32]> {
    let mut out = vec![0.0; samples(end)];
    let mut words = person.iter().cycle();
    for (from, to, _) in script.iter().filter(|turn| turn.2 == site) {
        for (sample, word) in out[samples(*from)..samples(*to)].iter_mut().zip(&mut words) {
            *sample = *word;
        }
    }
    out.into()
}

/// What was said and heard in a meeting, and who was the speaker from when on.
struct Minutes {
    said: Vec<Arc<[f32]>>,
    heard: Vec<Vec<f32>>,
    speakers: Vec<(Duration, u64)>,
}

fn hold(people: &[Vec<f32>], script: &Script, times: Times) -> Minutes {
    let end = script.iter().map(|turn| turn.1).fold(0.0, f32::max) + 1.0;
    let said: Vec<_> = (1..=SITES).zip(people).map(|(n, person)| lines(person, script, n, end)).collect();
    let opus = AudioCodec::Opus { fec: true };
    let codecs = [(AudioCodec::Pcma, 8), (opus, 96), (AudioCodec::G722, 9), (opus, 111)];
    let mut world = World::new();
    world.command(Command::Discipline { conference: ROOM, rules: Rules::default() });
    let mut settings = Settings::new("8000").unwrap();
    settings.layout = "full".parse().unwrap();
    settings.voice = times;
    let mut conference = Conference::new(ROOM, settings);
    for ((n, said), (codec, pt)) in (1..).zip(&said).zip(codecs) {
        world.join(Endpoint::new(n).sound_only().codec(codec, pt).saying(said.clone()));
        let join = Join {
            participant: p(n),
            name: format!("Site {n}"),
            uri: String::new(),
            direction: Direction::In,
            state: State::Connected,
            sends_video: true,
            link: None,
        };
        conference.apply(world.now, Order::Join(join)).unwrap();
    }
    let mut speakers: Vec<(Duration, u64)> = Vec::new();
    let mut heard = Vec::new();
    while world.now - world.start < Duration::from_secs_f32(end) {
        world.step();
        for (at, event) in std::mem::take(&mut world.events) {
            tell(&mut conference, at, event, &mut heard);
        }
        conference.handle_timeout(world.now);
        if let Some(ParticipantId(who)) = conference.speaker()
            && speakers.last().is_none_or(|(_, last)| *last != who)
        {
            speakers.push((world.now - world.start, who));
        }
    }
    let pcm = |n: u64| world.at(n).received.pcm.iter().map(|s| f32::from(*s) / 32_768.0).collect();
    Minutes { said, heard: (1..=SITES).map(pcm).collect(), speakers }
}

/// As signalling tells the model: who is not in the report any more is silent.
fn tell(conference: &mut Conference, at: Instant, event: Event, heard: &mut Vec<ParticipantId>) {
    let Event::Voice { voices, .. } = event else { return };
    let mut levels: Vec<Level> = voices
        .iter()
        .map(|v| Level { participant: v.participant, level_dbov: v.level_dbov as i8, speaking: v.speaking })
        .collect();
    let now: Vec<ParticipantId> = voices.iter().map(|v| v.participant).collect();
    let gone = heard.iter().filter(|who| !now.contains(who));
    levels.extend(gone.map(|who| Level { participant: *who, level_dbov: SILENCE_DBOV, speaking: false }));
    *heard = now;
    conference.apply(at, Order::Voice(levels)).unwrap();
}

/// How strong the voice comes back at its strongest delay, dB beside what was said, 200–3400 Hz: the impulse response of least squares,
/// one frequency like the other, over all of `said`.
fn returned(said: &[f32], heard: &[f32]) -> f32 {
    const SIZE: usize = 65_536;
    let band: Range<usize> = 200 * SIZE / RATE..3_400 * SIZE / RATE;
    let mut planner = RealFftPlanner::<f32>::new();
    let (forward, back) = (planner.plan_fft_forward(SIZE), planner.plan_fft_inverse(SIZE));
    let mut cross = forward.make_output_vec();
    let mut power = vec![0.0_f32; cross.len()];
    let count = said.len().min(heard.len());
    for start in (0..count.saturating_sub(SIZE)).step_by(SIZE / 2) {
        let spectrum = |of: &[f32]| {
            let mut windowed: Vec<f32> = of[start..start + SIZE]
                .iter()
                .enumerate()
                .map(|(i, s)| s * (std::f32::consts::PI * i as f32 / SIZE as f32).sin().powi(2))
                .collect();
            let mut out = forward.make_output_vec();
            forward.process(&mut windowed, &mut out).unwrap();
            out
        };
        let (x, y) = (spectrum(said), spectrum(heard));
        for k in band.clone() {
            cross[k] += y[k] * x[k].conj();
            power[k] += x[k].norm_sqr();
        }
    }
    let mean = power[band.clone()].iter().sum::<f32>() / band.len() as f32;
    assert!(mean > 0.0, "nothing was said");
    for (k, c) in cross.iter_mut().enumerate() {
        *c = if band.contains(&k) { *c / (power[k] + mean * 1e-3) } else { Complex::default() };
    }
    let mut response = back.make_output_vec();
    back.process(&mut cross, &mut response).unwrap();
    let peak = response[..LAGS].iter().map(|r| r.abs()).fold(0.0, f32::max);
    20.0 * (peak / (2 * band.len()) as f32).max(1e-9).log10()
}

/// Something delayed and weaker on top.
fn with_echo(heard: &[f32], said: &[f32], delay_ms: usize, db: f32) -> Vec<f32> {
    let gain = 10f32.powf(db / 20.0);
    let late = std::iter::repeat_n(&0.0, delay_ms * RATE / 1000).chain(said);
    heard.iter().zip(late).map(|(h, s)| h + s * gain).collect()
}

#[test]
fn nobody_hears_his_own_voice_neither_alone_nor_when_two_talk() {
    let Some(people) = speech::recordings() else { return };
    let script: Script = vec![
        (0.0, 5.0, 1),
        (5.0, 10.0, 3),
        (10.0, 15.0, 2),
        (15.0, 20.0, 4),
        (21.0, 29.0, 1),
        (21.0, 29.0, 2),
        (30.0, 38.0, 3),
        (30.0, 38.0, 4),
    ];
    let all = hold(&people, &script, Times::default());
    let mut figures = Vec::new();
    for (from, to, site) in &script[..4] {
        let n = *site as usize - 1;
        // Without the end of what the one before said, which is still under way.
        let turn = samples(from + 0.4)..samples(*to);
        let (said, heard) = (&all.said[n][turn.clone()], &all.heard[n][turn.clone()]);
        let own = returned(said, heard);
        figures.push(own);
        assert!(own < -45.0, "site {site} hears itself at {own:.1} dB");
        let told = returned(said, &with_echo(heard, said, 140, -42.0));
        assert!((told + 42.0).abs() < 1.5, "an echo of -42 dB is measured as {told:.1} dB");
        let other = returned(said, &all.heard[(n + 1) % 4][turn]);
        assert!((-9.0..9.0).contains(&other), "the next site hears site {site} at {other:.1} dB");
    }
    // When two talk: what changes in what one hears by his own talking.
    for (n, turn) in [(0, 4), (1, 5), (2, 6), (3, 7)] {
        let mut without = script.clone();
        without.remove(turn);
        let without = hold(&people, &without, Times::default());
        let part = samples(script[turn].0)..samples(script[turn].1 + 1.0);
        let changed: Vec<f32> = all.heard[n].iter().zip(&without.heard[n]).map(|(a, b)| a - b).collect();
        let (said, changed) = (&all.said[n][part.clone()], &changed[part]);
        let own = returned(said, changed);
        figures.push(own);
        assert!(own < -45.0, "while two talk site {} hears itself at {own:.1} dB", n + 1);
        // Opus encodes another mix with other noise, which is part of what changed: an echo must stand out of it, and what is there already may take
        // so much away from it.
        let echo = if n % 2 == 1 { -36.0 } else { -42.0 };
        let within = 0.5 - 20.0 * (1.0 - 10f32.powf((own - echo) / 20.0)).log10();
        let told = returned(said, &with_echo(changed, said, 140, echo));
        assert!((told - echo).abs() < within, "an echo of {echo} dB is measured as {told:.1} dB");
    }
    println!("own voice: {figures:.1?} dB");
}

#[test]
fn the_picture_goes_to_whoever_takes_the_floor_and_stays_for_the_hold_time() {
    let Some(people) = speech::recordings() else { return };
    let order = [1, 3, 2, 4, 1, 4, 2];
    let script: Script =
        (0..).zip(order).map(|(n, who)| (7.0 * n as f32, 7.0 * (n + 1) as f32, who)).collect();
    for times in [Times::default(), Times { candidate_ms: 300, hold_ms: 5_000 }] {
        let minutes = hold(&people, &script, times);
        println!("{times:?}: {:?}", minutes.speakers);
        let mut before: Option<Duration> = None;
        for (turn, (at, who)) in script.iter().zip(&minutes.speakers) {
            assert_eq!(*who, turn.2, "{:?}", minutes.speakers);
            let said = spoken(&minutes.said[*who as usize - 1], *turn, times);
            // He also waits for the end of the one before and of his hold time.
            let held = before.map_or(0.0, |at| (at + ms(times.hold_ms.into())).as_secs_f32());
            let (at_s, right) = (at.as_secs_f32(), said.max(held));
            println!("{times:?}: site {who} shown {:.2} s after it had the right to", at_s - right);
            assert!(at_s < right + 0.8, "site {who} at {at:?}, had the right to at {right} s");
            assert!(at_s >= turn.0 + times.candidate_ms as f32 / 1000.0, "site {who} at {at:?}: too soon");
            before = Some(*at);
        }
        assert_eq!(minutes.speakers.len(), script.len(), "one change per turn: {:?}", minutes.speakers);
        assert_held(&minutes, times);
    }
}

#[test]
fn a_quick_exchange_is_followed_or_held_as_configured() {
    let Some(people) = speech::recordings() else { return };
    let script: Script = (0..10).map(|n| (2.0 * n as f32, 2.0 * (n + 1) as f32, 2 + n % 2)).collect();
    let changes = [0, 6_000].map(|hold_ms| {
        let times = Times { candidate_ms: 300, hold_ms };
        let minutes = hold(&people, &script, times);
        println!("{times:?}: {:?}", minutes.speakers);
        assert_held(&minutes, times);
        minutes.speakers.len()
    });
    assert!(changes[0] >= 8 && changes[1] <= 4, "{changes:?}");
}

#[test]
fn while_two_talk_the_picture_stays_until_the_speaker_pauses() {
    let Some(people) = speech::recordings() else { return };
    let script: Script = vec![(0.0, 24.0, 2), (3.0, 24.0, 4)];
    let times = Times::default();
    let minutes = hold(&people, &script, times);
    println!("{:?}", minutes.speakers);
    assert_held(&minutes, times);
    assert_eq!(minutes.speakers.first().map(|(_, who)| *who), Some(2));
    assert!(minutes.speakers.iter().all(|(_, who)| [2, 4].contains(who)));
    for (&(_, before), &(at, _)) in minutes.speakers.iter().zip(&minutes.speakers[1..]) {
        let end = samples(at.as_secs_f32());
        let last = &minutes.said[before as usize - 1][end - samples(0.4)..end];
        let loudest =
            last.chunks(960).map(|f| f.iter().map(|s| s * s).sum::<f32>() / 960.0).fold(0.0, f32::max);
        assert!(loudest < 10f32.powf(-4.0), "site {before} was speaking when it lost the picture at {at:?}");
    }
}

/// When somebody has spoken for the candidate time in his turn, with pauses up to 300 ms, s. (The detector holds on for 300 ms more, so it
/// may come sooner.)
fn spoken(said: &[f32], (from, to, _): (f32, f32, u64), times: Times) -> f32 {
    let (mut since, mut last) = (None, 0);
    let frames = said[samples(from)..samples(to)].chunks_exact(960).enumerate();
    for (n, _) in frames.filter(|(_, f)| f.iter().map(|s| s * s).sum::<f32>() / 960.0 > 10f32.powf(-4.3)) {
        if n - last > 15 {
            since = None;
        }
        last = n;
        let start = *since.get_or_insert(n);
        if (n - start) * 20 >= times.candidate_ms as usize {
            return from + n as f32 * 0.02;
        }
    }
    panic!("nothing said in the turn at {from} s");
}

/// Nobody loses the picture before the hold time is over.
fn assert_held(minutes: &Minutes, times: Times) {
    let least = ms(u64::from(times.hold_ms));
    for pair in minutes.speakers.windows(2) {
        assert!(pair[1].0 - pair[0].0 >= least, "{pair:?} with {times:?}");
    }
}
