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
pub use rules::{Rules, Severity};
pub use source::Source;
pub use stats::Stats;
