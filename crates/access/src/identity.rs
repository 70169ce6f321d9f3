//! Who a client is, once authentication has found it.

use std::sync::Arc;

use crate::certificate::Revocable;
use crate::digest::SecretDigest;

/// Who says that a client is who it says it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Voucher {
    /// Nobody: it was let in without credentials.
    #[default]
    Nobody,
    /// The users file, by a password.
    Users,
    /// The keeper of device secrets.
    Devices,
    /// The authority that a listener trusts.
    Certificate,
    /// The issuer of tokens.
    Token,
    /// It is not known any more: a Millrace that wrote down no more than the user kept the session
    /// over a restart.
    Forgotten,
}

/// A client's identity; decided at CONNECT, and the same for the life of the connection. Clients of
/// one user share it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Empty: nobody, let in without credentials.
    pub user: Box<str>,
    pub vouched_by: Voucher,
    pub groups: Arc<[Box<str>]>,
    /// The name in the client's certificate.
    pub certificate: Option<Box<str>>,
    /// What else the credentials say, for `%{name}` in access rules: names and values, sorted by
    /// name.
    pub variables: Box<[(Box<str>, Box<str>)]>,
    /// Seconds since 1970 after which the credentials no longer hold and the connection ends.
    pub expires_at: Option<u64>,
    /// What let a device in; once it is no secret of the device any more, the connection ends.
    pub device_secret: Option<SecretDigest>,
    /// The key of the token that let the client in; once it is known no more, the connection ends.
    pub token_key: Option<Arc<str>>,
    /// The client's certificate, whatever else it brought; once it is revoked, the connection ends.
    pub revocable: Option<Arc<Revocable>>,
}

impl Identity {
    /// Whether there is more than a user's name: only then rules can be asked about it.
    pub fn is_known(&self) -> bool {
        self.vouched_by != Voucher::Forgotten
    }

    /// Whether the credentials no longer hold.
    pub fn has_expired(&self, unix_seconds: u64) -> bool {
        self.expires_at
            .is_some_and(|expires_at| expires_at <= unix_seconds)
    }

    /// Whether the certificate that the client came with was taken back since.
    pub fn is_revoked(&self) -> bool {
        self.revocable
            .as_ref()
            .is_some_and(|certificate| certificate.is_revoked())
    }

    /// The value of a variable that the credentials define.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let found = self
            .variables
            .binary_search_by(|(known, _)| (**known).cmp(name));
        found.ok().map(|at| &*self.variables[at].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_by_name_and_credentials_expire() {
        let identity = Identity {
            variables: [("line".into(), "7".into()), ("site".into(), "north".into())].into(),
            expires_at: Some(100),
            ..Identity::default()
        };
        assert_eq!(identity.variable("site"), Some("north"));
        assert_eq!(identity.variable("hall"), None);
        assert!(!identity.has_expired(99));
        assert!(identity.has_expired(100));
        assert!(!Identity::default().has_expired(u64::MAX));
    }
}
