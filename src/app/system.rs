//! What the broker tells of the journal and of ingest below `$SYS/broker/`.
//!
//! Owns: the names. Never: counts. Invariant: what stands under `ingest` counts since the journal
//! began, as the tables do, so received = stored + filtered + dead-lettered + pending.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use broker::SystemValues;
use ingest::rows::{Observer, Snapshot};
use journal::{Journal, Status};
use telemetry::now_micros;

pub(super) fn values(journal: Arc<dyn Journal>, rows: Observer) -> SystemValues {
    let commits = Mutex::new(Commits::default());
    Arc::new(move |show| {
        let stats = rows.stats();
        show_journal(&journal.status(), &stats, show);
        // Nothing between lock and unlock can panic.
        let mut commits = commits.lock().unwrap_or_else(PoisonError::into_inner);
        commits.show(&stats, show);
        drop(commits);
        show_account(&rows, &stats, show);
    })
}

/// Records that the journal must keep, since rows or alerts still need them; all of it while the
/// database is unknown.
pub(super) fn pending(status: &Status, rows: &Snapshot) -> u64 {
    let done = rows.rows_position.min(rows.alerts_position);
    status.end.since(done.max(status.start))
}

fn show_journal(status: &Status, rows: &Snapshot, show: &mut dyn FnMut(&str, String)) {
    show("journal/pending", pending(status, rows).to_string());
    show("journal/bytes/maximum", status.size_bytes_max.to_string());
}

/// The commits up to the last publication.
#[derive(Default)]
struct Commits {
    count: u64,
    time: Duration,
}

impl Commits {
    /// The last one's time, and the mean of those since the last publication. Without any the
    /// values stand.
    fn show(&mut self, rows: &Snapshot, show: &mut dyn FnMut(&str, String)) {
        let count = rows.commits - self.count;
        if count == 0 {
            return;
        }
        let time = rows.commit_time.saturating_sub(self.time);
        (self.count, self.time) = (rows.commits, rows.commit_time);
        let milliseconds = |seconds: f64| format!("{:.1}", seconds * 1_000.0);
        let last = milliseconds(rows.commit_time_last.as_secs_f64());
        show("ingest/commit/milliseconds/last", last);
        let mean = milliseconds(time.as_secs_f64() / count as f64);
        show("ingest/commit/milliseconds/mean", mean);
    }
}

/// Nothing until the database was reached for the first time: what it holds is not known before.
fn show_account(rows: &Observer, stats: &Snapshot, show: &mut dyn FnMut(&str, String)) {
    let Some((account, reasons)) = rows.account_by_reason() else {
        return;
    };
    let waited = stats.oldest_received_at.map(|at| now_micros() - at);
    let seconds = waited.unwrap_or_default().max(0) / 1_000_000;
    show("ingest/lag/records", account.pending.to_string());
    show("ingest/lag/seconds", seconds.to_string());
    for (name, count) in [
        ("received", account.received),
        ("stored", account.stored),
        ("filtered", account.filtered),
        ("dead-lettered", account.dead_lettered),
        ("pending", account.pending),
    ] {
        show(&format!("ingest/{name}"), count.to_string());
    }
    for (reason, unstored) in &reasons.filtered {
        let (messages, values) = (unstored.messages, unstored.values);
        show(&format!("ingest/filtered/{reason}"), messages.to_string());
        show(
            &format!("ingest/samples/filtered/{reason}"),
            values.to_string(),
        );
    }
    for (reason, unstored) in &reasons.dead_lettered {
        let messages = unstored.messages.to_string();
        show(&format!("ingest/dead-lettered/{reason}"), messages);
    }
}
