//! Meetings that were going on when the program ended, taken up again.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use cau_conference::{Handle, Kept};
use cau_model::{ConferenceId, kept::Room};
use cau_store::{Error, Keeper, KeptConference, Key, Store};
use serde::de::DeserializeOwned;

/// What was kept, when the program ended not longer than `within` ago; else it is forgotten: nobody wants to be called because of
/// yesterday's meeting.
///
/// # Errors
/// The database fails.
pub async fn kept(
    store: &Store,
    within: Duration,
    now: SystemTime,
) -> Result<HashMap<ConferenceId, KeptConference>, Error> {
    let ended = store.last_alive().await?;
    // A clock that was set back counts as no time.
    let fresh = ended.is_some_and(|at| now.duration_since(at).map_or(true, |still| still <= within));
    if fresh && !within.is_zero() {
        return store.kept().await;
    }
    store.forget_kept().await?;
    Ok(HashMap::new())
}

/// Brings one meeting back. A record that cannot be read is left out.
pub async fn restore(focus: &Handle, keeper: &Keeper, conference: ConferenceId, kept: KeptConference) {
    let room = kept.room.and_then(|text| read::<Room>(&text)).unwrap_or_default();
    let mut sites = Vec::with_capacity(kept.sites.len());
    for (id, text) in kept.sites {
        match read::<Kept>(&text) {
            Some(site) => sites.push((id, site)),
            None => keeper.keep(Key::Site(conference, id), None),
        }
    }
    let count = sites.len();
    match focus.restore(conference, room, sites).await {
        Ok(()) if count > 0 => tracing::info!(%conference, sites = count, "a meeting goes on"),
        Ok(()) => {}
        Err(e) => tracing::error!(%conference, "a meeting cannot be taken up again: {}", e.words().en),
    }
}

fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).map_err(|e| tracing::warn!("a kept record cannot be read: {e}")).ok()
}
