//! Bringing one site up, as a pure state machine: what has happened goes in, what is to be done next comes out.
//!
//! ```text
//!  find ─ dial ─ route ─ keyframe ─ layout ─┬─ picture ── covered by reports ─┬─ done
//!                                           └─ sound ────────────────────────┘
//! ```
//! The picture that was seen before stays until one of the site is decoded here; when a step fails after that, it is put back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cau_model::snapshot::{self, OperationState as State, OperationStep, StepName as Step};
use cau_model::{ConferenceId, OperationId, ParticipantId, Words};

/// A viewer that has never reported is waited for this long after its key frame: devices report every five seconds, give or take.
const REPORT_PATIENCE: Duration = Duration::from_secs(12);

/// What has happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fact {
    /// The site's call stands.
    Connected {
        /// It sends a picture that may be shown.
        picture: bool,
        /// It sends sound.
        sound: bool,
    },
    /// A picture of it is decoded.
    KeyFrame,
    /// The viewers' layout shows it.
    LaidOut,
    /// A key frame was sent to a viewer who has, or has never, sent reports.
    Sent(ParticipantId, bool),
    /// A viewer's reports cover it.
    Covered(ParticipantId),
    /// A viewer has lost packets of it.
    Hurt(ParticipantId),
    /// A viewer is gone, or takes no picture any more.
    ViewerGone(ParticipantId),
    /// Its sound is in the mix.
    Heard,
    /// The site is gone.
    SiteGone(Words),
    /// A step cannot be done.
    Impossible(Words),
    /// A later command takes its place.
    Superseded(Words),
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Call the site.
    Dial,
    /// Have its picture made ready, and be told how far it is.
    Prepare,
    /// Show it to the viewers.
    LayOut,
    /// Show them what they saw before.
    PutBack,
    /// Nothing more is to be told.
    Stop,
}

/// Where one viewer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Sight {
    #[default]
    Nothing,
    /// Sent then; whether it ever reports.
    Sent(Instant, bool),
    Covered,
    /// There is nobody to cover anything.
    Silent,
}

/// One operation.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub id: OperationId,
    pub conference: ConferenceId,
    pub site: ParticipantId,
    pub by: String,
    /// As asked for; those who have gone meanwhile included.
    pub viewers: Vec<ParticipantId>,
    mcu: String,
    began: Instant,
    deadline: Instant,
    ended: Option<Instant>,
    state: State,
    steps: Vec<(Step, Instant)>,
    sights: BTreeMap<ParticipantId, Sight>,
    heard: bool,
    hurt: bool,
    error: Option<Words>,
}

impl Operation {
    /// Begins: the site is found.
    pub fn new(
        now: Instant,
        (id, conference, site): (OperationId, ConferenceId, ParticipantId),
        viewers: Vec<ParticipantId>,
        deadline: Duration,
        (by, mcu): (&str, &str),
    ) -> Operation {
        Operation {
            id,
            conference,
            site,
            by: by.to_owned(),
            sights: viewers.iter().map(|viewer| (*viewer, Sight::default())).collect(),
            viewers,
            mcu: mcu.to_owned(),
            began: now,
            deadline: now + deadline,
            ended: None,
            state: State::Running,
            steps: vec![(Step::Find, now)],
            heard: false,
            hurt: false,
            error: None,
        }
    }

    pub fn is_running(&self) -> bool {
        self.state == State::Running
    }

    /// Whether the site's call does not stand yet.
    pub fn waits_for_call(&self) -> bool {
        self.is_running() && !self.has(Step::Dial)
    }

    /// When it ended.
    pub fn ended(&self) -> Option<Instant> {
        self.ended
    }

    /// Whether it is on the screen of one of these.
    pub fn is_for_any(&self, viewers: impl Fn(ParticipantId) -> bool) -> bool {
        self.viewers.iter().any(|viewer| viewers(*viewer))
    }

