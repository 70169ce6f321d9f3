//! The retained messages in memory, ordered by topic.
//!
//! Owns: bounds, expiry, and which topics the log does not know yet. Never: waits. Invariant:
//! `bytes` and `record_bytes` are the sums over the messages held.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeSet, btree_set};
use std::ops::Bound;
use std::sync::Arc;

use super::record;
use super::{Full, Limits};
use crate::exchange::Origin;
use crate::message::Message;
use mqtt::topic;

/// What a message costs in memory beside its bytes: the shared message, its places in the trees,
/// allocations' slack.
const MESSAGE_OVERHEAD_BYTES: usize = 200;
/// Topics that may always wait for the disk, however few may be kept: more than a working disk lets
/// gather.
const UNWRITTEN_TOPICS: usize = 10_000;
/// Messages looked at under one lock: some ten microseconds, in which nobody can put.
const PAGE_MESSAGES: usize = 512;
/// Bytes of messages that fill a page before that: whoever holds one keeps them alive, also when
/// the store has newer ones by then.
const PAGE_BYTES: usize = 64 << 10;

pub(super) struct Store {
    limits: Limits,
    messages: BTreeSet<Entry>,
    /// What counts against `Limits::bytes`.
    bytes: usize,
    /// What the messages take in a journal without anything obsolete, about.
    record_bytes: u64,
    /// When messages expire, soonest first; only of those that do.
    expiring: BTreeSet<(i64, Arc<str>)>,
    /// Topics whose last change is not written yet.
    unwritten: BTreeSet<Arc<str>>,
    /// Changes so far.
    changes: u64,
}

/// One topic's state on its way to the log; `None`: it has no message any more.
pub(super) type Unwritten = (Arc<str>, Option<Arc<Message>>);

/// Where a search through the topics stands.
pub(super) struct Scan<'a> {
    /// `None`: all topics, also those that begin with `$`.
    filter: Option<&'a str>,
    /// One topic to look up: all of a filter without wildcards; and `a/#` matches `a` too.
    topic: Option<&'a str>,
    /// What the topics to be searched begin with; `None` when there is nothing to search.
    prefix: Option<&'a str>,
    /// The topic that was looked at last.
    after: Option<Arc<str>>,
    /// Messages that came with a later change are left out.
    through: u64,
    done: bool,
}

