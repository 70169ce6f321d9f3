//! What a run counts.
//!
//! Owns: the counters all connections share, and each worker's latencies. Never: formats.
//! Invariant: `sent = acknowledged + failed + in flight` for QoS 1 and 2.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::latency::Latencies;
use crate::fleet::FaultCounters;

/// Counters that the progress display reads while a run goes on.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Messages sent for the first time.
    pub(crate) sent: AtomicU64,
    pub(crate) acknowledged: AtomicU64,
    /// Samples in acknowledged messages.
    pub(crate) samples: AtomicU64,
    /// Messages the server refused for good.
    pub(crate) failed: AtomicU64,
    /// Messages sent again after a reconnect.
    pub(crate) resent: AtomicU64,
    /// Messages the server put off (MQTT 5, 0x97).
    pub(crate) put_off: AtomicU64,
    /// Connections open now.
    pub(crate) connected: AtomicU64,
    /// Connections that were lost, or broken by a fault, and opened again.
    pub(crate) reconnects: AtomicU64,
    /// Attempts to connect that failed.
    pub(crate) connect_failures: AtomicU64,
    pub(crate) faults: Arc<FaultCounters>,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        if count > 0 {
            counter.fetch_add(count, Relaxed);
        }
    }
}

/// What one worker's connections found out.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) puback: Latencies,
    pub(crate) connect: Latencies,
    pub(crate) in_flight: u64,
    pub(crate) unsent: u64,
    pub(crate) first_sent: Option<std::time::Instant>,
    pub(crate) last_acknowledged: Option<std::time::Instant>,
    /// Why the server refused a message, the first time it did.
    pub(crate) refusal: Option<&'static str>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            puback: Latencies::new(),
            connect: Latencies::new(),
            in_flight: 0,
            unsent: 0,
            first_sent: None,
            last_acknowledged: None,
            refusal: None,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.puback.add(&other.puback);
        self.connect.add(&other.connect);
        self.in_flight += other.in_flight;
        self.unsent += other.unsent;
        self.first_sent = match (self.first_sent, other.first_sent) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.last_acknowledged = self.last_acknowledged.max(other.last_acknowledged);
        self.refusal = self.refusal.or(other.refusal);
    }
}
