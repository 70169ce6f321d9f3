//! Rules as they are applied, and which of them apply to a series.

use documents::ConfigError;
use mqtt::topic;
use store::Reason;
use telemetry::{Micros, Value};

use super::config::{
    Action, Config, DUPLICATE_WINDOW_MAX, DeadbandConfig, RangeConfig, RuleConfig,
};
use super::deadband::{Deadband, Threshold};
use crate::registry::pattern::Pattern;

/// Rings begin with so many entries, so a window cannot be smaller.
pub(super) const DUPLICATE_WINDOW_MIN: u16 = 4;

/// The filters of a configuration, checked.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    max_age: Option<Micros>,
    max_future: Option<Micros>,
    /// 0: off.
    duplicate_window: u16,
    rules: Vec<Rule>,
    uses_topics: bool,
}

#[derive(Debug, Clone)]
struct Rule {
    device: Option<Pattern>,
    metric: Option<Pattern>,
    topic: Option<String>,
    denies: Option<bool>,
    range: Option<Range>,
    deadband: Option<Deadband>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Range {
    min: f64,
    max: f64,
}

/// What the rules say about one series.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RuleSet {
    denied: bool,
    range: Option<Range>,
    deadband: Option<Deadband>,
}

impl Rules {
    pub fn new(config: &Config) -> Result<Rules, ConfigError> {
        let window = config.duplicate_window;
        if !(DUPLICATE_WINDOW_MIN..=DUPLICATE_WINDOW_MAX).contains(&window) {
            let problem =
                format!("is {window}; it may be {DUPLICATE_WINDOW_MIN} to {DUPLICATE_WINDOW_MAX}");
            return Err(ConfigError::new("ingest.filter.duplicate_window", problem));
        }
        let rules = config.rules.iter().enumerate().map(|(index, rule)| {
            Rule::new(rule).map_err(|(key, problem)| ConfigError {
                // People count from 1.
                message: format!("filter rule {}: `{key}` {problem}", index + 1),
                ..ConfigError::new(format!("ingest.filter.rule.{index}.{key}"), "")
            })
        });
        let micros = |limit: std::time::Duration| {
            // Longer than any time there is: no limit.
            Micros::try_from(limit.as_micros()).unwrap_or(Micros::MAX)
        };
        Ok(Rules {
            max_age: config.max_age.map(micros),
            max_future: config.max_future.map(micros),
            duplicate_window: if config.duplicates { window } else { 0 },
            rules: rules.collect::<Result<_, _>>()?,
            uses_topics: config.rules.iter().any(|rule| rule.topic.is_some()),
        })
    }

    /// What applies to a series; once per series and, when `uses_topics`, per topic that brings it.
    pub fn resolve(&self, device: &str, metric: &str, topic: &str) -> RuleSet {
        let mut denied = None;
        let mut set = RuleSet::default();
        for rule in &self.rules {
            if rule.matches(device, metric, topic) {
                denied = denied.or(rule.denies);
                set.range = set.range.or(rule.range);
                set.deadband = set.deadband.or(rule.deadband);
            }
        }
        set.denied = denied.unwrap_or(false);
        set
    }

    /// Whether a series' rules depend on the topic that brings it.
    pub fn uses_topics(&self) -> bool {
        self.uses_topics
    }

    /// How many samples of a series the duplicate filter remembers; 0 when it is off.
    pub fn duplicate_window(&self) -> u16 {
        self.duplicate_window
    }

    /// Whether a sample's time lies too far from its receipt.
    pub fn check_time(&self, time: Micros, received_at: Micros) -> Option<Reason> {
        let age = received_at.saturating_sub(time);
        if self.max_age.is_some_and(|limit| age > limit) {
            return Some(Reason::TooOld);
        }
        if self.max_future.is_some_and(|limit| age < -limit) {
            return Some(Reason::TooFarInFuture);
        }
        None
    }
}

