//! The numeric rows of a batch as they are written: with the database's series ids, sorted by
//! series and time.
//!
//! Sorted, a batch touches each place of an index on (series, time) once, and neighbouring pages
//! hold few series each, which is what makes a block-range index on the series selective.

use telemetry::Micros;

use crate::batch::SampleRow;
use crate::series::{SeriesId, SeriesIds};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SortedSample {
    pub(super) series: SeriesId,
    pub(super) time: Micros,
    pub(super) value: f64,
}

/// Fills `rows` (whose memory is reused from batch to batch). All series must be resolved; a row
/// whose series is not is left out, which the caller notices by comparing lengths.
pub(super) fn sort_samples(samples: &[SampleRow], ids: &SeriesIds, rows: &mut Vec<SortedSample>) {
    rows.clear();
    rows.extend(samples.iter().filter_map(|sample| {
        Some(SortedSample {
            series: ids.get(sample.series)?,
            time: sample.time,
            value: sample.value,
        })
    }));
    rows.sort_by_key(|row| (row.series, row.time));
}
