//! The log against simulated crashes, and against a model.

mod events;
mod exactly_once;
mod model;
mod random;
mod refusals;
#[allow(dead_code, reason = "the journal's own tests use the rest")]
#[path = "../../../../crates/journal/tests/journal/support/sim.rs"]
pub(crate) mod sim;

use std::time::Duration;

/// Longer than anything takes; tests that pass never wait for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
