//! One message on its way to one subscriber.
//!
//! Owns: what a subscription asks for, and what it makes of a message. Never: queues or sends it.
//! Invariant: a copy has the publish's QoS or the subscription's, whichever is lower.

use std::num::NonZeroU32;
use std::sync::Arc;

use crate::message::Message;
use crate::subscriptions::Group;
use mqtt::Qos;

/// What a place in a queue or a window costs.
pub(crate) const PLACE_BYTES: usize = 64;

/// Bounds of a session's queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueLimits {
    pub(crate) messages: usize,
    /// What is queued and what is in flight.
    pub(crate) bytes: usize,
}

/// What a member asked for with its subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) qos: Qos,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    pub(crate) identifier: Option<NonZeroU32>,
}

#[derive(Clone)]
pub(crate) struct Delivery {
    pub(crate) message: Arc<Message>,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) identifier: Option<NonZeroU32>,
    /// A retained message sent because of a subscribe: it lies in the retained store anyway, so it
    /// does not count against the queue's limits, and a console that subscribes gets everything
    /// that is active.
    pub(crate) snapshot: bool,
    /// The group of a shared subscription it was chosen from: another member gets it when this one
    /// leaves.
    pub(crate) share: Option<Arc<Group>>,
}

impl Delivery {
    /// A message that has just been published, as the subscription asks for it.
    pub(crate) fn live(message: &Arc<Message>, options: &Options) -> Delivery {
        Delivery {
            message: Arc::clone(message),
            qos: message.qos.min(options.qos),
            retain: message.retain && options.retain_as_published,
            identifier: options.identifier,
            snapshot: false,
            share: None,
        }
    }

    /// What it counts against the queue's limit; with a fixed part, so that a queue of empty
    /// messages is bounded too.
    pub(crate) fn bytes(&self) -> usize {
        if self.snapshot {
            return 0;
        }
        let Message {
            topic,
            payload,
            properties,
            ..
        } = &*self.message;
        topic.len() + payload.len() + properties.len() + PLACE_BYTES
    }
}
