//! How Millrace itself publishes: alerts enter here.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use bytes::Bytes;

use crate::gate::Gate;
use crate::message::Message;
use crate::router::Busy;
use mqtt::Qos;

/// Publishes from a thread that may block; messages leave in the order of the calls.
#[derive(Clone)]
pub struct Publisher {
    gate: Arc<Gate>,
}

/// A wait is looked at again after this long, in case the process is stopping and nobody wakes it.
const RECHECK: Duration = Duration::from_millis(100);

impl Publisher {
    pub(crate) fn new(gate: Arc<Gate>) -> Publisher {
        Publisher { gate }
    }

    /// Retains (if asked) and fans out one message at QoS 1; waits while the router is behind, and
    /// gives up (false) when the broker has stopped.
    pub fn publish(&self, topic: &str, payload: &[u8], retain: bool) -> bool {
        let payload = Bytes::copy_from_slice(payload);
        let now = self.gate.clock.now_micros();
        let message = Message::own(topic.into(), payload, Qos::AtLeastOnce, retain, now);
        let message = Arc::new(message);
        match self.gate.distribute(&message) {
            Ok(()) => true,
            Err(Busy) => self.wait_for_router(&message),
        }
    }

    /// The retained messages of all topics that match the filter: (topic, payload).
    pub fn retained(&self, filter: &str) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        self.gate.retained.matching(filter, &mut |message| {
            found.push((message.topic.to_string(), message.payload.to_vec()));
        });
        found
    }

    fn wait_for_router(&self, message: &Arc<Message>) -> bool {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        while !self.gate.ended.is_cancelled() {
            match self.gate.poll_publish(message, &mut context) {
                Poll::Ready(()) => return true,
                Poll::Pending => std::thread::park_timeout(RECHECK),
            }
        }
        false
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
