//! From a message to the queues of those who subscribe to it.

use std::sync::Arc;

use crate::lock::read;
use crate::message::Message;
use crate::router::{Deliver, FilterId};
use crate::session::Delivery;
use crate::stats::Stats;
use crate::subscriptions::{FilterEntry, Subscriptions};

/// What the router calls for every message that matches a wildcard filter.
pub(crate) struct Fanout {
    pub(crate) subscriptions: Arc<Subscriptions>,
    pub(crate) stats: Arc<Stats>,
}

impl Deliver for Fanout {
    fn deliver(&self, filter: FilterId, message: &Arc<Message>) {
        // A filter that is gone had its last member leave while the message was on its way.
        if let Some(entry) = self.subscriptions.by_id(filter) {
            to_members(&entry, message, &self.stats);
        }
    }
}

/// Queues the message for every member of the filter, as each asked for it.
pub(crate) fn to_members(entry: &FilterEntry, message: &Arc<Message>, stats: &Stats) {
    for member in read(&entry.members).iter() {
        let options = &member.options;
        if options.no_local && message.publisher == member.session.number {
            continue;
        }
        let delivery = Delivery {
            message: Arc::clone(message),
            qos: message.qos.min(options.qos),
            retain: message.retain && options.retain_as_published,
            identifier: options.identifier,
            snapshot: false,
        };
        member.session.enqueue(delivery, stats);
    }
}
