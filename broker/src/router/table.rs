//! The filters, and how far each has been served.
//!
//! Owns: which filters the router knows, who holds them and since when, what each delivered last.
//! Never: sends anything. Invariant: each filter's sequence numbers only grow, and each holder gets
//! those of its own time.

use std::collections::VecDeque;
use std::collections::hash_map::Entry as Slot;

use foldhash::{HashMap, HashSet};

use super::FilterId;
use super::link::{Entry, FIRST_TAG, Failure, Tag};
use super::topics::namespaced;
use mqtt::topic;

/// Somebody who holds a filter. The same filter may be held anew before the last holder is through.
#[derive(Debug, Clone, Copy)]
struct Holder {
    id: FilterId,
    /// The last message before it subscribed.
    after: u64,
    /// The last message before it unsubscribed.
    until: Option<u64>,
}

impl Holder {
    fn wants(&self, sequence: u64) -> bool {
        sequence > self.after && self.until.is_none_or(|until| sequence <= until)
    }
}

struct Filter {
    /// Namespaced.
    name: Box<str>,
    holders: Vec<Holder>,
    /// The last message that was delivered, or that came before the filter.
    delivered: u64,
    /// The number of the next entry in the router's log; unknown at first.
    next_offset: Option<u64>,
    /// Whether the router has it.
    linked: bool,
}

impl Filter {
    fn holders_of(&self, sequence: u64) -> impl Iterator<Item = FilterId> {
        self.holders
            .iter()
            .filter(move |holder| holder.wants(sequence))
            .map(|holder| holder.id)
    }
}

pub(super) struct Table {
    filters: HashMap<Tag, Filter>,
    tags: HashMap<Box<str>, Tag>,
    /// The filters of those who have not left.
    held: HashMap<FilterId, Tag>,
    unlinked: VecDeque<Tag>,
    /// Filters that somebody left, in the order of `until`.
    left: VecDeque<(u64, Tag)>,
    /// Filters that the router knows and nobody holds.
    dead: HashSet<Box<str>>,
    next_tag: Tag,
}

impl Table {
    pub(super) fn new() -> Table {
        Table {
            filters: HashMap::default(),
            tags: HashMap::default(),
            held: HashMap::default(),
            unlinked: VecDeque::new(),
            left: VecDeque::new(),
            dead: HashSet::default(),
            next_tag: FIRST_TAG,
        }
    }

    /// Filters that somebody holds, or whose last messages are on their way.
    pub(super) fn live(&self) -> usize {
        self.filters.len()
    }

