-- Series, their values, what could not be understood, and how far each journal has been taken in.
-- Times are microseconds since 1970-01-01T00:00:00Z.

CREATE TABLE series (
    id     INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    metric TEXT NOT NULL,
    unit   TEXT NOT NULL,
    labels TEXT NOT NULL CHECK (json_valid(labels)),
    UNIQUE (device, metric)
) STRICT;

-- Where a commit appends. Every so often its rows are moved, in order, to the table that queries
-- use most.
CREATE TABLE samples_recent (
    id        INTEGER PRIMARY KEY,
    series_id INTEGER NOT NULL,
    time      INTEGER NOT NULL,
    value     REAL NOT NULL
) STRICT;

-- One series lies together, in the order of time. The id keeps equal rows apart: a device may
-- report two values at one time, and the same value twice.
CREATE TABLE samples_sorted (
    series_id INTEGER NOT NULL,
    time      INTEGER NOT NULL,
    id        INTEGER NOT NULL,
    value     REAL NOT NULL,
    PRIMARY KEY (series_id, time, id)
) STRICT, WITHOUT ROWID;

-- How many ids have been given out.
CREATE TABLE sample_ids (given INTEGER NOT NULL) STRICT;
INSERT INTO sample_ids (given) VALUES (0);

CREATE VIEW samples AS
SELECT time, value, series_id FROM samples_sorted
UNION ALL
SELECT time, value, series_id FROM samples_recent;

CREATE TABLE readings_text (
    time      INTEGER NOT NULL,
    series_id INTEGER NOT NULL,
    value     TEXT NOT NULL
) STRICT;
CREATE INDEX readings_text_series_time ON readings_text (series_id, time);

CREATE TABLE dead_letters (
    id          INTEGER PRIMARY KEY,
    journal     TEXT NOT NULL,
    position    INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    client_id   TEXT NOT NULL,
    topic       TEXT NOT NULL,
    payload     BLOB NOT NULL,
    reason      TEXT NOT NULL,
    detail      TEXT NOT NULL
) STRICT;
CREATE INDEX dead_letters_received_at ON dead_letters (received_at);

-- Committed together with the rows it stands for. stored + filtered + dead_lettered =
-- rows_position.
CREATE TABLE ingest_position (
    journal         TEXT NOT NULL,
    partition       INTEGER NOT NULL DEFAULT 0,
    rows_position   INTEGER NOT NULL DEFAULT 0,
    alerts_position INTEGER NOT NULL DEFAULT 0,
    stored          INTEGER NOT NULL DEFAULT 0,
    filtered        INTEGER NOT NULL DEFAULT 0,
    dead_lettered   INTEGER NOT NULL DEFAULT 0,
    updated_at      TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (journal, partition)
) STRICT;

-- Every numeric value with its device and metric. `time` is for reading; `time_us` is for
-- conditions: it is what the tables are ordered by. SQLite divides towards zero, hence the
-- remainder that is made positive before the epoch as well.
CREATE VIEW telemetry AS
SELECT strftime('%Y-%m-%dT%H:%M:%S', (samples_sorted.time - (samples_sorted.time % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
           || printf('.%06dZ', (samples_sorted.time % 1000000 + 1000000) % 1000000) AS time,
       device, metric, value, unit, labels, samples_sorted.time AS time_us
FROM samples_sorted
JOIN series ON series.id = samples_sorted.series_id
UNION ALL
SELECT strftime('%Y-%m-%dT%H:%M:%S', (samples_recent.time - (samples_recent.time % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
           || printf('.%06dZ', (samples_recent.time % 1000000 + 1000000) % 1000000) AS time,
       device, metric, value, unit, labels, samples_recent.time AS time_us
FROM samples_recent
JOIN series ON series.id = samples_recent.series_id;
