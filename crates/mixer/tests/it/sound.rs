//! Sound through the mixer: everybody hears everybody else, nobody himself.

use crate::common::{Endpoint, World, ms, p};
use cau_mixer::{Command, Event, command::AudioCodec};

const OPUS: AudioCodec = AudioCodec::Opus { fec: true };

fn hz(n: u64) -> f32 {
    440.0 + 120.0 * n as f32
}

fn sound(participant: u64, muted: bool, deafened: bool) -> Command {
    Command::Sound { participant: p(participant), muted, deafened, volume_db: 0.0, hidden: false }
}

#[test]
fn nobody_hears_himself_and_everybody_all_the_others() {
    let codecs =
        [(AudioCodec::Pcma, 8), (AudioCodec::Pcmu, 0), (AudioCodec::G722, 9), (OPUS, 96), (OPUS, 111)];
    let mut world = World::new();
    for (n, (codec, pt)) in (1..).zip(codecs) {
        world.join(Endpoint::new(n).sound_only().codec(codec, pt).tone(hz(n)));
    }
    world.run(ms(3000));
    for n in 1..=5 {
        let r = &world.at(n).received;
        assert_eq!((r.gaps, r.odd), (0, 0), "site {n}: an even stream");
        for other in 1..=5 {
            let level = r.level_of(hz(other));
            if other == n {
                // Opus spreads the noise of its coding over the voices' band; G.711 and G.722 leave the place empty.
                let most = if n < 4 { -65.0 } else { -50.0 };
                assert!(level < most, "site {n} hears itself at {level:.1} dB");
            } else {
                // A tone of amplitude 6,000 is at −14.7 dB.
                assert!((-18.0..-12.0).contains(&level), "site {n} hears {other} at {level:.1} dB");
            }
        }
    }
}

#[test]
fn a_machine_that_stands_still_for_a_moment_adds_no_delay_and_bends_no_tone() {
    let mut world = World::new();
    for n in 1..=2 {
        world.join(Endpoint::new(n).sound_only().codec(AudioCodec::Pcma, 8).tone(hz(n)));
    }
    world.run(ms(3000));
    let before = world.totals.dropped;
    for still in [90, 40, 60, 90, 20, 80, 90, 30] {
        world.stand_still(ms(still));
        world.run(ms(1000 - still));
    }
    assert_eq!(world.totals.dropped, before, "nothing came too late for a tick, nothing was left out");
    for (n, other) in [(1, 2), (2, 1)] {
        let level = world.at(n).received.level_of(hz(other));
        assert!((-16.0..-13.5).contains(&level), "site {n} hears {other} at {level:.1} dB");
    }
}

#[test]
fn listeners_share_one_encoder_per_codec() {
    let mut world = World::new();
    for n in 1..=12 {
        let (codec, pt) = if n % 2 == 0 { (OPUS, 96) } else { (AudioCodec::Pcma, 8) };
        let mut e = Endpoint::new(n).sound_only().codec(codec, pt);
        if n <= 3 {
            e = e.tone(hz(n));
        }
        world.join(e);
    }
    world.run(ms(2500));
    assert_eq!(world.totals.audio_encoders, 2 + 3);
    assert_eq!(world.at(12).received.audio_csrc, [1, 2, 3].map(|n| world.at(n).audio_ssrc().unwrap()));
    assert_eq!(world.at(2).received.audio_csrc, [1, 3].map(|n| world.at(n).audio_ssrc().unwrap()));
    for n in 1..=12 {
        world.leave(p(n));
    }
    world.run(ms(2500));
    assert_eq!(world.totals.audio_encoders, 0, "nobody is there to encode for");
}

#[test]
fn muted_is_not_heard_deafened_hears_nothing_and_volume_counts() {
    let mut world = World::new();
    for n in 1..=3 {
        world.join(Endpoint::new(n).sound_only().tone(hz(n)));
    }
    world.command(sound(1, true, false));
    world.command(sound(2, false, true));
    world.command(Command::Sound {
        participant: p(3),
        muted: false,
        deafened: false,
        volume_db: -12.0,
        hidden: false,
    });
    world.run(ms(2500));
    let level = |listener: u64, talker: u64| world.at(listener).received.level_of(hz(talker));
    assert!(level(3, 1) < -60.0, "muted");
    assert!(level(2, 3) < -60.0 && level(2, 1) < -60.0, "deafened");
    assert!((level(1, 2) - -14.7).abs() < 1.5, "as it came");
    assert!((level(1, 3) - -26.7).abs() < 1.5, "12 dB softer");
}

