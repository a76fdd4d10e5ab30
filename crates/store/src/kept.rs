//! The live state of meetings, kept for after a restart.
//!
//! What changes is put into [`Keeper`], which never waits; a task writes it in batches. A later change of the same thing takes the
//! place of an earlier one that is not written yet, so what waits is bounded by the number of conferences and sites; above
//! [`MOST`] of them further ones are not kept, and counted. When the disk fails, what was to be written is tried again.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use cau_model::{ConferenceId, ParticipantId};
use sqlx::Row as _;
use tokio::sync::{Notify, oneshot};

use crate::{
    Error, Store,
    db::{millis, time},
};

/// Things that wait to be written at most.
const MOST: usize = 65_536;
/// How often it is noted that the program runs.
const ALIVE: Duration = Duration::from_secs(10);
/// After a failure of the disk.
const AGAIN: Duration = Duration::from_secs(1);

/// Something to be kept, or, without a record, forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// The live part of a conference.
    Room(ConferenceId),
    /// A site.
    Site(ConferenceId, ParticipantId),
    /// All sites of a conference; can only be forgotten.
    Sites(ConferenceId),
}

/// What was kept of one conference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeptConference {
    /// Record of its live part.
    pub room: Option<String>,
    /// Records of its sites.
    pub sites: Vec<(ParticipantId, String)>,
}

