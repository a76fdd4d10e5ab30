//! Both encoders: what comes out can be decoded by everybody, holds its limits and looks like what went in.

use crate::common::{pattern, psnr, shared};
use cau_codec::video::decode::{Damage, Limits};
use cau_codec::video::encode::{self, Error, Kind, Profile, Settings};
use cau_codec::video::{Decode, Decoder, Image};

const BOTH: [Kind; 2] = [Kind::X264, Kind::OpenH264];

#[test]
fn encoded_and_decoded_it_looks_the_same() {
    for kind in BOTH {
        for profile in [Profile::ConstrainedBaseline, Profile::Main, Profile::High] {
            let mut encoder =
                encode::new(kind, Settings { profile, ..Settings::new(640, 360, 30, 1000) }).unwrap();
            let mut decoder = Decoder::new(Limits::default()).unwrap();
            let mut worst = f64::MAX;
            for n in 0..30 {
                let canvas = pattern(640, 360, n);
                let encoded = encoder.encode(&canvas, n as i64 * 3000, false).unwrap();
                assert_eq!(encoded.key, n == 0, "{kind:?}: key frames only when asked");
                let decoded = decoder.decode(&encoded.nals, 0).unwrap().expect("no delay");
                assert_eq!(decoded.damage, Damage::None);
                if n > 10 {
                    worst = worst.min(psnr(&canvas, &decoded.picture));
                }
            }
            assert!(worst > 34.0, "{kind:?} {profile:?}: {worst:.1} dB");
        }
    }
}

#[test]
fn parameter_sets_stand_before_each_key_frame_and_say_what_was_asked() {
    for kind in BOTH {
        for (profile, idc) in [(Profile::ConstrainedBaseline, 66), (Profile::Main, 77), (Profile::High, 100)]
        {
            let mut encoder =
                encode::new(kind, Settings { profile, ..Settings::new(1280, 720, 30, 1500) }).unwrap();
            for n in 0..6 {
                let encoded = encoder.encode(&pattern(1280, 720, n), n as i64 * 3000, n == 3).unwrap();
                let kinds: Vec<u8> = encoded.nals.iter().map(|n| n[0] & 31).collect();
                assert_eq!(encoded.key, n == 0 || n == 3, "{kind:?}");
                if !encoded.key {
                    assert!(kinds.iter().all(|&k| k == 1), "{kind:?}: {kinds:?}");
                    continue;
                }
                assert_eq!(kinds[..3], [7, 8, 5], "{kind:?}");
                assert!(kinds[2..].iter().all(|&k| k == 5));
                let sps = &encoded.nals[0];
                assert_eq!(sps[1], idc, "{kind:?} profile_idc");
                assert!(
                    profile != Profile::ConstrainedBaseline || sps[2] & 0x40 != 0,
                    "{kind:?} constraint_set1_flag"
                );
                assert!(sps[3] <= 32, "{kind:?}: level_idc {} for 720p30", sps[3]);
            }
        }
    }
}

#[test]
fn a_level_asked_for_is_announced() {
    for kind in BOTH {
        let mut encoder =
            encode::new(kind, Settings { level: Some(31), ..Settings::new(320, 180, 15, 300) }).unwrap();
        let encoded = encoder.encode(&pattern(320, 180, 0), 0, false).unwrap();
        assert_eq!(encoded.nals[0][3], 31, "{kind:?}");
    }
}

#[test]
fn nal_units_stay_below_the_limit_of_packetization_mode_0() {
    for kind in BOTH {
        for limit in [500, 700, 1200] {
            let settings = Settings { max_nal_bytes: Some(limit), ..Settings::new(640, 360, 30, 1500) };
            let mut encoder = encode::new(kind, settings).unwrap();
            let mut decoder = Decoder::new(Limits::default()).unwrap();
            for n in 0..20 {
                let encoded = encoder.encode(&pattern(640, 360, n), n as i64 * 3000, n == 10).unwrap();
                let longest = encoded.nals.iter().map(|n| n.len()).max().unwrap();
                assert!(longest <= limit, "{kind:?}: {longest} bytes for {limit}");
                assert_eq!(decoder.decode(&encoded.nals, 0).unwrap().unwrap().damage, Damage::None);
            }
        }
    }
}