impl Store {
    pub(super) fn new(limits: Limits) -> Store {
        Store {
            limits,
            messages: BTreeSet::new(),
            bytes: 0,
            record_bytes: 0,
            expiring: BTreeSet::new(),
            unwritten: BTreeSet::new(),
            changes: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn record_bytes(&self) -> u64 {
        self.record_bytes
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn is_written(&self) -> bool {
        self.unwritten.is_empty()
    }

    /// `now` in microseconds since 1970: what has expired makes room.
    pub(super) fn put(&mut self, message: Arc<Message>, now: i64) -> Result<(), Full> {
        if self.check_room(&message).is_err() {
            self.purge(now);
            self.check_room(&message)?;
        }
        self.changed(&message.topic);
        self.insert(message, self.changes);
        Ok(())
    }

    pub(super) fn clear(&mut self, topic: &Arc<str>) {
        if self.remove(topic) {
            self.changed(topic);
        }
    }

    /// What the journal says at a start: without bounds, and written already. An empty payload
    /// clears the topic.
    pub(super) fn load(&mut self, message: Message) {
        if message.payload.is_empty() {
            self.remove(&message.topic);
        } else {
            self.insert(Arc::new(message), 0);
        }
    }

    /// Removes what has expired. The log need not be told: its record says when it expires.
    pub(super) fn purge(&mut self, now: i64) {
        while let Some((at, _)) = self.expiring.first()
            && *at <= now
            && let Some((_, topic)) = self.expiring.pop_first()
        {
            self.remove(&topic);
        }
    }

    pub(super) fn has_expiring(&self) -> bool {
        !self.expiring.is_empty()
    }

    /// Takes at most `count` topics of which the log does not know the last change, with their
    /// state.
    pub(super) fn take_unwritten(&mut self, count: usize) -> Vec<Unwritten> {
        let mut taken = Vec::with_capacity(count.min(self.unwritten.len()));
        while taken.len() < count
            && let Some(topic) = self.unwritten.pop_first()
        {
            let message = self.get(&topic).cloned();
            taken.push((topic, message));
        }
        taken
    }

    /// They could not be written.
    pub(super) fn put_back_unwritten(&mut self, taken: Vec<Unwritten>) {
        self.unwritten
            .extend(taken.into_iter().map(|(topic, _)| topic));
    }

    /// The next messages of a scan, those that expired before `now` left out.
    pub(super) fn page(&self, scan: &mut Scan<'_>, now: i64, page: &mut Vec<Arc<Message>>) {
        let through = scan.through;
        let is_shown = |kept: &Entry| {
            kept.change <= through && expires_at(&kept.message).is_none_or(|at| at > now)
        };
        if let Some(kept) = scan.topic.take().and_then(|topic| self.find(topic)) {
            page.extend(is_shown(kept).then(|| Arc::clone(&kept.message)));
        }
        let Some(prefix) = scan.prefix else {
            scan.done = true;
            return;
        };
        let mut bytes = 0;
        for (looked_at, kept) in self.from(prefix, scan).enumerate() {
            let message = &kept.message;
            if !message.topic.starts_with(prefix) {
                break;
            }
            let is_wanted = scan
                .filter
                .is_none_or(|filter| topic::matches(filter, &message.topic));
            if is_wanted && is_shown(kept) {
                bytes += cost(message);
                page.push(Arc::clone(message));
            }
            if looked_at + 1 == PAGE_MESSAGES || bytes >= PAGE_BYTES {
                scan.after = Some(Arc::clone(&message.topic));
                return;
            }
        }
        scan.done = true;
    }

    fn from(&self, prefix: &str, scan: &Scan<'_>) -> btree_set::Range<'_, Entry> {
        let start = match scan.after.as_deref() {
            // `a` of `a/#` lies before all that begins with `a/`.
            Some(topic) if topic >= prefix => Bound::Excluded(topic),
            _ => Bound::Included(prefix),
        };
        self.messages.range::<str, _>((start, Bound::Unbounded))
    }

    fn find(&self, topic: &str) -> Option<&Entry> {
        self.messages.get(topic)
    }

    fn get(&self, topic: &str) -> Option<&Arc<Message>> {
        self.find(topic).map(|kept| &kept.message)
    }

    fn check_room(&self, message: &Message) -> Result<(), Full> {
        let old = self.get(&message.topic);
        if old.is_none() && self.messages.len() >= self.limits.messages {
            return Err(Full::Messages(self.messages.len()));
        }
        let without_old = self.bytes - old.map_or(0, |message| cost(message));
        if without_old + cost(message) > self.limits.bytes {
            return Err(Full::Bytes(self.bytes));
        }
        // Only a disk that has stopped lets it come so far: cleared topics would pile up.
        let unwritten = self.unwritten.len();
        let unwritten_max = self.limits.messages.max(UNWRITTEN_TOPICS);
        if unwritten >= unwritten_max && !self.unwritten.contains(&message.topic) {
            return Err(Full::Unwritten(unwritten));
        }
        Ok(())
    }

    fn changed(&mut self, topic: &Arc<str>) {
        self.changes += 1;
        self.unwritten.insert(Arc::clone(topic));
    }

    fn insert(&mut self, message: Arc<Message>, change: u64) {
        self.remove(&message.topic);
        self.bytes += cost(&message);
        self.record_bytes += record::byte_len(&message);
        if let Some(at) = expires_at(&message) {
            self.expiring.insert((at, Arc::clone(&message.topic)));
        }
        self.messages.insert(Entry { message, change });
    }

    fn remove(&mut self, topic: &str) -> bool {
        let Some(Entry { message, .. }) = self.messages.take(topic) else {
            return false;
        };
        self.bytes -= cost(&message);
        self.record_bytes -= record::byte_len(&message);
        if let Some(at) = expires_at(&message) {
            self.expiring.remove(&(at, Arc::clone(&message.topic)));
        }
        true
    }
}

impl<'a> Scan<'a> {
    pub(super) fn new(filter: &'a str) -> Scan<'a> {
        Scan::behind(None, filter, u64::MAX)
    }

    /// Goes on behind the topic `after`, and leaves out what has changed after so many changes of
    /// the store.
    pub(super) fn behind(after: Option<Arc<str>>, filter: &'a str, through: u64) -> Scan<'a> {
        let (topic, prefix) = match filter.strip_suffix("/#") {
            _ if !topic::is_wildcard(filter) => (Some(filter), None),
            // With the slash: `a1` and all its kin need not be looked at.
            Some(parent) if !topic::is_wildcard(parent) => {
                (Some(parent), Some(&filter[..filter.len() - 1]))
            }
            _ => (None, Some(topic::literal_prefix(filter))),
        };
        Scan {
            filter: Some(filter),
            // It comes first, so it was looked up before anything else was seen.
            topic: topic.filter(|_| after.is_none()),
            prefix,
            after,
            through,
            done: false,
        }
    }

    /// Every topic behind `after`, also those that begin with `$`, which no wildcard at the start
    /// matches.
    pub(super) fn everything(after: Option<Arc<str>>) -> Scan<'static> {
        Scan {
            filter: None,
            topic: None,
            prefix: Some(""),
            after,
            through: u64::MAX,
            done: false,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// The topic that was looked at last.
    pub(super) fn into_after(self) -> Option<Arc<str>> {
        self.after
    }
}

/// A copy of the message's frame; its bytes are shared. Whoever subscribes later gets it whatever
/// becomes of its exchange.
pub(super) fn copy(message: &Message) -> Arc<Message> {
    Arc::new(Message {
        retain: true,
        origin: Origin::default(),
        ..message.clone()
    })
}

/// Microseconds since 1970.
fn expires_at(message: &Message) -> Option<i64> {
    let micros = i64::from(message.expiry_seconds?) * 1_000_000;
    Some(message.received_at.saturating_add(micros))
}

fn cost(message: &Message) -> usize {
    MESSAGE_OVERHEAD_BYTES + message.topic.len() + message.payload.len() + message.properties.len()
}

/// A message in the order of its topic.
struct Entry {
    message: Arc<Message>,
    /// The number of the change that brought it; 0 at a start.
    change: u64,
}

impl Borrow<str> for Entry {
    fn borrow(&self) -> &str {
        &self.message.topic
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.message.topic == other.message.topic
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.message.topic.cmp(&other.message.topic)
    }
}
