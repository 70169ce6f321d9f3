//! The totals by reason, within the transaction and at the start.

use uuid::Uuid;

use super::error::Failure;
use super::session::Session;
use crate::batch::Batch;
use crate::reasons::{Reasons, Unstored};

pub(super) const COUNT: &str = "
    INSERT INTO ingest_reasons (journal, outcome, reason, messages, samples)
    SELECT $1::text::uuid, outcome, reason, messages, samples
    FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[]) AS given (outcome, reason, messages, samples)
    ON CONFLICT (journal, partition, outcome, reason) DO UPDATE
    SET messages = ingest_reasons.messages + excluded.messages,
        samples = ingest_reasons.samples + excluded.samples, updated_at = now()";

const LOAD: &str = "SELECT outcome, reason, messages, samples FROM ingest_reasons
     WHERE journal = $1::text::uuid AND partition = 0";

/// One statement for all of them, and none when everything is stored.
pub(super) async fn count(session: &Session, journal: Uuid, batch: &Batch) -> Result<(), Failure> {
    let counted = Reasons::of(batch);
    let (mut outcomes, mut reasons) = (Vec::new(), Vec::new());
    let (mut messages, mut samples) = (Vec::new(), Vec::new());
    for (outcome, reason, unstored) in counted.rows() {
        outcomes.push(outcome);
        reasons.push(reason);
        messages.push(unstored.messages as i64);
        samples.push(unstored.values as i64);
    }
    if outcomes.is_empty() {
        return Ok(());
    }
    session
        .answer(session.client().execute(
            &session.statements.count_reasons,
            &[
                &journal.to_string(),
                &outcomes,
                &reasons,
                &messages,
                &samples,
            ],
        ))
        .await?;
    Ok(())
}

pub(super) async fn load(session: &Session, journal: &str) -> Result<Reasons, Failure> {
    let rows = session
        .answer(session.client().query(LOAD, &[&journal]))
        .await?;
    let mut reasons = Reasons::default();
    for row in rows {
        let count = |column: usize| -> Result<u64, Failure> {
            Ok(row.try_get::<_, i64>(column)?.max(0) as u64)
        };
        let unstored = Unstored {
            messages: count(2)?,
            values: count(3)?,
        };
        reasons.insert(row.try_get(0)?, row.try_get(1)?, unstored);
    }
    Ok(reasons)
}
