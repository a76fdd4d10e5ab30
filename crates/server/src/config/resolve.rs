//! Raw values → [`Config`]: types, ranges, and what goes together.

use std::{
    fmt::Display,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    ops::RangeInclusive,
    path::PathBuf,
    str::FromStr,
    thread,
    time::Duration,
};

use cau_conference::{Referrers, Roster, capacity::Rules, dial};
use cau_model::ornament::Corner;
use ipnet::IpNet;

use super::{
    Config, Dial, Encoder, Error, Log, LogFormat, Logo, Sip, Video, cascade,
    error::Place,
    raw::{Value, Values},
    sites,
};

pub(super) fn resolve(values: &Values) -> Result<Config, Error> {
    let v = Reader { values };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = |n: usize| if n == 0 { cores } else { n };
    let bind =
        v.list("sip.bind", &["0.0.0.0:5060", "[::]:5060"], |w| address(w, "0.0.0.0:5060 or [::]:5060"))?;
    let control_tls = cascade::control_tls(&v)?;
    let registrar = sites::registrar(&v)?;
    let authenticate_calls = yes_or_no(&v, "sip.authenticate_calls", false)?;
    if authenticate_calls && registrar.accounts.is_empty() {
        let message = "there are no accounts to ask for: give [[registrar.account]] or registrar.accounts";
        return Err(v.wrong("sip.authenticate_calls", message.into()));
    }
    Ok(Config {
        data_dir: v.one("data_dir", "data", |w| Ok(PathBuf::from(w)))?,
        sip: Sip {
            bind,
            advertise: v.optional("sip.advertise", |w| {
                w.parse::<IpAddr>().map_err(|_| format!("`{w}` is not an IP address"))
            })?,
            max_body: v.number("sip.max_body", 65_536, 2_048..=1_048_576)?,
            max_calls: v.number("sip.max_calls", 2_000, 1..=100_000)?,
            session_timer: session_timer(&v)?,
            large_by_tcp: v.one("sip.large_requests", "tcp", |w| match w {
                "tcp" => Ok(true),
                "udp" => Ok(false),
                _ => Err(format!("`{w}` is neither tcp nor udp")),
            })?,
            authenticate_calls,
            register: sites::register(values)?,
            credentials: sites::credentials(values)?,
        },
        registrar,
        rtp_ports: v.one("rtp.ports", "20000-29999", port_range)?,
        control_bind: v.one("control.bind", "127.0.0.1:8080", |w| {
            let addr = address(w, "127.0.0.1:8080")?;
            if addr.ip().is_loopback() {
                Ok(addr)
            } else {
                Err(format!("`{w}` is reachable from outside, and control goes over TLS only: use 127.0.0.1 here, and control.tls_bind for the outside"))
            }
        })?,
        cascade: cascade::cascade(&v, control_tls.is_some())?,
        control_tls,
        control_max_connections: v.number("control.max_connections", 1_000, 1..=100_000)?,
        control_max_connections_per_address: v.number(
            "control.max_connections_per_address",
            250,
            1..=100_000,
        )?,
        trusted_proxies: v.some("control.trusted_proxies", network)?,
        video: Video {
            width: even(&v, "video.width", 1280, 160..=1920)?,
            height: even(&v, "video.height", 720, 90..=1088)?,
            fps: v.number("video.fps", 30, 5..=30)?,
            kbps: v.number("video.kbps", 1_800, 64..=20_000)?,
            encodings: v.number("video.encodings", 8, 1..=64)?,
            thrift: yes_or_no(&v, "video.thrift", false)?,
            encoder: v.one("video.encoder", "auto", |w| match w {
                "auto" => Ok(Encoder::Auto),
                "openh264" => Ok(Encoder::OpenH264),
                "x264" => Ok(Encoder::X264),
                _ => Err(format!("`{w}` is none of auto, openh264, x264")),
            })?,
        },
        layouts: v.one("picture.layouts", "config/layouts", |w| Ok(PathBuf::from(w)))?,
        logo: logo(&v)?,
        packet_threads: threads(v.number("media.packet_threads", 0, 0..=256)?),
        picture_threads: threads(v.number("media.picture_threads", 0, 0..=256)?),
        capacity: capacity(&v)?,
        max_participants: v.number("conference.max_participants", 2_000, 1..=20_000)?,
        roster: v.one("conference.roster", "participants", |w| match w {
            "off" => Ok(Roster::Off),
            "participants" => Ok(Roster::Participants),
            "anyone" => Ok(Roster::Anyone),
            _ => Err(format!("`{w}` is none of off, participants, anyone")),
        })?,
        refer: v.one("conference.refer", "chair", |w| match w {
            "off" => Ok(Referrers::Off),
            "chair" => Ok(Referrers::Chair),
            "participants" => Ok(Referrers::Participants),
            _ => Err(format!("`{w}` is none of off, chair, participants")),
        })?,
        dial: dial(&v)?,
        resume_within: Duration::from_secs(v.number("restart.resume_within_s", 900, 0..=86_400)?),
        drain_grace: Duration::from_secs(v.number("drain.grace_s", 2, 0..=3_600)?),
        log: Log {
            level: v.one("log.level", "info", |w| {
                tracing_subscriber::EnvFilter::try_new(w)
                    .map(|_| w.to_owned())
                    .map_err(|_| format!("`{w}` is not a log filter; use error, warn, info, debug or trace"))
            })?,
            format: v.one("log.format", "auto", |w| match w {
                "auto" => Ok(LogFormat::Auto),
                "text" => Ok(LogFormat::Text),
                "json" => Ok(LogFormat::Json),
                _ => Err(format!("`{w}` is none of auto, text, json")),
            })?,
        },
    })
}

