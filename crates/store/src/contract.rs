//! The contract that both databases keep: loading what was committed, and committing a batch.
//!
//! Owns: the trait `Store` and what a load returns. Never: knows a database.

use journal::Position;
use uuid::Uuid;

use crate::batch::{AlertStateRow, Batch, Outcome};
use crate::error::StoreError;
use crate::reasons::Reasons;

/// Where rows go. Used from one thread that may block (and is not inside a tokio runtime);
/// implementations connect when first used and again after a loss.
pub trait Store: Send {
    /// Connects if needed, brings the schema up to date and reads what was committed for this
    /// journal.
    fn load(&mut self, journal: Uuid) -> Result<Checkpoint, StoreError>;

    /// Writes the batch and its positions in one transaction. All or nothing, except that after
    /// `Unavailable` the outcome is unknown: `load` tells what was committed.
    ///
    /// The batch must begin at the committed position; one without records carries alert changes
    /// alone. A definition in `new_series` is remembered until a commit that needs it has
    /// succeeded, so it need not be given again.
    fn commit(&mut self, journal: Uuid, batch: &Batch) -> Result<(), StoreError>;

    /// For messages to people: `postgres://user@host/db` without the password, or the file.
    fn describe(&self) -> String;
}

/// What the database knows of one journal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checkpoint {
    /// Everything before it is stored, filtered or dead-lettered.
    pub rows: Position,
    /// Everything before it has been evaluated by the alerts lane.
    pub alerts: Position,
    pub totals: Totals,
    /// Why records were filtered or dead-lettered; the messages add up to these totals.
    pub reasons: Reasons,
    pub alert_states: Vec<AlertStateRow>,
}

/// Records of one journal by where they ended; their sum is `Checkpoint::rows`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub stored: u64,
    pub filtered: u64,
    pub dead_lettered: u64,
}

impl Totals {
    /// Counts where the records of a batch ended.
    pub fn of(outcomes: &[Outcome]) -> Totals {
        let mut totals = Totals::default();
        for outcome in outcomes {
            match outcome {
                Outcome::Stored => totals.stored += 1,
                Outcome::Filtered(_) => totals.filtered += 1,
                Outcome::DeadLettered => totals.dead_lettered += 1,
            }
        }
        totals
    }
}
