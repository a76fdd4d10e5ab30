//! One meeting that is measured: callers come, all settles, and for some seconds it is counted what bridge and receivers do.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use cau_load::{Codec, Delays, Fleet, Options, PhoneId, process};
use cau_tests::{Server, server::free_block};
use serde_json::{Value, json};

use crate::phones::{Cast, Part};

/// What is measured.
#[derive(Clone, Debug)]
pub struct Meeting {
    /// Of the conference.
    pub layout: &'static str,
    /// All of them.
    pub callers: usize,
    /// The first ones talk, the rest is silent.
    pub talkers: usize,
    /// Talkers speak in turn, so that pictures follow voices; else they sound all the time.
    pub speech: bool,
    /// Codec of the sound.
    pub sound: Codec,
    /// Pictures are sent and received.
    pub pictures: bool,
    /// One caller in so many decodes what comes; 0: none.
    pub decode_every: usize,
    /// Those look for one second in so many only.
    pub glimpse: u32,
    /// The operator has chosen whom all see.
    pub speaker: bool,
    /// Calls begun per second.
    pub rate: f64,
    /// Seconds between the last call and the counting.
    pub settle: u64,
    /// Seconds that are counted.
    pub seconds: u64,
}

impl Meeting {
    /// Everybody talks and is seen.
    pub fn new(layout: &'static str, callers: usize) -> Self {
        Self {
            layout,
            callers,
            talkers: callers,
            speech: false,
            sound: Codec::Pcma,
            pictures: true,
            decode_every: 0,
            glimpse: 1,
            speaker: false,
            rate: 20.0,
            settle: 6,
            seconds: 20,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Callers connected at the end.
    pub connected: usize,
    /// CPU of the bridge, cores.
    pub cpu: f64,
    /// CPU of the callers, cores.
    pub own_cpu: f64,
    /// Memory of the bridge with nobody in it, and at the end, MB.
    pub memory_mb: (f64, f64),
    /// Pictures per second at the slowest receiver.
    pub slowest_fps: f64,
    /// Packets of sound per second at the receiver that got the fewest.
    pub least_sound: f64,
    /// Packets of sound, and of pictures, that receivers missed while it was counted.
    pub lost: (i64, i64),
    /// Packets all receivers got.
    pub packets: u64,
    /// Pictures with parts missing while it was counted.
    pub damaged: u64,
    /// Receivers that got a site's own pictures.
    pub forwarded: usize,
    /// The callers themselves were late by so much at most, ms (0: less than 10).
    pub late_ms: f64,
    /// Delays that decoding callers measured.
    pub delays: Delays,
    /// Time all calls took to be set up, s.
    pub dialled_s: f64,
}

/// Figures of all callers at one moment.
struct Moment {
    pictures: Vec<u64>,
    sound: Vec<u64>,
    lost: (i64, i64),
    damaged: u64,
    packets: u64,
}

fn look(fleet: &Fleet) -> Moment {
    fleet.look(|r| Moment {
        pictures: r.values().map(|r| r.stats.pictures).collect(),
        sound: r.values().map(|r| r.stats.audio.packets).collect(),
        lost: r.values().fold((0, 0), |(a, v), r| (a + r.stats.audio.lost, v + r.stats.video.lost)),
        damaged: r.values().map(|r| r.stats.damaged).sum(),
        packets: r.values().map(|r| r.stats.audio.packets + r.stats.video.packets).sum(),
    })
}

/// Holds the meeting.
pub fn hold(cast: &Cast, meeting: &Meeting) -> Outcome {
    let callers = meeting.callers;
    let ports = free_block(u16::try_from(callers * 4 + 40).expect("as many ports"));
    let range = format!("{}-{}", ports.0, ports.1);
    let mut server = Server::start_with(&[("CAU_RTP__PORTS", &range)]);
    let empty = process::moment(server.pid()).expect("the server runs").rss_mb;
    let conference = server.conference("9000", json!({ "layout": meeting.layout }));
    let mut fleet = Fleet::start(&Options { urgent: true, ..Options::default() }).expect("phones");
    let begin = Instant::now();
    let mut phones: Vec<PhoneId> = Vec::new();
    for n in 0..callers {
        let due = begin + Duration::from_secs_f64(n as f64 / meeting.rate);
        sleep(due.saturating_duration_since(Instant::now()));
        let part = Part {
            n,
            talks: n < meeting.talkers,
            speech: meeting.speech.then_some(meeting.talkers),
            codec: meeting.sound,
            pictures: meeting.pictures,
            decodes: meeting.decode_every > 0 && n.is_multiple_of(meeting.decode_every),
        };
        let mut plan = cast.part(&server, "9000", &part);
        plan.persona.glimpse = meeting.glimpse;
        phones.push(fleet.call(plan));
    }
    let all =
        |r: &cau_load::Records| phones.iter().all(|p| r[p].state == cau_load::State::Connected).then_some(());
    fleet.wait(Duration::from_secs(30), all).unwrap_or_else(|| panic!("not all calls stand"));
    let dialled_s = begin.elapsed().as_secs_f64();
    if meeting.speaker {
        let path = format!("/api/v1/conferences/{conference}/speaker");
        let first = server.api.connected(&conference)[0]["id"].clone();
        let (status, words) = server.api.put(&path, &json!({ "participant": first }));
        assert_eq!(status, 200, "{words}");
    }
    sleep(Duration::from_secs(meeting.settle));
    let own = || process::moment(std::process::id()).expect("this process runs");
    let (first, cpu, own_cpu) = (look(&fleet), process::moment(server.pid()).expect("it runs"), own());
    fleet.take_late_ms();
    let counted = Instant::now();
    sleep(Duration::from_secs(meeting.seconds));
    let seconds = counted.elapsed().as_secs_f64();
    let (last, end, own_end) = (look(&fleet), process::moment(server.pid()).expect("it runs"), own());
    let late_ms = fleet.take_late_ms();
    let people: Vec<Value> = server.api.connected(&conference);
    let forwarded = people.iter().filter(|p| p["send"]["video"] == "forwarded").count();
    let records = fleet.stop();
    server.assert_well();
    let least = |a: &[u64], b: &[u64]| {
        a.iter().zip(b).map(|(a, b)| (b - a) as f64 / seconds).fold(f64::INFINITY, f64::min)
    };
    let mut delays = Delays::default();
    records.into_values().for_each(|r| delays.add(r.sight.delays));
    Outcome {
        connected: people.len(),
        cpu: (end.cpu_s - cpu.cpu_s) / seconds,
        own_cpu: (own_end.cpu_s - own_cpu.cpu_s) / seconds,
        memory_mb: (empty, end.rss_mb),
        slowest_fps: if meeting.pictures { least(&first.pictures, &last.pictures) } else { 0.0 },
        least_sound: least(&first.sound, &last.sound),
        lost: (last.lost.0 - first.lost.0, last.lost.1 - first.lost.1),
        packets: last.packets - first.packets,
        damaged: last.damaged - first.damaged,
        forwarded,
        late_ms,
        delays,
        dialled_s,
    }
}
