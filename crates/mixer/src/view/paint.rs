//! Puts a plan on a canvas.

use std::time::Instant;

use cau_codec::{
    draw::{self, Card as Paper, state},
    scale::{self, Rect},
    video::{Canvas, Colour, Pool},
};
use cau_model::scene::Card;

use super::{
    compose::{Plan, Tile},
    overlay::{Decor, Overlay, Phase},
};

/// Beside a picture of another shape than its tile.
const BORDER: Colour = Colour::BLACK;
/// Round a tile that lies over another: neither white, which is the speaker's, nor black, which pictures are.
const FRAME: Colour = Colour::rgb(0x5a, 0x66, 0x76);
/// On the card of the first one in a conference.
const ALONE: &str = "đang chờ các điểm cầu khác / waiting for others";

/// Paints; keeps names, cards and ornaments it has painted before.
pub struct Painter {
    /// Made when it is first needed: it takes a few milliseconds.
    painter: Option<draw::Painter>,
    overlay: Overlay,
}

impl Painter {
    /// With the ornaments of `decor`, for canvases of `size` pixels.
    pub fn new(decor: Decor, size: (u32, u32)) -> Self {
        Self { painter: None, overlay: Overlay::new(decor, size) }
    }

    /// What the clock and the message of a plan show at a time.
    pub fn phase(&mut self, plan: &Plan, due: Instant) -> Phase {
        self.overlay.phase(&plan.ornaments, due)
    }

    /// Paints every part of `canvas` but the ornaments.
    pub fn paint(&mut self, canvas: &mut Canvas, plan: &Plan, pool: &Pool) {
        if !plan.is_covered((canvas.width(), canvas.height())) {
            canvas.fill(plan.background);
        }
        let painter = self.painter.get_or_insert_with(draw::Painter::new);
        for tile in &plan.tiles {
            self::tile(canvas, tile, plan.background, painter, pool);
        }
    }

    /// Paints logo, clock and message over it.
    pub fn adorn(&mut self, canvas: &mut Canvas, plan: &Plan, phase: &Phase) {
        if !plan.ornaments.is_empty() {
            let painter = self.painter.get_or_insert_with(draw::Painter::new);
            self.overlay.paint(canvas, &plan.ornaments, phase, painter);
        }
    }
}

fn tile(canvas: &mut Canvas, tile: &Tile, background: Colour, painter: &mut draw::Painter, pool: &Pool) {
    let rect = Rect::new(tile.rect.x, tile.rect.y, tile.rect.w, tile.rect.h);
    let size = (rect.w, rect.h);
    let fit = tile.fit;
    let picture = tile
        .source
        .as_ref()
        .and_then(|s| s.scaled(size, fit, |p| scale::scaled(p, size, fit, BORDER, pool).ok()));
    match picture {
        Some(picture) => {
            scale::blit(&picture, canvas, rect.x, rect.y);
            if let Some(name) = &tile.name {
                painter.name(canvas, rect, name);
            }
        }
        // An empty seat does not hide what lies under it.
        None if tile.card == Card::Empty && tile.over => return,
        None if tile.card == Card::Empty => draw::fill(canvas, rect, background),
        None => {
            let site = tile.site.as_ref().or(tile.name.as_ref()).map_or("", |s| s);
            match painter.card(size.0, size.1, &Paper::new(site, reason(tile)), pool) {
                Ok(card) => scale::blit(&card, canvas, rect.x, rect.y),
                Err(_) => draw::fill(canvas, rect, background),
            }
        }
    }
    if tile.border {
        draw::border(canvas, rect, draw::border_thickness(rect), Colour::SPEAKER);
    } else if tile.over {
        draw::border(canvas, rect, 2, FRAME);
    }
}

fn reason(tile: &Tile) -> &'static str {
    match (tile.card, &tile.source) {
        (Card::Empty, _) => state::EMPTY,
        (Card::Hidden, _) => state::HIDDEN,
        (Card::Reconnecting, _) => state::RECONNECTING,
        (Card::Waiting, _) => ALONE,
        (Card::SoundOnly, _) | (Card::Picture, None) => state::NO_VIDEO,
        (Card::Picture, Some(source)) if source.is_lost() => state::VIDEO_LOST,
        (Card::Picture, Some(_)) => state::WAITING,
    }
}
