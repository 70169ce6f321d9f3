//! Who wants what: every live filter with its members, and the index that finds them for a topic.
//!
//! Owns: the table of filters, their ids, and the link of each wildcard filter to the router. Never: sends anything.
//! Invariant: the router has exactly the wildcard filters of this table, so it can be rebuilt from it.

use std::num::NonZeroU32;
use std::sync::{Arc, RwLock};

use foldhash::HashMap;

use crate::lock::{read, write};
use crate::packet::Qos;
use crate::router::{FilterId, Router};
use crate::session::Session;
use crate::topic;

/// What a member asked for with its subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) qos: Qos,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    pub(crate) identifier: Option<NonZeroU32>,
}

pub(crate) struct Member {
    pub(crate) session: Arc<Session>,
    pub(crate) options: Options,
}

/// One distinct filter and the sessions that hold it.
pub(crate) struct FilterEntry {
    pub(crate) id: FilterId,
    pub(crate) filter: Box<str>,
    pub(crate) members: RwLock<Vec<Member>>,
}

#[derive(Default)]
struct Index {
    exact: HashMap<Box<str>, Arc<FilterEntry>>,
    wildcard: HashMap<Box<str>, Arc<FilterEntry>>,
    by_id: HashMap<FilterId, Arc<FilterEntry>>,
    tree: Node,
    next_id: u64,
}

#[derive(Default)]
pub(crate) struct Subscriptions {
    index: RwLock<Index>,
}

/// What a topic's publish must do.
pub(crate) struct Targets {
    pub(crate) exact: Option<Arc<FilterEntry>>,
    /// At least one wildcard filter matches: the router has work.
    pub(crate) wildcard: bool,
}

impl Targets {
    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_none() && !self.wildcard
    }
}

impl Subscriptions {
    /// Adds the session to the filter's members or replaces its options; true when it is new to the filter.
    pub(crate) fn subscribe(
        &self,
        router: &Router,
        filter: &str,
        session: &Arc<Session>,
        options: Options,
    ) -> (Arc<FilterEntry>, bool) {
        let mut index = write(&self.index);
        let entry = index.entry(router, filter);
        let mut members = write(&entry.members);
        let known = members
            .iter_mut()
            .find(|member| member.session.number == session.number);
        let new = known.is_none();
        match known {
            Some(member) => member.options = options,
            None => members.push(Member {
                session: Arc::clone(session),
                options,
            }),
        }
        drop(members);
        (entry, new)
    }

    /// Removes the session from the filter; the last member takes the filter with it.
    pub(crate) fn unsubscribe(&self, router: &Router, entry: &Arc<FilterEntry>, session: u64) {
        let mut index = write(&self.index);
        let mut members = write(&entry.members);
        members.retain(|member| member.session.number != session);
        let empty = members.is_empty();
        drop(members);
        if empty && index.by_id.contains_key(&entry.id) {
            index.remove(router, entry);
        }
    }

    pub(crate) fn targets(&self, topic: &str) -> Targets {
        let index = read(&self.index);
        Targets {
            exact: index.exact.get(topic).cloned(),
            wildcard: index.matches_wildcard(topic),
        }
    }

    pub(crate) fn by_id(&self, id: FilterId) -> Option<Arc<FilterEntry>> {
        read(&self.index).by_id.get(&id).cloned()
    }
}

impl Index {
    fn entry(&mut self, router: &Router, filter: &str) -> Arc<FilterEntry> {
        let wildcard = topic::is_wildcard(filter);
        let map = if wildcard {
            &mut self.wildcard
        } else {
            &mut self.exact
        };
        if let Some(entry) = map.get(filter) {
            return Arc::clone(entry);
        }
        self.next_id += 1;
        let entry = Arc::new(FilterEntry {
            id: FilterId(self.next_id),
            filter: filter.into(),
            members: RwLock::default(),
        });
        map.insert(filter.into(), Arc::clone(&entry));
        self.by_id.insert(entry.id, Arc::clone(&entry));
        if wildcard {
            self.tree.insert(filter);
            router.subscribe(entry.id, filter);
        }
        entry
    }

