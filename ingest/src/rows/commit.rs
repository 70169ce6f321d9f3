//! Committing a batch, whatever the store does: retry when it is away, halve when it refuses, never
//! give up a record.
//!
//! Owns: the committed positions. Invariant: a batch is sent only when the journal says that it is
//! durable, and it is sent again only after the store has said that it is not committed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use journal::Position;
use store::AlertChanges;
use store::Batch;
use store::{Checkpoint, Store, StoreError};
use telemetry::Micros;

use super::Shared;
use super::losses::Losses;
use super::outage::Outage;
use super::release::Release;
use super::status::{Failure, chain};
use crate::alert::Pending;

/// How often a wait for the disk looks at the deadline.
const DURABLE_WAIT: Duration = Duration::from_millis(100);

/// The writer ends.
#[derive(Debug)]
pub(super) enum Ended {
    /// The journal keeps what is not committed.
    DeadlinePassed,
    Failed(Failure),
}

pub(super) struct Committer {
    shared: Arc<Shared>,
    store: Box<dyn Store>,
    pending: Option<Pending>,
    rows: Position,
    alerts: Position,
    outage: Outage,
    release: Release,
    losses: Losses,
}

/// Which alert changes go with a transaction.
enum Alerts {
    /// Whatever waits now.
    Waiting,
    /// None, because the store has refused something.
    None,
    These(AlertChanges),
}

/// What the store said in the end.
enum Answer {
    Committed,
    /// It does not take the data.
    Refused(StoreError),
}

impl Committer {
    pub(super) fn new(
        shared: Arc<Shared>,
        store: Box<dyn Store>,
        pending: Option<Pending>,
    ) -> Committer {
        Committer {
            release: Release::new(shared.clone(), pending.is_some()),
            shared,
            store,
            pending,
            rows: Position::ZERO,
            alerts: Position::ZERO,
            outage: Outage::default(),
            losses: Losses::default(),
        }
    }

    pub(super) fn describe(&self) -> String {
        self.store.describe()
    }

    /// Tells the log about messages that left no row, when it is time for that.
    pub(super) fn tell(&mut self) {
        self.losses.tell(Instant::now());
    }

    /// As `tell`, of everything, since nothing follows.
    pub(super) fn tell_all(&mut self) {
        self.losses.tell_all(Instant::now());
    }

    /// Gives the journal's space back as far as it can be spared.
    pub(super) fn release(&mut self) {
        self.release.advance(self.rows, self.alerts);
    }

    /// The first load: a store that is away is waited for. One that refuses at once ends the lane,
    /// for then a person is there to see it; later on it is asked again.
    pub(super) fn load_first(&mut self) -> Result<Checkpoint, Ended> {
        loop {
            let error = match self.try_load() {
                Ok(checkpoint) => {
                    self.answered();
                    return Ok(checkpoint);
                }
                Err(error) => error,
            };
            match error {
                StoreError::Fatal {
                    message,
                    hint,
                    source,
                } if !self.outage.is_on() => {
                    return Err(Ended::Failed(Failure {
                        message,
                        hint,
                        source,
                    }));
                }
                error => self.wait_after(&error)?,
            }
        }
    }

    pub(super) fn begin(&mut self, checkpoint: &Checkpoint) {
        self.rows = checkpoint.rows;
        self.alerts = checkpoint.alerts;
        self.shared.stats.loaded(checkpoint);
    }

    /// Commits a batch. A record the store refuses becomes a dead letter; the others are stored.
    /// `received` is when its first and last record came.
    pub(super) fn commit(&mut self, batch: Batch, received: (Micros, Micros)) -> Result<(), Ended> {
        let start = batch.start;
        self.commit_parts(batch)?;
        self.release.committed(start, received.0, received.1);
        Ok(())
    }

    fn commit_parts(&mut self, batch: Batch) -> Result<(), Ended> {
        // A stack: the first part of what was cut lies on top.
        let mut parts = vec![Part { batch, refused: 0 }];
        while let Some(mut part) = parts.pop() {
            let error = match self.commit_part(&mut part)? {
                Answer::Committed => continue,
                Answer::Refused(error) => error,
            };
            match part.batch.outcomes.len() {
                0 => {}
                1 => parts.push(self.refuse(part, error)?),
                records => {
                    let rest = part.batch.split(records / 2);
                    parts.push(Part {
                        batch: rest,
                        refused: 0,
                    });
                    parts.push(part);
                }
            }
        }
        Ok(())
    }

