//! What is told to everybody who listens: the API's events, the journal, the log.

use cau_model::{ConferenceId, ParticipantId, Words, snapshot};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// Where; `None`: in no conference (a call that was refused).
    pub conference: Option<ConferenceId>,
    /// What.
    pub body: Body,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A conference as it is now: it began, or settings, layout or speaker changed.
    Conference(Box<snapshot::Conference>),
    /// The conference has ended.
    ConferenceEnded,
    /// A participant as it is now.
    Participant {
        /// Why this is told.
        change: Change,
        /// All of it.
        participant: Box<snapshot::Participant>,
    },
    /// An operation as it is now: it began, a step was done, it ended.
    Operation(Box<snapshot::Operation>),
    /// The same of one that is part of another's, which the cascade runs and tells of: not for people.
    Part(Box<snapshot::Operation>),
    /// Somebody called and was not let in.
    CallRefused {
        /// Who: a SIP address.
        from: String,
        /// Whom he dialled.
        to: String,
        /// The SIP status he got.
        status: u16,
        /// Why.
        words: Words,
    },
    /// A device of an account of ours registered, or is gone.
    Device {
        /// Which account.
        account: String,
        /// `registered`, `left` (it signed off), `lost` (it did not come back).
        change: &'static str,
        /// The address it named.
        contact: String,
        /// Where it came from.
        remote: std::net::SocketAddr,
        /// Its User-Agent.
        user_agent: Option<String>,
    },
    /// The calls that link this conference with another MCU stand, or no more.
    Link {
        /// Path of the other MCU.
        path: String,
        /// It is the master.
        above: bool,
        /// Whether they stand.
        up: bool,
    },
    /// A caller says that it is the focus of a conference (`isfocus`, RFC 3840) and has no token of a link: another maker's MCU, or one of ours that
    /// comes by SIP alone.
    Foreign(ParticipantId),
    /// A key frame of what was routed there has gone up in a slot.
    Passed {
        /// The slot.
        slot: u8,
        /// What names it.
        csrc: u32,
    },
    /// A key was pressed in a call (RFC 4733 or INFO).
    Dtmf {
        /// By whom.
        participant: ParticipantId,
        /// `0`–`9`, `*`, `#`, `A`–`D`.
        digit: char,
    },
    /// Something an operator should look at.
    Alarm {
        /// Whom it concerns, if one participant.
        participant: Option<ParticipantId>,
        /// A short name that holds still: `picture-lost`, `picture-back`, `media-lost`, `media-back`, `no-ports`,
        /// `overload`, `overload-over`, `pictures-slowed`, `pictures-normal`, `registration-failed`, `registration-back`, `noise`, `hum`, `echo` and each of these three with `-over`.
        code: &'static str,
        /// In words.
        words: Words,
    },
}

/// Why a participant is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It came into the conference.
    Joined,
    /// It is gone; `reason` says why.
    Left,
    /// Name, rights, state, media or visibility changed.
    Changed,
    /// Level or figures of the line changed. At most twice a second for each participant; not for the journal.
    Level,
}
