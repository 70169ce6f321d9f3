//! The messages on their way through the router.
//!
//! Owns: each message from its sequence number until every filter that matches it has had it.
//! Never: talks to the router. Invariant: the entries published and not confirmed are together no
//! more than `limit_bytes` (or there is just one), so no log of the router has dropped any of them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::intake::Held;
use super::tickets::TICKET_BYTES;
use super::topics::PREFIX_BYTES;
use crate::message::Message;

/// What rumqttd's log counts for an entry beside its topic and payload.
const LOG_OVERHEAD_BYTES: usize = 4;

pub(super) struct Window {
    /// The messages behind `confirmed`, without a gap.
    messages: VecDeque<Arc<Message>>,
    confirmed: u64,
    published: u64,
    in_flight_bytes: usize,
    limit_bytes: usize,
}

impl Window {
    pub(super) fn new(limit_bytes: usize) -> Window {
        Window {
            messages: VecDeque::new(),
            confirmed: 0,
            published: 0,
            in_flight_bytes: 0,
            limit_bytes,
        }
    }

    /// Every filter has had everything up to here.
    pub(super) fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// The sequence number of the newest message; the first has 1.
    pub(super) fn last(&self) -> u64 {
        self.confirmed + self.messages.len() as u64
    }

    /// The last message that the router was given.
    pub(super) fn published(&self) -> u64 {
        self.published
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.published > self.confirmed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// Gives the message the next sequence number.
    pub(super) fn admit(&mut self, message: Arc<Message>) {
        self.messages.push_back(message);
    }

    /// Whether there is a message that the router has yet to be given.
    pub(super) fn has_unpublished(&self) -> bool {
        self.published < self.last()
    }

    /// The next message for the router, which counts as published from now on; `None` when there is
    /// none or no room.
    pub(super) fn publish_next(&mut self) -> Option<(u64, Arc<Message>)> {
        let sequence = self.published + 1;
        let message = self.get(sequence)?;
        let entry = entry_bytes(message);
        if self.is_in_flight() && self.in_flight_bytes + entry > self.limit_bytes {
            return None;
        }
        let message = Arc::clone(message);
        self.in_flight_bytes += entry;
        self.published = sequence;
        Some((sequence, message))
    }

    pub(super) fn get(&self, sequence: u64) -> Option<&Arc<Message>> {
        let index = sequence.checked_sub(self.confirmed + 1)?;
        self.messages.get(usize::try_from(index).ok()?)
    }

    /// Forgets the messages up to `sequence`; `released` gets what they counted.
    pub(super) fn confirm(&mut self, sequence: u64, released: &mut Held) {
        while self.confirmed < sequence {
            let Some(message) = self.messages.pop_front() else {
                break;
            };
            self.confirmed += 1;
            if self.confirmed <= self.published {
                self.in_flight_bytes -= entry_bytes(&message);
            } else {
                self.published = self.confirmed;
            }
            released.add(&message);
        }
    }

    /// A new router has been given nothing yet.
    pub(super) fn rewind(&mut self, limit_bytes: usize) {
        self.published = self.confirmed;
        self.in_flight_bytes = 0;
        self.limit_bytes = limit_bytes;
    }
}

fn entry_bytes(message: &Message) -> usize {
    LOG_OVERHEAD_BYTES + PREFIX_BYTES + message.topic.len() + TICKET_BYTES
}

#[cfg(test)]
mod tests {
    use super::super::tests::message;
    use super::*;

    /// Each entry of a topic of six bytes counts 20.
    const TOPIC: &str = "abcdef";

    fn publish_all(window: &mut Window) -> Vec<u64> {
        std::iter::from_fn(|| window.publish_next().map(|(sequence, _)| sequence)).collect()
    }

    #[test]
    fn what_is_in_flight_fits_into_a_log() {
        let mut window = Window::new(65);
        let mut released = Held::default();
        (0..10).for_each(|n| window.admit(message(TOPIC, n)));
        assert_eq!(publish_all(&mut window), [1, 2, 3]);
        window.confirm(2, &mut released);
        assert_eq!(publish_all(&mut window), [4, 5]);
        window.confirm(5, &mut released);
        assert_eq!(publish_all(&mut window), [6, 7, 8]);
        assert_eq!(
            (window.confirmed(), window.published(), window.last()),
            (5, 8, 10)
        );
        assert_eq!(released.messages, 5);
    }

    #[test]
    fn a_message_larger_than_a_log_travels_alone() {
        let mut window = Window::new(30);
        window.admit(message(TOPIC, 0));
        window.admit(message(&"x".repeat(1_000), 1));
        window.admit(message(TOPIC, 2));
        assert_eq!(publish_all(&mut window), [1]);
        window.confirm(1, &mut Held::default());
        assert_eq!(publish_all(&mut window), [2]);
        window.confirm(2, &mut Held::default());
        assert_eq!(publish_all(&mut window), [3]);
    }

    #[test]
    fn a_new_router_is_given_everything_that_is_not_confirmed() {
        let mut window = Window::new(1_000);
        (0..5).for_each(|n| window.admit(message(TOPIC, n)));
        assert_eq!(publish_all(&mut window), [1, 2, 3, 4, 5]);
        window.confirm(2, &mut Held::default());
        window.rewind(45);
        assert_eq!(publish_all(&mut window), [3, 4]);
        window.confirm(5, &mut Held::default());
        assert!(window.is_empty() && !window.is_in_flight() && !window.has_unpublished());
        window.admit(message(TOPIC, 6));
        assert_eq!(publish_all(&mut window), [6]);
        assert!(window.get(5).is_none() && window.get(6).is_some() && window.get(7).is_none());
    }
}
