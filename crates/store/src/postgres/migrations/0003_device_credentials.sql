-- What each device must know to be let in. Only digests: a secret is generated with 160 random bits,
-- so it cannot be guessed at any price, and SHA-256 needs no salt and no slow hash.

CREATE TABLE device_credentials (
    device          text PRIMARY KEY,
    secret_sha256   bytea NOT NULL CHECK (octet_length(secret_sha256) = 32),
    created_at      timestamptz NOT NULL,
    rotated_at      timestamptz,
    -- Not null: the device is not let in.
    revoked_at      timestamptz,
    -- The secret before a rotation, while its grace time lasts.
    previous_sha256 bytea CHECK (octet_length(previous_sha256) = 32),
    previous_until  timestamptz,
    -- The change of the table that this row took part in last.
    version         bigint NOT NULL,
    CHECK ((previous_sha256 IS NULL) = (previous_until IS NULL))
);
CREATE INDEX device_credentials_version_idx ON device_credentials (version);

-- One row: how often the table has been changed. Whoever changes it counts here first, in the same
-- transaction, so changes come one after the other, and whoever has read up to a version finds all
-- that came later by the rows' own.
CREATE TABLE device_credentials_version (
    version bigint NOT NULL
);
INSERT INTO device_credentials_version VALUES (0);
