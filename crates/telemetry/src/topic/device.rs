//! What the name of a device is made of: `{site}/{line}/{device}`.
//!
//! Owns: the form of the key `device` of a template, and what holds without it. Never: knows a
//! device. Invariant: two topics of a template that differ in a part which the name holds give
//! different names. A level of a topic holds no `/`, and in a name at most one part stands between
//! two `/`, so a name says which parts it was made of.

use super::TemplateReason;
use super::template::{Level, parse_level};

/// Stands for the client that publishes, unless the topic itself has a part of this name.
pub(super) const CLIENT_ID: &str = "client_id";

/// Where the name of a device comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DeviceName {
    /// A level of the topic, as it is.
    Level(usize),
    /// The client that published.
    Client,
    /// Several of them, or with text around them.
    Joined(Vec<Piece>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(Box<str>),
    Level(usize),
    Client,
}

impl DeviceName {
    /// All parts but `{metric}`, in the topic's order, so that nothing is mixed up; `client` is the
    /// level that stands for the client that publishes.
    pub(super) fn of_all_parts(levels: &[Level], client: Option<usize>) -> DeviceName {
        let mut pieces = Vec::new();
        for (at, level) in levels.iter().enumerate() {
            let piece = match level {
                Level::Device | Level::Label(_) => Piece::Level(at),
                Level::Literal(_) if client == Some(at) => Piece::Client,
                Level::Literal(_) | Level::Metric => continue,
            };
            if !pieces.is_empty() {
                pieces.push(Piece::Text("/".into()));
            }
            pieces.push(piece);
        }
        DeviceName::of(pieces)
    }

    /// What somebody wrote, or the characters before the fault, and the fault.
    pub(super) fn parse(text: &str, levels: &[Level]) -> Result<DeviceName, Fault> {
        if text.is_empty() {
            return Err((0, TemplateReason::Empty));
        }
        let mut pieces = Vec::new();
        let mut before = 0;
        for (index, level) in text.split('/').enumerate() {
            if index > 0 {
                push_text(&mut pieces, "/");
            }
            parse_segment(level, levels, &mut pieces)
                .map_err(|(at, reason)| (before + at, reason))?;
            before += level.chars().count() + 1;
        }
        let holds = |at| pieces.contains(&Piece::Level(at));
        let device = levels.iter().position(|level| *level == Level::Device);
        if let Some(device) = device
            && !holds(device)
        {
            return Err((0, TemplateReason::WithoutDevice));
        }
        let is_constant = pieces.iter().all(|piece| matches!(piece, Piece::Text(_)));
        let has_parts = levels.iter().any(|level| matches!(level, Level::Label(_)));
        if is_constant && has_parts {
            return Err((0, TemplateReason::AllOneDevice(example(levels))));
        }
        Ok(DeviceName::of(pieces))
    }

    fn of(pieces: Vec<Piece>) -> DeviceName {
        match pieces[..] {
            [Piece::Level(at)] => DeviceName::Level(at),
            [Piece::Client] => DeviceName::Client,
            _ => DeviceName::Joined(pieces),
        }
    }

    /// As the key `device` would be written.
    pub(super) fn text(&self, levels: &[Level]) -> String {
        let level = |at: &usize| match levels.get(*at) {
            Some(Level::Device) => "{device}".to_owned(),
            Some(Level::Label(name)) => format!("{{{name}}}"),
            _ => String::new(),
        };
        match self {
            DeviceName::Level(at) => level(at),
            DeviceName::Client => format!("{{{CLIENT_ID}}}"),
            DeviceName::Joined(pieces) => pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text.to_string(),
                    Piece::Level(at) => level(at),
                    Piece::Client => format!("{{{CLIENT_ID}}}"),
                })
                .collect(),
        }
    }
}

type Fault = (usize, TemplateReason);

/// What stands between two `/`.
fn parse_segment(segment: &str, levels: &[Level], pieces: &mut Vec<Piece>) -> Result<(), Fault> {
    let count = |text: &str| text.chars().count();
    if let Some(at) = segment.find('\0') {
        return Err((count(&segment[..at]), TemplateReason::Nul));
    }
    let Some(open) = segment.find(['{', '}']) else {
        push_text(pieces, segment);
        return Ok(());
    };
    let unclosed = || {
        (
            count(&segment[..open]),
            TemplateReason::Unclosed(segment.to_owned()),
        )
    };
    let part = segment[open..].strip_prefix('{').ok_or_else(unclosed)?;
    let (name, rest) = part.split_once('}').ok_or_else(unclosed)?;
    let at = count(&segment[..open]);
    if let Some(next) = rest.find(['{', '}']) {
        let next = at + count(name) + 2 + count(&rest[..next]);
        return Err((next, TemplateReason::TwoParts(segment.to_owned())));
    }
    push_text(pieces, &segment[..open]);
    pieces.push(part_of(name, levels).map_err(|reason| (at, reason))?);
    push_text(pieces, rest);
    Ok(())
}

fn part_of(name: &str, levels: &[Level]) -> Result<Piece, TemplateReason> {
    let is_it = |level: &Level| match level {
        Level::Device => name == "device",
        Level::Label(label) => **label == *name,
        Level::Literal(_) | Level::Metric => false,
    };
    match levels.iter().position(is_it) {
        Some(at) => Ok(Piece::Level(at)),
        None if name == CLIENT_ID => Ok(Piece::Client),
        None if name == "metric" => Err(TemplateReason::MetricInDevice),
        None => {
            // Says what is wrong with the name itself, if anything is.
            parse_level(&format!("{{{name}}}")).map_err(|(_, reason)| reason)?;
            let known: Vec<_> = levels.iter().filter_map(part_name).collect();
            Err(TemplateReason::UnknownPart {
                name: name.to_owned(),
                known: known.join(", "),
            })
        }
    }
}

fn part_name(level: &Level) -> Option<String> {
    match level {
        Level::Device => Some("`{device}`".to_owned()),
        Level::Label(name) => Some(format!("`{{{name}}}`")),
        Level::Literal(_) | Level::Metric => None,
    }
}

/// All parts, as the key `device` may name them.
fn example(levels: &[Level]) -> String {
    DeviceName::of_all_parts(levels, None).text(levels)
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Text(before)) => *before = format!("{before}{text}").into(),
        _ => pieces.push(Piece::Text(text.into())),
    }
}
