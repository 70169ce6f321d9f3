//! Who a client is, what it may do, and the reload of both.
//!
//! Owns: the judgement of every login, the access rules, and the notice that a file has changed.
//! Never: holds a connection, or ends one; whoever enforces a change lives above. Invariant: a
//! client that brings credentials is let in only by them, and what no rule allows is denied.

pub mod certificate;
mod config;
mod counter;
mod devices;
mod digest;
mod error_chain;
mod identity;
mod lock;
pub mod login;
mod password;
mod peer;
pub mod reload;
pub mod rules;
pub mod token;
pub mod users;

pub use config::ConfigError;
pub use counter::Counter;
pub use devices::{DeviceCredentials, Lookup};
pub use digest::{SecretDigest, secret_digest};
pub use error_chain::error_chain;
pub use identity::{Identity, Voucher};
pub use login::{Authenticator, Refusal};
pub use password::{PasswordError, PasswordHash, generate_password};
pub use peer::{Peer, network_of};
pub use rules::{Access, Action, Decision, Grant, Guard, Policy, Principal};