fn capacity(v: &Reader<'_>) -> Result<Rules, Error> {
    let percent = |key: &'static str, usual: u16| -> Result<f32, Error> {
        let percent: u16 = v.number(key, usual, 1..=100)?;
        Ok(f32::from(percent) / 100.0)
    };
    Ok(Rules {
        refuse: yes_or_no(v, "capacity.refuse", true)?,
        media: percent("capacity.sound_busy_percent", 85)?,
        late: Duration::from_millis(v.number("capacity.sound_late_ms", 20, 1..=1_000)?),
        pictures: percent("capacity.pictures_busy_percent", 90)?,
        least_fps: v.number("capacity.least_fps", 10, 5..=30)?,
    })
}

/// Place and height are checked also when there is no logo.
fn logo(v: &Reader<'_>) -> Result<Option<Logo>, Error> {
    let place = v.one("picture.logo_place", "upper-left", |w| match w {
        "upper-left" => Ok(Corner::UpperLeft),
        "upper-right" => Ok(Corner::UpperRight),
        "lower-left" => Ok(Corner::LowerLeft),
        "lower-right" => Ok(Corner::LowerRight),
        _ => Err(format!("`{w}` is none of upper-left, upper-right, lower-left, lower-right")),
    })?;
    let percent: u16 = v.number("picture.logo_height", 10, 2..=50)?;
    let file = v.optional("picture.logo", |w| Ok(PathBuf::from(w)))?.filter(|f| !f.as_os_str().is_empty());
    Ok(file.map(|file| Logo { file, place, height: f32::from(percent) / 100.0 }))
}

fn dial(v: &Reader<'_>) -> Result<Dial, Error> {
    let seconds = |w: &str| w.parse().ok().filter(|s| *s <= 3_600).map(Duration::from_secs);
    Ok(Dial {
        site: dial::Dial {
            allow: dial::Allow(v.several("dial.allow", &["*"], |w| {
                w.parse().map_err(|e: dial::allow::Malformed| e.to_string())
            })?),
            at_a_time: v.number("dial.at_a_time", 100, 1..=10_000)?,
            per_second: v.number("dial.per_second", 50, 1..=1_000)?,
            ring: Duration::from_secs(v.number("dial.ring_s", 60, 5..=180)?),
            redial: v.one("dial.redial", "lost", |w| match w {
                "lost" => Ok(dial::When::Lost),
                "always" => Ok(dial::When::Always),
                "never" => Ok(dial::When::Never),
                _ => Err(format!("`{w}` is none of lost, always, never")),
            })?,
            redial_after: v.list("dial.redial_after_s", &["0", "2", "5", "10", "20", "30"], |w| {
                seconds(w).ok_or_else(|| format!("`{w}` is not a whole number of seconds up to 3600"))
            })?,
            keep_callers: Duration::from_secs(v.number("dial.keep_callers_s", 300, 0..=86_400)?),
        },
        name_servers: v.several("dial.name_servers", &[], |w| {
            let ip = w.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
            ip.or_else(|_| w.parse())
                .map_err(|_| format!("`{w}` is not the address of a name server, such as 10.0.0.53"))
        })?,
    })
}

