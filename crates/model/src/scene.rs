//! Scenes: what a group of viewers sees, as data, independent of the size of the canvas.

use std::sync::Arc;

use crate::id::ParticipantId;
use crate::layout::{self, Kind, Rect};

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
    /// One per seat, index = seat number, empty seats included.
    pub tiles: Vec<Tile>,
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
    /// A card: the viewer is the only one in the conference yet.
    Waiting,
}

impl Scene {
    /// The rectangle of every tile on a canvas of that many pixels, index = seat.
    pub fn rects(&self, canvas: (u32, u32)) -> Vec<Rect> {
        layout::tiles(self.kind, self.tiles.len(), canvas)
    }

    /// Who is shown with a picture (not as a card), in order of seats.
    pub fn pictures(&self) -> impl Iterator<Item = ParticipantId> + '_ {
        self.tiles.iter().filter(|tile| tile.card == Card::Picture).filter_map(|tile| tile.participant)
    }

    /// The one site that fills the picture with nothing written on it: such a view can be forwarded.
    pub fn single(&self) -> Option<ParticipantId> {
        match self.tiles.as_slice() {
            [Tile { participant, name: None, border: false, card: Card::Picture, .. }] => *participant,
            _ => None,
        }
    }

    /// Whether both show the same, whatever their ids and versions.
    pub fn same_content(&self, other: &Scene) -> bool {
        self.kind == other.kind && self.tiles == other.tiles
    }
}