    /// Commits the alert changes that wait.
    pub(super) fn commit_alerts(&mut self) -> Result<(), Ended> {
        let batch = Batch {
            start: self.rows,
            ..Batch::default()
        };
        self.commit_parts(batch)
    }

    /// A record that the store refuses alone.
    fn refuse(&mut self, mut part: Part, error: StoreError) -> Result<Part, Ended> {
        let detail = chain(&error);
        if part.refused > 0 || part.batch.samples.is_empty() && part.batch.texts.is_empty() {
            // Even its dead letter is refused: that is no longer about the data.
            let fatal = StoreError::Fatal {
                message: format!(
                    "the database refuses the dead letter of position {}",
                    part.batch.start
                ),
                hint: "look at the database's log".into(),
                source: Some(Box::new(error)),
            };
            self.wait_after(&fatal)?;
            return Ok(part);
        }
        let position = part.batch.start;
        tracing::debug!(%position, "the store refuses a record, now a dead letter: {detail}");
        part.refused = (part.batch.samples.len() + part.batch.texts.len()) as u64;
        part.batch.refuse(detail);
        Ok(part)
    }

    fn commit_part(&mut self, part: &mut Part) -> Result<Answer, Ended> {
        match self.send(part, Alerts::Waiting)? {
            Answer::Committed => Ok(Answer::Committed),
            Answer::Refused(error) if !self.has_alerts() => Ok(Answer::Refused(error)),
            // The rows or the alerts: try the rows alone, then see about the alerts.
            Answer::Refused(_) => {
                if !part.batch.outcomes.is_empty()
                    && let Answer::Refused(error) = self.send(part, Alerts::None)?
                {
                    return Ok(Answer::Refused(error));
                }
                self.commit_alerts_singly()?;
                Ok(Answer::Committed)
            }
        }
    }

    fn has_alerts(&self) -> bool {
        self.pending.as_ref().is_some_and(Pending::has_changes)
    }

    /// One of the changes is refused: each goes alone, and what is still refused is lost to the
    /// store. The event itself was published, and the state is still in the alerts lane's memory.
    fn commit_alerts_singly(&mut self) -> Result<(), Ended> {
        let Some(pending) = self.pending.clone() else {
            return Ok(());
        };
        let changes = pending.take();
        let states = changes.states.iter().map(|state| AlertChanges {
            states: vec![state.clone()],
            ..AlertChanges::default()
        });
        let events = changes.events.iter().map(|event| AlertChanges {
            events: vec![event.clone()],
            ..AlertChanges::default()
        });
        let position = AlertChanges {
            position: changes.position,
            ..AlertChanges::default()
        };
        let singles: Vec<AlertChanges> = events.chain(states).chain([position]).collect();
        for single in singles {
            let mut part = Part {
                batch: Batch {
                    start: self.rows,
                    ..Batch::default()
                },
                refused: 0,
            };
            let answer = self.send(&mut part, Alerts::These(single));
            match answer {
                Ok(Answer::Committed) => {}
                Ok(Answer::Refused(error)) => {
                    self.shared.stats.alert_refused();
                    let cause = chain(&error);
                    tracing::error!(
                        "the store refuses an alert's change, which it will not know: {cause}"
                    );
                }
                Err(ended) => {
                    pending.restore(changes);
                    return Err(ended);
                }
            }
        }
        pending.committed(&changes);
        Ok(())
    }

    /// Sends one transaction until the store has answered.
    fn send(&mut self, part: &mut Part, alerts: Alerts) -> Result<Answer, Ended> {
        loop {
            let batch = &mut part.batch;
            batch.alerts = match &alerts {
                Alerts::Waiting => self.waiting_alerts(batch.end()),
                Alerts::None => AlertChanges::default(),
                Alerts::These(changes) => changes.clone(),
            };
            let sent = self.send_once(batch);
            let changes = std::mem::take(&mut batch.alerts);
            match sent {
                Ok(()) => {
                    self.confirm(part, changes.position);
                    if let (Some(pending), Alerts::Waiting) = (&self.pending, &alerts) {
                        pending.committed(&changes);
                    }
                    return Ok(Answer::Committed);
                }
                Err(error) => {
                    if let (Some(pending), Alerts::Waiting) = (&self.pending, &alerts) {
                        pending.restore(changes);
                    }
                    match error {
                        Failed::Ended(ended) => return Err(ended),
                        Failed::Store(error @ StoreError::Rejected { .. }) => {
                            return Ok(Answer::Refused(error));
                        }
                        Failed::Store(error) => {
                            self.wait_after(&error)?;
                            if self.recover(part)? {
                                return Ok(Answer::Committed);
                            }
                        }
                    }
                }
            }
        }
    }

