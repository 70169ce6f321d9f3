//! The filters that the present router knows.
//!
//! Owns: their subscription identifiers, and whom each belongs to. Never: sends anything.
//! Invariant: a filter has one identifier for as long as its router lives.

use std::collections::HashMap;

use crate::link::{Entry, FIRST_TAG, Failure, Tag};
use crate::queue::Target;

struct Filter<F> {
    /// `None`: nobody holds it, but the router cannot forget it.
    target: Option<Target<F>>,
    /// The number of the next entry in the router's log of this filter; unknown at first.
    next_offset: Option<u64>,
}

pub(crate) struct Table<F> {
    /// In the order of their identifiers.
    filters: Vec<Filter<F>>,
    tags: HashMap<Box<str>, Tag>,
    live: usize,
}

impl<F> Table<F> {
    pub(crate) fn new() -> Table<F> {
        Table {
            filters: Vec::new(),
            tags: HashMap::new(),
            live: 0,
        }
    }

    /// Filters that somebody holds.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Filters that nobody holds any more.
    pub(crate) fn dead(&self) -> usize {
        self.filters.len() - self.live
    }

    /// Notes whom the filter belongs to; the identifier to subscribe it with if it is new.
    pub(crate) fn change(&mut self, name: &str, target: Option<Target<F>>) -> Option<Tag> {
        if let Some(&tag) = self.tags.get(name) {
            let known = &mut self.filters[tag - FIRST_TAG].target;
            self.live -= usize::from(known.is_some());
            self.live += usize::from(target.is_some());
            *known = target;
            return None;
        }
        // One that came and went between two batches is none of the router's business.
        let target = target?;
        let tag = FIRST_TAG + self.filters.len();
        self.filters.push(Filter {
            target: Some(target),
            next_offset: None,
        });
        self.tags.insert(name.into(), tag);
        self.live += 1;
        Some(tag)
    }

    /// Whether the entry is the next of its filter's log.
    pub(crate) fn check(&mut self, entry: &Entry) -> Result<(), Failure> {
        let index = entry.tag.checked_sub(FIRST_TAG);
        let filter = index.and_then(|index| self.filters.get_mut(index));
        let filter = filter.ok_or(Failure::Unknown)?;
        let expected = filter.next_offset.replace(entry.offset + 1);
        if expected.is_some_and(|expected| expected != entry.offset) {
            return Err(Failure::Gap);
        }
        Ok(())
    }

    /// Whom the message with this number goes to, of those that hold the filter.
    pub(crate) fn target(&self, tag: Tag, number: u64) -> Option<&F> {
        let target = self.filters[tag - FIRST_TAG].target.as_ref()?;
        (number > target.after).then_some(&target.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(to: u8, after: u64) -> Option<Target<u8>> {
        Some(Target { to, after })
    }

    #[test]
    fn a_filter_keeps_its_identifier_whoever_holds_it() {
        let mut table = Table::new();
        assert_eq!(table.change("a/#", target(1, 0)), Some(FIRST_TAG));
        assert_eq!(table.change("b/#", target(2, 4)), Some(FIRST_TAG + 1));
        assert_eq!(table.change("a/#", None), None);
        assert_eq!((table.live(), table.dead()), (1, 1));
        assert_eq!(table.target(FIRST_TAG, 9), None);
        assert_eq!(table.change("a/#", target(3, 9)), None);
        assert_eq!((table.live(), table.dead()), (2, 0));
        assert_eq!(table.target(FIRST_TAG, 9), None, "published before");
        assert_eq!(table.target(FIRST_TAG, 10), Some(&3));
        assert_eq!(table.target(FIRST_TAG + 1, 5), Some(&2));
    }

    #[test]
    fn a_filter_that_came_and_went_leaves_nothing() {
        let mut table = Table::<u8>::new();
        assert_eq!(table.change("a/#", None), None);
        assert_eq!((table.live(), table.dead()), (0, 0));
    }

    #[test]
    fn a_lost_entry_is_noticed() {
        let mut table = Table::new();
        table.change("a/#", target(1, 0));
        let entry = |offset| Entry {
            tag: FIRST_TAG,
            number: 1,
            offset,
        };
        // The log's numbers may begin anywhere.
        assert!(table.check(&entry(7)).is_ok());
        assert!(table.check(&entry(8)).is_ok());
        assert!(matches!(table.check(&entry(10)), Err(Failure::Gap)));
    }
}
