//! What devices must know to be let in, as the database keeps it.
//!
//! Owns: the door to the table, the same for both databases, and which names a device may have.
//! Never: sees a secret (only digests come here), decides who is let in. Invariant: every change
//! of the table counts its version up in the same transaction, so whoever has read up to a version
//! needs only what came later.

use std::collections::HashSet;

use store::StoreError;
use telemetry::{Micros, NAME_BYTES_MAX};

pub use access::SecretDigest;

/// Devices with a credential at most: what a broker holds in memory, at 56 bytes each.
pub const DEVICES_MAX: usize = 1_000_000;

/// How often the table has been changed.
pub type Version = i64;

/// What is kept of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    pub device: String,
    pub digest: SecretDigest,
    /// The secret before a rotation. Its time may have passed.
    pub previous: Option<Previous>,
    pub created_at: Micros,
    pub rotated_at: Option<Micros>,
    /// Since when the device is not let in any more.
    pub revoked_at: Option<Micros>,
}

/// A secret that was replaced and still lets the device in for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Previous {
    pub digest: SecretDigest,
    pub until: Micros,
}

/// A device and the digest of its new secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSecret {
    pub device: String,
    pub digest: SecretDigest,
}

/// What is done about devices that already have a credential when more are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Nothing at all is added.
    Refuse,
    /// They keep what they have.
    Skip,
}

/// One connection to the table. After `StoreError::Unavailable` it is of no more use: open another.
/// To be used on a thread that may block and is not inside a tokio runtime.
pub trait Credentials: Send {
    /// The version of the table: changes whenever anything in it does.
    fn version(&mut self) -> Result<Version, StoreError>;

    /// Hands over all devices (revoked ones too) that changed after version `since`, in no order,
    /// and returns the version that they are up to. 0: all there are.
    fn read(
        &mut self,
        since: Version,
        each: &mut dyn FnMut(Credential),
    ) -> Result<Version, StoreError>;

    /// Adds devices, or gives revoked ones a new secret. Returns those that were skipped. The names
    /// must be valid and different from each other.
    fn add(
        &mut self,
        devices: &[NewSecret],
        now: Micros,
        existing: Existing,
    ) -> Result<Vec<String>, ChangeError>;

    /// Gives devices new secrets; the present one is still good until `grace_until`, if that is
    /// given. All or none.
    fn rotate(
        &mut self,
        devices: &[NewSecret],
        now: Micros,
        grace_until: Option<Micros>,
    ) -> Result<(), ChangeError>;

    /// From now on the devices are not let in. Those that were revoked before stay so. All or none.
    fn revoke(&mut self, devices: &[String], now: Micros) -> Result<(), ChangeError>;
}

/// Why the table was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{}", already(.0))]
    Exist(Vec<String>),
    #[error("no active secret: {}", names(.0))]
    Unknown(Vec<String>),
    #[error("{0} devices would have a credential, {DEVICES_MAX} at most may")]
    TooMany(u64),
}

/// Names shown in one message.
const NAMES_MAX: usize = 5;

fn already(devices: &[String]) -> String {
    match devices {
        [one] => format!("`{one}` has a credential already"),
        _ => format!("have a credential already: {}", names(devices)),
    }
}

fn names(devices: &[String]) -> String {
    let shown: Vec<_> = devices
        .iter()
        .take(NAMES_MAX)
        .map(|device| format!("`{device}`"))
        .collect();
    match devices.len().saturating_sub(NAMES_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Why a device cannot have this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("is empty")]
    Empty,
    #[error("is longer than {NAME_BYTES_MAX} bytes")]
    Long,
    #[error("holds `{0}`, which has a meaning of its own in topics")]
    Topic(char),
    #[error("holds a control character")]
    Control,
    #[error("begins or ends with a space")]
    Space,
}

/// Whether a device may have this name: it stands in topics, and people type it.
pub fn check_name(device: &str) -> Result<(), NameError> {
    if device.is_empty() {
        return Err(NameError::Empty);
    }
    if device.len() > NAME_BYTES_MAX {
        return Err(NameError::Long);
    }
    if let Some(found) = device.chars().find(|c| matches!(c, '/' | '+' | '#')) {
        return Err(NameError::Topic(found));
    }
    if device.chars().any(char::is_control) {
        return Err(NameError::Control);
    }
    if device.trim() == device {
        Ok(())
    } else {
        Err(NameError::Space)
    }
}

/// The names that are not among those that the database has changed; both of the same statement.
pub(super) fn others<'a>(
    given: impl Iterator<Item = &'a str>,
    changed: &HashSet<String>,
) -> Vec<String> {
    given
        .filter(|device| !changed.contains(*device))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_into_a_topic() {
        for good in ["boiler-1", "größe 3", "$x", "a.b:c@d", "日本"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for (bad, expected) in [
            ("", NameError::Empty),
            ("a/b", NameError::Topic('/')),
            ("a+", NameError::Topic('+')),
            ("#", NameError::Topic('#')),
            ("a\0", NameError::Control),
            ("a\n", NameError::Control),
            (" a", NameError::Space),
            ("a ", NameError::Space),
        ] {
            assert_eq!(check_name(bad), Err(expected), "{bad:?}");
        }
        assert_eq!(check_name(&"x".repeat(NAME_BYTES_MAX)), Ok(()));
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        assert_eq!(check_name(&long), Err(NameError::Long));
    }

    #[test]
    fn a_message_names_a_few() {
        let devices: Vec<_> = (1..=7).map(|number| format!("d{number}")).collect();
        let exist = ChangeError::Exist(devices.clone());
        assert_eq!(
            exist.to_string(),
            "have a credential already: `d1`, `d2`, `d3`, `d4`, `d5` and 2 more"
        );
        let one = ChangeError::Exist(vec!["d1".into()]);
        assert_eq!(one.to_string(), "`d1` has a credential already");
        let unknown = ChangeError::Unknown(vec!["d1".into(), "d2".into()]);
        assert_eq!(unknown.to_string(), "no active secret: `d1`, `d2`");
    }
}
