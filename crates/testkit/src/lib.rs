//! What tests of several crates share: a private PostgreSQL cluster, free ports, child processes
//! that end with the test, a certificate authority, an MQTT client, a disk that fails.
//!
//! Owns: starting and ending what a test needs from outside. Never: touches a server it did not
//! start, leaves one behind, sleeps as synchronisation. Invariant: whatever was started ends when
//! its value is dropped, panics included.

mod authority;
mod child;
pub mod disk;
pub mod mqtt;
mod postgres;
mod wait;

pub use authority::{Authority, Issued};
pub use child::ChildGuard;
pub use postgres::{Database, Options, Postgres, shared_postgres};
pub use wait::{PATIENCE, free_port, wait_until};
