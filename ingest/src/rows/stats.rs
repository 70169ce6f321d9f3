//! The lane's counts, and the account of the journal's records.
//!
//! Invariant: what came in is stored, filtered, dead-lettered or held, for records and for samples,
//! at any moment.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use journal::{Journal, Position};
use store::Reasons;
use store::{Batch, Outcome};
use store::{Checkpoint, Totals};
use store::{Counts, Reason};
use telemetry::Micros;

/// Where the journal's records have ended: received = stored + filtered + dead-lettered + pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    pub received: u64,
    pub stored: u64,
    pub filtered: u64,
    pub dead_lettered: u64,
    pub pending: u64,
    /// Everything before it is committed.
    pub position: Position,
}

/// What has come to the lane since the process started.
#[derive(Debug, Default)]
pub(super) struct Stats {
    records_in: AtomicU64,
    samples_in: AtomicU64,
    series: AtomicU64,
    relabelled: AtomicU64,
    store_failures: AtomicU64,
    away: AtomicU64,
    committed: Mutex<Committed>,
}

#[derive(Debug, Default)]
struct Committed {
    checkpoint: Option<Known>,
    records: Totals,
    samples_stored: u64,
    samples_refused: u64,
    filtered: Counts,
    dead_letters: BTreeMap<&'static str, u64>,
    alerts_refused: u64,
    commits: u64,
    commit_time: Duration,
    commit_time_max: Duration,
    commit_time_last: Duration,
    /// Where batches that are not committed begin, and when their first record was received; as
    /// many as are under way.
    begun: VecDeque<(Position, Micros)>,
}

#[derive(Debug)]
struct Known {
    rows: Position,
    alerts: Position,
    totals: Totals,
    reasons: Reasons,
}

/// The counts at one moment, all since the process started unless they say otherwise.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub records_in: u64,
    pub records: Totals,
    /// Read and not committed yet.
    pub records_held: u64,
    /// Values found in payloads.
    pub samples_in: u64,
    pub samples_stored: u64,
    pub samples_filtered: u64,
    /// Of records the store refused.
    pub samples_refused: u64,
    pub samples_held: u64,
    /// By reason; `NoValues` counts records, the others samples.
    pub filtered: Counts,
    /// Records by reason.
    pub dead_letters: BTreeMap<&'static str, u64>,
    /// Alert states and events that the store refused and that are lost to it.
    pub alerts_refused: u64,
    pub commits: u64,
    pub commit_time: Duration,
    pub commit_time_max: Duration,
    pub commit_time_last: Duration,
    pub store_failures: u64,
    pub store_is_away: bool,
    /// Series known to the lane.
    pub series: u64,
    /// Records whose topic gives a series other labels than its first message did.
    pub relabelled: u64,
    /// Committed; zero before the store was first reached.
    pub rows_position: Position,
    pub alerts_position: Position,
    /// Records in the journal behind `rows_position`.
    pub lag: u64,
    /// When the first record that is read and not committed was received.
    pub oldest_received_at: Option<Micros>,
}

impl Stats {
    pub(super) fn record_in(&self, samples: u64) {
        self.records_in.fetch_add(1, Ordering::Relaxed);
        self.samples_in.fetch_add(samples, Ordering::Relaxed);
    }

    /// A batch begins with this record; told once a batch.
    pub(super) fn batch_begun(&self, start: Position, received_at: Micros) {
        self.lock().begun.push_back((start, received_at));
    }

    pub(super) fn set_series(&self, series: usize) {
        self.series.store(series as u64, Ordering::Relaxed);
    }

