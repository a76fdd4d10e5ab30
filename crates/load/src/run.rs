//! One run of `cau load`: makes the clips, dials, stays, lets endpoints come and go, and gathers what they saw.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant, UNIX_EPOCH},
};

use cau_drive::Clock;
use cau_rtp::h264::Mode;
use cau_sip::{Uri, sdp::h264::Receive};
use indicatif::{ProgressBar, ProgressStyle};
use rand::RngExt as _;

use crate::{
    Fleet, Modes, Options, Persona, PhoneId, Plan, Reel,
    cli::{Args, Error, Picture},
    clip::{self, Library, Shape},
    pattern::IDENTITIES,
    process,
    record::{Records, State},
    report::{Report, Sample, Summary},
};

/// How long who has left stays away.
const AWAY: Duration = Duration::from_secs(2);
/// kbit/s of what is sent when the other side limits the rate: little pictures.
const LIMITED_KBPS: u32 = 100;

/// Makes the run.
///
/// # Errors
/// When it cannot be tried.
pub(crate) fn measure(args: &Args) -> Result<Report, Error> {
    if args.endpoints == 0 || args.rate <= 0.0 || !args.rate.is_finite() {
        return Err(Error::Nothing);
    }
    let target = Uri::parse(args.target.as_bytes()).map_err(|_| Error::Target(args.target.clone()))?;
    if target.socket_addr().is_none() {
        return Err(Error::Name(args.target.clone()));
    }
    let cast = Cast::new(args, target)?;
    let fleet = Fleet::start(&Options {
        ip: args.bind,
        ports: args.ports.clone(),
        threads: args.threads,
        urgent: true,
        focus: false,
        seed: rand::random(),
    })?;
    let started = Clock::start();
    let mut show = Show::new(args, fleet, &cast);
    let seconds = show.run();
    let samples = show.samples;
    let mut records = show.fleet.stop();
    // What was still ringing when the run ended never got an answer.
    for record in records.values_mut().filter(|r| r.state == State::Done && r.answered.is_none()) {
        record.state = State::Calling;
    }
    Ok(Report {
        target: args.target.clone(),
        started: started.wall.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        endpoints: args.endpoints,
        rate: args.rate,
        seconds,
        summary: Summary::of(&records, &samples),
        process: samples,
        phones: Report::rows(&records),
    })
}

/// The run itself.
struct Show<'a> {
    args: &'a Args,
    cast: &'a Cast,
    fleet: Fleet,
    bar: ProgressBar,
    meter: Meter,
    samples: Vec<Sample>,
    /// Who is there, by number of endpoint.
    there: BTreeMap<u32, PhoneId>,
    /// Who comes back, and when.
    away: VecDeque<(Instant, u32)>,
}

impl<'a> Show<'a> {
    fn new(args: &'a Args, fleet: Fleet, cast: &'a Cast) -> Self {
        let bar = ProgressBar::new(u64::from(args.endpoints));
        let template = "{bar:30} {pos}/{len} called, {msg} [{elapsed_precise}]";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self {
            args,
            cast,
            fleet,
            bar,
            meter: Meter::new(args.pid),
            samples: Vec::new(),
            there: BTreeMap::new(),
            away: VecDeque::new(),
        }
    }

    /// Dials at the rate, stays, samples every second. Gives the seconds it took.
    fn run(&mut self) -> f64 {
        let begin = Clock::now();
        let dialling = f64::from(self.args.endpoints - 1) / self.args.rate;
        let end = begin + Duration::from_secs_f64(dialling + self.args.duration.max(0.0));
        let mut called = 0;
        let mut left = 0.0;
        loop {
            let now = Clock::now();
            let since = now.saturating_duration_since(begin).as_secs_f64();
            while called < self.args.endpoints && f64::from(called) / self.args.rate <= since {
                self.call(called);
                called += 1;
            }
            while let Some((_, n)) = self.away.pop_front_if(|(at, _)| *at <= now) {
                self.call(n);
            }
            while self.args.churn > 0.0 && left < (since - dialling) * self.args.churn {
                left += 1.0;
                self.let_go(now);
            }
            if since >= self.samples.len() as f64 {
                self.sample(since);
            }
            self.bar.set_position(u64::from(called));
            if now >= end {
                self.bar.finish();
                return since;
            }
            let next =
                if called < self.args.endpoints { f64::from(called) / self.args.rate - since } else { 0.1 };
            self.fleet.wait::<()>(Duration::from_secs_f64(next.clamp(0.001, 0.1)), |_| None);
        }
    }

