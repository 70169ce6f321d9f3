//! Digests of secrets, and how they are compared.
//!
//! Owns: SHA-256 of generated secrets, and a digest of a name with its password that means nothing
//! outside this process. Never: keeps a secret. Invariant: a comparison takes the same time
//! wherever the two differ.

use std::hint::black_box;

use ring::digest::{SHA256, digest};
use ring::hmac;
use ring::rand::SystemRandom;

/// SHA-256 of a device's secret.
pub type SecretDigest = [u8; 32];

/// The digest that is kept of a generated secret.
pub fn secret_digest(secret: &[u8]) -> SecretDigest {
    bytes(digest(&SHA256, secret).as_ref())
}

/// In the same time wherever they differ.
pub(crate) fn are_equal(left: &[u8; 32], right: &[u8; 32]) -> bool {
    let difference = left
        .iter()
        .zip(right)
        .fold(0, |all, (left, right)| black_box(all | (left ^ right)));
    difference == 0
}

/// Makes digests by a key that only this process knows and that ends with it, so that what is
/// remembered of a password is of no use elsewhere.
pub(crate) struct Digester(hmac::Key);

/// Stands for a name and a password that were seen together.
pub(crate) type PairDigest = [u8; 32];

impl Digester {
    /// `None` when the system gives no random numbers.
    pub(crate) fn generate() -> Option<Digester> {
        hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .ok()
            .map(Digester)
    }

    pub(crate) fn pair(&self, name: &str, password: &[u8]) -> PairDigest {
        let mut context = hmac::Context::with_key(&self.0);
        // The length first: ("ab", "c") is not ("a", "bc").
        context.update(&(name.len() as u64).to_le_bytes());
        context.update(name.as_bytes());
        context.update(password);
        bytes(context.sign().as_ref())
    }
}

/// Both algorithms give 32 bytes.
fn bytes(digest: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_told_apart_and_mean_nothing_elsewhere() {
        let digester = Digester::generate().expect("random numbers");
        let pair = digester.pair("ab", b"c");
        assert!(are_equal(&pair, &digester.pair("ab", b"c")));
        assert!(!are_equal(&pair, &digester.pair("a", b"bc")));
        let other = Digester::generate().expect("random numbers");
        assert!(!are_equal(&pair, &other.pair("ab", b"c")));
    }

    #[test]
    fn one_bit_is_a_difference() {
        let left = secret_digest(b"secret");
        let mut right = left;
        assert!(are_equal(&left, &right));
        right[31] ^= 1;
        assert!(!are_equal(&left, &right));
    }
}
