//! What RTP sessions and the buffers behind them drop, by cause.

macro_rules! dropped {
    ($($(#[$doc:meta])* $cause:ident = $label:literal,)*) => {
        /// Packets and parts of packets that were dropped behind the edge of a line.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Dropped {
            $($(#[$doc])* pub $cause: u64,)*
        }

        impl Dropped {
            /// Every cause with its name; the names hold still.
            pub fn causes(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$(($label, self.$cause)),*].into_iter()
            }

            /// What has been added since `before`; a counter that began anew counts from there.
            fn since(&self, before: &Self) -> Self {
                Self { $($cause: self.$cause.checked_sub(before.$cause).unwrap_or(self.$cause)),* }
            }
        }

        impl std::ops::AddAssign for Dropped {
            fn add_assign(&mut self, other: Self) {
                $(self.$cause += other.$cause;)*
            }
        }
    };
}

dropped! {
    /// Packets that came twice.
    duplicate = "duplicate",
    /// Packets far behind the newest, or after they had been given up or should have been played.
    late = "late",
    /// Packets of a source that has not proved itself (RFC 3550 A.1).
    unproved = "unproved-source",
    /// Sound beyond the longest delay, pictures beyond their bounds, events nobody took.
    overflow = "overflow",
    /// Sound left out to shorten the delay.
    shortened = "shortened",
    /// Payloads that are empty, cut off or nonsense, and fragments without their beginning or end.
    payload = "payload",
    /// NAL units of scalable layers.
    scalable = "scalable",
    /// RTCP packets that are malformed.
    rtcp = "rtcp",
    /// RTCP packets of unknown types.
    unknown_rtcp = "unknown-rtcp",
    /// Packets asked for again and not sent again, because too many were.
    repetition = "repetition",
}

/// What of a set of counters was told already.
#[derive(Debug, Default)]
pub struct Told(Dropped);

impl Told {
    /// What is new in `now`.
    pub fn news(&mut self, now: Dropped) -> Dropped {
        let news = now.since(&self.0);
        self.0 = now;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_told_and_a_counter_may_begin_anew() {
        let mut told = Told::default();
        let late = |n| Dropped { late: n, ..Dropped::default() };
        assert_eq!(told.news(late(3)), late(3));
        assert_eq!(told.news(late(5)), late(2));
        assert_eq!(told.news(late(1)), late(1));
        let mut sum = late(1);
        sum += late(2);
        assert_eq!(sum.causes().find(|(name, _)| *name == "late"), Some(("late", 3)));
    }
}
