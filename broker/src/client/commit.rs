//! The end of a read: its telemetry goes to the journal, and the log of kept sessions hears of its
//! QoS 2 publishes.
//!
//! Owns: in which order, and what becomes of the publishes when the journal refuses. Never: waits.
//! Invariant: the log is told of the QoS 2 publishes of one client in the order in which they came,
//! and of none before all its copies are queued.

use std::sync::Arc;
use std::task::Waker;

use journal::{AppendError, Position, RecordBatch};

use super::Client;
use mqtt::ReasonCode;

/// What came of a batch.
enum Appended {
    /// Its records lie before this position.
    At(Position),
    /// The journal cannot take it, and the client must wait for it.
    Parked,
    /// There is none, or it is given up.
    Nothing,
}

/// A buffer of more entries is given back once it is empty, for the sake of idle connections.
const KEPT_BEGUN: usize = 4;

impl Client {
    /// Hands the batch to the journal, which leaves it empty, and lets the acknowledgements know
    /// what they wait for. False: the journal cannot take it, and the client must wait for it.
    pub(super) fn commit(&mut self, batch: &mut RecordBatch, waker: &Waker) -> bool {
        if batch.is_empty() && self.begun.is_empty() {
            return true;
        }
        let session = Arc::clone(&self.session);
        // Until the log knows where the records are.
        let journals = self.begun.iter().any(|begun| begun.journals);
        let _exchange = journals.then(|| session.exchange()).flatten();
        let appended = if batch.is_empty() {
            Appended::Nothing
        } else {
            self.append(batch, waker)
        };
        let journalled = match appended {
            Appended::At(end) => Some(end),
            Appended::Parked | Appended::Nothing => None,
        };
        let saved = self.tell_begun(journalled, waker);
        let is_parked = matches!(appended, Appended::Parked);
        self.begun.retain(|begun| is_parked && begun.journals);
        self.begun.shrink_to(KEPT_BEGUN);
        if let Some(end) = journalled {
            self.acks.place(end, saved);
        }
        !is_parked
    }

    fn append(&mut self, batch: &mut RecordBatch, waker: &Waker) -> Appended {
        let records = u64::from(batch.len());
        let result = match self.gate.journal.append(batch, waker) {
            Err(AppendError::Full | AppendError::Busy) => {
                // Registered before the second try: space that is released in between must not be
                // missed.
                self.gate.journal.wake_when_writable(waker);
                self.gate.journal.append(batch, waker)
            }
            result => result,
        };
        match result {
            Ok(end) => {
                self.gate.stats.journalled.add(records);
                Appended::At(end)
            }
            Err(AppendError::Full) => self.journal_full(batch),
            Err(AppendError::Busy) => Appended::Parked,
            // The process is about to stop; nothing of this is acknowledged, so the client sends it
            // again.
            Err(AppendError::Poisoned(_)) => {
                self.closing = Some(ReasonCode::ServerUnavailable);
                *batch = RecordBatch::new();
                Appended::Nothing
            }
        }
    }

    /// MQTT 5 can be told and goes on; a QoS 0 publish is dropped as its level allows; a 3.1.1
    /// client at QoS 1 must wait.
    fn journal_full(&mut self, batch: &mut RecordBatch) -> Appended {
        let waiting = self.acks.unplaced().count() as u64;
        if !self.speaks_v5() && waiting > 0 {
            return Appended::Parked;
        }
        self.acks.refuse_unplaced(ReasonCode::QuotaExceeded);
        let records = u64::from(batch.len());
        self.gate.stats.refused_journal_full.add(waiting);
        // One id sent twice in a batch has one record and two acknowledgements.
        let dropped = records.saturating_sub(waiting);
        self.gate.stats.dropped_journal_full.add(dropped);
        *batch = RecordBatch::new();
        Appended::Nothing
    }

    /// Tells the log of the QoS 2 publishes. Those whose records the journal has not taken are told
    /// as distributed: when the client is lost meanwhile, or before it hears of a refusal, it
    /// publishes again what the journal is to have, and nobody gets it twice. Where the log must be
    /// durable before they are answered.
    fn tell_begun(&mut self, journalled: Option<Position>, waker: &Waker) -> Position {
        if self.begun.is_empty() {
            return Position::ZERO;
        }
        let told = self.session.tell(&self.begun, journalled, waker);
        // Also when the session itself is not in the log: its copies may be.
        let queued = self.gate.log_of_queues().map(|log| log.end());
        let saved = told.max(queued.unwrap_or_default());
        self.acks.told(saved);
        saved
    }

    /// The connection is gone. What was distributed is not distributed again.
    pub(super) fn leave_begun(&mut self) {
        if !self.begun.is_empty() {
            self.session.tell(&self.begun, None, Waker::noop());
        }
        self.session.forget_begun();
    }
}
