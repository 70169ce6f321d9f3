//! Messages that many sessions have, while the log is read.
//!
//! Owns: finding the one that was read before. Invariant: two messages become one only if nothing
//! tells them apart.
//!
//! The log has a message once for each session that queued it. In memory it was there once, and had
//! better be so again: a thousand sessions with the same megabyte would otherwise take a gigabyte
//! after a restart.

use std::hash::BuildHasher;
use std::sync::{Arc, Weak};

use foldhash::HashMap;
use foldhash::fast::RandomState;

use super::event::Event;
use crate::delivery::Delivery;
use crate::message::Message;

#[derive(Default)]
pub(super) struct Messages {
    hasher: RandomState,
    /// By a hash of what tells them apart; those that no session has any more are removed now and
    /// then.
    known: HashMap<u64, Weak<Message>>,
    /// Entries at which that is done.
    sweep_at: usize,
}

/// Entries that are not worth looking through.
const SWEEP_AT_MIN: usize = 1_024;

impl Messages {
    /// Lets `visit` see the event with the message that is known already in place of an equal one.
    pub(super) fn shared<T>(
        &mut self,
        event: &Event<'_>,
        visit: impl FnOnce(&Event<'_>) -> T,
    ) -> T {
        match *event {
            Event::Queued(delivery) => visit(&Event::Queued(&self.of(delivery))),
            Event::Taken {
                packet_id,
                delivery,
            } => visit(&Event::Taken {
                packet_id,
                delivery: &self.of(delivery),
            }),
            _ => visit(event),
        }
    }

    fn of(&mut self, delivery: &Delivery) -> Delivery {
        Delivery {
            message: self.known(&delivery.message),
            ..delivery.clone()
        }
    }

    fn known(&mut self, message: &Arc<Message>) -> Arc<Message> {
        let Message {
            topic,
            payload,
            received_at,
            ..
        } = &**message;
        let key = self.hasher.hash_one((topic, payload, received_at));
        if let Some(known) = self.known.get(&key).and_then(Weak::upgrade)
            && is_same(&known, message)
        {
            return known;
        }
        self.sweep();
        self.known.insert(key, Arc::downgrade(message));
        Arc::clone(message)
    }

    fn sweep(&mut self) {
        if self.known.len() >= self.sweep_at {
            self.known.retain(|_, message| message.strong_count() > 0);
            self.sweep_at = SWEEP_AT_MIN.max(2 * self.known.len());
        }
    }
}

fn is_same(one: &Message, other: &Message) -> bool {
    let Message {
        topic,
        payload,
        qos,
        retain,
        properties,
        expiry_seconds,
        publisher,
        received_at,
        origin,
        holders: _,
    } = one;
    *topic == other.topic
        && *payload == other.payload
        && *qos == other.qos
        && *retain == other.retain
        && *properties == other.properties
        && *expiry_seconds == other.expiry_seconds
        && *publisher == other.publisher
        && *received_at == other.received_at
        && origin.ordinal == other.origin.ordinal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Origin;
    use mqtt::Qos;

    fn delivery(change: impl FnOnce(&mut Message)) -> Delivery {
        let mut message = Message::own("a".into(), "x".into(), Qos::AtLeastOnce, false, 1);
        change(&mut message);
        Delivery {
            message: Arc::new(message),
            qos: Qos::AtLeastOnce,
            retain: false,
            identifier: None,
            snapshot: false,
            share: None,
        }
    }

    #[test]
    fn equal_messages_become_one_and_others_do_not() {
        let mut messages = Messages::default();
        let first = messages.of(&delivery(|_| ()));
        assert!(Arc::ptr_eq(
            &first.message,
            &messages.of(&delivery(|_| ())).message
        ));
        let changes: [fn(&mut Message); 9] = [
            |message| message.topic = "b".into(),
            |message| message.payload = "y".into(),
            |message| message.qos = Qos::ExactlyOnce,
            |message| message.retain = true,
            |message| message.properties = "p".into(),
            |message| message.expiry_seconds = Some(1),
            |message| message.publisher = 7,
            |message| message.received_at = 2,
            |message| message.origin = Origin::read(3),
        ];
        for change in changes {
            let other = delivery(change);
            assert!(Arc::ptr_eq(&other.message, &messages.of(&other).message));
        }
    }

    #[test]
    fn messages_that_nobody_has_any_more_are_forgotten() {
        let mut messages = Messages::default();
        for number in 0..10 * SWEEP_AT_MIN as i64 {
            messages.of(&delivery(|message| message.received_at = number));
        }
        assert!(
            messages.known.len() <= SWEEP_AT_MIN,
            "{}",
            messages.known.len()
        );
    }
}
