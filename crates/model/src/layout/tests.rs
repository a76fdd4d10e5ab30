use proptest::prelude::*;

use super::*;

const HD: (u32, u32) = (1280, 720);

fn kind(name: &str) -> Kind {
    name.parse().unwrap()
}

fn flat(name: &str, sites: usize, canvas: (u32, u32)) -> Vec<(u32, u32, u32, u32)> {
    tiles(kind(name), sites, canvas).iter().map(|r| (r.x, r.y, r.w, r.h)).collect()
}

fn every_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Full),
        Just(Kind::Grid),
        Just(Kind::OnePlus5),
        Just(Kind::OnePlus7),
        Just(Kind::TwoPlus8),
        Just(Kind::OnePlus12),
        Just(Kind::SideBySide),
        Just(Kind::Lecture),
        (1..=5u8, 1..=5u8).prop_map(|(cols, rows)| Kind::Equal { cols, rows }),
    ]
}

proptest! {
    #[test]
    fn tiles_lie_on_the_canvas_are_even_and_never_overlap(
        kind in every_kind(), sites in 0..200usize, w in 2..2000u32, h in 2..1200u32,
    ) {
        let rects = tiles(kind, sites, (w, h));
        prop_assert!(rects.len() == kind.seats(sites) || kind == Kind::Lecture);
        for (i, a) in rects.iter().enumerate() {
            prop_assert!(a.x + a.w <= w && a.y + a.h <= h, "{:?}", a);
            prop_assert!([a.x, a.y, a.w, a.h].iter().all(|n| n % 2 == 0), "{:?}", a);
            for b in &rects[i + 1..] {
                let apart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
                prop_assert!(apart, "{:?} {:?}", a, b);
            }
        }
    }

    #[test]
    fn tiles_are_sixteen_to_nine_and_the_largest_come_first(
        kind in every_kind(), sites in 1..64usize, w in 160..1921u32, h in 160..1081u32,
    ) {
        let rects = tiles(kind, sites, (w, h));
        prop_assert!(rects.windows(2).all(|pair| pair[0].w >= pair[1].w));
        if !matches!(kind, Kind::Full | Kind::Lecture) {
            for r in rects {
                // Within the two pixels that even numbers cost, for each cell a large tile is made of.
                let off = (f64::from(r.w) - f64::from(r.h) * 16.0 / 9.0).abs();
                prop_assert!(off <= 4.0 * 32.0 / 9.0, "{:?}", r);
            }
        }
    }
}

#[test]
fn golden_tables_at_720p() {
    assert_eq!(flat("full", 5, HD), [(0, 0, 1280, 720)]);
    assert_eq!(flat("grid", 1, HD), [(0, 0, 1280, 720)]);
    assert_eq!(flat("grid", 2, HD), [(0, 180, 640, 360), (640, 180, 640, 360)]);
    assert_eq!(flat("grid", 3, HD), [(0, 0, 640, 360), (640, 0, 640, 360), (320, 360, 640, 360)]);
    assert_eq!(
        flat("grid", 5, HD),
        [
            (0, 120, 426, 240),
            (426, 120, 426, 240),
            (852, 120, 426, 240),
            (212, 360, 426, 240),
            (638, 360, 426, 240)
        ]
    );
    assert_eq!(
        flat("1+5", 0, HD),
        [
            (0, 0, 852, 480),
            (852, 0, 426, 240),
            (852, 240, 426, 240),
            (0, 480, 426, 240),
            (426, 480, 426, 240),
            (852, 480, 426, 240)
        ]
    );
    assert_eq!(flat("side-by-side", 9, HD), [(0, 180, 640, 360), (640, 180, 640, 360)]);
    let around = flat("1+12", 0, HD);
    assert_eq!(around.len(), 13);
    assert_eq!(around[0], (320, 180, 640, 360));
    assert_eq!(around[5], (0, 180, 320, 180), "row two, left of the middle");
    assert_eq!(around[6], (960, 180, 320, 180), "row two, right of the middle");
    let double = flat("2+8", 0, HD);
    assert_eq!(double[..2], [(0, 0, 640, 360), (640, 0, 640, 360)]);
    assert_eq!(double[2], (0, 360, 320, 180));
    assert_eq!(flat("1+7", 0, HD)[0], (0, 0, 960, 540));
}

#[test]
fn columns_are_the_root_rounded_up() {
    let columns_of = |n| {
        let rects = tiles(Kind::Grid, n, HD);
        rects.iter().filter(|r| r.y == rects[0].y).count()
    };
    for (n, cols) in [(1, 1), (2, 2), (4, 2), (5, 3), (9, 3), (10, 4), (16, 4), (17, 5), (25, 5), (26, 6)] {
        assert_eq!(columns_of(n), cols, "{n} sites");
    }
    assert_eq!(tiles(Kind::Grid, 3_400, HD).len(), GRID_MAX);
}

