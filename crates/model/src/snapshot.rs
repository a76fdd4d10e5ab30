//! What the API shows of a conference and of its participants: the JSON shapes of docs, names that hold still.

use std::sync::Arc;

use serde::Serialize;

use crate::id::{ConferenceId, ParticipantId};
use crate::ornament::{Clock, Message};
use crate::participant::{Direction, State};
use crate::scene::Fit;
use crate::settings::{Encryption, Names};
use crate::sound;
use crate::voice;

/// One conference. `layout` and the other settings stand at the top level.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Conference {
    /// Its id.
    pub id: ConferenceId,
    /// The number or word endpoints dial.
    pub room: String,
    /// Shown to people.
    pub name: String,
    /// The PIN, or null.
    pub pin: Option<String>,
    /// The layout of everybody who has none of his own.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub layout: crate::layout::Kind,
    /// The seats pinned in that layout.
    pub seats: Vec<Seat>,
    /// Whether names are written on the pictures.
    pub names: Names,
    /// Sites join muted.
    pub join_muted: bool,
    /// Whether legs are encrypted.
    pub encryption: Encryption,
    /// The leading site as it was given.
    pub chair: Option<String>,
    /// The participant who is the chair, when present.
    pub chair_participant: Option<ParticipantId>,
    /// When the voice moves the picture.
    pub voice: voice::Times,
    /// How pictures are placed where a layout does not say otherwise.
    pub fit: Fit,
    /// The logo of the MCU stands on the pictures.
    pub logo: bool,
    /// The time on the pictures.
    pub clock: Option<Clock>,
    /// The message over the pictures.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Message>))]
    pub message: Option<Arc<Message>>,
    /// What is done about sound by rule.
    pub sound: sound::Rules,
    /// How the automatic seats of that layout turn.
    pub cycle: Option<Cycle>,
    /// The speaker now; null before anybody spoke.
    pub speaker: Option<ParticipantId>,
    /// Whether the speaker was named by an operator (else by his voice).
    pub speaker_named: bool,
    /// Layouts of single sites.
    pub layouts: Vec<Scope>,
    /// How many participants are connected.
    pub connected: usize,
}

/// A seat that is not automatic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Seat {
    /// Seat number, from 0.
    pub seat: u16,
    /// Who sits there; absent where the seat turns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participant: Option<ParticipantId>,
    /// Through whom the seat turns; absent where somebody is pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cycle: Option<Cycle>,
}

/// How seats turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Cycle {
    /// Seconds from change to change.
    pub period_s: u32,
    /// Through whom, in this order; null: through everybody in order of joining.
    pub participants: Option<Vec<ParticipantId>>,
}

/// A layout some participants see instead of the conference's.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Scope {
    /// The layout.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub layout: crate::layout::Kind,
    /// The seats pinned in it.
    pub seats: Vec<Seat>,
    /// Whether names are written.
    pub names: Names,
    /// How pictures are placed; null: as the conference says.
    pub fit: Option<Fit>,
    /// How its automatic seats turn.
    pub cycle: Option<Cycle>,
    /// Who sees it.
    #[serde(rename = "for")]
    pub viewers: Vec<ParticipantId>,
}

/// One participant.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Participant {
    /// Its id.
    pub id: ParticipantId,
    /// The name shown.
    pub name: String,
    /// SIP address of the site.
    pub uri: String,
    /// Where the call stands.
    pub state: State,
    /// Why it left or could not be reached, in Vietnamese.
    pub reason: Option<String>,
    /// The same in English.
    pub reason_en: Option<String>,
    /// Who dialled.
    pub direction: Direction,
    /// Its sound.
    pub audio: Audio,
    /// Its picture.
    pub video: Video,
    /// Its line.
    pub quality: Quality,
    /// What it is sent.
    pub send: Send,
    /// The site hears nobody.
    pub deafened: bool,
    /// Nobody sees the site.
    pub video_hidden: bool,
    /// Gain of its sound for the others, dB.
    pub volume_db: f32,
    /// Whether it is the chair.
    pub chair: bool,
    /// What is wrong with its sound, as found by the mixer.
    pub troubles: Vec<sound::Shown>,
}

/// A participant's sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Audio {
    /// Muted by the operator: nobody hears the site.
    pub muted: bool,
    /// Codec of what comes in; null without sound.
    pub codec: Option<String>,
    /// Loudness, dBov, −127 (silence) to 0.
    pub level_dbov: i8,
    /// Whether it is speech.
    pub speaking: bool,
}

impl Default for Audio {
    fn default() -> Audio {
        Audio { muted: false, codec: None, level_dbov: voice::SILENCE_DBOV, speaking: false }
    }
}

/// A participant's picture.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Video {
    /// Codec of what comes in; null without picture.
    pub codec: Option<String>,
    /// Pixels; 0 as long as none came.
    pub width: u32,
    /// Pixels; 0 as long as none came.
    pub height: u32,
    /// Pictures per second.
    pub fps: f32,
    /// Whether somebody sees it now.
    pub visible: bool,
}

/// A participant's line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Quality {
    /// Share of packets lost, 0–1: the worse of both directions.
    pub loss: f32,
    /// Jitter of what comes in, ms.
    pub jitter_ms: f32,
    /// Round trip, ms; null before it was measured.
    pub rtt_ms: Option<f32>,
    /// What comes from it, kbit/s.
    pub rx_kbps: u32,
    /// What goes to it, kbit/s.
    pub tx_kbps: u32,
}

/// What a participant is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Send {
    /// Where its picture comes from.
    pub video: SendVideo,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pictures per second.
    pub fps: f32,
}

/// How a participant's outgoing picture is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SendVideo {
    /// Composed and encoded.
    Encoded,
    /// A source's own packets.
    Forwarded,
    /// No picture.
    #[default]
    None,
}
