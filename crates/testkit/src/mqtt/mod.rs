//! The client's end of an MQTT connection, for tests and benches.
//!
//! Owns: the sockets and what is on top of them; the packets are those of the crate `mqtt`.

mod client;
mod layers;

pub use client::{Client, at_qos_1};
pub use layers::{Duplex, Frames, Secure, secure, trusting};
