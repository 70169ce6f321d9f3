//! A whole journal from one end to the other, for a part that rebuilds its state at a start.
//!
//! Owns: the loop. Never: waits for records that are still to come. Invariant: every record between
//! the two positions is shown once, in order, unless `visit` or the journal fails.

use std::time::Duration;

use crate::{Chunk, Journal, Position, ReadError, Record};

const READ_BYTES: usize = 1 << 20;

/// Shows the records from `from` to the present end, until `visit` fails: the inner result is its.
pub fn for_each_record<E>(
    journal: &dyn Journal,
    from: Position,
    mut visit: impl FnMut(Position, &Record<'_>) -> Result<(), E>,
) -> Result<Result<(), E>, ReadError> {
    let end = journal.end();
    let mut reader = journal.reader(from)?;
    let mut chunks = Vec::new();
    while reader.position() < end {
        chunks.clear();
        reader.read(&mut chunks, READ_BYTES, Duration::ZERO)?;
        for (position, record) in chunks.iter().flat_map(Chunk::records) {
            if let Err(error) = visit(position, &record) {
                return Ok(Err(error));
            }
        }
    }
    Ok(Ok(()))
}
