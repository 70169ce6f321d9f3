//! What kinds of devices there are, and what each of them measures.
//!
//! Owns: the built-in profiles and those of a scenario file. Never: makes a value. Invariant: a
//! profile has at least one metric, and its metrics have distinct names.

use serde::Deserialize;

use super::signal::{Signal, Waveform};

/// Names of the built-in profiles, as `--profile` takes them.
pub const BUILT_IN: [&str; 5] = ["thermostat", "boiler", "vibration", "power-meter", "gps"];

/// One kind of device.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    pub name: String,
    #[serde(rename = "metric")]
    pub metrics: Vec<Metric>,
}

/// One thing a device measures.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Metric {
    pub name: String,
    #[serde(default)]
    pub unit: String,
    #[serde(default)]
    pub signal: Signal,
}

impl Profile {
    /// A built-in profile by its name.
    pub fn built_in(name: &str) -> Option<Self> {
        let metrics = match name {
            "thermostat" => thermostat(),
            "boiler" => boiler(),
            "vibration" => vibration(),
            "power-meter" => power_meter(),
            "gps" => gps(),
            _ => return None,
        };
        Some(Self {
            name: name.to_owned(),
            metrics,
        })
    }

    /// What makes this profile unusable, if anything does.
    pub(crate) fn fault(&self) -> Option<String> {
        if self.name.is_empty() || self.name.contains(['/', '+', '#', '\0']) {
            return Some(format!(
                "the profile name `{}` cannot stand in a topic",
                self.name
            ));
        }
        if self.metrics.is_empty() {
            return Some(format!("the profile `{}` has no metric", self.name));
        }
        for (index, metric) in self.metrics.iter().enumerate() {
            if metric.name.is_empty() {
                return Some(format!(
                    "a metric of the profile `{}` has no name",
                    self.name
                ));
            }
            if self.metrics[..index]
                .iter()
                .any(|other| other.name == metric.name)
            {
                let (metric, profile) = (&metric.name, &self.name);
                return Some(format!(
                    "the profile `{profile}` has the metric `{metric}` twice"
                ));
            }
        }
        None
    }
}

fn thermostat() -> Vec<Metric> {
    vec![
        metric(
            "temperature",
            "°C",
            Waveform::Day,
            21.0,
            2.0,
            86_400,
            0.08,
            2,
        ),
        metric("humidity", "%", Waveform::Day, 45.0, -8.0, 86_400, 0.4, 1).within(0.0, 100.0),
        metric("setpoint", "°C", Waveform::Square, 20.5, 1.0, 3_600, 0.0, 1),
    ]
}

fn boiler() -> Vec<Metric> {
    vec![
        metric("temperature", "°C", Waveform::Sine, 72.0, 6.0, 600, 0.4, 2),
        metric("pressure", "bar", Waveform::Sine, 1.8, 0.2, 600, 0.02, 3).at_least(0.0),
        metric("flow", "l/min", Waveform::RandomWalk, 12.0, 4.0, 60, 0.1, 2).at_least(0.0),
    ]
}

fn vibration() -> Vec<Metric> {
    vec![
        metric("rms", "mm/s", Waveform::RandomWalk, 2.2, 0.8, 60, 0.1, 3).at_least(0.0),
        metric("peak", "mm/s", Waveform::RandomWalk, 4.8, 1.6, 60, 0.3, 3).at_least(0.0),
        metric(
            "temperature",
            "°C",
            Waveform::Sine,
            48.0,
            5.0,
            1_200,
            0.2,
            2,
        ),
    ]
}

fn power_meter() -> Vec<Metric> {
    vec![
        metric("voltage", "V", Waveform::RandomWalk, 230.0, 5.0, 60, 0.3, 1).at_least(0.0),
        metric("current", "A", Waveform::Day, 8.0, 6.0, 86_400, 0.3, 2).at_least(0.0),
        metric(
            "power",
            "W",
            Waveform::Day,
            1_840.0,
            1_380.0,
            86_400,
            40.0,
            0,
        )
        .at_least(0.0),
        metric(
            "energy",
            "kWh",
            Waveform::Counter,
            10_000.0,
            1.84,
            3_600,
            0.0,
            6,
        ),
    ]
}

fn gps() -> Vec<Metric> {
    vec![
        metric(
            "latitude",
            "°",
            Waveform::RandomWalk,
            52.52,
            0.05,
            60,
            0.0,
            6,
        )
        .within(-90.0, 90.0),
        metric(
            "longitude",
            "°",
            Waveform::RandomWalk,
            13.405,
            0.08,
            60,
            0.0,
            6,
        )
        .within(-180.0, 180.0),
        metric(
            "speed",
            "km/h",
            Waveform::RandomWalk,
            45.0,
            40.0,
            60,
            1.5,
            1,
        )
        .at_least(0.0),
        metric(
            "battery",
            "%",
            Waveform::Sawtooth,
            60.0,
            -40.0,
            28_800,
            0.0,
            1,
        )
        .within(0.0, 100.0),
    ]
}

#[expect(
    clippy::too_many_arguments,
    reason = "rows of the tables above, one column each"
)]
fn metric(
    name: &str,
    unit: &str,
    waveform: Waveform,
    base: f64,
    amplitude: f64,
    period_s: u64,
    noise: f64,
    decimals: u8,
) -> Metric {
    let period = std::time::Duration::from_secs(period_s);
    let signal = Signal {
        waveform,
        base,
        amplitude,
        period,
        noise,
        decimals,
        min: None,
        max: None,
    };
    Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        signal,
    }
}

impl Metric {
    fn at_least(mut self, min: f64) -> Self {
        self.signal.min = Some(min);
        self
    }

    fn within(mut self, min: f64, max: f64) -> Self {
        self.signal.min = Some(min);
        self.signal.max = Some(max);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_profile_is_usable() {
        for name in BUILT_IN {
            let profile = Profile::built_in(name).unwrap();
            assert_eq!(profile.name, name);
            assert_eq!(profile.fault(), None);
        }
        assert_eq!(Profile::built_in("toaster"), None);
    }

    #[test]
    fn unusable_profiles_say_why() {
        let empty = Profile {
            name: "pump".into(),
            metrics: vec![],
        };
        assert_eq!(empty.fault().unwrap(), "the profile `pump` has no metric");
        let mut twice = Profile::built_in("boiler").unwrap();
        twice.metrics[1].name = "temperature".into();
        assert_eq!(
            twice.fault().unwrap(),
            "the profile `boiler` has the metric `temperature` twice"
        );
    }
}
