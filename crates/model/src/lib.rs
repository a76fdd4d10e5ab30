//! Pure meeting model: ids, conference, layouts, scenes, speaker choice, commands, events.
//!
//! Nothing here knows a clock, a socket, a thread or another crate of ours. A [`Conference`] is a small state machine:
//! [`Conference::apply`] takes `now` and a [`Command`], and says what changed as [`Event`]s; what everybody should see
//! is read with [`Conference::scenes`], what the API shows with [`Conference::snapshot`] and
//! [`Conference::participants`].
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod body;
pub mod command;
pub mod conference;
pub mod id;
pub mod kept;
pub mod layout;
pub mod name;
pub mod ornament;
pub mod participant;
pub mod refusal;
pub mod scene;
pub mod settings;
pub mod snapshot;
pub mod sound;
pub mod voice;

pub use command::{Command, Event};
pub use conference::Conference;
pub use id::{ConferenceId, OperationId, ParticipantId};
pub use refusal::{Refusal, Words};
pub use scene::{Scene, SceneId, Tile};
pub use settings::Settings;
