//! Device credentials: generated secrets, one a device, kept by somebody else.
//!
//! Owns: the door to whoever keeps them. Never: stores or generates a secret. Invariant: only
//! digests are compared.
//!
//! A plain SHA-256 is enough here, where a password needs argon2id: a slow hash makes guessing
//! expensive, and a secret of 128 random bits or more cannot be guessed at any price. So thousands
//! of devices that come back at once cost no queue. For the same reason the name of a device is no
//! secret: an answer that tells whether it exists helps nobody to get in.

use crate::digest::{SecretDigest, are_equal, secret_digest};

/// Knows the secrets of devices; asked for every device that connects.
pub trait DeviceCredentials: Send + Sync {
    /// What a device of that name must know. Answered from memory: no I/O, about a microsecond.
    fn find(&self, device: &str) -> Lookup;

    /// Whether there is a credential that holds.
    fn any(&self) -> bool;

    /// Whether there is or was a credential, as far as is known: one that was revoked or lost
    /// counts too.
    fn any_ever(&self) -> bool {
        self.any()
    }

    /// A number that changes whenever a secret has ceased to hold: then connections that were let
    /// in by one are looked through, and end.
    fn generation(&self) -> u64;
}

/// What is known about a device's credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// The device may connect with either secret.
    Known {
        current: SecretDigest,
        /// The secret before a rotation, while its grace time lasts.
        previous: Option<SecretDigest>,
    },
    /// There is no such device, or its credential was revoked.
    Unknown,
    /// Nothing is known about any device yet; the client is asked to come back.
    Unavailable,
}

/// Whether the secret is one of those that the device may use.
pub(crate) fn matches(
    secret: &[u8],
    current: &SecretDigest,
    previous: Option<&SecretDigest>,
) -> bool {
    let given = secret_digest(secret);
    // Both are always looked at, so that the time does not tell which one it was.
    let is_current = are_equal(&given, current);
    let is_previous = previous.is_some_and(|previous| are_equal(&given, previous));
    is_current | is_previous
}

/// Where there are no device credentials.
pub(crate) struct NoDevices;

impl DeviceCredentials for NoDevices {
    fn find(&self, _device: &str) -> Lookup {
        Lookup::Unknown
    }

    fn any(&self) -> bool {
        false
    }

    fn generation(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_compared_by_its_digest() {
        let (new, old, wrong) = (secret_digest(b"new"), secret_digest(b"old"), b"wrong");
        assert!(matches(b"new", &new, None));
        assert!(matches(b"old", &new, Some(&old)));
        assert!(!matches(b"old", &new, None));
        assert!(!matches(wrong, &new, Some(&old)));
    }
}
