//! One TCP line: what is lost is late, and holds up what comes behind it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use cau_cascade::ConnId;
use rand::RngExt as _;
use rand::rngs::SmallRng;

use super::{Ev, ms};

/// Linux's least retransmission time-out, and its greatest as far as it matters here.
const RTO: Duration = Duration::from_millis(200);
const MOST_RTO: Duration = Duration::from_secs(30);
const SEGMENT: usize = 1_360;

#[derive(Debug, Default)]
pub struct Line {
    /// By connection and direction.
    latest: HashMap<(ConnId, bool), Instant>,
    cut: Option<Instant>,
    held: Vec<((ConnId, bool), Ev)>,
}

impl Line {
    pub fn is_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// When a message arrives; `None`: the line is cut, and it will be sent again.
    #[allow(clippy::too_many_arguments)]
    pub fn send(
        &mut self,
        now: Instant,
        stream: (ConnId, bool),
        len: usize,
        delay: Duration,
        loss: f64,
        random: &mut SmallRng,
        ev: Ev,
    ) -> Option<(Instant, Ev)> {
        if self.is_cut() {
            self.held.push((stream, ev));
            return None;
        }
        let mut arrival = now + delay;
        for _ in 0..len.div_ceil(SEGMENT).max(1) {
            let mut rto = RTO;
            let mut late = Duration::ZERO;
            while random.random::<f64>() < loss {
                late += rto;
                rto *= 2;
            }
            arrival = arrival.max(now + delay + late);
        }
        Some((self.in_order(stream, arrival), ev))
    }

    fn in_order(&mut self, stream: (ConnId, bool), arrival: Instant) -> Instant {
        let latest = self.latest.entry(stream).or_insert(arrival);
        *latest = arrival.max(*latest);
        *latest
    }

    /// Cuts or mends it; what waited arrives with the next retransmission.
    pub fn cut(&mut self, now: Instant, cut: bool, random: &mut SmallRng) -> Vec<(Instant, Ev)> {
        if cut {
            self.cut.get_or_insert(now);
            return Vec::new();
        }
        let Some(since) = self.cut.take() else { return Vec::new() };
        // The time-out has doubled all the while: the next try is up to that long away.
        let next = (now - since).min(MOST_RTO).mul_f64(random.random::<f64>()).max(ms(1));
        std::mem::take(&mut self.held)
            .into_iter()
            .map(|(stream, ev)| (self.in_order(stream, now + next), ev))
            .collect()
    }
}
