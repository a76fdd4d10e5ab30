//! The side that asks who is there (RFC 7616 3.3–3.4, RFC 8760 2.3, RFC 3261 22.1).

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Accounts, Algorithm, Secret,
    algorithm::response,
    nonce::{Nonces, Worth, same},
    params::Params,
    puzzled::Puzzled,
};
use crate::message::{Headers, Name, NameAddr, Uri, quote};

/// Wrong answers of one user from one address within [`GUESS_TIME`]; then he has to wait.
const GUESSES: u32 = 10;
/// The same for all users from one address.
const GUESSES_FROM: u32 = 100;
/// How long wrong answers count.
const GUESS_TIME: Duration = Duration::from_secs(60);
/// Most pairs of address and user whose wrong answers are counted.
const MOST_GUESSERS: usize = 8192;
/// Longest user name told apart from others, bytes; accounts have shorter ones.
const MOST_NAME: usize = 128;

/// Whom we know, and how we ask.
#[derive(Clone, Debug)]
pub struct Config {
    /// The realm shown in challenges: our domain, as a rule.
    pub realm: String,
    /// Who may come in.
    pub accounts: Accounts,
    /// How long a nonce may be used; 5 minutes.
    pub lifetime: Duration,
    /// Most nonces in use that are remembered; 16,384.
    pub max_nonces: usize,
}

impl Config {
    /// The usual lifetime and bound.
    pub fn new(realm: impl Into<String>, accounts: Accounts) -> Self {
        Self { realm: realm.into(), accounts, lifetime: Duration::from_secs(300), max_nonces: 16_384 }
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is this user.
    Known(Arc<str>),
    /// Ask (again) for credentials.
    Ask {
        /// The answer was right, only its nonce was not.
        stale: bool,
        /// There was an answer, and it was wrong.
        wrong: bool,
        /// Ask for MD5 alone: the device does not understand the rest.
        md5_only: bool,
    },
    /// Credentials that cannot be read, or that are for another address.
    Malformed,
    /// Too many wrong answers: no more for a while.
    Barred,
}

/// Checks credentials.
pub(crate) struct Guard {
    config: Config,
    nonces: Nonces,
    guesses: HashMap<(IpAddr, Vec<u8>), (Instant, u32)>,
    /// Takes the place of the secret of those we do not know, so that they take the same time.
    nobody: Secret,
    puzzled: Puzzled,
}

impl Guard {
    pub(crate) fn new(config: Config, key: [u8; 32]) -> Self {
        let nonces = Nonces::new(key, config.lifetime, config.max_nonces);
        let nobody = Secret::Password(super::algorithm::hex(&key));
        Self { config, nonces, guesses: HashMap::new(), nobody, puzzled: Puzzled::default() }
    }

    /// Values of WWW-Authenticate, the preferred algorithm first.
    pub(crate) fn challenge(&mut self, now: Instant, stale: bool, md5_only: bool) -> Vec<String> {
        let nonce = self.nonces.make(now);
        let realm = quote(&self.config.realm);
        let stale = if stale { ", stale=true" } else { "" };
        let one = |algorithm: &Algorithm| {
            format!(
                "Digest realm={realm}, nonce=\"{nonce}\", algorithm={}, qop=\"auth\"{stale}",
                algorithm.name()
            )
        };
        let offered = self.config.accounts.offered().iter();
        offered.filter(|a| !md5_only || **a == Algorithm::Md5).map(one).collect()
    }

