//! Memory: counted by the allocator, asserted after every input.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Most bytes one input may have on the heap at a time, what the targets keep themselves included.
pub const LIMIT: usize = 64 * 1024 * 1024;

/// The system's allocator, counting. C libraries (libopus) are not seen.
struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static WORST: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to `System` unchanged; the counters are atomics and allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = USED.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(used, Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Runs one input and looks at the most it had on the heap. The worst so far is printed, for the record.
pub fn bounded(name: &str, run: impl FnOnce()) {
    let before = USED.load(Relaxed);
    PEAK.store(before, Relaxed);
    run();
    let peak = PEAK.load(Relaxed).saturating_sub(before);
    if peak > WORST.load(Relaxed) + WORST.load(Relaxed) / 16 {
        WORST.store(peak, Relaxed);
        eprintln!("{name}: peak memory {} KiB", peak / 1024);
    }
    assert!(peak <= LIMIT, "{name}: {peak} bytes at a time");
}
