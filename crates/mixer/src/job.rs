//! Work on pixels, and how it leaves the media thread.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU8, Ordering},
    },
    time::Instant,
};

/// A piece of work for the pixel threads. The same object may be spawned again and again; [`Task`] sees to it that it is
/// queued once at most and never run by two threads at once.
pub trait Job: Send + Sync {
    /// Does what there is to do; `now` is when it starts.
    fn run(&self, now: Instant);
}

/// Hands a job to the pixel threads (in tests: runs it at once).
pub type Spawner = Arc<dyn Fn(Arc<dyn Job>) + Send + Sync>;

const IDLE: u8 = 0;
const QUEUED: u8 = 1;
const RUNNING: u8 = 2;
/// Asked for again while running.
const DIRTY: u8 = 3;

/// What a [`Task`] does. Implementors bring their own short locks; `work` is never entered twice at once.
pub trait Work: Send + Sync + 'static {
    /// Does what there is to do, or a fair share of it: true when there is more.
    fn work(&self, now: Instant) -> bool;
}

/// A [`Work`] with the state that lets it be asked for from any thread.
pub struct Task<W> {
    work: W,
    state: AtomicU8,
    spawner: Spawner,
    me: Weak<Self>,
}

impl<W: Work> Task<W> {
    /// Wraps `work`.
    pub fn new(spawner: &Spawner, work: W) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            work,
            state: AtomicU8::new(IDLE),
            spawner: spawner.clone(),
            me: me.clone(),
        })
    }

    /// Sees to it that `work` runs once more from its beginning.
    pub fn schedule(&self) {
        let before = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |s| match s {
            IDLE => Some(QUEUED),
            RUNNING => Some(DIRTY),
            _ => None,
        });
        if before == Ok(IDLE) {
            self.spawn();
        }
    }

    /// Waits or runs: what is asked for now would come late.
    pub fn is_busy(&self) -> bool {
        self.state.load(Ordering::Acquire) != IDLE
    }

    fn spawn(&self) {
        if let Some(me) = self.me.upgrade() {
            (self.spawner)(me);
        }
    }
}

impl<W> std::ops::Deref for Task<W> {
    type Target = W;

    fn deref(&self) -> &W {
        &self.work
    }
}

impl<W: Work> Job for Task<W> {
    fn run(&self, now: Instant) {
        if self.state.compare_exchange(QUEUED, RUNNING, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return;
        }
        // A panic in foreign code is caught by the pool; the task must not stay "running" for ever.
        let guard = Done(self);
        if self.work.work(now) {
            self.state.store(DIRTY, Ordering::Release);
        }
        drop(guard);
    }
}

struct Done<'a, W: Work>(&'a Task<W>);

impl<W: Work> Drop for Done<'_, W> {
    fn drop(&mut self) {
        let task = self.0;
        if task.state.compare_exchange(RUNNING, IDLE, Ordering::AcqRel, Ordering::Acquire).is_err() {
            // Back to the end of the queue, so that one busy object does not starve the others.
            task.state.store(QUEUED, Ordering::Release);
            task.spawn();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, atomic::AtomicUsize};

    struct Count(AtomicUsize);

    impl Work for Count {
        fn work(&self, _: Instant) -> bool {
            self.0.fetch_add(1, Ordering::SeqCst);
            false
        }
    }

    #[test]
    fn asked_twice_before_it_runs_it_runs_once_and_asked_while_running_once_more() {
        let queue: Arc<Mutex<Vec<Arc<dyn Job>>>> = Arc::default();
        let spawner: Spawner = {
            let queue = queue.clone();
            Arc::new(move |job| queue.lock().unwrap().push(job))
        };
        let task = Task::new(&spawner, Count(AtomicUsize::new(0)));
        task.schedule();
        task.schedule();
        assert_eq!(queue.lock().unwrap().len(), 1);
        task.state.store(RUNNING, Ordering::SeqCst);
        task.schedule();
        assert_eq!(queue.lock().unwrap().len(), 1, "not queued while running");
        drop(Done(&*task));
        assert_eq!(queue.lock().unwrap().len(), 2, "queued again after");
        let jobs: Vec<_> = queue.lock().unwrap().drain(..).collect();
        #[expect(clippy::disallowed_methods, reason = "any time will do")]
        let now = Instant::now();
        jobs.iter().for_each(|j| j.run(now));
        assert_eq!(task.0.load(Ordering::SeqCst), 1, "a job object queued twice still runs once per request");
        assert!(!task.is_busy());
    }

    struct Breaks;

    impl Work for Breaks {
        fn work(&self, _: Instant) -> bool {
            panic!("broken codec");
        }
    }

    #[test]
    fn a_panic_does_not_leave_the_task_running_for_ever() {
        let queue: Arc<Mutex<Vec<Arc<dyn Job>>>> = Arc::default();
        let spawner: Spawner = {
            let queue = queue.clone();
            Arc::new(move |job| queue.lock().unwrap().push(job))
        };
        let task = Task::new(&spawner, Breaks);
        task.schedule();
        let job = queue.lock().unwrap().pop().unwrap();
        #[expect(clippy::disallowed_methods, reason = "any time will do")]
        let now = Instant::now();
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job.run(now))).is_err());
        assert!(!task.is_busy());
    }

    #[derive(Default)]
    struct Alone {
        inside: std::sync::atomic::AtomicBool,
        wanted: AtomicUsize,
        seen: AtomicUsize,
    }

    impl Work for Alone {
        fn work(&self, _: Instant) -> bool {
            assert!(!self.inside.swap(true, Ordering::SeqCst), "two threads at once");
            self.seen.store(self.wanted.load(Ordering::SeqCst), Ordering::SeqCst);
            self.inside.store(false, Ordering::SeqCst);
            false
        }
    }

    #[test]
    fn asked_from_many_threads_it_runs_alone_and_never_misses_the_last_request() {
        let (jobs, inbox) = crossbeam_channel::unbounded::<Arc<dyn Job>>();
        let spawner: Spawner = Arc::new(move |job| jobs.send(job).unwrap());
        let task = Task::new(&spawner, Alone::default());
        drop(spawner);
        #[expect(clippy::disallowed_methods, reason = "any time will do")]
        let now = Instant::now();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(Ordering::SeqCst) || !inbox.is_empty() {
                        if let Ok(job) = inbox.try_recv() {
                            job.run(now);
                        }
                    }
                });
            }
            let askers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..20_000 {
                            task.wanted.fetch_add(1, Ordering::SeqCst);
                            task.schedule();
                        }
                    })
                })
                .collect();
            askers.into_iter().for_each(|a| a.join().unwrap());
            while task.is_busy() {
                std::hint::spin_loop();
            }
            done.store(true, Ordering::SeqCst);
        });
        assert_eq!(task.seen.load(Ordering::SeqCst), 60_000);
    }
}
