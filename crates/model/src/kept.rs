//! What is kept of a meeting over a restart, besides its settings: who is pinned where, who sees what, who was named.

use serde::{Deserialize, Serialize};

use crate::command::{Command, SetLayout};
use crate::id::ParticipantId;
use crate::settings::Settings;
use crate::snapshot;

/// The live part of one conference.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Room {
    /// Seats pinned in the layout of everybody.
    pub seats: Vec<snapshot::Seat>,
    /// Layouts of single sites.
    pub layouts: Vec<snapshot::Scope>,
    /// The speaker named by the operator.
    pub speaker: Option<ParticipantId>,
}

impl Room {
    /// What is to be kept of a conference that looks like this.
    pub fn of(conference: &snapshot::Conference) -> Room {
        Room {
            seats: conference.seats.clone(),
            layouts: conference.layouts.clone(),
            speaker: conference.speaker.filter(|_| conference.speaker_named),
        }
    }

    /// The commands that bring it back, once everybody in `here` has joined again; who is not there any more is left out.
    pub fn commands(&self, settings: &Settings, here: impl Fn(ParticipantId) -> bool) -> Vec<Command> {
        let pins = |seats: &[snapshot::Seat]| -> Vec<(u16, ParticipantId)> {
            seats.iter().filter(|seat| here(seat.participant)).map(|s| (s.seat, s.participant)).collect()
        };
        let mut commands = Vec::new();
        let seats = pins(&self.seats);
        if !seats.is_empty() {
            let layout = SetLayout { kind: settings.layout, seats, names: None, viewers: None };
            commands.push(Command::SetLayout(layout));
        }
        for scope in &self.layouts {
            let viewers: Vec<ParticipantId> = scope.viewers.iter().copied().filter(|id| here(*id)).collect();
            if viewers.is_empty() {
                continue;
            }
            commands.push(Command::SetLayout(SetLayout {
                kind: scope.layout,
                seats: pins(&scope.seats),
                names: Some(scope.names),
                viewers: Some(viewers),
            }));
        }
        if let Some(speaker) = self.speaker.filter(|id| here(*id)) {
            commands.push(Command::SetSpeaker(Some(speaker)));
        }
        commands
    }
}
