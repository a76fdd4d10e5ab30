use crate::common::shared;
use bytes::Bytes;
use cau_rtp::h264::nal::{kind, kind_of, split_annex_b};
use cau_rtp::h264::pps::Pps;
use cau_rtp::h264::sps::{Error, Sps};
use proptest::prelude::*;

fn sets(file: &str) -> Option<(Vec<Sps>, Vec<Pps>)> {
    let stream = shared(&format!("media/openh264-res/{file}"))?;
    let of = |k: u8| split_annex_b(&stream).filter(move |n| kind_of(n) == Some(k)).collect::<Vec<_>>();
    let sps = of(kind::SPS).iter().map(|n| Sps::parse(n)).collect::<Result<_, _>>();
    let pps = of(kind::PPS).iter().map(|n| Pps::parse(n)).collect::<Option<_>>();
    Some((sps.expect("sequence sets"), pps.expect("picture sets")))
}

#[test]
fn sizes_profiles_and_reordering_of_real_streams() {
    for (file, size, profile, reorder) in [
        ("Zhling_1280x720.264", (1280, 720), 66, Some(0)),
        ("Adobe_PDF_sample_a_1024x768_50Frms.264", (1024, 768), 66, Some(0)),
        ("VID_1920x1080_cavlc_temporal_direct.264", (1920, 1080), 100, Some(2)),
        ("BA_MW_D.264", (176, 144), 66, Some(0)),
        ("CVFC1_Sony_C.jsv", (300, 168), 66, Some(0)), // cropped on all sides,
    ] {
        let Some((sps, _)) = sets(file) else { return };
        let s = &sps[0];
        assert_eq!(
            ((s.width, s.height), s.profile, s.reorder_depth()),
            (size, profile, reorder),
            "{file}: {s:?}"
        );
    }
}

#[test]
fn flexible_macroblock_order_and_cabac_are_seen() {
    // No free clip uses it: id 0, sps 0, CAVLC, two slice groups.
    let fmo = Pps::parse(&[0x68, 0b1100_0101, 0x80]);
    assert_eq!(fmo.map(|p| (p.slice_groups, p.cabac)), Some((2, false)));
    let Some((_, pps)) = sets("test_qcif_cabac.264") else { return };
    assert!(pps.iter().all(|p| p.cabac && p.slice_groups == 1));
}

#[test]
fn every_stream_of_the_collection_has_readable_sets() {
    for file in
        ["SarVui.264", "MPS_MW_A.264", "test_scalinglist_jm.264", "jm_1080p_allslice.264", "Static.264"]
    {
        let Some((sps, pps)) = sets(file) else { return };
        assert!(!sps.is_empty() && !pps.is_empty(), "{file}");
        assert!(sps.iter().all(|s| s.macroblocks() * 256 >= s.width * s.height && s.chroma == 1));
    }
}

#[test]
fn macroblock_rates_are_what_the_levels_count() {
    let sps = Sps::parse(crate::h264::SPS).expect("set");
    assert_eq!((sps.width, sps.height, sps.macroblocks()), (640, 360, 40 * 23));
    assert_eq!(sps.macroblocks_per_second(30), 27_600);
    assert_eq!(sps.profile_level_id(), [0x42, 0xc0, 0x1f]);
}

#[test]
fn broken_sets_are_refused() {
    assert_eq!(Sps::parse(&[]), Err(Error::Short));
    assert_eq!(Sps::parse(&[0x68, 1, 2]), Err(Error::Kind));
    for n in 1..9 {
        assert!(Sps::parse(&crate::h264::SPS[..n]).is_err(), "{n}");
    }
    assert_eq!(Pps::parse(&[0x68]), None);
    assert_eq!(
        Pps::parse(crate::h264::PPS).map(|p| (p.id, p.sps, p.cabac, p.slice_groups)),
        Some((0, 0, false, 1))
    );
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let _ = Sps::parse(&[&[0x67], &bytes[..]].concat());
        let _ = Pps::parse(&[&[0x68], &bytes[..]].concat());
        let _ = cau_rtp::h264::nal::SliceHead::parse(&[&[0x65], &bytes[..]].concat());
        let _ = cau_rtp::h264::nal::has_recovery_point(&[&[0x06], &bytes[..]].concat());
        let _ = cau_rtp::h264::starts_key_frame(&bytes);
        prop_assert!(split_annex_b(&Bytes::from(bytes)).all(|n| !n.is_empty()));
    }
}