    fn call(&mut self, n: u32) {
        let phone = self.fleet.call(self.cast.plan(self.args, n));
        self.there.insert(n, phone);
    }

    /// Somebody who does not talk hangs up.
    fn let_go(&mut self, now: Instant) {
        let stay = self.args.talkers.unwrap_or(1).max(1);
        if self.args.endpoints <= stay {
            return;
        }
        let n = rand::rng().random_range(stay..self.args.endpoints);
        if let Some(phone) = self.there.remove(&n) {
            self.fleet.hang_up(phone);
            self.away.push_back((now + AWAY, n));
        }
    }

    fn sample(&mut self, since: f64) {
        let (connected, failed, packets, lost) = self.fleet.look(totals);
        let late_ms = self.fleet.take_late_ms();
        self.samples.push(Sample { packets, lost, late_ms, ..self.meter.sample(since, connected) });
        self.bar.set_message(format!("{connected} standing, {failed} failed, {lost} packets lost"));
    }
}

/// Calls standing and failed, packets received and lost.
fn totals(records: &Records) -> (usize, usize, u64, i64) {
    records.values().fold((0, 0, 0, 0), |(connected, failed, packets, lost), r| {
        let (audio, video) = (&r.stats.audio, &r.stats.video);
        (
            connected + usize::from(r.state == State::Connected),
            failed + usize::from(!r.state.is_well()),
            packets + audio.packets + video.packets,
            lost + audio.lost + video.lost,
        )
    })
}

/// What the endpoints send.
struct Cast {
    target: Uri,
    personas: Vec<Persona>,
    reels: BTreeMap<Part, Reel>,
    sounds: Vec<Arc<clip::Sound>>,
    silence: Arc<clip::Sound>,
}

/// Identity, bit rate and persona by number: who has the same sends the same clip.
type Part = (u8, u32, usize);

impl Cast {
    /// Makes the clips, on all cores.
    fn new(args: &Args, target: Uri) -> Result<Self, Error> {
        let personas = args.personas()?;
        let library = Library::new(args.ground());
        let parts: std::collections::BTreeSet<Part> =
            (0..args.endpoints.min(4096)).map(|n| part(args, n, personas.len())).collect();
        let bar = ProgressBar::new(parts.len() as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} clips made") {
            bar.set_style(style);
        }
        let make = |part: &Part| {
            let reel = reel(args, &library, &personas, *part);
            bar.inc(1);
            reel.map(|reel| reel.map(|reel| (*part, reel)))
        };
        let parts: Vec<Part> = parts.into_iter().collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let share = parts.len().div_ceil(threads.max(1)).max(1);
        let made: Result<Vec<_>, Error> = std::thread::scope(|scope| {
            let workers: Vec<_> = parts
                .chunks(share)
                .map(|some| {
                    scope.spawn(|| some.iter().filter_map(|p| make(p).transpose()).collect::<Vec<_>>())
                })
                .collect();
            workers.into_iter().flat_map(|w| w.join().unwrap_or_default()).collect()
        });
        bar.finish_and_clear();
        let sounds = match args.talkers.filter(|_| args.speech) {
            Some(of) => (0..of.clamp(1, 64))
                .map(|turn| library.speech(turn as usize, of.min(64) as usize, args.audio))
                .collect::<Result<_, _>>()?,
            None => (0..IDENTITIES).map(|id| library.sound(id, args.audio)).collect::<Result<_, _>>()?,
        };
        let silence = library.silence(args.audio)?;
        Ok(Self { target, personas, reels: made?.into_iter().collect(), sounds, silence })
    }

    /// Of endpoint number `n`.
    fn plan(&self, args: &Args, n: u32) -> Plan {
        let part = part(args, n, self.personas.len());
        let talks = talks(args, n);
        let voice = if args.speech { n as usize % self.sounds.len().max(1) } else { part.0.into() };
        let sound = self.sounds.get(voice).filter(|_| talks).unwrap_or(&self.silence);
        let mut persona = self.personas.get(part.2).cloned().unwrap_or_default();
        match args.mode() {
            Some(Mode::SingleNal) => persona.modes = Modes::Zero,
            Some(Mode::NonInterleaved) => persona.modes = Modes::One,
            None if args.persona.is_none() => persona.modes = Modes::One,
            None => {}
        }
        persona.glimpse = args.glimpse;
        let spared =
            args.impaired > 1 && (talks && args.talkers.is_some() || !n.is_multiple_of(args.impaired));
        if let Some(road) = args.road().filter(|_| !spared) {
            persona.line = Some(road);
        }
        Plan {
            target: self.target.clone(),
            remote: None,
            user: format!("phone{n}"),
            name: Some(format!("Điểm cầu {}", n + 1)),
            id: part.0,
            sound: vec![(args.audio, sound.clone())],
            reel: self.reels.get(&part).cloned(),
            receive: Receive::HD720,
            // With room for headers and key frames.
            max_kbps: (args.talker_kbps.unwrap_or(0) * 3 / 2).max(2_000),
            persona,
            decodes: args.decode_every > 0 && n.is_multiple_of(args.decode_every),
            redials: false,
        }
    }
}

