//! Session timers (RFC 4028): who refreshes, how often, and what a session that is not refreshed comes to. No clock in here.

use std::time::Duration;

use crate::message::{Headers, Name, Params, scan};

/// The least interval the RFC allows, seconds (5).
pub(crate) const LEAST: u32 = 90;

/// What we want of session timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTimers {
    /// Interval to ask for when the other side can do session timers; 30 minutes. Whole seconds count.
    pub interval: Duration,
    /// The least interval that is taken, below it 422; at least 90 s.
    pub min: Duration,
}

impl Default for SessionTimers {
    fn default() -> Self {
        Self { interval: Duration::from_secs(1_800), min: Duration::from_secs(LEAST.into()) }
    }
}

impl SessionTimers {
    /// Seconds.
    pub(crate) fn min_s(&self) -> u32 {
        seconds(self.min).max(LEAST)
    }

    /// Seconds.
    pub(crate) fn interval_s(&self) -> u32 {
        seconds(self.interval).max(self.min_s())
    }
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// Who refreshes, as seen by one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refresher {
    /// Who sent the request.
    Uac,
    /// Who answered it.
    Uas,
}

impl Refresher {
    fn as_str(self) -> &'static str {
        match self {
            Self::Uac => "uac",
            Self::Uas => "uas",
        }
    }
}

/// A Session-Expires header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionExpires {
    pub interval_s: u32,
    pub refresher: Option<Refresher>,
}

impl SessionExpires {
    pub(crate) fn read(headers: &Headers) -> Option<Self> {
        let value = headers.value(&Name::SessionExpires)?;
        let at = value.iter().position(|b| *b == b';').unwrap_or(value.len());
        let (number, params) = value.split_at_checked(at)?;
        let params = Params::parse(params).ok()?;
        let refresher = params.value("refresher").and_then(|r| match () {
            () if r.eq_ignore_ascii_case(b"uac") => Some(Refresher::Uac),
            () if r.eq_ignore_ascii_case(b"uas") => Some(Refresher::Uas),
            () => None,
        });
        Some(Self { interval_s: scan::number(number)?, refresher })
    }
}

impl std::fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.interval_s)?;
        match self.refresher {
            Some(refresher) => write!(f, ";refresher={}", refresher.as_str()),
            None => Ok(()),
        }
    }
}

/// Min-SE, when there is a readable one.
pub(crate) fn min_se(headers: &Headers) -> Option<u32> {
    let value = headers.value(&Name::MinSe)?;
    let at = value.iter().position(|b| *b == b';').unwrap_or(value.len());
    value.get(..at).and_then(scan::number)
}

/// What a session is refreshed by, from the last 2xx on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub interval_s: u32,
    /// We refresh.
    pub ours: bool,
}

impl Agreed {
    /// When to refresh, when it is ours to do: half of the interval (7.2).
    pub(crate) fn refresh_after(&self) -> Duration {
        Duration::from_secs(self.interval_s.into()) / 2
    }

    /// When to give the session up: slightly before it expires (10).
    pub(crate) fn give_up_after(&self) -> Duration {
        let whole = Duration::from_secs(self.interval_s.into());
        whole - (whole / 3).min(Duration::from_secs(32))
    }
}

/// The answer of a UAS to a session refresh request (9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Response {
    /// 422 with this Min-SE.
    TooSmall(u32),
    /// No timer; the 2xx says nothing of it.
    Off,
    /// This goes into the 2xx; `require`: with `Require: timer`.
    On { agreed: Agreed, require: bool },
}

impl Response {
    /// What the 2xx agrees on.
    pub(crate) fn agreed(&self) -> Option<Agreed> {
        match self {
            Self::On { agreed, .. } => Some(*agreed),
            _ => None,
        }
    }

    /// Session-Expires of the 2xx.
    pub(crate) fn header(&self) -> Option<SessionExpires> {
        self.agreed().map(|agreed| SessionExpires {
            interval_s: agreed.interval_s,
            refresher: Some(if agreed.ours { Refresher::Uas } else { Refresher::Uac }),
        })
    }
}

