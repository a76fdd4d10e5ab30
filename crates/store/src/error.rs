//! What can go wrong with the database, in words that name the file and the remedy.

use std::path::{Path, PathBuf};

/// A failure of the store. The text names the path and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory cannot be made or written to.
    #[error(
        "data directory {}: {source}. Make it a directory the account of this program may write to, or set CAU_DATA_DIR to another one",
        path.display()
    )]
    Directory {
        /// The data directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a database, or pages of it are damaged.
    #[error(
        "database {} is damaged ({detail}). Stop the program, move the file (with its -wal and -shm neighbours) away and put the last backup in its place; without a backup, start with an empty data directory",
        path.display()
    )]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        detail: String,
    },
    /// The file was written by a newer version of the program.
    #[error(
        "database {} was written by a newer version of this program (schema {version}). Install that version again, or restore the backup made before it",
        path.display()
    )]
    Newer {
        /// The database file.
        path: PathBuf,
        /// Number of the migration this program does not know.
        version: i64,
    },
    /// The disk is full, or the file became read-only.
    #[error("database {}: {detail}. Free space on the disk, or make the file writable", path.display())]
    NotWritable {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        detail: String,
    },
    /// Others write, or every connection is in use, for longer than one waits (5 s and 10 s).
    #[error("database {}: busy for too long. Try again; when it stays so, the disk is too slow", path.display())]
    Busy {
        /// The database file.
        path: PathBuf,
    },
    /// Something else SQLite reports.
    #[error("database {}: {source}", path.display())]
    Sql {
        /// The database file.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// A row does not hold what this version expects.
    #[error("database {}: {what} cannot be read: {detail}", path.display())]
    Row {
        /// The database file.
        path: PathBuf,
        /// Which row.
        what: String,
        /// Why not.
        detail: String,
    },
    /// The room is taken by another conference.
    #[error("room {0} is taken")]
    RoomTaken(String),
    /// The path is taken by another link.
    #[error("there is a link for {0} already")]
    PathTaken(String),
    /// So many links are kept at most.
    #[error("there are {0} links already")]
    TooManyLinks(i64),
    /// There is no such row.
    #[error("no such {0}")]
    Missing(&'static str),
    /// The first administrator's password is too weak.
    #[error("the password given for `admin` (CAU_ADMIN_PASSWORD) is not accepted: {0}")]
    AdminPassword(crate::password::Weak),
    /// Hashing a password failed.
    #[error("password hashing: {0}")]
    Hash(String),
}

// Primary result codes of SQLite, <https://sqlite.org/rescode.html>; extended codes carry them in the low byte.
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const READONLY: u32 = 8;
const IOERR: u32 = 10;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANTOPEN: u32 = 14;
const NOTADB: u32 = 26;

impl Error {
    /// Sorts what sqlx reports into what an operator can act upon.
    pub(crate) fn sql(path: &Path, source: sqlx::Error) -> Self {
        let path = path.to_owned();
        let code = source
            .as_database_error()
            .and_then(|e| e.code())
            .and_then(|c| c.parse::<u32>().ok())
            .map(|c| c & 0xff);
        let detail =
            || source.as_database_error().map_or_else(|| source.to_string(), |e| e.message().to_owned());
        match code {
            Some(CORRUPT | NOTADB) => Self::Corrupt { detail: detail(), path },
            Some(READONLY | FULL | CANTOPEN | IOERR) => Self::NotWritable { detail: detail(), path },
            Some(BUSY | LOCKED) => Self::Busy { path },
            None if matches!(source, sqlx::Error::PoolTimedOut) => Self::Busy { path },
            _ => Self::Sql { path, source },
        }
    }
}
