//! The database's ids of the series this process knows, and the definitions the database has not
//! taken yet.
//!
//! A definition comes once, with the first batch that uses its key, but that batch may fail, be
//! split, or end in a lost connection. Invariant: a key has its definition here until a transaction
//! that resolved it has been committed.

use std::collections::HashMap;

use crate::batch::{Batch, NewSeries, SeriesKey};

/// Ids begin at 1 in both databases, so 0 stands for "not known yet".
const UNRESOLVED: i32 = 0;

/// A series as the database numbers it. 32 bits: the unique index over two billion names would end
/// first.
pub(super) type SeriesId = i32;

#[derive(Debug, Default)]
pub(super) struct SeriesIds {
    /// By `SeriesKey`.
    ids: Vec<SeriesId>,
    definitions: HashMap<SeriesKey, NewSeries>,
    /// Keys resolved by the transaction that is under way.
    staged: Vec<SeriesKey>,
}

impl SeriesIds {
    /// Takes definitions. One for a known key replaces it: the series is resolved again, with its
    /// new unit and labels.
    pub(super) fn define(&mut self, new: &[NewSeries]) {
        for series in new {
            let index = series.key.0 as usize;
            if index >= self.ids.len() {
                self.ids.resize(index + 1, UNRESOLVED);
            }
            self.ids[index] = UNRESOLVED;
            self.definitions.insert(series.key, series.clone());
        }
    }

    /// The definitions that the rows of this batch need first, ordered by device and metric, so
    /// that two processes lock the names they share in the same order. Only those: a definition
    /// that the database refuses must not fail other batches.
    ///
    /// The error is a key that was never defined.
    pub(super) fn unresolved(&self, batch: &Batch) -> Result<Vec<&NewSeries>, SeriesKey> {
        let samples = batch.samples.iter().map(|sample| sample.series);
        let texts = batch.texts.iter().map(|text| text.series);
        let mut keys: Vec<SeriesKey> = samples
            .chain(texts)
            .filter(|key| self.get(*key).is_none())
            .collect();
        keys.sort_unstable();
        keys.dedup();
        let mut needed = keys
            .into_iter()
            .map(|key| self.definitions.get(&key).ok_or(key))
            .collect::<Result<Vec<_>, _>>()?;
        needed.sort_unstable_by(|a, b| (&a.device, &a.metric).cmp(&(&b.device, &b.metric)));
        Ok(needed)
    }

    pub(super) fn get(&self, key: SeriesKey) -> Option<SeriesId> {
        let id = *self.ids.get(key.0 as usize)?;
        (id != UNRESOLVED).then_some(id)
    }

    /// The id is valid in the transaction under way; `confirm` or `revert` must follow.
    pub(super) fn stage(&mut self, key: SeriesKey, id: SeriesId) {
        self.ids[key.0 as usize] = id;
        self.staged.push(key);
    }

    /// The transaction was committed.
    pub(super) fn confirm(&mut self) {
        for key in self.staged.drain(..) {
            self.definitions.remove(&key);
        }
    }

    /// The transaction was rolled back, or nobody knows.
    pub(super) fn revert(&mut self) {
        for key in self.staged.drain(..) {
            self.ids[key.0 as usize] = UNRESOLVED;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::SampleRow;

    fn definition(key: u32, device: &str) -> NewSeries {
        NewSeries {
            key: SeriesKey(key),
            device: device.into(),
            metric: "m".into(),
            unit: String::new(),
            labels: "{}".into(),
        }
    }

    fn batch_of(keys: &[u32]) -> Batch {
        let sample = |key: &u32| SampleRow {
            series: SeriesKey(*key),
            record: 0,
            time: 0,
            value: 0.0,
        };
        Batch {
            samples: keys.iter().map(sample).collect(),
            ..Batch::default()
        }
    }

    fn unresolved(ids: &SeriesIds, keys: &[u32]) -> Result<Vec<u32>, SeriesKey> {
        let needed = ids.unresolved(&batch_of(keys))?;
        Ok(needed.into_iter().map(|series| series.key.0).collect())
    }

    #[test]
    fn only_what_the_rows_use_is_needed_once_and_in_the_order_of_names() {
        let mut ids = SeriesIds::default();
        ids.define(&[definition(0, "b"), definition(1, "a"), definition(2, "c")]);
        assert_eq!(unresolved(&ids, &[0, 1, 0, 1]), Ok(vec![1, 0]));
        assert_eq!(unresolved(&ids, &[3]), Err(SeriesKey(3)));
    }

    #[test]
    fn a_definition_survives_until_its_transaction_is_committed() {
        let mut ids = SeriesIds::default();
        ids.define(&[definition(0, "a")]);
        ids.stage(SeriesKey(0), 7);
        assert_eq!(ids.get(SeriesKey(0)), Some(7));
        ids.revert();
        assert_eq!(ids.get(SeriesKey(0)), None);
        assert_eq!(unresolved(&ids, &[0]), Ok(vec![0]));
        ids.stage(SeriesKey(0), 8);
        ids.confirm();
        ids.revert();
        assert_eq!(ids.get(SeriesKey(0)), Some(8));
        assert_eq!(unresolved(&ids, &[0]), Ok(vec![]));
    }

    #[test]
    fn a_new_definition_of_a_known_key_is_resolved_again() {
        let mut ids = SeriesIds::default();
        ids.define(&[definition(0, "a")]);
        ids.stage(SeriesKey(0), 7);
        ids.confirm();
        ids.define(&[definition(0, "a")]);
        assert_eq!(unresolved(&ids, &[0]), Ok(vec![0]));
    }
}