    /// What the API shows.
    pub fn snapshot(&self, now: Instant) -> snapshot::Operation {
        let ms = |at: Instant| {
            u64::try_from(at.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
        };
        let step = |(name, at): &(Step, Instant)| OperationStep {
            name: *name,
            mcu: self.mcu.clone(),
            at_ms: ms(*at),
        };
        snapshot::Operation {
            id: self.id,
            conference: self.conference,
            site: self.site,
            viewers: self.viewers.clone(),
            by: self.by.clone(),
            state: self.state,
            elapsed_ms: ms(self.ended.unwrap_or(now)),
            steps: self.steps.iter().map(step).collect(),
            error: self.error.as_ref().map(|words| words.vi.clone()),
            error_en: self.error.as_ref().map(|words| words.en.clone()),
        }
    }

    /// What to do first; `connected`: the site's call stands already.
    pub fn begin(&mut self, now: Instant, connected: Option<Fact>) -> Vec<Wish> {
        match connected {
            Some(fact) => self.handle(now, &fact),
            None => vec![Wish::Dial],
        }
    }

    /// Something has happened. What comes after the end changes nothing.
    pub fn handle(&mut self, now: Instant, fact: &Fact) -> Vec<Wish> {
        if !self.is_running() {
            return Vec::new();
        }
        match fact {
            Fact::Connected { picture, sound } => self.connected(now, *picture, *sound),
            Fact::KeyFrame if self.has(Step::Route) && !self.has(Step::Keyframe) => {
                self.done(now, Step::Keyframe);
                vec![Wish::LayOut]
            }
            Fact::KeyFrame => Vec::new(),
            Fact::LaidOut => {
                self.done(now, Step::Layout);
                self.settle(now)
            }
            Fact::Sent(viewer, reports) => {
                if let Some(sight @ Sight::Nothing) = self.sights.get_mut(viewer) {
                    *sight = Sight::Sent(now, *reports);
                }
                self.settle(now)
            }
            Fact::Covered(viewer) => {
                if let Some(sight) = self.sights.get_mut(viewer) {
                    *sight = Sight::Covered;
                }
                self.settle(now)
            }
            Fact::Hurt(viewer) => {
                // It reports, then.
                if let Some(Sight::Sent(_, reports)) = self.sights.get_mut(viewer) {
                    *reports = true;
                }
                self.hurt = true;
                Vec::new()
            }
            Fact::ViewerGone(viewer) => {
                self.sights.remove(viewer);
                if self.sights.is_empty() {
                    return self.fail(now, &Words::new("không còn ai để xem", "nobody is left to see it"));
                }
                self.settle(now)
            }
            Fact::Heard => {
                self.heard = true;
                self.settle(now)
            }
            Fact::SiteGone(words) | Fact::Impossible(words) | Fact::Superseded(words) => {
                let keep = matches!(fact, Fact::Superseded(_));
                let mut wishes = self.fail(now, words);
                if keep {
                    // What the later command shows is what is wanted now.
                    wishes.retain(|wish| *wish != Wish::PutBack);
                }
                wishes
            }
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Wish> {
        if !self.is_running() {
            return Vec::new();
        }
        let silent = |sight: &mut Sight| {
            if let Sight::Sent(at, false) = *sight
                && (now >= at + REPORT_PATIENCE || now >= self.deadline)
            {
                *sight = Sight::Silent;
            }
        };
        self.sights.values_mut().for_each(silent);
        let wishes = self.settle(now);
        if !self.is_running() || now < self.deadline {
            return wishes;
        }
        let words = self.missing();
        self.fail(now, &words)
    }

    /// When [`Operation::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let patience = self.sights.values().filter_map(|sight| match sight {
            Sight::Sent(at, false) => Some(*at + REPORT_PATIENCE),
            _ => None,
        });
        self.is_running().then(|| patience.min().map_or(self.deadline, |at| at.min(self.deadline)))
    }

    fn has(&self, step: Step) -> bool {
        self.steps.iter().any(|(other, _)| *other == step)
    }

