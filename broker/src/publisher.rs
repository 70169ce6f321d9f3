//! How Millrace itself publishes: alerts enter here.

use std::sync::Arc;

use bytes::Bytes;

use crate::gate::Gate;
use crate::message::Message;
use mqtt::Qos;

/// Publishes from any thread; messages leave in the order of the calls.
#[derive(Clone)]
pub struct Publisher {
    gate: Arc<Gate>,
}

impl Publisher {
    pub(crate) fn new(gate: Arc<Gate>) -> Publisher {
        Publisher { gate }
    }

    /// Retains (if asked) one message at QoS 1 and queues it for its subscribers; false when the
    /// broker has stopped.
    pub fn publish(&self, topic: &str, payload: &[u8], retain: bool) -> bool {
        if self.gate.ended.is_cancelled() {
            return false;
        }
        let payload = Bytes::copy_from_slice(payload);
        let now = self.gate.clock.now_micros();
        let message = Message::own(topic.into(), payload, Qos::AtLeastOnce, retain, now);
        self.gate.distribute(message);
        true
    }

    /// The retained messages of all topics that match the filter: (topic, payload).
    pub fn retained(&self, filter: &str) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        self.gate.retained.matching(filter, &mut |message| {
            found.push((message.topic.to_string(), message.payload.to_vec()));
        });
        found
    }
}
