-- Where each alert instance stands, and every event that was published. Both belong to a journal:
-- event ids are made from its positions, and states stand for what was read up to one.

CREATE TABLE alerts (
    journal    uuid NOT NULL,
    rule       text NOT NULL,
    device     text NOT NULL,
    metric     text NOT NULL,
    -- The engine's own JSON; not jsonb, which refuses an escaped U+0000.
    state      json NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (journal, rule, device, metric)
);

CREATE TABLE alert_events (
    journal  uuid NOT NULL,
    id       text NOT NULL,
    time     timestamptz NOT NULL,
    rule     text NOT NULL,
    device   text NOT NULL,
    metric   text NOT NULL,
    severity text NOT NULL,
    state    text NOT NULL,
    value    float8,
    -- As published.
    payload  json NOT NULL,
    PRIMARY KEY (journal, id)
);
CREATE INDEX alert_events_time ON alert_events (time);
