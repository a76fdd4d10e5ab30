//! Figures that change all the time: sound levels, loss, bit rates.
//!
//! They do not go through the ring of events, which they would fill within seconds, pushing out what matters. The newest
//! of each participant is kept, and a reader takes, at most twice a second, those that changed since he last looked:
//! event `level` without id, `{"conference","participants":[{"id","audio","video","quality","send"}]}`.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use cau_model::{ConferenceId, ParticipantId, snapshot};

/// The newest figures of every participant. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Levels(Arc<RwLock<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    version: u64,
    conferences: HashMap<ConferenceId, HashMap<ParticipantId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    version: u64,
    /// JSON of one participant.
    text: Arc<str>,
}

#[derive(serde::Serialize)]
struct Figures<'a> {
    id: ParticipantId,
    audio: &'a snapshot::Audio,
    video: &'a snapshot::Video,
    quality: &'a snapshot::Quality,
    send: &'a snapshot::Send,
}

impl Levels {
    /// Takes the newest figures of one participant.
    pub fn set(&self, conference: ConferenceId, p: &snapshot::Participant) {
        let figures =
            Figures { id: p.id, audio: &p.audio, video: &p.video, quality: &p.quality, send: &p.send };
        let Ok(text) = serde_json::to_string(&figures) else { return };
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        inner.version += 1;
        let entry = Entry { version: inner.version, text: text.into() };
        inner.conferences.entry(conference).or_default().insert(p.id, entry);
    }

    /// Forgets a participant who left.
    pub fn forget_one(&self, conference: ConferenceId, participant: ParticipantId) {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(of) = inner.conferences.get_mut(&conference) {
            of.remove(&participant);
        }
    }

    /// Forgets a conference that ended.
    pub fn forget(&self, conference: ConferenceId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).conferences.remove(&conference);
    }

    /// The `data:` of each conference with something newer than `seen`, which moves on.
    pub fn newer(&self, only: Option<ConferenceId>, seen: &mut u64) -> Vec<String> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if inner.version == *seen {
            return Vec::new();
        }
        let texts = inner
            .conferences
            .iter()
            .filter(|(id, _)| only.is_none_or(|only| only == **id))
            .filter_map(|(id, of)| {
                let new: Vec<&str> = of.values().filter(|e| e.version > *seen).map(|e| &*e.text).collect();
                (!new.is_empty())
                    .then(|| format!(r#"{{"conference":"{id}","participants":[{}]}}"#, new.join(",")))
            })
            .collect();
        *seen = inner.version;
        texts
    }
}
