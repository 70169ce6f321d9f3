//! Statements whose part of the broker is still being built: their rows stand in the tables and are not played yet.
//!
//! Invariant: a number leaves this list with the feature it waits for; when the lists are empty, this file goes.

pub(crate) const V311: &[&str] = &["6.0.0-1", "6.0.0-2", "6.0.0-4"];

pub(crate) const V5: &[&str] = &[
    "3.1.2-24", "3.1.2-29", "3.2.2-1", "3.2.2-3", "3.2.2-6", "3.2.2-7", "3.2.2-9", "3.2.2-10",
    "3.2.2-12", "6.0.0-1", "6.0.0-2", "6.0.0-4",
];
