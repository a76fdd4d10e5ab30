//! Figures for `/metrics` that neither the focus nor the mixers know: sockets, threads, queues between them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use cau_control::Sample;
use cau_drive::{drops, load::Load, pool::Pool};

use crate::loading;

/// Everything as of now; `lost_reports`: reports of the media threads for which signalling had no room.
pub fn of(pool: &Pool, loads: &[Arc<Load>], lost_reports: &AtomicU64) -> Vec<Sample> {
    let mut all = vec![
        Sample::new("cau_pixel_jobs", "Jobs for pixel threads that wait or run.", pool.waiting() as f64),
        Sample::new(
            "cau_media_reports_lost_total",
            "Reports of media threads lost because signalling was behind.",
            lost_reports.load(Ordering::Relaxed) as f64,
        ),
    ];
    for (threads, share) in [("packets", loading::busiest(loads)), ("pictures", pool.load())] {
        let help = "Share of their time threads work: the busiest of packets and sound, those of pictures on average.";
        all.push(Sample::new("cau_busy_ratio", help, share.into()).label("threads", threads));
    }
    all.extend(drops::by_cause().into_iter().map(|(reason, n)| {
        Sample::new("cau_socket_dropped_total", "What sockets lost, by reason.", n as f64)
            .label("reason", reason)
    }));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_line_of_its_own() {
        let pool = Pool::new(1).expect("a thread");
        let all = of(&pool, &[], &AtomicU64::new(3));
        assert!(all.iter().any(|s| s.name == "cau_media_reports_lost_total" && s.value == 3.0));
        let mut reasons: Vec<_> = all
            .iter()
            .filter(|s| s.name == "cau_socket_dropped_total")
            .flat_map(|s| s.labels.clone())
            .collect();
        let count = reasons.len();
        reasons.sort_unstable();
        reasons.dedup();
        assert_eq!((reasons.len(), count), (7, 7));
    }
}
