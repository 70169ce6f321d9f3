//! A place in the log, counted in records.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `Position(n)`: n records of this journal come before it. The first record lies at position 0.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    pub const ZERO: Position = Position(0);

    /// The position `records` further on.
    pub fn plus(self, records: u64) -> Position {
        Position(self.0 + records)
    }

    /// How many records lie from `earlier` to here; 0 when `earlier` is not earlier.
    pub fn since(self, earlier: Position) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
