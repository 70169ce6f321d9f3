//! What is said about refused logins: every one in the counters, a summary in the log.
//!
//! Owns: how often the log is told. Never: writes a password, a token, or a user name (people type passwords there) to it.
//! Invariant: however many are refused, a line comes at most once in ten seconds, and none is left out of its numbers.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use crate::lock::lock;
use crate::packet::{Connect, ReasonCode};
use crate::peer::Peer;
use crate::stats::{Counter, Stats};

/// Between two summaries.
const INTERVAL: Duration = Duration::from_secs(10);

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
    const ALL: [Refused; 6] = [
        Refused::Wrong,
        Refused::Anonymous,
        Refused::Disabled,
        Refused::Throttled,
        Refused::Busy,
        Refused::Unavailable,
    ];

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
            Refused::Disabled => "of disabled users",
            Refused::Throttled => "after too many failures",
            Refused::Busy => "because too many wait",
            Refused::Unavailable => "before the device credentials are known",
        }
    }
}

/// Counts refusals and tells the log.
pub(super) struct Report {
    stats: Arc<Stats>,
    summary: Mutex<Summary>,
}

#[derive(Default)]
struct Summary {
    refused: [u64; Refused::ALL.len()],
    /// Where the latest came from.
    latest: Option<IpAddr>,
    told: Option<Instant>,
}

impl Report {
    pub(super) fn new(stats: Arc<Stats>) -> Report {
        Report {
            stats,
            summary: Mutex::default(),
        }
    }

    pub(super) fn refused(&self, refused: Refused, why: &str, peer: &Peer, connect: &Connect<'_>) {
        debug!(%peer, client = connect.client_id, why, "login refused");
        refused.counter(&self.stats).add(1);
        let mut summary = lock(&self.summary);
        summary.refused[refused as usize] += 1;
        summary.latest = Some(peer.address.ip());
        let told = summary.tell(Instant::now());
        drop(summary);
        warn_of(told);
    }

    /// Tells what has not been told yet; to be called now and then.
    pub(super) fn flush(&self) {
        let told = lock(&self.summary).tell(Instant::now());
        warn_of(told);
    }
}

impl Summary {
    /// The summary when its time has come and there is something to tell.
    fn tell(&mut self, now: Instant) -> Option<(String, IpAddr)> {
        let is_early = self
            .told
            .is_some_and(|told| now.saturating_duration_since(told) < INTERVAL);
        if is_early {
            return None;
        }
        let latest = self.latest.take()?;
        let mut text = String::new();
        for refused in Refused::ALL {
            let count = std::mem::take(&mut self.refused[refused as usize]);
            if count > 0 {
                let comma = if text.is_empty() { "" } else { ", " };
                // Writing to a string cannot fail.
                let _ = write!(text, "{comma}{count} {}", refused.words());
            }
        }
        self.told = Some(now);
        Some((text, latest))
    }
}

fn warn_of(told: Option<(String, IpAddr)>) {
    if let Some((refused, latest)) = told {
        warn!(%latest, "logins refused: {refused}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Version;

    #[test]
    fn a_summary_comes_seldom_and_leaves_nothing_out() {
        let mut summary = Summary::default();
        let start = Instant::now();
        assert_eq!(summary.tell(start), None);
        let refuse = |summary: &mut Summary, refused: Refused| {
            summary.refused[refused as usize] += 1;
            summary.latest = Some([192, 0, 2, 1].into());
        };
        refuse(&mut summary, Refused::Wrong);
        let (text, latest) = summary.tell(start).expect("the first at once");
        assert_eq!(text, "1 with wrong credentials");
        assert_eq!(latest, IpAddr::from([192, 0, 2, 1]));
        refuse(&mut summary, Refused::Wrong);
        refuse(&mut summary, Refused::Wrong);
        refuse(&mut summary, Refused::Throttled);
        assert_eq!(summary.tell(start + INTERVAL / 2), None);
        let (text, _) = summary.tell(start + INTERVAL).expect("its time has come");
        assert_eq!(text, "2 with wrong credentials, 1 after too many failures");
        assert_eq!(summary.tell(start + 3 * INTERVAL), None);
    }

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
