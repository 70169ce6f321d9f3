-- What each device must know to be let in. Only digests: a secret is generated with 160 random bits,
-- so it cannot be guessed at any price, and SHA-256 needs no salt and no slow hash. Times are
-- microseconds since 1970-01-01T00:00:00Z.

CREATE TABLE device_credentials (
    device          TEXT PRIMARY KEY,
    secret_sha256   BLOB NOT NULL CHECK (length(secret_sha256) = 32),
    created_at      INTEGER NOT NULL,
    rotated_at      INTEGER,
    -- Not null: the device is not let in.
    revoked_at      INTEGER,
    -- The secret before a rotation, while its grace time lasts.
    previous_sha256 BLOB CHECK (length(previous_sha256) = 32),
    previous_until  INTEGER,
    -- The change of the table that this row took part in last.
    version         INTEGER NOT NULL,
    CHECK ((previous_sha256 IS NULL) = (previous_until IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX device_credentials_version_idx ON device_credentials (version);

-- One row: how often the table has been changed. Whoever changes it counts here first, in the same
-- transaction, so changes come one after the other, and whoever has read up to a version finds all
-- that came later by the rows' own.
CREATE TABLE device_credentials_version (
    version INTEGER NOT NULL
) STRICT;
INSERT INTO device_credentials_version VALUES (0);
