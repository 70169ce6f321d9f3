-- Texts are in the view as numbers are. The new column is the last: so the view is replaced where it
-- stands, and keeps its grants and the views over it. Somebody's own view of that name is left alone.
--
-- The two tables come together below the join. Then PostgreSQL plans them as one table with more
-- partitions, and a condition finds its index in all of them.

DO $$
BEGIN
    IF to_regclass('telemetry') IS NULL OR (
        SELECT array_agg(attname::text ORDER BY attnum)
        FROM pg_attribute
        WHERE attrelid = to_regclass('telemetry') AND attnum > 0
    ) = ARRAY['time', 'device', 'metric', 'value', 'unit', 'labels'] THEN
        CREATE OR REPLACE VIEW telemetry AS
        SELECT readings.time, series.device, series.metric, readings.value, series.unit, series.labels,
               readings.text
        FROM (
            SELECT time, series_id, value, NULL::text AS text FROM samples
            UNION ALL
            SELECT time, series_id, NULL::float8, value FROM readings_text
        ) AS readings
        JOIN series ON series.id = readings.series_id;

        COMMENT ON VIEW telemetry IS 'Every number and every text with its device and metric';
    END IF;
END
$$;