    /// Looks for credentials of our realm in a request and checks them.
    pub(crate) fn check(
        &mut self,
        now: Instant,
        from: IpAddr,
        method: &str,
        uri: &Uri,
        headers: &Headers,
    ) -> Verdict {
        let ours = |params: &Params<'_>| params.value("realm") == Some(self.config.realm.as_bytes());
        let mut all = headers.all(&Name::Authorization).map(|value| Params::parse(value));
        let Some(params) = all.find_map(|p| p.filter(ours)) else {
            let unreadable =
                headers.all(&Name::Authorization).any(|v| is_digest(v) && Params::parse(v).is_none());
            return if unreadable { Verdict::Malformed } else { self.ask(now, from, headers) };
        };
        self.puzzled.answered(from, &caller(headers));
        let ask = Verdict::Ask { stale: false, wrong: false, md5_only: false };
        let value = |name| params.value(name).unwrap_or_default();
        let algorithm = Algorithm::parse(params.value("algorithm").unwrap_or(b"MD5"));
        let Some((algorithm, false)) = algorithm.filter(|(a, _)| self.config.accounts.offered().contains(a))
        else {
            return ask;
        };
        let count = std::str::from_utf8(value("nc")).ok().filter(|nc| nc.len() == 8);
        let count = count.and_then(|nc| u32::from_str_radix(nc, 16).ok());
        // Without qop there is no protection against replay; we asked for it (RFC 3261 22.4).
        let Some(count) = count.filter(|_| params.is("qop", "auth") && !value("cnonce").is_empty()) else {
            return ask;
        };
        let Ok(named) = Uri::parse(value("uri")) else { return Verdict::Malformed };
        if named.user() != uri.user() {
            // Hosts are rewritten on the way; whom it is for is not.
            return Verdict::Malformed;
        }
        let user = value("username");
        let user = user.get(..MOST_NAME).unwrap_or(user);
        if self.barred(now, from, user) {
            return Verdict::Barred;
        }
        let known = self.config.accounts.find(user);
        let secret = known.map_or(&self.nobody, |(_, secret)| secret);
        let text = String::from_utf8_lossy(user);
        let ha1 = secret.ha1(algorithm, &text, self.config.realm.as_bytes()).unwrap_or_default();
        let counted = Some((value("nc"), value("cnonce")));
        let right = response(algorithm, &ha1, value("nonce"), counted, method, value("uri"));
        let given = value("response").to_ascii_lowercase();
        let Some((name, _)) = known.filter(|_| same(right.as_bytes(), &given)) else {
            self.guessed(now, from, user);
            return Verdict::Ask { stale: false, wrong: true, md5_only: algorithm == Algorithm::Md5 };
        };
        let name = name.clone();
        match self.nonces.spend(now, value("nonce"), count) {
            Worth::Fresh => Verdict::Known(name),
            Worth::Stale => Verdict::Ask { stale: true, wrong: false, md5_only: algorithm == Algorithm::Md5 },
        }
    }

    /// Nothing was said: ask, in a way the device understands.
    fn ask(&mut self, now: Instant, from: IpAddr, headers: &Headers) -> Verdict {
        let mut request = headers.value(&Name::CallId).map(|id| id.to_vec()).unwrap_or_default();
        request.push(b' ');
        request.extend_from_slice(headers.value(&Name::CSeq).map(|n| &n[..]).unwrap_or_default());
        request.truncate(256);
        let choice =
            [Algorithm::Md5, Algorithm::Sha256].iter().all(|a| self.config.accounts.offered().contains(a));
        let md5_only = choice && self.puzzled.ask(now, from, &caller(headers), request);
        Verdict::Ask { stale: false, wrong: false, md5_only }
    }

    fn barred(&self, now: Instant, from: IpAddr, user: &[u8]) -> bool {
        let wrong = |user: &[u8]| {
            let found = self.guesses.get(&(from, user.to_vec()));
            found
                .filter(|(since, _)| now.saturating_duration_since(*since) < GUESS_TIME)
                .map_or(0, |(_, n)| *n)
        };
        wrong(user) >= GUESSES || wrong(b"") >= GUESSES_FROM
    }

    fn guessed(&mut self, now: Instant, from: IpAddr, user: &[u8]) {
        let old = |since: &Instant| now.saturating_duration_since(*since) >= GUESS_TIME;
        if self.guesses.len() >= MOST_GUESSERS {
            self.guesses.retain(|_, (since, _)| !old(since));
            // A table that strangers keep full would let one of them guess uncounted; emptied, each of his guesses costs him thousands
            // of messages.
            if self.guesses.len() > MOST_GUESSERS / 2 {
                self.guesses.clear();
            }
        }
        for user in [user, b""] {
            let key = (from, user.to_vec());
            let entry = self.guesses.entry(key).or_insert((now, 0));
            if old(&entry.0) {
                *entry = (now, 0);
            }
            entry.1 = entry.1.saturating_add(1);
        }
    }
}

/// Who says he is asking: the user of From.
fn caller(headers: &Headers) -> Vec<u8> {
    let from = headers.value(&Name::From).and_then(|from| NameAddr::parse(from).ok());
    let mut user = from.map(|from| from.uri.user()).unwrap_or_default().into_bytes();
    user.truncate(128);
    user
}

fn is_digest(value: &[u8]) -> bool {
    value.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"digest"))
}
