//! What a client's certificate proves, and whether it still does.
//!
//! Owns: the name in a certificate, and what revocation lists say. Never: verifies a signature;
//! rustls has done so before. Invariant: of revocation lists for the same certificates only the
//! newest counts.

mod name;
mod revocation;
#[cfg(test)]
mod tests;

pub use name::{IdentityFrom, name_in};
pub use revocation::{Malformed, Revocable, RevocationLists, Revocations};
