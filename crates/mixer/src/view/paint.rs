//! Puts a plan on a canvas.

use cau_codec::{
    draw::{self, Card as Paper, state},
    scale::{self, Fit, Rect},
    video::{Canvas, Colour, Pool},
};
use cau_model::scene::Card;

use super::compose::{Plan, Tile};

/// Between and behind the tiles.
const BACKGROUND: Colour = Colour::BLACK;
/// On the card of the first one in a conference.
const ALONE: &str = "đang chờ các điểm cầu khác / waiting for others";

/// Paints; keeps names and cards it has painted before.
#[derive(Default)]
pub struct Painter(Option<draw::Painter>);

impl Painter {
    /// Paints every part of `canvas`.
    pub fn paint(&mut self, canvas: &mut Canvas, plan: &Plan, pool: &Pool) {
        // Tiles never overlap: when their areas sum up to the canvas, nothing behind them is seen.
        let covered: u64 = plan.tiles.iter().map(|t| u64::from(t.rect.w) * u64::from(t.rect.h)).sum();
        if covered < u64::from(canvas.width()) * u64::from(canvas.height()) {
            canvas.fill(BACKGROUND);
        }
        // Made here and not before: it takes a few milliseconds.
        let painter = self.0.get_or_insert_with(draw::Painter::new);
        for tile in &plan.tiles {
            self::tile(canvas, tile, painter, pool);
        }
    }
}

fn tile(canvas: &mut Canvas, tile: &Tile, painter: &mut draw::Painter, pool: &Pool) {
    let rect = Rect::new(tile.rect.x, tile.rect.y, tile.rect.w, tile.rect.h);
    let size = (rect.w, rect.h);
    let picture = tile
        .source
        .as_ref()
        .and_then(|s| s.scaled(size, |p| scale::scaled(p, size, Fit::Contain, BACKGROUND, pool).ok()));
    match picture {
        Some(picture) => {
            scale::blit(&picture, canvas, rect.x, rect.y);
            if let Some(name) = &tile.name {
                painter.name(canvas, rect, name);
            }
        }
        None if tile.card == Card::Empty => draw::fill(canvas, rect, BACKGROUND),
        None => {
            let site = tile.site.as_ref().or(tile.name.as_ref()).map_or("", |s| s);
            match painter.card(size.0, size.1, &Paper::new(site, reason(tile)), pool) {
                Ok(card) => scale::blit(&card, canvas, rect.x, rect.y),
                Err(_) => draw::fill(canvas, rect, BACKGROUND),
            }
        }
    }
    if tile.border {
        draw::border(canvas, rect, draw::border_thickness(rect), Colour::SPEAKER);
    }
}

fn reason(tile: &Tile) -> &'static str {
    match (tile.card, &tile.source) {
        (Card::Empty, _) => state::EMPTY,
        (Card::Hidden, _) => state::HIDDEN,
        (Card::Waiting, _) => ALONE,
        (Card::SoundOnly, _) | (Card::Picture, None) => state::NO_VIDEO,
        (Card::Picture, Some(source)) if source.is_lost() => state::VIDEO_LOST,
        (Card::Picture, Some(_)) => state::WAITING,
    }
}
