//! Layouts as receivers see them: every seat in its place, one over the other, fitted or filled; logo, clock, message.

use std::{fmt::Write, path::Path, sync::Arc};

use crate::common::{
    CANVAS, Endpoint, World,
    endpoint::{COLOURS, at, is},
    ms, p,
};
use cau_codec::{draw::Logo, video::Colour};
use cau_mixer::command::Emblem;
use cau_model::{
    layout::{Custom, Kind, Name, Piece, Share},
    ornament::{Clock, Corner, Edge, Message, Motion},
    scene::{Card, Fit},
};

/// Sites that send their colours; the first sees.
fn hall(sites: u64) -> World {
    let mut world = World::new();
    world.join(Endpoint::new(1));
    for n in 2..=sites {
        let mut site = Endpoint::new(n);
        site.blind = true;
        world.join(site);
    }
    world
}

/// What site 1 sees on a raster of 20 pixels: the number of the colour (that of seat 0 is 1), `.` black, `#` white, `?` anything else.
fn raster(world: &World) -> String {
    let (_, picture) = world.at(1).received.pictures.last().expect("a picture");
    let mut out = String::new();
    for y in (10..CANVAS.1).step_by(20) {
        for x in (10..CANVAS.0).step_by(20) {
            let seen = at(picture, x, y);
            let colour = COLOURS.iter().position(|&(r, g, b)| is(seen, Colour::rgb(r, g, b)));
            let _ = match colour {
                Some(n) => write!(out, "{}", n + 1),
                None if is(seen, Colour::BLACK) => write!(out, "."),
                None if is(seen, Colour::WHITE) => write!(out, "#"),
                None => write!(out, "?"),
            };
        }
        out.push('\n');
    }
    out
}

fn file(tiles: &[(u16, u16, u16, u16)], background: (u8, u8, u8)) -> Arc<Custom> {
    let pieces = tiles.iter().map(|&(x, y, w, h)| Piece { share: Share { x, y, w, h }, fit: None }).collect();
    Arc::new(Custom::new(Name::new("thu").unwrap(), None, background, pieces).unwrap())
}

#[test]
fn golden_pictures_of_every_layout() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/layouts.txt");
    let golden = std::fs::read_to_string(golden).unwrap();
    let mut world = hall(13);
    let mut all = String::new();
    let names = ["full", "side-by-side", "pip", "1+5", "1+7", "2+8", "1+12", "3x2", "grid"];
    for name in names {
        let kind: Kind = name.parse().unwrap();
        let count = if kind == Kind::Grid { 5 } else { kind.max_seats() };
        let sites: Vec<u64> = (1..=count as u64).collect();
        world.show(kind, &sites);
        world.run(ms(1200));
        let _ = write!(all, "{name}\n{}\n", raster(&world));
    }
    // A file: the third tile lies over the two before it, yellow is behind.
    let custom =
        file(&[(0, 0, 6000, 10_000), (6500, 1000, 3500, 8000), (4500, 3500, 3000, 3000)], COLOURS[3]);
    world.show_changed(Kind::Custom(custom.name()), &[1, 2, 3], |scene| scene.custom = Some(custom));
    world.run(ms(1200));
    let _ = write!(all, "custom\n{}\n", raster(&world));
    assert!(all == golden, "the layouts look like this now:\n{all}");
    assert_eq!(world.at(1).received.broken, 0);
}

#[test]
fn an_empty_small_seat_does_not_hide_what_lies_under_it() {
    let mut world = hall(2);
    world.show_changed(Kind::Pip, &[2, 1], |scene| {
        scene.tiles[1].participant = None;
        scene.tiles[1].card = Card::Empty;
    });
    world.run(ms(1500));
    let inset = cau_model::layout::tiles(Kind::Pip, 0, CANVAS)[1];
    let middle = (inset.x + inset.w / 2, inset.y + inset.h / 2);
    assert!(is(world.at(1).seen(middle.0, middle.1).unwrap(), world.at(2).colour()));
    world.show(Kind::Pip, &[2, 1]);
    world.run(ms(1000));
    assert!(is(world.at(1).seen(middle.0, middle.1).unwrap(), world.at(1).colour()));
    let frame = world.at(1).seen(inset.x, inset.y + inset.h / 2).unwrap();
    assert!(
        !is(frame, world.at(1).colour()) && !is(frame, world.at(2).colour()),
        "a frame between: {frame:?}"
    );
}

#[test]
fn pictures_of_another_shape_are_fitted_or_fill() {
    let mut world = hall(1);
    world.at_mut(1).change_size((320, 240));
    let side = |world: &World| world.at(1).seen(10, 180).unwrap();
    world.show(Kind::Full, &[1]);
    world.run(ms(1500));
    assert!(is(side(&world), Colour::BLACK), "a border beside 4:3");
    world.show_changed(Kind::Full, &[1], |scene| scene.tiles[0].fit = Fit::Fill);
    world.run(ms(1000));
    assert!(is(side(&world), world.at(1).colour()), "cut above and below instead");
}

