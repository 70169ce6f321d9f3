//! Alert events: what is published, and how it reads.
//!
//! Owns: the JSON of an event and the words of its message. Never: decides that there is an event.
//! Invariant: the same event is always the same bytes.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use telemetry::Micros;

use super::labels::Labels;
use super::rules::{Condition, Facts, Rule, Severity, number};
use super::threshold::Limit;

/// One change of an alert, as JSON on the alert topics. Times are RFC 3339, UTC, with six decimals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// 32 hexadecimal digits; a replay after a crash repeats it.
    pub id: String,
    pub rule: String,
    pub device: String,
    /// Empty when the alert is about the device alone.
    pub metric: String,
    pub severity: Severity,
    pub state: EventState,
    /// Of the sample that made the change; `null` for silence.
    pub value: Option<f64>,
    /// The limit, or how many seconds a device may be silent.
    pub threshold: f64,
    pub message: String,
    pub labels: Labels,
    /// When the condition began to hold: event time of the first sample beyond the limit; for
    /// silence, the last sign of life.
    #[serde(with = "rfc3339")]
    pub started_at: Micros,
    /// Event time of this change: of the sample that made it; for silence, when the time was up, or
    /// when the next report was received.
    #[serde(with = "rfc3339")]
    pub updated_at: Micros,
    /// How often this alert has fired, this time included.
    pub count: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventState {
    Firing,
    Resolved,
}

impl EventState {
    pub const ALL: [EventState; 2] = [EventState::Firing, EventState::Resolved];

    pub fn as_str(self) -> &'static str {
        match self {
            EventState::Firing => "firing",
            EventState::Resolved => "resolved",
        }
    }
}

impl Event {
    pub fn to_json(&self) -> String {
        // Strings, finite numbers and a map with string keys: nothing in it can be refused.
        serde_json::to_string(self).expect("an event consists of what JSON can hold")
    }
}

/// What a message is about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    pub device: &'a str,
    pub metric: &'a str,
    pub value: Option<f64>,
    pub unit: &'a str,
    pub state: EventState,
    pub labels: &'a Labels,
}

/// The number in `Event::threshold`.
pub fn threshold_of(rule: &Rule, value: Option<f64>) -> f64 {
    match rule.condition {
        Condition::Threshold(threshold) => threshold.limit.crossed_by(value.unwrap_or_default()),
        Condition::Silence(silence) => silence.interval as f64 / 1e6,
    }
}

/// The rule's own message, or the default words of its condition.
pub fn message(rule: &Rule, about: &About<'_>, threshold: f64) -> String {
    let limit = match rule.condition {
        Condition::Threshold(_) => number(threshold),
        Condition::Silence(silence) => duration(silence.interval),
    };
    match &rule.message {
        Some(template) => template.render(&Facts {
            rule: &rule.name,
            device: about.device,
            metric: about.metric,
            value: about.value,
            unit: about.unit,
            threshold: &limit,
            severity: rule.severity.as_str(),
            state: about.state.as_str(),
            labels: about.labels,
        }),
        None => default_message(rule, about, &limit),
    }
}

/// A span of time for people: `5m`, `1h 30m`.
pub fn duration(micros: Micros) -> String {
    let span = std::time::Duration::from_micros(micros.max(0).unsigned_abs());
    humantime_serde::re::humantime::format_duration(span).to_string()
}

/// `2026-01-31T12:00:00.000000Z`; times that no calendar holds are written as their nearest.
pub fn format_time(time: Micros) -> String {
    let nearest = match time {
        ..0 => Timestamp::MIN,
        _ => Timestamp::MAX,
    };
    let time = Timestamp::from_microsecond(time).unwrap_or(nearest);
    format!("{time:.6}")
}

fn default_message(rule: &Rule, about: &About<'_>, limit: &str) -> String {
    let (device, metric) = (about.device, about.metric);
    let threshold = match rule.condition {
        Condition::Threshold(threshold) => threshold,
        Condition::Silence(_) => {
            let what = match metric {
                "" => String::new(),
                metric => format!("{metric} of "),
            };
            return match about.state {
                EventState::Firing => format!("{what}{device} has been silent for {limit}"),
                EventState::Resolved => format!("{what}{device} is heard again"),
            };
        }
    };
    let value = number(about.value.unwrap_or_default());
    let value = format!("{value} {}", about.unit);
    let value = value.trim_end();
    let relation = match (about.state, threshold.limit) {
        (EventState::Resolved, _) => "back to normal, limit",
        (_, Limit::Above { .. }) => "above",
        (_, Limit::Below { .. }) => "below",
        (_, Limit::Outside { low, high, .. }) => {
            let (low, high) = (number(low), number(high));
            return format!("{metric} of {device} is {value}, outside {low} to {high}");
        }
    };
    format!("{metric} of {device} is {value}, {relation} {limit}")
}