#[test]
fn fixed_grids_keep_their_empty_seats() {
    assert_eq!(tiles(kind("4x4"), 2, HD).len(), 16);
    assert_eq!(flat("4x4", 2, HD)[15], (960, 540, 320, 180));
    assert_eq!(flat("1x2", 2, HD), [(320, 0, 640, 360), (320, 360, 640, 360)]);
}

#[test]
fn old_canvases_are_filled_with_wide_tiles() {
    // CIF, 11:9.
    assert_eq!(flat("2x2", 4, (352, 288))[0], (0, 44, 176, 100));
}

#[test]
fn names_of_layouts_go_both_ways() {
    for name in [
        "full",
        "grid",
        "2x1",
        "3x2",
        "5x5",
        "1x2",
        "1+5",
        "1+7",
        "2+8",
        "1+12",
        "side-by-side",
        "pip",
        "lecture",
        "giao-ban_2",
    ] {
        assert_eq!(kind(name).to_string(), name);
    }
}

#[test]
fn the_small_picture_lies_over_the_large_one_in_its_lower_right_corner() {
    assert_eq!(flat("pip", 9, HD), [(0, 0, 1280, 720), (930, 510, 320, 180)]);
    assert_eq!(flat("pip", 9, (640, 360))[1], (466, 256, 160, 90));
    assert_eq!(flat("lecture", 9, HD), [(0, 0, 1280, 720)]);
}

fn custom(tiles: &[(u16, u16, u16, u16)]) -> Result<Custom, Wrong> {
    let pieces = tiles.iter().map(|&(x, y, w, h)| Piece { share: Share { x, y, w, h }, fit: None }).collect();
    Custom::new(Name::new("giao-ban").unwrap(), None, (0, 0, 0), pieces)
}

#[test]
fn tiles_of_a_file_touch_on_every_canvas() {
    let thirds = custom(&[(0, 0, 3333, 10_000), (3333, 0, 3333, 10_000), (6666, 0, 3334, 10_000)]).unwrap();
    let layouts: Layouts = [thirds].into_iter().collect();
    let layout = layouts.find(kind("giao-ban")).unwrap();
    for canvas in [HD, (1920, 1080), (848, 480), (640, 360), (512, 288), (320, 180), (160, 90)] {
        let rects = layout.tiles(0, canvas);
        assert!(rects.windows(2).all(|pair| pair[0].x + pair[0].w == pair[1].x), "{canvas:?} {rects:?}");
        assert_eq!(rects[2].x + rects[2].w, canvas.0);
        assert!(rects.iter().all(|r| r.w.abs_diff(canvas.0 / 3) <= 2 && r.h == canvas.1 & !1));
    }
    assert!(!layout.is_equal(), "one is a hair wider");
    assert_eq!(
        (layout.seats(9), layouts.find(kind("khac")), layouts.find(Kind::Grid).is_some()),
        (3, None, true)
    );
}

#[test]
fn what_makes_no_layout_is_told_with_its_tile_and_its_remedy() {
    let wrong = |tiles: &[(u16, u16, u16, u16)]| {
        let wrong = custom(tiles).unwrap_err();
        (wrong.tile, wrong.words.en)
    };
    let ok = (0, 0, 5000, 5000);
    assert_eq!(wrong(&[]).0, None);
    assert!(wrong(&[ok; 65]).1.contains("1 to 64 tiles"));
    let (tile, words) = wrong(&[ok, (6000, 0, 6000, 5000)]);
    assert_eq!(tile, Some(1));
    assert!(words.contains("x + w = 1.2000") && words.contains("w at most 0.4"), "{words}");
    assert!(wrong(&[(0, 9000, 5000, 5000)]).1.contains("make h at most 0.1"));
    assert!(wrong(&[(0, 0, 100, 5000)]).1.contains("at least 0.02"));
}

#[test]
fn what_does_not_exist_is_refused_with_what_does() {
    for name in ["", "1x1", "0x2", "6x6", "22x1", "2X2", "Grid", "1+6", "+x+", "a\u{0}b", "-a", "họp"] {
        let Err(Refusal::Invalid { field, words }) = name.parse::<Kind>() else { panic!("{name}") };
        assert_eq!(field, "layout");
        assert!(words.en.contains("1+5") && words.vi.contains("1+5"), "{words:?}");
    }
}
