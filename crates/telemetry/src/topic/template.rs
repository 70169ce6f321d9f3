//! One template: parsing it with a reason and a column for what is wrong, and matching a topic
//! without allocating.

use std::collections::HashSet;
use std::fmt;

use super::Levels;
use super::device::{DeviceName, Piece};

/// More levels than any real topic tree has; it bounds the array a topic is cut into.
pub const LEVELS_MAX: usize = 32;

/// The level that stands for "the client that publishes" in a template without `{device}`.
const ME: &str = "me";

/// A topic with named parts, such as `devices/{device}/telemetry/{metric}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicTemplate {
    text: String,
    levels: Vec<Level>,
    /// The level that is `{device}`.
    device: Option<usize>,
    metric: Option<usize>,
    name: DeviceName,
    /// The key `device`, if it was written.
    written_device: Option<String>,
    has_labels: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Level {
    Literal(Box<str>),
    Device,
    Metric,
    Label(Box<str>),
}

/// What a topic says by a template.
#[derive(Debug, Clone, Copy)]
pub struct Match<'a> {
    /// As it stands in the topic, possibly empty; `None` when the payload names its metrics.
    pub metric: Option<&'a str>,
    pub template: &'a TopicTemplate,
    topic: &'a str,
    /// The name of the device, where it is a level as it stands.
    plain: Option<&'a str>,
}

/// A template that cannot be used, with the place of the fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}`{template}`, column {column}: {reason}", .about.prefix())]
pub struct TemplateError {
    pub about: Key,
    /// What was written there.
    pub template: String,
    /// In characters, from 1.
    pub column: usize,
    pub reason: TemplateReason,
}

/// Which of a template's two texts is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    Topic,
    /// The key `device` beside this topic.
    Device(String),
}

impl Key {
    fn prefix(&self) -> String {
        match self {
            Key::Topic => "topic template ".to_owned(),
            Key::Device(topic) => format!("topic template `{topic}`, `device` "),
        }
    }
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
    #[error("U+0000 can stand in no topic and no name")]
    Nul,
    #[error("`{0}` is an MQTT wildcard: name the part instead, such as `{{site}}`")]
    Wildcard(char),
    #[error("a part is a whole level: write `/{{name}}/`, not `{0}`")]
    PartialLevel(String),
    #[error("`{0}` is not a name for a part: letters, digits, `_` and `-`")]
    BadName(String),
    #[error("the part `{{{0}}}` occurs twice")]
    Repeated(String),
    #[error(
        "nothing names the device: it needs `{{device}}`, or the level `me` for the client id, or a \
         key `device` beside it, such as device = \"{0}\""
    )]
    NoDevice(String),
    #[error("`{0}` has a brace without its partner: a part is written `{{name}}`")]
    Unclosed(String),
    #[error(
        "`{0}` holds two parts, which could not be told apart: put `/` between them, which no \
         level of a topic holds"
    )]
    TwoParts(String),
    #[error("the topic has no part `{{{name}}}`: {}", choices(.known))]
    UnknownPart { name: String, known: String },
    #[error("`{{metric}}` names a metric, not a device: leave it out")]
    MetricInDevice,
    #[error(
        "it leaves out `{{device}}`: add it, or give that level of the topic another name, which \
         makes it a label"
    )]
    WithoutDevice,
    #[error("it holds no part of the topic, so that all would be one device: write `{0}`")]
    AllOneDevice(String),
}

fn choices(known: &str) -> String {
    match known {
        "" => "write a name, or `{client_id}` for the client that publishes".to_owned(),
        _ => format!("it has {known}, and `{{client_id}}` is the client that publishes"),
    }
}

impl TopicTemplate {
    /// A template whose devices are named by all its parts but `{metric}`.
    pub fn parse(text: &str) -> Result<TopicTemplate, TemplateError> {
        let fault = |column, reason| error(Key::Topic, text, column, reason);
        let levels = parse_levels(text)?;
        let device = position(&levels, &Level::Device);
        let me = levels.iter().position(Level::is_me);
        if device.is_none() && me.is_none() {
            let example = match DeviceName::of_all_parts(&levels, None).text(&levels) {
                parts if parts.is_empty() => "boiler-1".to_owned(),
                parts => parts,
            };
            return Err(fault(1, TemplateReason::NoDevice(example)));
        }
        Ok(TopicTemplate {
            text: text.to_owned(),
            device,
            metric: position(&levels, &Level::Metric),
            name: DeviceName::of_all_parts(&levels, me.filter(|_| device.is_none())),
            written_device: None,
            has_labels: levels.iter().any(Level::is_label),
            levels,
        })
    }

