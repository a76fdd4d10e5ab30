-- Times are milliseconds since 1970-01-01T00:00:00Z.
CREATE TABLE users (
    id                  INTEGER PRIMARY KEY AUTOINCREMENT,
    name                TEXT    NOT NULL UNIQUE COLLATE NOCASE,
    password            TEXT    NOT NULL,          -- PHC string, argon2id
    role                TEXT    NOT NULL,
    created_at          INTEGER NOT NULL,
    password_changed_at INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    token_hash BLOB    PRIMARY KEY,                -- SHA-256 of the token; the token itself is never kept
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user_id, created_at);

-- AUTOINCREMENT: the number of a conference that was ended is never given again, so the journal stays unambiguous.
CREATE TABLE conferences (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    room       TEXT    NOT NULL UNIQUE,
    settings   TEXT    NOT NULL,                   -- model::conference::Settings as JSON
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;

CREATE TABLE journal (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    conference INTEGER,                            -- not a foreign key: the record outlives the conference
    who        TEXT    NOT NULL,
    what       TEXT    NOT NULL,
    detail     TEXT    NOT NULL                    -- JSON
) STRICT;
CREATE INDEX journal_conference ON journal (conference, id);
CREATE INDEX journal_at ON journal (at);

-- The record is not to be altered, and nothing younger than 184 days (six months) leaves it, whatever the setting says.
CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_keep BEFORE DELETE ON journal
WHEN OLD.at > (SELECT max(at) FROM journal) - 15897600000
BEGIN SELECT RAISE(ABORT, 'the journal is kept for at least six months'); END;
