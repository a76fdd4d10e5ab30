//! Stills for the operator: what a participant sends, or sees.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use cau_codec::{jpeg, video::Picture};
use cau_model::ParticipantId;

use crate::{
    command::Reply,
    job::{Job, Spawner},
    leg::Leg,
};

/// A hidden site's picture is waited for this long.
const WAIT: Duration = Duration::from_millis(1000);
/// Requests that wait at most; more are answered "no picture".
const WAITING: usize = 64;
/// JPEG quality, percent.
const QUALITY: u8 = 80;

/// Requests for stills under way.
#[derive(Default)]
pub struct Previews {
    waiting: Vec<Waiting>,
}

struct Waiting {
    participant: ParticipantId,
    until: Instant,
    reply: Reply,
}

impl Previews {
    /// Answers with a picture that is there, or with nothing.
    pub fn answer(&self, spawner: &Spawner, picture: Option<Picture>, reply: Reply) {
        match picture {
            Some(picture) => spawner(std::sync::Arc::new(Still(Mutex::new(Some((picture, reply)))))),
            None => reply.send(None),
        }
    }

    /// Asks for what a participant sends; if nobody is shown it, it is decoded for a moment.
    pub fn ask(&mut self, now: Instant, participant: ParticipantId, leg: Option<&mut Leg>, reply: Reply) {
        let Some(leg) = leg.filter(|_| self.waiting.len() < WAITING) else {
            reply.send(None);
            return;
        };
        leg.want_picture(now, now + WAIT);
        self.waiting.push(Waiting { participant, until: now + WAIT, reply });
    }

    /// Answers what can be answered and gives up what has waited long enough.
    pub fn handle_timeout<'a>(
        &mut self,
        now: Instant,
        spawner: &Spawner,
        leg: impl Fn(ParticipantId) -> Option<&'a Leg>,
    ) {
        if self.waiting.is_empty() {
            return;
        }
        for w in std::mem::take(&mut self.waiting) {
            match leg(w.participant).and_then(Leg::picture) {
                Some(picture) => self.answer(spawner, Some(picture), w.reply),
                None if now >= w.until => w.reply.send(None),
                None => self.waiting.push(w),
            }
        }
    }
}

struct Still(Mutex<Option<(Picture, Reply)>>);

impl Job for Still {
    fn run(&self, _: Instant) {
        let Some((picture, reply)) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        reply.send(jpeg::encode(&picture, QUALITY).ok());
    }
}
