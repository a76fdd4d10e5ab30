//! The canvas of one view, as a job: every tile's picture, scaled once per source, copied to its place.

use std::{
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use cau_codec::{
    scale::{self, Fit},
    video::{Canvas, Colour, Picture, Pool},
};
use cau_model::{layout::Rect, ornament::Ornaments, scene::Card};

use super::{
    output::{Frame, Output},
    overlay::{Decor, Phase},
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
    /// Every tile with an area, in the order they are painted.
    pub tiles: Vec<Tile>,
    /// Behind and between them.
    pub background: Colour,
    /// Over them.
    pub ornaments: Ornaments,
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
    /// How the picture is placed.
    pub fit: Fit,
    /// It lies over an earlier tile.
    pub over: bool,
}

impl Plan {
    /// Every picture that may still come is there.
    fn is_ready(&self) -> bool {
        self.tiles.iter().filter_map(|t| t.source.as_ref()).all(|s| s.has_picture() || !s.is_expected())
    }

    /// Nothing of what is behind the tiles is seen on a canvas of that size.
    pub fn is_covered(&self, size: (u32, u32)) -> bool {
        let area = |r: &Rect| u64::from(r.w) * u64::from(r.h);
        let whole = u64::from(size.0) * u64::from(size.1);
        // Tiles that overlap sum up to more than they cover.
        let apart: u64 = self.tiles.iter().filter(|t| !t.over).map(|t| area(&t.rect)).sum();
        apart >= whole
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
    /// Whose pictures are on the canvas, and since which one.
    showing: Mutex<Vec<(Arc<Shown>, Instant)>>,
    errors: AtomicU64,
}

#[derive(Default)]
struct Plans {
    current: Option<Arc<Plan>>,
    /// The plan to come and until when it may wait.
    next: Option<(Arc<Plan>, Instant)>,
}

struct State {
    painter: Painter,
    drawn: Option<Drawn>,
}

struct Drawn {
    plan: Arc<Plan>,
    serials: Vec<u64>,
    phase: Phase,
    picture: Picture,
    /// The picture without ornaments: kept while nothing but they moves.
    bare: Option<Picture>,
    changed: Instant,
    sent: Instant,
}

impl Composing {
    /// A canvas of `size` pixels out of `pool`, adorned with `decor` where the scene wants it.
    pub fn new(size: (u32, u32), pool: Pool, decor: Decor) -> Self {
        Self {
            size,
            pool,
            plans: Mutex::default(),
            due: Mutex::default(),
            outputs: Mutex::default(),
            state: Mutex::new(State { painter: Painter::new(decor, size), drawn: None }),
            latest: Mutex::default(),
            showing: Mutex::default(),
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

    /// The time of the first canvas since which all have shown this site's picture; `None`: the last one does not.
    pub fn shows_since(&self, site: &Arc<Shown>) -> Option<Instant> {
        let showing = self.showing.lock().unwrap_or_else(PoisonError::into_inner);
        showing.iter().find(|(shown, _)| Arc::ptr_eq(shown, site)).map(|(_, since)| *since)
    }

    /// Notes whose pictures the canvas of `due` shows. Before it is given to the encoders: what they make of it is known then.
    fn note_showing(&self, plan: &Plan, due: Instant) {
        let mut showing = self.showing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = mem::take(&mut *showing);
        let sources = plan.tiles.iter().filter_map(|t| t.source.as_ref()).filter(|s| s.has_picture());
        for source in sources {
            let since =
                before.iter().find(|(shown, _)| Arc::ptr_eq(shown, source)).map_or(due, |(_, at)| *at);
            showing.push((source.clone(), since));
        }
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
        let State { painter, drawn } = state;
        let phase = painter.phase(&plan, due);
        if let Some(drawn) = drawn
            && Arc::ptr_eq(&drawn.plan, &plan)
            && drawn.serials == serials
        {
            // The clock goes on in the slow cadence: it is no reason to send more often.
            let still = due.saturating_duration_since(drawn.changed) > SETTLE && !phase.moves();
            if still && due.saturating_duration_since(drawn.sent) < STILL {
                return None;
            }
            if drawn.phase != phase {
                self.adorn_anew(painter, drawn, phase)?;
            }
            drawn.sent = due;
            return Some(drawn.picture.clone());
        }
        let mut canvas = self.canvas()?;
        self.note_showing(&plan, due);
        painter.paint(&mut canvas, &plan, &self.pool);
        painter.adorn(&mut canvas, &plan, &phase);
        let picture = canvas.freeze();
        *drawn = Some(Drawn {
            plan,
            serials,
            phase,
            picture: picture.clone(),
            bare: None,
            changed: due,
            sent: due,
        });
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(picture.clone());
        Some(picture)
    }

    /// Nothing but clock or message has changed: they are painted over a copy of the picture without them.
    fn adorn_anew(&self, painter: &mut Painter, drawn: &mut Drawn, phase: Phase) -> Option<()> {
        let bare = match &drawn.bare {
            Some(bare) => bare.clone(),
            None => {
                let mut canvas = self.canvas()?;
                painter.paint(&mut canvas, &drawn.plan, &self.pool);
                drawn.bare.insert(canvas.freeze()).clone()
            }
        };
        let mut canvas = self.canvas()?;
        scale::blit(&bare, &mut canvas, 0, 0);
        painter.adorn(&mut canvas, &drawn.plan, &phase);
        drawn.picture = canvas.freeze();
        drawn.phase = phase;
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(drawn.picture.clone());
        Some(())
    }

    fn canvas(&self) -> Option<Canvas> {
        match self.pool.canvas(self.size.0, self.size.1) {
            Ok(canvas) => Some(canvas),
            Err(e) => {
                if self.errors.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::warn!("view not composed: {e}");
                }
                None
            }
        }
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