    fn remove(&mut self, router: &Router, entry: &FilterEntry) {
        self.by_id.remove(&entry.id);
        if self.wildcard.remove(&entry.filter).is_some() {
            self.tree.remove(&entry.filter);
            router.unsubscribe(entry.id);
        } else {
            self.exact.remove(&entry.filter);
        }
    }

    fn matches_wildcard(&self, topic: &str) -> bool {
        if self.wildcard.is_empty() {
            return false;
        }
        self.tree.matches(topic.split('/'), topic.starts_with('$'))
    }
}

/// Wildcard filters by level, to answer whether any of them matches.
#[derive(Default)]
struct Node {
    literal: HashMap<Box<str>, Node>,
    single: Option<Box<Node>>,
    /// A filter ends here with `#`, which also matches the parent level.
    multi: bool,
    /// A filter ends here.
    end: bool,
}

impl Node {
    fn insert(&mut self, filter: &str) {
        let mut node = self;
        for level in filter.split('/') {
            match level {
                "#" => {
                    node.multi = true;
                    return;
                }
                "+" => node = node.single.get_or_insert_default(),
                literal => node = node.literal.entry(literal.into()).or_default(),
            }
        }
        node.end = true;
    }

    fn remove(&mut self, filter: &str) {
        let (level, rest) = match filter.split_once('/') {
            Some((level, rest)) => (level, Some(rest)),
            None => (filter, None),
        };
        let descend = |node: &mut Node| match rest {
            Some(rest) => node.remove(rest),
            None => node.end = false,
        };
        match level {
            "#" => self.multi = false,
            "+" => {
                if let Some(node) = &mut self.single {
                    descend(node);
                    if node.is_empty() {
                        self.single = None;
                    }
                }
            }
            literal => {
                if let Some(node) = self.literal.get_mut(literal) {
                    descend(node);
                    if node.is_empty() {
                        self.literal.remove(literal);
                    }
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.literal.is_empty() && self.single.is_none() && !self.multi && !self.end
    }

    /// `system`: the first level begins with `$`, which a leading wildcard does not match.
    fn matches<'a>(&self, mut levels: impl Iterator<Item = &'a str> + Clone, system: bool) -> bool {
        if self.multi && !system {
            return true;
        }
        let Some(level) = levels.next() else {
            return self.end;
        };
        let literal = self.literal.get(level);
        if literal.is_some_and(|node| node.matches(levels.clone(), false)) {
            return true;
        }
        !system
            && self
                .single
                .as_ref()
                .is_some_and(|node| node.matches(levels, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILTERS: &[&str] = &[
        "#", "+", "+/+", "a/#", "a/+/c", "a/+/#", "+/b", "/+", "+/", "$SYS/#", "$SYS/+", "a/b/+",
    ];
    const TOPICS: &[&str] = &[
        "a", "b", "a/b", "a/b/c", "a/", "/", "/a", "//", "a//c", "$SYS", "$SYS/x", "$SYS/x/y",
        "ä/b",
    ];

    #[test]
    fn the_tree_agrees_with_the_matcher_one_filter_at_a_time() {
        for filter in FILTERS {
            let mut tree = Node::default();
            tree.insert(filter);
            for topic in TOPICS {
                let found = tree.matches(topic.split('/'), topic.starts_with('$'));
                assert_eq!(
                    found,
                    topic::matches(filter, topic),
                    "{filter} against {topic}"
                );
            }
            tree.remove(filter);
            assert!(tree.is_empty(), "{filter} leaves nothing behind");
        }
    }

    #[test]
    fn removing_one_filter_leaves_the_others() {
        let mut tree = Node::default();
        FILTERS.iter().for_each(|filter| tree.insert(filter));
        for (removed, filter) in FILTERS.iter().enumerate() {
            tree.remove(filter);
            for topic in TOPICS {
                let expected = FILTERS[removed + 1..]
                    .iter()
                    .any(|f| topic::matches(f, topic));
                let found = tree.matches(topic.split('/'), topic.starts_with('$'));
                assert_eq!(found, expected, "{topic} after {filter}");
            }
        }
        assert!(tree.is_empty());
    }
}
