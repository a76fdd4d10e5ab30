//! Logo, clock and message over the picture of a view. What is painted is made once and kept; the clock's text once a second.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use cau_codec::{
    draw::{self, Label, Logo, Ticker},
    video::Canvas,
};
use cau_model::ornament::{Clock, Corner, Edge, Message, Motion, Ornaments};

/// The logo of the machine and how it stands.
#[derive(Clone, Debug)]
pub struct Emblem {
    /// The picture.
    pub logo: Arc<Logo>,
    /// Where.
    pub place: Corner,
    /// Its height as a share of the height of the picture, 0–1.
    pub height: f32,
}

/// What all views of a worker are adorned with.
#[derive(Clone, Debug)]
pub struct Decor {
    /// What the wall clock showed at one moment.
    pub wall: (Instant, SystemTime),
    /// The logo, when there is one.
    pub emblem: Option<Emblem>,
}

/// What clock and message show at one moment: two equal ones look the same.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Phase {
    /// Seconds after 1970, when there is a clock.
    second: Option<i64>,
    /// Since when a moving message runs.
    run: Option<Duration>,
}

impl Phase {
    /// It changes with every picture.
    pub fn moves(&self) -> bool {
        self.run.is_some()
    }
}

/// The ornaments of one view, painted.
pub struct Overlay {
    decor: Decor,
    size: (u32, u32),
    emblem: Option<Label>,
    clock: Option<(Clock, i64, Label)>,
    message: Option<Shown>,
}

struct Shown {
    message: Arc<Message>,
    since: Instant,
    /// Painted when it is first seen.
    ticker: Option<Ticker>,
}

impl Overlay {
    /// For canvases of `size` pixels.
    pub fn new(decor: Decor, size: (u32, u32)) -> Self {
        Self { decor, size, emblem: None, clock: None, message: None }
    }

    /// What they show at a time.
    pub fn phase(&mut self, ornaments: &Ornaments, due: Instant) -> Phase {
        let second = ornaments.clock.as_ref().map(|_| {
            let (at, wall) = self.decor.wall;
            let now = wall + due.saturating_duration_since(at);
            now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs().cast_signed())
        });
        let run = match &ornaments.message {
            None => {
                self.message = None;
                None
            }
            Some(message) => {
                let known = self.message.as_ref().is_some_and(|shown| shown.message == *message);
                if !known {
                    self.message = Some(Shown { message: message.clone(), since: due, ticker: None });
                }
                let since = self.message.as_ref().map_or(due, |shown| shown.since);
                (message.motion == Motion::Scroll).then(|| due.saturating_duration_since(since))
            }
        };
        Phase { second, run }
    }

    /// Paints them.
    pub fn paint(
        &mut self,
        canvas: &mut Canvas,
        ornaments: &Ornaments,
        phase: &Phase,
        painter: &mut draw::Painter,
    ) {
        // The message lies along an edge; what stands in a corner there makes room.
        let (mut top, mut bottom) = (0, 0);
        if let Some(Shown { message, ticker, .. }) = &mut self.message {
            let ticker = ticker.get_or_insert_with(|| {
                painter.ticker(&message.text, message.motion == Motion::Scroll, self.size)
            });
            let y = match message.place {
                Edge::Top => {
                    top = ticker.height();
                    0
                }
                Edge::Bottom => {
                    bottom = ticker.height();
                    self.size.1.saturating_sub(ticker.height())
                }
            };
            ticker.paint(canvas, y, phase.run.unwrap_or_default().as_secs_f64());
        }
        let mut corners =
            Corners { size: self.size, margin: (self.size.1 / 36).max(2), top, bottom, taken: None };
        if let Some(emblem) = self.decor.emblem.as_ref().filter(|_| ornaments.logo) {
            let label = self.emblem.get_or_insert_with(|| {
                let height = (emblem.height * self.size.1 as f32) as u32;
                draw::Painter::emblem(&emblem.logo, height, self.size.0 / 2)
            });
            corners.put(canvas, label, emblem.place);
        }
        if let (Some(clock), Some(second)) = (&ornaments.clock, phase.second) {
            if self.clock.as_ref().is_none_or(|(of, at, _)| (of, *at) != (clock, second)) {
                let size = (self.size.1 as f32 / 20.0).clamp(10.0, 54.0);
                let label = painter.label(self.size.0, size, &clock.text(second));
                self.clock = Some((clock.clone(), second, label));
            }
            if let Some((_, _, label)) = &self.clock {
                corners.put(canvas, label, clock.place);
            }
        }
    }
}

/// Places in the corners: the second thing in one stands beside the first.
struct Corners {
    size: (u32, u32),
    margin: u32,
    top: u32,
    bottom: u32,
    /// Corner and width of what was put first.
    taken: Option<(Corner, u32)>,
}

impl Corners {
    fn put(&mut self, canvas: &mut Canvas, label: &Label, place: Corner) {
        let beside = self.taken.filter(|(corner, _)| *corner == place).map_or(0, |(_, w)| w + self.margin);
        let (from_side, from_edge) = (self.margin + beside, self.margin);
        let right = self.size.0.saturating_sub(from_side + label.width());
        let low = self.size.1.saturating_sub(from_edge + self.bottom + label.height());
        let high = from_edge + self.top;
        let (x, y) = match place {
            Corner::UpperLeft => (from_side, high),
            Corner::UpperRight => (right, high),
            Corner::LowerLeft => (from_side, low),
            Corner::LowerRight => (right, low),
        };
        label.paint(canvas, x, y);
        self.taken = Some((place, label.width() + beside));
    }
}
