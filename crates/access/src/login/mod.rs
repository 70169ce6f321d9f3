//! Authentication: decides who a client is, from the credentials that its CONNECT carries.
//!
//! Owns: the one step of a connect that lets a client in or turns it away, and what is remembered
//! between logins. Never: decides what a client may publish or subscribe; `rules` does. Invariant:
//! no password is hashed on a thread that serves clients.

mod authenticator;
mod config;
mod counters;
mod past;
mod queue;
mod refusal;
#[cfg(test)]
mod tests;
mod throttle;

pub use authenticator::{Anonymous, Authenticator, OpenError};
pub use config::{Config, Settings};
pub use counters::Logins;
pub use past::{logins_are_required, require_logins};
pub use refusal::Refusal;
