//! `cau load`.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use cau_drive::Clock;
use cau_rtp::h264::Mode;
use cau_sip::{Uri, sdp::h264::Receive};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    Codec, Fleet, Options, Persona, Plan, Reel,
    clip::{self, Library, Shape},
    pattern::IDENTITIES,
    process,
    record::{Records, State},
    report::{Report, Sample, Summary},
};

/// Simulated endpoints with real media: they call, stay, hang up; what they saw and heard is measured.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whom to call: sip:ROOM@HOST:PORT, or with ;transport=tcp at the end
    #[arg(long)]
    pub target: String,
    /// How many endpoints
    #[arg(long, default_value_t = 10)]
    pub endpoints: u32,
    /// Calls begun per second
    #[arg(long, default_value_t = 10.0)]
    pub rate: f64,
    /// Seconds to stay after the last call was begun
    #[arg(long, default_value_t = 30.0)]
    pub duration: f64,
    /// Where the JSON report goes; a page with plots is written beside it
    #[arg(long)]
    pub report: Option<PathBuf>,
    /// Sound codec
    #[arg(long, value_enum, default_value_t = Codec::Opus)]
    pub audio: Codec,
    /// Pictures sent
    #[arg(long, value_enum, default_value_t = Picture::P720)]
    pub video: Picture,
    /// Packetization mode offered; without it both
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub mode: Option<u8>,
    /// One endpoint in so many decodes and judges what it receives; 0: none
    #[arg(long, default_value_t = 10)]
    pub decode_every: u32,
    /// Measure CPU and memory of this process (the MCU's)
    #[arg(long)]
    pub pid: Option<u32>,
    /// Address to call from
    #[arg(long, default_value = "127.0.0.1")]
    pub bind: IpAddr,
    /// First and last RTP port
    #[arg(long, default_value = "30000-59999", value_parser = port_range)]
    pub ports: std::ops::RangeInclusive<u16>,
    /// Media threads
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Habits of the endpoints, as a JSON file
    #[arg(long)]
    pub persona: Option<PathBuf>,
}

/// Pictures an endpoint sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Picture {
    /// 1280×720, 30 a second, 1 Mbit/s.
    #[value(name = "720p30")]
    P720,
    /// 640×360, 30 a second, 500 kbit/s.
    #[value(name = "360p30")]
    P360,
    /// None.
    #[value(name = "off")]
    Off,
}

