//! The decoder against streams nobody here wrote, against damage and against junk.

use crate::common::{access_units, append_yuv, pattern, sha1, shared};
use bytes::Bytes;
use cau_codec::clip::Clip;
use cau_codec::video::decode::{Damage, Error, Limits};
use cau_codec::video::encode::{self, Kind, Profile, Settings};
use cau_codec::video::{Decode, Decoded, Decoder};
use rand::{RngExt, SeedableRng};

fn decoder() -> Decoder {
    Decoder::new(Limits::default()).unwrap()
}

/// All pictures of a stream in order of output, and the errors.
fn decode_all(decoder: &mut dyn Decode, units: &[Vec<Bytes>]) -> (Vec<Decoded>, Vec<Error>) {
    let (mut pictures, mut errors) = (Vec::new(), Vec::new());
    for (n, unit) in units.iter().enumerate() {
        match decoder.decode(unit, n as i64 * 3000) {
            Ok(picture) => pictures.extend(picture),
            Err(e) => errors.push(e),
        }
    }
    pictures.extend(decoder.flush());
    (pictures, errors)
}

#[test]
fn the_sum_of_sums_is_right() {
    assert_eq!(sha1(b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_eq!(sha1(&[b'a'; 119]), "ee971065aaa017e0632a8ca6c77bb3bf8b1dfc56");
    assert_eq!(sha1(b""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
}

/// Where libavcodec (its command line tool too) and OpenH264 differ: named in the data's MANIFEST.md, and two with temporal direct prediction.
const DIFFER: [&str; 7] = [
    "CVFC1_Sony_C.jsv",
    "Cisco_Men_whisper_640x320_CABAC_Bframe_9.264",
    "Cisco_Men_whisper_640x320_CAVLC_Bframe_9.264",
    "sps_subsetsps_bothVUI.264",
    "test_scalinglist_jm.264",
    "VID_1280x720_cavlc_temporal_direct.264",
    "VID_1920x1080_cavlc_temporal_direct.264",
];

/// B pictures without a word in the SPS how many to wait for: a decoder without delay drops them until it has learnt; one that may look ahead has them all.
const LOOK_AHEAD: [&str; 1] = ["Cisco_Adobe_PDF_sample_a_1024x768_CAVLC_Bframe_9.264"];

#[test]
fn conformance_streams_decode_to_the_published_sums() {
    let Some(list) = shared("media/openh264-res/expected-sha1.json") else { return };
    let sums: serde_json::Value = serde_json::from_slice(&std::fs::read(list).unwrap()).unwrap();
    let (mut agreed, mut wrong) = (0, Vec::new());
    for (name, sum) in sums.as_object().unwrap() {
        let Some(path) = shared(&format!("media/openh264-res/{name}")) else { continue };
        if DIFFER.contains(&name.as_str()) {
            continue;
        }
        let mut yuv = Vec::new();
        let mut trouble = String::new();
        if LOOK_AHEAD.contains(&name.as_str()) {
            Clip::open(&path).unwrap().for_each(|shot| append_yuv(&shot.unwrap().picture, &mut yuv));
        } else {
            let (pictures, errors) = decode_all(&mut decoder(), &access_units(&std::fs::read(path).unwrap()));
            pictures.iter().for_each(|p| append_yuv(&p.picture, &mut yuv));
            let damaged = pictures.iter().filter(|p| p.damage != Damage::None).count();
            // Streams named after losses and Error_I_P aside, nothing may be called damaged that is not.
            if damaged > 0 || !errors.is_empty() {
                trouble = format!("{damaged} of {} damaged, errors {errors:?}", pictures.len());
            }
        }
        if sum.as_str() == Some(&sha1(&yuv)) && trouble.is_empty() {
            agreed += 1;
        } else {
            wrong.push(format!("{name}: {trouble}"));
        }
    }
    assert!(wrong.is_empty() && agreed > 0, "{agreed} agree, but\n{}", wrong.join("\n"));
}

/// `count` access units of a moving pattern, key frame first.
fn encoded(settings: Settings, count: usize) -> Vec<Vec<Bytes>> {
    let (width, height, fps) = (settings.width, settings.height, settings.fps as i64);
    let mut encoder = encode::new(Kind::X264, settings).unwrap();
    let unit =
        |n: usize| encoder.encode(&pattern(width, height, n), n as i64 * 90_000 / fps, false).unwrap().nals;
    (0..count).map(unit).collect()
}

#[test]
fn a_picture_comes_out_with_each_access_unit_and_its_own_timestamp() {
    for profile in [Profile::ConstrainedBaseline, Profile::Main, Profile::High] {
        let mut decoder = decoder();
        let units = encoded(Settings { profile, ..Settings::new(320, 180, 30, 500) }, 30);
        for (n, unit) in units.iter().enumerate() {
            let decoded = decoder.decode(unit, n as i64).unwrap().expect("no delay");
            assert_eq!(
                (decoded.timestamp, decoded.key, decoded.damage),
                (n as i64, n == 0, Damage::None),
                "{profile:?}"
            );
        }
    }
}

#[test]
fn the_size_may_change_in_the_middle() {
    let mut decoder = decoder();
    for (width, height) in [(320, 180), (640, 480), (176, 144), (1280, 720)] {
        for (n, unit) in encoded(Settings::new(width, height, 30, 800), 5).iter().enumerate() {
            let decoded = decoder.decode(unit, n as i64).unwrap().unwrap();
            assert_eq!((decoded.picture.width(), decoded.picture.height()), (width, height));
            assert_eq!(decoded.damage, Damage::None);
        }
    }
}

#[test]
fn without_a_key_frame_nothing_comes_and_the_reason_is_said() {
    let units = encoded(Settings::new(320, 180, 30, 500), 10);
    let mut decoder = decoder();
    for unit in &units[1..] {
        let error = decoder.decode(unit, 0).unwrap_err();
        assert!(error.wants_key(), "{error}");
    }
    assert!(decoder.decode(&units[0], 0).unwrap().is_some());
    decoder.reset();
    assert_eq!(decoder.decode(&units[1], 0).unwrap_err(), Error::NoKey);
}

#[test]
fn a_lost_picture_is_told_until_the_next_key_frame() {
    let mut settings = Settings::new(320, 180, 30, 500);
    settings.key_interval = Some(10);
    let units = encoded(settings, 20);
    let mut decoder = decoder();
    for (n, unit) in units.iter().enumerate().filter(|(n, _)| *n != 4) {
        let damage = decoder.decode(unit, n as i64).unwrap().unwrap().damage;
        match n {
            0..4 | 10.. => assert_eq!(damage, Damage::None, "{n}"),
            _ => assert_ne!(damage, Damage::None, "{n}"),
        }
    }
}

#[test]
fn a_lost_slice_is_concealed_and_told() {
    let settings = Settings { max_nal_bytes: Some(500), ..Settings::new(640, 360, 30, 1500) };
    let units = encoded(settings, 10);
    let mut decoder = decoder();
    for (n, unit) in units.iter().enumerate() {
        let mut unit = unit.clone();
        if n == 5 {
            assert!(unit.len() > 3, "several slices");
            unit.remove(1);
        }
        let decoded = decoder.decode(&unit, n as i64).unwrap().unwrap();
        let wanted = match n {
            0..5 => Damage::None,
            5 => Damage::Concealed,
            _ => Damage::Inherited,
        };
        assert_eq!(decoded.damage, wanted, "{n}");
    }
}

#[test]
fn streams_with_lost_pictures_report_damage() {
    for name in ["BA_MW_D_IDR_LOST.264", "BA_MW_D_P_LOST.264", "Error_I_P.264"] {
        let Some(path) = shared(&format!("media/openh264-res/{name}")) else { return };
        let (pictures, errors) = decode_all(&mut decoder(), &access_units(&std::fs::read(path).unwrap()));
        let damaged = pictures.iter().filter(|p| p.damage != Damage::None).count();
        assert!(damaged > 0 || errors.iter().any(Error::wants_key), "{name}: {} pictures", pictures.len());
    }
}

#[test]
fn too_large_a_picture_is_refused_before_memory_is_taken() {
    let limits = Limits { max_width: 640, max_height: 360, max_bytes: 1 << 20 };
    let mut decoder = Decoder::new(limits).unwrap();
    let large = encoded(Settings::new(1280, 720, 30, 1000), 2);
    assert!(
        matches!(decoder.decode(&large[0], 0), Err(Error::Size { .. })),
        "{:?}",
        decoder.decode(&large[0], 0)
    );
    assert!(decoder.decode(&large[1], 0).is_err());
    let fits = encoded(Settings::new(640, 360, 30, 1000), 1);
    assert!(decoder.decode(&fits[0], 0).unwrap().is_some(), "goes on with what fits");
    let upright = encoded(Settings::new(360, 640, 30, 1000), 1);
    assert!(decoder.decode(&upright[0], 0).unwrap().is_some(), "upright has as many pixels");
}

#[test]
fn an_endless_access_unit_is_refused() {
    let long = Bytes::from(vec![0x65; 3 << 20]);
    assert!(matches!(decoder().decode(&[long], 0), Err(Error::TooLong(_))));
}

/// A stream made once by the tests' x264 and changed at random: 10,000 access units, none may panic, abort or hang.
#[test]
fn ten_thousand_damaged_access_units() {
    let mut random = rand::rngs::StdRng::seed_from_u64(20_211_013);
    let mut sources = Vec::new();
    for (profile, nal) in
        [(Profile::ConstrainedBaseline, None), (Profile::High, Some(500)), (Profile::Main, None)]
    {
        let settings = Settings { profile, max_nal_bytes: nal, ..Settings::new(176, 144, 30, 200) };
        sources.push(encoded(settings, 20));
    }
    let mut done = 0;
    let (mut shown, mut told) = (0, 0);
    while done < 10_000 {
        let mut decoder = decoder();
        let source = &sources[random.random_range(0..sources.len())];
        for unit in source {
            let hurt: Vec<Bytes> = unit.iter().map(|nal| mutate(nal, &mut random)).collect();
            match decoder.decode(&hurt, done) {
                Ok(Some(decoded)) => {
                    shown += 1;
                    told += usize::from(decoded.damage != Damage::None);
                }
                Ok(None) => {}
                Err(_) => told += 1,
            }
            done += 1;
        }
        decoder.flush();
    }
    assert!(shown > 1000 && told > 1000, "{shown} shown, {told} told");
}

fn mutate(nal: &Bytes, random: &mut rand::rngs::StdRng) -> Bytes {
    let mut bytes = nal.to_vec();
    match random.random_range(0..5) {
        0 => bytes.truncate(random.random_range(0..=bytes.len())),
        1 => {
            for _ in 0..random.random_range(1..8) {
                let at = random.random_range(0..bytes.len());
                bytes[at] ^= 1 << random.random_range(0..8);
            }
        }
        2 => {
            let at = random.random_range(0..bytes.len());
            bytes[at..].iter_mut().for_each(|b| *b = random.random());
        }
        _ => {}
    }
    Bytes::from(bytes)
}

#[test]
fn junk_stays_within_bounds() {
    let mut random = rand::rngs::StdRng::seed_from_u64(1);
    let mut decoder = decoder();
    for n in 0..2000 {
        let mut junk: Vec<u8> = (0..random.random_range(0..300)).map(|_| random.random()).collect();
        if let Some(first) = junk.first_mut() {
            *first = [0x67, 0x68, 0x65, 0x41, *first][random.random_range(0..5)];
        }
        if let Ok(Some(decoded)) = decoder.decode(&[Bytes::from(junk)], n) {
            // Junk can happen to be a parameter set and a slice of a tiny picture; it stays within bounds.
            assert!(decoded.picture.width() <= 1920 && decoded.picture.height() <= 1920);
        }
    }
}
