//! Secrets of devices.
//!
//! Owns: how one is made. Never: shows one by accident: `Debug` says nothing, `reveal` has to be
//! called. Invariant: each has 160 bits from the system's random source.

use std::fmt;

use devices::credentials::SecretDigest;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Serialize, Serializer};

use crate::diagnostics::Failure;

/// Douglas Crockford's base 32 in small letters: none of them is taken for another, so a secret can
/// be read out and typed.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Five bits each.
const CHARACTERS: usize = 32;

pub(super) struct Secret(String);

impl Secret {
    pub(super) fn generate() -> Result<Secret, Failure> {
        let mut random = [0; CHARACTERS];
        SystemRandom::new()
            .fill(&mut random)
            .map_err(|_| Failure::new("the system gives no random numbers"))?;
        // 256 is a multiple of 32: every character is as likely as any other.
        let characters = random
            .iter()
            .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
        Ok(Secret(characters.collect()))
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }

    pub(super) fn digest(&self) -> SecretDigest {
        access::secret_digest(self.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// For `--json`, which is asked for the secret.
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.reveal())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn secrets_differ_and_can_be_typed() {
        let secrets: Vec<_> = (0..1_000)
            .map(|_| Secret::generate().expect("random numbers"))
            .collect();
        let different: HashSet<_> = secrets.iter().map(Secret::reveal).collect();
        assert_eq!(different.len(), 1_000);
        let used: HashSet<_> = different.iter().flat_map(|secret| secret.bytes()).collect();
        assert_eq!(used, ALPHABET.iter().copied().collect(), "all characters");
        assert!(different.iter().all(|secret| secret.len() == CHARACTERS));
        assert_eq!(format!("{:?}", secrets[0]), "Secret(…)");
    }
}
