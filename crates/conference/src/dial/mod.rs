//! Calling sites: whom we may call, how fast, when again, and what a refusal means. Pure.

pub mod allow;
mod pace;
mod reason;
mod redial;
mod same;

use std::time::Duration;

pub use allow::{Allow, Pattern};
pub(crate) use pace::Pace;
pub(crate) use reason::{ended, refused, unlocated, unregistered};
pub use redial::When;
pub(crate) use same::{Caller, Known};

/// Most redirections followed for one call.
pub(crate) const MOST_REDIRECTIONS: usize = 5;

/// How sites are called.
#[derive(Debug, Clone)]
pub struct Dial {
    /// Whom we may call.
    pub allow: Allow,
    /// Most calls that have no final answer yet; further ones wait.
    pub at_a_time: usize,
    /// Most calls begun per second.
    pub per_second: u32,
    /// How long it may ring.
    pub ring: Duration,
    /// Which sites are called again.
    pub redial: When,
    /// How long to wait before each try of calling a lost site again; the last one for all further tries.
    pub redial_after: Vec<Duration>,
    /// How long a site that had dialled in, and was lost, is called and its seat kept.
    pub keep_callers: Duration,
}

impl Default for Dial {
    /// Everybody may be called; 100 at a time, 50 per second, 60 s to ring; lost sites at once, after 2, 5, 10, 20 and then every
    /// 30 s; those who had dialled in for five minutes.
    fn default() -> Dial {
        Dial {
            allow: Allow::default(),
            at_a_time: 100,
            per_second: 50,
            ring: Duration::from_secs(60),
            redial: When::default(),
            redial_after: [0, 2, 5, 10, 20, 30].map(Duration::from_secs).to_vec(),
            keep_callers: Duration::from_secs(300),
        }
    }
}
