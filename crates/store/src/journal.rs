//! The journal (nhật ký): what happened, appended and never altered.
//!
//! Live commands and events go through [`Journal`], a bounded queue in front of the database, so that nobody waits for the
//! disk. When the queue is full (the disk stands still) the newest entry is dropped and counted, and how many were lost is
//! itself written to the journal as soon as there is room again. What is older than the retention is dropped with the first
//! entry of each day.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use cau_model::ConferenceId;
use sqlx::Row as _;
use tokio::sync::{mpsc, oneshot};

use crate::{
    Error, Store,
    db::{millis, time},
};

/// Entries the queue holds.
const QUEUE: usize = 8192;
/// Entries written in one transaction.
const BATCH: usize = 512;
/// The journal is kept at least this long (six months).
const KEEP_AT_LEAST: Duration = Duration::from_secs(184 * 86_400);

/// Something to be remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// When it happened.
    pub at: SystemTime,
    /// In which conference, if in one.
    pub conference: Option<ConferenceId>,
    /// Who did it: a user's name, `sip:` address, or `system`.
    pub who: String,
    /// What: a short word such as `conference.create`, `participant.join`.
    pub what: String,
    /// Everything else.
    pub detail: serde_json::Value,
}

/// An entry as it stands in the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Number of the entry, growing.
    pub id: i64,
    /// What was remembered.
    pub entry: Entry,
}

#[derive(Debug)]
enum Item {
    Entry(Entry),
    Flush(oneshot::Sender<()>),
}

/// The queue in front of the journal. Cheap to clone; appending never waits.
#[derive(Debug, Clone)]
pub struct Journal {
    queue: mpsc::Sender<Item>,
    lost: Arc<AtomicU64>,
}