#[test]
fn sixteen_loud_sites_are_all_heard_and_nothing_is_clipped() {
    let mut world = World::new();
    for n in 1..=16 {
        world.join(Endpoint::new(n).sound_only().tone(hz(n)));
    }
    world.join(Endpoint::new(17).sound_only());
    world.run(ms(3000));
    let r = &world.at(17).received;
    let levels: Vec<f32> = (1..=16).map(|n| r.level_of(hz(n))).collect();
    let (low, high) =
        (levels.iter().copied().fold(0.0, f32::min), levels.iter().copied().fold(-99.0, f32::max));
    assert!(high - low < 2.0 && low > -36.0, "{levels:?}");
    // Clipping would put tones where none is: between two sites' frequencies, and above all of them.
    for odd in [500.0, 740.0, 3000.0] {
        assert!(r.level_of(odd) < low - 18.0, "{odd} Hz at {:.1} dB", r.level_of(odd));
    }
    let peak = r.pcm.iter().skip(48_000).map(|s| s.unsigned_abs()).max().unwrap();
    assert!(peak < 32_700, "{peak}");
}

#[test]
fn a_late_worker_makes_up_a_little_and_leaves_out_the_rest_with_its_time() {
    let mut world = World::new();
    world.join(Endpoint::new(1).sound_only());
    world.join(Endpoint::new(2).sound_only());
    world.run(ms(1000));
    let before = world.at(1).received.audio_packets;
    world.now += ms(60);
    world.step();
    assert!(world.at(1).received.audio_packets - before >= 3, "made up");
    assert_eq!(world.at(1).received.odd, 0);
    let before = world.at(1).received.audio_packets;
    world.now += ms(2000);
    world.step();
    assert!(world.at(1).received.audio_packets - before <= 5, "bounded");
    world.run(ms(1500));
    let r = &world.at(1).received;
    assert_eq!((r.gaps, r.odd), (0, 1), "one gap in time, none in sequence");
    assert!(world.totals.skipped_ticks > 90);
}

#[test]
fn voices_are_reported_loudest_first_and_silence_once() {
    let mut world = World::new();
    world.join(Endpoint::new(1).sound_only().tone(hz(1)));
    world.join(Endpoint::new(2).sound_only());
    world.run(ms(1000));
    let voices: Vec<_> = world
        .events
        .iter()
        .filter_map(|(_, e)| if let Event::Voice { voices, .. } = e { Some(voices.clone()) } else { None })
        .collect();
    assert!((7..=11).contains(&voices.len()), "every 100 ms: {}", voices.len());
    let last = voices.last().unwrap();
    assert_eq!(last[0].participant, p(1));
    assert!((-19.0..-16.0).contains(&last[0].level_dbov), "{}", last[0].level_dbov);
    world.at_mut(1).tone = None;
    world.run(ms(3000));
    world.events.clear();
    world.run(ms(1000));
    assert!(world.events.is_empty(), "{:?}", world.events);
    assert!(world.statistics[&p(1)].level_dbov < -60.0);
}

#[test]
fn speech_is_told_from_noise() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/media/speech");
    let Some(file) = std::fs::read_dir(&path).ok().and_then(|d| {
        d.filter_map(Result::ok).map(|e| e.path()).find(|p| p.extension().is_some_and(|e| e == "wav"))
    }) else {
        assert!(!path.exists(), "no speech in {}", path.display());
        return;
    };
    let mut reader = hound::WavReader::open(file).unwrap();
    assert_eq!(reader.spec().sample_rate, 16_000);
    let pcm: Vec<i16> = reader.samples::<i16>().map(Result::unwrap).collect();
    let mut meter = cau_mixer::sound::voice::Meter::default();
    let speaking = |m: &mut cau_mixer::sound::voice::Meter, frames: &mut dyn Iterator<Item = Vec<f32>>| {
        let (mut yes, mut all) = (0, 0);
        for f in frames {
            let frame: [f32; 960] = std::array::from_fn(|i| f[i / 3]);
            m.measure(&frame);
            m.detect(&frame);
            all += 1;
            yes += u32::from(m.speaking());
        }
        yes as f32 / all as f32
    };
    let mut speech = pcm.chunks_exact(320).map(|c| c.iter().map(|s| f32::from(*s) / 32768.0).collect());
    let said = speaking(&mut meter, &mut speech);
    let mut state = 1u32;
    let mut noise = (0..200).map(|_| {
        (0..320)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / 16_777_216.0 * 0.1 - 0.05
            })
            .collect()
    });
    let hissed = speaking(&mut meter, &mut noise);
    assert!(said > 0.6 && hissed < 0.3, "speech {said:.2}, noise {hissed:.2}");
}
