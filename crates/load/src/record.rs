//! What one phone went through.

use std::{collections::BTreeMap, time::Instant};

use serde::Serialize;

use crate::{eye::Sight, plan::PhoneId, studio::Stats};

/// Where a call stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "why")]
pub enum State {
    /// Not called yet.
    #[default]
    Idle,
    /// INVITE sent.
    Calling,
    /// The call stands.
    Connected,
    /// It was refused: status and reason.
    Refused(u16, String),
    /// It ended, and not by us.
    Dropped(String),
    /// We hung up.
    Done,
    /// It could not even be tried.
    Failed(String),
}

impl State {
    /// Neither refused, dropped nor failed.
    pub fn is_well(&self) -> bool {
        matches!(self, Self::Idle | Self::Calling | Self::Connected | Self::Done)
    }
}

/// One phone's record.
#[derive(Clone, Debug)]
pub struct Record {
    /// Which phone.
    pub phone: PhoneId,
    /// Identity of its pattern.
    pub id: u8,
    /// Where its call stands.
    pub state: State,
    /// INVITE sent.
    pub invited: Option<Instant>,
    /// First 180.
    pub ringing: Option<Instant>,
    /// The 200.
    pub answered: Option<Instant>,
    /// Calls made, redials included.
    pub calls: u32,
    /// Media, as of the last report of the media thread.
    pub stats: Stats,
    /// What it saw and heard, when it decodes.
    pub sight: Sight,
}

impl Record {
    pub(crate) fn new(phone: PhoneId, id: u8) -> Self {
        Self {
            phone,
            id,
            state: State::Idle,
            invited: None,
            ringing: None,
            answered: None,
            calls: 0,
            stats: Stats::default(),
            sight: Sight::default(),
        }
    }

    /// Milliseconds from INVITE to `then`.
    pub fn since_invite(&self, then: Option<Instant>) -> Option<f64> {
        Some(then?.checked_duration_since(self.invited?)?.as_secs_f64() * 1000.0)
    }
}

/// All records, by phone.
pub type Records = BTreeMap<PhoneId, Record>;
