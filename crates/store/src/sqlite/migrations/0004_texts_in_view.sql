-- Texts are in the view as numbers are. The new column is the last, so whoever reads the others by
-- their place still does.
--
-- A bare NULL has no type, and SQLite looks up each table by its own index only when a column has the
-- same type in all of them; hence the casts.
--
-- `time` has a space where it had a T, as SQLite's own datetime() has it: so the two can be compared.

DROP VIEW telemetry;

CREATE VIEW telemetry AS
SELECT strftime('%Y-%m-%d %H:%M:%S', (samples_sorted.time - (samples_sorted.time % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
           || printf('.%06dZ', (samples_sorted.time % 1000000 + 1000000) % 1000000) AS time,
       device, metric, value AS value, unit, labels, samples_sorted.time AS time_us, CAST(NULL AS TEXT) AS text
FROM samples_sorted
JOIN series ON series.id = samples_sorted.series_id
UNION ALL
SELECT strftime('%Y-%m-%d %H:%M:%S', (samples_recent.time - (samples_recent.time % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
           || printf('.%06dZ', (samples_recent.time % 1000000 + 1000000) % 1000000) AS time,
       device, metric, value AS value, unit, labels, samples_recent.time AS time_us, CAST(NULL AS TEXT) AS text
FROM samples_recent
JOIN series ON series.id = samples_recent.series_id
UNION ALL
SELECT strftime('%Y-%m-%d %H:%M:%S', (readings_text.time - (readings_text.time % 1000000 + 1000000) % 1000000) / 1000000, 'unixepoch')
           || printf('.%06dZ', (readings_text.time % 1000000 + 1000000) % 1000000) AS time,
       device, metric, CAST(NULL AS REAL) AS value, unit, labels, readings_text.time AS time_us, readings_text.value AS text
FROM readings_text
JOIN series ON series.id = readings_text.series_id;
