//! Alerts: rules, their state machine, the lane that feeds it and the topics it speaks on.

mod config;
pub mod engine;
pub mod event;
pub mod id;
pub mod labels;
pub mod lane;
pub mod outlet;
pub mod pending;
pub mod published;
mod publisher;
pub mod rules;
pub mod silence;
pub mod source;
pub mod stats;
#[cfg(test)]
pub(crate) mod testing;
pub mod threshold;
pub mod topic;

pub use config::Config;
pub use event::{Event, EventState};
pub use lane::{Clock, LaneHandle, Parts, SystemClock, spawn};
pub use outlet::{Outlet, OutletMessage};
pub use pending::{AlertCheckpoint, Pending};
pub use rules::{LoadError, RuleError, Rules, Severity};
pub use source::Source;
pub use stats::Stats;

use journal::Position;
use telemetry::Micros;

/// What a store transaction must write for the alerts lane. Empty when nothing changed.
#[derive(Debug, Clone, Default)]
pub struct AlertChanges {
    /// Everything before this position has been evaluated; `None`: unchanged since the last commit.
    pub position: Option<Position>,
    /// The latest state of each instance that changed (upsert by rule, device, metric); `state:
    /// None` deletes it.
    pub states: Vec<AlertStateRow>,
    /// Events in the order they were published.
    pub events: Vec<AlertEventRow>,
}

/// One alert instance as the database keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertStateRow {
    pub rule: String,
    pub device: String,
    /// Empty for rules without a metric, such as silence.
    pub metric: String,
    /// The engine's own state as JSON, opaque to the store; `None` deletes the instance.
    pub state: Option<String>,
}

/// One published event as the database keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertEventRow {
    /// Deterministic; unique in the table (a repeat is ignored).
    pub id: String,
    pub time: Micros,
    pub rule: String,
    pub device: String,
    pub metric: String,
    pub severity: String,
    /// firing, acknowledged or resolved.
    pub state: String,
    pub value: Option<f64>,
    /// The event as published, JSON.
    pub payload: String,
}
