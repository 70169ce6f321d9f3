//! What a run came to.
//!
//! Owns: the figures, as text for people and JSON for programs. Never: measures. Invariant: with
//! QoS 1 or 2, `sent = acknowledged + failed + in_flight`.

mod alerts;
mod expect;
mod latency;
mod progress;
mod tally;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::Serialize;

pub(crate) use alerts::{Listener, Recent};
pub(crate) use expect::Expect;
pub use latency::LatencySummary;
pub(crate) use progress::{Display, Goal};
pub(crate) use tally::{Counters, Tally};

use crate::wire::MqttVersion;

/// The account of a run. Counts are messages unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Repeats the run.
    pub seed: u64,
    pub mqtt_version: MqttVersion,
    pub devices: u64,
    pub connections: u64,
    /// From the first message to the last acknowledgement (QoS 0: to the end of the run), in
    /// seconds.
    pub duration_s: f64,
    /// Sent for the first time, duplicates included.
    pub sent: u64,
    pub acknowledged: u64,
    /// Samples in acknowledged messages; a duplicate does not count twice.
    pub samples_acknowledged: u64,
    /// Refused by the server for good.
    pub failed: u64,
    /// Why the server refused the first of them.
    pub failure: Option<String>,
    /// Sent, and at the end neither acknowledged nor refused.
    pub in_flight: u64,
    /// Meant to be sent, and not sent when the run ended.
    pub unsent: u64,
    /// Sent again after a reconnect.
    pub resent: u64,
    /// Put off by the server (MQTT 5, quota exceeded), and sent again.
    pub put_off: u64,
    pub reconnects: u64,
    pub connect_failures: u64,
    /// Messages a second that were acknowledged (QoS 0: sent).
    pub rate: f64,
    /// From TCP connect to CONNACK.
    pub connect_latency: Option<LatencySummary>,
    /// From the moment a message was meant to be sent to its PUBACK (QoS 2: PUBCOMP).
    pub puback_latency: Option<LatencySummary>,
    /// Alerts that came while the run listened; `None` when it did not.
    pub alerts_received: Option<u64>,
    /// From the moment a message was meant to be sent to the alert it caused.
    pub alert_latency: Option<LatencySummary>,
    /// Faults that befell devices, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Whether the run was stopped from outside before its end.
    pub stopped: bool,
}

impl Report {
    /// Whether everything that was meant to be sent was sent and, with QoS 1 and 2, acknowledged.
    pub fn is_complete(&self) -> bool {
        self.failed == 0 && self.in_flight == 0 && (self.unsent == 0 || self.stopped)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<(&str, String)> = Vec::new();
        lines.push((
            "fleet",
            format!(
                "{} devices, {} connections, MQTT {}, seed {}",
                grouped(self.devices),
                grouped(self.connections),
                self.mqtt_version,
                self.seed
            ),
        ));
        let mut sent = format!(
            "{} messages in {:.1} s",
            grouped(self.sent),
            self.duration_s
        );
        append(&mut sent, self.resent, "sent again");
        append(&mut sent, self.put_off, "put off by the server");
        append(&mut sent, self.unsent, "not sent");
        lines.push(("sent", sent));
        let mut acknowledged = format!(
            "{} messages, {} samples, {} messages/s",
            grouped(self.acknowledged),
            grouped(self.samples_acknowledged),
            grouped(self.rate.round() as u64)
        );
        append(&mut acknowledged, self.in_flight, "still in flight");
        lines.push(("acknowledged", acknowledged));
        if self.failed > 0 {
            let why = self.failure.as_deref().unwrap_or("no reason given");
            lines.push((
                "refused",
                format!("{} messages: {why}", grouped(self.failed)),
            ));
        }
        if self.reconnects + self.connect_failures > 0 {
            lines.push((
                "reconnects",
                format!(
                    "{}, {} failed attempts",
                    grouped(self.reconnects),
                    grouped(self.connect_failures)
                ),
            ));
        }
        for (name, latency) in [
            ("CONNACK", &self.connect_latency),
            ("PUBACK", &self.puback_latency),
            ("alert", &self.alert_latency),
        ] {
            if let Some(latency) = latency {
                lines.push((name, latency.to_string()));
            }
        }
        if let Some(received) = self.alerts_received {
            lines.push(("alerts", format!("{} received", grouped(received))));
        }
        if !self.faults.is_empty() {
            let faults: Vec<String> = self
                .faults
                .iter()
                .map(|(kind, count)| format!("{} {kind}", grouped(*count)))
                .collect();
            lines.push(("faults", faults.join(", ")));
        }
        for (name, text) in lines {
            writeln!(formatter, "{name:<13} {text}")?;
        }
        Ok(())
    }
}

impl fmt::Display for LatencySummary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "p50 {} ms, p99 {} ms, max {} ms",
            digits(self.p50_ms),
            digits(self.p99_ms),
            digits(self.max_ms)
        )
    }
}

fn append(text: &mut String, count: u64, what: &str) {
    if count > 0 {
        // Writing to a String cannot fail.
        let _ = write!(text, ", {} {what}", grouped(count));
    }
}

/// Three digits that matter: 0.123, 1.23, 12.3, 123.
fn digits(value: f64) -> String {
    let decimals = match value {
        0.0..1.0 => 3,
        1.0..10.0 => 2,
        10.0..100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// 1234567 as 1,234,567.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