/// 0, or what RFC 4028 5 allows.
fn session_timer(v: &Reader<'_>) -> Result<Option<Duration>, Error> {
    match v.number("sip.session_timer_s", 1_800, 0..=86_400)? {
        0 => Ok(None),
        1..90 => Err(v.wrong("sip.session_timer_s", "must be 0 (never) or at least 90 seconds".into())),
        seconds => Ok(Some(Duration::from_secs(seconds))),
    }
}

/// Encoders and chroma planes need even sizes.
fn even(v: &Reader<'_>, key: &'static str, default: u32, range: RangeInclusive<u32>) -> Result<u32, Error> {
    let n = v.number(key, default, range)?;
    if n % 2 == 0 { Ok(n) } else { Err(v.wrong(key, format!("{n} must be even"))) }
}

pub(super) fn address(word: &str, example: &str) -> Result<SocketAddr, String> {
    word.to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
        .ok_or_else(|| format!("`{word}` is not an address with a port, such as {example}"))
}

/// A network, or an address, which is a network of its own.
fn network(word: &str) -> Result<IpNet, String> {
    let address = || word.parse::<IpAddr>().map(IpNet::from);
    word.parse::<IpNet>()
        .or_else(|_| address())
        .map_err(|_| format!("`{word}` is not an address or a network such as 127.0.0.1 or 10.0.0.0/8"))
}

fn port_range(word: &str) -> Result<RangeInclusive<u16>, String> {
    let wrong = || format!("`{word}` is not a range of ports such as 20000-29999");
    let (first, last) = word.split_once('-').ok_or_else(wrong)?;
    let first: u16 = first.trim().parse().map_err(|_| wrong())?;
    let last: u16 = last.trim().parse().map_err(|_| wrong())?;
    if first < 1024 {
        return Err(format!("{first} is a system port; use ports from 1024"));
    }
    if last < first.saturating_add(3) {
        return Err(format!("{first}-{last} is too small: one call takes four ports"));
    }
    Ok(first..=last)
}

pub(super) fn yes_or_no(v: &Reader<'_>, key: &'static str, default: bool) -> Result<bool, Error> {
    v.one(key, if default { "true" } else { "false" }, |w| {
        w.parse().map_err(|_| format!("`{w}` is neither true nor false"))
    })
}

pub(super) struct Reader<'a> {
    pub(super) values: &'a Values,
}

impl Reader<'_> {
    pub(super) fn wrong(&self, key: &'static str, message: String) -> Error {
        let place = self.values.keys.get(key).map_or(Place::Default, |v: &Value| v.place.clone());
        Error::Value { place, key: key.to_owned(), message }
    }

    pub(super) fn optional<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.values.keys.get(key) else { return Ok(None) };
        // Words that hold commas in the environment (log filters) come in pieces.
        let word = value.words.join(",");
        parse(&word).map(Some).map_err(|m| self.wrong(key, m))
    }

    pub(super) fn one<T>(
        &self,
        key: &'static str,
        default: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Error> {
        match self.optional(key, &parse)? {
            Some(value) => Ok(value),
            None => parse(default).map_err(|m| self.wrong(key, m)),
        }
    }

    pub(super) fn list<T>(
        &self,
        key: &'static str,
        default: &[&str],
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Error> {
        let words = match self.values.keys.get(key) {
            Some(value) => value.words.clone(),
            None => default.iter().map(|w| (*w).to_owned()).collect(),
        };
        if words.is_empty() {
            return Err(self.wrong(key, "must not be empty".into()));
        }
        self.several(key, default, parse)
    }

    /// A list that may be empty.
    pub(super) fn several<T>(
        &self,
        key: &'static str,
        default: &[&str],
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Error> {
        let default = || default.iter().map(|w| (*w).to_owned()).collect();
        let words: Vec<String> = self.values.keys.get(key).map_or_else(default, |value| value.words.clone());
        words.iter().map(|w| parse(w).map_err(|m| self.wrong(key, m))).collect()
    }

    /// A list that may be empty, and is by default.
    pub(super) fn some<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, Error> {
        let words = self.values.keys.get(key).map_or(&[][..], |v| &v.words);
        words.iter().map(|w| parse(w).map_err(|m| self.wrong(key, m))).collect()
    }

    pub(super) fn number<T>(
        &self,
        key: &'static str,
        default: T,
        range: RangeInclusive<T>,
    ) -> Result<T, Error>
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        let (least, most) = (*range.start(), *range.end());
        let parsed = self.optional(key, |w| {
            w.parse::<T>()
                .ok()
                .filter(|n| range.contains(n))
                .ok_or_else(|| format!("`{w}` is not a whole number from {least} to {most}"))
        })?;
        Ok(parsed.unwrap_or(default))
    }
}
