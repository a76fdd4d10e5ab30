//! The canvas of one view, as a job: every tile's picture, scaled once per source, copied to its place.

use std::{
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cau_codec::video::{Picture, Pool};
use cau_model::{layout::Rect, scene::Card};

use super::{
    output::{Frame, Output},
    paint::Painter,
};
use crate::{
    job::{Task, Work},
    source::Shown,
};

/// A new scene waits for the pictures it needs at most this long; the old one goes on meanwhile.
pub const PATIENCE: Duration = Duration::from_millis(700);
/// After this long without change the cadence falls to [`STILL`].
const SETTLE: Duration = Duration::from_secs(1);
/// Time between pictures of a view in which nothing moves.
const STILL: Duration = Duration::from_millis(200);

/// A scene laid out on one canvas, with where its pictures come from. Immutable.
#[derive(Debug)]
pub struct Plan {
    /// Every tile with an area.
    pub tiles: Vec<Tile>,
}

/// One tile.
#[derive(Debug)]
pub struct Tile {
    /// Where.
    pub rect: Rect,
    /// The site's picture; `None`: a card.
    pub source: Option<Arc<Shown>>,
    /// Written on the picture.
    pub name: Option<Arc<str>>,
    /// Written on the card.
    pub site: Option<Arc<str>>,
    /// Round the speaker.
    pub border: bool,
    /// What stands here.
    pub card: Card,
}

impl Plan {
    /// Every picture that may still come is there.
    fn is_ready(&self) -> bool {
        self.tiles.iter().filter_map(|t| t.source.as_ref()).all(|s| s.has_picture() || !s.is_expected())
    }

    /// Numbers of the pictures shown: equal ones mean an equal canvas.
    fn serials(&self) -> Vec<u64> {
        self.tiles.iter().map(|t| t.source.as_ref().map_or(0, |s| s.serial())).collect()
    }
}

/// The canvas of one view.
pub struct Composing {
    size: (u32, u32),
    pool: Pool,
    plans: Mutex<Plans>,
    due: Mutex<Option<Instant>>,
    outputs: Mutex<Vec<Arc<Task<Output>>>>,
    state: Mutex<State>,
    /// The last canvas, for previews.
    latest: Mutex<Option<Picture>>,
    errors: AtomicU64,
}

#[derive(Default)]
struct Plans {
    current: Option<Arc<Plan>>,
    /// The plan to come and until when it may wait.
    next: Option<(Arc<Plan>, Instant)>,
}

#[derive(Default)]
struct State {
    painter: Painter,
    drawn: Option<Drawn>,
}

struct Drawn {
    plan: Arc<Plan>,
    serials: Vec<u64>,
    picture: Picture,
    changed: Instant,
    sent: Instant,
}

impl Composing {
    /// A canvas of `size` pixels out of `pool`.
    pub fn new(size: (u32, u32), pool: Pool) -> Self {
        Self {
            size,
            pool,
            plans: Mutex::default(),
            due: Mutex::default(),
            outputs: Mutex::default(),
            state: Mutex::default(),
            latest: Mutex::default(),
            errors: AtomicU64::new(0),
        }
    }

    /// The scene has changed. The first plan is shown at once, unless `wait`; later ones when their pictures are there or after
    /// [`PATIENCE`].
    pub fn set_plan(&self, now: Instant, plan: Plan, wait: bool) {
        let plan = Arc::new(plan);
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if plans.current.is_none() && plans.next.is_none() && !wait {
            plans.current = Some(plan);
        } else {
            // Patience is counted from the first change not yet shown, so that a stream of changes cannot freeze the picture.
            let until = plans.next.as_ref().map_or(now + PATIENCE, |(_, until)| *until);
            plans.next = Some((plan, until));
        }
    }

    /// Nobody needs it for now: forgets what was shown.
    pub fn rest(&self) {
        *self.plans.lock().unwrap_or_else(PoisonError::into_inner) = Plans::default();
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Shows something, or will.
    pub fn has_plan(&self) -> bool {
        let plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.current.is_some() || plans.next.is_some()
    }

    /// Who encodes what is composed.
    pub fn set_outputs(&self, outputs: Vec<Arc<Task<Output>>>) {
        *self.outputs.lock().unwrap_or_else(PoisonError::into_inner) = outputs;
    }

    /// Asks for the picture of time `due`; the caller schedules the task. False when the last one is not begun yet.
    pub fn request(&self, due: Instant) -> bool {
        self.due.lock().unwrap_or_else(PoisonError::into_inner).replace(due).is_none()
    }

    /// The last canvas.
    pub fn latest(&self) -> Option<Picture> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Pictures that could not be composed since the last call.
    pub fn take_errors(&self) -> u64 {
        self.errors.swap(0, Ordering::Relaxed)
    }

    fn plan(&self, due: Instant) -> Option<Arc<Plan>> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let switch = plans.next.as_ref().is_some_and(|(plan, until)| due >= *until || plan.is_ready());
        if switch {
            plans.current = plans.next.take().map(|(plan, _)| plan);
        }
        plans.current.clone()
    }

    /// The canvas for `due`, or `None` when nothing has changed for a while and the last one was sent a moment ago.
    fn compose(&self, state: &mut State, due: Instant) -> Option<Picture> {
        let plan = self.plan(due)?;
        let serials = plan.serials();
        if let Some(drawn) = &mut state.drawn
            && Arc::ptr_eq(&drawn.plan, &plan)
            && drawn.serials == serials
        {
            let still = due.saturating_duration_since(drawn.changed) > SETTLE;
            if still && due.saturating_duration_since(drawn.sent) < STILL {
                return None;
            }
            drawn.sent = due;
            return Some(drawn.picture.clone());
        }
        let mut canvas = match self.pool.canvas(self.size.0, self.size.1) {
            Ok(canvas) => canvas,
            Err(e) => {
                if self.errors.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::warn!("view not composed: {e}");
                }
                return None;
            }
        };
        state.painter.paint(&mut canvas, &plan, &self.pool);
        let picture = canvas.freeze();
        state.drawn = Some(Drawn { plan, serials, picture: picture.clone(), changed: due, sent: due });
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(picture.clone());
        Some(picture)
    }
}

impl Work for Composing {
    fn work(&self, _: Instant) -> bool {
        let due = mem::take(&mut *self.due.lock().unwrap_or_else(PoisonError::into_inner));
        let Some(due) = due else { return false };
        let picture = {
            // Only this job takes the lock, and it is never run twice at once: no waiting.
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            self.compose(&mut state, due)
        };
        let Some(picture) = picture else { return false };
        let outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for output in outputs {
            output.submit(Frame { picture: picture.clone(), time: due });
            output.schedule();
        }
        false
    }
}