    /// A record came with other labels than its series has.
    pub(super) fn relabelled(&self) {
        self.relabelled.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn store_failed(&self) {
        self.store_failures.fetch_add(1, Ordering::Relaxed);
        self.away.store(1, Ordering::Relaxed);
    }

    pub(super) fn store_answered(&self) {
        self.away.store(0, Ordering::Relaxed);
    }

    pub(super) fn loaded(&self, checkpoint: &Checkpoint) {
        self.lock().checkpoint = Some(Known {
            rows: checkpoint.rows,
            alerts: checkpoint.alerts,
            totals: checkpoint.totals,
            reasons: checkpoint.reasons.clone(),
        });
    }

    /// A batch, or a part of one, is committed. `refused` samples of it became a dead letter.
    pub(super) fn committed(&self, batch: &Batch, alerts: Option<Position>, refused: u64) {
        let mut inner = self.lock();
        let totals = Totals::of(&batch.outcomes);
        for outcome in &batch.outcomes {
            if let Outcome::Filtered(Reason::NoValues) = outcome {
                inner.filtered.add(Reason::NoValues);
            }
        }
        for filtered in &batch.filtered {
            let values = u64::from(filtered.values);
            inner.filtered.add_many(filtered.reason, values);
        }
        add(&mut inner.records, totals);
        inner.samples_stored += (batch.samples.len() + batch.texts.len()) as u64;
        inner.samples_refused += refused;
        for letter in &batch.dead_letters {
            *inner.dead_letters.entry(letter.reason).or_default() += 1;
        }
        let end = batch.end();
        while inner.begun.front().is_some_and(|(start, _)| *start < end) {
            inner.begun.pop_front();
        }
        if let Some(known) = &mut inner.checkpoint {
            known.rows = batch.end();
            known.alerts = alerts.unwrap_or(known.alerts);
            add(&mut known.totals, totals);
            known.reasons.add(&Reasons::of(batch));
        }
    }

    pub(super) fn committed_in(&self, time: Duration) {
        let mut inner = self.lock();
        inner.commits += 1;
        inner.commit_time += time;
        inner.commit_time_last = time;
        inner.commit_time_max = inner.commit_time_max.max(time);
    }

    pub(super) fn alert_refused(&self) {
        self.lock().alerts_refused += 1;
    }

    pub(super) fn account(&self, journal: &dyn Journal) -> Option<Account> {
        let inner = self.lock();
        let known = inner.checkpoint.as_ref()?;
        Some(known.account(journal))
    }

    /// Both of one moment; `None` before the store was first reached.
    pub(super) fn account_by_reason(&self, journal: &dyn Journal) -> Option<(Account, Reasons)> {
        let inner = self.lock();
        let known = inner.checkpoint.as_ref()?;
        Some((known.account(journal), known.reasons.clone()))
    }

    pub(super) fn snapshot(&self, journal: &dyn Journal) -> Snapshot {
        let inner = self.lock();
        let known = inner.checkpoint.as_ref();
        // Read after what was committed, so that what is held is never negative.
        let records_in = self.records_in.load(Ordering::Relaxed);
        let samples_in = self.samples_in.load(Ordering::Relaxed);
        let records_out =
            inner.records.stored + inner.records.filtered + inner.records.dead_lettered;
        let samples_filtered = inner.filtered.total() - inner.filtered.get(Reason::NoValues);
        let samples_out = inner.samples_stored + samples_filtered + inner.samples_refused;
        let rows_position = known.map_or(Position::ZERO, |known| known.rows);
        Snapshot {
            records_in,
            records: inner.records,
            records_held: records_in.saturating_sub(records_out),
            samples_in,
            samples_stored: inner.samples_stored,
            samples_filtered,
            samples_refused: inner.samples_refused,
            samples_held: samples_in.saturating_sub(samples_out),
            filtered: inner.filtered,
            dead_letters: inner.dead_letters.clone(),
            alerts_refused: inner.alerts_refused,
            commits: inner.commits,
            commit_time: inner.commit_time,
            commit_time_max: inner.commit_time_max,
            commit_time_last: inner.commit_time_last,
            store_failures: self.store_failures.load(Ordering::Relaxed),
            store_is_away: self.away.load(Ordering::Relaxed) > 0,
            series: self.series.load(Ordering::Relaxed),
            relabelled: self.relabelled.load(Ordering::Relaxed),
            rows_position,
            alerts_position: known.map_or(Position::ZERO, |known| known.alerts),
            lag: journal.end().since(rows_position),
            oldest_received_at: inner.begun.front().map(|(_, received_at)| *received_at),
        }
    }

    /// Nothing between lock and unlock can panic, so a poisoned lock holds whole values.
    fn lock(&self) -> MutexGuard<'_, Committed> {
        self.committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn account(&self, journal: &dyn Journal) -> Account {
        // Read after the totals: the end only grows, so what is pending is never negative.
        let received = journal.end().max(self.rows);
        Account {
            received: received.0,
            stored: self.totals.stored,
            filtered: self.totals.filtered,
            dead_lettered: self.totals.dead_lettered,
            pending: received.since(self.rows),
            position: self.rows,
        }
    }
}

fn add(sum: &mut Totals, more: Totals) {
    sum.stored += more.stored;
    sum.filtered += more.filtered;
    sum.dead_lettered += more.dead_lettered;
}
