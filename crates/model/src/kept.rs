//! What is kept of a meeting over a restart, besides its settings: who is pinned where, which seats turn, who sees what, who was named.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::command::{Command, Cycle, SetLayout};
use crate::id::ParticipantId;
use crate::settings::Settings;
use crate::snapshot;

/// The live part of one conference.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Room {
    /// Seats of the layout of everybody that are pinned or turn.
    pub seats: Vec<snapshot::Seat>,
    /// How its automatic seats turn.
    pub cycle: Option<snapshot::Cycle>,
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
            cycle: conference.cycle.clone(),
            layouts: conference.layouts.clone(),
            speaker: conference.speaker.filter(|_| conference.speaker_named),
        }
    }

    /// The commands that bring it back, once everybody in `here` has joined again; who is not there any more is left out.
    pub fn commands(&self, settings: &Settings, here: impl Fn(ParticipantId) -> bool) -> Vec<Command> {
        let mut commands = Vec::new();
        let common = seated(SetLayout::new(settings.layout), &self.seats, self.cycle.as_ref(), &here);
        if common != SetLayout::new(settings.layout) {
            commands.push(Command::SetLayout(common));
        }
        for scope in &self.layouts {
            let viewers: Vec<ParticipantId> = scope.viewers.iter().copied().filter(|id| here(*id)).collect();
            if viewers.is_empty() {
                continue;
            }
            commands.push(Command::SetLayout(again(scope, viewers, &here)));
        }
        if let Some(speaker) = self.speaker.filter(|id| here(*id)) {
            commands.push(Command::SetSpeaker(Some(speaker)));
        }
        commands
    }
}

/// The command that gives these viewers what a layout of single sites was; who is not here is left out of its seats.
pub fn again(
    scope: &snapshot::Scope,
    viewers: Vec<ParticipantId>,
    here: impl Fn(ParticipantId) -> bool,
) -> SetLayout {
    let layout = SetLayout {
        names: Some(scope.names),
        viewers: Some(viewers),
        fit: scope.fit,
        ..SetLayout::new(scope.layout)
    };
    seated(layout, &scope.seats, scope.cycle.as_ref(), here)
}

/// The layout with these seats, as far as those who sit there are here.
fn seated(
    layout: SetLayout,
    seats: &[snapshot::Seat],
    cycle: Option<&snapshot::Cycle>,
    here: impl Fn(ParticipantId) -> bool,
) -> SetLayout {
    let turning = |cycle: &snapshot::Cycle| {
        let named = cycle.participants.as_deref();
        let who: Vec<ParticipantId> =
            named.unwrap_or_default().iter().copied().filter(|id| here(*id)).collect();
        // Of those named nobody is left: nothing turns. Without names it goes through everybody.
        (named.is_none() || !who.is_empty())
            .then(|| Cycle { period: Duration::from_secs(cycle.period_s.into()), who })
    };
    let pins = seats.iter().filter_map(|seat| Some((seat.seat, seat.participant.filter(|id| here(*id))?)));
    let cycles = seats.iter().filter_map(|seat| Some((seat.seat, turning(seat.cycle.as_ref()?)?)));
    SetLayout { seats: pins.collect(), cycles: cycles.collect(), cycle: cycle.and_then(turning), ..layout }
}
