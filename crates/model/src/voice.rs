//! Whose voice moves the picture: hold times, double talk.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::id::ParticipantId;
use crate::refusal::Refusal;

/// Level of a site that is silent or not heard of, dBov.
pub const SILENCE_DBOV: i8 = -127;

/// A pause in speech shorter than this is part of the speech: between words, for breath.
const PAUSE: Duration = Duration::from_millis(300);

/// What was measured of one site's sound. Sites not listed in a report stay as they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// Whose.
    pub participant: ParticipantId,
    /// Loudness, dBov, −127 (silence) to 0.
    pub level_dbov: i8,
    /// Whether it is speech.
    pub speaking: bool,
}

/// When the voice moves the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Times {
    /// Somebody must have spoken so long to become the speaker, ms. 100–10,000.
    pub candidate_ms: u32,
    /// The speaker stays at least so long, ms. 0–60,000.
    pub hold_ms: u32,
}

impl Default for Times {
    fn default() -> Times {
        Times { candidate_ms: 800, hold_ms: 2_000 }
    }
}

impl Times {
    /// Itself, when within its ranges.
    pub fn checked(self) -> Result<Times, Refusal> {
        if (100..=10_000).contains(&self.candidate_ms) && self.hold_ms <= 60_000 {
            return Ok(self);
        }
        Err(Refusal::invalid(
            "voice",
            "candidate_ms từ 100 đến 10000, hold_ms từ 0 đến 60000",
            "candidate_ms is 100 to 10000, hold_ms 0 to 60000",
        ))
    }

    fn candidate(self) -> Duration {
        Duration::from_millis(u64::from(self.candidate_ms))
    }

    fn hold(self) -> Duration {
        Duration::from_millis(u64::from(self.hold_ms))
    }
}

/// Speech of one site, pauses bridged.
#[derive(Debug, Clone, Copy)]
struct Speech {
    participant: ParticipantId,
    since: Instant,
    /// `None`: speaking right now.
    until: Option<Instant>,
}

impl Speech {
    fn over(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now.saturating_duration_since(until) >= PAUSE)
    }
}

/// The speaker by voice. One who has the picture keeps it while he speaks (double talk changes nothing) and at least
/// for the hold time; of several candidates the one who began first gets it.
#[derive(Debug, Clone, Default)]
pub struct Switch {
    current: Option<ParticipantId>,
    since: Option<Instant>,
    speeches: Vec<Speech>,
}

impl Switch {
    /// The speaker by voice; `None` before anybody spoke.
    pub fn current(&self) -> Option<ParticipantId> {
        self.current
    }

    /// Makes somebody the speaker from outside, as if he had won it now.
    pub fn put(&mut self, now: Instant, participant: ParticipantId) {
        self.current = Some(participant);
        self.since = Some(now);
    }

    /// Takes in whether a site is speaking. The caller leaves out those who are muted or hidden.
    pub fn hear(&mut self, now: Instant, participant: ParticipantId, speaking: bool) {
        let known = self.speeches.iter_mut().find(|speech| speech.participant == participant);
        match known {
            Some(speech) if speaking => {
                if speech.over(now) {
                    speech.since = now;
                }
                speech.until = None;
            }
            Some(speech) => {
                speech.until.get_or_insert(now);
            }
            None if speaking => self.speeches.push(Speech { participant, since: now, until: None }),
            None => {}
        }
    }

    /// Forgets a site: it left, or may not be the speaker any more.
    pub fn forget(&mut self, participant: ParticipantId) {
        self.speeches.retain(|speech| speech.participant != participant);
        if self.current == Some(participant) {
            self.current = None;
            self.since = None;
        }
    }

    /// Decides; true when the speaker changed. Call after every [`Switch::hear`] and at [`Switch::poll_timeout`].
    pub fn evaluate(&mut self, now: Instant, times: Times) -> bool {
        self.speeches.retain(|speech| !speech.over(now));
        let Some(due) = self.due(times).filter(|(at, _)| *at <= now) else { return false };
        self.put(now, due.1);
        true
    }

    /// When [`Switch::evaluate`] could next change something, if nothing more is heard.
    pub fn poll_timeout(&self, times: Times) -> Option<Instant> {
        self.due(times).map(|(at, _)| at)
    }

    /// Who becomes the speaker next, and when, if everything stays as it is.
    fn due(&self, times: Times) -> Option<(Instant, ParticipantId)> {
        let mut free = None;
        if self.current.is_some() {
            let held = self.since.map(|since| since + times.hold());
            let own = self.speeches.iter().find(|speech| Some(speech.participant) == self.current);
            let quiet = match own {
                Some(Speech { until: None, .. }) => return None,
                Some(Speech { until: Some(until), .. }) => Some(*until + PAUSE),
                None => None,
            };
            free = held.max(quiet);
        }
        self.speeches
            .iter()
            .filter(|speech| Some(speech.participant) != self.current && speech.until.is_none())
            .map(|speech| (Some(speech.since + times.candidate()).max(free), speech))
            .min_by_key(|(at, speech)| (*at, speech.since))
            .and_then(|(at, speech)| Some((at?, speech.participant)))
    }
}

#[cfg(test)]
mod tests;
