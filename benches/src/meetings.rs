//! Meetings of all sizes, each beside the bare cost of its work.

use cau_codec::audio;
use cau_load::Codec;

use crate::{
    bare,
    phones::Cast,
    room::{Meeting, Outcome, hold},
    rows::{Row, quantile},
};

/// Until everybody is passed on to and the decoder that served those who joined has ended.
const PASSED_ON: u64 = 20;

/// What every meeting is asked.
fn quality(name: &str, meeting: &Meeting, it: &Outcome) -> Vec<Row> {
    let mut rows = vec![
        Row::new(format!("{name}: CPU of the callers themselves"), it.own_cpu, "cores"),
        Row::new(format!("{name}: callers connected"), it.connected as f64, ""),
        Row::new(format!("{name}: packets of sound lost, all receivers"), it.lost.0 as f64, ""),
        Row::new(
            format!("{name}: packets of sound per second, least of all receivers"),
            it.least_sound,
            "1/s",
        ),
        Row::new(format!("{name}: memory of the bridge"), it.memory_mb.1, "MB"),
        Row::new(format!("{name}: callers themselves late by, most"), it.late_ms, "ms"),
    ];
    if meeting.pictures {
        rows.push(Row::new(format!("{name}: pictures per second, slowest receiver"), it.slowest_fps, "1/s"));
        rows.push(Row::new(format!("{name}: packets of pictures lost, all receivers"), it.lost.1 as f64, ""));
        rows.push(Row::new(format!("{name}: pictures with parts missing"), it.damaged as f64, ""));
        rows.push(Row::new(format!("{name}: receivers passed on to"), it.forwarded as f64, ""));
    }
    rows
}

/// `callers` who all see one of them, whom the operator has chosen: passed on, nothing decoded.
pub fn full(callers: usize) -> Vec<Row> {
    let bare = bare::packets(audio::Codec::Pcma).of(callers, callers, true);
    let meeting = Meeting { speaker: true, settle: PASSED_ON, ..Meeting::new("full", callers) };
    let it = hold(&Cast::new(), &meeting);
    let name = format!("{callers} callers, one full screen");
    let mut rows = vec![Row::beside(format!("{name}: CPU"), it.cpu, "cores", bare)];
    rows.extend(quality(&name, &meeting, &it));
    rows
}

/// `callers` of whom three speak in turn and are shown by their voice.
pub fn switched(callers: usize) -> Vec<Row> {
    let bare = bare::packets(audio::Codec::Pcma).of(callers, 3, true);
    let meeting =
        Meeting { talkers: 3, speech: true, settle: PASSED_ON, seconds: 24, ..Meeting::new("full", callers) };
    let it = hold(&Cast::new(), &meeting);
    let name = format!("{callers} callers, voice-switched, 3 talk");
    let mut rows = vec![Row::beside(format!("{name}: CPU"), it.cpu, "cores", bare)];
    rows.extend(quality(&name, &meeting, &it));
    rows
}

/// `callers` in one conference at 50 calls a second, one passed on to all at 2 Mbit/s, all others sending 1 Mbit/s, three talk, one in 50 decodes.
pub fn large(callers: usize, seconds: u64) -> Vec<Row> {
    let bare = bare::packets(audio::Codec::Pcma).of(callers, 3, true);
    let meeting = Meeting {
        talkers: 3,
        speaker: true,
        decode_every: 50,
        glimpse: 10,
        rate: 50.0,
        settle: PASSED_ON,
        seconds,
        ..Meeting::new("full", callers)
    };
    let it = hold(&Cast::new(), &meeting);
    let name = format!("{callers} callers in one conference");
    let both = it.cpu + it.own_cpu;
    let mut rows = vec![
        Row::beside(format!("{name}: CPU of bridge and callers"), both, "cores", 2.0 * bare),
        Row::beside(format!("{name}: CPU of the bridge"), it.cpu, "cores", bare),
        Row::new(format!("{name}: all calls up after"), it.dialled_s, "s"),
        Row::new(format!("{name}: packets all receivers got in {seconds} s"), it.packets as f64, ""),
        Row::new(
            format!("{name}: memory per caller"),
            (it.memory_mb.1 - it.memory_mb.0) / callers as f64,
            "MB",
        ),
    ];
    rows.extend(quality(&name, &meeting, &it));
    rows
}

