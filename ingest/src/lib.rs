//! From the journal to rows and alerts: two lanes over the log, and the stores.
//!
//! Owns: what a message means for the database and for the alert topics. Never: speaks MQTT (alerts
//! leave through `Outlet`). Invariant: positions and what they stand for are committed in one
//! transaction, never beyond the journal's durable position.

pub mod alert;
pub mod config;
pub mod filter;
pub mod prepare;
pub mod registry;
pub mod rows;
pub mod series;

pub use config::Config;
