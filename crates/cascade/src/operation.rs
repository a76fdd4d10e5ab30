//! One bring-up down the tree, as it is shown.

use std::time::{Duration, Instant};

use cau_model::snapshot::{OperationState, StepName};
use cau_model::{OperationId, Words};
use serde::Serialize;

use crate::node::Viewers;
use crate::path::Path;

/// Steps kept of one operation: seven for each MCU of the longest path.
const MOST_STEPS: usize = 7 * crate::path::MAX_SEGMENTS;

/// One step, and where it was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Which.
    pub name: StepName,
    /// Path of the MCU.
    pub mcu: Path,
    /// Milliseconds since it was asked for.
    pub at_ms: u64,
}

/// A site being brought before viewers, or how that ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// The site, or the foreign MCU it stands behind.
    pub site: Path,
    /// Before whom.
    #[serde(rename = "for")]
    pub viewers: Viewers,
    /// Who asked for it.
    pub by: String,
    /// How far it is.
    pub state: OperationState,
    /// The steps done, by their time.
    pub steps: Vec<Step>,
    /// Milliseconds it took; absent while it runs.
    pub took_ms: Option<u64>,
    /// The step that failed, where, and why.
    pub error: Option<Words>,
    /// What the operator has to know beside.
    pub note: Option<Words>,
    #[serde(skip)]
    pub(crate) began: Instant,
    #[serde(skip)]
    pub(crate) deadline: Instant,
    #[serde(skip)]
    pub(crate) ended: Option<Instant>,
}

impl Operation {
    pub(crate) fn new(
        now: Instant,
        id: OperationId,
        site: Path,
        viewers: Viewers,
        by: &str,
        deadline: Duration,
    ) -> Operation {
        Operation {
            id,
            site,
            viewers,
            by: by.to_owned(),
            state: OperationState::Running,
            steps: Vec::new(),
            took_ms: None,
            error: None,
            note: None,
            began: now,
            deadline: now + deadline,
            ended: None,
        }
    }

    /// Whether it is under way.
    pub fn is_running(&self) -> bool {
        self.state == OperationState::Running
    }

    /// A step is done; told twice it counts once.
    pub(crate) fn step(&mut self, now: Instant, name: StepName, mcu: &Path, at: Instant) -> bool {
        let known = self.steps.iter().any(|step| step.name == name && step.mcu == *mcu);
        if !self.is_running() || known || self.steps.len() >= MOST_STEPS {
            return false;
        }
        let at_ms = ms(at.min(now).saturating_duration_since(self.began));
        let place = self.steps.partition_point(|step| step.at_ms <= at_ms);
        self.steps.insert(place, Step { name, mcu: mcu.clone(), at_ms });
        true
    }

    pub(crate) fn end(&mut self, now: Instant, state: OperationState, error: Option<Words>) {
        self.state = state;
        self.error = error;
        self.ended = Some(now);
        self.took_ms = Some(ms(now.saturating_duration_since(self.began)));
    }
}

pub(crate) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A step's name for people.
pub(crate) fn step_words(step: StepName) -> (&'static str, &'static str) {
    match step {
        StepName::Find => ("tìm điểm cầu", "find"),
        StepName::Dial => ("gọi", "dial"),
        StepName::Route => ("mở đường", "route"),
        StepName::Keyframe => ("khung hình khóa", "keyframe"),
        StepName::Layout => ("bố cục", "layout"),
        StepName::Picture => ("hình", "picture"),
        StepName::Sound => ("tiếng", "sound"),
    }
}
