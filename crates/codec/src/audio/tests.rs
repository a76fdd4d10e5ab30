//! What every codec must do, measured with tones.

use super::*;
use realfft::RealFftPlanner;
use std::f64::consts::TAU;

const ALL: [Codec; 4] = [Codec::Opus, Codec::G722, Codec::Pcma, Codec::Pcmu];

fn tone(frequency: f64, amplitude: f64, samples: usize) -> Vec<i16> {
    (0..samples).map(|n| (amplitude * (TAU * frequency * n as f64 / 48_000.0).sin()) as i16).collect()
}

/// Through encoder and decoder, packet by packet; `lose` says which packets do not come.
fn round_trip(codec: Codec, sound: &[i16], lose: impl Fn(usize) -> bool) -> Vec<i16> {
    let mut encoder = encoder(codec, &OpusSettings::default()).unwrap();
    let mut decoder = decoder(codec).unwrap();
    let (mut payload, mut out) = (Vec::new(), Vec::new());
    for (k, frame) in sound.chunks_exact(FRAME).enumerate() {
        encoder.encode(frame.try_into().unwrap(), &mut payload).unwrap();
        if lose(k) {
            decoder.conceal(FRAME, &mut out);
        } else {
            assert_eq!(decoder.decode(&payload, &mut out), Ok(FRAME));
        }
        assert_eq!(out.len(), (k + 1) * FRAME, "{codec:?}: continuous");
    }
    out
}

/// Power by frequency bin of a Hann-windowed piece of 4800 samples (10 Hz a bin), in dB of full scale.
fn spectrum(sound: &[i16]) -> Vec<f64> {
    let n = 4800;
    let mut input: Vec<f64> = (0..n)
        .map(|i| f64::from(sound[i]) / 32768.0 * (0.5 - 0.5 * (TAU * i as f64 / n as f64).cos()))
        .collect();
    let fft = RealFftPlanner::<f64>::new().plan_fft_forward(n);
    let mut output = fft.make_output_vec();
    fft.process(&mut input, &mut output).unwrap();
    output.iter().map(|c| 20.0 * (c.norm() / (n as f64 / 4.0)).max(1e-12).log10()).collect()
}

/// Power of the bins round `frequency` against all others, dB.
fn purity(spectrum: &[f64], frequency: f64) -> f64 {
    let middle = (frequency / 10.0).round() as usize;
    let power = |db: f64| 10f64.powf(db / 10.0);
    let tone: f64 = spectrum[middle - 3..=middle + 3].iter().map(|&d| power(d)).sum();
    let rest: f64 =
        spectrum.iter().enumerate().filter(|(i, _)| i.abs_diff(middle) > 3).map(|(_, &d)| power(d)).sum();
    10.0 * (tone / rest).log10()
}

#[test]
fn a_tone_comes_through_clean_and_as_loud() {
    for (codec, least) in [(Codec::Opus, 20.0), (Codec::G722, 25.0), (Codec::Pcma, 33.0), (Codec::Pcmu, 33.0)]
    {
        for frequency in [300.0, 440.0, 1000.0, 2500.0] {
            let out = round_trip(codec, &tone(frequency, 8000.0, 50 * FRAME), |_| false);
            let spectrum = spectrum(&out[20 * FRAME..]);
            let snr = purity(&spectrum, frequency);
            assert!(snr > least, "{codec:?} {frequency} Hz: {snr:.1} dB");
            let level = spectrum[(frequency / 10.0) as usize];
            let sent = 20.0 * (8000.0f64 / 32768.0).log10();
            assert!((level - sent).abs() < 1.0, "{codec:?} {frequency} Hz: {level:.1} dB for {sent:.1} dB");
        }
    }
}

#[test]
fn frames_join_without_clicks() {
    // A click at each border would be lines 50 Hz apart; the resampled codecs without quantisation noise show it best at the sample level:
    // no step of the second difference larger than the tone's own (plus the codec's noise).
    for codec in [Codec::G722, Codec::Pcma, Codec::Pcmu] {
        let out = round_trip(codec, &tone(400.0, 8000.0, 50 * FRAME), |_| false);
        let bend = |n: usize| {
            f64::from((i32::from(out[n + 1]) - 2 * i32::from(out[n]) + i32::from(out[n - 1])).abs())
        };
        let borders = (10..49)
            .map(|k| (k * FRAME - 4..k * FRAME + 4).map(bend).fold(0.0, f64::max))
            .fold(0.0, f64::max);
        let everywhere = (10 * FRAME..49 * FRAME).map(bend).fold(0.0, f64::max);
        let inside = (10..49)
            .map(|k| (k * FRAME + 400..k * FRAME + 500).map(bend).fold(0.0, f64::max))
            .fold(0.0, f64::max);
        assert!(
            borders <= inside * 2.0 + 30.0,
            "{codec:?}: {borders} at borders, {inside} inside, {everywhere} at all"
        );
    }
}

