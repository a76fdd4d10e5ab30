//! Settings of the focus.

use std::time::Duration;

use cau_sip::sdp::Capabilities;

use crate::{capacity::Rules, dial::Dial};

/// Settings of the focus, fixed at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// The SIP endpoint's. `focus` is set by [`crate::Focus::new`].
    pub sip: cau_sip::Config,
    /// What is offered and answered.
    pub capabilities: Capabilities,
    /// Most conferences.
    pub max_conferences: usize,
    /// Most calls at a time, in all conferences; above it 503.
    pub max_participants: usize,
    /// Most calls at a time in one conference; above it 486.
    pub max_per_conference: usize,
    /// Our name in `Warning` headers: host or address, no blanks.
    pub agent: String,
    /// What `Retry-After` says when something is used up, seconds.
    pub retry_after_s: u32,
    /// How sites are called.
    pub dial: Dial,
    /// Who may watch who is in a conference.
    pub roster: Roster,
    /// Who may call and hang up others by REFER.
    pub refer: Referrers,
    /// What is done when the machine is full.
    pub capacity: Rules,
    /// How long calls may go on after [`crate::Focus::begin_drain`].
    pub drain_grace: Duration,
}

/// Who may watch who is in a conference (RFC 4575).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roster {
    /// Nobody.
    Off,
    /// Who is in it, and who has an account.
    Participants,
    /// Whoever asks.
    Anyone,
}

/// Who may call and hang up others by REFER (RFC 4579). Everybody may hang up himself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Referrers {
    /// Nobody.
    Off,
    /// The chair of the conference.
    Chair,
    /// Who is in it.
    Participants,
}

impl Config {
    /// Defaults: 1,000 conferences, 4,000 calls, all of them in one conference if need be, 5 s to retry and to drain.
    pub fn new(sip: cau_sip::Config, capabilities: Capabilities) -> Config {
        Config {
            sip,
            capabilities,
            max_conferences: 1_000,
            max_participants: 4_000,
            max_per_conference: 4_000,
            agent: "cau".to_owned(),
            retry_after_s: 5,
            dial: Dial::default(),
            roster: Roster::Participants,
            refer: Referrers::Chair,
            capacity: Rules::default(),
            drain_grace: Duration::from_secs(5),
        }
    }
}
