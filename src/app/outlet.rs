//! Alerts out of ingest, into the broker.

use broker::Publisher;
use ingest::alert::{Outlet, OutletMessage};

/// Publishes alert messages through the gate.
pub(super) struct GateOutlet {
    publisher: Publisher,
}

impl GateOutlet {
    pub(super) fn new(publisher: Publisher) -> GateOutlet {
        GateOutlet { publisher }
    }
}

impl Outlet for GateOutlet {
    fn publish(&mut self, message: OutletMessage<'_>) {
        // False only while the broker stops: the event is in the database, and its state is
        // published again at the next start.
        let _ = self
            .publisher
            .publish(message.topic, message.payload, message.retain);
    }

    fn retained(&self, filter_prefix: &str) -> Vec<(String, Vec<u8>)> {
        self.publisher.retained(&format!("{filter_prefix}#"))
    }
}
