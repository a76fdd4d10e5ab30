//! Signing in, and the tokens that prove it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{MutexGuard, PoisonError},
    time::SystemTime,
};

use sha2::{Digest, Sha256};
use sqlx::{Row as _, sqlite::SqliteRow};

use crate::{
    Error, Store, User,
    db::{millis, time},
};

/// Most sessions one user may have at a time; a further one ends the one that has been idle longest. A script that signs in
/// every minute and never out has 720 in the 12 h they last.
const SESSIONS_PER_USER: usize = 1_000;

/// When each session was last used, by the hash of its token, and when it expires. Kept in memory: an idle time that is
/// off after a restart is worth less than a write per request. Bounded by the sessions there are.
pub(crate) type Used = HashMap<Vec<u8>, Times>;

/// Milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    used: i64,
    expires: i64,
}

/// A new session.
#[derive(Clone)]
pub struct SignIn {
    /// 256 random bits in hexadecimal. Shown once: only its hash is stored.
    pub token: String,
    /// The session.
    pub session: Session,
}

// The token is a secret: it must not get into a log by `{:?}`.
impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIn").field("session", &self.session).finish_non_exhaustive()
    }
}

/// Who is signed in, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The user.
    pub user: User,
    /// When the token stops working.
    pub expires_at: SystemTime,
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Name or password is wrong (which of them is not said).
    #[error("wrong user name or password")]
    Wrong,
    /// Too many wrong ones; see the rule in the module `guard`.
    #[error("too many wrong passwords; locked for a while")]
    Locked {
        /// When the next try is looked at.
        until: SystemTime,
    },
    /// More than 64 sign-ins wait to be looked at.
    #[error("too many sign-ins at a time")]
    Busy,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Store {
    /// Checks name and password and makes a session. `from` is the address of whoever asks.
    ///
    /// # Errors
    /// Wrong name or password, locked out, too many at a time, or the database fails.
    pub async fn sign_in(
        &self,
        name: &str,
        password: &str,
        from: IpAddr,
        now: SystemTime,
    ) -> Result<SignIn, SignInError> {
        let _place = self.0.sign_ins.try_acquire().map_err(|_| SignInError::Busy)?;
        // One guess at a time is looked at per permit, and the lock is looked at behind it: parallel guesses do not slip by.
        let _permit = self.0.hashing.acquire().await;
        if let Some(until) = self.guard().locked(now, name, from) {
            return Err(SignInError::Locked { until });
        }
        let found = self.user(name).await?;
        let (user, stored) = match found {
            Some((user, stored)) => (Some(user), Some(stored)),
            None => (None, None),
        };
        let (inner, password) = (self.0.clone(), password.to_owned());
        let right = tokio::task::spawn_blocking(move || inner.hasher.verify(&password, stored.as_deref()))
            .await
            .map_err(|e| Error::Hash(e.to_string()))?;
        let Some(user) = user.filter(|_| right) else {
            self.guard().wrong(now, name, from);
            return Err(SignInError::Wrong);
        };
        self.guard().right(name, from);
        Ok(self.new_session(user, now).await?)
    }

    /// The session of a token, when there is one and it has not expired.
    ///
    /// # Errors
    /// The database fails.
    pub async fn session(&self, token: &str, now: SystemTime) -> Result<Option<Session>, Error> {
        let hash = digest(token);
        let row = sqlx::query(
            "SELECT u.id, u.name, u.role, u.password_changed_at, s.expires_at
             FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.token_hash = $1 AND s.expires_at > $2",
        )
        .bind(&hash)
        .bind(millis(now))
        .fetch_optional(&self.0.pool)
        .await
        .map_err(|e| self.sql(e))?;
        let Some(row) = row else { return Ok(None) };
        let expires = row.try_get("expires_at").map_err(|e| self.sql(e))?;
        self.used().insert(hash, Times { used: millis(now), expires });
        let expires_at = time(expires);
        Ok(Some(Session { user: self.user_of(&row)?, expires_at }))
    }

    /// Ends a session. Whether there was one.
    ///
    /// # Errors
    /// The database fails.
    pub async fn sign_out(&self, token: &str) -> Result<bool, Error> {
        let mut tx = self.write().await?;
        let done = sqlx::query("DELETE FROM sessions WHERE token_hash = $1")
            .bind(digest(token))
            .execute(&mut *tx)
            .await
            .map_err(|e| self.sql(e))?;
        self.commit(tx).await?;
        Ok(done.rows_affected() > 0)
    }

    async fn new_session(&self, user: User, now: SystemTime) -> Result<SignIn, Error> {
        let token = random_token();
        let expires_at = time(millis(now + self.0.session_ttl));
        let mut tx = self.write().await?;
        sqlx::query("DELETE FROM sessions WHERE expires_at <= $1")
            .bind(millis(now))
            .execute(&mut *tx)
            .await
            .map_err(|e| self.sql(e))?;
        let rows = sqlx::query("SELECT token_hash, created_at FROM sessions WHERE user_id = $1")
            .bind(user.id)
            .fetch_all(&mut *tx)
            .await
            .map_err(|e| self.sql(e))?;
        for hash in self.idle_longest(&rows, now)? {
            sqlx::query("DELETE FROM sessions WHERE token_hash = $1")
                .bind(hash)
                .execute(&mut *tx)
                .await
                .map_err(|e| self.sql(e))?;
        }
        sqlx::query(
            "INSERT INTO sessions (token_hash, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
        )
        .bind(digest(&token))
        .bind(user.id)
        .bind(millis(now))
        .bind(millis(expires_at))
        .execute(&mut *tx)
        .await
        .map_err(|e| self.sql(e))?;
        self.commit(tx).await?;
        Ok(SignIn { token, session: Session { user, expires_at } })
    }

    /// Of the sessions of one user those that must go for a further one to have room.
    fn idle_longest(&self, rows: &[SqliteRow], now: SystemTime) -> Result<Vec<Vec<u8>>, Error> {
        let mut used = self.used();
        let now = millis(now);
        used.retain(|_, times| times.expires > now);
        let mut sessions = Vec::with_capacity(rows.len());
        for row in rows {
            let hash: Vec<u8> = row.try_get("token_hash").map_err(|e| self.sql(e))?;
            let created: i64 = row.try_get("created_at").map_err(|e| self.sql(e))?;
            sessions.push((used.get(&hash).map_or(created, |times| times.used.max(created)), hash));
        }
        sessions.sort_unstable();
        sessions.truncate((sessions.len() + 1).saturating_sub(SESSIONS_PER_USER));
        Ok(sessions.into_iter().map(|(_, hash)| hash).collect())
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn guard(&self) -> MutexGuard<'_, crate::guard::Guard> {
        self.0.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

fn random_token() -> String {
    use std::fmt::Write;
    let mut bytes = [0_u8; 32];
    // The thread's generator: ChaCha, seeded and reseeded by the operating system.
    rand::fill(&mut bytes[..]);
    bytes.iter().fold(String::with_capacity(64), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Options;

    fn at(s: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + s)
    }

    #[tokio::test]
    async fn a_script_that_never_signs_out_ends_idle_sessions_and_not_the_console() {
        let dir = tempfile::tempdir().unwrap();
        let password = Some("Cau-Long-Bien-1902".to_owned());
        let options = Options { admin_password: password, ..Options::new(dir.path()) };
        let store = Store::open(options, at(0)).await.unwrap().store;
        let user = store.user("admin").await.unwrap().unwrap().0;
        let console = store.new_session(user.clone(), at(0)).await.unwrap().token;
        let idle = store.new_session(user.clone(), at(1)).await.unwrap().token;
        let mut tx = store.write().await.unwrap();
        for n in 2..SESSIONS_PER_USER as u64 {
            sqlx::query(
                "INSERT INTO sessions (token_hash, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)",
            )
            .bind(digest(&n.to_string()))
            .bind(user.id)
            .bind(millis(at(n)))
            .bind(millis(at(40_000)))
            .execute(&mut *tx)
            .await
            .unwrap();
        }
        store.commit(tx).await.unwrap();
        // The oldest session, and the one in use.
        assert!(store.session(&console, at(1500)).await.unwrap().is_some());
        let new = store.new_session(user.clone(), at(1501)).await.unwrap().token;
        assert!(store.session(&idle, at(1502)).await.unwrap().is_none(), "idle longest");
        assert!(store.session("2", at(1502)).await.unwrap().is_some(), "only one had to go");
        for token in [&console, &new] {
            assert!(store.session(token, at(1502)).await.unwrap().is_some());
        }
        let later = store.new_session(user, at(43_000)).await.unwrap().token;
        assert!(store.session(&later, at(43_000)).await.unwrap().is_some());
        let count: i64 =
            sqlx::query_scalar("SELECT count(*) FROM sessions").fetch_one(&store.0.pool).await.unwrap();
        assert_eq!(count, 3, "the expired go first; console, new and later are left");
    }
}
