//! Who wants what: every live filter with those who hold it, and the index that finds them for a
//! topic.
//!
//! Owns: the table of filters, the shared groups, and which filters the router for announcements
//! knows. Never: sends anything. Invariant: the router has exactly the wildcard filters of this
//! table that may match an announcement.
//!
//! Locks are taken in this order: the index, a filter's holders, a group's members, a session's
//! own. So nothing here may be called by somebody who holds a session's lock.

mod group;
mod tree;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock, RwLockWriteGuard};

use foldhash::HashMap;

pub(crate) use self::group::{Group, Kept};
use self::tree::Node;
use crate::delivery::Options;
use crate::fanout::AnnouncementRouter;
use crate::lock::{read, write};
use crate::message::Message;
use crate::session::Session;
use access::Guard;
use mqtt::topic::{self, Filter};

pub(crate) struct Member {
    /// The session's, here too so that a search does not touch every session.
    number: u64,
    pub(crate) session: Arc<Session>,
    pub(crate) options: Options,
    /// Rules deny a part of what the filter brings; `None`: nothing is to be asked.
    guard: Option<Arc<Guard>>,
}

impl Member {
    fn new(session: &Arc<Session>, options: Options, guard: Option<Arc<Guard>>) -> Member {
        Member {
            number: session.number,
            session: Arc::clone(session),
            options,
            guard,
        }
    }

    /// Whether the member may have the message.
    pub(crate) fn admits(&self, message: &Message) -> bool {
        match &self.guard {
            None => true,
            Some(guard) => guard.admits(&message.topic),
        }
    }
}

/// Where a session's subscription is entered: its way out.
#[derive(Clone)]
pub(crate) struct Membership {
    entry: Arc<FilterEntry>,
    /// Of a shared subscription.
    group: Option<Arc<Group>>,
}

/// One distinct filter and those who hold it.
pub(crate) struct FilterEntry {
    filter: Box<str>,
    pub(crate) holders: RwLock<Holders>,
}

#[derive(Default)]
pub(crate) struct Holders {
    /// Each gets every message.
    pub(crate) members: Vec<Member>,
    /// Each gets every message once, by name.
    pub(crate) groups: HashMap<Box<str>, Arc<Group>>,
}

#[derive(Default)]
struct Index {
    exact: HashMap<Box<str>, Arc<FilterEntry>>,
    wildcard: HashMap<Box<str>, Arc<FilterEntry>>,
    tree: Node<Arc<FilterEntry>>,
}

#[derive(Default)]
pub(crate) struct Subscriptions {
    index: RwLock<Index>,
    /// How often somebody subscribed or left; changes only under the index's lock.
    generation: AtomicU64,
}

/// The filters that match a topic.
pub(crate) struct Targets {
    pub(crate) exact: Option<Arc<FilterEntry>>,
    pub(crate) wildcards: Vec<Arc<FilterEntry>>,
    /// The generation of the index that was searched.
    generation: u64,
}

impl Membership {
    /// Of a shared subscription.
    pub(crate) fn into_group(self) -> Option<Arc<Group>> {
        self.group
    }

    /// From now on the session gets by the filter what this guard admits.
    pub(crate) fn set_guard(&self, session: u64, guard: Option<Arc<Guard>>) {
        match &self.group {
            None => set_guard(&mut write(&self.entry.holders).members, session, guard),
            Some(group) => group.set_guard(session, guard),
        }
    }

    /// Of a shared subscription.
    pub(crate) fn group(&self) -> Option<&Arc<Group>> {
        self.group.as_ref()
    }
}

impl Targets {
    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_none() && self.wildcards.is_empty()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<FilterEntry>> {
        self.exact.iter().chain(&self.wildcards)
    }
}

impl Subscriptions {
    /// Enters the session under the filter, or replaces its options there; true when it is new to
    /// the filter.
    pub(crate) fn subscribe(
        &self,
        router: &AnnouncementRouter,
        filter: &Filter<'_>,
        session: &Arc<Session>,
        options: Options,
        guard: Option<Arc<Guard>>,
    ) -> (Membership, bool) {
        let mut index = self.changed();
        let entry = index.entry(router, filter.filter);
        let mut holders = write(&entry.holders);
        let (group, new) = match filter.share {
            None => (None, enter(&mut holders.members, session, options, guard)),
            Some(name) => {
                let group = holders.group(name, filter.filter);
                let new = group.enter(session, options, guard);
                (Some(group), new)
            }
        };
        drop(holders);
        (Membership { entry, group }, new)
    }

