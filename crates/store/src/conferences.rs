//! Conferences: their settings as JSON, their room unique.
//!
//! The number of a conference is given here, before the focus hears of it: what was acknowledged is stored.

use std::time::SystemTime;

use cau_model::{ConferenceId, Settings};
use sqlx::{Row as _, sqlite::SqliteRow};

use crate::{
    Error, Store,
    db::{millis, time},
};

/// A conference as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its number; never given twice.
    pub id: ConferenceId,
    /// Everything that can be set.
    pub settings: Settings,
    /// When it was made.
    pub created_at: SystemTime,
    /// When it was last changed.
    pub changed_at: SystemTime,
}

impl Store {
    /// Stores a new conference and gives it its number.
    ///
    /// # Errors
    /// [`Error::RoomTaken`], or the database fails.
    pub async fn create_conference(&self, settings: &Settings, now: SystemTime) -> Result<Record, Error> {
        let mut tx = self.write().await?;
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO conferences (room, settings, created_at, changed_at) VALUES ($1, $2, $3, $3) RETURNING id",
        )
        .bind(settings.room.to_string())
        .bind(self.json(settings)?)
        .bind(millis(now))
        .fetch_one(&mut *tx)
        .await
        .map_err(|e| self.taken(e, settings))?;
        self.commit(tx).await?;
        let at = time(millis(now));
        Ok(Record {
            id: ConferenceId(id.cast_unsigned()),
            settings: settings.clone(),
            created_at: at,
            changed_at: at,
        })
    }

    /// Stores changed settings.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::RoomTaken`], or the database fails.
    pub async fn update_conference(
        &self,
        id: ConferenceId,
        settings: &Settings,
        now: SystemTime,
    ) -> Result<(), Error> {
        let mut tx = self.write().await?;
        let done =
            sqlx::query("UPDATE conferences SET room = $2, settings = $3, changed_at = $4 WHERE id = $1")
                .bind(id.0.cast_signed())
                .bind(settings.room.to_string())
                .bind(self.json(settings)?)
                .bind(millis(now))
                .execute(&mut *tx)
                .await
                .map_err(|e| self.taken(e, settings))?;
        self.commit(tx).await?;
        if done.rows_affected() == 0 { Err(Error::Missing("conference")) } else { Ok(()) }
    }

    /// Forgets a conference; its journal stays.
    ///
    /// # Errors
    /// [`Error::Missing`], or the database fails.
    pub async fn delete_conference(&self, id: ConferenceId) -> Result<(), Error> {
        let mut tx = self.write().await?;
        let done = sqlx::query("DELETE FROM conferences WHERE id = $1")
            .bind(id.0.cast_signed())
            .execute(&mut *tx)
            .await
            .map_err(|e| self.sql(e))?;
        self.commit(tx).await?;
        if done.rows_affected() == 0 { Err(Error::Missing("conference")) } else { Ok(()) }
    }

    /// One conference.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Row`] for settings that cannot be read, or the database fails.
    pub async fn conference(&self, id: ConferenceId) -> Result<Record, Error> {
        let row = sqlx::query("SELECT id, settings, created_at, changed_at FROM conferences WHERE id = $1")
            .bind(id.0.cast_signed())
            .fetch_optional(&self.0.pool)
            .await
            .map_err(|e| self.sql(e))?
            .ok_or(Error::Missing("conference"))?;
        self.record(&row)
    }

    /// All conferences in the order they were made; what the focus starts with.
    ///
    /// # Errors
    /// [`Error::Row`] for settings that cannot be read, or the database fails.
    pub async fn conferences(&self) -> Result<Vec<Record>, Error> {
        sqlx::query("SELECT id, settings, created_at, changed_at FROM conferences ORDER BY id")
            .fetch_all(&self.0.pool)
            .await
            .map_err(|e| self.sql(e))?
            .iter()
            .map(|row| self.record(row))
            .collect()
    }

    fn record(&self, row: &SqliteRow) -> Result<Record, Error> {
        let int = |column| row.try_get::<i64, _>(column).map_err(|e| self.sql(e));
        let id = ConferenceId(int("id")?.cast_unsigned());
        let json: String = row.try_get("settings").map_err(|e| self.sql(e))?;
        Ok(Record {
            id,
            settings: serde_json::from_str(&json).map_err(|e| Error::Row {
                path: self.0.path.clone(),
                what: format!("conference {id}"),
                detail: e.to_string(),
            })?,
            created_at: time(int("created_at")?),
            changed_at: time(int("changed_at")?),
        })
    }

    fn json(&self, settings: &Settings) -> Result<String, Error> {
        serde_json::to_string(settings).map_err(|e| Error::Row {
            path: self.0.path.clone(),
            what: format!("settings of room {}", settings.room),
            detail: e.to_string(),
        })
    }

    fn taken(&self, e: sqlx::Error, settings: &Settings) -> Error {
        if e.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation) {
            Error::RoomTaken(settings.room.to_string())
        } else {
            self.sql(e)
        }
    }
}
