//! What is handed over, by any thread, to the thread in front of the router.
//!
//! Owns: the queue, its bounds, and who waits for a place in it. Never: blocks (the lock is held
//! for a push or a swap). Invariant: commands leave in the order in which they came, and `messages`
//! and `bytes` count everything accepted that is not yet released, in this queue or beyond it.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Waker;
use std::thread::Thread;

use super::{Busy, FilterId, Settings};
use crate::lock::lock;
use crate::message::Message;

pub(super) enum Command {
    Publish(Arc<Message>),
    Subscribe(FilterId, Box<str>),
    Unsubscribe(FilterId),
    #[cfg(any(test, fuzzing))]
    Break(super::poison::Fault),
}

/// What a number of messages count against the bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) accepted: u64,
    pub(super) messages: usize,
    pub(super) bytes: usize,
    /// Subscriptions, and ends of some, that the owner has not begun.
    pub(super) filters: usize,
}

impl Held {
    pub(super) fn add(&mut self, message: &Message) {
        self.messages += 1;
        self.bytes += cost_bytes(message);
    }
}

/// The message itself, its two shares in queues, and the allocations' headers.
const MESSAGE_OVERHEAD_BYTES: usize = 192;

fn cost_bytes(message: &Message) -> usize {
    message.topic.len() + message.payload.len() + message.properties.len() + MESSAGE_OVERHEAD_BYTES
}

pub(super) struct Intake {
    messages_max: usize,
    bytes_max: usize,
    filters_max: usize,
    owner: OnceLock<Thread>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    commands: VecDeque<Command>,
    held: Held,
    /// A publish was refused since there was last plenty of room.
    busy: bool,
    waiting: Vec<Waker>,
    /// Who waits until fewer subscriptions wait.
    waiting_filters: Vec<Waker>,
    /// Who waits until so many messages are delivered.
    waiting_delivered: Vec<(u64, Waker)>,
    /// The owner sleeps and wants to be woken by the next command.
    asleep: bool,
    closed: bool,
}

impl State {
    /// Messages are delivered in the order in which they were accepted.
    fn delivered(&self) -> u64 {
        self.held.accepted - self.held.messages as u64
    }
}

impl Intake {
    pub(super) fn new(settings: &Settings) -> Intake {
        Intake {
            messages_max: settings.queued_messages_max,
            bytes_max: settings.queued_bytes_max,
            filters_max: settings.queued_filters_max,
            owner: OnceLock::new(),
            state: Mutex::default(),
        }
    }

    pub(super) fn publish(&self, message: &Arc<Message>) -> Result<(), Busy> {
        let cost = cost_bytes(message);
        let mut state = lock(&self.state);
        let fits =
            state.held.messages < self.messages_max && state.held.bytes + cost <= self.bytes_max;
        // A message that is larger than the bound passes when it is alone, rather than never.
        let alone = state.held.messages == 0;
        if state.closed || !(fits || alone) {
            state.busy = true;
            return Err(Busy);
        }
        state.held.messages += 1;
        state.held.bytes += cost;
        state.held.accepted += 1;
        state
            .commands
            .push_back(Command::Publish(Arc::clone(message)));
        self.wake_owner(state);
        Ok(())
    }

    /// Queues a command that is not a message. Those of clients that leave cannot wait; they are
    /// bounded by the subscriptions there are. Who stays and brings more asks `is_crowded`.
    pub(super) fn command(&self, command: Command) {
        let mut state = lock(&self.state);
        if matches!(command, Command::Subscribe(..) | Command::Unsubscribe(_)) {
            state.held.filters += 1;
        }
        state.commands.push_back(command);
        self.wake_owner(state);
    }

    pub(super) fn is_crowded(&self) -> bool {
        lock(&self.state).held.filters > self.filters_max
    }

