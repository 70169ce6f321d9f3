//! What an earlier process published and did not get into the database.
//!
//! Owns: the look-up in what `published.log` held at the start. Invariant: each entry answers once.
//!
//! A replay repeats an event with its id. There are two events it does not repeat: the silence of a
//! device, which is caused by a clock and not by a record, and the event of a record that the crash
//! took along before it was durable. Such a record was not acknowledged, so its device sends it
//! again, and it becomes another record with another position: there the cause (the same metric
//! with the same value at the same time of the device) tells that the world knows already.

use std::collections::HashMap;

use journal::Position;

use super::super::id::EventId;
use super::super::published::Entry;
use super::Publication;

#[derive(Debug, Default)]
pub struct Restored {
    by_id: HashMap<EventId, Entry>,
    by_cause: HashMap<EventId, Vec<EventId>>,
}

impl Restored {
    pub fn new(entries: Vec<Entry>) -> Restored {
        let mut by_cause: HashMap<EventId, Vec<EventId>> = HashMap::new();
        for entry in &entries {
            by_cause.entry(entry.cause).or_default().push(entry.id);
        }
        Restored {
            by_id: entries.into_iter().map(|entry| (entry.id, entry)).collect(),
            by_cause,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Whether an event has been published before.
    pub(super) fn publication(&mut self, id: EventId, cause: EventId) -> Publication {
        if self.by_id.remove(&id).is_some() {
            return Publication::Repeated;
        }
        let ids = self.by_cause.get(&cause).into_iter().flatten();
        let lost = ids
            .copied()
            .find(|id| self.by_id.get(id).is_some_and(|entry| entry.lost));
        match lost {
            Some(earlier) => {
                self.by_id.remove(&earlier);
                Publication::Resent { earlier }
            }
            None => Publication::New,
        }
    }

    /// The first entry of a cause at a position from `from` on and, when that is known, before
    /// `before`.
    pub(super) fn find(
        &self,
        cause: EventId,
        from: Position,
        before: Option<Position>,
    ) -> Option<Entry> {
        let ids = self.by_cause.get(&cause)?.iter();
        ids.filter_map(|id| self.by_id.get(id))
            .filter(|entry| entry.position >= from)
            .filter(|entry| before.is_none_or(|before| entry.position < before))
            .min_by_key(|entry| entry.position)
            .copied()
    }

    /// Empties it and returns what never answered.
    pub(super) fn drain(&mut self) -> Vec<EventId> {
        self.by_cause.clear();
        self.by_id.drain().map(|(id, _)| id).collect()
    }
}
