//! What the driver and the endpoint say to each other: bytes in, bytes out.

use std::net::SocketAddr;

use bytes::Bytes;

/// One stream connection; the driver numbers them and never uses a number twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// A transport protocol as named in Via and `;transport=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Datagrams.
    Udp,
    /// Streams.
    Tcp,
}

impl Protocol {
    /// As in Via.
    pub(crate) fn via(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }

    /// Whether the transport delivers by itself, so that retransmission timers rest.
    pub(crate) fn reliable(self) -> bool {
        self == Self::Tcp
    }
}

/// The way of one piece of input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A datagram.
    Udp,
    /// A read from, or a write to, this connection.
    Tcp(ConnId),
    /// Output only: open a connection to `remote`, write `bytes` when it stands, and report it with
    /// [`Endpoint::handle_connected`](crate::Endpoint::handle_connected) or
    /// [`Endpoint::handle_connect_failed`](crate::Endpoint::handle_connect_failed). The endpoint asks once per remote address
    /// and keeps what else is to be sent there until the report comes.
    TcpConnect,
    /// Output only: close this connection after what was written before; `bytes` is empty. No
    /// [`Endpoint::handle_closed`](crate::Endpoint::handle_closed) is needed, but it does no harm.
    TcpClose(ConnId),
}

impl Transport {
    /// Datagrams or streams.
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Udp => Protocol::Udp,
            _ => Protocol::Tcp,
        }
    }
}

/// A UDP datagram or a TCP read.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// [`Transport::Udp`] or [`Transport::Tcp`].
    pub transport: Transport,
    /// The local address it arrived at; for a socket bound to `0.0.0.0` or `::` the real one if the driver knows it.
    pub local: SocketAddr,
    /// The sender.
    pub remote: SocketAddr,
    /// The datagram, or any piece of the stream.
    pub bytes: &'a [u8],
}

/// Something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// How.
    pub transport: Transport,
    /// UDP: the local address to send from, when it matters which.
    pub local: Option<SocketAddr>,
    /// Where to.
    pub remote: SocketAddr,
    /// One datagram, or bytes for the stream.
    pub bytes: Bytes,
}
