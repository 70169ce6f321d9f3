//! Why a login is refused.
//!
//! Owns: the reasons, and what the client is told. Never: says a password, a token, or a user name
//! that nobody has: people type passwords there. Invariant: each refusal has one counter.

use mqtt::ReasonCode;

use super::counters::Logins;
use crate::counter::Counter;

/// A login that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    pub(super) reason: Reason,
    /// There is a user or a device of the name that the client has given, so a log may show it.
    pub user_is_known: bool,
}

/// Why it was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Wrong,
    Anonymous,
    Disabled,
    Throttled,
    Busy,
    Unavailable,
}

impl Refusal {
    /// What the client is told. 3.1.1 has fewer words: 4, 5, 5, and 3 for the three that may pass.
    pub fn reason_code(&self) -> ReasonCode {
        match self.reason {
            Reason::Wrong => ReasonCode::BadUserNameOrPassword,
            Reason::Anonymous => ReasonCode::NotAuthorized,
            // Only told to a client that has shown the user's password or certificate.
            Reason::Disabled => ReasonCode::Banned,
            Reason::Throttled => ReasonCode::ConnectionRateExceeded,
            Reason::Busy => ReasonCode::ServerBusy,
            Reason::Unavailable => ReasonCode::ServerUnavailable,
        }
    }

    /// The reason for the log, after "login refused".
    pub fn words(&self) -> &'static str {
        match self.reason {
            Reason::Wrong => "with wrong credentials",
            Reason::Anonymous => "without credentials",
            Reason::Disabled => "the user is disabled",
            Reason::Throttled => "after too many failures",
            Reason::Busy => "too many wait",
            Reason::Unavailable => "before the device credentials are known",
        }
    }
}

impl Reason {
    pub(super) fn counter(self, logins: &Logins) -> &Counter {
        match self {
            Reason::Wrong => &logins.refused_wrong,
            Reason::Anonymous => &logins.refused_anonymous,
            Reason::Disabled => &logins.refused_disabled,
            Reason::Throttled => &logins.refused_throttled,
            Reason::Busy => &logins.refused_busy,
            Reason::Unavailable => &logins.refused_unavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mqtt::Version;

    #[test]
    fn both_versions_have_an_answer_that_fits_connack() {
        for (reason, v5, v311) in [
            (Reason::Wrong, 0x86, 4),
            (Reason::Anonymous, 0x87, 5),
            (Reason::Disabled, 0x8A, 5),
            (Reason::Throttled, 0x9F, 3),
            (Reason::Busy, 0x89, 3),
            (Reason::Unavailable, 0x88, 3),
        ] {
            let refusal = Refusal {
                reason,
                user_is_known: false,
            };
            let code = refusal.reason_code();
            assert_eq!(code.code(), v5, "{reason:?} in {:?}", Version::V5);
            assert_eq!(code.connect_return_code(), v311, "{reason:?} in 3.1.1");
        }
    }
}
