//! The topics and what stands in them.
//!
//! Owns: the names. Those that other brokers have mean the same here (Mosquitto's manual, "Broker status"); the others are ours.

use super::load::{Averages, RATES, WINDOWS_MINUTES};
use crate::gate::Gate;

/// Why messages are dropped: the last part of `publish/messages/dropped/…`. Their sum is the topic above.
const DROPPED: [&str; 6] = [
    "journal-full",
    "slow-consumer",
    "too-large",
    "expired",
    "router-busy",
    "retained-full",
];

/// The counters at one moment.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) uptime_seconds: u32,
    pub(super) connected: u64,
    pub(super) connected_max: u64,
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) subscriptions: u64,
    pub(super) retained: u64,
    pub(super) publishes_received: u64,
    pub(super) publishes_sent: u64,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
    pub(super) journalled: u64,
    pub(super) journal_bytes: u64,
    pub(super) router_rebuilds: u64,
    /// In the order of `DROPPED`.
    pub(super) dropped: [u64; DROPPED.len()],
}

impl Values {
    pub(super) fn of(gate: &Gate) -> Values {
        let stats = &gate.stats;
        let router = gate.router.stats();
        Values {
            uptime_seconds: gate.seconds(),
            connected: stats.connections.get(),
            connected_max: stats.connections_max.get(),
            accepted: stats.connections_accepted.get(),
            refused: stats.connections_refused.get(),
            subscriptions: stats.subscriptions.get(),
            retained: gate.retained.len() as u64,
            publishes_received: stats.received.get(),
            publishes_sent: stats.delivered.get(),
            bytes_received: stats.received_bytes.get(),
            bytes_sent: stats.sent_bytes.get(),
            journalled: stats.journalled.get(),
            journal_bytes: gate.journal.status().size_bytes,
            router_rebuilds: router.failures + router.renewals,
            dropped: [
                stats.dropped_journal_full.get(),
                stats.dropped_slow_consumer.get(),
                stats.dropped_too_large.get(),
                stats.dropped_expired.get(),
                stats.dropped_router_busy.get(),
                stats.dropped_retained_full.get(),
            ],
        }
    }

    /// In the order of `RATES`.
    pub(super) fn totals(&self) -> [u64; RATES.len()] {
        [
            self.publishes_received,
            self.publishes_sent,
            self.bytes_received,
            self.bytes_sent,
            self.accepted,
        ]
    }

    /// Shows every topic (without the prefix) and its payload.
    pub(super) fn each(&self, averages: &Averages, show: &mut dyn FnMut(&str, String)) {
        show("version", format!("millrace {}", env!("CARGO_PKG_VERSION")));
        show("uptime", format!("{} seconds", self.uptime_seconds));
        let dropped: u64 = self.dropped.iter().sum();
        let numbers = [
            ("clients/connected", self.connected),
            ("clients/maximum", self.connected_max),
            ("clients/accepted", self.accepted),
            ("clients/refused", self.refused),
            ("subscriptions/count", self.subscriptions),
            ("retained messages/count", self.retained),
            ("publish/messages/received", self.publishes_received),
            ("publish/messages/sent", self.publishes_sent),
            ("publish/messages/dropped", dropped),
            ("bytes/received", self.bytes_received),
            ("bytes/sent", self.bytes_sent),
            ("journal/messages", self.journalled),
            ("journal/bytes", self.journal_bytes),
            ("router/rebuilds", self.router_rebuilds),
        ];
        for (name, number) in numbers {
            show(name, number.to_string());
        }
        for (reason, count) in DROPPED.iter().zip(self.dropped) {
            show(
                &format!("publish/messages/dropped/{reason}"),
                count.to_string(),
            );
        }
        for (rate, averages) in RATES.iter().zip(averages) {
            for (minutes, average) in WINDOWS_MINUTES.iter().zip(averages) {
                show(
                    &format!("load/{rate}/{minutes}min"),
                    format!("{average:.2}"),
                );
            }
        }
    }
}
