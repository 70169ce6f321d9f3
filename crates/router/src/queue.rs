//! What any thread hands over to the thread in front of the router.
//!
//! Owns: the messages that wait, their bounds, and the filters there are. Never: blocks a
//! publisher; the lock is held for a push or a take. Invariant: messages leave in the order in
//! which they came.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::Full;

/// Messages that may wait.
pub(crate) const MESSAGES_MAX: usize = 16_384;
/// Bytes of their topics. An announcement is about as large as its topic where that is long.
const TOPIC_BYTES_MAX: usize = 4 << 20;
/// Changes of filters that are told one by one. Each may take the router a millisecond; a new
/// router is ready sooner than many of them.
const CHANGES_MAX: usize = 64;

/// Whom a filter belongs to.
#[derive(Clone)]
pub(crate) struct Target<F> {
    pub(crate) to: F,
    /// The last message before it subscribed.
    pub(crate) after: u64,
}

pub(crate) struct Entry<M> {
    pub(crate) topic: Arc<str>,
    pub(crate) message: M,
    /// Consecutive; the first has 1.
    pub(crate) number: u64,
}

/// Filters by name, each with whom it belongs to now, if to anyone.
pub(crate) type Changes<F> = Vec<(Box<str>, Option<Target<F>>)>;

pub(crate) struct Batch<F, M> {
    /// `None`: too many; look at `Queue::filters`.
    pub(crate) changes: Option<Changes<F>>,
    pub(crate) messages: Vec<Entry<M>>,
    #[cfg(test)]
    pub(crate) fault: Option<crate::poison::Fault>,
}

/// Messages accepted and delivered, and filters there are.
pub(crate) struct Account {
    pub(crate) accepted: u64,
    pub(crate) delivered: u64,
    pub(crate) filters: usize,
}

pub(crate) struct Queue<F, M> {
    state: Mutex<State<F, M>>,
    /// For the owner: there is something to do.
    work: Condvar,
    /// The owner has finished.
    end: Condvar,
}

struct State<F, M> {
    filters: HashMap<Box<str>, Target<F>>,
    /// Filters that came or went since the last batch.
    changed: Vec<Box<str>>,
    too_many_changed: bool,
    messages: VecDeque<Entry<M>>,
    topic_bytes: usize,
    accepted: u64,
    delivered: u64,
    closed: bool,
    finished: bool,
    #[cfg(test)]
    fault: Option<crate::poison::Fault>,
}

impl<F, M> Queue<F, M> {
    pub(crate) fn unsubscribe(&self, filter: &str) {
        let state = &mut *self.lock();
        state.filters.remove(filter);
        state.change(filter);
    }

    pub(crate) fn publish(&self, topic: &Arc<str>, message: M) -> Result<(), Full> {
        let mut state = self.lock();
        let has_room = state.messages.len() < MESSAGES_MAX && state.topic_bytes < TOPIC_BYTES_MAX;
        if state.closed || !has_room {
            return Err(Full);
        }
        state.accepted += 1;
        state.topic_bytes += topic.len();
        let entry = Entry {
            topic: Arc::clone(topic),
            message,
            number: state.accepted,
        };
        state.messages.push_back(entry);
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    pub(crate) fn account(&self) -> Account {
        let state = self.lock();
        Account {
            accepted: state.accepted,
            delivered: state.delivered,
            filters: state.filters.len(),
        }
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_one();
    }

    pub(crate) fn wait_finished(&self) {
        let waiting = self.end.wait_while(self.lock(), |state| !state.finished);
        drop(waiting.unwrap_or_else(PoisonError::into_inner));
    }

    #[cfg(test)]
    pub(crate) fn inject(&self, fault: crate::poison::Fault) {
        self.lock().fault = Some(fault);
    }

    fn lock(&self) -> MutexGuard<'_, State<F, M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Clone, M> Queue<F, M> {
    pub(crate) fn subscribe(&self, filter: &str, to: F) {
        let state = &mut *self.lock();
        let target = Target {
            to,
            after: state.accepted,
        };
        state.filters.insert(filter.into(), target);
        state.change(filter);
    }
}

/// For the owner alone.
impl<F: Clone, M> Queue<F, M> {
    /// Waits for messages, and takes the first of them: as many as have this many bytes together,
    /// or one. `None`: nothing more will come.
    pub(crate) fn take(
        &self,
        cost: impl Fn(&str) -> usize,
        bytes_max: usize,
    ) -> Option<Batch<F, M>> {
        let is_idle = |state: &mut State<F, M>| state.messages.is_empty() && !state.closed;
        let waiting = self.work.wait_while(self.lock(), is_idle);
        let state = &mut *waiting.unwrap_or_else(PoisonError::into_inner);
        let mut messages = Vec::new();
        let mut bytes = 0;
        while let Some(first) = state.messages.front() {
            bytes += cost(&first.topic);
            if bytes > bytes_max && !messages.is_empty() {
                break;
            }
            state.topic_bytes -= first.topic.len();
            messages.extend(state.messages.pop_front());
        }
        if messages.is_empty() {
            return None;
        }
        Some(Batch {
            changes: state.take_changes(),
            messages,
            #[cfg(test)]
            fault: state.fault.take(),
        })
    }

    /// All filters, now.
    pub(crate) fn filters(&self) -> Changes<F> {
        let state = &mut *self.lock();
        state.changed.clear();
        state.too_many_changed = false;
        let filters = state.filters.iter();
        filters
            .map(|(name, target)| (name.clone(), Some(target.clone())))
            .collect()
    }

    /// More waits than rumqttd should be waited for.
    pub(crate) fn is_overrun(&self) -> bool {
        let state = self.lock();
        state.messages.len() > MESSAGES_MAX / 2 || state.topic_bytes > TOPIC_BYTES_MAX / 2
    }

    pub(crate) fn settle(&self, delivered: usize) {
        self.lock().delivered += delivered as u64;
    }
}

impl<F, M> Queue<F, M> {
    pub(crate) fn finish(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.finished = true;
        drop(state);
        self.end.notify_all();
    }
}

impl<F, M> State<F, M> {
    fn change(&mut self, filter: &str) {
        if self.changed.len() < CHANGES_MAX {
            self.changed.push(filter.into());
        } else {
            self.too_many_changed = true;
        }
    }
}

impl<F: Clone, M> State<F, M> {
    fn take_changes(&mut self) -> Option<Changes<F>> {
        let changed = mem::take(&mut self.changed);
        if mem::take(&mut self.too_many_changed) {
            return None;
        }
        let mut now = Vec::with_capacity(changed.len());
        for name in changed {
            let target = self.filters.get(&name).cloned();
            now.push((name, target));
        }
        Some(now)
    }
}

impl<F, M> Default for Queue<F, M> {
    fn default() -> Queue<F, M> {
        Queue {
            state: Mutex::new(State {
                filters: HashMap::new(),
                changed: Vec::new(),
                too_many_changed: false,
                messages: VecDeque::new(),
                topic_bytes: 0,
                accepted: 0,
                delivered: 0,
                closed: false,
                finished: false,
                #[cfg(test)]
                fault: None,
            }),
            work: Condvar::new(),
            end: Condvar::new(),
        }
    }
}
