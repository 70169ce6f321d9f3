//! The topics and what stands in them.
//!
//! Owns: the names. Those that other brokers have mean the same here (Mosquitto's manual, "Broker
//! status"); the others are ours.

use super::load::{Averages, RATES, WINDOWS_MINUTES};
use crate::gate::Gate;
use crate::stats::Stats;

/// What is asked elsewhere than in the counters.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) uptime_seconds: u32,
    pub(super) retained: u64,
    pub(super) retained_bytes: u64,
    pub(super) journal_bytes: u64,
    /// Since the router failed, and because of what it cannot forget.
    pub(super) router_failures: u64,
    pub(super) router_renewals: u64,
}

/// All topics (without the prefix) that hold a number, at one moment.
pub(super) struct Values {
    uptime_seconds: u32,
    numbers: Vec<(&'static str, u64)>,
    totals: [u64; RATES.len()],
}

impl Facts {
    pub(super) fn of(gate: &Gate) -> Facts {
        let router = gate.router.stats();
        Facts {
            uptime_seconds: gate.clock.seconds(),
            retained: gate.retained.len() as u64,
            retained_bytes: gate.retained.bytes() as u64,
            journal_bytes: gate.journal.status().size_bytes,
            router_failures: router.failures,
            router_renewals: router.renewals,
        }
    }
}

impl Values {
    pub(super) fn of(stats: &Stats, facts: &Facts) -> Values {
        let mut numbers = vec![
            ("clients/connected", stats.connections.get()),
            ("clients/maximum", stats.connections_max.get()),
            ("clients/disconnected", stats.sessions_kept.get()),
            ("clients/total", stats.sessions.get()),
            ("clients/expired", stats.sessions_expired.get()),
            ("clients/accepted", stats.connections_accepted.get()),
            ("clients/refused", stats.connections_refused.get()),
            ("clients/protocol-errors", stats.protocol_errors.get()),
            ("clients/throttled", stats.throttled.get()),
            ("subscriptions/count", stats.subscriptions.get()),
            ("subscriptions/denied", stats.denied_subscriptions.get()),
            ("subscriptions/revoked", stats.revoked_subscriptions.get()),
            ("retained messages/count", facts.retained),
            (
                "store/messages/count",
                facts.retained + stats.queued_messages.get(),
            ),
            (
                "store/messages/bytes",
                facts.retained_bytes + stats.queued_bytes.get(),
            ),
            ("queues/messages", stats.queued_messages.get()),
            ("queues/copies", stats.queued_copies.get()),
            ("queues/bytes", stats.queued_bytes.get()),
            ("publish/messages/received", stats.received.get()),
            ("publish/messages/sent", stats.delivered.get()),
            ("publish/messages/denied", stats.denied.get()),
            ("publish/messages/withheld", stats.withheld.get()),
            ("publish/messages/refused", stats.refused_by_limit.get()),
            ("publish/messages/unmatched", stats.unmatched.get()),
            ("publish/messages/redelivered", stats.redelivered.get()),
            ("bytes/received", stats.received_bytes.get()),
            ("bytes/sent", stats.sent_bytes.get()),
            ("journal/messages", stats.journalled.get()),
            ("journal/refused", stats.refused_journal_full.get()),
            ("journal/bytes", facts.journal_bytes),
            ("router/failures", facts.router_failures),
            ("router/renewals", facts.router_renewals),
            ("sessions/refused", stats.sessions_refused.get()),
            ("sessions/unsaved", stats.sessions_unsaved_changes.get()),
        ];
        numbers.extend(logins(stats));
        let dropped = dropped(stats);
        numbers.push((
            "publish/messages/dropped",
            dropped.iter().map(|(_, count)| count).sum(),
        ));
        numbers.extend(dropped);
        Values {
            uptime_seconds: facts.uptime_seconds,
            numbers,
            totals: [
                stats.received.get(),
                stats.delivered.get(),
                stats.received_bytes.get(),
                stats.sent_bytes.get(),
                stats.connections_accepted.get(),
            ],
        }
    }

    /// In the order of `RATES`.
    pub(super) fn totals(&self) -> &[u64; RATES.len()] {
        &self.totals
    }

    /// Shows every topic (without the prefix) and its payload.
    pub(super) fn each(&self, averages: &Averages, show: &mut dyn FnMut(&str, String)) {
        show("version", format!("millrace {}", env!("CARGO_PKG_VERSION")));
        show("uptime", format!("{} seconds", self.uptime_seconds));
        for (name, number) in &self.numbers {
            show(name, number.to_string());
        }
        for (rate, averages) in RATES.iter().zip(averages) {
            for (minutes, average) in WINDOWS_MINUTES.iter().zip(averages) {
                show(
                    &format!("load/{rate}/{minutes}min"),
                    format!("{average:.2}"),
                );
            }
        }
    }
}

/// Who got in how, and why others did not.
fn logins(stats: &Stats) -> [(&'static str, u64); 11] {
    let logins = &stats.logins;
    [
        ("logins/password", logins.by_password.get()),
        ("logins/device", logins.by_device_secret.get()),
        ("logins/certificate", logins.by_certificate.get()),
        ("logins/token", logins.by_token.get()),
        ("logins/anonymous", logins.anonymous.get()),
        ("logins/refused/wrong", logins.refused_wrong.get()),
        ("logins/refused/anonymous", logins.refused_anonymous.get()),
        ("logins/refused/disabled", logins.refused_disabled.get()),
        ("logins/refused/throttled", logins.refused_throttled.get()),
        ("logins/refused/busy", logins.refused_busy.get()),
        (
            "logins/refused/unavailable",
            logins.refused_unavailable.get(),
        ),
    ]
}

/// Copies and messages that somebody did not get, by reason.
fn dropped(stats: &Stats) -> [(&'static str, u64); 11] {
    [
        (
            "publish/messages/dropped/denied",
            stats.dropped_denied.get(),
        ),
        (
            "publish/messages/dropped/journal-full",
            stats.dropped_journal_full.get(),
        ),
        (
            "publish/messages/dropped/slow-consumer",
            stats.dropped_slow_consumer.get(),
        ),
        (
            "publish/messages/dropped/offline",
            stats.dropped_offline.get(),
        ),
        (
            "publish/messages/dropped/offline-full",
            stats.dropped_offline_full.get(),
        ),
        (
            "publish/messages/dropped/queues-full",
            stats.dropped_queues_full.get(),
        ),
        (
            "publish/messages/dropped/no-member",
            stats.dropped_no_member.get(),
        ),
        (
            "publish/messages/dropped/too-large",
            stats.dropped_too_large.get(),
        ),
        (
            "publish/messages/dropped/expired",
            stats.dropped_expired.get(),
        ),
        (
            "publish/messages/dropped/revoked",
            stats.dropped_revoked.get(),
        ),
        (
            "publish/messages/dropped/retained-full",
            stats.dropped_retained_full.get(),
        ),
    ]
}
