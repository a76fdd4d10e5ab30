//! What is watched of one site's sound, and what was found.

use std::time::{Duration, Instant};

use cau_model::sound::{Kind, Trouble};

use super::{
    Frame,
    band::{Narrow, SLICE, Slice},
    echo::{Analyzer, Echo},
    noise::Noise,
};

/// A site is watched from when it is this loud, dBov: below, it disturbs nobody …
const HEARD: f32 = -62.0;
/// … until it was not for this long.
const SILENT_FOR: Duration = Duration::from_secs(60);
/// Pauses are looked at so often.
const EVERY: Duration = Duration::from_secs(1);

/// Nothing was said.
const SILENCE: Slice = [0.0; SLICE];

/// Something found, or found to be over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finding {
    /// It is so.
    Found(Trouble),
    /// It is not so any more.
    Over(Kind),
}

/// Watches one site. Kept only of sites that are heard.
pub struct Watch {
    near: Narrow,
    far: Narrow,
    noise: Noise,
    echo: Echo,
    heard: Instant,
    judged: Instant,
    findings: Vec<Finding>,
    /// What was found wrong with the noise.
    named: Option<Kind>,
}

impl Watch {
    /// One for a site that was not watched: when it is loud enough.
    pub fn begin(now: Instant, level: f32) -> Option<Box<Self>> {
        (level > HEARD).then(|| {
            Box::new(Self {
                near: Narrow::default(),
                far: Narrow::default(),
                noise: Noise::default(),
                echo: Echo::new(now),
                heard: now,
                judged: now,
                findings: Vec::new(),
                named: None,
            })
        })
    }

    /// Nothing worth watching came for long.
    pub fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) > SILENT_FOR
    }

    /// What came in 20 ms: `None` when nothing did. `speech`: what the detector says, if it looked.
    pub fn came(&mut self, now: Instant, frame: Option<&Frame>, level: f32, speech: Option<bool>) {
        let slice: Slice = match frame {
            Some(frame) => {
                if level > HEARD {
                    self.heard = now;
                }
                self.near.run(frame)
            }
            None => SILENCE,
        };
        self.noise.hear(level, &slice, speech);
        self.echo.came(&slice);
    }

    /// What was sent in the same 20 ms, after that: `None` when nothing was.
    pub fn sent(&mut self, frame: Option<&Frame>) {
        let slice = frame.map_or(SILENCE, |frame| self.far.run(frame));
        self.echo.sent(&slice);
    }

    /// Steady noise was found: its voice is not to be made louder.
    pub fn is_noisy(&self) -> bool {
        self.noise.is_found()
    }

    /// An echo is to be looked for now. That takes a moment: one site per tick.
    pub fn wants_analysis(&self, now: Instant) -> bool {
        self.echo.is_due(now)
    }

    /// Looks for an echo.
    pub fn analyse(&mut self, now: Instant, analyzer: &mut Analyzer) {
        if let Some(news) = self.echo.judge(now, analyzer) {
            self.findings.push(news.map_or(Finding::Over(Kind::Echo), Finding::Found));
        }
    }

    /// Looks at the pauses, when it is time.
    pub fn judge(&mut self, now: Instant) {
        if now.saturating_duration_since(self.judged) < EVERY {
            return;
        }
        self.judged = now;
        let Some(news) = self.noise.judge() else { return };
        let kind = news.map(Trouble::kind);
        if let Some(before) = self.named.filter(|before| Some(*before) != kind) {
            self.findings.push(Finding::Over(before));
        }
        self.named = kind;
        self.findings.extend(news.map(Finding::Found));
    }

    /// What was found since the last call.
    pub fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }
}
