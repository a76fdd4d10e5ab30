//! Where a request can be sent (RFC 3263): the answer of the owner's look-up.

use std::net::{IpAddr, SocketAddr};

use crate::transport::Protocol;

/// One address a request may be sent to. When it fails there, the next one is tried (RFC 3263 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// How.
    pub protocol: Protocol,
    /// Where to.
    pub remote: SocketAddr,
    /// Our address on the way there, when the system tells; for Contact and session descriptions.
    pub local: Option<IpAddr>,
}

/// Why an address was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unlocated {
    /// The name does not exist, or has no address.
    #[error("the name has no address")]
    NoSuchName,
    /// The name server does not answer.
    #[error("the name server does not answer")]
    NoAnswer,
    /// The address asks for a transport that is not available.
    #[error("a transport that is not available")]
    Transport,
    /// The system has no way there.
    #[error("no way there")]
    NoRoute,
}
