//! One participant: a site's call, its rights and what is measured of it.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::id::ParticipantId;
use crate::refusal::Words;
use crate::snapshot::{Audio, Quality, Send, Video};
use crate::sound::Trouble;

/// Where the call of a participant stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum State {
    /// We dial, nothing has come back.
    Calling,
    /// It rings there.
    Ringing,
    /// In the conference.
    Connected,
    /// The line was lost and is being brought back; keeps its seat.
    Reconnecting,
    /// Gone; kept in the list for a while.
    Left,
}

impl State {
    /// Whether the participant has a seat and sees a scene.
    pub fn present(self) -> bool {
        matches!(self, State::Connected | State::Reconnecting)
    }
}

/// Who dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Direction {
    /// The site dialled in.
    In,
    /// We dialled the site.
    Out,
}

/// What an operator can set of one participant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rights {
    /// Nobody hears the site.
    pub audio_muted: bool,
    /// The site hears nobody.
    pub deafened: bool,
    /// Nobody sees the site.
    pub video_hidden: bool,
    /// Gain of the site's sound for the others, dB.
    pub volume_db: f32,
}

impl Default for Rights {
    fn default() -> Rights {
        Rights { audio_muted: false, deafened: false, video_hidden: false, volume_db: 0.0 }
    }
}

/// Softest gain an operator can set, dB.
pub const MIN_VOLUME_DB: f32 = -40.0;
/// Strongest gain an operator can set, dB.
pub const MAX_VOLUME_DB: f32 = 20.0;

/// The part of a call that joins this MCU with another (docs/cascade.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Link {
    /// Path of the other MCU; empty for the root.
    pub path: String,
    /// The slot it carries: one site at a time, with its own sound. Null: the call that carries the programme down, and the rest up.
    pub slot: Option<u8>,
    /// The other MCU is the master of this one.
    pub up: bool,
}

/// One participant.
#[derive(Debug, Clone)]
pub struct Participant {
    /// Its id.
    pub id: ParticipantId,
    /// The name shown; distinct within the conference among those present.
    pub name: Arc<str>,
    /// SIP address of the site.
    pub uri: String,
    /// Where the call stands.
    pub state: State,
    /// Why it left or could not be reached.
    pub reason: Option<Words>,
    /// Who dialled.
    pub direction: Direction,
    /// What the operator set.
    pub rights: Rights,
    /// Whether the site sends a picture, as agreed in the call.
    pub sends_video: bool,
    /// Measured: its sound. `muted` is filled from `rights` in snapshots.
    pub audio: Audio,
    /// Found wrong with its sound, at most one of each kind; `true`: muted by rule because of it.
    pub troubles: Vec<(Trouble, bool)>,
    /// Measured: its picture.
    pub video: Video,
    /// Measured: its line.
    pub quality: Quality,
    /// What it is sent.
    pub send: Send,
    /// It is a link.
    pub link: Option<Link>,
    /// Path key of the name.
    pub(crate) key: String,
    /// When it left.
    pub(crate) left_at: Option<Instant>,
}
