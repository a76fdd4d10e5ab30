-- Links of slaves below this MCU. Deleting the row revokes the certificate.
CREATE TABLE cascade_links (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    path             TEXT    NOT NULL UNIQUE,
    name             TEXT    NOT NULL,
    created_at       INTEGER NOT NULL,
    token_hash       BLOB    NOT NULL UNIQUE,      -- SHA-256; the token itself is never kept
    token_expires_at INTEGER NOT NULL,
    key_hash         BLOB,                         -- SHA-256 of the public key that spent the token
    certificate      BLOB    UNIQUE,               -- SHA-256 of the certificate issued
    certificate_pem  TEXT,
    enrolled_at      INTEGER
) STRICT;
