//! A challenge as the client reads it (RFC 7616 3.3).

use super::{Algorithm, params::Params};
use crate::message::scan;

/// One challenge we can answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    pub realm: Vec<u8>,
    pub nonce: Vec<u8>,
    pub opaque: Option<Vec<u8>>,
    pub algorithm: Algorithm,
    /// A `-sess` algorithm.
    pub session: bool,
    /// The algorithm was named: some servers want it back only then.
    pub named: bool,
    /// qop `auth` was offered; else it is a server of RFC 2069.
    pub qop: bool,
    pub stale: bool,
}

impl Challenge {
    /// Reads one; `None` when it is not Digest, or of a kind we cannot answer (unknown algorithm, `auth-int` only).
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let params = Params::parse(value)?;
        let (algorithm, session) = Algorithm::parse(params.value("algorithm").unwrap_or(b"MD5"))?;
        let qop = match params.value("qop") {
            Some(list) => {
                if !scan::split_list(list, b',').any(|q| q.eq_ignore_ascii_case(b"auth")) {
                    return None;
                }
                true
            }
            None => false,
        };
        let nonce = params.value("nonce").filter(|n| !n.is_empty())?.to_vec();
        Some(Self {
            realm: params.value("realm")?.to_vec(),
            nonce,
            opaque: params.value("opaque").map(<[u8]>::to_vec),
            algorithm,
            session,
            named: params.value("algorithm").is_some(),
            qop,
            stale: params.is("stale", "true"),
        })
    }
}
