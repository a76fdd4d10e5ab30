//! A view: one scene on a canvas of one size, and its encodings.

pub mod channel;
pub mod compose;
pub mod output;
pub mod overlay;
pub mod paint;
pub mod supply;
pub mod watch;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use cau_model::{ParticipantId, scene::Scene, scene::SceneId};
use smallvec::SmallVec;

use crate::{conference::Shared, job::Task, profile::Profile};
use channel::Channel;
use compose::{Composing, Plan};

/// Contributing sources named in a packet at most (RFC 3550 5.1).
pub const MAX_CSRC: usize = 15;

/// Names a view within its conference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    /// Which scene.
    pub scene: SceneId,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pictures per second.
    pub fps: u32,
}

impl Key {
    /// The view of a scene for a profile.
    pub fn new(scene: SceneId, profile: &Profile) -> Self {
        Self { scene, width: profile.width, height: profile.height, fps: profile.fps }
    }
}

/// Names a channel within its view.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Stream {
    /// Bitrate, kbit/s.
    pub kbps: u32,
    /// Whose own pictures are passed on; `None`: composed and encoded here.
    pub from: Option<ParticipantId>,
}

/// One view.
pub struct View {
    /// What is shown, at the latest command.
    pub scene: Arc<Scene>,
    canvas: Arc<Task<Composing>>,
    /// What its receivers get.
    pub channels: BTreeMap<Stream, Channel>,
    /// SSRCs of the sites shown.
    pub csrc: SmallVec<[u32; MAX_CSRC]>,
    fps: u32,
    period: Duration,
    next: Instant,
}

impl View {
    /// A view that makes its first picture now.
    pub fn new(now: Instant, key: Key, scene: Arc<Scene>, shared: &Shared) -> Self {
        let composing = Composing::new((key.width, key.height), shared.pool.clone(), shared.decor.clone());
        Self {
            scene,
            canvas: Task::new(&shared.spawner, composing),
            channels: BTreeMap::new(),
            csrc: SmallVec::new(),
            fps: key.fps.max(1),
            period: Duration::from_secs(1) / key.fps.max(1),
            next: now,
        }
    }

    /// So many pictures per second at most, from the next one on.
    pub fn set_most(&mut self, fps: u32) {
        self.period = Duration::from_secs(1) / self.fps.min(fps).max(1);
    }

    /// The canvas.
    pub fn canvas(&self) -> &Arc<Task<Composing>> {
        &self.canvas
    }

    /// Something is encoded: the canvas is needed, and the pictures on it.
    pub fn is_composed(&self) -> bool {
        self.channels.values().any(|c| c.outputs().next().is_some())
    }

    /// The scene or its sources have changed.
    pub fn set_plan(&mut self, now: Instant, plan: Plan, wait: bool) {
        self.canvas().set_plan(now, plan, wait);
    }

    /// Tells the canvas which encoders there are.
    pub fn connect(&self) {
        let outputs: Vec<_> = self.channels.values().flat_map(Channel::outputs).cloned().collect();
        if outputs.is_empty() {
            // What it shows is old when it is needed again.
            self.canvas.rest();
        }
        self.canvas.set_outputs(outputs);
    }

    /// When the next picture is due.
    pub fn next(&self) -> Option<Instant> {
        self.is_composed().then_some(self.next)
    }

    /// Asks for the picture that is due, if one is. False when the one before it was not begun yet.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        if now < self.next || !self.is_composed() {
            return true;
        }
        // Even cadence; after a stall it starts anew instead of hurrying after.
        let due = if now.saturating_duration_since(self.next) > self.period { now } else { self.next };
        self.next = due + self.period;
        let canvas = self.canvas();
        let in_time = canvas.request(due);
        canvas.schedule();
        in_time
    }
}
