//! What must survive: users, sessions, conferences, journal, in SQLite.
