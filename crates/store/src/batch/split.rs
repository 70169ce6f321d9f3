//! Cutting batches: in halves to find a record the store refuses, and at a position that turned out
//! to be committed.

use std::collections::HashSet;

use super::{Batch, DeadLetter, Outcome, SeriesKey};

impl Batch {
    /// The first `records` records, leaving the rest. Alert changes stay with the first part.
    ///
    /// A definition stays with the first part when that uses it; the store remembers it from there.
    pub fn split(&mut self, records: usize) -> Batch {
        let cut = records as u32;
        let rest_samples = self.samples.partition_point(|row| row.record < cut);
        let rest_texts = self.texts.partition_point(|row| row.record < cut);
        let rest_letters = self
            .dead_letters
            .partition_point(|letter| letter.record < cut);
        let rest_filtered = self
            .filtered
            .partition_point(|filtered| filtered.record < cut);
        let mut rest = Batch {
            start: self.start.plus(records as u64),
            outcomes: self.outcomes.split_off(records),
            samples: self.samples.split_off(rest_samples),
            texts: self.texts.split_off(rest_texts),
            dead_letters: self.dead_letters.split_off(rest_letters),
            filtered: self.filtered.split_off(rest_filtered),
            ..Batch::default()
        };
        rest.samples.iter_mut().for_each(|row| row.record -= cut);
        rest.texts.iter_mut().for_each(|row| row.record -= cut);
        rest.dead_letters
            .iter_mut()
            .for_each(|letter| letter.record -= cut);
        rest.filtered
            .iter_mut()
            .for_each(|filtered| filtered.record -= cut);

        let used: HashSet<SeriesKey> = self.series_used().collect();
        let (first, second) = std::mem::take(&mut self.new_series)
            .into_iter()
            .partition(|series| used.contains(&series.key));
        (self.new_series, rest.new_series) = (first, second);

        rest.chunks = self
            .chunks
            .iter()
            .filter(|chunk| chunk.end() > rest.start)
            .cloned()
            .collect();
        self.chunks.retain(|chunk| chunk.first() < rest.start);
        rest
    }

    /// Turns a batch of one record into that record's dead letter.
    pub fn refuse(&mut self, detail: String) {
        debug_assert_eq!(self.outcomes.len(), 1);
        let position = self.start;
        let records = self.chunks.iter().flat_map(|chunk| chunk.records());
        let found = records.into_iter().find(|(at, _)| *at == position);
        let letter = found.map(|(_, record)| DeadLetter::new(0, &record, "store_rejected", detail));
        self.outcomes = vec![Outcome::DeadLettered];
        self.samples.clear();
        self.texts.clear();
        self.dead_letters = letter.into_iter().collect();
    }

    fn series_used(&self) -> impl Iterator<Item = SeriesKey> {
        let samples = self.samples.iter().map(|row| row.series);
        samples.chain(self.texts.iter().map(|row| row.series))
    }
}