#[test]
fn the_bitrate_can_be_changed_without_a_key_frame() {
    for kind in BOTH {
        let mut encoder = encode::new(kind, Settings::new(640, 360, 30, 1200)).unwrap();
        let noisy = |n: usize| {
            let mut canvas = pattern(640, 360, n * 3);
            let mut state = n as u32;
            let planes = canvas.planes_mut();
            let [luma, _, _] = planes.data;
            for p in luma.iter_mut() {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *p = p.saturating_add((state >> 28) as u8);
            }
            canvas
        };
        let mut second = |from: usize, kbps: Option<u32>| {
            kbps.iter().for_each(|&k| encoder.set_bitrate(k).unwrap());
            let mut bytes = 0;
            for n in from..from + 60 {
                let encoded = encoder.encode(&noisy(n), n as i64 * 3000, false).unwrap();
                assert_eq!(encoded.key, n == 0);
                bytes += if n >= from + 30 { encoded.len() } else { 0 };
            }
            bytes * 8 / 1000
        };
        let (high, low, back) = (second(0, None), second(60, Some(300)), second(120, Some(1200)));
        assert!((200..400).contains(&low), "{kind:?}: {low} kbit/s at 300");
        assert!(
            (900..1500).contains(&high) && (900..1500).contains(&back),
            "{kind:?}: {high}, {back} at 1200"
        );
        assert_eq!(encoder.settings().kbps, 1200);
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for kind in BOTH {
        let good = Settings::new(640, 360, 30, 1000);
        for bad in [
            Settings { width: 641, ..good.clone() },
            Settings { width: 0, ..good.clone() },
            Settings { height: 4000, ..good.clone() },
            Settings { fps: 0, ..good.clone() },
            Settings { kbps: 1, ..good.clone() },
            Settings { max_nal_bytes: Some(10), ..good.clone() },
            Settings { key_interval: Some(0), ..good.clone() },
        ] {
            assert!(matches!(encode::new(kind, bad), Err(Error::Settings(_))));
        }
        let mut encoder = encode::new(kind, good).unwrap();
        let wrong = encoder.encode(&pattern(320, 180, 0), 0, false);
        assert!(matches!(wrong, Err(Error::PictureSize { .. })));
        assert!(encoder.encode(&pattern(640, 360, 0), 0, false).unwrap().key, "and goes on");
        encoder.encode(&pattern(640, 360, 1), 0, false).expect("time that stands is mended");
    }
}

#[test]
fn a_picture_of_the_decoder_goes_into_the_encoder_as_it_is() {
    for kind in BOTH {
        let mut first = encode::new(Kind::X264, Settings::new(320, 180, 30, 2000)).unwrap();
        let mut decoder = Decoder::new(Limits::default()).unwrap();
        let mut second = encode::new(kind, Settings::new(320, 180, 30, 2000)).unwrap();
        for n in 0..10 {
            let nals = first.encode(&pattern(320, 180, n), n as i64 * 3000, false).unwrap().nals;
            let picture = decoder.decode(&nals, 0).unwrap().unwrap().picture;
            assert!(!second.encode(&picture, n as i64 * 3000, false).unwrap().is_empty());
        }
    }
}

/// The rule of the house for lines of 2 Mbit/s, on the default encoder and natural pictures: each key frame within 250 ms at the rate, no second above
/// 110 %.
#[test]
fn the_default_encoder_holds_its_rate_on_people_walking() {
    let Some(path) = shared("media/people/opencv-vtest.avi") else { return };
    let kbps = 1000;
    let mut encoder = encode::new(Kind::default(), Settings::new(768, 576, 30, kbps)).unwrap();
    let mut sizes = Vec::new();
    for (n, shot) in cau_codec::clip::Clip::open(&path).unwrap().take(150).enumerate() {
        let shot = shot.unwrap();
        assert_eq!((shot.picture.width(), shot.picture.height()), (768, 576));
        let encoded = encoder.encode(&shot.picture, n as i64 * 3000, n % 70 == 69).unwrap();
        assert!(shot.picture.planes().rows(0) == 576);
        if encoded.key {
            let ms = encoded.len() * 8 / kbps as usize;
            assert!(ms <= 250, "key frame {n} takes {ms} ms");
        }
        sizes.push(encoded.len());
    }
    let worst = sizes.windows(30).map(|w| w.iter().sum::<usize>() * 8 / 1000).max().unwrap();
    assert!(worst <= kbps as usize * 110 / 100, "worst second {worst} kbit");
}
