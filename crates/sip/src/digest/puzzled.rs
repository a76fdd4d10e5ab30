//! Devices that do not know SHA-256, and give up when they see it.
//!
//! A client ought to pass over algorithms it does not know (RFC 7616 3.7, RFC 8760 2.4). Some end the registration with an error
//! instead, whatever the order (baresip 1.0: "Function not implemented"), and come again later as if nothing had been. Who comes
//! again without an answer to both algorithms is asked for MD5 alone; who does not answer that either, for both again.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// A client that answers does so sooner.
const ANSWERS: Duration = Duration::from_secs(2);
/// How long it is remembered what a device can do.
const REMEMBERED: Duration = Duration::from_secs(86_400);
/// Most devices remembered.
const MOST: usize = 8192;

/// What is known of those who were asked.
#[derive(Default)]
pub(crate) struct Puzzled(HashMap<(IpAddr, Vec<u8>), Asked>);

struct Asked {
    at: Instant,
    /// The request it was asked at.
    request: Vec<u8>,
    answered: bool,
    md5_only: bool,
}

impl Puzzled {
    /// Notes that `user` at `from` is asked at this request; whether for MD5 alone.
    pub(crate) fn ask(&mut self, now: Instant, from: IpAddr, user: &[u8], request: Vec<u8>) -> bool {
        let old = |asked: &Asked| now.saturating_duration_since(asked.at) >= REMEMBERED;
        if self.0.len() >= MOST {
            // Those who never answer are strangers, as a rule; a device is learned anew with one more question.
            self.0.retain(|_, asked| !old(asked) && asked.answered);
            if self.0.len() > MOST / 2 {
                self.0.clear();
            }
        }
        let key = (from, user.to_vec());
        match self.0.get_mut(&key) {
            Some(asked) if !old(asked) => {
                let waited = now.saturating_duration_since(asked.at) >= ANSWERS;
                if asked.request != request {
                    if !asked.answered && waited {
                        asked.md5_only = !asked.md5_only;
                    }
                    (asked.at, asked.request, asked.answered) = (now, request, false);
                }
                asked.md5_only
            }
            _ => {
                self.0.insert(key, Asked { at: now, request, answered: false, md5_only: false });
                false
            }
        }
    }

    /// It understood the question, whether its answer is right or not.
    pub(crate) fn answered(&mut self, from: IpAddr, user: &[u8]) {
        if let Some(asked) = self.0.get_mut(&(from, user.to_vec())) {
            asked.answered = true;
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a clock has to begin somewhere")]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_answer_is_asked_in_another_way() {
        let (now, from) = (Instant::now(), "192.0.2.1".parse().unwrap());
        let after = |seconds| now + Duration::from_secs(seconds);
        let mut it = Puzzled::default();
        let mut ask = |at, request: &str| it.ask(at, from, b"a", request.into());
        assert!(!ask(now, "1"));
        assert!(!ask(after(1), "1"), "the same request again");
        assert!(!ask(after(1), "2"), "it may be about to answer");
        assert!(ask(after(30), "3"), "it did not answer");
        assert!(!ask(after(60), "4"), "that was not it");
        assert!(ask(after(90), "5"));
        it.answered(from, b"a");
        assert!(it.ask(after(150), from, b"a", "6".into()), "what it can answer is remembered");
        assert!(!it.ask(after(150), from, b"b", "6".into()));
        assert!(!it.ask(after(150 + 86_400), from, b"a", "7".into()), "not for ever");
    }

    #[test]
    fn strangers_without_number_are_not_remembered() {
        let (now, from) = (Instant::now(), "192.0.2.1".parse().unwrap());
        let mut it = Puzzled::default();
        for n in 0..2 * MOST {
            it.ask(now, from, n.to_string().as_bytes(), Vec::new());
            assert!(it.0.len() <= MOST);
        }
    }
}
