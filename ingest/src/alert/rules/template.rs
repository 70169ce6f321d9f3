//! The message of a rule: text with `{placeholders}`.
//!
//! Owns: the names of the placeholders and how values are written. Never: fails when it renders;
//! what can be wrong is found when the rule is read.

use std::fmt::Write as _;
use std::ops::Range;

use super::super::labels::Labels;

/// Names that can stand in braces, besides `labels.NAME`.
pub(super) const PLACEHOLDERS: [&str; 8] = [
    "rule",
    "device",
    "metric",
    "value",
    "unit",
    "threshold",
    "severity",
    "state",
];

/// A message is published and stored with every event; this is long enough for any sentence.
pub(super) const TEMPLATE_BYTES_MAX: usize = 1_000;

/// A parsed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
    Label(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Rule,
    Device,
    Metric,
    Value,
    Unit,
    Threshold,
    Severity,
    State,
}

/// What the placeholders stand for.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub rule: &'a str,
    pub device: &'a str,
    /// Empty for the silence of a device.
    pub metric: &'a str,
    /// `None` for silence.
    pub value: Option<f64>,
    pub unit: &'a str,
    /// The limit, or how long a device may be silent, as text.
    pub threshold: &'a str,
    pub severity: &'a str,
    pub state: &'a str,
    pub labels: &'a Labels,
}

/// What is wrong with a template; `span` are bytes of the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TemplateError {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) hint: String,
}

impl Template {
    /// Placeholders are in braces; `{{` and `}}` are braces.
    pub(super) fn parse(text: &str) -> Result<Template, TemplateError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut at = 0;
        while let Some(found) = text[at..].find(['{', '}']) {
            let brace = at + found;
            plain.push_str(&text[at..brace]);
            let rest = &text[brace..];
            if rest.starts_with("{{") || rest.starts_with("}}") {
                plain.push_str(&rest[..1]);
                at = brace + 2;
                continue;
            }
            let close = rest.find('}').filter(|close| *close > 0);
            let Some(close) = close else {
                return Err(unbalanced(brace, &rest[..1]));
            };
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(placeholder(&rest[1..close], brace)?);
            at = brace + close + 1;
        }
        plain.push_str(&text[at..]);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Template { parts })
    }

    /// A label that is not there, like a value that is not there, is written as nothing.
    pub fn render(&self, facts: &Facts<'_>) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Label(name) => out.push_str(facts.labels.get(name).unwrap_or_default()),
                Part::Field(field) => match field {
                    Field::Rule => out.push_str(facts.rule),
                    Field::Device => out.push_str(facts.device),
                    Field::Metric => out.push_str(facts.metric),
                    Field::Value => out.push_str(&facts.value.map(number).unwrap_or_default()),
                    Field::Unit => out.push_str(facts.unit),
                    Field::Threshold => out.push_str(facts.threshold),
                    Field::Severity => out.push_str(facts.severity),
                    Field::State => out.push_str(facts.state),
                },
            }
        }
        out
    }

    pub(super) fn has_value(&self) -> bool {
        let value = |part: &Part| matches!(part, Part::Field(Field::Value | Field::Unit));
        self.parts.iter().any(value)
    }

    pub(super) fn has_metric(&self) -> bool {
        self.parts.contains(&Part::Field(Field::Metric))
    }
}

/// A number for people: at most six decimals, without what is only an artefact of doubles; very
/// large and very small ones with an exponent.
pub fn number(value: f64) -> String {
    let size = value.abs();
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = if size != 0.0 && !(1e-4..1e15).contains(&size) {
        write!(out, "{value:e}")
    } else {
        write!(out, "{value:.6}")
    };
    if !out.contains('e') && out.contains('.') {
        out.truncate(out.trim_end_matches('0').trim_end_matches('.').len());
    }
    if out == "-0" { "0".to_owned() } else { out }
}

fn placeholder(name: &str, brace: usize) -> Result<Part, TemplateError> {
    let field = match name {
        "rule" => Field::Rule,
        "device" => Field::Device,
        "metric" => Field::Metric,
        "value" => Field::Value,
        "unit" => Field::Unit,
        "threshold" => Field::Threshold,
        "severity" => Field::Severity,
        "state" => Field::State,
        _ => {
            return match name.strip_prefix("labels.") {
                Some(label) if !label.is_empty() => Ok(Part::Label(label.to_owned())),
                _ => Err(unknown(name, brace)),
            };
        }
    };
    Ok(Part::Field(field))
}

fn unknown(name: &str, brace: usize) -> TemplateError {
    TemplateError {
        span: brace..brace + name.len() + 2,
        message: format!("unknown placeholder `{{{name}}}`"),
        hint: match documents::nearest(name, PLACEHOLDERS) {
            Some(known) => format!("did you mean `{{{known}}}`?"),
            None => format!(
                "placeholders are `{{{}}}` and `{{labels.NAME}}`; `{{{{` stands for a brace",
                PLACEHOLDERS.join("}`, `{")
            ),
        },
    }
}

fn unbalanced(brace: usize, which: &str) -> TemplateError {
    TemplateError {
        span: brace..brace + 1,
        message: format!("this `{which}` has no counterpart"),
        hint: format!("write `{which}{which}` for a brace in the text"),
    }
}
