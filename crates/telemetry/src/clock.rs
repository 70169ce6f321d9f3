//! The wall clock of this machine, in the unit of all times here.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::Micros;

/// Microseconds since 1970, UTC; 0 on a machine whose clock stands before that.
pub fn now_micros() -> Micros {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as Micros)
}