fn port_range(text: &str) -> Result<std::ops::RangeInclusive<u16>, String> {
    let parse = |t: &str| t.trim().parse::<u16>().map_err(|e| format!("{t}: {e}"));
    let (first, last) = text.split_once('-').ok_or("wanted: FIRST-LAST, as in 30000-39999")?;
    Ok(parse(first)?..=parse(last)?)
}

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0} is no SIP address; wanted: sip:ROOM@HOST:PORT")]
    Target(String),
    #[error("{0}: a name; look it up and give the address")]
    Name(String),
    #[error(transparent)]
    Clip(#[from] clip::Error),
    #[error(transparent)]
    Fleet(#[from] crate::fleet::Error),
    #[error("{file}: {source}")]
    File { file: String, source: std::io::Error },
    #[error("{file}: {source}")]
    Json { file: String, source: serde_json::Error },
    #[error("endpoints and rate must be above zero")]
    Nothing,
}

/// Runs it: 0 when every call stood to the end, 1 when one failed, 2 when it could not be tried.
#[expect(clippy::disallowed_macros, reason = "the command line prints")]
pub fn run(args: Args) -> ExitCode {
    match measure(&args) {
        Ok(report) => {
            print!("{}", report.summary.words());
            if let Err(e) = args.report.as_deref().map_or(Ok(()), |file| write(&report, file)) {
                eprintln!("the report was not written: {e}");
                return ExitCode::FAILURE;
            }
            if report.summary.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(e) => {
            eprintln!("{e}");
            ExitCode::from(2)
        }
    }
}

fn write(report: &Report, file: &Path) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(report).map_err(|e| json_error(file, e))?;
    let page = file.with_extension("html");
    std::fs::write(file, text).map_err(|e| file_error(file, e))?;
    std::fs::write(&page, report.page()).map_err(|e| file_error(&page, e))
}

fn file_error(file: &Path, source: std::io::Error) -> Error {
    Error::File { file: file.display().to_string(), source }
}

fn json_error(file: &Path, source: serde_json::Error) -> Error {
    Error::Json { file: file.display().to_string(), source }
}

fn measure(args: &Args) -> Result<Report, Error> {
    if args.endpoints == 0 || args.rate <= 0.0 || !args.rate.is_finite() {
        return Err(Error::Nothing);
    }
    let target = Uri::parse(args.target.as_bytes()).map_err(|_| Error::Target(args.target.clone()))?;
    if target.socket_addr().is_none() {
        return Err(Error::Name(args.target.clone()));
    }
    let plans = plans(args, &target)?;
    let mut fleet = Fleet::start(&Options {
        ip: args.bind,
        ports: args.ports.clone(),
        threads: args.threads,
        seed: rand::random(),
    })?;
    let started = Clock::start();
    let (samples, seconds) = drive(args, &mut fleet, &plans);
    let mut records = fleet.stop();
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

/// Dials at the rate, stays, samples every second.
fn drive(args: &Args, fleet: &mut Fleet, plans: &[Plan]) -> (Vec<Sample>, f64) {
    let bar = ProgressBar::new(u64::from(args.endpoints));
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} called, {msg} [{elapsed_precise}]")
    {
        bar.set_style(style);
    }
    let begin = Clock::now();
    let dialling = f64::from(args.endpoints - 1) / args.rate;
    let end = begin + Duration::from_secs_f64(dialling + args.duration.max(0.0));
    let mut samples = Vec::new();
    let mut meter = Meter::new(args.pid);
    let mut called = 0;
    loop {
        let now = Clock::now();
        let since = now.saturating_duration_since(begin).as_secs_f64();
        while called < args.endpoints && f64::from(called) / args.rate <= since {
            let mut plan = plans[called as usize % plans.len()].clone();
            plan.user = format!("phone{called}");
            plan.name = Some(format!("Điểm cầu {}", called + 1));
            plan.decodes = args.decode_every > 0 && called.is_multiple_of(args.decode_every);
            fleet.call(plan);
            called += 1;
        }
        if since >= samples.len() as f64 {
            let connected = fleet.look(count_connected);
            samples.push(meter.sample(since, connected));
            let failed = fleet.look(|r| r.values().filter(|r| !r.state.is_well()).count());
            bar.set_message(format!("{connected} standing, {failed} failed"));
        }
        bar.set_position(u64::from(called));
        if now >= end {
            bar.finish();
            return (samples, since);
        }
        let next_call = if called < args.endpoints { f64::from(called) / args.rate - since } else { 0.1 };
        fleet.wait::<()>(Duration::from_secs_f64(next_call.clamp(0.001, 0.1)), |_| None);
    }
}

fn count_connected(records: &Records) -> usize {
    records.values().filter(|r| r.state == State::Connected).count()
}

/// One plan per identity.
fn plans(args: &Args, target: &Uri) -> Result<Vec<Plan>, Error> {
    let persona = match &args.persona {
        None => Persona::default(),
        Some(file) => {
            let text = std::fs::read(file).map_err(|e| file_error(file, e))?;
            serde_json::from_slice(&text).map_err(|e| json_error(file, e))?
        }
    };
    let library = Library::default();
    let mode = args.mode.and_then(Mode::from_number);
    // Small slices fit both modes: one encoding for all.
    let hd = Shape::hd(mode.unwrap_or(Mode::SingleNal));
    let shape = match args.video {
        Picture::P720 => Some(hd),
        Picture::P360 => Some(Shape { width: 640, height: 360, kbps: 500, ..hd }),
        Picture::Off => None,
    };
    let identities = args.endpoints.min(u32::from(IDENTITIES)) as u8;
    let bar = ProgressBar::new(u64::from(identities));
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} clips made") {
        bar.set_style(style);
    }
    let mut plans = Vec::new();
    for id in 0..identities {
        let reel = match shape {
            None => None,
            Some(shape) if args.persona.is_some() => Some(library.reel(id, &persona, shape)?),
            Some(shape) if shape.mode == Mode::SingleNal => {
                Some(Reel { single: Some(library.video(id, shape)?), ..Reel::default() })
            }
            Some(shape) => Some(Reel { fragmented: Some(library.video(id, shape)?), ..Reel::default() }),
        };
        let mut persona = persona.clone();
        match args.mode {
            Some(0) => persona.modes = crate::Modes::Zero,
            Some(_) => persona.modes = crate::Modes::One,
            None => {}
        }
        plans.push(Plan {
            target: target.clone(),
            remote: None,
            user: String::new(),
            name: None,
            id,
            sound: vec![(args.audio, Arc::clone(&library.sound(id, args.audio)?))],
            reel,
            receive: Receive::HD720,
            max_kbps: 2_000,
            persona,
            decodes: false,
            redials: false,
        });
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(plans)
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
        }
    }
}
