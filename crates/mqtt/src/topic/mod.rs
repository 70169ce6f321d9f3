//! Topic names and topic filters (section 4.7): which are valid, and which match.
//!
//! Owns: the rules for `/`, `+`, `#`, `$` and `$share`, and how any name becomes one level. Never:
//! keeps subscriptions.
//! Invariant: for a valid filter and a valid topic `matches` is exact, and every topic that matches
//! begins with the filter's `literal_prefix`.

use std::fmt::Write as _;

/// Bytes of the longest topic or filter the wire can carry.
const LENGTH_MAX: usize = 65_535;

/// What shared subscriptions begin with.
pub const SHARE_PREFIX: &str = "$share/";

/// What a filter subscribes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filter<'a> {
    /// The group of a shared subscription, `$share/{group}/{filter}`.
    pub share: Option<&'a str>,
    /// What topics are matched against, without `$share/{group}/`.
    pub filter: &'a str,
}

/// Bounds on what clients may name, so that a name cannot cost more than a lookup is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicLimits {
    /// Bytes of a topic or a filter.
    pub bytes_max: usize,
    /// Levels: one more than there are slashes.
    pub levels_max: usize,
}

/// Why a name is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    #[error("is empty")]
    Empty,
    #[error("contains U+0000")]
    Nul,
    #[error("has a wildcard in a topic name")]
    WildcardInTopic,
    #[error("has a `+` that is not a whole level")]
    PartialPlus,
    #[error("has a `#` that is not the whole last level")]
    MisplacedHash,
    #[error("is a shared subscription without a group or a filter")]
    BadShare,
    #[error("has `{bytes}` bytes, more than the `{bytes_max}` allowed")]
    TooLong { bytes: usize, bytes_max: usize },
    #[error("has `{levels}` levels, more than the `{levels_max}` allowed")]
    TooDeep { levels: usize, levels_max: usize },
}

impl Default for TopicLimits {
    /// As long as the wire allows; 200 levels, as Mosquitto does: deeper than any naming scheme,
    /// and short to walk.
    fn default() -> Self {
        TopicLimits {
            bytes_max: LENGTH_MAX,
            levels_max: 200,
        }
    }
}

impl TopicLimits {
    /// Checks a topic name and its bounds.
    pub fn check_topic(&self, topic: &str) -> Result<(), TopicError> {
        self.check_bounds(topic)?;
        check_topic(topic)
    }

    /// Checks a filter and its bounds; a `$share/{group}/` in front of it counts.
    pub fn check_filter<'a>(&self, filter: &'a str) -> Result<Filter<'a>, TopicError> {
        self.check_bounds(filter)?;
        Filter::parse(filter)
    }

    /// The bounds alone, of a name that is valid.
    pub fn check_bounds(&self, name: &str) -> Result<(), TopicError> {
        let (bytes, bytes_max) = (name.len(), self.bytes_max);
        if bytes > bytes_max {
            return Err(TopicError::TooLong { bytes, bytes_max });
        }
        let (levels, levels_max) = (levels(name), self.levels_max);
        if levels > levels_max {
            return Err(TopicError::TooDeep { levels, levels_max });
        }
        Ok(())
    }
}

impl<'a> Filter<'a> {
    /// Takes a filter apart: [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.3-1] to [MQTT-4.7.3-3], and
    /// [MQTT-4.8.2-1], [MQTT-4.8.2-2] for shared subscriptions.
    pub fn parse(name: &'a str) -> Result<Filter<'a>, TopicError> {
        let Some(shared) = name.strip_prefix(SHARE_PREFIX) else {
            // `$share` alone is an ordinary name: only `$share/` begins a shared subscription.
            check_filter(name)?;
            return Ok(Filter {
                share: None,
                filter: name,
            });
        };
        let (group, filter) = shared.split_once('/').ok_or(TopicError::BadShare)?;
        if group.is_empty() || filter.is_empty() || is_wildcard(group) {
            return Err(TopicError::BadShare);
        }
        check_filter(filter)?;
        if group.contains('\0') {
            return Err(TopicError::Nul);
        }
        Ok(Filter {
            share: Some(group),
            filter,
        })
    }
}

/// Whether a message can be published to it: not empty, no wildcards, no U+0000, at most 65,535
/// bytes.
pub fn valid_topic(topic: &str) -> bool {
    topic.len() <= LENGTH_MAX && check_topic(topic).is_ok()
}

/// Whether it can be subscribed to, shared subscriptions included.
pub fn valid_filter(filter: &str) -> bool {
    filter.len() <= LENGTH_MAX && Filter::parse(filter).is_ok()
}

/// Whether `topic` matches `filter`. Both are valid, and `filter` is without `$share/{group}/`.
///
/// A filter that begins with a wildcard does not match topics that begin with `$`. [MQTT-4.7.2-1]
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        // `#` stands for any number of levels, none included: `a/#` matches `a`. Section 4.7.1.2.
        if wanted == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == "+" || wanted == level => (),
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// Whether more than one topic can match.
pub fn is_wildcard(filter: &str) -> bool {
    filter.bytes().any(|byte| byte == b'+' || byte == b'#')
}

/// What every topic that matches begins with, for range scans: `a/` of `a/+/c`, `a` of `a/#` (which
/// matches `a` too), all of a filter without wildcards.
pub fn literal_prefix(filter: &str) -> &str {
    let Some(at) = filter.find(['+', '#']) else {
        return filter;
    };
    let prefix = &filter[..at];
    match filter.as_bytes()[at] {
        b'#' => prefix.strip_suffix('/').unwrap_or(prefix),
        _ => prefix,
    }
}

/// Appends `name` as one level, whatever characters it holds: `/`, `+`, `#`, `%` and control
/// characters are percent-encoded (RFC 3986, section 2.1: each byte of the UTF-8 form as `%` and
/// two upper-case hexadecimal digits).
pub fn push_level(topic: &mut String, name: &str) {
    for character in name.chars() {
        if matches!(character, '/' | '+' | '#' | '%') || character.is_control() {
            let mut buffer = [0; 4];
            for byte in character.encode_utf8(&mut buffer).bytes() {
                // Writing to a string cannot fail.
                let _ = write!(topic, "%{byte:02X}");
            }
        } else {
            topic.push(character);
        }
    }
}

/// One more than there are slashes.
pub fn levels(name: &str) -> usize {
    1 + name.bytes().filter(|&byte| byte == b'/').count()
}

fn check_topic(topic: &str) -> Result<(), TopicError> {
    if topic.is_empty() {
        return Err(TopicError::Empty);
    }
    if topic.bytes().any(|byte| byte == 0) {
        return Err(TopicError::Nul);
    }
    if is_wildcard(topic) {
        return Err(TopicError::WildcardInTopic);
    }
    Ok(())
}

fn check_filter(filter: &str) -> Result<(), TopicError> {
    if filter.is_empty() {
        return Err(TopicError::Empty);
    }
    if filter.bytes().any(|byte| byte == 0) {
        return Err(TopicError::Nul);
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        if level.contains('#') && (level.len() > 1 || levels.peek().is_some()) {
            return Err(TopicError::MisplacedHash);
        }
        if level.contains('+') && level.len() > 1 {
            return Err(TopicError::PartialPlus);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