    fn waiting_alerts(&self, rows_end: Position) -> AlertChanges {
        match &self.pending {
            Some(pending) => pending.take(),
            None => AlertChanges {
                position: Some(rows_end),
                ..AlertChanges::default()
            },
        }
    }

    fn send_once(&mut self, batch: &Batch) -> Result<(), Failed> {
        let alerts_end = batch.alerts.position.unwrap_or_default();
        self.wait_until_durable(batch.end().max(alerts_end))
            .map_err(Failed::Ended)?;
        let begun = Instant::now();
        let journal = self.shared.journal.identity();
        self.store.commit(journal, batch).map_err(Failed::Store)?;
        self.shared.stats.committed_in(begun.elapsed());
        Ok(())
    }

    fn wait_until_durable(&mut self, position: Position) -> Result<(), Ended> {
        loop {
            match self.shared.journal.wait_durable(position, DURABLE_WAIT) {
                Ok(true) => return Ok(()),
                Ok(false) if self.shared.stop.expired() => return Err(Ended::DeadlinePassed),
                // On a full disk the journal may need what is committed before it can go on.
                Ok(false) => self.release(),
                Err(poisoned) => {
                    let failure = Failure::new(
                        "rows are no longer written: the journal has stopped",
                        "restart Millrace: it recovers what the disk holds",
                    );
                    return Err(Ended::Failed(failure.caused_by(poisoned)));
                }
            }
        }
    }

    /// After an unknown outcome: asks the store what it has, and drops that from the part. True
    /// when that is all of it.
    fn recover(&mut self, part: &mut Part) -> Result<bool, Ended> {
        let checkpoint = self.load_again()?;
        let batch = &mut part.batch;
        if checkpoint.rows < batch.start {
            return Err(Ended::Failed(Failure::new(
                format!(
                    "the database `{}` went back from position {} to {}",
                    self.store.describe(),
                    batch.start,
                    checkpoint.rows
                ),
                "it was restored from an older copy: restart Millrace to write again what the \
                 journal still holds",
            )));
        }
        let committed = checkpoint.rows.since(batch.start) as usize;
        let records = batch.outcomes.len();
        if records == 0 {
            batch.start = checkpoint.rows;
            return Ok(false);
        }
        if committed == 0 {
            return Ok(false);
        }
        if committed < records {
            let rest = batch.split(committed);
            let done = std::mem::replace(&mut part.batch, rest);
            // The definitions the rest needs may have been among those of the first part.
            part.batch
                .new_series
                .splice(0..0, done.new_series.iter().cloned());
            self.confirm(
                &Part {
                    batch: done,
                    refused: 0,
                },
                Some(checkpoint.alerts),
            );
            return Ok(false);
        }
        self.confirm(part, Some(checkpoint.alerts));
        Ok(true)
    }

    fn load_again(&mut self) -> Result<Checkpoint, Ended> {
        loop {
            match self.try_load() {
                Ok(checkpoint) => return Ok(checkpoint),
                Err(error) => self.wait_after(&error)?,
            }
        }
    }

    fn try_load(&mut self) -> Result<Checkpoint, StoreError> {
        self.store.load(self.shared.journal.identity())
    }

    /// The store does what it is for. That it can be read again is not enough: one that reads and
    /// does not write would be tried without a pause, and be back and away in turns in the log.
    fn answered(&mut self) {
        if self.outage.is_on() {
            self.outage.over(&self.store.describe());
        }
        self.shared.stats.store_answered();
    }

    /// Counts and logs a failure and waits before the next attempt.
    fn wait_after(&mut self, error: &StoreError) -> Result<(), Ended> {
        self.shared.stats.store_failed();
        // Publishers need not wait for the store when the window is all that fills the journal.
        self.release();
        let delay = self.outage.failed(error);
        if self.shared.stop.sleep(delay) {
            Ok(())
        } else {
            Err(Ended::DeadlinePassed)
        }
    }

    fn confirm(&mut self, part: &Part, alerts: Option<Position>) {
        self.answered();
        self.losses.note(&part.batch);
        self.rows = part.batch.end();
        self.alerts = alerts.unwrap_or(self.alerts);
        self.shared
            .stats
            .committed(&part.batch, alerts, part.refused);
    }
}

/// A batch, or what was cut from one.
struct Part {
    batch: Batch,
    /// Samples that were in it before it became a dead letter.
    refused: u64,
}

enum Failed {
    Ended(Ended),
    Store(StoreError),
}
