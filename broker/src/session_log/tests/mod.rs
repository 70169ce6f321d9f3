//! The log against simulated crashes, and against a model.

mod events;
