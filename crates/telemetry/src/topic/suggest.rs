//! The template that would take a topic, for somebody who is to write it.
//!
//! Owns: the guess. Never: decides what is telemetry. Invariant: the template takes the topic that
//! it was made for.
//!
//! The device is the level that
//!
//! 1. is the client id or the user of the publisher, or else
//! 2. the last one (not the first) with a letter and a digit, as `press-7`, or else
//! 3. the first that is a number, or else
//! 4. the last one that is no word for data, as `state`.
//!
//! Other levels with a digit are named `{level2}` by where they stand; version numbers, such as
//! `v1`, and what has no digit stay as they are. Where the payload is a bare value the last level
//! is the metric.

use super::{LEVELS_MAX, TopicTemplate};

/// What stands behind a device more often than it is one.
const WORDS: [&str; 17] = [
    "attributes",
    "data",
    "event",
    "events",
    "info",
    "json",
    "measurement",
    "measurements",
    "reading",
    "readings",
    "sensor",
    "sensors",
    "state",
    "status",
    "telemetry",
    "value",
    "values",
];

/// What is known of a message beside its topic.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hints<'a> {
    /// Empty when it is not known.
    pub client_id: &'a str,
    /// Empty for a client without one.
    pub user: &'a str,
    /// The payload is one value and no object or list, so that the topic must name the metric.
    pub bare: bool,
}

/// `None` for a topic that no template can take, or that has no level for a device.
pub fn suggest(topic: &str, hints: &Hints<'_>) -> Option<TopicTemplate> {
    let levels: Vec<&str> = topic.split('/').collect();
    if levels.len() > LEVELS_MAX {
        return None;
    }
    // `sensors/b` is more likely a sensor `b` than a metric of a device called `sensors`.
    let has_metric = hints.bare && levels.len() > 1 && (levels.len() > 2 || !is_word(levels[0]));
    let metric = has_metric.then_some(levels.len() - 1);
    let device = device(&levels[..metric.unwrap_or(levels.len())], hints)?;
    let parts: Vec<String> = levels
        .iter()
        .enumerate()
        .map(|(at, level)| match level {
            _ if at == device => "{device}".to_owned(),
            _ if Some(at) == metric => "{metric}".to_owned(),
            _ if is_number(level) || (at > 0 && is_mixed(level)) || level.contains(['{', '}']) => {
                format!("{{level{}}}", at + 1)
            }
            _ => (*level).to_owned(),
        })
        .collect();
    let template = TopicTemplate::parse(&parts.join("/")).ok()?;
    template.matches(topic)?;
    Some(template)
}

/// One of the levels, by its place.
fn device(levels: &[&str], hints: &Hints<'_>) -> Option<usize> {
    let is_publisher =
        |level: &&str| !level.is_empty() && [hints.client_id, hints.user].contains(level);
    let last = |is_it: &dyn Fn(&str) -> bool| levels.iter().rposition(|level| is_it(level));
    levels
        .iter()
        .position(is_publisher)
        .or_else(|| last(&is_mixed).filter(|at| *at > 0))
        .or_else(|| levels.iter().position(|level| is_number(level)))
        .or_else(|| last(&|level| !level.is_empty() && !is_word(level)))
        .or_else(|| last(&|level| !level.is_empty()))
}

fn is_word(level: &str) -> bool {
    WORDS.contains(&level.to_ascii_lowercase().as_str())
}

fn is_number(level: &str) -> bool {
    !level.is_empty() && level.bytes().all(|byte| byte.is_ascii_digit())
}

/// Letters and digits, but no version number.
fn is_mixed(level: &str) -> bool {
    let has_digit = level.bytes().any(|byte| byte.is_ascii_digit());
    let is_version = level.strip_prefix(['v', 'V']).is_some_and(is_number);
    has_digit && !is_number(level) && !is_version
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_for_topics_that_devices_use() {
        #[track_caller]
        fn check(topic: &str, bare: bool, expected: &str) {
            let hints = Hints {
                client_id: "me-1",
                user: "ann",
                bare,
            };
            let found = suggest(topic, &hints);
            let found = found.as_ref().map_or("none", TopicTemplate::as_str);
            assert_eq!(found, expected, "{topic}");
        }
        check("sensors/b", false, "sensors/{device}");
        check("sensors/b", true, "sensors/{device}");
        check("kitchen/temperature", true, "{device}/{metric}");
        check("sensors/b/temperature", true, "sensors/{device}/{metric}");
        check(
            "north/4/press-7/data",
            false,
            "north/{level2}/{device}/data",
        );
        check("zigbee2mqtt/lamp", false, "zigbee2mqtt/{device}");
        check("tele/lamp/SENSOR", false, "tele/{device}/SENSOR");
        check("tele/tasmota_A1B2/STATE", false, "tele/{device}/STATE");
        check(
            "shellies/shelly1-98F4/relay/0/power",
            true,
            "shellies/{device}/relay/{level4}/{metric}",
        );
        check("v2/gateways/ann/up", false, "v2/gateways/{device}/up");
        check("a/me-1/b7", false, "a/{device}/{level3}");
        check("home/kitchen/temperature", true, "home/{device}/{metric}");
        check("plant/7/state", false, "plant/{device}/state");
        check("press-7/data", false, "{device}/data");
        check("temperature", false, "{device}");
        check("temperature", true, "{device}");
        check("/x/", false, "/{device}/");
        check("//", false, "none");
        check("a/{b}/c", false, "a/{level2}/{device}");
        check("$SYS/x", false, "none");
        check("a/+", false, "a/{device}");
        check(&"/a".repeat(40), false, "none");
    }
}
