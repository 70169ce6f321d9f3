//! What the user writes in `[ingest.filter]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// More entries than a device sends between a publish and the resend of it; the window is per
/// series.
pub(super) const DUPLICATE_WINDOW_MAX: u16 = 256;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Samples whose time lies further before their receipt are dropped: `"30d"`, or `"off"`. Off
    /// by default, because recorded data is replayed with its old times.
    #[serde(with = "limit")]
    pub max_age: Option<Duration>,
    /// Samples whose time lies further behind their receipt are dropped: `"1h"`, or `"off"`. A
    /// device whose clock is wrong would otherwise be the newest for years.
    #[serde(with = "limit")]
    pub max_future: Option<Duration>,
    /// Drops a sample that repeats the device time and the value of a recent one of its series: a
    /// resend.
    pub duplicates: bool,
    /// How many samples of a series are remembered for that, 4 to 256.
    pub duplicate_window: u16,
    /// Asked in order: of the rules that match a series, the first with an action decides whether
    /// it is kept, the first with a range decides the range, and so on. What no rule decides is
    /// kept.
    #[serde(rename = "rule")]
    pub rules: Vec<RuleConfig>,
}

/// One `[[ingest.filter.rule]]`. What it does not name, it matches.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleConfig {
    /// A device id or a glob: `boiler-*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// A metric or a glob: `engine.*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// An MQTT filter: `devices/+/telemetry`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// Numbers outside are dropped; measured after conversion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<RangeConfig>,
    /// Numbers near the last stored one are dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadband: Option<DeadbandConfig>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Allow,
    Deny,
}

/// Both ends belong to it; one may be left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RangeConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// Either `absolute` or `percent`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeadbandConfig {
    /// In the metric's unit: a change must be larger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absolute: Option<f64>,
    /// Of the last stored value: a change must be larger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<f64>,
    /// After so long without a stored sample (by the samples' own times) the next one is stored,
    /// changed or not.
    #[serde(with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    pub max_silence: Option<Duration>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            max_age: None,
            max_future: Some(Duration::from_secs(3_600)),
            duplicates: true,
            duplicate_window: DUPLICATE_WINDOW_MAX,
            rules: Vec::new(),
        }
    }
}

/// A duration, or the word `off`.
mod limit {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    const OFF: &str = "off";

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Written(#[serde(with = "humantime_serde")] Duration);

    pub(super) fn serialize<S: Serializer>(
        limit: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match limit {
            Some(duration) => Written(*duration).serialize(serializer),
            None => serializer.serialize_str(OFF),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        use serde::de::IntoDeserializer;

        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            OFF => Ok(None),
            _ => Written::deserialize(text.into_deserializer()).map(|Written(limit)| Some(limit)),
        }
    }
}
