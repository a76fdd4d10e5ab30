//! What receivers of one bitrate of a view share: the common supply – an encoder, or a site's own pictures passed on – and for a while
//! a second encoder for those who need a key frame when the others do not.
//!
//! Who joins, or asks for a key frame after a loss, does not make everybody pay for it. He gets the stored pictures since the last
//! key frame when that was a moment ago; else he is served by the *catch-up encoder* – one per channel, whatever the number of
//! those who need it – until the common supply makes its next key frame, which is asked for at a low rate.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    compose::Composing,
    output::{Frame, Output, Settings},
    supply::Supply,
    watch::{Feed, Watch},
};
use crate::{
    job::{Spawner, Task},
    source::Relay,
};

/// Stored pictures are replayed when the key frame is not older than this …
const REPLAY_AGE: Duration = Duration::from_secs(1);
/// … and all of them together are not more than the line carries in this time.
const REPLAY_LINE: Duration = Duration::from_millis(500);
/// A catch-up encoder serves for at least this long, so that what joins together is moved together.
const CATCH_UP_LEAST: Duration = Duration::from_secs(2);
/// The common encoding is given a key frame for the sake of those who catch up this often at most.
const MERGE_INTERVAL: Duration = Duration::from_secs(10);
/// A single receiver gets a second key frame this long after it joined: the first may have come before its decoder or its NAT was ready.
const ENCORE: Duration = Duration::from_millis(1500);
/// A site that has not sent a key frame so long after it was asked is not passed on.
const UNANSWERED: Duration = Duration::from_millis(700);

/// One bitrate of a view, or one site passed on.
pub struct Channel {
    settings: Settings,
    epoch: Instant,
    spawner: Spawner,
    waker: Arc<dyn Fn() + Send + Sync>,
    /// The common supply.
    pub main: Supply,
    main_single: bool,
    catch_up: Option<(Arc<Task<Output>>, Instant)>,
    encore: Option<Instant>,
    /// Since when a site that is passed on has been asked for a key frame.
    asked: Option<Instant>,
}

/// Who reads what of one channel, counted by the room.
#[derive(Clone, Copy, Debug, Default)]
pub struct Users {
    /// Follow the common supply.
    pub main: usize,
    /// Follow or wait for the catch-up encoding.
    pub catch_up: usize,
}

impl Users {
    /// And these.
    pub fn with(self, other: Self) -> Self {
        Self { main: self.main + other.main, catch_up: self.catch_up + other.catch_up }
    }

    /// All but these.
    pub fn without(self, other: Self) -> Self {
        Self {
            main: self.main.saturating_sub(other.main),
            catch_up: self.catch_up.saturating_sub(other.catch_up),
        }
    }
}

/// How a receiver needs a key frame.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// There is more to do than can be done.
    pub pressed: bool,
    /// It loses packets, and nothing else heals its picture.
    pub soon: bool,
}

/// What regular care has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Care {
    /// The set of encoders has changed.
    pub changed: bool,
    /// The site that is passed on sends no key frame.
    pub unanswered: bool,
}

impl Channel {
    /// A channel whose encoder starts with the first composed picture.
    pub fn new(
        settings: Settings,
        single: bool,
        epoch: Instant,
        spawner: &Spawner,
        waker: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        let output = Output::new(settings.clone(), single, epoch, waker.clone());
        let main = Supply::Encoder(Task::new(spawner, output));
        Self::with(settings, main, single, epoch, spawner, waker)
    }

    /// A channel that passes a site's own pictures on; `settings` are those of the catch-up encoder.
    pub fn relayed(
        settings: Settings,
        relay: Arc<Relay>,
        epoch: Instant,
        spawner: &Spawner,
        waker: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        // Nobody is let in whose packets would be too large.
        Self::with(settings, Supply::Relay(relay), true, epoch, spawner, waker)
    }

    fn with(
        settings: Settings,
        main: Supply,
        main_single: bool,
        epoch: Instant,
        spawner: &Spawner,
        waker: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        let spawner = spawner.clone();
        Self { settings, epoch, spawner, waker, main, main_single, catch_up: None, encore: None, asked: None }
    }

    /// The encoders that run.
    pub fn outputs(&self) -> impl Iterator<Item = &Arc<Task<Output>>> {
        self.main.encoder().into_iter().chain(self.catch_up.as_ref().map(|(output, _)| output))
    }

    /// A site's own pictures are passed on.
    pub fn is_relayed(&self) -> bool {
        matches!(self.main, Supply::Relay(_))
    }

    /// Receives something of this channel.
    pub fn serves(&self, watch: &Watch) -> bool {
        watch.follows(&self.main) || self.catch_up_supply().is_some_and(|supply| watch.follows(&supply))
    }

    fn catch_up_supply(&self) -> Option<Supply> {
        self.catch_up.as_ref().map(|(output, _)| Supply::Encoder(output.clone()))
    }

    /// Runs a catch-up encoder?
    pub fn is_catching_up(&self) -> bool {
        self.catch_up.is_some()
    }

    /// What is passed on costs nothing here; an encoder, and the decoder it needs, much. So under pressure everybody pays for one receiver's
    /// key frame, and nobody gets an encoder of his own.
    fn is_spared(&self, pressed: bool) -> bool {
        pressed && self.is_relayed()
    }

