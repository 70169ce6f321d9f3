-- Where each alert instance stands, and every event that was published. Both belong to a journal:
-- event ids are made from its positions, and states stand for what was read up to one.

CREATE TABLE alerts (
    journal    TEXT NOT NULL,
    rule       TEXT NOT NULL,
    device     TEXT NOT NULL,
    metric     TEXT NOT NULL,
    state      TEXT NOT NULL,
    updated_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (journal, rule, device, metric)
) STRICT;

CREATE TABLE alert_events (
    journal  TEXT NOT NULL,
    id       TEXT NOT NULL,
    -- Microseconds since 1970-01-01T00:00:00Z.
    time     INTEGER NOT NULL,
    rule     TEXT NOT NULL,
    device   TEXT NOT NULL,
    metric   TEXT NOT NULL,
    severity TEXT NOT NULL,
    state    TEXT NOT NULL,
    value    REAL,
    -- As published, JSON.
    payload  TEXT NOT NULL,
    PRIMARY KEY (journal, id)
) STRICT;
CREATE INDEX alert_events_time ON alert_events (time);