    pub(super) fn dead(&self) -> usize {
        self.dead.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    pub(super) fn has_unlinked(&self) -> bool {
        !self.unlinked.is_empty()
    }

    /// `last`: the newest message, which the holder does not get.
    pub(super) fn subscribe(&mut self, id: FilterId, filter: &str, last: u64) {
        let name = namespaced(filter).into_boxed_str();
        let tag = *self.tags.entry(name).or_insert_with_key(|name| {
            let tag = self.next_tag;
            self.next_tag += 1;
            let filter = Filter {
                name: name.clone(),
                holders: Vec::with_capacity(1),
                delivered: last,
                next_offset: None,
                linked: false,
            };
            self.filters.insert(tag, filter);
            self.unlinked.push_back(tag);
            tag
        });
        if let Some(filter) = self.filters.get_mut(&tag) {
            filter.holders.push(Holder {
                id,
                after: last,
                until: None,
            });
            self.held.insert(id, tag);
        }
    }

    /// `last`: the newest message, the last that the holder gets.
    pub(super) fn unsubscribe(&mut self, id: FilterId, last: u64) {
        let Some(tag) = self.held.remove(&id) else {
            return;
        };
        let Some(filter) = self.filters.get_mut(&tag) else {
            return;
        };
        for holder in filter.holders.iter_mut().filter(|holder| holder.id == id) {
            holder.until.get_or_insert(last);
        }
        self.left.push_back((last, tag));
    }

    /// The next filter that the router has yet to learn; it counts as linked from now on.
    pub(super) fn link_next(&mut self) -> Option<(Tag, &str)> {
        loop {
            let tag = self.unlinked.pop_front()?;
            // It may have come and gone meanwhile.
            if self.filters.contains_key(&tag) {
                let filter = self.filters.get_mut(&tag)?;
                filter.linked = true;
                self.dead.remove(&filter.name);
                return Some((tag, &filter.name));
            }
        }
    }

    /// Removes the holders that have had all their messages, and the filters that nobody holds any
    /// more; `unlink` gets those that the router knows.
    pub(super) fn retire(&mut self, confirmed: u64, mut unlink: impl FnMut(&str)) {
        while let Some(&(until, tag)) = self.left.front() {
            if until > confirmed {
                break;
            }
            self.left.pop_front();
            let Slot::Occupied(mut slot) = self.filters.entry(tag) else {
                continue;
            };
            let filter = slot.get_mut();
            filter
                .holders
                .retain(|holder| holder.until.is_none_or(|until| until > confirmed));
            if filter.holders.is_empty() {
                let filter = slot.remove();
                self.tags.remove(&filter.name);
                if filter.linked {
                    unlink(&filter.name);
                    self.dead.insert(filter.name);
                }
            }
        }
    }

    /// Whether `retire` would do something.
    pub(super) fn can_retire(&self, confirmed: u64) -> bool {
        self.left
            .front()
            .is_some_and(|&(until, _)| until <= confirmed)
    }

    /// Who gets this entry: nobody when it was delivered before, by this router or the one before
    /// it.
    pub(super) fn receive(
        &mut self,
        entry: &Entry,
    ) -> Result<impl Iterator<Item = FilterId>, Failure> {
        let mut holders = None;
        // What the router had ready when its filter was unsubscribed finds no filter.
        if let Some(filter) = self.filters.get_mut(&entry.tag) {
            if filter
                .next_offset
                .is_some_and(|expected| expected != entry.offset)
            {
                return Err(Failure::Gap);
            }
            filter.next_offset = Some(entry.offset + 1);
            if entry.sequence > filter.delivered {
                filter.delivered = entry.sequence;
                holders = Some(filter.holders_of(entry.sequence));
            }
        }
        Ok(holders.into_iter().flatten())
    }

    /// Who gets this message, found without the router; `each` is called for those who have not had
    /// it.
    pub(super) fn bypass(&mut self, sequence: u64, topic: &str, mut each: impl FnMut(FilterId)) {
        let topic = namespaced(topic);
        for filter in self.filters.values_mut() {
            if sequence > filter.delivered && topic::matches(&filter.name, &topic) {
                filter.delivered = sequence;
                filter.holders_of(sequence).for_each(&mut each);
            }
        }
    }

    /// For a new router, which knows no filter.
    pub(super) fn relink(&mut self) {
        self.dead.clear();
        self.unlinked.clear();
        for (tag, filter) in &mut self.filters {
            filter.linked = false;
            filter.next_offset = None;
            self.unlinked.push_back(*tag);
        }
    }

    /// Filters whose holders have all had their last message: none after `retire`.
    #[cfg(test)]
    fn forgotten(&self, confirmed: u64) -> usize {
        let over = |holder: &Holder| holder.until.is_some_and(|until| until <= confirmed);
        self.filters
            .values()
            .filter(|filter| filter.holders.iter().all(over))
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: FilterId = FilterId(1);
    const B: FilterId = FilterId(2);

    fn link_all(table: &mut Table) -> Vec<(Tag, String)> {
        let mut linked = Vec::new();
        while let Some((tag, name)) = table.link_next() {
            linked.push((tag, name.to_owned()));
        }
        linked
    }

    fn retire(table: &mut Table, confirmed: u64) -> Vec<String> {
        let mut unlinked = Vec::new();
        table.retire(confirmed, |name| unlinked.push(name.to_owned()));
        assert_eq!(table.forgotten(confirmed), 0);
        unlinked
    }

    fn receive(table: &mut Table, tag: Tag, sequence: u64, offset: u64) -> Vec<FilterId> {
        table
            .receive(&Entry {
                tag,
                sequence,
                offset,
            })
            .expect("no gap")
            .collect()
    }

    #[test]
    fn a_holder_gets_what_came_in_its_time_once() {
        let mut table = Table::new();
        table.subscribe(A, "a/#", 10);
        assert_eq!(link_all(&mut table), [(FIRST_TAG, "m/a/#".to_owned())]);
        assert_eq!(receive(&mut table, FIRST_TAG, 10, 0), []);
        assert_eq!(receive(&mut table, FIRST_TAG, 11, 1), [A]);
        assert_eq!(receive(&mut table, FIRST_TAG, 11, 2), []);
        table.unsubscribe(A, 13);
        assert_eq!(receive(&mut table, FIRST_TAG, 13, 3), [A]);
        assert_eq!(receive(&mut table, FIRST_TAG, 14, 4), []);
        assert!(!table.can_retire(12));
        assert_eq!(retire(&mut table, 12), [""; 0]);
        assert_eq!(retire(&mut table, 13), ["m/a/#"]);
        assert_eq!((table.live(), table.dead()), (0, 1));
        assert_eq!(receive(&mut table, FIRST_TAG, 15, 5), []);
    }

    #[test]
    fn a_filter_held_anew_before_it_was_given_up_stays_with_the_router() {
        let mut table = Table::new();
        table.subscribe(A, "a/#", 0);
        link_all(&mut table);
        table.unsubscribe(A, 5);
        table.subscribe(B, "a/#", 7);
        assert!(!table.has_unlinked());
        let got: Vec<_> = (4..=9)
            .map(|n| receive(&mut table, FIRST_TAG, n, n))
            .collect();
        assert_eq!(got, [vec![A], vec![A], vec![], vec![], vec![B], vec![B]]);
        assert_eq!(retire(&mut table, 9), [""; 0]);
        table.unsubscribe(B, 9);
        assert_eq!(retire(&mut table, 9), ["m/a/#"]);
    }

    #[test]
    fn a_dead_filter_that_is_held_again_is_no_longer_dead() {
        let mut table = Table::new();
        table.subscribe(A, "a/#", 0);
        link_all(&mut table);
        table.unsubscribe(A, 0);
        retire(&mut table, 0);
        table.subscribe(B, "a/#", 3);
        assert_eq!(link_all(&mut table), [(FIRST_TAG + 1, "m/a/#".to_owned())]);
        assert_eq!((table.live(), table.dead()), (1, 0));
        // The log's numbers go on where they were.
        assert_eq!(receive(&mut table, FIRST_TAG + 1, 4, 1_000), [B]);
    }

    #[test]
    fn a_filter_that_came_and_went_before_the_router_heard_of_it_leaves_nothing() {
        let mut table = Table::new();
        table.subscribe(A, "a/#", 0);
        table.unsubscribe(A, 0);
        assert_eq!(retire(&mut table, 0), [""; 0]);
        assert_eq!(link_all(&mut table), []);
        assert_eq!((table.live(), table.dead()), (0, 0));
    }

    #[test]
    fn a_lost_entry_is_noticed() {
        let mut table = Table::new();
        table.subscribe(A, "a/#", 0);
        link_all(&mut table);
        assert_eq!(receive(&mut table, FIRST_TAG, 1, 0), [A]);
        let lost = Entry {
            tag: FIRST_TAG,
            sequence: 3,
            offset: 2,
        };
        assert!(matches!(
            table.receive(&lost).map(Iterator::count),
            Err(Failure::Gap)
        ));
        table.relink();
        assert_eq!(link_all(&mut table).len(), 1);
        assert_eq!(receive(&mut table, FIRST_TAG, 1, 0), []);
        assert_eq!(receive(&mut table, FIRST_TAG, 2, 1), [A]);
    }

    #[test]
    fn the_bypass_and_the_router_agree_on_what_was_delivered() {
        let mut table = Table::new();
        table.subscribe(A, "+/b", 0);
        table.subscribe(B, "#", 0);
        link_all(&mut table);
        assert_eq!(receive(&mut table, FIRST_TAG, 1, 0), [A]);
        let mut got = Vec::new();
        table.bypass(1, "a/b", |id| got.push(id));
        assert_eq!(got, [B]);
        table.bypass(2, "$SYS/b", |id| got.push(id));
        assert_eq!(got, [B]);
        assert_eq!(receive(&mut table, FIRST_TAG + 1, 1, 0), []);
    }
}
