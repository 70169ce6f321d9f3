//! Which wildcard filters there are, by level.
//!
//! Owns: which wildcard filters match a topic. Never: knows who holds one. Invariant: it agrees
//! with `topic::matches` on each filter in it.

use foldhash::HashMap;

/// Wildcard filters by level, each with what belongs to it.
pub(super) struct Node<T> {
    literal: HashMap<Box<str>, Node<T>>,
    single: Option<Box<Node<T>>>,
    /// A filter ends here with `#`, which also matches the parent level.
    multi: Option<T>,
    /// A filter ends here.
    end: Option<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Node<T> {
        Node {
            literal: HashMap::default(),
            single: None,
            multi: None,
            end: None,
        }
    }
}

impl<T> Node<T> {
    pub(super) fn insert(&mut self, filter: &str, value: T) {
        let mut node = self;
        for level in filter.split('/') {
            match level {
                "#" => {
                    node.multi = Some(value);
                    return;
                }
                "+" => node = node.single.get_or_insert_default(),
                literal => node = node.literal.entry(literal.into()).or_default(),
            }
        }
        node.end = Some(value);
    }

    pub(super) fn remove(&mut self, filter: &str) {
        let (level, rest) = match filter.split_once('/') {
            Some((level, rest)) => (level, Some(rest)),
            None => (filter, None),
        };
        let descend = |node: &mut Node<T>| match rest {
            Some(rest) => node.remove(rest),
            None => node.end = None,
        };
        match level {
            "#" => self.multi = None,
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
        self.literal.is_empty()
            && self.single.is_none()
            && self.multi.is_none()
            && self.end.is_none()
    }

    /// Shows `visit` what belongs to each filter that matches the topic.
    pub(super) fn for_each_match(&self, topic: &str, visit: &mut impl FnMut(&T)) {
        self.visit(topic.split('/'), topic.starts_with('$'), visit);
    }

    /// `system`: the first level begins with `$`, which a leading wildcard does not match.
    fn visit<'a>(
        &self,
        mut levels: impl Iterator<Item = &'a str> + Clone,
        system: bool,
        visit: &mut impl FnMut(&T),
    ) {
        if let Some(value) = self.multi.as_ref().filter(|_| !system) {
            visit(value);
        }
        let Some(level) = levels.next() else {
            self.end.iter().for_each(visit);
            return;
        };
        if let Some(node) = self.literal.get(level) {
            node.visit(levels.clone(), false, visit);
        }
        if let Some(node) = self.single.as_ref().filter(|_| !system) {
            node.visit(levels, false, visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mqtt::topic;

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
            tree.insert(filter, ());
            for topic in TOPICS {
                let mut found = false;
                tree.for_each_match(topic, &mut |()| found = true);
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
        for filter in FILTERS {
            tree.insert(filter, *filter);
        }
        for (removed, filter) in FILTERS.iter().enumerate() {
            tree.remove(filter);
            for topic in TOPICS {
                let left = FILTERS[removed + 1..].iter().copied();
                let mut expected: Vec<_> = left.filter(|f| topic::matches(f, topic)).collect();
                let mut matching = Vec::new();
                tree.for_each_match(topic, &mut |filter| matching.push(*filter));
                matching.sort_unstable();
                expected.sort_unstable();
                assert_eq!(matching, expected, "{topic} after {filter}");
            }
        }
        assert!(tree.is_empty());
    }
}
