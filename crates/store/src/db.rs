//! Opening the database.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use sqlx::{
    Connection as _, SqlSafeStr as _, Sqlite, SqlitePool, Transaction,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::Semaphore;

use crate::{
    Error, Policy, Role,
    guard::Guard,
    password::{self, Hasher},
    sessions::Used,
};

/// What the database has gone through, in order: number, name, statements. By hand rather than by sqlx's macro, which has all of sqlx and SQLite built a second time for
/// the compiler.
const MIGRATIONS: [(i64, &str, &str); 3] = [
    (1, "first", include_str!("../migrations/0001_first.sql")),
    (3, "kept", include_str!("../migrations/0003_kept.sql")),
    (4, "links", include_str!("../migrations/0004_links.sql")),
];

/// How to open the store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Directory of all files; made when missing. The database is `cau.db` in it.
    pub data_dir: PathBuf,
    /// Password of `admin` on the first start. `None`: a random one is made and written to `<data dir>/admin-password`.
    /// Without effect once there is a user.
    pub admin_password: Option<String>,
    /// How long a sign-in lasts.
    pub session_ttl: Duration,
    /// When guessing is locked out.
    pub lockout: Policy,
    /// How long the journal is kept; less than 184 days (six months) counts as 184 days.
    pub journal_keep: Duration,
}

impl Options {
    /// The defaults: 12 h per sign-in, journal for one year.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            admin_password: None,
            session_ttl: Duration::from_secs(12 * 3600),
            lockout: Policy::default(),
            journal_keep: Duration::from_secs(365 * 86_400),
        }
    }
}

/// The result of [`Store::open`].
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Where the random password of `admin` was written, on a first start without a given one.
    pub admin_password_file: Option<PathBuf>,
}

/// Users, sessions, conferences and journal. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub pool: SqlitePool,
    pub path: PathBuf,
    pub hasher: Hasher,
    /// Password hashing takes 20 MB and some 20 ms each: at most two at a time, so that guessing cannot take the machine.
    pub hashing: Semaphore,
    /// Sign-ins being looked at or waiting for it.
    pub sign_ins: Semaphore,
    pub guard: Mutex<Guard>,
    pub used: Mutex<Used>,
    /// Why the last write failed; `None`: it did not.
    pub failing: Mutex<Option<String>>,
    pub session_ttl: Duration,
    pub journal_keep: Duration,
}

impl Store {
    /// Opens `<data dir>/cau.db`, brings it to the newest schema and makes the user `admin` when there is no user yet.
    ///
    /// # Errors
    /// The directory is not writable, the file is damaged or newer than this program, or the password given is weak; each
    /// text names the path and the remedy.
    pub async fn open(options: Options, now: SystemTime) -> Result<Opened, Error> {
        let dir = &options.data_dir;
        writable(dir).map_err(|source| Error::Directory { path: dir.clone(), source })?;
        let path = dir.join("cau.db");
        private(&path).map_err(|source| Error::Directory { path: dir.clone(), source })?;
        let pool = connect(&path).await?;
        migrate(&pool, &path).await?;
        let store = Self(Arc::new(Inner {
            pool,
            path,
            hasher: Hasher::default(),
            hashing: Semaphore::new(2),
            sign_ins: Semaphore::new(64),
            guard: Mutex::new(Guard::new(options.lockout)),
            used: Mutex::default(),
            failing: Mutex::default(),
            session_ttl: options.session_ttl,
            journal_keep: options.journal_keep,
        }));
        let admin_password_file = store.first_start(dir, options.admin_password, now).await?;
        Ok(Opened { store, admin_password_file })
    }

    /// Can the database be read now, and did the last write succeed? Cheap; for readiness checks. Whoever asks for this
    /// lets [`Store::probe`] run at times, else the store stays failing until somebody writes.
    ///
    /// # Errors
    /// What SQLite reports; [`Error::NotWritable`] after a write that failed for want of space or of the right to write.
    pub async fn check(&self) -> Result<(), Error> {
        sqlx::query("SELECT count(*) FROM users").execute(&self.0.pool).await.map_err(|e| self.sql(e))?;
        match self.failing() {
            Some(detail) => Err(Error::NotWritable { path: self.0.path.clone(), detail }),
            None => Ok(()),
        }
    }

    /// Writes and commits something that means nothing (the header's `user_version`): the only proof that the store can
    /// be written. It costs one fsync.
    ///
    /// # Errors
    /// What SQLite reports, [`Error::NotWritable`] for a full disk.
    pub async fn probe(&self) -> Result<(), Error> {
        let mut tx = self.write().await?;
        sqlx::query("PRAGMA user_version = 1").execute(&mut *tx).await.map_err(|e| self.sql(e))?;
        self.commit(tx).await
    }

