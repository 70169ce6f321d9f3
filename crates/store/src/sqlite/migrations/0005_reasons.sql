-- Why messages and values are in no table of values: totals by reason since the journal began, committed together with the
-- rows and the position. The messages of an outcome add up to that column of ingest_position.

CREATE TABLE ingest_reasons (
    journal    TEXT NOT NULL,
    partition  INTEGER NOT NULL DEFAULT 0,
    outcome    TEXT NOT NULL CHECK (outcome IN ('filtered', 'dead_lettered')),
    reason     TEXT NOT NULL,
    messages   INTEGER NOT NULL DEFAULT 0,
    -- Filtered values, also those of messages that hold others which are stored; 0 for dead letters, whose values are unknown.
    samples    INTEGER NOT NULL DEFAULT 0,
    updated_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (journal, partition, outcome, reason)
) STRICT;

-- What was counted before: the reasons of the dead letters are in their table, less those that somebody has removed. The
-- filters' were kept nowhere.
INSERT INTO ingest_reasons (journal, outcome, reason, messages)
SELECT journal, 'dead_lettered', reason, count(*) FROM dead_letters GROUP BY journal, reason;

INSERT INTO ingest_reasons (journal, partition, outcome, reason, messages)
SELECT journal, partition, 'dead_lettered', 'unknown', dead_lettered - kept
FROM (
    SELECT journal, partition, dead_lettered,
           (SELECT count(*) FROM dead_letters WHERE dead_letters.journal = ingest_position.journal) AS kept
    FROM ingest_position
) AS positions
WHERE dead_lettered > kept;

INSERT INTO ingest_reasons (journal, partition, outcome, reason, messages)
SELECT journal, partition, 'filtered', 'unknown', filtered FROM ingest_position WHERE filtered > 0;
