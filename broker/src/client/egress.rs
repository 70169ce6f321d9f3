//! What leaves for the client: acknowledgements that became durable, and deliveries.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::Waker;
use std::time::SystemTime;

use journal::Position;

use super::{Ack, Client, End};
use crate::connection::UNSENT_BYTES_MAX;
use crate::packet::{Qos, ReasonCode, Version, encode};
use crate::session::Delivery;

impl Client {
    /// Appends to `out` what may leave now; true when more waits only for room in `out`.
    pub(crate) fn send(&mut self, out: &mut Vec<u8>, waker: &Waker) -> Result<bool, End> {
        self.send_acks(out);
        if let Some(reason) = self.closing {
            // Shutting down: the last acknowledgement takes the connection with it.
            return if self.acks.is_empty() {
                Err(End::Refused(reason))
            } else {
                Ok(false)
            };
        }
        Ok(self.send_deliveries(out, waker))
    }

    fn send_acks(&mut self, out: &mut Vec<u8>) {
        if self.acks.is_empty() {
            return;
        }
        let held_back = !self.may_receive();
        let durable = self.gate.journal.durable();
        let is_due = |ack: &Ack| ack.position == Position::ZERO || ack.position <= durable;
        while let Some(ack) = self.acks.pop_front_if(|ack| is_due(ack)) {
            encode::puback(out, self.session.version, ack.packet_id, ack.reason);
        }
        if held_back {
            self.resume_keep_alive();
        }
        if self.acks.is_empty() {
            release_capacity(&mut self.acks);
        }
    }

    fn send_deliveries(&mut self, out: &mut Vec<u8>, waker: &Waker) -> bool {
        // The session is a handle of its own, so that the queue can be read while the rest of `self` changes.
        let session = Arc::clone(&self.session);
        let now = SystemTime::now();
        session.with_outbound(waker, |outbound| {
            loop {
                if out.len() > UNSENT_BYTES_MAX {
                    return true;
                }
                let inflight_free = self.inflight.len() < usize::from(self.terms.inflight_max);
                match outbound.pop(inflight_free) {
                    Some(delivery) => self.deliver(&delivery, now, out),
                    None => return false,
                }
            }
        })
    }

    fn deliver(&mut self, delivery: &Delivery, now: SystemTime, out: &mut Vec<u8>) {
        let message = &*delivery.message;
        let stats = &self.gate.stats;
        let Ok(message_expiry) = message.remaining_expiry(now) else {
            stats.dropped_expired.add(1);
            return;
        };
        let packet_id = match delivery.qos {
            Qos::AtMostOnce => 0,
            _ => self.free_packet_id(),
        };
        let identifier = delivery.identifier.map(NonZeroU32::get);
        let publish = encode::Publish {
            qos: delivery.qos,
            retain: delivery.retain,
            packet_id,
            topic: &message.topic,
            message_expiry,
            subscription_ids: identifier.as_slice(),
            properties: &message.properties,
            payload: &message.payload,
            ..encode::Publish::default()
        };
        let version = self.session.version;
        // [MQTT-3.1.2-24]
        let size_max = self
            .terms
            .max_packet_bytes
            .map_or(usize::MAX, |bytes| bytes as usize);
        if encode::publish_len(version, &publish) > size_max {
            stats.dropped_too_large.add(1);
            return;
        }
        encode::publish(out, version, &publish);
        stats.delivered.add(1);
        if delivery.qos != Qos::AtMostOnce {
            self.last_packet_id = packet_id;
            self.inflight.push_back(packet_id);
        }
    }

    /// The next packet id that no unacknowledged delivery uses. There is one: `inflight_max` is below the number of ids.
    fn free_packet_id(&self) -> u16 {
        let mut id = self.last_packet_id;
        loop {
            id = id.checked_add(1).unwrap_or(1);
            if !self.inflight.contains(&id) {
                return id;
            }
        }
    }

    /// The client acknowledged a delivery. One it never got is ignored: MQTT names no answer to it.
    pub(super) fn acknowledged(&mut self, packet_id: u16) {
        if let Some(index) = self.inflight.iter().position(|id| *id == packet_id) {
            self.inflight.remove(index);
        }
        if self.inflight.is_empty() {
            release_capacity(&mut self.inflight);
        }
    }

    /// Queues an acknowledgement behind those of earlier publishes.
    pub(super) fn acknowledge(&mut self, packet_id: u16, reason: ReasonCode, position: Position) {
        self.acks.push_back(Ack {
            packet_id,
            reason,
            position,
        });
    }

    /// SUBACK or UNSUBACK codes as the client's version has them.
    pub(super) fn speaks_v5(&self) -> bool {
        self.session.version == Version::V5
    }
}

/// A queue's buffer above this many entries is given back once it is empty, for the sake of idle connections.
const KEPT_CAPACITY: usize = 8;

fn release_capacity<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > KEPT_CAPACITY {
        *queue = VecDeque::new();
    }
}
