//! What was sent to a client and is not acknowledged yet: the in-flight window.
//!
//! Owns: packet ids of deliveries and how far each has come. Never: decides what is sent.
//! Invariants: entries lie in the order of their first sending, which is the order they are sent
//! again in [MQTT-4.6.0-1]; the first `sent` of them have been sent on this connection; no two have
//! the same packet id.

use std::collections::VecDeque;

use journal::Position;

use crate::delivery::Delivery;
use mqtt::Qos;

/// A delivery under its packet id.
#[derive(Clone)]
pub(crate) struct InFlight {
    pub(crate) packet_id: u16,
    /// It was sent on an earlier connection, so a further sending says DUP [MQTT-3.3.1-1].
    pub(crate) sent_before: bool,
    /// At QoS 2, where the log must be durable before it is sent.
    pub(crate) saved: Position,
    pub(crate) stage: Stage,
}

#[derive(Clone)]
pub(crate) enum Stage {
    /// PUBLISH is sent; PUBACK or PUBREC is awaited.
    Published(Delivery),
    /// PUBREC has come and the message is forgotten; PUBREL is sent until PUBCOMP comes.
    Released,
}

/// The client acknowledged a QoS 1 delivery as one of QoS 2, or the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the acknowledgement does not belong to the delivery's qos")]
pub(crate) struct Mismatch;

#[derive(Default)]
pub(crate) struct Window {
    entries: VecDeque<InFlight>,
    sent: usize,
    last_packet_id: u16,
    /// So many packet ids behind the last one are known to be free; saves looking for each.
    free_ahead: u16,
}

/// Packet ids run from 1 to this.
const PACKET_ID_MAX: u16 = u16::MAX;
/// A window's buffer above this many entries is given back once it is empty, for the sake of idle
/// connections.
const KEPT_CAPACITY: usize = 8;

impl InFlight {
    /// Whether it is a QoS 2 delivery.
    pub(crate) fn is_exactly_once(&self) -> bool {
        match &self.stage {
            Stage::Published(delivery) => delivery.qos == Qos::ExactlyOnce,
            Stage::Released => true,
        }
    }
}

impl Window {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = &InFlight> {
        self.entries.iter()
    }

    /// The messages that are in flight; not those that were released.
    pub(crate) fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.entries.iter().filter_map(|entry| match &entry.stage {
            Stage::Published(delivery) => Some(delivery),
            Stage::Released => None,
        })
    }

    pub(super) fn deliveries_mut(&mut self) -> impl Iterator<Item = &mut Delivery> {
        let entries = self.entries.iter_mut();
        entries.filter_map(|entry| match &mut entry.stage {
            Stage::Published(delivery) => Some(delivery),
            Stage::Released => None,
        })
    }

    /// The message that came last, while it is in flight.
    pub(super) fn last_delivery(&self) -> Option<&Delivery> {
        match &self.entries.back()?.stage {
            Stage::Published(delivery) => Some(delivery),
            Stage::Released => None,
        }
    }

    /// Whether what is in flight had left before a restart is not known; saying DUP of a message
    /// that had not does no harm.
    pub(super) fn lose_connection(&mut self) {
        self.sent = 0;
        for entry in &mut self.entries {
            entry.sent_before = true;
        }
    }

    /// How many have been sent on this connection.
    pub(crate) fn sent(&self) -> usize {
        self.sent
    }

    /// Takes a delivery in under `packet_id`, which `next_packet_id` gave.
    pub(crate) fn push(&mut self, packet_id: u16, delivery: Delivery, saved: Position) {
        self.take_back(InFlight {
            packet_id,
            sent_before: false,
            saved,
            stage: Stage::Published(delivery),
        });
    }

    /// Takes in what was in flight before a restart.
    pub(crate) fn take_back(&mut self, entry: InFlight) {
        self.entries.push_back(entry);
    }

    pub(crate) fn last_packet_id(&self) -> u16 {
        self.last_packet_id
    }

    pub(crate) fn set_last_packet_id(&mut self, packet_id: u16) {
        self.last_packet_id = packet_id;
    }

    /// The next entry to be sent on this connection.
    pub(crate) fn unsent(&self) -> Option<&InFlight> {
        self.entries.get(self.sent)
    }

    /// The entry that `unsent` shows has been sent.
    pub(crate) fn mark_sent(&mut self) {
        if let Some(entry) = self.entries.get_mut(self.sent) {
            entry.sent_before = true;
            self.sent += 1;
        }
    }

    /// A new connection: everything is to be sent again.
    pub(crate) fn start_over(&mut self) {
        self.sent = 0;
    }

    /// PUBACK, or a PUBREC that refuses: the delivery is done. `None`: there is none under this id.
    pub(crate) fn acknowledged(&mut self, packet_id: u16) -> Option<InFlight> {
        let at = self.find(packet_id)?;
        self.remove(at)
    }

    /// The entry under the packet id.
    pub(crate) fn get_mut(&mut self, packet_id: u16) -> Option<&mut InFlight> {
        let at = self.find(packet_id)?;
        self.entries.get_mut(at)
    }

    /// Clients acknowledge in order, so the front is the usual hit.
    fn find(&self, packet_id: u16) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| entry.packet_id == packet_id)
    }

    fn remove(&mut self, at: usize) -> Option<InFlight> {
        let entry = self.entries.remove(at)?;
        self.sent -= usize::from(at < self.sent);
        self.tidy();
        Some(entry)
    }

    fn tidy(&mut self) {
        if self.entries.is_empty() && self.entries.capacity() > KEPT_CAPACITY {
            self.entries = VecDeque::new();
        }
    }

    /// A packet id that no entry has. There must be fewer entries than packet ids.
    pub(crate) fn next_packet_id(&mut self) -> u16 {
        let mut id = following(self.last_packet_id);
        if self.free_ahead == 0 {
            if self.find(id).is_some() {
                id = self.free_from(id);
            }
            // Ids are freed by acknowledgements and taken only here: what is free now stays so
            // until it is reached.
            let nearest = self
                .entries
                .iter()
                .map(|entry| distance(id, entry.packet_id));
            self.free_ahead = nearest.min().unwrap_or(PACKET_ID_MAX);
        }
        self.free_ahead -= 1;
        self.last_packet_id = id;
        id
    }

    /// The first id from `id` on that is not in use; looks at every entry once, however many there
    /// are.
    fn free_from(&self, id: u16) -> u16 {
        let mut used = vec![false; usize::from(PACKET_ID_MAX) + 1];
        for entry in &self.entries {
            used[usize::from(entry.packet_id)] = true;
        }
        std::iter::successors(Some(id), |id| Some(following(*id)))
            .take(usize::from(PACKET_ID_MAX))
            .find(|id| !used[usize::from(*id)])
            // There are fewer entries than ids, so this is never reached.
            .unwrap_or(id)
    }
}

