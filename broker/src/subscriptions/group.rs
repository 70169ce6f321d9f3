//! A shared subscription: several sessions that are one subscriber (section 4.8.2 of MQTT 5).
//!
//! Owns: who of the group gets a message. Never: keeps a message; each waits in the queue of the
//! session that was chosen. Invariant: a message enters the queue of one member, or of none and is
//! counted; a member that does not keep up or is gone takes nothing that another could.

use std::sync::{Arc, Mutex};

use super::{Member, enter, set_guard};
use crate::delivery::{Delivery, Options};
use crate::lock::lock;
use crate::message::Message;
use crate::session::Session;
use crate::stats::Stats;
use access::Guard;
use mqtt::Qos;
use mqtt::topic::SHARE_PREFIX;

/// The members under one group name and one filter; the same name on another filter is another
/// group.
pub(crate) struct Group {
    name: Box<str>,
    /// As clients write it: `$share/`, the name, the filter.
    subscription: Box<str>,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    list: Vec<Member>,
    /// Whose turn it is.
    next: usize,
    /// Those who could take the message at hand; kept for its room.
    candidates: Vec<Candidate>,
}

#[derive(Clone, Copy)]
struct Candidate {
    /// Messages it is behind.
    backlog: usize,
    index: usize,
}

/// Whether a session outlives the end of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Yes,
    No,
}

impl Group {
    pub(crate) fn new(name: &str, filter: &str) -> Group {
        Group {
            name: name.into(),
            subscription: format!("{SHARE_PREFIX}{name}/{filter}").into(),
            members: Mutex::default(),
        }
    }

    /// One that stands for the group with this subscription until that is found again.
    pub(crate) fn remembered(subscription: Box<str>) -> Group {
        Group {
            name: "".into(),
            subscription,
            members: Mutex::default(),
        }
    }

    /// As clients write it.
    pub(crate) fn subscription(&self) -> &str {
        &self.subscription
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Adds the session or replaces its options; true when it is new.
    pub(super) fn enter(
        &self,
        session: &Arc<Session>,
        options: Options,
        guard: Option<Arc<Guard>>,
    ) -> bool {
        enter(&mut lock(&self.members).list, session, options, guard)
    }

    pub(super) fn set_guard(&self, session: u64, guard: Option<Arc<Guard>>) {
        set_guard(&mut lock(&self.members).list, session, guard);
    }

    /// Removes the session; true when nobody is left.
    pub(super) fn leave(&self, session: u64) -> bool {
        let members = &mut *lock(&self.members);
        let found = members.list.iter().position(|m| m.number == session);
        if let Some(at) = found {
            members.list.remove(at);
            // Whose turn it was keeps it.
            members.next -= usize::from(at < members.next);
        }
        members.list.is_empty()
    }

    /// Queues the message for one member, in turn: for the connected one that is least behind,
    /// which is the next one while all keep up; with none connected, at QoS 1 or 2, for the next
    /// session that is kept.
    pub(crate) fn dispatch(self: &Arc<Self>, message: &Arc<Message>, stats: &Stats) {
        let members = &mut *lock(&self.members);
        let placed = members.place(self, message, None) || members.overflow(self, message, stats);
        let is_withheld = |member: &Member| !member.admits(message);
        match placed {
            true => {}
            false if members.list.iter().any(is_withheld) => stats.withheld.add(1),
            false => stats.dropped_no_member.add(1),
        }
    }

    /// Queues again, for another member, what a leaving one was given; false when nobody else can
    /// take it. A session that is kept gives to connected members only: one that is away itself
    /// would be no better off.
    pub(crate) fn hand_on(
        self: &Arc<Self>,
        message: &Arc<Message>,
        leaving: u64,
        kept: Kept,
    ) -> bool {
        let members = &mut *lock(&self.members);
        match kept {
            Kept::Yes => members.place_connected(self, message, Some(leaving)),
            Kept::No => members.place(self, message, Some(leaving)),
        }
    }
}

impl Members {
    /// The members but `except` that may have the message, beginning with the one whose turn it is.
    fn in_turn<'a>(
        &'a self,
        message: &'a Message,
        except: Option<u64>,
    ) -> impl Iterator<Item = (usize, &'a Member)> {
        let (later, first) = self.list.split_at(self.next.min(self.list.len()));
        let first = first.iter().zip(later.len()..);
        let later = later.iter().zip(0..);
        first
            .chain(later)
            .filter(move |(member, _)| Some(member.number) != except && member.admits(message))
            .map(|(member, index)| (index, member))
    }

    fn place(&mut self, group: &Arc<Group>, message: &Arc<Message>, except: Option<u64>) -> bool {
        self.place_connected(group, message, except)
            || self.place_offline(group, message, except)
            // One that was away for the first and back for the second.
            || self.place_connected(group, message, except)
    }

    fn place_connected(
        &mut self,
        group: &Arc<Group>,
        message: &Arc<Message>,
        except: Option<u64>,
    ) -> bool {
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.clear();
        let mut taker = None;
        for (index, member) in self.in_turn(message, except) {
            match member.session.backlog() {
                None => {}
                Some(0) => {
                    // It may have left since it was asked; then the search goes on.
                    let delivery = member.delivery(group, message);
                    if member.session.offer(delivery).is_ok() {
                        taker = Some(index);
                        break;
                    }
                }
                Some(backlog) => candidates.push(Candidate { backlog, index }),
            }
        }
        // The first of those least behind is the one whose turn comes first.
        while taker.is_none()
            && let Some(least) = position_of_least(&candidates)
        {
            let index = candidates.remove(least).index;
            let delivery = self.list[index].delivery(group, message);
            if self.list[index].session.offer(delivery).is_ok() {
                taker = Some(index);
            }
        }
        let placed = taker.is_some();
        if let Some(index) = taker {
            self.next = index + 1;
        }
        self.candidates = candidates;
        placed
    }

    fn place_offline(
        &mut self,
        group: &Arc<Group>,
        message: &Arc<Message>,
        except: Option<u64>,
    ) -> bool {
        let taker = self.in_turn(message, except).find(|(_, member)| {
            let delivery = member.delivery(group, message);
            delivery.qos != Qos::AtMostOnce && member.session.offer_offline(delivery).is_ok()
        });
        match taker.map(|(index, _)| index) {
            Some(index) => {
                self.next = index + 1;
                true
            }
            None => false,
        }
    }

    /// All queues are full: the member whose turn it is loses the message, and counts it.
    fn overflow(&mut self, group: &Arc<Group>, message: &Arc<Message>, stats: &Stats) -> bool {
        let loser = self
            .in_turn(message, None)
            .find(|(_, member)| member.session.backlog().is_some());
        let Some((index, member)) = loser else {
            return false;
        };
        let delivery = member.delivery(group, message);
        member.session.enqueue(delivery, stats);
        self.next = index + 1;
        true
    }
}

impl Member {
    fn delivery(&self, group: &Arc<Group>, message: &Arc<Message>) -> Delivery {
        Delivery {
            share: Some(Arc::clone(group)),
            ..Delivery::live(message, &self.options)
        }
    }
}

fn position_of_least(candidates: &[Candidate]) -> Option<usize> {
    (0..candidates.len()).min_by_key(|&at| candidates[at].backlog)
}