impl RuleSet {
    pub fn denied(&self) -> bool {
        self.denied
    }

    pub fn deadband(&self) -> Option<&Deadband> {
        self.deadband.as_ref()
    }

    /// Whether a value, converted, may be kept.
    pub fn check_value(&self, value: Value<'_>) -> Option<Reason> {
        match value {
            Value::Number(number) if !number.is_finite() => Some(Reason::NotFinite),
            Value::Number(number) => {
                let range = self.range?;
                let inside = (range.min..=range.max).contains(&number);
                (!inside).then_some(Reason::OutOfRange)
            }
            Value::Text(_) => None,
        }
    }
}

impl Rule {
    fn new(config: &RuleConfig) -> Result<Rule, (&'static str, String)> {
        if let RuleConfig {
            action: None,
            range: None,
            deadband: None,
            ..
        } = config
        {
            return Err((
                "action",
                "is missing, and there is no range or deadband".into(),
            ));
        }
        if let Some(filter) = &config.topic
            && !topic::valid_filter(filter)
        {
            return Err((
                "topic",
                format!("is `{filter}`, which is not an MQTT filter"),
            ));
        }
        Ok(Rule {
            device: pattern("device", config.device.as_deref())?,
            metric: pattern("metric", config.metric.as_deref())?,
            topic: config.topic.clone(),
            denies: config.action.map(|action| action == Action::Deny),
            range: config.range.map(range).transpose()?,
            deadband: config.deadband.map(deadband).transpose()?,
        })
    }

    fn matches(&self, device: &str, metric: &str, topic: &str) -> bool {
        let device_matches = self
            .device
            .as_ref()
            .is_none_or(|pattern| pattern.matches(device));
        let metric_matches = self
            .metric
            .as_ref()
            .is_none_or(|pattern| pattern.matches(metric));
        let topic_matches = || {
            self.topic
                .as_ref()
                .is_none_or(|filter| topic::matches(filter, topic))
        };
        device_matches && metric_matches && topic_matches()
    }
}

fn pattern(
    key: &'static str,
    text: Option<&str>,
) -> Result<Option<Pattern>, (&'static str, String)> {
    let Some(text) = text else {
        return Ok(None);
    };
    if text.is_empty() {
        return Err((key, "is empty; leave it out to match all".into()));
    }
    let pattern = Pattern::parse(text);
    pattern
        .map(Some)
        .map_err(|error| (key, format!("is `{text}`: {}", error.kind())))
}

fn range(config: RangeConfig) -> Result<Range, (&'static str, String)> {
    let range = Range {
        min: config.min.unwrap_or(f64::NEG_INFINITY),
        max: config.max.unwrap_or(f64::INFINITY),
    };
    if config.min.is_none() && config.max.is_none() {
        return Err(("range", "needs `min` or `max`".into()));
    }
    // A NaN compares as nothing and must not pass.
    let holds_numbers = range.min <= range.max;
    if !holds_numbers {
        return Err((
            "range",
            format!("from {} to {} holds no number", range.min, range.max),
        ));
    }
    Ok(range)
}

fn deadband(config: DeadbandConfig) -> Result<Deadband, (&'static str, String)> {
    let threshold = match (config.absolute, config.percent) {
        (Some(width), None) => Threshold::Absolute(width),
        (None, Some(percent)) => Threshold::Percent(percent),
        _ => return Err(("deadband", "needs either `absolute` or `percent`".into())),
    };
    let (Threshold::Absolute(width) | Threshold::Percent(width)) = threshold;
    if !width.is_finite() || width < 0.0 {
        return Err(("deadband", format!("of {width} is not a width")));
    }
    let max_silence = config.max_silence.map(|silence| {
        // Longer than any time there is: never.
        Micros::try_from(silence.as_micros()).unwrap_or(Micros::MAX)
    });
    Ok(Deadband {
        threshold,
        max_silence,
    })
}
