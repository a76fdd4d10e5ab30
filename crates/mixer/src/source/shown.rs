//! The latest picture of a source, between the threads: one decoder writes, any number of views read.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use cau_codec::{scale::Fit, video::Picture};

/// Sizes of one picture kept scaled; more would mean more than this many different tiles show one site.
const SIZES: usize = 8;

/// Latest picture and its scaled copies. The lock on `latest` is held for a few instructions; the one on `scaled` for one scaling, and
/// only pixel threads take it.
#[derive(Debug, Default)]
pub struct Shown {
    latest: Mutex<Latest>,
    scaled: Mutex<Vec<Scaled>>,
    expected: AtomicBool,
    lost: AtomicBool,
}

#[derive(Debug, Default)]
struct Latest {
    picture: Option<Picture>,
    serial: u64,
}

#[derive(Debug)]
struct Scaled {
    size: (u32, u32),
    fit: Fit,
    serial: u64,
    picture: Picture,
}

impl Shown {
    /// A new picture.
    pub fn publish(&self, picture: Picture) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.serial += 1;
        let old = latest.picture.replace(picture);
        drop(latest);
        // Freed outside the lock.
        drop(old);
    }

    /// No picture any more: views show the card.
    pub fn clear(&self) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.serial += 1;
        let old = latest.picture.take();
        drop(latest);
        drop(old);
        self.scaled.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Number of the latest picture (grows with every change) and the picture.
    pub fn current(&self) -> (u64, Option<Picture>) {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        (latest.serial, latest.picture.clone())
    }

    /// Number of the latest picture.
    pub fn serial(&self) -> u64 {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).serial
    }

    /// Is there a picture?
    pub fn has_picture(&self) -> bool {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).picture.is_some()
    }

    /// A picture is on its way: worth holding the old scene for.
    pub fn is_expected(&self) -> bool {
        self.expected.load(Ordering::Relaxed)
    }

    /// Says whether a picture is on its way.
    pub fn expect(&self, expected: bool) {
        self.expected.store(expected, Ordering::Relaxed);
    }

    /// Pictures came once, and have stopped.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Says whether pictures have stopped.
    pub fn lose(&self, lost: bool) {
        self.lost.store(lost, Ordering::Relaxed);
    }

    /// The latest picture in another size, placed by `fit`, made by `scale` once for all views that ask for that.
    pub fn scaled(
        &self,
        size: (u32, u32),
        fit: Fit,
        scale: impl FnOnce(&Picture) -> Option<Picture>,
    ) -> Option<Picture> {
        let (serial, picture) = self.current();
        let picture = picture?;
        let mut scaled = self.scaled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(s) = scaled.iter().find(|s| s.size == size && s.fit == fit && s.serial == serial) {
            return Some(s.picture.clone());
        }
        let made = scale(&picture)?;
        scaled.retain(|s| s.serial == serial);
        if scaled.len() < SIZES {
            scaled.push(Scaled { size, fit, serial, picture: made.clone() });
        }
        Some(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cau_codec::video::Canvas;

    fn picture() -> Picture {
        Canvas::new(64, 36).unwrap().freeze()
    }

    #[test]
    fn each_picture_is_scaled_once_per_size() {
        let shown = Shown::default();
        let mut made = 0;
        assert!(shown.scaled((32, 18), Fit::Contain, |_| Some(picture())).is_none(), "nothing to scale");
        for _ in 0..2 {
            shown.publish(picture());
            for size in [(32, 18), (16, 8), (32, 18), (16, 8)] {
                shown.scaled(size, Fit::Contain, |_| {
                    made += 1;
                    Some(picture())
                });
            }
        }
        assert_eq!(made, 4);
        shown.clear();
        assert!(!shown.has_picture());
        assert!(shown.scaled.lock().unwrap().is_empty());
    }
}
