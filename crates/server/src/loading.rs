//! Tells the focus once a second how busy the machine is.

use std::{sync::Arc, time::Duration};

use cau_conference::Request;
use cau_drive::{load::Load, pool::Pool};
use tokio::{sync::mpsc::Sender, time::MissedTickBehavior};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// The busiest of these threads, 0–1.
pub fn busiest(loads: &[Arc<Load>]) -> f32 {
    loads.iter().map(|load| load.share()).fold(0.0, f32::max)
}

/// Runs until the focus is gone.
pub async fn watch(loads: Vec<Arc<Load>>, pool: Arc<Pool>, focus: Sender<Request>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let load = Request::Load { media: busiest(&loads), pictures: pool.load() };
        if focus.send(load).await.is_err() {
            return;
        }
    }
}