/// What a UAS answers (9, table 2). `supports`: the request's Supported has `timer`. When nobody has chosen, we refresh: an MCU is
/// awake, a device may have gone to sleep.
pub(crate) fn respond(ours: &SessionTimers, headers: &Headers, supports: bool) -> Response {
    let least = min_se(headers).unwrap_or(LEAST).max(LEAST);
    let Some(wanted) = SessionExpires::read(headers) else {
        if !supports {
            return Response::Off;
        }
        let agreed = Agreed { interval_s: ours.interval_s().max(least), ours: true };
        return Response::On { agreed, require: true };
    };
    if wanted.interval_s < ours.min_s() {
        // Who cannot do session timers does not understand 422 either; what a careless proxy put in is passed over (8.1).
        return if supports { Response::TooSmall(ours.min_s()) } else { Response::Off };
    }
    let interval_s = wanted.interval_s.min(ours.interval_s().max(least));
    let ours = !supports || wanted.refresher != Some(Refresher::Uac);
    Response::On { agreed: Agreed { interval_s, ours }, require: supports }
}

/// What the 2xx to a request of ours agrees on (7.2): nothing without Session-Expires. An interval below the least the RFC allows
/// is kept at the least, so that nobody makes us send without end (11.1).
pub(crate) fn accepted(headers: &Headers) -> Option<Agreed> {
    let told = SessionExpires::read(headers)?;
    Some(Agreed { interval_s: told.interval_s.max(LEAST), ours: told.refresher != Some(Refresher::Uas) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(Name, &'static str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in lines {
            headers.push(name.clone(), *value);
        }
        headers
    }

    fn expires(value: &'static str) -> Headers {
        headers(&[(Name::SessionExpires, value)])
    }

    fn on(interval_s: u32, ours: bool, require: bool) -> Response {
        Response::On { agreed: Agreed { interval_s, ours }, require }
    }

    #[test]
    fn table_2() {
        let we = SessionTimers::default();
        assert_eq!(respond(&we, &expires("1800"), false), on(1800, true, false), "N none: uas");
        assert_eq!(respond(&we, &expires("1800"), true), on(1800, true, true), "Y none: ours to choose");
        assert_eq!(respond(&we, &expires("600;refresher=uac"), true), on(600, false, true), "Y uac: uac");
        assert_eq!(respond(&we, &expires("600 ; Refresher = UAS"), true), on(600, true, true), "Y uas: uas");
        assert_eq!(respond(&we, &Headers::new(), true), on(1800, true, true), "we may ask for one");
        assert_eq!(respond(&we, &Headers::new(), false), Response::Off);
    }

    #[test]
    fn intervals_are_never_raised_and_not_below_the_least() {
        let we = SessionTimers { min: Duration::from_secs(300), ..SessionTimers::default() };
        assert_eq!(respond(&we, &expires("120"), true), Response::TooSmall(300));
        assert_eq!(respond(&we, &expires("120"), false), Response::Off);
        assert_eq!(respond(&we, &expires("7200"), true), on(1800, true, true), "reduced to what we want");
        let high = headers(&[(Name::SessionExpires, "7200"), (Name::MinSe, "3600")]);
        assert_eq!(respond(&we, &high, true), on(3600, true, true), "but not below their Min-SE");
        assert_eq!(respond(&we, &expires("many"), true), on(1800, true, true));
        let careless = SessionTimers { min: Duration::from_secs(1), interval: Duration::from_secs(2) };
        assert_eq!((careless.min_s(), careless.interval_s()), (90, 90));
    }

    #[test]
    fn what_a_2xx_says() {
        assert_eq!(accepted(&Headers::new()), None);
        assert_eq!(accepted(&expires("600;refresher=uas")), Some(Agreed { interval_s: 600, ours: false }));
        assert_eq!(accepted(&expires("600")), Some(Agreed { interval_s: 600, ours: true }));
        assert_eq!(accepted(&expires("1;refresher=uac")).unwrap().interval_s, 90, "no faster than allowed");
    }

    #[test]
    fn times() {
        let long = Agreed { interval_s: 1800, ours: true };
        assert_eq!((long.refresh_after().as_secs(), long.give_up_after().as_secs()), (900, 1768));
        let short = Agreed { interval_s: 90, ours: false };
        assert_eq!(short.give_up_after().as_secs(), 60, "a third, when that is less than 32 s");
    }
}