/// Takes what is to be kept. Cheap to clone; never waits.
#[derive(Debug, Clone)]
pub struct Keeper(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    changed: Notify,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Pending {
    items: HashMap<Key, Option<String>>,
    waiting: Vec<oneshot::Sender<()>>,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper {
    /// Keeps this record of a thing, or forgets the thing.
    pub fn keep(&self, key: Key, record: Option<String>) {
        let mut pending = self.0.lock();
        if let Key::Sites(conference) = key {
            pending.items.retain(|other, _| !matches!(other, Key::Site(c, _) if *c == conference));
        }
        if pending.items.len() >= MOST && !pending.items.contains_key(&key) {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        pending.items.insert(key, record);
        drop(pending);
        self.0.changed.notify_one();
    }

    /// Waits until everything kept before is in the database.
    pub async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        {
            let mut pending = self.0.lock();
            if pending.closed {
                return;
            }
            pending.waiting.push(done);
        }
        self.0.changed.notify_one();
        let _ = wait.await;
    }

    /// Changes that were not kept because too many waited.
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }
}

impl Store {
    /// Starts the task that writes what is kept, on the current tokio runtime. `clock` tells the time of day.
    pub fn keeper(&self, clock: impl Fn() -> SystemTime + Send + 'static) -> Keeper {
        let shared = Arc::new(Shared::default());
        tokio::spawn(write_all(self.clone(), shared.clone(), clock));
        Keeper(shared)
    }

    /// What was kept, by conference.
    ///
    /// # Errors
    /// The database fails.
    pub async fn kept(&self) -> Result<HashMap<ConferenceId, KeptConference>, Error> {
        let mut all: HashMap<ConferenceId, KeptConference> = HashMap::new();
        let rooms = sqlx::query("SELECT conference, record FROM kept_rooms").fetch_all(&self.0.pool).await;
        for row in rooms.map_err(|e| self.sql(e))? {
            let id: i64 = row.try_get("conference").map_err(|e| self.sql(e))?;
            let record = row.try_get("record").map_err(|e| self.sql(e))?;
            all.entry(ConferenceId(id.cast_unsigned())).or_default().room = Some(record);
        }
        let sites =
            sqlx::query("SELECT participant, conference, record FROM kept_sites ORDER BY participant");
        for row in sites.fetch_all(&self.0.pool).await.map_err(|e| self.sql(e))? {
            let id: i64 = row.try_get("participant").map_err(|e| self.sql(e))?;
            let conference: i64 = row.try_get("conference").map_err(|e| self.sql(e))?;
            let record = row.try_get("record").map_err(|e| self.sql(e))?;
            let sites = &mut all.entry(ConferenceId(conference.cast_unsigned())).or_default().sites;
            sites.push((ParticipantId(id.cast_unsigned()), record));
        }
        Ok(all)
    }

    /// When the program was last known to run, to within ten seconds; `None`: it never kept anything.
    ///
    /// # Errors
    /// The database fails.
    pub async fn last_alive(&self) -> Result<Option<SystemTime>, Error> {
        let at: Option<i64> = sqlx::query_scalar("SELECT at FROM alive WHERE id = 1")
            .fetch_optional(&self.0.pool)
            .await
            .map_err(|e| self.sql(e))?;
        Ok(at.map(time))
    }

    /// Forgets all that was kept.
    ///
    /// # Errors
    /// The database fails.
    pub async fn forget_kept(&self) -> Result<(), Error> {
        for table in ["DELETE FROM kept_sites", "DELETE FROM kept_rooms"] {
            sqlx::query(table).execute(&self.0.pool).await.map_err(|e| self.sql(e))?;
        }
        Ok(())
    }

    async fn write_kept(&self, items: &HashMap<Key, Option<String>>, now: SystemTime) -> Result<(), Error> {
        let mut tx = self.0.pool.begin_with("BEGIN IMMEDIATE").await.map_err(|e| self.sql(e))?;
        // What ends goes first: a site may have come after the end of all before it.
        let ends = items.keys().filter_map(|key| match key {
            Key::Sites(conference) => Some(conference),
            _ => None,
        });
        for conference in ends {
            sqlx::query("DELETE FROM kept_sites WHERE conference = $1")
                .bind(conference.0.cast_signed())
                .execute(&mut *tx)
                .await
                .map_err(|e| self.sql(e))?;
        }
        for (key, record) in items {
            let query = match (key, record) {
                (Key::Sites(_), _) => continue,
                (Key::Room(id), Some(record)) => {
                    sqlx::query("INSERT OR REPLACE INTO kept_rooms (conference, record) VALUES ($1, $2)")
                        .bind(id.0.cast_signed())
                        .bind(record)
                }
                (Key::Room(id), None) => {
                    sqlx::query("DELETE FROM kept_rooms WHERE conference = $1").bind(id.0.cast_signed())
                }
                (Key::Site(conference, id), Some(record)) => sqlx::query(
                    "INSERT OR REPLACE INTO kept_sites (participant, conference, record) VALUES ($1, $2, $3)",
                )
                .bind(id.0.cast_signed())
                .bind(conference.0.cast_signed())
                .bind(record),
                (Key::Site(_, id), None) => {
                    sqlx::query("DELETE FROM kept_sites WHERE participant = $1").bind(id.0.cast_signed())
                }
            };
            query.execute(&mut *tx).await.map_err(|e| self.sql(e))?;
        }
        sqlx::query("INSERT OR REPLACE INTO alive (id, at) VALUES (1, $1)")
            .bind(millis(now))
            .execute(&mut *tx)
            .await
            .map_err(|e| self.sql(e))?;
        tx.commit().await.map_err(|e| self.sql(e))
    }
}

async fn write_all(store: Store, shared: Arc<Shared>, clock: impl Fn() -> SystemTime + Send + 'static) {
    loop {
        let (items, waiting) = {
            let mut pending = shared.lock();
            (std::mem::take(&mut pending.items), std::mem::take(&mut pending.waiting))
        };
        let mut failed = false;
        if let Err(e) = store.write_kept(&items, clock()).await {
            if store.0.pool.is_closed() {
                shared.lock().closed = true;
                return;
            }
            tracing::error!(error = %e, items = items.len(), "the state of the meetings could not be written");
            failed = true;
            let mut pending = shared.lock();
            for (key, record) in items {
                // What has changed meanwhile is newer.
                pending.items.entry(key).or_insert(record);
            }
        }
        for done in waiting {
            let _ = done.send(());
        }
        if Arc::strong_count(&shared) == 1 {
            return;
        }
        if failed {
            tokio::time::sleep(AGAIN).await;
            continue;
        }
        let _ = tokio::time::timeout(ALIVE, shared.changed.notified()).await;
    }
}
