//! What was received, sent and dropped, by cause.

macro_rules! counters {
    (
        seen { $($(#[$doc:meta])* $name:ident,)* }
        dropped { $($(#[$cause_doc:meta])* $cause:ident = $label:literal,)* }
    ) => {
        /// Counters since the start; read them with [`Endpoint::counters`](crate::Endpoint::counters).
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
            $($(#[$cause_doc])* pub $cause: u64,)*
        }

        impl Counters {
            /// Everything that was dropped or refused, by cause; the names hold still.
            pub fn dropped(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$(($label, self.$cause)),*].into_iter()
            }
        }
    };
}

counters! {
    seen {
    /// Requests read, retransmissions included.
    requests,
    /// Responses read, retransmissions included.
    responses,
    /// Messages sent, retransmissions included.
    sent,
    /// Retransmissions sent.
    retransmitted,
    /// Retransmitted requests answered from memory, and responses that were seen before.
    repeated,
    /// Keep-alives (CRLF, RFC 5626) received.
    keep_alives,
    /// Transactions that ended by time-out.
    timeouts,
    /// Calls opened, both ways.
    calls,
    /// Calls ended because nobody refreshed their session (RFC 4028).
    expired_sessions,
    /// Requests too large for a datagram that went by UDP after all, since nobody listens on TCP.
    fallbacks,
    /// Requests of others that were asked for credentials (401).
    challenged,
    /// Wrong credentials given to us.
    wrong_credentials,
    /// Requests refused because of too many wrong credentials before.
    barred,
    /// Requests of ours sent again with credentials.
    answered_challenges,
    /// NOTIFYs sent, retransmissions not included.
    notifies,
    }
    dropped {
    /// Messages that could not be read and got no response.
    unreadable = "unreadable",
    /// Requests answered 400.
    malformed = "malformed",
    /// Messages above a limit of size or number of headers.
    oversized = "oversized",
    /// Requests refused with 503 because a table or queue was full.
    overload = "overload",
    /// Responses that match no transaction of ours.
    stray_responses = "stray-response",
    /// ACKs that match no call.
    stray_acks = "stray-ack",
    /// Responses of more forks of one INVITE than are followed.
    surplus_forks = "surplus-fork",
    /// Connections closed because a stream could not be followed.
    broken_streams = "broken-stream",
    /// Connections refused because there were too many.
    refused_connections = "refused-connection",
    /// Connections closed because a message did not come, or not to its end, in time.
    idle_connections = "idle-connection",
    /// Connections closed because unfinished messages took too much memory.
    partial_overflow = "partial-overflow",
    /// Messages that could not be sent: no connection, or too much waiting for one.
    unsendable = "unsendable",
    /// Messages dropped because too much waited for the driver.
    queue_overflow = "queue-overflow",
    /// Events dropped because the owner did not take them.
    lost_events = "lost-event",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_name_of_its_own() {
        let counters = Counters { unreadable: 3, lost_events: 4, ..Counters::default() };
        let all: Vec<_> = counters.dropped().collect();
        let mut names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len());
        assert_eq!((all[0], all[all.len() - 1]), (("unreadable", 3), ("lost-event", 4)));
    }
}
