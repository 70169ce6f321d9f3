//! What waits for a client, in order.
//!
//! Owns: the order, and the places that events count: messages at QoS 1 and 2, from the front.
//! Never: knows the limits. Invariant: `unlogged` is the number of entries that no event counts.

use std::collections::VecDeque;

use super::Snapshot;
use super::state::is_logged;
use crate::delivery::Delivery;
use crate::session_log::Event;

#[derive(Default)]
pub(crate) struct Queue {
    entries: VecDeque<Waiting>,
    /// Messages at QoS 0, and snapshots.
    unlogged: usize,
}

pub(crate) enum Waiting {
    Message(Delivery),
    /// One at most for each of the session's filters, so there are no more than subscriptions.
    Snapshot(Box<Snapshot>),
}

/// A queue's buffer above this many entries is given back once it is empty.
const KEPT_CAPACITY: usize = 16;

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn push(&mut self, waiting: Waiting) {
        self.unlogged += usize::from(!waiting.is_logged());
        self.entries.push_back(waiting);
    }

    pub(super) fn push_front(&mut self, waiting: Waiting) {
        self.unlogged += usize::from(!waiting.is_logged());
        self.entries.push_front(waiting);
    }

    /// It may not become a message of another kind.
    pub(super) fn front_mut(&mut self) -> Option<&mut Waiting> {
        self.entries.front_mut()
    }

    pub(super) fn pop_front(&mut self) -> Option<Waiting> {
        let waiting = self.entries.pop_front()?;
        self.unlogged -= usize::from(!waiting.is_logged());
        self.tidy();
        Some(waiting)
    }

    /// Takes out the message that has so many at QoS 1 and 2 before it.
    pub(super) fn remove_logged(&mut self, index: usize) -> Option<Delivery> {
        let at = if self.unlogged == 0 || index == 0 && self.is_logged_at(0) {
            index
        } else {
            let mut places = (0..self.entries.len()).filter(|at| self.is_logged_at(*at));
            places.nth(index)?
        };
        let Waiting::Message(delivery) = self.entries.remove(at)? else {
            return None;
        };
        self.tidy();
        Some(delivery)
    }

    fn is_logged_at(&self, at: usize) -> bool {
        self.entries.get(at).is_some_and(Waiting::is_logged)
    }

    /// See `State::take_out`.
    pub(super) fn take_out(
        &mut self,
        mut goes: impl FnMut(&Delivery) -> bool,
        mut tell: impl FnMut(&Event<'_>),
    ) -> Vec<Delivery> {
        let mut taken = Vec::new();
        let mut index = 0;
        self.entries.retain(|waiting| {
            let Waiting::Message(delivery) = waiting else {
                return true;
            };
            let is_taken = goes(delivery);
            match (is_taken, is_logged(delivery)) {
                (true, true) => tell(&Event::Dropped { index }),
                (true, false) => self.unlogged -= 1,
                (false, true) => index += 1,
                (false, false) => {}
            }
            if is_taken {
                taken.push(delivery.clone());
            }
            !is_taken
        });
        self.tidy();
        taken
    }

    /// Shows `stays` the snapshots, and removes those that do not.
    pub(super) fn retain_snapshots(&mut self, mut stays: impl FnMut(&mut Snapshot) -> bool) {
        self.entries.retain_mut(|waiting| match waiting {
            Waiting::Message(_) => true,
            Waiting::Snapshot(snapshot) => {
                let stays = stays(snapshot);
                self.unlogged -= usize::from(!stays);
                stays
            }
        });
        self.tidy();
    }

    pub(super) fn snapshots_mut(&mut self) -> impl Iterator<Item = &mut Snapshot> {
        self.entries.iter_mut().filter_map(|waiting| match waiting {
            Waiting::Snapshot(snapshot) => Some(&mut **snapshot),
            Waiting::Message(_) => None,
        })
    }

    /// The messages that wait, but for those of snapshots.
    pub(crate) fn deliveries(&self) -> impl DoubleEndedIterator<Item = &Delivery> {
        self.entries.iter().filter_map(|waiting| match waiting {
            Waiting::Message(delivery) => Some(delivery),
            Waiting::Snapshot(_) => None,
        })
    }

    /// As `deliveries`; their QoS may not change.
    pub(super) fn deliveries_mut(&mut self) -> impl Iterator<Item = &mut Delivery> {
        self.entries.iter_mut().filter_map(|waiting| match waiting {
            Waiting::Message(delivery) => Some(delivery),
            Waiting::Snapshot(_) => None,
        })
    }

    fn tidy(&mut self) {
        if self.entries.is_empty() && self.entries.capacity() > KEPT_CAPACITY {
            self.entries = VecDeque::new();
        }
    }
}

impl Waiting {
    fn is_logged(&self) -> bool {
        match self {
            Waiting::Message(delivery) => is_logged(delivery),
            Waiting::Snapshot(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::delivery::Options;
    use crate::message::Message;
    use mqtt::Qos;

    fn delivery(name: usize, qos: Qos) -> Delivery {
        let topic = name.to_string().into();
        let message = Message::own(topic, "".into(), qos, false, 0);
        let options = Options {
            qos,
            no_local: false,
            retain_as_published: false,
            identifier: None,
        };
        Delivery::live(&Arc::new(message), &options)
    }

    fn names<'a>(deliveries: impl Iterator<Item = &'a Delivery>) -> Vec<&'a str> {
        let logged = deliveries.filter(|delivery| is_logged(delivery));
        logged.map(|delivery| &*delivery.message.topic).collect()
    }

    /// What is done in one pass must be what a start does from the events.
    #[test]
    fn the_events_of_what_is_taken_out_take_out_the_same() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for _ in 0..200 {
            let (mut queue, mut replayed) = (Queue::default(), Queue::default());
            for name in 0..rng.random_range(0..20) {
                let qos = Qos::from_u8(rng.random_range(0..3)).expect("0 to 2");
                queue.push(Waiting::Message(delivery(name, qos)));
                if qos != Qos::AtMostOnce {
                    replayed.push(Waiting::Message(delivery(name, qos)));
                }
            }
            let mut dropped = Vec::new();
            let taken = queue.take_out(
                |_| rng.random_ratio(1, 3),
                |event| {
                    let Event::Dropped { index } = event else {
                        panic!("it is dropped");
                    };
                    dropped.extend(replayed.remove_logged(*index));
                },
            );
            assert_eq!(names(taken.iter()), names(dropped.iter()));
            assert_eq!(names(queue.deliveries()), names(replayed.deliveries()));
            let unlogged = queue.deliveries().filter(|delivery| !is_logged(delivery));
            assert_eq!(queue.unlogged, unlogged.count());
        }
    }

    #[test]
    fn events_count_past_messages_at_qos_0() {
        let mut queue = Queue::default();
        for (name, qos) in [
            (1, Qos::AtMostOnce),
            (2, Qos::AtLeastOnce),
            (3, Qos::AtMostOnce),
            (4, Qos::ExactlyOnce),
        ] {
            queue.push(Waiting::Message(delivery(name, qos)));
        }
        assert!(queue.remove_logged(2).is_none());
        let second = queue.remove_logged(1).expect("two are counted");
        assert_eq!(&*second.message.topic, "4");
        let first = queue.remove_logged(0).expect("one is left");
        assert_eq!(&*first.message.topic, "2");
        assert!(queue.remove_logged(0).is_none());
        assert_eq!((queue.len(), queue.unlogged), (2, 2));
    }
}
