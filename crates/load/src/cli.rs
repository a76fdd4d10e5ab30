//! `cau load`.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use cau_rtp::h264::Mode;
use clap::ValueEnum;

use crate::{
    Codec, Persona, Road,
    clip::{self, Ground},
    report::Report,
};

/// Simulated endpoints with real media: they call, stay, hang up; what they saw and heard is measured (docs/load.md).
#[derive(Clone, Debug, clap::Args)]
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
    /// What the judged bar of the pictures stands on
    #[arg(long, value_enum, default_value_t = Clips::Natural)]
    pub clips: Clips,
    /// Bit rate of the pictures sent, kbit/s (default: 1000 for 720p, 500 for 360p)
    #[arg(long)]
    pub kbps: Option<u32>,
    /// So many endpoints, the first ones, talk; the others send silence (default: all talk)
    #[arg(long)]
    pub talkers: Option<u32>,
    /// Talkers (six at most differ) speak in turn, eight seconds each, so that pictures follow voices; instead of all sounding the judged tones
    #[arg(long, requires = "talkers")]
    pub speech: bool,
    /// Bit rate of the talkers' pictures, kbit/s (default: as the others)
    #[arg(long)]
    pub talker_kbps: Option<u32>,
    /// Endpoints that leave per second when all are there, at random, talkers excepted; each is back after two seconds
    #[arg(long, default_value_t = 0.0)]
    pub churn: f64,
    /// Packets lost on the line of an impaired endpoint, per cent, each way
    #[arg(long, default_value_t = 0.0)]
    pub loss: f64,
    /// Packets lost in a row on average
    #[arg(long, default_value_t = 1.0)]
    pub burst: f64,
    /// Time packets take on such a line, ms, each way
    #[arg(long, default_value_t = 0.0)]
    pub delay: f64,
    /// Up to this much more, ms
    #[arg(long, default_value_t = 0.0)]
    pub jitter: f64,
    /// What such a line carries, kbit/s each way; 0: without limit
    #[arg(long, default_value_t = 0)]
    pub line_kbps: u64,
    /// One endpoint in so many has such a line, the talkers excepted when it is not every one
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub impaired: u32,
    /// Packetization mode offered (default: 1, or what the personas say)
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub mode: Option<u8>,
    /// One endpoint in so many decodes and judges what it receives; 0: none
    #[arg(long, default_value_t = 10)]
    pub decode_every: u32,
    /// Those who decode do it for one second in so many, in turn; 1: always
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub glimpse: u32,
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
    /// Habits of the endpoints, as a JSON file: one, or a list that goes round
    #[arg(long)]
    pub persona: Option<PathBuf>,
}

/// Pictures an endpoint sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Picture {
    /// 1280×720, 30 a second.
    #[value(name = "720p30")]
    P720,
    /// 640×360, 30 a second.
    #[value(name = "360p30")]
    P360,
    /// None.
    #[value(name = "off")]
    Off,
}

/// What the judged bar stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Clips {
    /// Real pictures, which cost what a camera's cost.
    Natural,
    /// One colour per identity: tiny pictures.
    Flat,
}

impl Args {
    /// The packetization mode asked for.
    pub(crate) fn mode(&self) -> Option<Mode> {
        self.mode.and_then(Mode::from_number)
    }

    pub(crate) fn ground(&self) -> Ground {
        match self.clips {
            Clips::Natural => Ground::Natural,
            Clips::Flat => Ground::Flat,
        }
    }

    /// The bad line, where one is asked for.
    pub(crate) fn road(&self) -> Option<Road> {
        let road = Road {
            loss_percent: self.loss,
            burst: self.burst,
            delay_ms: self.delay,
            jitter_ms: self.jitter,
            kbps: self.line_kbps,
        };
        (road != Road { burst: self.burst, ..Road::default() }).then_some(road)
    }

    pub(crate) fn personas(&self) -> Result<Vec<Persona>, Error> {
        let Some(file) = &self.persona else { return Ok(vec![Persona::default()]) };
        let text = std::fs::read(file).map_err(|e| file_error(file, e))?;
        let one = serde_json::from_slice(&text).map(|one| vec![one]);
        let all: Vec<Persona> =
            one.or_else(|_| serde_json::from_slice(&text)).map_err(|e| json_error(file, e))?;
        if all.is_empty() { Ok(vec![Persona::default()]) } else { Ok(all) }
    }
}

fn port_range(text: &str) -> Result<std::ops::RangeInclusive<u16>, String> {
    let parse = |t: &str| t.trim().parse::<u16>().map_err(|e| format!("{t}: {e}"));
    let (first, last) = text.split_once('-').ok_or("wanted: FIRST-LAST, as in 30000-39999")?;
    Ok(parse(first)?..=parse(last)?)
}

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The target cannot be read.
    #[error("{0} is no SIP address; wanted: sip:ROOM@HOST:PORT")]
    Target(String),
    /// The target is a name.
    #[error("{0}: a name; look it up and give the address")]
    Name(String),
    /// A clip cannot be made.
    #[error(transparent)]
    Clip(#[from] clip::Error),
    /// The phones cannot start.
    #[error(transparent)]
    Fleet(#[from] crate::fleet::Error),
    /// A file cannot be read or written.
    #[error("{file}: {source}")]
    File {
        /// Which.
        file: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file does not hold what it should, or cannot be made.
    #[error("{file}: {source}")]
    Json {
        /// Which.
        file: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Nobody to call with.
    #[error("endpoints and rate must be above zero")]
    Nothing,
}

/// Runs it: 0 when every call stood to the end, 1 when one failed, 2 when it could not be tried.
#[expect(clippy::disallowed_macros, reason = "the command line prints")]
pub fn run(args: Args) -> ExitCode {
    match crate::run::measure(&args) {
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