    /// A receiver comes from elsewhere; `users` does not count it. `pressed`: there is more to do than can be done.
    pub fn join(&mut self, now: Instant, watch: &mut Watch, users: Users, canvas: &Composing, pressed: bool) {
        if watch.single() {
            self.need_single();
        }
        let bytes =
            usize::try_from(u64::from(self.settings.encoder.kbps) * REPLAY_LINE.as_millis() as u64 / 8);
        let bytes = bytes.unwrap_or(usize::MAX);
        if let Some(cursor) = self.main.ring().last_key(now, REPLAY_AGE, bytes, |key| watch.takes(key)) {
            watch.change_to(Feed { supply: self.main.clone(), cursor, then: None });
            self.encore = Some(now + ENCORE);
        } else if users.main == 0 || self.is_spared(pressed) {
            self.main.request_key();
            self.encore = Some(now + ENCORE);
            if self.is_relayed() {
                self.asked.get_or_insert(now);
            }
            // A site takes its time to make a key frame. Who sees nothing yet gets an encoded picture until then.
            if self.is_relayed() && !watch.is_started() && !pressed {
                self.serve_apart(now, watch, canvas);
            } else {
                watch.change_to(Feed::at_end(&self.main, None));
            }
        } else {
            self.serve_apart(now, watch, canvas);
        }
    }

    /// A receiver of this channel needs a key frame; `users` does not count it.
    pub fn refresh(&mut self, now: Instant, watch: &mut Watch, users: Users, canvas: &Composing, need: Need) {
        let ask = |supply: &Supply, alone: bool| {
            if alone && need.soon { supply.request_key_soon() } else { supply.request_key() }
        };
        if let Some(supply) = self.catch_up_supply() {
            if watch.follows(&supply) {
                ask(&supply, true);
                return;
            }
            if watch.awaits(&supply) {
                return;
            }
        }
        if users.main > 0 && !self.is_spared(need.pressed) {
            self.serve_apart(now, watch, canvas);
            return;
        }
        ask(&self.main, users.main == 0);
        if !watch.follows(&self.main) && !watch.awaits(&self.main) {
            watch.change_to(Feed::at_end(&self.main, None));
        }
    }

    fn serve_apart(&mut self, now: Instant, watch: &mut Watch, canvas: &Composing) {
        let output = match &self.catch_up {
            Some((output, _)) => output.clone(),
            None => {
                let output =
                    Output::new(self.settings.clone(), self.main_single, self.epoch, self.waker.clone());
                let output = Task::new(&self.spawner, output);
                self.catch_up = Some((output.clone(), now));
                output
            }
        };
        if watch.single() {
            output.request_single();
        }
        let (then, supply) = (Some(self.main.clone()), Supply::Encoder(output.clone()));
        let feed = match output.ring.last_key(now, REPLAY_AGE, usize::MAX, |key| watch.takes(key)) {
            Some(cursor) => Feed { supply, cursor, then },
            None => {
                output.request_key();
                Feed::at_end(&supply, then)
            }
        };
        let fresh = output.made() == 0;
        watch.change_to(feed);
        // Not even one picture's time is lost: the canvas that everybody sees now is encoded at once.
        if fresh && let Some(picture) = canvas.latest() {
            output.submit(Frame { picture, time: now });
            output.schedule();
        }
    }

    fn need_single(&mut self) {
        if !self.main_single {
            self.main_single = true;
            if let Some(output) = self.main.encoder() {
                output.request_single();
            }
            if let Some((output, _)) = &self.catch_up {
                output.request_single();
            }
        }
    }

    /// [`Self::handle_timeout`] may find something.
    pub fn needs_care(&self) -> bool {
        self.catch_up.is_some() || self.encore.is_some() || self.asked.is_some()
    }

    /// Regular care.
    pub fn handle_timeout(&mut self, now: Instant, users: Users, pressed: bool) -> Care {
        let mut care = Care::default();
        if self.encore.is_some_and(|at| now >= at) {
            self.encore = None;
            if users.main <= 1 && users.catch_up == 0 {
                self.main.request_key();
            }
        }
        if let Some(asked) = self.asked {
            if self.main.last_key().is_some_and(|at| at >= asked) {
                self.asked = None;
            } else if pressed {
                // It may have come, and wait in a socket that was not read yet.
                self.asked = Some(now);
            } else if now.saturating_duration_since(asked) >= UNANSWERED {
                self.asked = None;
                care.unanswered = true;
            }
        }
        let Some((_, since)) = &self.catch_up else { return care };
        if users.catch_up == 0 {
            self.catch_up = None;
            care.changed = true;
            return care;
        }
        let rested =
            self.main.last_key().is_none_or(|at| now.saturating_duration_since(at) >= MERGE_INTERVAL);
        let served = now.saturating_duration_since(*since) >= CATCH_UP_LEAST;
        // Nobody is left to be disturbed, or enough time has passed since they were.
        if users.main == 0 || (served && rested) {
            self.main.request_key();
        }
        care
    }

    /// Counts `watch` in.
    pub fn count(&self, watch: &Watch, users: &mut Users) {
        let catches_up =
            self.catch_up_supply().is_some_and(|supply| watch.follows(&supply) || watch.awaits(&supply));
        // First: who still gets the common encoding while he waits for the catch-up encoder's key frame needs that encoder, too.
        if catches_up {
            users.catch_up += 1;
        } else if watch.follows(&self.main) {
            users.main += 1;
        }
    }
}
