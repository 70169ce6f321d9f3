//! Files that people write: `millrace.toml`, `acl.toml`, `alerts.toml`, `users.toml` and
//! `devices.csv`.
//!
//! Owns: reading such a file, where each value stands in it, the words for what TOML and serde
//! object to, and the one measure by which a name is a typo of another. Never: knows what a key
//! means, and never prints. Invariant: every mistake of a file is found in one go, each with its
//! place.

mod document;
mod error;
mod explain;
mod fault;
mod keys;
mod mistakes;
mod nearest;
mod problem;
mod values;

pub use document::Document;
pub use error::{ConfigError, FileError};
pub use keys::Keys;
pub use mistakes::Mistakes;
pub use nearest::{did_you_mean, is_typo, nearest};
pub use problem::{Place, Problem};