mod rfc3339 {
    use super::{Deserialize, Deserializer, Micros, Serializer, Timestamp, de, format_time};

    pub(super) fn serialize<S: Serializer>(time: &Micros, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&format_time(*time))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Micros, D::Error> {
        let text = String::deserialize(input)?;
        let time: Timestamp = text.parse().map_err(de::Error::custom)?;
        Ok(time.as_microsecond())
    }
}

#[cfg(test)]
mod tests {
    use super::super::rules::Rules;
    use super::*;

    #[track_caller]
    fn check(rule: &str, about: About<'_>, expected: &str) {
        let text = format!("[[rule]]\nname = \"r\"\n{rule}");
        let rules = Rules::of_text(&text);
        let rule = rules.get(0).unwrap();
        let threshold = threshold_of(rule, about.value);
        assert_eq!(message(rule, &about, threshold), expected);
    }

    #[test]
    fn messages_read_well() {
        let labels = Labels::from_json(r#"{"site":"north"}"#);
        let hot = About {
            device: "boiler-1",
            metric: "temperature",
            value: Some(91.25),
            unit: "°C",
            state: EventState::Firing,
            labels: &labels,
        };
        let metric = "metric = \"temperature\"\n";
        let above = format!("{metric}above = 90");
        check(&above, hot, "temperature of boiler-1 is 91.25 °C, above 90");
        let cool = About {
            value: Some(80.0),
            unit: "",
            state: EventState::Resolved,
            ..hot
        };
        let back = "temperature of boiler-1 is 80, back to normal, limit 90";
        check(&above, cool, back);
        let outside = format!("{metric}outside = [10, 20.5]");
        let both = "temperature of boiler-1 is 91.25 °C, outside 10 to 20.5";
        check(&outside, hot, both);
        let message = "{device}@{labels.site}{labels.none}: {value} {unit} {{{threshold}}} {state}";
        let own = format!("{above}\nmessage = \"{message}\"");
        check(&own, hot, "boiler-1@north: 91.25 °C {90} firing");

        let silent = About {
            metric: "",
            value: None,
            unit: "",
            ..hot
        };
        let rule = "silent_for = \"90s\"";
        check(rule, silent, "boiler-1 has been silent for 1m 30s");
        let heard = About {
            state: EventState::Resolved,
            ..silent
        };
        check(rule, heard, "boiler-1 is heard again");
        let metric_silent = About {
            metric: "temperature",
            ..silent
        };
        let rule = format!("{metric}silent_for = \"5m\"");
        let words = "temperature of boiler-1 has been silent for 5m";
        check(&rule, metric_silent, words);
    }

    #[test]
    fn numbers_are_for_people() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (90.0, "90"),
            (90.300_000_000_000_01, "90.3"),
            (-12.5, "-12.5"),
            (0.000_5, "0.0005"),
            (0.000_012_5, "1.25e-5"),
            (123_456_789.0, "123456789"),
            (1e300, "1e300"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn an_event_is_json_and_back() {
        let event = Event {
            id: "00ff".into(),
            rule: "boiler-hot".into(),
            device: "boiler-1".into(),
            metric: "temperature".into(),
            severity: Severity::Critical,
            state: EventState::Firing,
            value: Some(91.5),
            threshold: 90.0,
            message: "hot".into(),
            labels: Labels::from_json(r#"{"site":"north"}"#),
            started_at: 1_700_000_000_000_000,
            updated_at: 1_700_000_030_500_001,
            count: 2,
        };
        let json = event.to_json();
        assert_eq!(
            json,
            r#"{"id":"00ff","rule":"boiler-hot","device":"boiler-1","metric":"temperature","severity":"critical","state":"firing","value":91.5,"threshold":90.0,"message":"hot","labels":{"site":"north"},"started_at":"2023-11-14T22:13:20.000000Z","updated_at":"2023-11-14T22:13:50.500001Z","count":2}"#
        );
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
    }

    #[test]
    fn impossible_times_are_written_as_their_nearest() {
        assert!(format_time(i64::MIN).starts_with("-009999-"));
        assert!(format_time(i64::MAX).starts_with("9999-"));
    }
}
