//! From a message to the queues of those who subscribe to it.

use std::sync::Arc;

use crate::delivery::Delivery;
use crate::lock::read;
use crate::message::Message;
use crate::session::Session;
use crate::stats::Stats;
use crate::subscriptions::{FilterEntry, Kept, Subscriptions};
use router::{Outlet, Router};

/// What the broker tells about itself travels by this to wildcard subscribers.
pub(crate) type AnnouncementRouter = dyn Router<Arc<FilterEntry>, Arc<Message>>;

/// Where the router delivers.
pub(crate) struct Fanout {
    pub(crate) subscriptions: Arc<Subscriptions>,
    pub(crate) stats: Arc<Stats>,
}

impl Outlet<Arc<FilterEntry>, Arc<Message>> for Fanout {
    fn deliver(&self, filter: &Arc<FilterEntry>, message: &Arc<Message>) {
        to_holders(filter, message, &self.stats);
    }

    fn matching(&self, topic: &str) -> Vec<Arc<FilterEntry>> {
        self.subscriptions.targets(topic).wildcards
    }
}

/// Queues the message for every member of the filter, as each asked for it, and for one member of
/// each of its groups.
pub(crate) fn to_holders(entry: &FilterEntry, message: &Arc<Message>, stats: &Stats) {
    let holders = read(&entry.holders);
    for member in &holders.members {
        if member.options.no_local && message.publisher == member.session.number {
            continue;
        }
        if !member.admits(message) {
            stats.withheld.add(1);
            continue;
        }
        let delivery = Delivery::live(message, &member.options);
        member.session.enqueue(delivery, stats);
    }
    for group in holders.groups.values() {
        group.dispatch(message, stats);
    }
}

/// Gives the deliveries of shared subscriptions that a session leaves behind to other members of
/// their groups, in order.
///
/// Which ones: those at QoS 1 that are unsent or unacknowledged, and those at QoS 0 and 2 that are
/// unsent; a QoS 2 delivery that was sent stays with its session: [MQTT-4.8.2-4], [MQTT-4.8.2-5].
/// One that the client refused is discarded: [MQTT-4.8.2-6].
///
/// To be called without any session's lock, after the session can be given nothing more: it has
/// left its filters, or, when it is kept, counts as offline. What nobody else can take is returned
/// if the session is kept, still in order, and belongs before whatever was queued since; otherwise
/// it is dropped and counted.
pub(crate) fn hand_on(
    deliveries: impl IntoIterator<Item = Delivery>,
    leaving: &Session,
    kept: Kept,
    stats: &Stats,
) -> Vec<Delivery> {
    let mut left = Vec::new();
    for delivery in deliveries {
        let taken = delivery
            .share
            .as_ref()
            .is_some_and(|group| group.hand_on(&delivery.message, leaving.number, kept));
        match (taken, kept) {
            (true, _) => stats.handed_on.add(1),
            (false, Kept::Yes) => left.push(delivery),
            (false, Kept::No) => stats.dropped_no_member.add(1),
        }
    }
    left
}
