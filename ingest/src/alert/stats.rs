//! What the alerts lane has done, for metrics.
//!
//! Owns: the counters. Invariant: `records = skipped + decoded`, and every counter only grows
//! (`active` and the positions apart).

use std::sync::atomic::{AtomicU64, Ordering};

use super::event::EventState;
use super::rules::Severity;

/// Written by the lane, read by anyone.
#[derive(Debug, Default)]
pub struct Stats {
    /// Records read from the journal, those of the warm-up and the replay after a restart included.
    pub records: AtomicU64,
    /// Of these, passed over without decoding, since no rule needs their samples.
    pub skipped: AtomicU64,
    /// Of these, decoded.
    pub decoded: AtomicU64,
    /// Samples held against an instance.
    pub evaluated: AtomicU64,
    /// Of these, ignored because a later one of the series came before.
    pub out_of_order: AtomicU64,
    /// Instances not created because of `max_instances`.
    pub instances_refused: AtomicU64,
    /// Instances in memory.
    pub instances: AtomicU64,
    /// Everything before it is evaluated.
    pub position: AtomicU64,
    /// Records in the journal behind it.
    pub lag: AtomicU64,
    /// 1 after the lane stopped because of an error.
    pub failed: AtomicU64,
    events: [[AtomicU64; EventState::ALL.len()]; Severity::ALL.len()],
    active: [AtomicU64; Severity::ALL.len()],
}

impl Stats {
    /// Events published since the start.
    pub fn events(&self, severity: Severity, state: EventState) -> u64 {
        self.events[severity as usize][state as usize].load(Ordering::Relaxed)
    }

    /// Alerts firing now.
    pub fn active(&self, severity: Severity) -> u64 {
        self.active[severity as usize].load(Ordering::Relaxed)
    }

    pub(super) fn count_event(&self, severity: Severity, state: EventState) {
        self.events[severity as usize][state as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn alert_began(&self, severity: Severity) {
        self.active[severity as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn alert_ended(&self, severity: Severity) {
        self.active[severity as usize].fetch_sub(1, Ordering::Relaxed);
    }
}
