//! What was received, sent and dropped, by cause.

/// Counters since the start; read them with [`Endpoint::counters`](crate::Endpoint::counters).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests read, retransmissions included.
    pub requests: u64,
    /// Responses read, retransmissions included.
    pub responses: u64,
    /// Messages sent, retransmissions included.
    pub sent: u64,
    /// Retransmissions sent.
    pub retransmitted: u64,
    /// Retransmitted requests answered from memory.
    pub repeated: u64,
    /// Keep-alives (CRLF, RFC 5626) received.
    pub keep_alives: u64,
    /// Messages that could not be read and got no response.
    pub unreadable: u64,
    /// Requests answered 400.
    pub malformed: u64,
    /// Messages above a limit of size or number of headers.
    pub oversized: u64,
    /// Requests refused with 503 because a table was full.
    pub overload: u64,
    /// Responses that match no transaction of ours.
    pub stray_responses: u64,
    /// ACKs that match no call.
    pub stray_acks: u64,
    /// Connections closed because a stream could not be followed.
    pub broken_streams: u64,
    /// Connections refused because there were too many.
    pub refused_connections: u64,
    /// Messages that could not be sent: no connection, or too much waiting for one.
    pub unsendable: u64,
    /// Transactions that ended by time-out.
    pub timeouts: u64,
    /// Calls opened, both ways.
    pub calls: u64,
    /// Requests of others that were asked for credentials (401).
    pub challenged: u64,
    /// Wrong credentials given to us.
    pub wrong_credentials: u64,
    /// Requests refused because of too many wrong credentials before.
    pub barred: u64,
    /// Requests of ours sent again with credentials.
    pub answered_challenges: u64,
    /// NOTIFYs sent, retransmissions not included.
    pub notifies: u64,
}
