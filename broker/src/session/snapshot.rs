//! The retained messages that a new subscription brings, page by page.
//!
//! Owns: how far a client has got with them. Never: holds more than a page, locks a session.
//! Invariant: a message that changes after the subscription began is left out, since it comes as a
//! live one; and a snapshot waits in its session's queue before all that comes live by its
//! subscription. So no retained message follows a newer one of its topic.
//!
//! It is older than what is queued behind it, also when its client was away meanwhile: it goes on
//! where it was. A restart forgets where that was: then it begins again. A live message that is
//! dropped (the queue is full; at QoS 0 the client is away) takes the retained one that it replaced
//! with it: that would be out of date.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::delivery::{Delivery, Options};
use crate::gate::Gate;
use crate::message::Message;
use crate::presence;
use crate::retained::{self, Mark};
use access::Guard;
use mqtt::Qos;

/// What a client has yet to get of them.
pub(crate) struct Snapshot {
    search: Search,
    qos: Qos,
    identifier: Option<NonZeroU32>,
    page: VecDeque<Arc<Message>>,
    /// Where what is left of the page begins.
    page_from: Place,
}

/// A page to be looked for.
#[derive(Clone)]
pub(crate) struct Search {
    /// One filter has one snapshot in a session, so this tells which it is.
    pub(super) filter: Arc<str>,
    /// Changes of the retained store when the subscription began.
    through: u64,
    from: Place,
    /// Set when rules deny the subscription in part.
    guard: Option<Arc<Guard>>,
}

/// What was found, and where the next page begins.
pub(crate) struct Found {
    messages: Vec<Arc<Message>>,
    next: Place,
}

/// Where the messages come from, one after the other.
#[derive(Debug, Clone)]
enum Place {
    Retained(Mark),
    /// `$SYS`: less than a page.
    System,
    /// Behind this client id.
    Clients(Option<Box<str>>),
    End,
}

impl Snapshot {
    /// To be called when the subscription is in force: what changes before is in the snapshot, what
    /// changes later comes live.
    pub(crate) fn new(
        gate: &Gate,
        filter: &str,
        options: &Options,
        guard: Option<Arc<Guard>>,
    ) -> Snapshot {
        Snapshot {
            search: Search {
                filter: filter.into(),
                through: gate.retained.changes(),
                from: Place::Retained(Mark::default()),
                guard,
            },
            qos: options.qos,
            identifier: options.identifier,
            page: VecDeque::new(),
            page_from: Place::End,
        }
    }

    /// Looks for the first page at once.
    pub(crate) fn with_page(mut self, gate: &Gate) -> Snapshot {
        let found = self.search.look(gate);
        self.turn(found);
        self
    }

    pub(super) fn filter(&self) -> &Arc<str> {
        &self.search.filter
    }

    /// Nothing is left of it.
    pub(crate) fn is_over(&self) -> bool {
        self.page.is_empty() && matches!(self.search.from, Place::End)
    }

    /// The page behind this one.
    pub(super) fn search(&self) -> &Search {
        &self.search
    }

    /// The QoS of the next message, if there is one.
    pub(super) fn next_qos(&self) -> Option<Qos> {
        let message = self.page.front()?;
        Some(message.qos.min(self.qos))
    }

    /// Takes the next message.
    pub(super) fn take(&mut self) -> Option<Delivery> {
        let message = self.page.pop_front()?;
        if let Place::Retained(_) = self.page_from {
            self.page_from = Place::Retained(Mark::behind(&message.topic));
        }
        Some(Delivery {
            qos: message.qos.min(self.qos),
            message,
            retain: true,
            identifier: self.identifier,
            snapshot: true,
            share: None,
        })
    }

    /// Takes a page that was found.
    pub(super) fn turn(&mut self, found: Found) {
        self.page = found.messages.into();
        self.page_from = std::mem::replace(&mut self.search.from, found.next);
    }

    /// From now on it brings what this guard admits; a page that is being looked for by the one
    /// before is not taken.
    pub(super) fn set_guard(&mut self, guard: Option<Arc<Guard>>) {
        self.close_page();
        self.search.filter = Arc::from(&*self.search.filter);
        self.search.guard = guard;
    }

    /// Gives the page back, to be looked for again: nobody reads on for now.
    pub(super) fn close_page(&mut self) {
        if !self.page.is_empty() {
            self.page = VecDeque::new();
            self.search.from = std::mem::replace(&mut self.page_from, Place::End);
        }
    }
}

impl Search {
    /// Looks for the page; no session may be locked.
    pub(crate) fn look(&self, gate: &Gate) -> Found {
        let mut found = self.look_everywhere(gate);
        if let Some(guard) = &self.guard {
            found
                .messages
                .retain(|message| guard.admits(&message.topic));
        }
        found
    }

    fn look_everywhere(&self, gate: &Gate) -> Found {
        let filter = &*self.filter;
        match &self.from {
            Place::Retained(mark) => {
                let retained::Page { messages, next } =
                    gate.retained.page(filter, mark.clone(), self.through);
                let next = match next {
                    Some(mark) => Place::Retained(mark),
                    // No other topics that are not in the store.
                    None if !filter.starts_with('$') => Place::End,
                    None => Place::System,
                };
                Found { messages, next }
            }
            Place::System => {
                let mut messages = Vec::new();
                let mut visit = |message: &Arc<Message>| messages.push(Arc::clone(message));
                gate.system.matching(filter, &mut visit);
                let next = if presence::may_match(filter) {
                    Place::Clients(None)
                } else {
                    Place::End
                };
                Found { messages, next }
            }
            Place::Clients(after) => {
                let (messages, last) = presence::page(gate, filter, after.as_deref());
                let next = match last {
                    Some(client_id) => Place::Clients(Some(client_id)),
                    None => Place::End,
                };
                Found { messages, next }
            }
            Place::End => Found {
                messages: Vec::new(),
                next: Place::End,
            },
        }
    }
}