    /// A template that says how its devices are named.
    pub fn with_device(text: &str, name: &str) -> Result<TopicTemplate, TemplateError> {
        let levels = parse_levels(text)?;
        let parsed = DeviceName::parse(name, &levels).map_err(|(before, reason)| {
            error(Key::Device(text.to_owned()), name, before + 1, reason)
        })?;
        Ok(TopicTemplate {
            text: text.to_owned(),
            device: position(&levels, &Level::Device),
            metric: position(&levels, &Level::Metric),
            name: parsed,
            written_device: Some(name.to_owned()),
            has_labels: levels.iter().any(Level::is_label),
            levels,
        })
    }

    /// The template as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How its devices are named, as the key `device` says it: `{site}/{line}/{device}`.
    pub fn device_name(&self) -> String {
        self.name.text(&self.levels)
    }

    pub(super) fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// The key `device`, if it was written.
    pub fn written_device(&self) -> Option<&str> {
        self.written_device.as_deref()
    }

    /// Whether its devices had shorter names before all parts became part of them.
    pub fn joins_by_default(&self) -> bool {
        self.written_device.is_none() && matches!(self.name, DeviceName::Joined(_))
    }

    /// Whether topics give their series labels.
    pub fn has_labels(&self) -> bool {
        self.has_labels
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
            metric: self.metric.map(|at| topic.get(at)),
            template: self,
            topic: topic.topic,
            plain: match self.name {
                DeviceName::Level(at) => Some(topic.get(at)),
                DeviceName::Client | DeviceName::Joined(_) => None,
            },
        })
    }
}

impl<'a> Match<'a> {
    /// The name of the device, of the client that published if need be. A name of several parts is
    /// made in `buffer`. It is empty when the topic names no device: where `{device}` is an empty
    /// level, or all parts of the name are.
    pub fn device<'b>(&self, client_id: &'b str, buffer: &'b mut String) -> &'b str
    where
        'a: 'b,
    {
        match (self.plain, &self.template.name) {
            (Some(name), _) => name,
            (None, DeviceName::Joined(pieces)) => self.join(pieces, client_id, buffer),
            (None, _) => client_id,
        }
    }

    fn join<'b>(&self, pieces: &[Piece], client_id: &str, buffer: &'b mut String) -> &'b str {
        buffer.clear();
        // A name that is text alone is the whole name.
        let mut is_named = matches!(pieces, [_]);
        for piece in pieces {
            let text = match piece {
                Piece::Text(text) => text,
                Piece::Level(at) => self.level(*at),
                Piece::Client => client_id,
            };
            is_named |= !matches!(piece, Piece::Text(_)) && !text.is_empty();
            buffer.push_str(text);
        }
        let device = self.template.device;
        if !is_named || device.is_some_and(|at| self.level(at).is_empty()) {
            buffer.clear();
        }
        buffer
    }

    fn level(&self, at: usize) -> &'a str {
        self.topic.split('/').nth(at).unwrap_or_default()
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

fn error(about: Key, text: &str, column: usize, reason: TemplateReason) -> TemplateError {
    TemplateError {
        about,
        template: text.to_owned(),
        column,
        reason,
    }
}

impl Level {
    fn is_me(&self) -> bool {
        matches!(self, Level::Literal(text) if **text == *ME)
    }

    fn is_label(&self) -> bool {
        matches!(self, Level::Label(_))
    }
}

fn position(levels: &[Level], wanted: &Level) -> Option<usize> {
    levels.iter().position(|level| level == wanted)
}

fn parse_levels(text: &str) -> Result<Vec<Level>, TemplateError> {
    let fault = |column, reason| error(Key::Topic, text, column, reason);
    check_whole(text).map_err(|reason| fault(1, reason))?;
    let mut levels = Vec::new();
    let mut names = HashSet::new();
    let mut column = 1;
    for level in text.split('/') {
        if levels.len() == LEVELS_MAX {
            return Err(fault(column, TemplateReason::TooManyLevels));
        }
        let (parsed, name) =
            parse_level(level).map_err(|(at, reason)| fault(column + at, reason))?;
        if let Some(name) = name
            && !names.insert(name)
        {
            return Err(fault(column, TemplateReason::Repeated(name.to_owned())));
        }
        levels.push(parsed);
        column += level.chars().count() + 1;
    }
    Ok(levels)
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
pub(super) fn parse_level(level: &str) -> Result<(Level, Option<&str>), (usize, TemplateReason)> {
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
