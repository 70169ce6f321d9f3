//! Logins in numbers.

use crate::counter::Counter;

/// How logins ended since the start; every CONNECT that was judged is in exactly one of them, but
/// for the first.
#[derive(Debug, Default)]
pub struct Logins {
    /// Passwords that were hashed to be checked; the others were remembered, or refused unseen. Not
    /// a login's end.
    pub passwords_hashed: Counter,
    /// Let in with a user's password.
    pub by_password: Counter,
    /// Let in with a device's secret.
    pub by_device_secret: Counter,
    /// Let in by the name in a client certificate.
    pub by_certificate: Counter,
    /// Let in with a token.
    pub by_token: Counter,
    /// Let in without credentials.
    pub anonymous: Counter,
    /// Refused: the user, the password, the secret or the token was wrong.
    pub refused_wrong: Counter,
    /// Refused: there were no credentials, and they are needed.
    pub refused_anonymous: Counter,
    /// Refused: the user is disabled.
    pub refused_disabled: Counter,
    /// Refused unseen: too many failures before it.
    pub refused_throttled: Counter,
    /// Refused: too many logins wait for their password to be checked, or waited for too long.
    pub refused_busy: Counter,
    /// Refused: the device credentials are not known yet.
    pub refused_unavailable: Counter,
}
