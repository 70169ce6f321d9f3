//! Names as the router sees them.
//!
//! Owns: the prefix that keeps topics apart, and one shared copy of each topic in use. Never:
//! judges a topic; the gate has validated it. Invariant: what enters the router begins with `m/` or
//! `s/`.

use std::collections::HashSet;

use bytes::Bytes;
use foldhash::fast::RandomState;

/// `m/` or `s/`.
pub(super) const PREFIX_BYTES: usize = 2;

/// The name behind its prefix; for topics and filters alike.
pub(super) fn namespaced(name: &str) -> String {
    [prefix(name), name].concat()
}

fn prefix(name: &str) -> &'static str {
    if name.starts_with('$') { "s/" } else { "m/" }
}

/// Every topic that the router has seen; it forgets none either.
#[derive(Default)]
pub(super) struct Topics {
    seen: HashSet<Bytes, RandomState>,
    scratch: Vec<u8>,
}

impl Topics {
    /// The topic as the router gets it. The bytes are shared by all messages of the topic.
    pub(super) fn share(&mut self, topic: &str) -> Bytes {
        self.scratch.clear();
        self.scratch.extend_from_slice(prefix(topic).as_bytes());
        self.scratch.extend_from_slice(topic.as_bytes());
        if let Some(known) = self.seen.get(self.scratch.as_slice()) {
            return known.clone();
        }
        let new = Bytes::copy_from_slice(&self.scratch);
        self.seen.insert(new.clone());
        new
    }

    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    /// Forgets all, and gives their memory back.
    pub(super) fn clear(&mut self) {
        self.seen = HashSet::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_topics_live_apart() {
        for (name, expected) in [
            ("a/b", "m/a/b"),
            ("#", "m/#"),
            ("+/x", "m/+/x"),
            ("/", "m//"),
            ("élan", "m/élan"),
            ("$SYS/#", "s/$SYS/#"),
            ("$", "s/$"),
            ("a/$b", "m/a/$b"),
        ] {
            assert_eq!(namespaced(name), expected);
            assert_eq!(Topics::default().share(name), expected);
        }
    }

    #[test]
    fn a_topic_is_copied_once() {
        let mut topics = Topics::default();
        let first = topics.share("a/b");
        assert_eq!(topics.share("a/b").as_ptr(), first.as_ptr());
        assert_ne!(topics.share("a/c").as_ptr(), first.as_ptr());
        assert_eq!(topics.len(), 2);
        topics.clear();
        assert_eq!(topics.len(), 0);
    }
}
