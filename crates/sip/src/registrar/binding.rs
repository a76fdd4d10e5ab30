//! One device of one account.

use std::{net::SocketAddr, time::Instant};

use bytes::Bytes;

use crate::{message::Uri, transport::Protocol, wire::Flow};

/// A device as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its address, as it named it.
    pub contact: Uri,
    /// Where its REGISTER came from.
    pub remote: SocketAddr,
    /// How.
    pub protocol: Protocol,
    /// User-Agent header.
    pub user_agent: Option<String>,
    /// Preference, 0–1000 (thousandths of `q`).
    pub q: u16,
}

/// A binding (RFC 3261 10).
#[derive(Clone, Debug)]
pub(crate) struct Binding {
    pub device: Device,
    /// The Contact element for our answers, without `expires`.
    pub written: Bytes,
    /// What makes it this device and no other.
    pub key: Key,
    pub call_id: Bytes,
    pub cseq: u32,
    pub expires: Instant,
    /// Path, nearest to us first (RFC 3327).
    pub path: Vec<Bytes>,
    pub flow: Flow,
    /// The address it names cannot be reached from here.
    pub hidden: bool,
}

/// What makes a binding this and no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// `+sip.instance` and `reg-id` (RFC 5626 4.2).
    Instance(Bytes, u32),
    /// The address in lower case, without headers.
    Address(Bytes),
}

impl Binding {
    /// Where requests to this device go, without a Path: to the address it names, or back where it speaks from.
    pub(crate) fn remote(&self) -> SocketAddr {
        let named = self.device.contact.socket_addr().filter(|a| !a.ip().is_unspecified());
        match named {
            // Its own connection is the only sure way to a device on a stream.
            _ if self.flow.conn.is_some() => self.flow.remote,
            Some(named) if !self.hidden && named.is_ipv4() == self.flow.local.is_ipv4() => named,
            _ => self.flow.remote,
        }
    }

    /// Whether it can be reached only over the connection it came by.
    pub(crate) fn needs_connection(&self) -> bool {
        self.flow.protocol == Protocol::Tcp && (self.hidden || self.device.contact.socket_addr().is_none())
    }
}