#[test]
fn a_lost_site_is_a_card_in_its_seat() {
    let mut world = hall(3);
    let kind = Kind::Equal { cols: 2, rows: 1 };
    world.show(kind, &[2, 3]);
    world.run(ms(1500));
    world.leave(p(3));
    world.show_changed(kind, &[2, 3], |scene| scene.tiles[1].card = Card::Reconnecting);
    world.run(ms(1000));
    let right = cau_model::layout::tiles(kind, 2, CANVAS)[1];
    let seen = world.at(1).seen(right.x + 20, right.y + 20).unwrap();
    assert!(seen.0 < 70 && seen.1.abs_diff(128) < 14, "a dark card: {seen:?}");
    let name = (right.x..right.x + right.w)
        .any(|x| world.at(1).seen(x, right.y + right.h * 68 / 100).unwrap().0 > 150);
    assert!(name, "with its name");
    assert!(is(world.at(1).seen(160, 180).unwrap(), world.at(2).colour()), "the other is not touched");
}

#[test]
fn who_comes_next_is_decoded_before_and_shown_at_once() {
    let mut world = hall(3);
    world.show(Kind::Full, &[2]);
    world.run(ms(3500));
    assert_eq!(world.totals.decoders, 1);
    world.show_changed(Kind::Full, &[2], |scene| scene.prepare = vec![p(3)]);
    world.run(ms(1500));
    assert_eq!(world.totals.decoders, 2, "nobody sees it yet");
    assert!(is(world.at(1).seen(320, 180).unwrap(), world.at(2).colour()));
    world.show(Kind::Full, &[3]);
    assert!(world.run_until(ms(80), |w| w.at(1).seen(320, 180).is_some_and(|c| is(c, w.at(3).colour()))));
    assert_eq!(world.at(1).received.broken, 0);
}

/// Pictures that came to site 1 in that time, and how many of them differ from the one before in the square at (x, y).
fn pictures(world: &mut World, time: u64, (x, y): (u32, u32)) -> (usize, usize) {
    world.at_mut(1).received.keep_all();
    let before = world.at(1).received.pictures.len();
    world.run(ms(time));
    let new = &world.at(1).received.pictures[before - 1..];
    let square = |n: usize| -> Vec<u8> {
        (0..24)
            .flat_map(|dy| (0..60).map(move |dx| (dx, dy)))
            .map(|(dx, dy)| at(&new[n].1, x + dx, y + dy).0)
            .collect()
    };
    let differs = |a: &[u8], b: &[u8]| a.iter().zip(b).filter(|(a, b)| a.abs_diff(**b) > 60).count() > 8;
    let changes = (1..new.len()).filter(|n| differs(&square(n - 1), &square(*n))).count();
    (new.len() - 1, changes)
}

#[test]
fn the_clock_goes_on_without_a_quicker_cadence() {
    let mut world = hall(1);
    world.at_mut(1).camera = false;
    world.show_changed(Kind::Full, &[1], |scene| {
        scene.tiles[0].card = Card::SoundOnly;
        scene.ornaments.clock = Some(Clock { place: Corner::UpperLeft, ..Clock::default() });
    });
    world.run(ms(3500));
    // The seconds stand right of hours and minutes.
    let (count, changes) = pictures(&mut world, 6_000, (70, 12));
    assert!((24..=34).contains(&count), "five pictures a second: {count}");
    assert!((5..=7).contains(&changes), "a change a second: {changes}");
}

#[test]
fn a_message_runs_smoothly_and_a_still_one_stands() {
    let mut world = hall(1);
    world.at_mut(1).camera = false;
    let message = |motion| Message {
        text: "Họp lại lúc 14 giờ 30 phút".into(),
        motion,
        place: Edge::Bottom,
        viewers: None,
    };
    let show = |world: &mut World, motion| {
        world.show_changed(Kind::Full, &[1], |scene| {
            scene.tiles[0].card = Card::SoundOnly;
            scene.ornaments.message = Some(Arc::new(message(motion)));
        });
    };
    show(&mut world, Motion::Still);
    world.run(ms(3000));
    let (count, changes) = pictures(&mut world, 2_000, (290, 334));
    assert!(count <= 12 && changes == 0, "{count} {changes}");
    show(&mut world, Motion::Scroll);
    world.run(ms(8000));
    let (count, changes) = pictures(&mut world, 2_000, (290, 334));
    assert!(count >= 55 && changes >= 20, "{count} {changes}");
}

#[test]
fn the_logo_stands_in_its_corner_where_it_is_wanted() {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 40, 40);
    encoder.set_color(png::ColorType::Rgba);
    encoder.write_header().unwrap().write_image_data(&[255, 0, 0, 255].repeat(1600)).unwrap();
    let logo = Arc::new(Logo::from_png(&file).unwrap());
    let mut world = World::adorned(Emblem { logo, place: Corner::LowerRight, height: 0.2 });
    world.join(Endpoint::new(3));
    world.show_changed(Kind::Full, &[3], |scene| scene.ornaments.logo = true);
    world.run(ms(1500));
    let red = Colour::rgb(255, 0, 0);
    // 72 pixels high and wide, 10 from both edges.
    assert!(is(world.at(3).seen(594, 314).unwrap(), red));
    for (x, y) in [(550, 314), (594, 270), (636, 314)] {
        assert!(is(world.at(3).seen(x, y).unwrap(), world.at(3).colour()), "{x} {y}");
    }
    world.show(Kind::Full, &[3]);
    world.run(ms(1000));
    assert!(is(world.at(3).seen(594, 314).unwrap(), world.at(3).colour()));
}
