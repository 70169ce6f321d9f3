//! One template: parsing it with a reason and a column for what is wrong, and matching a topic
//! without allocating.

use std::collections::HashSet;
use std::fmt;

use super::Levels;

/// More levels than any real topic tree has; it bounds the array a topic is cut into.
pub const LEVELS_MAX: usize = 32;

/// The level that stands for "the client that publishes" in a template without `{device}`.
const ME: &str = "me";

/// A topic with named parts, such as `devices/{device}/telemetry/{metric}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicTemplate {
    text: String,
    levels: Vec<Level>,
    device: Option<usize>,
    metric: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Level {
    Literal(Box<str>),
    Device,
    Metric,
    Label(Box<str>),
}

/// What a topic says by a template.
#[derive(Debug, Clone, Copy)]
pub struct Match<'a> {
    /// As it stands in the topic, possibly empty; `None` for the `me` form: the device is the
    /// client id.
    pub device: Option<&'a str>,
    /// As it stands in the topic, possibly empty; `None` when the payload names its metrics.
    pub metric: Option<&'a str>,
    pub template: &'a TopicTemplate,
    topic: &'a str,
}

/// A template that cannot be used, with the place of the fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("topic template `{template}`, column {column}: {reason}")]
pub struct TemplateError {
    pub template: String,
    /// In characters, from 1.
    pub column: usize,
    pub reason: TemplateReason,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateReason {
    #[error("it is empty")]
    Empty,
    #[error("it is longer than 65,535 bytes")]
    TooLong,
    #[error("it has more than {LEVELS_MAX} levels")]
    TooManyLevels,
    #[error("topics that begin with `$` belong to the broker")]
    Reserved,
    #[error("a topic cannot hold U+0000")]
    Nul,
    #[error("`{0}` is an MQTT wildcard: name the part instead, such as `{{site}}`")]
    Wildcard(char),
    #[error("a part is a whole level: write `/{{name}}/`, not `{0}`")]
    PartialLevel(String),
    #[error("`{0}` is not a name for a part: letters, digits, `_` and `-`")]
    BadName(String),
    #[error("the part `{{{0}}}` occurs twice")]
    Repeated(String),
    #[error("nothing names the device: it needs `{{device}}`, or the level `me` for the client id")]
    NoDevice,
}

impl TopicTemplate {
    pub fn parse(text: &str) -> Result<TopicTemplate, TemplateError> {
        let error = |column, reason| TemplateError {
            template: text.to_owned(),
            column,
            reason,
        };
        check_whole(text).map_err(|reason| error(1, reason))?;
        let mut levels = Vec::new();
        let mut names = HashSet::new();
        let mut column = 1;
        for level in text.split('/') {
            if levels.len() == LEVELS_MAX {
                return Err(error(column, TemplateReason::TooManyLevels));
            }
            let (parsed, name) =
                parse_level(level).map_err(|(at, reason)| error(column + at, reason))?;
            if let Some(name) = name
                && !names.insert(name)
            {
                return Err(error(column, TemplateReason::Repeated(name.to_owned())));
            }
            levels.push(parsed);
            column += level.chars().count() + 1;
        }
        let device = levels.iter().position(|level| *level == Level::Device);
        let me = |level: &Level| matches!(level, Level::Literal(text) if **text == *ME);
        if device.is_none() && !levels.iter().any(me) {
            return Err(error(1, TemplateReason::NoDevice));
        }
        Ok(TopicTemplate {
            text: text.to_owned(),
            device,
            metric: levels.iter().position(|level| *level == Level::Metric),
            levels,
        })
    }

    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The MQTT filter that accepts the same topics: `devices/+/telemetry`.
    pub fn filter(&self) -> String {
        let levels: Vec<&str> = self
            .levels
            .iter()
            .map(|level| match level {
                Level::Literal(text) => text,
                Level::Device | Level::Metric | Level::Label(_) => "+",
            })
            .collect();
        levels.join("/")
    }

    pub fn matches<'a>(&'a self, topic: &'a str) -> Option<Match<'a>> {
        self.matches_levels(&Levels::split(topic)?)
    }

    pub(super) fn matches_levels<'a>(&'a self, topic: &Levels<'a>) -> Option<Match<'a>> {
        if topic.count != self.levels.len() {
            return None;
        }
        for (at, level) in self.levels.iter().enumerate() {
            if let Level::Literal(text) = level
                && topic.get(at) != &**text
            {
                return None;
            }
        }
        Some(Match {
            device: self.device.map(|at| topic.get(at)),
            metric: self.metric.map(|at| topic.get(at)),
            template: self,
            topic: topic.topic,
        })
    }
}

impl<'a> Match<'a> {
    /// The device: what the topic names, or else the client that published.
    pub fn device_or(&self, client_id: &'a str) -> &'a str {
        self.device.unwrap_or(client_id)
    }

    /// The other named parts with their values, in the topic's order.
    pub fn labels(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let levels = self.template.levels.iter();
        levels
            .zip(self.topic.split('/'))
            .filter_map(|(level, text)| match level {
                Level::Label(name) => Some((&**name, text)),
                Level::Literal(_) | Level::Device | Level::Metric => None,
            })
    }
}

impl fmt::Display for TopicTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn check_whole(text: &str) -> Result<(), TemplateReason> {
    match text {
        "" => Err(TemplateReason::Empty),
        _ if text.len() > usize::from(u16::MAX) => Err(TemplateReason::TooLong),
        _ if text.starts_with('$') => Err(TemplateReason::Reserved),
        _ => Ok(()),
    }
}

/// The level and, for a part, its name; or the characters before the fault, and the fault.
fn parse_level(level: &str) -> Result<(Level, Option<&str>), (usize, TemplateReason)> {
    for (at, character) in level.chars().enumerate() {
        match character {
            '+' | '#' => return Err((at, TemplateReason::Wildcard(character))),
            '\0' => return Err((at, TemplateReason::Nul)),
            _ => {}
        }
    }
    let Some(first_brace) = level
        .chars()
        .position(|character| matches!(character, '{' | '}'))
    else {
        return Ok((Level::Literal(level.into()), None));
    };
    let name = level
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .filter(|name| !name.contains(['{', '}']))
        .ok_or_else(|| (first_brace, TemplateReason::PartialLevel(level.to_owned())))?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if name.is_empty() || !name.bytes().all(allowed) {
        return Err((1, TemplateReason::BadName(name.to_owned())));
    }
    let parsed = match name {
        "device" => Level::Device,
        "metric" => Level::Metric,
        _ => Level::Label(name.into()),
    };
    Ok((parsed, Some(name)))
}
