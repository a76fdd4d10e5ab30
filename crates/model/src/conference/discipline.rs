//! Sound that was found wrong, what is done about it by rule, and the message over the pictures.

use std::sync::Arc;
use std::time::Instant;

use super::Conference;
use crate::command::{Event, no_participant};
use crate::id::ParticipantId;
use crate::ornament::Message;
use crate::refusal::Refusal;
use crate::sound::{Kind, Trouble};

type Done = Result<(), Refusal>;

impl Conference {
    /// Something is wrong with the sound of a site. By rule it is muted; the chair never is: he leads the meeting.
    pub(super) fn trouble(
        &mut self,
        now: Instant,
        id: ParticipantId,
        trouble: Trouble,
        events: &mut Vec<Event>,
    ) -> Done {
        let rules = self.settings.sound;
        let chair = self.chair == Some(id);
        let site = self.find_mut(id).ok_or_else(|| no_participant(id))?;
        if !site.state.present() || !rules.watches() {
            return Ok(());
        }
        if let Some((known, _)) = site.troubles.iter_mut().find(|(t, _)| t.kind() == trouble.kind()) {
            if *known != trouble {
                *known = trouble;
                events.push(Event::Participant(id));
            }
            return Ok(());
        }
        let mutes = rules.mutes(trouble.kind()) && !chair && !site.rights.audio_muted;
        site.troubles.push((trouble, mutes));
        events.push(Event::Participant(id));
        if mutes {
            site.rights.audio_muted = true;
            events.push(Event::Sound(id));
            self.floor.voice.hear(now, id, false);
        }
        Ok(())
    }

    /// It is not wrong any more. Who was muted by rule stays muted: the operator opens the microphone.
    pub(super) fn trouble_over(&mut self, id: ParticipantId, kind: Kind, events: &mut Vec<Event>) -> Done {
        let site = self.find_mut(id).ok_or_else(|| no_participant(id))?;
        let before = site.troubles.len();
        site.troubles.retain(|(trouble, muted)| trouble.kind() != kind || *muted);
        if site.troubles.len() != before {
            events.push(Event::Participant(id));
        }
        Ok(())
    }

    /// What was found holds no more: the microphone was opened anew, the line was lost, nobody watches.
    pub(super) fn forget_troubles(&mut self, id: ParticipantId, events: &mut Vec<Event>) {
        if let Some(site) = self.find_mut(id).filter(|site| !site.troubles.is_empty()) {
            site.troubles.clear();
            events.push(Event::Participant(id));
        }
    }

    pub(super) fn set_message(&mut self, message: Option<Message>, events: &mut Vec<Event>) -> Done {
        if let Some(viewers) = message.as_ref().and_then(|message| message.viewers.as_ref()) {
            let viewers: Vec<ParticipantId> = viewers.iter().copied().collect();
            self.checked_viewers(&viewers)?;
        }
        if self.message.as_deref() != message.as_ref() {
            self.message = message.map(Arc::new);
            events.push(Event::Conference);
        }
        Ok(())
    }

    /// Who left reads no message; one that nobody is left to read is gone.
    pub(super) fn forget_reader(&mut self, id: ParticipantId) {
        let Some(message) = &mut self.message else { return };
        if !message.viewers.as_ref().is_some_and(|viewers| viewers.contains(&id)) {
            return;
        }
        let changed = Arc::make_mut(message);
        if let Some(viewers) = &mut changed.viewers {
            viewers.remove(&id);
            if viewers.is_empty() {
                self.message = None;
            }
        }
    }
}
