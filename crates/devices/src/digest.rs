//! Digests of secrets and of names.

use ring::digest::{SHA256, digest};

use crate::credentials::SecretDigest;

/// The digest that is kept of a generated secret.
pub fn secret_digest(secret: &[u8]) -> SecretDigest {
    let mut bytes = SecretDigest::default();
    bytes.copy_from_slice(digest(&SHA256, secret).as_ref());
    bytes
}
