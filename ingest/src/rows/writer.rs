//! The thread `store-writer`: the only one that uses the store.
//!
//! Owns: the checkpoint at the start, and when something is committed: each batch, and alert
//! changes when no batch comes.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use journal::Position;
use store::{Checkpoint, Store};

use super::commit::{Committer, Ended};
use super::gather::Work;
use super::status::Failure;
use super::{Shared, State};
use crate::alert::{AlertCheckpoint, Pending};

/// How long alert changes wait for a batch to go with, and how often a full journal is asked for
/// space to release.
const IDLE_TICK: Duration = Duration::from_millis(100);

/// An alerts position that moved, and nothing else, is not worth a transaction more often than
/// this.
const POSITION_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    shared: Arc<Shared>,
    pending: Option<Pending>,
    committer: Committer,
    last_commit: Instant,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        store: Box<dyn Store>,
        pending: Option<Pending>,
    ) -> Writer {
        Writer {
            committer: Committer::new(shared.clone(), store, pending.clone()),
            shared,
            pending,
            last_commit: Instant::now(),
        }
    }

    pub(super) fn run(mut self, begin: &SyncSender<Position>, batches: &Receiver<Work>) {
        let ended = self.work(begin, batches);
        self.committer.tell_all();
        if let Err(Ended::Failed(failure)) = ended {
            self.shared.status.fail(failure);
        }
    }

    fn work(
        &mut self,
        begin: &SyncSender<Position>,
        batches: &Receiver<Work>,
    ) -> Result<(), Ended> {
        self.start(begin)?;
        loop {
            match batches.recv_timeout(IDLE_TICK) {
                Ok(work) => {
                    self.shared.batches_taken.fetch_add(1, Ordering::Release);
                    self.commit(work)?;
                }
                Err(RecvTimeoutError::Timeout) => {
                    if self.alerts_are_waiting() {
                        self.commit_alerts()?;
                    }
                }
                // The rows thread has ended: in order, or with a failure that has been reported.
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
            }
            self.committer.release();
            self.committer.tell();
            if self.shared.stop.expired() {
                return Err(Ended::DeadlinePassed);
            }
        }
    }

    fn start(&mut self, begin: &SyncSender<Position>) -> Result<(), Ended> {
        let checkpoint = self.committer.load_first()?;
        self.check(&checkpoint).map_err(Ended::Failed)?;
        let (rows, alerts) = (checkpoint.rows, checkpoint.alerts);
        let store = self.committer.describe();
        tracing::info!(%store, position = %rows, %alerts, "writing rows");
        self.committer.begin(&checkpoint);
        if let Some(pending) = &self.pending {
            pending.deliver_checkpoint(AlertCheckpoint {
                position: alerts,
                states: checkpoint.alert_states,
            });
        }
        self.shared.status.run();
        // The rows thread only ends early when it panicked; then the receive below says so.
        let _ = begin.send(rows);
        Ok(())
    }

    /// The journal must hold what comes after the committed positions.
    fn check(&self, checkpoint: &Checkpoint) -> Result<(), Failure> {
        let journal = &self.shared.journal;
        let (start, end) = (journal.start(), journal.end());
        let store = self.committer.describe();
        let committed = checkpoint.rows.max(checkpoint.alerts);
        if committed > end {
            return Err(Failure::new(
                format!(
                    "the database `{store}` has this journal's records up to position {committed}, \
                     but the journal ends at {end}"
                ),
                "the journal was restored from an older copy: bring back the newer one, or move \
                 the journal's folder away to begin a new journal",
            ));
        }
        let needed = match self.pending {
            Some(_) => checkpoint.rows.min(checkpoint.alerts),
            None => checkpoint.rows,
        };
        if needed < start {
            return Err(Failure::new(
                format!(
                    "the database `{store}` has this journal's records up to position {needed}, \
                     but the journal begins at {start}: what lies between is not in this database"
                ),
                "use the database that these records went to; to begin anew in this one, move the \
                 journal's folder away once its records are stored elsewhere",
            ));
        }
        Ok(())
    }

    fn commit(&mut self, work: Work) -> Result<(), Ended> {
        self.committer.commit(work.batch, work.received)?;
        self.last_commit = Instant::now();
        Ok(())
    }

    fn commit_alerts(&mut self) -> Result<(), Ended> {
        self.committer.commit_alerts()?;
        self.last_commit = Instant::now();
        Ok(())
    }

    fn alerts_are_waiting(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| {
            pending.has_changes()
                || pending.position_moved() && self.last_commit.elapsed() >= POSITION_INTERVAL
        })
    }

    fn finish(&mut self) -> Result<(), Ended> {
        let waiting = self
            .pending
            .as_ref()
            .is_some_and(|pending| pending.has_changes() || pending.position_moved());
        if waiting && !matches!(self.shared.status.get(), State::Failed(_)) {
            self.commit_alerts()?;
        }
        self.committer.release();
        Ok(())
    }
}
