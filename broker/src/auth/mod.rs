//! Authentication: from what a CONNECT carries to who the client is.
//!
//! Owns: the one step of the handshake that lets a client in or turns it away. Never: decides what
//! it may publish or subscribe; that is `access`'s.

mod absent;
mod authenticator;
mod config;
mod counters;
mod devices;
mod digest;
mod identity;
mod password;
mod past;
mod queue;
pub(crate) mod recheck;
mod reload;
mod report;
#[cfg(test)]
mod tests;
mod throttle;
mod token;
pub mod users;

pub(crate) use absent::review;
pub use authenticator::OpenError;
pub(crate) use authenticator::{Anonymous, Authenticator};
pub use config::{Config, Settings};
pub use counters::Logins;
pub use devices::{DeviceCredentials, Lookup};
pub use digest::{SecretDigest, secret_digest};
pub(crate) use identity::{Identity, Voucher};
pub use password::{PasswordError, PasswordHash, generate_password};
pub use past::{logins_are_required, require_logins};
pub(crate) use reload::{TokenKeys, UsersFile};
pub use token::{Algorithm as TokenAlgorithm, Config as TokenConfig};
