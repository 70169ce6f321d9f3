//! How much of the journal is kept behind the commit, so that a restart can rebuild the filters'
//! memory.
//!
//! The window is the last [`RECORDS`] records or the last [`SECONDS`] by time of receipt, whichever
//! is less. A resend comes within seconds of the reconnect, so what lies further back will not be
//! repeated.

use std::collections::VecDeque;

use journal::Position;
use telemetry::Micros;

/// Decoded in half a second at the next start.
pub(super) const RECORDS: u64 = 500_000;
const SECONDS: i64 = 60;

/// Positions with their time of receipt, one a batch. Ten batches a second for a minute are 600.
const MARKS_MAX: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Window {
    marks: VecDeque<(Position, Micros)>,
    newest: Micros,
}

impl Window {
    /// A batch begins at `start`, received from `first` to `last`, and is committed.
    pub(super) fn committed(&mut self, start: Position, first: Micros, last: Micros) {
        if self.marks.len() == MARKS_MAX {
            self.marks.pop_front();
        }
        self.marks.push_back((start, first));
        self.newest = self.newest.max(last);
    }

    /// Where the window begins when everything before `rows` is committed.
    pub(super) fn start(&mut self, rows: Position) -> Position {
        let horizon = self.newest - SECONDS * 1_000_000;
        // The second mark within reach makes the first one useless.
        while self
            .marks
            .get(1)
            .is_some_and(|(_, received)| *received <= horizon)
        {
            self.marks.pop_front();
        }
        let by_time = match self.marks.front() {
            Some((position, received)) if *received <= horizon => *position,
            _ => Position::ZERO,
        };
        by_time.max(Position(rows.0.saturating_sub(RECORDS)))
    }
}
