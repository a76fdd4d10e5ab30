//! Buffers for pictures, bounded and used again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::picture::{Canvas, Geometry};

/// Why there was no buffer for a picture.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PoolError {
    /// Sizes are 2–8192 and even, because chroma is halved both ways.
    #[error("a picture of {width}x{height} cannot be: even sizes from 2 to 8192 only")]
    Size {
        /// Wanted width in pixels.
        width: u32,
        /// Wanted height in pixels.
        height: u32,
    },
    /// All of the bytes the pool may hand out are out. Skip this picture: buffers come back when pictures are dropped.
    #[error("picture pool used up: {live} of {limit} bytes are out")]
    UsedUp {
        /// Bytes handed out.
        live: usize,
        /// Bytes the pool may hand out at once.
        limit: usize,
    },
}

/// Picture buffers: at most `limit` bytes out at once, freed ones are kept for the next picture of the same size. Cheap to clone, shared by threads;
/// its lock is held only to push or pop one buffer.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    limit: usize,
    live: AtomicUsize,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    bytes: usize,
    /// Oldest first, so that sizes nobody wants any more fall out.
    buffers: Vec<Vec<u8>>,
}

impl Pool {
    /// A pool that hands out at most `limit` bytes at once (1280×720 is 1.4 MB) and keeps at most a quarter of that idle.
    pub fn new(limit: usize) -> Self {
        Self { shared: Arc::new(Shared { limit, live: AtomicUsize::new(0), idle: Mutex::default() }) }
    }

    /// A canvas of even size. **Its contents are what was there before**: fill every part of it.
    pub fn canvas(&self, width: u32, height: u32) -> Result<Canvas, PoolError> {
        let geometry = Geometry::new(width, height).ok_or(PoolError::Size { width, height })?;
        let bytes = geometry.bytes();
        let live = self.shared.live.fetch_add(bytes, Ordering::Relaxed);
        if live.saturating_add(bytes) > self.shared.limit {
            self.shared.live.fetch_sub(bytes, Ordering::Relaxed);
            return Err(PoolError::UsedUp { live, limit: self.shared.limit });
        }
        let data = self.shared.take(bytes).unwrap_or_else(|| vec![0; bytes]);
        Ok(Canvas::from_buffer(geometry, Buffer { data, home: Some(self.shared.clone()) }))
    }

    /// Bytes handed out and not yet come back.
    pub fn live_bytes(&self) -> usize {
        self.shared.live.load(Ordering::Relaxed)
    }

    /// Bytes kept for the next picture.
    pub fn idle_bytes(&self) -> usize {
        self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }
}

impl Shared {
    fn take(&self, bytes: usize) -> Option<Vec<u8>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let at = idle.buffers.iter().rposition(|b| b.len() == bytes)?;
        idle.bytes -= bytes;
        Some(idle.buffers.remove(at))
    }

    fn give_back(&self, data: Vec<u8>) {
        self.live.fetch_sub(data.len(), Ordering::Relaxed);
        let mut dropped = Vec::new();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.bytes += data.len();
        idle.buffers.push(data);
        while idle.bytes > self.limit / 4 && !idle.buffers.is_empty() {
            let old = idle.buffers.remove(0);
            idle.bytes -= old.len();
            dropped.push(old);
        }
        drop(idle); // the freeing itself is done outside the lock
    }
}

/// A buffer that goes home when dropped.
pub(super) struct Buffer {
    pub(super) data: Vec<u8>,
    home: Option<Arc<Shared>>,
}

impl Buffer {
    /// A buffer of no pool.
    pub(super) fn alone(bytes: usize) -> Self {
        Self { data: vec![0; bytes], home: None }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            home.give_back(std::mem::take(&mut self.data));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::Colour;

    #[test]
    fn a_dropped_picture_gives_its_buffer_to_the_next() {
        let pool = Pool::new(8 << 20);
        let mut first = pool.canvas(640, 360).unwrap();
        first.fill(Colour::BLACK);
        let picture = first.freeze();
        let second = picture.clone();
        drop(picture);
        assert_eq!(pool.idle_bytes(), 0, "still held by the second handle");
        drop(second);
        assert!(pool.idle_bytes() > 0);
        assert_eq!(pool.live_bytes(), 0);
        let _again = pool.canvas(640, 360).unwrap();
        assert_eq!(pool.idle_bytes(), 0);
    }

    #[test]
    fn no_more_than_the_limit_is_out() {
        let pool = Pool::new(3 << 20);
        let _a = pool.canvas(1280, 720).unwrap();
        let _b = pool.canvas(1280, 720).unwrap();
        assert!(matches!(pool.canvas(1280, 720), Err(PoolError::UsedUp { .. })));
        drop(_a);
        assert!(pool.canvas(1280, 720).is_ok());
    }

    #[test]
    fn odd_empty_and_huge_sizes_are_refused() {
        let pool = Pool::new(usize::MAX);
        for (w, h) in [(0, 0), (3, 2), (2, 3), (1 << 20, 2), (2, 8194)] {
            assert_eq!(pool.canvas(w, h).err(), Some(PoolError::Size { width: w, height: h }));
        }
    }
}
