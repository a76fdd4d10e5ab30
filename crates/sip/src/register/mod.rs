//! We as a device of somebody else's registrar (RFC 3261 10.2): to be called under its domain.
//!
//! ```text
//!  Trying ─200▶ Registered ─before it ends▶ Trying …        Trying ─refused, no answer▶ Failed ─back-off▶ Trying
//! ```

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;

use crate::{
    digest::{Credentials, Secret},
    message::{Headers, Name, NameAddr, Uri, scan},
    timer::Alarm,
    transport::Protocol,
    wire::Flow,
};

/// First wait after a failure; doubled each time …
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// … up to this. Wrong credentials wait so long at once, lest the account be locked.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Longest Retry-After that is obeyed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// One registration of ours; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegistrationId(pub u64);

/// Where and as whom to register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The registrar, without user: Request-URI. Its host must be an IP address unless `remote` is given.
    pub registrar: Uri,
    /// The address to send to, when it is not the host of `registrar`.
    pub remote: Option<SocketAddr>,
    /// Protocol; `None`: as `registrar` says (`;transport=tcp`), else UDP.
    pub protocol: Option<Protocol>,
    /// Our user name there; the address we are called by is `sip:user@` the registrar's host.
    pub user: String,
    /// Name for digest when it is not `user`.
    pub auth_user: Option<String>,
    /// Password or hashes.
    pub secret: Secret,
    /// User part of our Contact: what calls from there ask for (a room).
    pub contact: String,
    /// Wanted time; the registrar may grant less.
    pub expires: Duration,
}

/// How a registration of ours stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistrationState {
    /// Asked, no answer yet.
    Trying,
    /// In force until then.
    Registered {
        /// When it ends unless it is refreshed.
        until: Instant,
    },
    /// It does not work; it is tried again.
    Failed {
        /// The status it was refused with; `None`: no answer, or no way to send.
        status: Option<u16>,
        /// The next try.
        again: Instant,
    },
    /// Signed off, or about to.
    Ended,
}

/// A registration under way.
pub(crate) struct Running {
    pub plan: Registration,
    pub state: RegistrationState,
    pub credentials: Credentials,
    pub flow: Option<Flow>,
    pub call_id: Bytes,
    pub tag: Bytes,
    pub cseq: u32,
    /// What is asked for now: the plan, or more when the registrar wants more.
    pub expires: Duration,
    pub failures: u32,
    pub alarm: Option<Alarm>,
    /// A REGISTER is under way.
    pub under_way: bool,
    /// The registrar has us, or had us lately.
    pub bound: bool,
    /// It was told that we go.
    pub parting: bool,
}

/// All registrations of ours.
#[derive(Default)]
pub(crate) struct Registrations {
    pub all: std::collections::BTreeMap<RegistrationId, Running>,
    pub last: u64,
}

impl Running {
    /// The wait after a failure; `spread` (0–1) keeps many of us from coming at once.
    pub(crate) fn wait(&mut self, status: Option<u16>, headers: Option<&Headers>, spread: f64) -> Duration {
        let doubled = FIRST_WAIT * 2_u32.saturating_pow(self.failures.min(10));
        self.failures += 1;
        let wait = match status {
            Some(401 | 403 | 404 | 407) => LONGEST_WAIT,
            _ => doubled.min(LONGEST_WAIT),
        };
        let told = headers.and_then(|h| h.value(&Name::RetryAfter)).and_then(|value| {
            let digits = value.split(|b| !b.is_ascii_digit()).next()?;
            scan::number::<u32>(digits)
        });
        match told {
            Some(seconds) => Duration::from_secs(seconds.into()).clamp(FIRST_WAIT, LONGEST_RETRY_AFTER),
            None => wait.mul_f64(0.5 + spread.clamp(0.0, 1.0) / 2.0),
        }
    }

    /// The time a 200 grants: our Contact's own, else Expires, else what was asked for (10.2.4).
    pub(crate) fn granted(&self, headers: &Headers, contact: &Uri) -> Duration {
        let same = |a: &NameAddr| a.uri.user() == contact.user() && a.uri.host() == contact.host();
        let all: Vec<_> =
            headers.elements(&Name::Contact).take(64).filter_map(|c| NameAddr::parse(c).ok()).collect();
        let ours = all.iter().find(|a| same(a)).or(if all.len() == 1 { all.first() } else { None });
        let own = ours.and_then(|a| a.params.value("expires")).and_then(scan::number::<u32>);
        let general = || headers.value(&Name::Expires).and_then(|e| scan::number::<u32>(e));
        let seconds = own.or_else(general).map(|s| Duration::from_secs(s.into()));
        // No registrar has a use for less; a week is for ever.
        seconds.unwrap_or(self.expires).clamp(Duration::from_secs(10), Duration::from_secs(7 * 86_400))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Running {
        let plan = Registration {
            registrar: "sip:192.0.2.9".parse().unwrap(),
            remote: None,
            protocol: None,
            user: "mcu".into(),
            auth_user: None,
            secret: Secret::Password("x".into()),
            contact: "8000".into(),
            expires: Duration::from_secs(600),
        };
        Running {
            credentials: Credentials {
                realm: String::new(),
                user: "mcu".into(),
                secret: plan.secret.clone(),
            },
            plan,
            state: RegistrationState::Trying,
            flow: None,
            call_id: "c".into(),
            tag: "t".into(),
            cseq: 1,
            expires: Duration::from_secs(600),
            failures: 0,
            alarm: None,
            under_way: false,
            bound: false,
            parting: false,
        }
    }

    #[test]
    fn waits_grow_to_five_minutes_and_obey_retry_after() {
        let mut it = running();
        let waits: Vec<_> = (0..8).map(|_| it.wait(Some(503), None, 1.0).as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(running().wait(Some(403), None, 0.0).as_secs(), 150);
        let mut headers = Headers::new();
        headers.push(Name::RetryAfter, "90 (busy);duration=60");
        assert_eq!(running().wait(Some(503), Some(&headers), 0.0).as_secs(), 90);
    }

    #[test]
    fn the_time_granted_is_that_of_our_contact() {
        let it = running();
        let granted = |lines: &[(Name, &str)]| {
            let mut headers = Headers::new();
            for (name, value) in lines {
                headers.push(name.clone(), value.to_string());
            }
            it.granted(&headers, &"sip:8000@192.0.2.2:5060".parse().unwrap()).as_secs()
        };
        let others = "<sip:x@10.0.0.1>;expires=20, <sip:8000@192.0.2.2:5060>;expires=120";
        assert_eq!(granted(&[(Name::Contact, others), (Name::Expires, "7")]), 120);
        assert_eq!(granted(&[(Name::Contact, "<sip:x@203.0.113.1:1024>;expires=300")]), 300);
        assert_eq!(granted(&[(Name::Expires, "400")]), 400);
        assert_eq!(granted(&[]), 600);
        assert_eq!(granted(&[(Name::Expires, "0")]), 10);
    }
}