    /// Why the last write failed, as SQLite put it; `None` when the last one succeeded.
    pub fn failing(&self) -> Option<String> {
        self.0.failing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes the database after writing the WAL back.
    pub async fn close(&self) {
        self.0.pool.close().await;
    }

    pub(crate) fn sql(&self, e: sqlx::Error) -> Error {
        let e = Error::sql(&self.0.path, e);
        if let Error::NotWritable { detail, .. } = &e {
            *self.0.failing.lock().unwrap_or_else(PoisonError::into_inner) = Some(detail.clone());
        }
        e
    }

    /// Begins a change. Every change goes through here and [`Store::commit`], single statements too: outside of a
    /// transaction sqlx ends `INSERT … RETURNING` at its first row, and the error of the commit behind it is lost.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Sqlite>, Error> {
        self.0.pool.begin_with("BEGIN IMMEDIATE").await.map_err(|e| self.sql(e))
    }

    /// Ends a change; only what comes back `Ok` is stored.
    pub(crate) async fn commit(&self, tx: Transaction<'static, Sqlite>) -> Result<(), Error> {
        tx.commit().await.map_err(|e| self.sql(e))?;
        *self.0.failing.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }

    async fn first_start(
        &self,
        dir: &Path,
        given: Option<String>,
        now: SystemTime,
    ) -> Result<Option<PathBuf>, Error> {
        let users: i64 = sqlx::query_scalar("SELECT count(*) FROM users")
            .fetch_one(&self.0.pool)
            .await
            .map_err(|e| self.sql(e))?;
        if users > 0 {
            return Ok(None);
        }
        let (password, file) = match given {
            Some(p) => (p, None),
            None => {
                let p = password::random();
                // Written before the user exists: a crash in between costs a file, not the only way in.
                let file = write_secret(&dir.join("admin-password"), &p)
                    .map_err(|source| Error::Directory { path: dir.to_owned(), source })?;
                (p, Some(file))
            }
        };
        self.add_user("admin", &password, Role::Admin, now).await.map_err(|e| match e {
            crate::PasswordError::Weak(w) => Error::AdminPassword(w),
            crate::PasswordError::Store(e) => e,
        })?;
        Ok(file)
    }
}

async fn connect(path: &Path) -> Result<SqlitePool, Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        // WAL with FULL: what was acknowledged survives a power cut, not only a crash of the program.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5));
    SqlitePoolOptions::new()
        .max_connections(4)
        .acquire_timeout(Duration::from_secs(10))
        // On a full disk SQLite may end a transaction by itself (<https://sqlite.org/lang_transaction.html>, 3.1); the
        // ROLLBACK of sqlx then fails, and the connection still counts as being in a transaction: what is written on it
        // later would land in a savepoint nobody commits. Such a connection is closed instead of being used again.
        .after_release(|connection, _| {
            Box::pin(async move {
                // The rollback of a dropped transaction is only queued; the ping comes back behind it.
                connection.ping().await?;
                let open = connection.is_in_transaction();
                if open {
                    tracing::warn!("a database connection is replaced: its transaction could not be ended");
                }
                Ok(!open)
            })
        })
        .connect_with(options)
        .await
        .map_err(|e| Error::sql(path, e))
}

async fn migrate(pool: &SqlitePool, path: &Path) -> Result<(), Error> {
    let migration = |(version, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(MIGRATIONS.map(migration).into()).run(pool).await.map_err(|e| match e {
        MigrateError::VersionMissing(version) | MigrateError::VersionTooNew(version, _) => {
            Error::Newer { path: path.to_owned(), version }
        }
        MigrateError::Execute(e) | MigrateError::ExecuteMigration(e, _) => Error::sql(path, e),
        other => Error::Corrupt { path: path.to_owned(), detail: other.to_string() },
    })
}

/// Makes the directory and proves that a file can be written in it: permission bits alone do not tell (read-only mounts).
fn writable(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let probe = dir.join(".write-test");
    std::fs::write(&probe, b"")?;
    std::fs::remove_file(probe)
}

/// Makes the database file readable for this account only; SQLite gives its neighbours the same mode.
fn private(path: &Path) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Writes a secret so that only this account can read it (mode 0600 from the start, not after).
fn write_secret(path: &Path, secret: &str) -> io::Result<PathBuf> {
    use io::Write;
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{secret}")?;
    file.sync_all()?;
    Ok(path.to_owned())
}

/// Milliseconds since 1970; times before count as 0.
pub(crate) fn millis(t: SystemTime) -> i64 {
    t.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// The way back.
pub(crate) fn time(ms: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "looks into its own folder")]
    fn every_file_of_migrations_is_run() {
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
        let mut files: Vec<_> = files.map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        let listed = MIGRATIONS.map(|(number, name, _)| format!("{number:04}_{name}.sql"));
        assert_eq!(files, listed);
    }
}