impl Journal {
    /// Puts an entry into the queue. When it is full the entry is dropped and counted.
    pub fn append(&self, entry: Entry) {
        if self.queue.try_send(Item::Entry(entry)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything appended before is in the database.
    pub async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.queue.send(Item::Flush(done)).await.is_ok() {
            let _ = wait.await;
        }
    }

    /// Entries dropped since the start because the queue was full or the disk failed.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Store {
    /// Starts the writer task of the journal on the current tokio runtime. It ends when every [`Journal`] is dropped.
    pub fn journal(&self) -> Journal {
        let (queue, input) = mpsc::channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        tokio::spawn(write_all(self.clone(), input, lost.clone()));
        Journal { queue, lost }
    }

    /// The entries after number `after`, oldest first, at most `limit`; of one conference or of all.
    ///
    /// # Errors
    /// The database fails.
    pub async fn journal_entries(
        &self,
        conference: Option<ConferenceId>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Row>, Error> {
        let rows = sqlx::query(
            "SELECT id, at, conference, who, what, detail FROM journal
             WHERE id > $1 AND ($2 IS NULL OR conference = $2) ORDER BY id LIMIT $3",
        )
        .bind(after)
        .bind(conference.map(|c| c.0.cast_signed()))
        .bind(i64::from(limit))
        .fetch_all(&self.0.pool)
        .await
        .map_err(|e| self.sql(e))?;
        rows.iter().map(|r| row_of(r).map_err(|e| self.sql(e))).collect()
    }

    /// The entries of one conference before number `before` (none: the end), newest first, at most `limit`.
    ///
    /// # Errors
    /// The database fails.
    pub async fn journal_of(
        &self,
        conference: ConferenceId,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Row>, Error> {
        let rows = sqlx::query(
            "SELECT id, at, conference, who, what, detail FROM journal
             WHERE conference = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
        )
        .bind(conference.0.cast_signed())
        .bind(before.unwrap_or(i64::MAX))
        .bind(i64::from(limit))
        .fetch_all(&self.0.pool)
        .await
        .map_err(|e| self.sql(e))?;
        rows.iter().map(|r| row_of(r).map_err(|e| self.sql(e))).collect()
    }

    /// Drops what is older than the retention. How many entries went.
    ///
    /// # Errors
    /// The database fails.
    pub async fn prune_journal(&self, now: SystemTime) -> Result<u64, Error> {
        let keep = self.0.journal_keep.max(KEEP_AT_LEAST);
        let Some(before) = now.checked_sub(keep) else { return Ok(0) };
        // The newest entry stands for the clock in the trigger: a clock that jumped ahead cannot empty the journal.
        let mut tx = self.write().await?;
        let done =
            sqlx::query("DELETE FROM journal WHERE at < $1 AND at <= (SELECT max(at) FROM journal) - $2")
                .bind(millis(before))
                .bind(i64::try_from(KEEP_AT_LEAST.as_millis()).unwrap_or(i64::MAX))
                .execute(&mut *tx)
                .await
                .map_err(|e| self.sql(e))?;
        self.commit(tx).await?;
        Ok(done.rows_affected())
    }

    async fn write_entries(&self, entries: &[Entry]) -> Result<(), Error> {
        let mut tx = self.write().await?;
        for e in entries {
            sqlx::query(
                "INSERT INTO journal (at, conference, who, what, detail) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(millis(e.at))
            .bind(e.conference.map(|c| c.0.cast_signed()))
            .bind(&e.who)
            .bind(&e.what)
            .bind(e.detail.to_string())
            .execute(&mut *tx)
            .await
            .map_err(|e| self.sql(e))?;
        }
        self.commit(tx).await
    }
}

fn row_of(r: &sqlx::sqlite::SqliteRow) -> Result<Row, sqlx::Error> {
    let detail: String = r.try_get("detail")?;
    Ok(Row {
        id: r.try_get("id")?,
        entry: Entry {
            at: time(r.try_get("at")?),
            conference: r.try_get::<Option<i64>, _>("conference")?.map(|c| ConferenceId(c.cast_unsigned())),
            who: r.try_get("who")?,
            what: r.try_get("what")?,
            detail: serde_json::from_str(&detail).unwrap_or(serde_json::Value::String(detail)),
        },
    })
}

async fn write_all(store: Store, mut input: mpsc::Receiver<Item>, lost: Arc<AtomicU64>) {
    let mut items = Vec::with_capacity(BATCH);
    let mut told = 0;
    let mut pruned = None;
    while input.recv_many(&mut items, BATCH).await > 0 {
        let mut entries = Vec::with_capacity(items.len() + 1);
        let mut waiting = Vec::new();
        for item in items.drain(..) {
            match item {
                Item::Entry(e) => entries.push(e),
                Item::Flush(done) => waiting.push(done),
            }
        }
        let gone = lost.load(Ordering::Relaxed);
        if gone > told
            && let Some(at) = entries.last().map(|e| e.at)
        {
            entries.push(Entry {
                at,
                conference: None,
                who: "system".into(),
                what: "journal.lost".into(),
                detail: serde_json::json!({ "entries": gone - told }),
            });
        }
        if !entries.is_empty() {
            match store.write_entries(&entries).await {
                Ok(()) => {
                    told = gone;
                    let newest = entries.iter().map(|e| e.at).max();
                    let day = newest.map(|at| millis(at) / 86_400_000);
                    if let Some(at) = newest.filter(|_| day != pruned) {
                        pruned = day;
                        match store.prune_journal(at).await {
                            Ok(0) => {}
                            Ok(entries) => {
                                tracing::info!(entries, "journal entries past the retention were dropped")
                            }
                            Err(e) => tracing::error!(error = %e, "the journal could not be pruned"),
                        }
                    }
                }
                Err(e) => {
                    lost.fetch_add(entries.len() as u64, Ordering::Relaxed);
                    tracing::error!(error = %e, entries = entries.len(), "the journal could not be written");
                }
            }
        }
        for done in waiting {
            let _ = done.send(());
        }
    }
}
