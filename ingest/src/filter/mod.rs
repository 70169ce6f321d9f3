//! Filters: what is understood and yet not kept, always counted by a bounded reason.
//!
//! Owns: the rules of the section `[ingest.filter]`, and the memory of the rows lane's filters.
//! Never: reads the clock; ages are measured against the time of receipt, so that a replay of the
//! journal decides as before. Invariant: which rules apply to a series is decided once, and a
//! sample costs a few comparisons.
//!
//! Both lanes share the stateless part ([`Rules`], [`RuleSet`]); the duplicate filter and the
//! deadband ([`Memory`]) are for rows alone: an alert rule sees every valid sample.

mod config;
mod deadband;
mod duplicate;
mod memory;
mod rules;
#[cfg(test)]
mod tests;

pub use config::{Action, Config, DeadbandConfig, RangeConfig, RuleConfig};
pub use deadband::Deadband;
pub use memory::Memory;
pub use rules::{RuleSet, Rules};