#[test]
fn resampling_rejects_images_by_50_db() {
    use resample::{Down, Factor, Up};
    for (factor, low_rate, frequencies) in [
        (Factor::Six, 8000.0, [500.0, 1500.0, 3000.0, 3400.0]),
        (Factor::Three, 16000.0, [500.0, 3000.0, 6000.0, 6800.0]),
    ] {
        for frequency in frequencies {
            let low: Vec<f32> = (0..8000)
                .map(|n| (8000.0 * (TAU * frequency * f64::from(n) / low_rate).sin()) as f32)
                .collect();
            let mut out = Vec::new();
            Up::new(factor).process(&low, &mut out);
            let spectrum = spectrum(&out[4800..]);
            let level = spectrum[(frequency / 10.0) as usize];
            let images = (1..6)
                .flat_map(|k| [low_rate * f64::from(k) - frequency, low_rate * f64::from(k) + frequency]);
            for image in images.filter(|&f| f < 24_000.0) {
                let image_level = spectrum[(image / 10.0) as usize];
                assert!(
                    level - image_level > 50.0,
                    "{frequency} Hz: image at {image} Hz is {:.1} dB down",
                    level - image_level
                );
            }
            assert!(
                (level - 20.0 * (8000.0f64 / 32768.0).log10()).abs() < 0.3,
                "{frequency} Hz passes at {level:.2} dB"
            );
        }
        // What is above must not fold back.
        for frequency in [low_rate * 0.55, low_rate * 0.75, low_rate * 1.1] {
            let mut out = Vec::new();
            Down::new(factor).process(&tone(frequency, 8000.0, 48_000), &mut out);
            let rms = (out[1000..].iter().map(|&s| f64::from(s).powi(2)).sum::<f64>()
                / (out.len() - 1000) as f64)
                .sqrt();
            let down = 20.0 * (rms / (8000.0 / 2f64.sqrt())).max(1e-9).log10();
            assert!(down < -50.0, "{frequency} Hz folds back at {down:.1} dB");
        }
    }
}

#[test]
fn resampling_there_and_back_takes_less_than_4_ms() {
    use resample::{Down, Factor, Up};
    for (factor, limit) in [(Factor::Six, 192), (Factor::Three, 120)] {
        let mut impulse = vec![0i16; FRAME];
        impulse[0] = 30_000;
        let (mut low, mut out) = (Vec::new(), Vec::new());
        Down::new(factor).process(&impulse, &mut low);
        let low: Vec<f32> = low.iter().map(|&s| f32::from(s)).collect();
        Up::new(factor).process(&low, &mut out);
        let peak = out.iter().enumerate().max_by_key(|(_, s)| s.unsigned_abs()).unwrap().0;
        assert!(peak <= limit, "{factor:?}: {peak} samples");
    }
}

#[test]
fn packets_of_every_usual_duration_are_taken() {
    for codec in [Codec::G722, Codec::Pcma, Codec::Pcmu] {
        let mut encoder = encoder(codec, &OpusSettings::default()).unwrap();
        let (mut stream, mut payload) = (Vec::new(), Vec::new());
        for frame in tone(700.0, 6000.0, 30 * FRAME).chunks_exact(FRAME) {
            encoder.encode(frame.try_into().unwrap(), &mut payload).unwrap();
            stream.extend_from_slice(&payload);
        }
        let mut reference = Vec::new();
        let mut decoder = super::decoder(codec).unwrap();
        stream.chunks(160).for_each(|p| drop(decoder.decode(p, &mut reference)));
        for milliseconds in [10, 20, 30, 40, 60] {
            let mut decoder = super::decoder(codec).unwrap();
            let mut out = Vec::new();
            for packet in stream.chunks_exact(8 * milliseconds) {
                assert_eq!(decoder.decode(packet, &mut out), Ok(48 * milliseconds));
            }
            assert!(reference.starts_with(&out), "{codec:?}, {milliseconds} ms");
        }
        assert_eq!(decoder.decode(&[], &mut reference), Err(Error::Length(0)));
        assert_eq!(decoder.decode(&[0; 961], &mut reference), Err(Error::Length(961)));
    }
}

