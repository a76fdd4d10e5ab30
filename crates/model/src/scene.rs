//! Scenes: what a group of viewers sees, as data, independent of the size of the canvas.

use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::ParticipantId;
use crate::layout::{Custom, Kind, Layout, Rect};
use crate::ornament::Ornaments;
use crate::refusal::Refusal;

/// Which group of viewers a scene is for. Stays the same while the group exists, so that a view made for it survives
/// every change of what is shown in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SceneId(pub u64);

/// What one group of viewers sees. Immutable; a change is a new scene with the same `id` and a higher `version`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// The group of viewers.
    pub id: SceneId,
    /// Grows with every change within one conference.
    pub version: u64,
    /// How the picture is divided.
    pub kind: Kind,
    /// The tiles of the file, for [`Kind::Custom`].
    pub custom: Option<Arc<Custom>>,
    /// One per seat, index = seat number, empty seats included.
    pub tiles: Vec<Tile>,
    /// Who is shown next, by cycling: decoded already, not shown yet.
    pub prepare: Vec<ParticipantId>,
    /// Written over the picture.
    pub ornaments: Ornaments,
}

/// One seat of a scene.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Seat number: 0 is the largest.
    pub seat: u16,
    /// Who sits there; `None`: an empty seat, left dark.
    pub participant: Option<ParticipantId>,
    /// The name to write on the picture; `None`: write nothing.
    pub name: Option<Arc<str>>,
    /// The name of the site, whether written on the picture or not: for the card that stands in for a picture.
    pub site: Option<Arc<str>>,
    /// The border of the speaker.
    pub border: bool,
    /// What is known about the picture to expect.
    pub card: Card,
    /// How a picture of another shape than the tile is placed.
    pub fit: Fit,
}

/// How a picture is placed in a tile of another shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Fit {
    /// All of it is seen, between borders.
    #[default]
    Fit,
    /// The tile is filled; what juts out is cut off.
    Fill,
}

impl FromStr for Fit {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Fit, Refusal> {
        match text {
            "fit" => Ok(Fit::Fit),
            "fill" => Ok(Fit::Fill),
            _ => Err(Refusal::invalid(
                "fit",
                "fit (thấy cả hình) hoặc fill (lấp đầy ô)",
                "fit (all of the picture) or fill (all of the tile)",
            )),
        }
    }
}

/// What stands in a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Card {
    /// Nothing: an empty seat.
    #[default]
    Empty,
    /// The site's picture; a card with its name as long as none has come.
    Picture,
    /// A card: the site takes part with sound only.
    SoundOnly,
    /// A card: the operator hid the site's picture.
    Hidden,
    /// A card: the line was lost and is being brought back; the seat is kept.
    Reconnecting,
    /// A card: the viewer is the only one in the conference yet.
    Waiting,
}

impl Scene {
    /// The rectangle of every tile on a canvas of that many pixels, index = seat.
    pub fn rects(&self, canvas: (u32, u32)) -> Vec<Rect> {
        Layout { kind: self.kind, custom: self.custom.clone() }.tiles(self.tiles.len(), canvas)
    }

    /// Who is shown with a picture (not as a card), in order of seats.
    pub fn pictures(&self) -> impl Iterator<Item = ParticipantId> + '_ {
        self.tiles.iter().filter(|tile| tile.card == Card::Picture).filter_map(|tile| tile.participant)
    }

    /// The one site that fills the picture with nothing written on it: such a view can be forwarded.
    pub fn single(&self) -> Option<ParticipantId> {
        if !self.ornaments.is_empty() || self.custom.is_some() {
            return None;
        }
        match self.tiles.as_slice() {
            [Tile { participant, name: None, border: false, card: Card::Picture, fit: Fit::Fit, .. }] => {
                *participant
            }
            _ => None,
        }
    }

    /// Whether both show the same, whatever their ids and versions.
    pub fn same_content(&self, other: &Scene) -> bool {
        self.kind == other.kind
            && self.tiles == other.tiles
            && self.custom == other.custom
            && self.prepare == other.prepare
            && self.ornaments == other.ornaments
    }
}
