//! The log against simulated crashes, and against a model.

mod events;
mod exactly_once;
mod model;
mod random;
mod refusals;
