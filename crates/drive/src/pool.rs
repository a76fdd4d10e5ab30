//! Threads for work that takes milliseconds (decoding, composing, encoding), so that packets and sound never wait for it.

use std::{
    io,
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use crate::{Clock, load::Load};

type Task = Box<dyn FnOnce(Instant) + Send>;

/// A fixed number of worker threads with one shared queue.
///
/// The queue has no bound of its own: the callers' job objects are queued at most once each, so its length is
/// bounded by the number of sources and views.
pub struct Pool {
    queue: Sender<Task>,
    waiting: Arc<AtomicUsize>,
    loads: Vec<Arc<Load>>,
}

impl Pool {
    /// Starts `threads` workers (at least one).
    ///
    /// # Errors
    /// When the system cannot start a thread.
    pub fn new(threads: usize) -> io::Result<Self> {
        let (queue, tasks) = unbounded::<Task>();
        let waiting = Arc::new(AtomicUsize::new(0));
        let mut loads = Vec::new();
        for n in 0..threads.max(1) {
            let (tasks, waiting) = (tasks.clone(), waiting.clone());
            let load = Arc::new(Load::default());
            loads.push(load.clone());
            let work = move || work(&tasks, &waiting, &load);
            thread::Builder::new().name(format!("pixels-{n}")).spawn(work)?;
        }
        Ok(Self { queue, waiting, loads })
    }

    /// Queues one piece of work; it is called with the time at which it starts.
    pub fn spawn(&self, task: impl FnOnce(Instant) + Send + 'static) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // Fails only when every worker has died, which a panic caught below prevents.
        let _ = self.queue.send(Box::new(task));
    }

    /// How many pieces of work wait or run: the load figure for metrics.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// How busy its threads are, 0–1: the mean of all.
    pub fn load(&self) -> f32 {
        self.loads.iter().map(|load| load.share()).sum::<f32>() / self.loads.len().max(1) as f32
    }
}

/// A worker without work looks at the clock this often, so that what it says of its load is of now.
const IDLE: Duration = Duration::from_millis(250);

fn work(tasks: &Receiver<Task>, waiting: &AtomicUsize, load: &Load) {
    loop {
        let task = match tasks.recv_timeout(IDLE) {
            Ok(task) => task,
            Err(RecvTimeoutError::Timeout) => {
                load.worked(Duration::ZERO, Clock::now());
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        // One participant's broken decoder must not take the thread of everybody else with it.
        let begun = Clock::now();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| task(begun)));
        waiting.fetch_sub(1, Ordering::Relaxed);
        let done = Clock::now();
        load.worked(done.saturating_duration_since(begun), done);
        if outcome.is_err() {
            tracing::error!("a pixel job panicked; its picture is lost, the others go on");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;

    #[test]
    fn a_panicking_job_leaves_the_others_running() {
        let pool = Pool::new(1).expect("threads");
        let (done, wait) = bounded(1);
        pool.spawn(|_| panic!("broken decoder"));
        pool.spawn(move |_| done.send(()).expect("receiver lives"));
        wait.recv_timeout(std::time::Duration::from_secs(10)).expect("second job ran");
    }
}
