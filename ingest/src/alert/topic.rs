//! The topics alerts are published on.
//!
//! Owns: their form. Invariant: one (severity, device, rule) is one topic, whatever characters the
//! names hold.
//!
//! Names are levels as [`push_level`] writes them: `pump/7` becomes `pump%2F7`.

use mqtt::topic::push_level;

use super::rules::Severity;

/// Every retained alert lies below it.
pub const ACTIVE_PREFIX: &str = "alerts/active/";

/// Where each change is published: `alerts/{severity}/{device}/{rule}`.
pub fn event_topic(severity: Severity, device: &str, rule: &str) -> String {
    let mut topic = format!("alerts/{severity}/");
    push_level(&mut topic, device);
    topic.push('/');
    push_level(&mut topic, rule);
    topic
}

/// Where an active alert is retained: `alerts/active/{device}/{rule}`.
pub fn active_topic(device: &str, rule: &str) -> String {
    let mut topic = String::from(ACTIVE_PREFIX);
    push_level(&mut topic, device);
    topic.push('/');
    push_level(&mut topic, rule);
    topic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_single_levels() {
        for (device, level) in [("boiler-1", "boiler-1"), ("pump/7", "pump%2F7")] {
            assert_eq!(
                active_topic(device, "r"),
                format!("alerts/active/{level}/r")
            );
            assert_eq!(
                event_topic(Severity::Critical, device, "r%"),
                format!("alerts/critical/{level}/r%25")
            );
        }
    }
}
