//! Signing in, and the tokens that prove it.

use std::{net::IpAddr, sync::PoisonError, time::SystemTime};

use sha2::{Digest, Sha256};

use crate::{
    Error, Store, User,
    db::{millis, time},
};

/// Most sessions one user may have at a time; a further one ends the oldest.
const SESSIONS_PER_USER: i64 = 64;

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
        use sqlx::Row as _;
        let row = sqlx::query(
            "SELECT u.id, u.name, u.role, u.password_changed_at, s.expires_at
             FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.token_hash = $1 AND s.expires_at > $2",
        )
        .bind(digest(token))
        .bind(millis(now))
        .fetch_optional(&self.0.pool)
        .await
        .map_err(|e| self.sql(e))?;
        let Some(row) = row else { return Ok(None) };
        let expires_at = time(row.try_get("expires_at").map_err(|e| self.sql(e))?);
        Ok(Some(Session { user: self.user_of(&row)?, expires_at }))
    }

    /// Ends a session. Whether there was one.
    ///
    /// # Errors
    /// The database fails.
    pub async fn sign_out(&self, token: &str) -> Result<bool, Error> {
        let done = sqlx::query("DELETE FROM sessions WHERE token_hash = $1")
            .bind(digest(token))
            .execute(&self.0.pool)
            .await
            .map_err(|e| self.sql(e))?;
        Ok(done.rows_affected() > 0)
    }

    async fn new_session(&self, user: User, now: SystemTime) -> Result<SignIn, Error> {
        let token = random_token();
        let expires_at = time(millis(now + self.0.session_ttl));
        let mut tx = self.0.pool.begin_with("BEGIN IMMEDIATE").await.map_err(|e| self.sql(e))?;
        sqlx::query("DELETE FROM sessions WHERE expires_at <= $1")
            .bind(millis(now))
            .execute(&mut *tx)
            .await
            .map_err(|e| self.sql(e))?;
        sqlx::query(
            "DELETE FROM sessions WHERE token_hash IN
             (SELECT token_hash FROM sessions WHERE user_id = $1 ORDER BY created_at DESC LIMIT -1 OFFSET $2)",
        )
        .bind(user.id)
        .bind(SESSIONS_PER_USER - 1)
        .execute(&mut *tx)
        .await
        .map_err(|e| self.sql(e))?;
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
        tx.commit().await.map_err(|e| self.sql(e))?;
        Ok(SignIn { token, session: Session { user, expires_at } })
    }

    fn guard(&self) -> std::sync::MutexGuard<'_, crate::guard::Guard> {
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
