//! The ordered list of templates: the first that matches a topic decides what it means.

use serde::{Deserialize, Serialize};

use super::{Levels, Match, TemplateError, TopicTemplate};

/// What is telemetry when nobody says otherwise.
pub const DEFAULT_TEMPLATES: [&str; 3] = [
    "devices/{device}/telemetry",
    "devices/{device}/telemetry/{metric}",
    "v1/devices/me/telemetry",
];

/// Templates in order. In a configuration: a list of texts and of tables with `topic` and `device`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Topics {
    templates: Vec<TopicTemplate>,
}

impl Topics {
    pub fn parse<T: AsRef<str>>(
        templates: impl IntoIterator<Item = T>,
    ) -> Result<Topics, TemplateError> {
        let templates = templates
            .into_iter()
            .map(|template| TopicTemplate::parse(template.as_ref()))
            .collect::<Result<_, _>>()?;
        Ok(Topics { templates })
    }

    /// What the topic means by the first template that matches it. Runs for each message: the topic
    /// is cut once, then each template compares its number of levels and its literal levels.
    pub fn matches<'a>(&'a self, topic: &'a str) -> Option<Match<'a>> {
        let levels = Levels::split(topic)?;
        self.templates
            .iter()
            .find_map(|template| template.matches_levels(&levels))
    }

    pub fn iter(&self) -> impl Iterator<Item = &TopicTemplate> {
        self.templates.iter()
    }

    pub fn len(&self) -> usize {
        self.templates.len()
    }

    pub fn is_empty(&self) -> bool {
        self.templates.is_empty()
    }
}

impl Default for Topics {
    fn default() -> Topics {
        Topics::parse(DEFAULT_TEMPLATES).expect("a test parses the default templates")
    }
}
