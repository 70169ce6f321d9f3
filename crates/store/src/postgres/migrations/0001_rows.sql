-- Series, their values, what could not be understood, and how far each journal has been taken in.

CREATE TABLE series (
    id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    device text NOT NULL,
    metric text NOT NULL,
    unit   text NOT NULL,
    labels jsonb NOT NULL,
    UNIQUE (device, metric)
);

-- No uniqueness: a device may report two values at one time, and the same value twice. Partitions
-- (a day, or a month in the distant past) are made on demand, with their indexes: see
-- docs/storage.md.
CREATE TABLE samples (
    time      timestamptz NOT NULL,
    value     float8 NOT NULL,
    series_id integer NOT NULL
) PARTITION BY RANGE (time);

CREATE TABLE readings_text (
    time      timestamptz NOT NULL,
    series_id integer NOT NULL,
    value     text NOT NULL
) PARTITION BY RANGE (time);

CREATE TABLE dead_letters (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    journal     uuid NOT NULL,
    position    bigint NOT NULL,
    received_at timestamptz NOT NULL,
    client_id   text NOT NULL,
    topic       text NOT NULL,
    payload     bytea NOT NULL,
    reason      text NOT NULL,
    detail      text NOT NULL
);
CREATE INDEX dead_letters_received_at ON dead_letters (received_at);

-- Committed together with the rows it stands for. stored + filtered + dead_lettered =
-- rows_position.
CREATE TABLE ingest_position (
    journal         uuid NOT NULL,
    partition       integer NOT NULL DEFAULT 0,
    rows_position   bigint NOT NULL DEFAULT 0,
    alerts_position bigint NOT NULL DEFAULT 0,
    stored          bigint NOT NULL DEFAULT 0,
    filtered        bigint NOT NULL DEFAULT 0,
    dead_lettered   bigint NOT NULL DEFAULT 0,
    updated_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (journal, partition)
);

CREATE VIEW telemetry AS
SELECT samples.time, series.device, series.metric, samples.value, series.unit, series.labels
FROM samples
JOIN series ON series.id = samples.series_id;

COMMENT ON VIEW telemetry IS 'Every numeric value with its device and metric';