/// Sixteen callers of whom four are seen.
pub fn four_of_sixteen() -> Vec<Row> {
    let before = bare::measure(16);
    let meeting = Meeting { settle: 10, ..Meeting::new("2x2", 16) };
    let it = hold(&Cast::new(), &meeting);
    let bare = before.mean(bare::measure(16));
    let mut rows = vec![Row::beside("16 callers, 4 seen: CPU", it.cpu, "cores", bare.of_seen(4))];
    rows.extend(quality("16 callers, 4 seen", &meeting, &it));
    rows
}

/// Sound alone.
pub fn sound() -> Vec<Row> {
    let cast = Cast::new();
    let kinds = [
        ("G.711, all talk", Codec::Pcma, audio::Codec::Pcma, 50, 50),
        ("G.711, 3 talk", Codec::Pcma, audio::Codec::Pcma, 100, 3),
        ("Opus, 3 talk", Codec::Opus, audio::Codec::Opus, 100, 3),
    ];
    let mut rows = Vec::new();
    for (kind, sound, codec, callers, talkers) in kinds {
        // Everybody's Opus is decoded: whether it is silence is in the decoded sound only.
        let decoded = if sound == Codec::Opus { callers } else { talkers };
        let bare = bare::packets(codec);
        let bare = bare.of(callers, talkers, false) + 50.0 * (decoded - talkers) as f64 * bare.decode;
        let meeting =
            Meeting { sound, talkers, pictures: false, rate: 50.0, ..Meeting::new("grid", callers) };
        let it = hold(&cast, &meeting);
        let name = format!("sound only, {kind}, {callers} callers");
        let each = callers as f64;
        rows.push(Row::beside(format!("{name}: CPU per caller"), it.cpu / each, "cores", bare / each));
        rows.extend(quality(&name, &meeting, &it));
    }
    rows
}

/// Through the bridge: sound, mixed and passed-on pictures, and lips with voices.
pub fn delay() -> Vec<Row> {
    let cast = Cast::new();
    let mut rows = Vec::new();
    for (name, layout, speaker) in [("passed on", "full", true), ("mixed", "grid", false)] {
        let settle = if speaker { PASSED_ON } else { 6 };
        let meeting = Meeting { speaker, settle, decode_every: 1, ..Meeting::new(layout, 4) };
        let mut it = hold(&cast, &meeting);
        let mut row = |what: &str, values: &mut Vec<f32>| {
            let mut values: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
            for (part, word) in [(0.5, "median"), (0.95, "95 %")] {
                let name = format!("{what}, {name}: {word} of {}", values.len());
                rows.push(Row::new(name, quantile(&mut values, part), "ms"));
            }
        };
        row("picture through the bridge", &mut it.delays.picture_ms);
        row("sound through the bridge, picture", &mut it.delays.sound_ms);
        row("picture later than its sound", &mut it.delays.lips_ms);
    }
    rows
}

/// What one caller more costs in memory: not shown, and shown.
pub fn memory() -> Vec<Row> {
    let cast = Cast::new();
    let each = |layout, few: usize, many: usize| {
        let used = |callers| {
            let speaker = layout == "full";
            let meeting = Meeting { speaker, settle: PASSED_ON, seconds: 5, ..Meeting::new(layout, callers) };
            hold(&cast, &meeting).memory_mb.1
        };
        (used(many) - used(few)) / (many - few) as f64
    };
    vec![
        Row::new("memory per video participant not shown", each("full", 4, 40), "MB"),
        Row::new("memory per video participant shown", each("grid", 4, 16), "MB"),
    ]
}

/// The most callers, all seen in one grid, of whose sound no packet is lost and none comes late.
pub fn most() -> Vec<Row> {
    let cast = Cast::new();
    let mut rows = Vec::new();
    let mut most = 0;
    for callers in [16, 20, 25, 30, 36] {
        let it = hold(&cast, &Meeting { rate: 10.0, ..Meeting::new("grid", callers) });
        let intact = it.lost.0 == 0 && it.least_sound >= 49.5;
        rows.push(Row::new(
            format!("{callers} callers, all seen: sound per second, least"),
            it.least_sound,
            "1/s",
        ));
        rows.push(Row::new(
            format!("{callers} callers, all seen: pictures per second, slowest"),
            it.slowest_fps,
            "1/s",
        ));
        rows.push(Row::new(format!("{callers} callers, all seen: CPU of the bridge"), it.cpu, "cores"));
        if !intact {
            break;
        }
        most = callers;
    }
    rows.insert(0, Row::new("most callers, all seen, every packet of sound intact", most as f64, ""));
    rows
}