    /// Half of what may wait, so that those who come back bring more than one.
    fn has_plenty_for_filters(&self, state: &State) -> bool {
        state.closed || state.held.filters <= self.filters_max / 2
    }

    pub(super) fn has_room_for_filters(&self, waker: &Waker) -> bool {
        let mut state = lock(&self.state);
        if self.has_plenty_for_filters(&state) {
            return true;
        }
        let mut waiting = state.waiting_filters.iter();
        if !waiting.any(|waiting| waiting.will_wake(waker)) {
            state.waiting_filters.push(waker.clone());
        }
        false
    }

    #[cfg(test)]
    pub(super) fn wake_when_ready(&self, waker: &Waker) {
        let mut state = lock(&self.state);
        if !state.busy {
            drop(state);
            waker.wake_by_ref();
        } else if !state.waiting.iter().any(|waiting| waiting.will_wake(waker)) {
            state.waiting.push(waker.clone());
        }
    }

    /// Whether the first `count` messages that were accepted have been delivered to every filter
    /// they match; if not, `waker` is woken when they are.
    #[cfg(any(test, fuzzing))]
    pub(super) fn is_delivered(&self, count: u64, waker: &Waker) -> bool {
        let mut state = lock(&self.state);
        if state.delivered() >= count {
            return true;
        }
        let known = state.waiting_delivered.iter_mut();
        match known.into_iter().find(|(_, known)| known.will_wake(waker)) {
            Some((awaited, _)) => *awaited = count.min(*awaited),
            None => state.waiting_delivered.push((count, waker.clone())),
        }
        false
    }

    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let waiting = mem::take(&mut state.waiting_filters);
        self.wake_owner(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    pub(super) fn held(&self) -> Held {
        lock(&self.state).held
    }

    fn wake_owner(&self, mut state: std::sync::MutexGuard<'_, State>) {
        if mem::take(&mut state.asleep) {
            drop(state);
            if let Some(owner) = self.owner.get() {
                owner.unpark();
            }
        }
    }
}

/// For the owner's thread alone.
impl Intake {
    /// Names the calling thread as the owner.
    pub(super) fn attach(&self) {
        self.owner.get_or_init(std::thread::current);
    }

    /// Moves what was handed over behind what `backlog` holds; false when nothing more will come.
    pub(super) fn take(&self, backlog: &mut VecDeque<Command>) -> bool {
        let mut state = lock(&self.state);
        state.asleep = false;
        if backlog.is_empty() {
            mem::swap(&mut state.commands, backlog);
        } else {
            backlog.append(&mut state.commands);
        }
        !state.closed
    }

    /// Announces that the owner is about to sleep; false when there is something to do after all.
    pub(super) fn prepare_sleep(&self, known_closed: bool) -> bool {
        let mut state = lock(&self.state);
        state.asleep = state.commands.is_empty() && state.closed == known_closed;
        state.asleep
    }

    /// Gives back the places of delivered messages, and wakes those who wait when there is plenty
    /// of room again.
    pub(super) fn release(&self, released: Held) {
        let mut state = lock(&self.state);
        state.held.messages -= released.messages;
        state.held.bytes -= released.bytes;
        state.held.filters -= released.filters;
        let delivered = state.delivered();
        let arrived = state
            .waiting_delivered
            .extract_if(.., |(count, _)| *count <= delivered);
        let arrived: Vec<Waker> = arrived.map(|(_, waker)| waker).collect();
        // Half, so that those who wait come back to more than one place.
        let plenty =
            state.held.messages <= self.messages_max / 2 && state.held.bytes <= self.bytes_max / 2;
        let mut waiting = Vec::new();
        if state.busy && plenty && !state.closed {
            state.busy = false;
            waiting = mem::take(&mut state.waiting);
        }
        if self.has_plenty_for_filters(&state) {
            waiting.append(&mut state.waiting_filters);
        }
        drop(state);
        waiting.into_iter().chain(arrived).for_each(Waker::wake);
    }
}
