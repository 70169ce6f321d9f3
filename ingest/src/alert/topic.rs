//! The topics alerts are published on.
//!
//! Owns: their form. Invariant: one (severity, device, rule) is one topic, whatever characters the
//! names hold.
//!
//! `/`, `+`, `#`, `%` and control characters of a name are percent-encoded (RFC 3986, section 2.1:
//! each byte of its UTF-8 form as `%` and two upper-case hexadecimal digits), so `pump/7` becomes
//! `pump%2F7`. Other characters stay as they are.

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

fn push_level(topic: &mut String, name: &str) {
    for character in name.chars() {
        if matches!(character, '/' | '+' | '#' | '%') || character.is_control() {
            let mut buffer = [0; 4];
            for byte in character.encode_utf8(&mut buffer).bytes() {
                topic.push_str(&format!("%{byte:02X}"));
            }
        } else {
            topic.push(character);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_single_levels() {
        for (device, level) in [
            ("boiler-1", "boiler-1"),
            ("pump/7", "pump%2F7"),
            ("a+b#c", "a%2Bb%23c"),
            ("100%", "100%25"),
            ("pump%2F7", "pump%252F7"),
            ("nul\0tab\t", "nul%00tab%09"),
            ("\u{85}", "%C2%85"),
            ("Kühler 3 温度", "Kühler 3 温度"),
            ("$odd", "$odd"),
        ] {
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