    fn done(&mut self, now: Instant, step: Step) {
        if !self.has(step) {
            self.steps.push((step, now));
        }
    }

    fn connected(&mut self, now: Instant, picture: bool, sound: bool) -> Vec<Wish> {
        if self.has(Step::Route) {
            return Vec::new();
        }
        self.done(now, Step::Dial);
        if !picture {
            return self.fail(
                now,
                &Words::new(
                    "điểm cầu không gửi hình, hoặc hình đang bị ẩn",
                    "the site sends no picture, or its picture is hidden",
                ),
            );
        }
        if !sound {
            return self.fail(now, &Words::new("điểm cầu không gửi tiếng", "the site sends no sound"));
        }
        self.done(now, Step::Route);
        vec![Wish::Prepare]
    }

    /// Notes what is complete, and ends when all is.
    fn settle(&mut self, now: Instant) -> Vec<Wish> {
        if !self.has(Step::Layout) {
            return Vec::new();
        }
        if self.sights.values().all(|sight| *sight != Sight::Nothing) {
            self.done(now, Step::Picture);
        }
        if self.heard {
            self.done(now, Step::Sound);
        }
        if !self.has(Step::Picture) || !self.has(Step::Sound) {
            return Vec::new();
        }
        let waits = |sight: &Sight| matches!(sight, Sight::Sent(..));
        if self.sights.values().any(waits) {
            return Vec::new();
        }
        let silent = self.sights.values().any(|sight| *sight == Sight::Silent);
        self.state = if silent { State::Unconfirmed } else { State::Done };
        self.ended = Some(now);
        vec![Wish::Stop]
    }

    fn step(&self) -> Step {
        const ORDER: [Step; 7] =
            [Step::Find, Step::Dial, Step::Route, Step::Keyframe, Step::Layout, Step::Picture, Step::Sound];
        ORDER.into_iter().find(|step| !self.has(*step)).unwrap_or(Step::Picture)
    }

    fn fail(&mut self, now: Instant, words: &Words) -> Vec<Wish> {
        let step = self.step();
        let laid_out = self.has(Step::Layout);
        let (vi, en) = names(step);
        self.error = Some(Words::new(format!("{vi}: {}", words.vi), format!("{en}: {}", words.en)));
        self.state = State::Failed;
        self.ended = Some(now);
        if laid_out { vec![Wish::Stop, Wish::PutBack] } else { vec![Wish::Stop] }
    }

    /// What is not there at the deadline.
    fn missing(&self) -> Words {
        match self.step() {
            Step::Find | Step::Dial => {
                Words::new("chưa gọi được điểm cầu trong thời hạn", "the site could not be reached in time")
            }
            Step::Route | Step::Keyframe => Words::new(
                "điểm cầu không gửi khung hình khóa trong thời hạn",
                "no key frame came from the site in time",
            ),
            Step::Layout => Words::new("bố cục chưa đổi được", "the layout could not be changed"),
            Step::Sound => Words::new(
                "không nghe thấy tiếng từ điểm cầu trong thời hạn",
                "no sound came from the site in time",
            ),
            Step::Picture if self.hurt => Words::new(
                "nơi nhận báo mất gói trong thời hạn: kiểm tra đường truyền",
                "receivers report lost packets all the time: check their lines",
            ),
            Step::Picture => Words::new(
                "nơi nhận chưa xác nhận đã nhận được hình",
                "receivers have not confirmed that the picture arrived",
            ),
        }
    }
}

fn names(step: Step) -> (&'static str, &'static str) {
    match step {
        Step::Find => ("tìm điểm cầu", "find"),
        Step::Dial => ("gọi", "dial"),
        Step::Route => ("mở đường", "route"),
        Step::Keyframe => ("khung hình khóa", "keyframe"),
        Step::Layout => ("bố cục", "layout"),
        Step::Picture => ("hình", "picture"),
        Step::Sound => ("tiếng", "sound"),
    }
}

#[cfg(test)]
mod tests;