fn talks(args: &Args, n: u32) -> bool {
    args.talkers.is_none_or(|talkers| n < talkers)
}

/// The first ones have an identity of their own, so that how long their pictures and voices take can be told; the rest share the last one.
fn part(args: &Args, n: u32, personas: usize) -> Part {
    let id = n.min(u32::from(IDENTITIES) - 1) as u8;
    let usual = args.kbps.unwrap_or(if args.video == Picture::P360 { 500 } else { 1_000 });
    let kbps = args.talker_kbps.filter(|_| args.talkers.is_some() && talks(args, n)).unwrap_or(usual);
    (id, kbps, n as usize % personas.max(1))
}

fn reel(args: &Args, library: &Library, personas: &[Persona], part: Part) -> Result<Option<Reel>, Error> {
    let (id, kbps, persona) = part;
    // What most devices do; old ones are played by `--mode 0`, those that offer both by a persona.
    let mode = args.mode().unwrap_or(Mode::NonInterleaved);
    let hd = Shape { kbps, ..Shape::hd(mode) };
    let shape = match args.video {
        Picture::P720 => hd,
        Picture::P360 => Shape { width: 640, height: 360, ..hd },
        Picture::Off => return Ok(None),
    };
    let simple = |shape: Shape| -> Result<Reel, Error> {
        let video = Some(library.video(id, shape)?);
        Ok(match shape.mode {
            Mode::SingleNal => Reel { single: video, ..Reel::default() },
            Mode::NonInterleaved => Reel { fragmented: video, ..Reel::default() },
        })
    };
    let mut reel = match personas.get(persona).filter(|_| args.persona.is_some()) {
        Some(persona) => library.reel(id, persona, shape)?,
        None => simple(shape)?,
    };
    reel.lower = vec![simple(Shape {
        width: 320,
        height: 180,
        fps: 15,
        frames: 60,
        kbps: LIMITED_KBPS.min(kbps),
        ..hd
    })?];
    Ok(Some(reel))
}

/// CPU between two looks.
struct Meter {
    pid: Option<u32>,
    last: (f64, Option<process::Moment>, Option<process::Moment>),
}

impl Meter {
    fn new(pid: Option<u32>) -> Self {
        let own = process::moment(std::process::id());
        Self { pid, last: (0.0, pid.and_then(process::moment), own) }
    }

    fn sample(&mut self, t: f64, connected: usize) -> Sample {
        let (theirs, own) = (self.pid.and_then(process::moment), process::moment(std::process::id()));
        let (before, theirs_before, own_before) = std::mem::replace(&mut self.last, (t, theirs, own));
        let cores = |now: Option<process::Moment>, then: Option<process::Moment>| {
            let span = t - before;
            Some((now?.cpu_s - then?.cpu_s) / span).filter(|_| span > 0.2)
        };
        Sample {
            t,
            connected,
            cpu: cores(theirs, theirs_before),
            rss_mb: theirs.map(|m| m.rss_mb),
            own_cpu: cores(own, own_before).unwrap_or(0.0),
            ..Sample::default()
        }
    }
}
