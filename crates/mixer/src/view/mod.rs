//! A view: one scene on a canvas of one size, and its encodings.

pub mod channel;
pub mod compose;
pub mod output;
pub mod overlay;
pub mod paint;
pub mod watch;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use cau_model::{scene::Scene, scene::SceneId};
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

/// Where the picture of a view comes from. Forwarding another site's packets will be the second kind: a full-screen source
/// without text ([`Scene::single`]) that suits its receivers needs no decoder and no encoder.
pub enum Source {
    /// Decoded, composed and encoded here.
    Composed(Arc<Task<Composing>>),
}

/// One view.
pub struct View {
    /// What is shown, at the latest command.
    pub scene: Arc<Scene>,
    /// How it is made.
    pub source: Source,
    /// By bitrate, kbit/s.
    pub channels: BTreeMap<u32, Channel>,
    /// SSRCs of the sites shown.
    pub csrc: SmallVec<[u32; MAX_CSRC]>,
    period: Duration,
    next: Instant,
}

impl View {
    /// A view that makes its first picture now.
    pub fn new(now: Instant, key: Key, scene: Arc<Scene>, shared: &Shared) -> Self {
        let composing = Composing::new((key.width, key.height), shared.pool.clone(), shared.decor.clone());
        Self {
            scene,
            source: Source::Composed(Task::new(&shared.spawner, composing)),
            channels: BTreeMap::new(),
            csrc: SmallVec::new(),
            period: Duration::from_secs(1) / key.fps.max(1),
            next: now,
        }
    }

    /// The canvas.
    pub fn canvas(&self) -> &Arc<Task<Composing>> {
        match &self.source {
            Source::Composed(task) => task,
        }
    }

    /// The scene or its sources have changed.
    pub fn set_plan(&mut self, now: Instant, plan: Plan, wait: bool) {
        self.canvas().set_plan(now, plan, wait);
    }

    /// Tells the canvas which encoders there are.
    pub fn connect(&self) {
        let outputs = self.channels.values().flat_map(Channel::outputs).cloned().collect();
        self.canvas().set_outputs(outputs);
    }

    /// When the next picture is due.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Asks for the picture that is due, if one is. False when the one before it was not begun yet.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        if now < self.next {
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
