//! Names with places in them: topics, device names, client ids.
//!
//! Owns: `{device}`, `{index}`, `{profile}`, `{client}`, `{user}` and their short forms `%d`, `%i`,
//! `%c`, `%u`. Never: checks what a name is used for, except for topics. Invariant: a parsed
//! template can be filled without an error.

use std::fmt::Write as _;

/// A name with places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Device,
    /// Counted from 1, with at least this many digits.
    Index(usize),
    Profile,
    Client,
    User,
}

/// What stands in the places.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Filling<'a> {
    pub(crate) device: &'a str,
    pub(crate) index: usize,
    pub(crate) profile: &'a str,
    pub(crate) client: &'a str,
    pub(crate) user: &'a str,
}

impl Template {
    /// Errors name the place that is not known.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let (part, length) = match character {
                '{' => {
                    let end = rest
                        .find('}')
                        .ok_or_else(|| format!("`{text}` has a `{{` without its `}}`"))?;
                    (Some(Part::named(&rest[1..end])?), end + 1)
                }
                '%' => match rest.chars().nth(1).and_then(Part::short) {
                    Some(part) => (Some(part), 2),
                    None => (None, 1),
                },
                other => (None, other.len_utf8()),
            };
            match part {
                Some(part) => {
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(part);
                }
                None => plain.push_str(&rest[..length]),
            }
            rest = &rest[length..];
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    /// A template that can be published to: no wildcards, no NUL, not empty.
    pub(crate) fn parse_topic(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("the topic is empty".into());
        }
        if let Some(bad) = text
            .chars()
            .find(|character| matches!(character, '+' | '#' | '\0'))
        {
            return Err(format!(
                "the topic `{text}` contains `{bad}`, which nobody may publish to"
            ));
        }
        Self::parse(text)
    }

    pub(crate) fn fill(&self, filling: Filling<'_>) -> String {
        let mut name = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Device => name.push_str(filling.device),
                Part::Index(digits) => {
                    // Writing to a String cannot fail.
                    let _ = write!(name, "{:0digits$}", filling.index + 1);
                }
                Part::Profile => name.push_str(filling.profile),
                Part::Client => name.push_str(filling.client),
                Part::User => name.push_str(filling.user),
            }
        }
        name
    }

    /// Whether names of different devices (or connections) differ.
    pub(crate) fn tells_apart(&self) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, Part::Device | Part::Index(_)))
    }
}

impl Part {
    fn named(name: &str) -> Result<Self, String> {
        let (name, digits) = name.split_once(':').unwrap_or((name, "1"));
        match name {
            "device" => Ok(Self::Device),
            "index" => match digits.parse() {
                Ok(digits @ 1..=12) => Ok(Self::Index(digits)),
                _ => Err(format!("`{digits}` is not a number of digits from 1 to 12")),
            },
            "profile" => Ok(Self::Profile),
            "client" => Ok(Self::Client),
            "user" => Ok(Self::User),
            _ => Err(format!(
                "`{{{name}}}` is not a known place: the places are `{{device}}`, `{{index}}`, \
                 `{{profile}}`, `{{client}}` and `{{user}}`"
            )),
        }
    }

    fn short(letter: char) -> Option<Self> {
        match letter {
            'd' => Some(Self::Device),
            'i' => Some(Self::Index(1)),
            'c' => Some(Self::Client),
            'u' => Some(Self::User),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILLING: Filling<'_> = Filling {
        device: "boiler-0007",
        index: 6,
        profile: "boiler",
        client: "c1",
        user: "bob",
    };

    #[test]
    fn places_are_filled() {
        let table = [
            (
                "devices/{device}/telemetry",
                "devices/boiler-0007/telemetry",
            ),
            ("%u/%c/%i/%d", "bob/c1/7/boiler-0007"),
            ("{profile}-{index:04}", "boiler-0007"),
            ("100%/é/{user}%", "100%/é/bob%"),
            ("plain", "plain"),
        ];
        for (template, expected) in table {
            assert_eq!(Template::parse(template).unwrap().fill(FILLING), expected);
        }
    }

    #[test]
    fn bad_templates_say_why() {
        let table = [
            ("", "the topic is empty"),
            ("a/+/b", "contains `+`"),
            ("a/#", "contains `#`"),
            ("a/{metric}", "`{metric}` is not a known place"),
            ("a/{device", "has a `{` without its `}`"),
            ("a/{index:99}", "not a number of digits"),
        ];
        for (template, message) in table {
            let error = Template::parse_topic(template).unwrap_err();
            assert!(error.contains(message), "{template}: {error}");
        }
    }
}
