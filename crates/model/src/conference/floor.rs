//! Who has the floor, who had it, and the stable order of the others.

use std::time::Instant;

use crate::id::ParticipantId;
use crate::voice::{Switch, Times};

/// Longest memory of previous speakers.
const HISTORY: usize = 32;

/// The floor: the speaker named by the operator, else the one by voice.
#[derive(Debug, Clone, Default)]
pub(crate) struct Floor {
    pub voice: Switch,
    pub named: Option<ParticipantId>,
    /// Everybody present, the one shown large first. A new speaker trades places with the old one, so that the
    /// others keep their seats.
    pub gallery: Vec<ParticipantId>,
    /// Who had the floor, the latest first.
    pub history: Vec<ParticipantId>,
}

impl Floor {
    /// The speaker; `None` before anybody spoke or was named.
    pub fn speaker(&self) -> Option<ParticipantId> {
        self.named.or(self.voice.current())
    }

    pub fn join(&mut self, who: ParticipantId) {
        if !self.gallery.contains(&who) {
            self.gallery.push(who);
        }
    }

    /// `visible`: how many of the gallery have a seat.
    pub fn leave(&mut self, who: ParticipantId, visible: usize) {
        self.gallery.retain(|other| *other != who);
        self.history.retain(|other| *other != who);
        self.lose(who, visible);
    }

    /// `who` may not be the speaker any more (hidden, or gone): the previous speaker comes back into the large seat.
    pub fn lose(&mut self, who: ParticipantId, visible: usize) {
        let had = self.speaker() == Some(who);
        self.voice.forget(who);
        if self.named == Some(who) {
            self.named = None;
        }
        if had {
            let next = self.speaker().or_else(|| self.history.iter().copied().find(|other| *other != who));
            if let Some(next) = next {
                self.promote(next, visible);
            }
        }
    }

    /// The operator names the speaker, or gives the floor back to the voice. Whoever was named keeps it until another
    /// speaks, unless somebody won it by voice meanwhile.
    pub fn name(&mut self, now: Instant, who: Option<ParticipantId>, visible: usize) {
        if let (None, Some(named), None) = (who, self.named, self.voice.current()) {
            self.voice.put(now, named);
        }
        self.named = who;
        if let Some(speaker) = self.speaker() {
            self.promote(speaker, visible);
        }
    }

    /// Lets the voice decide; true when the speaker changed.
    pub fn evaluate(&mut self, now: Instant, times: Times, visible: usize) -> bool {
        if !self.voice.evaluate(now, times) || self.named.is_some() {
            return false;
        }
        if let Some(speaker) = self.voice.current() {
            self.promote(speaker, visible);
        }
        true
    }

    /// Puts `who` first; who was first takes the place left. If that place has no seat, he takes the one of the small
    /// seats whose site spoke longest ago.
    fn promote(&mut self, who: ParticipantId, visible: usize) {
        let Some(at) = self.gallery.iter().position(|other| *other == who) else { return };
        let displaced = self.gallery.first().copied().filter(|first| *first != who);
        self.history.retain(|other| *other != who);
        if let Some(displaced) = displaced
            && !self.history.contains(&displaced)
        {
            self.history.insert(0, displaced);
        }
        self.history.insert(0, who);
        self.history.truncate(HISTORY);
        if at == 0 {
            return;
        }
        self.gallery.swap(0, at);
        if at >= visible
            && let Some(quietest) = (1..visible.min(self.gallery.len())).max_by_key(|seat| self.rank(*seat))
        {
            self.gallery.swap(at, quietest);
        }
    }

    /// How long ago who sits there had the floor; those who never had it, longest (of these the last seat).
    fn rank(&self, seat: usize) -> (usize, usize) {
        let who = self.gallery.get(seat);
        let ago = self.history.iter().position(|other| Some(other) == who);
        (ago.unwrap_or(usize::MAX), seat)
    }
}
