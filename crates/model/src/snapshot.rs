//! What the API shows of a conference and of its participants: the JSON shapes of docs, names that hold still.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{ConferenceId, OperationId, ParticipantId};
use crate::ornament::{Clock, Message};
use crate::participant::{Direction, Link, State};
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Seat {
    /// Seat number, from 0.
    pub seat: u16,
    /// Who sits there; absent where the seat turns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participant: Option<ParticipantId>,
    /// Through whom the seat turns; absent where somebody is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycle: Option<Cycle>,
}

/// How seats turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Cycle {
    /// Seconds from change to change.
    pub period_s: u32,
    /// Through whom, in this order; null: through everybody in order of joining.
    pub participants: Option<Vec<ParticipantId>>,
}

/// A layout some participants see instead of the conference's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// The part it plays where it joins this MCU with another; null: it is a site.
    pub link: Option<Link>,
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
    /// How often each of its packets is sent: more than once where the line loses them. 0: nothing is sent.
    pub copies: u32,
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

/// A site being brought before viewers, or how that ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// Where.
    pub conference: ConferenceId,
    /// The site.
    pub site: ParticipantId,
    /// Before whom.
    #[serde(rename = "for")]
    pub viewers: Vec<ParticipantId>,
    /// Who asked for it.
    pub by: String,
    /// How far it is.
    pub state: OperationState,
    /// Milliseconds since it was asked for, or that it took.
    pub elapsed_ms: u64,
    /// The steps done, in the order they were.
    pub steps: Vec<OperationStep>,
    /// The step that failed, and why, in Vietnamese; null otherwise.
    pub error: Option<String>,
    /// The same in English.
    pub error_en: Option<String>,
}

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum OperationState {
    /// Under way.
    Running,
    /// A decodable key frame of the site was sent to those it is for, their reports cover it, its sound is in their mix.
    Done,
    /// All of it was sent; a receiver that sends no reports cannot confirm it.
    Unconfirmed,
    /// It failed; what was seen before is seen again.
    Failed,
}

/// One step of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OperationStep {
    /// Which.
    pub name: StepName,
    /// On which MCU.
    pub mcu: String,
    /// Milliseconds since it was asked for.
    pub at_ms: u64,
}

/// The steps of bringing a site up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum StepName {
    /// The site is known.
    Find,
    /// Its call stands.
    Dial,
    /// Its sound and picture may come this way.
    Route,
    /// A picture of it is decoded.
    Keyframe,
    /// The viewers' layout shows it.
    Layout,
    /// A key frame with it was sent to every viewer.
    Picture,
    /// Its sound is in their mix.
    Sound,
}
