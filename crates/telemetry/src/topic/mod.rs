//! Topic templates with named parts: `devices/{device}/telemetry`, `{site}/{line}/{device}/data`.
//!
//! Owns: which topics carry telemetry, and which device, metric and labels a topic names. Never:
//! looks at a payload. Invariant: `matches` accepts exactly the topics that the MQTT filter
//! `filter()` accepts.
//!
//! A template is a topic whose levels are either literal or one named part. `{device}` names the
//! device, `{metric}` the metric, any other part becomes a label. A template without `{device}`
//! must have the literal level `me`: then the device is the client that published, as in
//! `v1/devices/me/telemetry`.
//!
//! All parts but `{metric}` are part of the device's name, so that `north/4/press-7` and
//! `south/1/press-7` are two devices. The key `device` of a template says otherwise.

mod device;
mod list;
mod miss;
mod suggest;
mod template;
#[cfg(test)]
mod tests;
mod written;

pub use list::{DEFAULT_TEMPLATES, Topics};
pub use miss::Miss;
pub use suggest::{Hints, suggest};
pub use template::{Key, LEVELS_MAX, Match, TemplateError, TemplateReason, TopicTemplate};

/// A topic cut at its `/`, on the stack.
struct Levels<'a> {
    topic: &'a str,
    /// Where each level ends; the next one begins behind the `/`.
    ends: [u16; LEVELS_MAX],
    count: usize,
}

impl<'a> Levels<'a> {
    /// `None` for a topic no template can match: too many levels, longer than MQTT allows, or the
    /// broker's own (`$SYS`), which wildcards do not reach (MQTT 5, section 4.7.2).
    fn split(topic: &'a str) -> Option<Levels<'a>> {
        if topic.starts_with('$') || topic.len() > usize::from(u16::MAX) {
            return None;
        }
        let mut levels = Levels {
            topic,
            ends: [0; LEVELS_MAX],
            count: 0,
        };
        for (at, byte) in topic.bytes().enumerate() {
            if byte == b'/' {
                levels.push(at)?;
            }
        }
        levels.push(topic.len())?;
        Some(levels)
    }

    fn push(&mut self, end: usize) -> Option<()> {
        *self.ends.get_mut(self.count)? = end as u16;
        self.count += 1;
        Some(())
    }

    fn get(&self, level: usize) -> &'a str {
        let start = match level {
            0 => 0,
            _ => usize::from(self.ends[level - 1]) + 1,
        };
        &self.topic[start..usize::from(self.ends[level])]
    }
}
