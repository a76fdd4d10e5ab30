//! The side that is asked (RFC 3261 22.2, 22.3, RFC 8760 2.4).

use smallvec::SmallVec;

use super::{Credentials, algorithm::response, challenge::Challenge, params::Params};
use crate::message::{Headers, Name};

/// Most times one request is sent again with credentials, whatever is asked: proxies of several realms, stale nonces.
const MOST_ROUNDS: u8 = 4;
/// Most challenges of one response that are looked at.
const MOST_CHALLENGES: usize = 16;

/// What was answered already on behalf of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tried {
    rounds: u8,
    realms: SmallVec<[(Name, Vec<u8>); 1]>,
}

/// Headers for the next try, each with the realm it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answered(pub Vec<(Name, Vec<u8>, String)>);

impl Tried {
    /// Answers the challenges of a 401 or 407. `find` gives the credentials of a realm.
    ///
    /// `None` when there is nothing (more) to say: no credentials, or they were wrong the last time.
    pub(crate) fn answer<'a>(
        &mut self,
        asked: &Headers,
        method: &str,
        uri: &[u8],
        cnonce: &str,
        find: impl Fn(&[u8]) -> Option<&'a Credentials>,
    ) -> Option<Answered> {
        if self.rounds >= MOST_ROUNDS {
            return None;
        }
        let mut out = Vec::new();
        for (from, to) in [
            (Name::WwwAuthenticate, Name::Authorization),
            (Name::ProxyAuthenticate, Name::ProxyAuthorization),
        ] {
            for challenge in strongest(asked, &from) {
                let Some(credentials) = find(&challenge.realm) else { continue };
                let key = (to.clone(), challenge.realm.clone());
                if self.realms.contains(&key) && !challenge.stale {
                    // What we said is not believed: saying it again will not help.
                    return None;
                }
                let Some(value) = answer(&challenge, credentials, method, uri, cnonce) else { continue };
                if !self.realms.contains(&key) {
                    self.realms.push(key);
                }
                out.push((to.clone(), challenge.realm, value));
            }
        }
        self.rounds += 1;
        (!out.is_empty()).then_some(Answered(out))
    }
}

impl Answered {
    /// Puts them into a request in place of earlier ones of the same realms.
    pub(crate) fn apply(self, headers: &mut Headers) {
        for (name, realm, value) in self.0 {
            headers.retain(|h| {
                h.name != name || Params::parse(&h.value).is_none_or(|p| p.value("realm") != Some(&realm))
            });
            headers.push(name, value);
        }
    }
}

/// The challenges of one kind, for each realm the strongest we know; order among the equal ones as they came.
///
/// RFC 8760 2.4 lets a local policy choose: a server that lists MD5 first is no reason to use it.
fn strongest(asked: &Headers, name: &Name) -> Vec<Challenge> {
    let mut out: Vec<Challenge> = Vec::new();
    for challenge in asked.all(name).take(MOST_CHALLENGES).filter_map(|v| Challenge::parse(v)) {
        match out.iter_mut().find(|c| c.realm == challenge.realm) {
            Some(have) if have.algorithm < challenge.algorithm => *have = challenge,
            Some(_) => {}
            None => out.push(challenge),
        }
    }
    out
}

fn answer(
    challenge: &Challenge,
    credentials: &Credentials,
    method: &str,
    uri: &[u8],
    cnonce: &str,
) -> Option<String> {
    let algorithm = challenge.algorithm;
    let mut ha1 = credentials.secret.ha1(algorithm, &credentials.user, &challenge.realm)?;
    if challenge.session {
        ha1 = algorithm.hash(&[ha1.as_bytes(), &challenge.nonce, cnonce.as_bytes()]);
    }
    let nc = "00000001";
    let count = challenge.qop.then_some((nc.as_bytes(), cnonce.as_bytes()));
    let said = response(algorithm, &ha1, &challenge.nonce, count, method, uri);
    let quoted = |bytes: &[u8]| crate::message::quote(&String::from_utf8_lossy(bytes));
    let mut out = format!(
        "Digest username={}, realm={}, nonce={}, uri={}, response=\"{said}\"",
        quoted(credentials.user.as_bytes()),
        quoted(&challenge.realm),
        quoted(&challenge.nonce),
        quoted(uri),
    );
    if challenge.named {
        let session = if challenge.session { "-sess" } else { "" };
        out += &format!(", algorithm={}{session}", algorithm.name());
    }
    if challenge.qop {
        out += &format!(", qop=auth, nc={nc}, cnonce=\"{cnonce}\"");
    } else if challenge.session {
        out += &format!(", cnonce=\"{cnonce}\"");
    }
    if let Some(opaque) = &challenge.opaque {
        out += &format!(", opaque={}", quoted(opaque));
    }
    Some(out)
}