    /// Removes the session from where it was entered; the last holder takes the filter with it.
    pub(crate) fn unsubscribe(
        &self,
        router: &AnnouncementRouter,
        membership: &Membership,
        session: u64,
    ) {
        let Membership { entry, group } = membership;
        let mut index = self.changed();
        let mut holders = write(&entry.holders);
        match group {
            None => leave(&mut holders.members, session),
            Some(group) => {
                if group.leave(session) {
                    holders.groups.remove(group.name());
                }
            }
        }
        let empty = holders.members.is_empty() && holders.groups.is_empty();
        drop(holders);
        if empty && index.has(entry) {
            index.remove(router, entry);
        }
    }

    /// The index, of which nobody believes any more what was found before.
    fn changed(&self) -> RwLockWriteGuard<'_, Index> {
        let index = write(&self.index);
        self.generation.fetch_add(1, Ordering::AcqRel);
        index
    }

    pub(crate) fn targets(&self, topic: &str) -> Targets {
        let index = read(&self.index);
        Targets {
            exact: index.exact.get(topic).cloned(),
            wildcards: index.wildcards(topic),
            generation: self.generation.load(Ordering::Acquire),
        }
    }

    /// Whether these are still the targets of their topic. A client that publishes much to one
    /// topic asks this instead of taking the lock that all publishers share.
    pub(crate) fn is_current(&self, targets: &Targets) -> bool {
        targets.generation == self.generation.load(Ordering::Acquire)
    }
}

impl Holders {
    fn group(&mut self, name: &str, filter: &str) -> Arc<Group> {
        if let Some(group) = self.groups.get(name) {
            return Arc::clone(group);
        }
        let group = Arc::new(Group::new(name, filter));
        self.groups.insert(name.into(), Arc::clone(&group));
        group
    }
}

/// Enters the session, or replaces its options; true when it is new.
fn enter(
    members: &mut Vec<Member>,
    session: &Arc<Session>,
    options: Options,
    guard: Option<Arc<Guard>>,
) -> bool {
    let known = members
        .iter_mut()
        .find(|member| member.number == session.number);
    match known {
        Some(member) => {
            member.options = options;
            member.guard = guard;
            false
        }
        None => {
            members.push(Member::new(session, options, guard));
            true
        }
    }
}

fn set_guard(members: &mut [Member], session: u64, guard: Option<Arc<Guard>>) {
    let member = members.iter_mut().find(|member| member.number == session);
    if let Some(member) = member {
        member.guard = guard;
    }
}

/// Members that all get everything have no order that matters.
fn leave(members: &mut Vec<Member>, session: u64) {
    if let Some(at) = members.iter().position(|member| member.number == session) {
        members.swap_remove(at);
    }
}

impl Index {
    /// Whether the entry is the present one of its filter.
    fn has(&self, entry: &Arc<FilterEntry>) -> bool {
        let map = if topic::is_wildcard(&entry.filter) {
            &self.wildcard
        } else {
            &self.exact
        };
        let known = map.get(&entry.filter);
        known.is_some_and(|known| Arc::ptr_eq(known, entry))
    }

    fn entry(&mut self, router: &AnnouncementRouter, filter: &str) -> Arc<FilterEntry> {
        let wildcard = topic::is_wildcard(filter);
        let map = if wildcard {
            &mut self.wildcard
        } else {
            &mut self.exact
        };
        if let Some(entry) = map.get(filter) {
            return Arc::clone(entry);
        }
        let entry = Arc::new(FilterEntry {
            filter: filter.into(),
            holders: RwLock::default(),
        });
        map.insert(filter.into(), Arc::clone(&entry));
        if wildcard {
            self.tree.insert(filter, Arc::clone(&entry));
            if may_match_announcements(filter) {
                router.subscribe(filter, Arc::clone(&entry));
            }
        }
        entry
    }

    fn remove(&mut self, router: &AnnouncementRouter, entry: &FilterEntry) {
        if self.wildcard.remove(&entry.filter).is_some() {
            self.tree.remove(&entry.filter);
            if may_match_announcements(&entry.filter) {
                router.unsubscribe(&entry.filter);
            }
        } else {
            self.exact.remove(&entry.filter);
        }
    }

    fn wildcards(&self, topic: &str) -> Vec<Arc<FilterEntry>> {
        let mut found = Vec::new();
        if !self.wildcard.is_empty() {
            let mut take = |entry: &Arc<FilterEntry>| found.push(Arc::clone(entry));
            self.tree.for_each_match(topic, &mut take);
        }
        found
    }
}

/// Announcements have topics that begin with `$`, which a wildcard in the first level does not
/// match.
fn may_match_announcements(filter: &str) -> bool {
    filter.starts_with('$')
}
