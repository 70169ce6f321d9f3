//! Device credentials: one generated secret a device, kept in the database and known in memory.
//!
//! Owns: the table of credentials in either database, how a process follows it, and the copy on
//! disk for a start without the database. Never: sees a secret (only digests come here), decides
//! who is let in. Invariant: a look-up answers from memory alone, and a database that does not
//! answer keeps nobody out who was known before.

mod cache;
pub mod credentials;
mod devices;
mod follow;
mod known;
mod table;
#[cfg(test)]
mod tests;

pub use cache::{CacheError, FILE_NAME as CACHE_FILE};
pub use devices::{Devices, verify_cache};
pub use known::Known;
