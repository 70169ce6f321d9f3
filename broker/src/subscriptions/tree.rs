//! Which wildcard filters there are, by level.
//!
//! Owns: the answer whether any wildcard filter matches a topic. Never: knows who holds one. Invariant: it agrees with
//! `topic::matches` on each filter in it.

use foldhash::HashMap;

/// Wildcard filters by level, to answer whether any of them matches.
#[derive(Default)]
pub(super) struct Node {
    literal: HashMap<Box<str>, Node>,
    single: Option<Box<Node>>,
    /// A filter ends here with `#`, which also matches the parent level.
    multi: bool,
    /// A filter ends here.
    end: bool,
}

impl Node {
    pub(super) fn insert(&mut self, filter: &str) {
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

    pub(super) fn remove(&mut self, filter: &str) {
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
    pub(super) fn matches<'a>(
        &self,
        mut levels: impl Iterator<Item = &'a str> + Clone,
        system: bool,
    ) -> bool {
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
    use crate::topic;

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