fn following(packet_id: u16) -> u16 {
    packet_id.checked_add(1).unwrap_or(1)
}

/// How many ids lie from `from` on until `to` is reached; never 0 for two different ones.
fn distance(from: u16, to: u16) -> u16 {
    match to.checked_sub(from) {
        Some(ahead) => ahead,
        // Around the end, where 0 is left out.
        None => PACKET_ID_MAX - (from - to),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::message::Message;

    fn delivery() -> Delivery {
        Delivery {
            message: Arc::new(Message {
                topic: "a".into(),
                payload: bytes::Bytes::new(),
                qos: Qos::AtLeastOnce,
                retain: false,
                properties: bytes::Bytes::new(),
                expiry_seconds: None,
                publisher: 0,
                received_at: 0,
                origin: Default::default(),
                holders: Default::default(),
            }),
            qos: Qos::AtLeastOnce,
            retain: false,
            identifier: None,
            snapshot: false,
            share: None,
        }
    }

    fn push(window: &mut Window) -> u16 {
        let packet_id = window.next_packet_id();
        window.push(packet_id, delivery(), Position::ZERO);
        packet_id
    }

    #[test]
    fn packet_ids_run_around_and_step_over_those_in_use() {
        let mut window = Window::default();
        assert_eq!(push(&mut window), 1);
        assert_eq!(push(&mut window), 2);
        for expected in 3..=u16::MAX {
            assert_eq!(push(&mut window), expected);
            if expected != 3 {
                window.acknowledged(expected);
            }
        }
        assert_eq!(push(&mut window), 4, "1, 2 and 3 are still in use");
        window.acknowledged(1);
        window.acknowledged(2);
        assert_eq!(push(&mut window), 5);
        let ids: Vec<_> = window.entries().map(|entry| entry.packet_id).collect();
        assert_eq!(ids, [3, 4, 5]);
    }

    #[test]
    fn all_but_one_id_can_be_in_use() {
        let mut window = Window::default();
        (1..=u16::MAX).for_each(|expected| assert_eq!(push(&mut window), expected));
        assert!(window.acknowledged(40_000).is_some());
        assert_eq!(push(&mut window), 40_000);
        window.acknowledged(39_999);
        window.acknowledged(40_001);
        assert_eq!(push(&mut window), 40_001);
        assert_eq!(push(&mut window), 39_999);
    }

    #[test]
    fn a_new_connection_sends_everything_again_in_order() {
        let mut window = Window::default();
        for _ in 0..3 {
            push(&mut window);
            window.mark_sent();
        }
        assert!(window.unsent().is_none());
        window.acknowledged(2);
        window.start_over();
        let mut again = Vec::new();
        while let Some(entry) = window.unsent() {
            again.push((entry.packet_id, entry.sent_before));
            window.mark_sent();
        }
        assert_eq!(again, [(1, true), (3, true)]);
        push(&mut window);
        assert_eq!(window.unsent().map(|entry| entry.sent_before), Some(false));
    }
}
