//! The four transaction machines (RFC 3261 17, RFC 6026) and their tables.
//!
//! The machines do not send: they say what to send, and what their user (the call) has to know.

mod client;
mod server;

pub(crate) use client::{Client, Heard, User};
pub(crate) use server::{Repeat, Server};

use std::{collections::HashMap, time::Duration};

use crate::{
    config,
    message::{Method, Name, Request, Via},
};

/// Number of a transaction; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TxId(pub u64);

/// The timers of transactions (RFC 3261 table 4, RFC 6026).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Client: send again (A, E).
    Resend,
    /// Client: no final response (B, F).
    GiveUp,
    /// Client: the connection for a large request is not made yet.
    NoConnection,
    /// Client: nothing more is to come (D, K, M).
    Done,
    /// Server: 100 is due, the owner takes its time.
    Trying,
    /// Server: send the final response again (G).
    Respond,
    /// Server: no ACK (H).
    NoAck,
    /// Server: nothing more is to come (I, J, L).
    Over,
}

/// 64·T1, the longest a transaction lasts.
pub(crate) fn whole(timers: &config::Timers) -> Duration {
    timers.t1 * 64
}

/// Identifies a server transaction (17.2.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ServerKey(Box<[u8]>);

impl ServerKey {
    /// Of a request with its top Via as received. An ACK has the key of its INVITE; `method` replaces the request's own for CANCEL.
    pub(crate) fn of(request: &Request, via: &Via, method: &Method) -> Self {
        let method = if *method == Method::Ack { &Method::Invite } else { method };
        let mut key = Vec::with_capacity(96);
        let mut part = |bytes: &[u8]| {
            key.extend_from_slice(bytes);
            key.push(0);
        };
        part(method.as_str().as_bytes());
        if via.is_rfc3261() {
            part(via.branch().unwrap_or_default());
            part(via.host.to_string().to_ascii_lowercase().as_bytes());
            part(&via.port.unwrap_or(5060).to_be_bytes());
        } else {
            // RFC 2543: no unique branch, so everything that makes it unique.
            part(&request.uri.to_bytes());
            for name in [&Name::From, &Name::CallId] {
                part(request.headers.value(name).map(|v| &v[..]).unwrap_or_default());
            }
            let cseq = request.headers.value(&Name::CSeq).map(|v| &v[..]).unwrap_or_default();
            part(crate::message::scan::split_word(cseq).0);
            part(request.headers.elements(&Name::Via).next().unwrap_or_default());
        }
        Self(key.into())
    }
}

/// Identifies a client transaction (17.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientKey {
    pub branch: Box<[u8]>,
    pub method: Method,
}

/// All transactions.
pub(crate) struct Tables {
    pub clients: HashMap<TxId, Client>,
    pub client_keys: HashMap<ClientKey, TxId>,
    pub servers: HashMap<TxId, Server>,
    pub server_keys: HashMap<ServerKey, TxId>,
    /// Requests outside of dialogs by From tag, Call-ID, CSeq: to find merged ones (8.2.2.2).
    pub merges: HashMap<Box<[u8]>, TxId>,
    next: u64,
}

impl Tables {
    pub(crate) fn new() -> Self {
        Self {
            clients: HashMap::new(),
            client_keys: HashMap::new(),
            servers: HashMap::new(),
            server_keys: HashMap::new(),
            merges: HashMap::new(),
            next: 0,
        }
    }

    pub(crate) fn new_id(&mut self) -> TxId {
        self.next += 1;
        TxId(self.next)
    }

    pub(crate) fn len(&self) -> usize {
        self.clients.len() + self.servers.len()
    }
}
