//! Why a template does not take a topic, and which one comes nearest.

use std::fmt;

use super::template::Level;
use super::{TopicTemplate, Topics};

/// Why a template does not take a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss<'a> {
    /// The topic is the broker's own.
    Reserved,
    Levels {
        template: usize,
        topic: usize,
    },
    /// The first level that differs, from 1.
    Level {
        level: usize,
        template: &'a str,
        topic: &'a str,
    },
}

impl TopicTemplate {
    /// `None` when it takes the topic.
    pub fn miss<'a>(&'a self, topic: &'a str) -> Option<Miss<'a>> {
        if self.matches(topic).is_some() {
            return None;
        }
        if topic.starts_with('$') {
            return Some(Miss::Reserved);
        }
        let (levels, found) = (self.levels(), topic.split('/').count());
        if levels.len() != found {
            return Some(Miss::Levels {
                template: levels.len(),
                topic: found,
            });
        }
        self.differences(topic).next()
    }

    /// Literal levels that are others in the topic.
    fn differences<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = Miss<'a>> {
        let pairs = self.levels().iter().zip(topic.split('/')).zip(1..);
        pairs.filter_map(|((level, topic), at)| match level {
            Level::Literal(text) if **text != *topic => Some(Miss::Level {
                level: at,
                template: text,
                topic,
            }),
            _ => None,
        })
    }

    /// How far it is from taking the topic: levels that differ, are missing or too many.
    fn distance(&self, topic: &str) -> usize {
        let count = topic.split('/').count();
        self.differences(topic).count() + 2 * self.levels().len().abs_diff(count)
    }
}

impl Topics {
    /// The template that comes nearest to taking the topic.
    pub fn nearest(&self, topic: &str) -> Option<&TopicTemplate> {
        self.iter().min_by_key(|template| template.distance(topic))
    }
}

impl fmt::Display for Miss<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Miss::Reserved => f.write_str("topics that begin with `$` are the broker's own"),
            Miss::Levels { template, topic } => {
                write!(f, "it has {template} levels, the topic has {topic}")
            }
            Miss::Level {
                level,
                template,
                topic,
            } if template.eq_ignore_ascii_case(topic) => write!(
                f,
                "level {level} is `{topic}`, not `{template}`: upper and lower case differ"
            ),
            Miss::Level {
                level,
                template,
                topic,
            } => write!(f, "level {level} is `{topic}`, not `{template}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_miss_says_what_differs() {
        #[track_caller]
        fn check(topic: &str, expected: Option<&str>) {
            let template = TopicTemplate::parse("devices/{device}/telemetry").unwrap();
            let miss = template.miss(topic).map(|miss| miss.to_string());
            assert_eq!(miss.as_deref(), expected, "{topic}");
        }
        check("devices/a/telemetry", None);
        check("device/a/data", Some("level 1 is `device`, not `devices`"));
        check(
            "devices/a/Telemetry",
            Some("level 3 is `Telemetry`, not `telemetry`: upper and lower case differ"),
        );
        check("devices/a", Some("it has 3 levels, the topic has 2"));
        check(
            "$SYS/a/b",
            Some("topics that begin with `$` are the broker's own"),
        );
    }

    #[test]
    fn the_nearest_has_most_levels_in_common() {
        let topics = Topics::default();
        let nearest = |topic| topics.nearest(topic).unwrap().as_str();
        assert_eq!(nearest("device/a/telemetry"), "devices/{device}/telemetry");
        assert_eq!(
            nearest("devices/a/telemetri/t"),
            "devices/{device}/telemetry/{metric}"
        );
        assert_eq!(nearest("v1/devices/a/telemetry"), "v1/devices/me/telemetry");
        assert_eq!(nearest("x"), "devices/{device}/telemetry");
    }
}
