-- What a meeting needs to go on after a restart. Written all the time, read once; the record is JSON of who gives it.
CREATE TABLE kept_rooms (
    conference INTEGER PRIMARY KEY,
    record     TEXT    NOT NULL
) STRICT;
CREATE TABLE kept_sites (
    participant INTEGER PRIMARY KEY,
    conference  INTEGER NOT NULL,
    record      TEXT    NOT NULL
) STRICT;
CREATE INDEX kept_sites_conference ON kept_sites (conference);

-- When the program was last known to run: one row.
CREATE TABLE alive (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;