#[test]
fn a_lost_packet_is_hidden_and_the_next_one_joins() {
    for codec in ALL {
        let sent = tone(400.0, 8000.0, 50 * FRAME);
        let out = round_trip(codec, &sent, |k| k == 30);
        let level = |from: usize, to: usize| {
            (out[from..to].iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / (to - from) as f64).sqrt()
        };
        let gap = level(30 * FRAME, 31 * FRAME);
        assert!(gap > 2500.0, "{codec:?}: {gap} in the gap");
        let steps = |from: usize, to: usize| {
            out[from..to].windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap()
        };
        let (usual, around) = (steps(20 * FRAME, 29 * FRAME), steps(29 * FRAME, 33 * FRAME));
        assert!(around < usual * 2, "{codec:?}: step of {around}, usually {usual}");
    }
}

#[test]
fn a_long_loss_fades_to_silence() {
    for codec in ALL {
        let out = round_trip(codec, &tone(400.0, 8000.0, 60 * FRAME), |k| k >= 30);
        let end = &out[58 * FRAME..];
        assert!(end.iter().all(|s| s.abs() < 100), "{codec:?}");
    }
}

#[test]
fn opus_fec_brings_back_a_word_that_began_in_the_lost_packet() {
    // 80 ms of a vowel every 200 ms; the packet it begins in is lost, so concealment alone has only silence to go on with.
    let begins = |k: usize| k % 10 == 5;
    let sound: Vec<i16> = (0..80 * FRAME)
        .map(|n| {
            let phase = TAU * 140.0 * n as f64 / 48_000.0;
            let vowel = (1..12).map(|h| 4000.0 / f64::from(h) * (f64::from(h) * phase).sin()).sum::<f64>();
            if (5..9).contains(&(n / FRAME % 10)) { vowel as i16 } else { 0 }
        })
        .collect();
    let mut encoder = OpusEncoder::new(&OpusSettings { kbps: 24, fec: true, loss_percent: 20 }).unwrap();
    let mut packets = Vec::new();
    for frame in sound.chunks_exact(FRAME) {
        let mut payload = Vec::new();
        encoder.encode(frame.try_into().unwrap(), &mut payload).unwrap();
        packets.push(payload);
    }
    let heard_with = |fec: bool| {
        let mut decoder = OpusDecoder::new().unwrap();
        let mut energy = 0.0;
        for (k, packet) in packets.iter().enumerate() {
            let mut out = Vec::new();
            match (begins(k), fec) {
                (false, _) => drop(decoder.decode(packet, &mut out).unwrap()),
                (true, false) => decoder.conceal(FRAME, &mut out),
                (true, true) => decoder.recover(&packets[k + 1], FRAME, &mut out),
            }
            assert_eq!(out.len(), FRAME);
            if begins(k) && k > 20 {
                energy += out.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>();
            }
        }
        energy
    };
    let (without, with) = (heard_with(false), heard_with(true));
    assert!(with > without * 10.0 + 1e9, "{with:.0} with FEC, {without:.0} without");
}

#[test]
fn opus_packets_of_other_durations_and_stereo_become_mono() {
    for (channels, samples) in [(1, 480), (1, 960), (1, 1920), (1, 2880), (2, 960)] {
        let kind = if channels == 1 { ::opus::Channels::Mono } else { ::opus::Channels::Stereo };
        let mut encoder = ::opus::Encoder::new(48_000, kind, ::opus::Application::Voip).unwrap();
        let sound = tone(500.0, 8000.0, samples * channels);
        let mut payload = vec![0; 4000];
        let length = encoder.encode(&sound, &mut payload).unwrap();
        let mut out = Vec::new();
        assert_eq!(OpusDecoder::new().unwrap().decode(&payload[..length], &mut out), Ok(samples));
    }
}

#[test]
fn junk_never_panics() {
    use rand::{RngExt, SeedableRng};
    let mut random = rand::rngs::StdRng::seed_from_u64(7);
    for codec in ALL {
        let mut decoder = decoder(codec).unwrap();
        let mut out = Vec::new();
        for _ in 0..2000 {
            let payload: Vec<u8> = (0..random.random_range(0..400)).map(|_| random.random()).collect();
            out.clear();
            let made = decoder.decode(&payload, &mut out).unwrap_or(0);
            assert_eq!(made, out.len(), "{codec:?}");
            if random.random_ratio(1, 10) {
                decoder.recover(&payload, random.random_range(0..7000), &mut out);
            }
            assert!(out.len() <= 2 * LONGEST);
        }
    }
}

#[test]
fn full_scale_does_not_wrap() {
    for codec in ALL {
        let square: Vec<i16> =
            (0..30 * FRAME).map(|n| if n / 120 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        let out = round_trip(codec, &square, |_| false);
        // Wrapping would turn the sign in the middle of a half wave.
        let jumps = out[10 * FRAME..]
            .windows(2)
            .filter(|w| (i32::from(w[1]) - i32::from(w[0])).abs() > 40_000)
            .count();
        assert_eq!(jumps, 0, "{codec:?}");
    }
}
