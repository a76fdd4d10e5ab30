//! Judged clips, made at first use and shared.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use cau_rtp::h264::Mode;

use super::{Error, Pattern, Shape, Sound, Video, stock};
use crate::{
    Codec, Reel,
    pattern::IDENTITIES,
    persona::{KeyFrames, Modes, Persona},
};

/// What the judged bars stand on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ground {
    /// The identity's colour: each tile of a mosaic can be told by it. Next to nothing to encode.
    #[default]
    Flat,
    /// Natural pictures ([`stock::SITES`]), which cost what a camera's pictures cost.
    Natural,
}

/// Clips that were made already; the same identity, size and codec is encoded once.
#[derive(Default)]
pub struct Library {
    ground: Ground,
    videos: Mutex<HashMap<(u8, Shape), Arc<Video>>>,
    sounds: Mutex<HashMap<(u8, Codec), Arc<Sound>>>,
}

impl Library {
    /// A library whose pictures stand on `ground`.
    pub fn new(ground: Ground) -> Self {
        Self { ground, ..Self::default() }
    }

    /// The judged pictures of an identity for a persona, of the given shape but for mode and key frames.
    ///
    /// # Errors
    /// When the encoder refuses.
    pub fn reel(&self, id: u8, persona: &Persona, shape: Shape) -> Result<Reel, Error> {
        let key_interval = match persona.key_frames {
            KeyFrames::Regular => shape.key_interval,
            // Half a minute without a key frame; then the loop begins again.
            _ => None,
        };
        let frames = if key_interval.is_none() { 900 } else { shape.frames };
        let in_size = |width, height| -> Result<Reel, Error> {
            let video =
                |mode| self.video(id, Shape { mode, key_interval, frames, width, height, ..shape }).map(Some);
            let single = if persona.modes == Modes::One { None } else { video(Mode::SingleNal)? };
            let fragmented = if persona.modes == Modes::Zero { None } else { video(Mode::NonInterleaved)? };
            Ok(Reel { single, fragmented, ..Reel::default() })
        };
        let mut reel = in_size(shape.width, shape.height)?;
        if persona.size_change_after.is_some() {
            // Three quarters, in whole macroblocks: devices step down like this when the line gets narrow.
            let smaller = in_size(shape.width * 3 / 4 / 16 * 16, shape.height * 3 / 4 / 2 * 2)?;
            reel.then = Some(Box::new(smaller));
        }
        Ok(reel)
    }

    /// The judged pictures of an identity in one mode.
    ///
    /// # Errors
    /// When the encoder refuses.
    pub fn video(&self, id: u8, shape: Shape) -> Result<Arc<Video>, Error> {
        let key = (id % IDENTITIES, shape);
        if let Some(video) = self.videos.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(video.clone());
        }
        let site = &stock::SITES[usize::from(key.0) % stock::SITES.len()];
        let video = Arc::new(match self.ground {
            Ground::Flat => Video::judged(key.0, shape, &Pattern::Flat)?,
            Ground::Natural => Video::natural(key.0, shape, &site.pictures())?,
        });
        self.videos.lock().unwrap_or_else(PoisonError::into_inner).insert(key, video.clone());
        Ok(video)
    }

    /// The voice of who speaks as number `turn` of `of` who speak in turn, eight seconds each.
    ///
    /// # Errors
    /// When the codec refuses.
    pub fn speech(&self, turn: usize, of: usize, codec: Codec) -> Result<Arc<Sound>, Error> {
        Ok(Arc::new(Sound::encode(&stock::round(turn, of)?, codec)?))
    }

    /// Silence, for who listens only: packets come all the same, as from most devices.
    ///
    /// # Errors
    /// When the codec refuses.
    pub fn silence(&self, codec: Codec) -> Result<Arc<Sound>, Error> {
        Ok(Arc::new(Sound::encode(&[0; 4 * 48_000], codec)?))
    }

    /// The judged sound of an identity.
    ///
    /// # Errors
    /// When the codec refuses.
    pub fn sound(&self, id: u8, codec: Codec) -> Result<Arc<Sound>, Error> {
        let key = (id % IDENTITIES, codec);
        if let Some(sound) = self.sounds.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(sound.clone());
        }
        let sound = Arc::new(Sound::judged(key.0, codec)?);
        self.sounds.lock().unwrap_or_else(PoisonError::into_inner).insert(key, sound.clone());
        Ok(sound)
    }
}
