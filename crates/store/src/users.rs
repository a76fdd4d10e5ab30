//! Users and their passwords.

use std::time::SystemTime;

use sqlx::Row as _;

use crate::{
    Error, Store,
    db::{millis, time},
    password,
};

/// What a user may do. Only administrators so far; operators, technicians, auditors and viewers follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// May do everything.
    Admin,
}

impl Role {
    /// The word in the API and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
        }
    }

    pub(crate) fn parse(s: &str) -> Option<Self> {
        (s == "admin").then_some(Self::Admin)
    }
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Number in the database.
    pub id: i64,
    /// Name to sign in with; upper and lower case are the same.
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// When the password was set; it is to be changed every six months.
    pub password_changed_at: SystemTime,
}

/// Why a password was not set.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// It does not meet the rule.
    #[error(transparent)]
    Weak(#[from] password::Weak),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Store {
    /// Adds a user.
    ///
    /// # Errors
    /// The password is weak, the name is taken, or the database fails.
    pub async fn add_user(
        &self,
        name: &str,
        password: &str,
        role: Role,
        now: SystemTime,
    ) -> Result<User, PasswordError> {
        let hash = self.hash(name, password).await?;
        let mut tx = self.write().await?;
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO users (name, password, role, created_at, password_changed_at)
             VALUES ($1, $2, $3, $4, $4) RETURNING id",
        )
        .bind(name)
        .bind(hash)
        .bind(role.as_str())
        .bind(millis(now))
        .fetch_one(&mut *tx)
        .await
        .map_err(|e| self.sql(e))?;
        self.commit(tx).await?;
        Ok(User { id, name: name.to_owned(), role, password_changed_at: time(millis(now)) })
    }

    /// Sets a new password and ends every session of the user.
    ///
    /// # Errors
    /// The password is weak, there is no such user, or the database fails.
    pub async fn set_password(
        &self,
        name: &str,
        password: &str,
        now: SystemTime,
    ) -> Result<(), PasswordError> {
        let hash = self.hash(name, password).await?;
        let mut tx = self.write().await?;
        let id: Option<i64> = sqlx::query_scalar(
            "UPDATE users SET password = $2, password_changed_at = $3 WHERE name = $1 RETURNING id",
        )
        .bind(name)
        .bind(hash)
        .bind(millis(now))
        .fetch_optional(&mut *tx)
        .await
        .map_err(|e| self.sql(e))?;
        let id = id.ok_or(Error::Missing("user"))?;
        sqlx::query("DELETE FROM sessions WHERE user_id = $1")
            .bind(id)
            .execute(&mut *tx)
            .await
            .map_err(|e| self.sql(e))?;
        Ok(self.commit(tx).await?)
    }

    /// The user of that name with the stored hash.
    pub(crate) async fn user(&self, name: &str) -> Result<Option<(User, String)>, Error> {
        let row =
            sqlx::query("SELECT id, name, role, password_changed_at, password FROM users WHERE name = $1")
                .bind(name)
                .fetch_optional(&self.0.pool)
                .await
                .map_err(|e| self.sql(e))?;
        let Some(row) = row else { return Ok(None) };
        let user = self.user_of(&row)?;
        let hash: String = row.try_get("password").map_err(|e| self.sql(e))?;
        Ok(Some((user, hash)))
    }

    pub(crate) fn user_of(&self, row: &sqlx::sqlite::SqliteRow) -> Result<User, Error> {
        let name: String = row.try_get("name").map_err(|e| self.sql(e))?;
        let role: String = row.try_get("role").map_err(|e| self.sql(e))?;
        Ok(User {
            id: row.try_get("id").map_err(|e| self.sql(e))?,
            role: Role::parse(&role).ok_or_else(|| Error::Row {
                path: self.0.path.clone(),
                what: format!("user {name}"),
                detail: format!("unknown role {role}"),
            })?,
            name,
            password_changed_at: time(row.try_get("password_changed_at").map_err(|e| self.sql(e))?),
        })
    }

    async fn hash(&self, name: &str, password: &str) -> Result<String, PasswordError> {
        password::check(name, password)?;
        let password = password.to_owned();
        let _permit = self.0.hashing.acquire().await;
        let hash = tokio::task::spawn_blocking(move || password::hash(&password))
            .await
            .map_err(|e| Error::Hash(e.to_string()))??;
        Ok(hash)
    }
}
