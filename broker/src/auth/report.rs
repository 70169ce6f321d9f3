//! What is said about refused logins: every one in the counters, a summary in the log.
//!
//! Owns: the reasons, and what the client is told. Never: writes a password, a token, or a user
//! name that nobody has to the log: people type passwords there. Invariant: each refusal is counted
//! once.

use std::sync::Arc;

use tracing::debug;

use crate::limits::{RefusalKind, Refusals, Who};
use crate::peer::Peer;
use crate::stats::{Counter, Stats};
use mqtt::{Connect, ReasonCode};

/// Why a login is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Wrong,
    Anonymous,
    Disabled,
    Throttled,
    Busy,
    Unavailable,
}

impl Refused {
    /// What the client is told. 3.1.1 has fewer words: 4, 5, 5, and 3 for the three that may pass.
    pub(super) fn reason_code(self) -> ReasonCode {
        match self {
            Refused::Wrong => ReasonCode::BadUserNameOrPassword,
            Refused::Anonymous => ReasonCode::NotAuthorized,
            // Only told to who knows the password.
            Refused::Disabled => ReasonCode::Banned,
            Refused::Throttled => ReasonCode::ConnectionRateExceeded,
            Refused::Busy => ReasonCode::ServerBusy,
            Refused::Unavailable => ReasonCode::ServerUnavailable,
        }
    }

    fn counter(self, stats: &Stats) -> &Counter {
        let logins = &stats.logins;
        match self {
            Refused::Wrong => &logins.refused_wrong,
            Refused::Anonymous => &logins.refused_anonymous,
            Refused::Disabled => &logins.refused_disabled,
            Refused::Throttled => &logins.refused_throttled,
            Refused::Busy => &logins.refused_busy,
            Refused::Unavailable => &logins.refused_unavailable,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Refused::Wrong => "with wrong credentials",
            Refused::Anonymous => "without credentials",
            Refused::Disabled => "the user is disabled",
            Refused::Throttled => "after too many failures",
            Refused::Busy => "too many wait",
            Refused::Unavailable => "before the device credentials are known",
        }
    }
}

/// Counts refusals and tells the log.
pub(super) struct Report {
    stats: Arc<Stats>,
    refusals: Refusals,
}

impl Report {
    pub(super) fn new(stats: Arc<Stats>) -> Report {
        Report {
            stats,
            refusals: Refusals::default(),
        }
    }

    /// `is_known`: there is a user or a device of the name that the client has given.
    pub(super) fn refused(
        &self,
        refused: Refused,
        why: &str,
        peer: &Peer,
        connect: &Connect<'_>,
        is_known: bool,
    ) {
        debug!(%peer, client = connect.client_id, why, "login refused");
        refused.counter(&self.stats).add(1);
        let who = Who {
            user: connect.user.filter(|_| is_known).unwrap_or_default(),
            client_id: connect.client_id,
            address: Some(peer.address),
        };
        self.refusals.note(RefusalKind::Login, &who, || {
            let reason = refused.reason_code();
            format!("{} (0x{:02X})", refused.words(), reason.code())
        });
    }

    /// Tells what has not been told yet; to be called now and then.
    pub(super) fn flush(&self) {
        self.refusals.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mqtt::Version;

    #[test]
    fn both_versions_have_an_answer_that_fits_connack() {
        for (refused, v5, v311) in [
            (Refused::Wrong, 0x86, 4),
            (Refused::Anonymous, 0x87, 5),
            (Refused::Disabled, 0x8A, 5),
            (Refused::Throttled, 0x9F, 3),
            (Refused::Busy, 0x89, 3),
            (Refused::Unavailable, 0x88, 3),
        ] {
            let reason = refused.reason_code();
            assert_eq!(reason.code(), v5, "{refused:?} in {:?}", Version::V5);
            assert_eq!(reason.connect_return_code(), v311, "{refused:?} in 3.1.1");
        }
    }
}
