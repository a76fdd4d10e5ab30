//! Memory: counted by the allocator, asserted after every input.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use peak_alloc::PeakAlloc;

/// The system's allocator, counting. C libraries (libopus) are not seen.
#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// One input at a time: the count is the process's.
static ALONE: Mutex<()> = Mutex::new(());

static WORST: AtomicUsize = AtomicUsize::new(0);

/// Bytes on the heap now.
pub fn used() -> usize {
    HEAP.current_usage()
}

/// Runs one input and gives the most bytes it had on the heap at a time.
///
/// # Panics
/// When that is more than `limit`.
pub fn bounded(name: &str, limit: usize, run: impl FnOnce()) -> usize {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = used();
    HEAP.reset_peak_usage();
    run();
    let peak = HEAP.peak_usage().saturating_sub(before);
    drop(alone);
    assert!(peak <= limit, "{name}: {peak} bytes at a time, more than {limit}");
    peak
}

/// Prints a new worst: `./x fuzz` shows the last.
#[expect(clippy::disallowed_macros, reason = "for the person who looks for faults")]
pub fn record(name: &str, peak: usize) {
    if peak > WORST.fetch_max(peak, Relaxed) {
        eprintln!("{name}: peak memory {peak} bytes");
    }
}
