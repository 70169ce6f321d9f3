//! The configuration file as text with places.
//!
//! Owns: reading it, and saying where in it a mistake stands. Never: knows a key. Invariant: every
//! mistake of a file is found in one go: an entry that is wrong is reported, taken out, and the
//! rest is read again.

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::explain::{self, Explained};
use crate::diagnostics::{Failure, Place, Problem, display};

/// Mistakes reported at most for one file; more than a screen of them helps nobody.
const PROBLEMS_MAX: usize = 20;

/// Each attempt finds one mistake, or takes out what is incomplete because of an earlier one.
const ATTEMPTS_MAX: usize = 3 * PROBLEMS_MAX;

/// A configuration file is written by hand; anything larger is the wrong file.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

#[derive(Debug, Clone)]
pub(crate) struct Document {
    file: PathBuf,
    text: Arc<str>,
    /// A key that is unknown where it stands may belong into another section of `millrace.toml`.
    is_configuration: bool,
}

/// One step from the root of a document to an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    /// An element of an array of tables.
    Element(usize),
}

impl Document {
    pub(crate) fn new(file: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> Document {
        Document {
            file: file.into(),
            text: text.into(),
            is_configuration: false,
        }
    }

    pub(crate) fn read(file: &Path) -> Result<Document, Failure> {
        let unreadable = |error: std::io::Error| {
            let message = format!("cannot read the configuration file `{}`", display(file));
            Failure::from(Problem::new(message).cause(error.to_string()))
        };
        let length = std::fs::metadata(file).map_err(unreadable)?.len();
        if length > FILE_BYTES_MAX {
            let message = format!(
                "the configuration file `{}` is larger than {} MB",
                display(file),
                FILE_BYTES_MAX / (1024 * 1024)
            );
            return Err(Failure::new(message));
        }
        let text = std::fs::read_to_string(file).map_err(unreadable)?;
        Ok(Document {
            is_configuration: true,
            ..Document::new(file, text)
        })
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The folder that relative paths in the file start from.
    pub(crate) fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    /// The file's values, and everything that is wrong with them. Without values nothing could be
    /// read at all.
    pub(crate) fn deserialize<T: DeserializeOwned>(&self) -> (Option<T>, Vec<Problem>) {
        let mut problems = self.syntax_problems();
        if !problems.is_empty() {
            return (None, problems);
        }
        let mut table = self.table();
        let mut removed: Vec<Removed> = Vec::new();
        for _ in 0..ATTEMPTS_MAX {
            let error = match T::deserialize(toml::Deserializer::from(table.clone())) {
                Ok(value) => return (Some(value), sorted(problems)),
                Err(error) => error,
            };
            let path = error.span().and_then(|span| find(table.get_ref(), &span));
            if !removed.iter().any(|removed| removed.explains(&error)) {
                let path = path.as_deref().unwrap_or_default();
                let explained =
                    explain::serde_message(error.message(), path, self.is_configuration);
                problems.push(self.problem(explained, error.span()));
            }
            let root = table.span();
            match path.and_then(|path| remove(table.get_mut(), root, &path)) {
                Some(gone) if problems.len() < PROBLEMS_MAX => removed.push(gone),
                _ => break,
            }
        }
        (None, sorted(problems))
    }

    /// The values as written, without a type.
    pub(super) fn values(&self) -> toml::Table {
        self.text.parse().unwrap_or_default()
    }

    /// Where the value of a dotted key (`journal.max_size`, `filter.rule.0.range`) stands, if it is
    /// in the file.
    pub(crate) fn place_of(&self, key: &str) -> Option<Place> {
        let root = self.table();
        let (first, rest) = key.split_once('.').unwrap_or((key, ""));
        let mut value = get(root.get_ref(), first)?;
        for part in rest.split('.').filter(|part| !part.is_empty()) {
            value = match value.get_ref() {
                DeValue::Table(table) => get(table, part)?,
                DeValue::Array(elements) => elements.get(part.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(self.place(value.span(), String::new()))
    }

    /// The same, or where the nearest section or element around it stands.
    pub(crate) fn nearest_place_of(&self, key: &str) -> Option<Place> {
        let around = std::iter::successors(Some(key), |key| Some(key.rsplit_once('.')?.0));
        around.into_iter().find_map(|key| self.place_of(key))
    }

    /// A whole line, counted from 0.
    pub(crate) fn line(&self, index: usize) -> Option<Place> {
        let mut start = 0;
        let mut lines = self.text.split_inclusive('\n');
        for line in lines.by_ref().take(index) {
            start += line.len();
        }
        let line = lines.next()?.trim_end();
        Some(self.place(start..start + line.len(), String::new()))
    }

    pub(crate) fn place(&self, span: Range<usize>, label: String) -> Place {
        Place {
            file: self.file.clone(),
            text: self.text.clone(),
            span,
            label,
        }
    }

    fn problem(&self, explained: Explained, span: Option<Range<usize>>) -> Problem {
        // A mistake without a place belongs to the whole file.
        let place = self.place(span.unwrap_or(0..0), explained.label);
        let problem = Problem::new(explained.message).at(place);
        match explained.hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }

    fn syntax_problems(&self) -> Vec<Problem> {
        let (_, errors) = DeTable::parse_recoverable(&self.text);
        let problems = errors.into_iter().take(PROBLEMS_MAX).map(|error| {
            let (message, label) = explain::syntax_message(error.message());
            let hint = None;
            self.problem(
                Explained {
                    message,
                    label,
                    hint,
                },
                error.span(),
            )
        });
        sorted(problems.collect())
    }

    fn table(&self) -> Spanned<DeTable<'_>> {
        DeTable::parse_recoverable(&self.text).0
    }
}

fn get<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<&'t Spanned<DeValue<'i>>> {
    table
        .iter()
        .find(|(name, _)| name.get_ref() == key)
        .map(|(_, value)| value)
}

/// The entry whose key or value lies at `span`; otherwise the smallest one around it. The document
/// itself has no span.
fn find(table: &DeTable<'_>, span: &Range<usize>) -> Option<Vec<Step>> {
    if span.is_empty() {
        return None;
    }
    let mut best: Option<(usize, Vec<Step>)> = None;
    visit_table(table, &mut Vec::new(), &mut |path, own: Range<usize>| {
        if own.start > span.start || own.end < span.end {
            return;
        }
        let excess = own.len() - span.len();
        // Of equals the deeper one, which is visited later.
        if best.as_ref().is_none_or(|(least, _)| excess <= *least) {
            best = Some((excess, path.to_vec()));
        }
    });
    best.map(|(_, path)| path)
}

type Visitor<'v> = dyn FnMut(&[Step], Range<usize>) + 'v;

fn visit_table(table: &DeTable<'_>, path: &mut Vec<Step>, visit: &mut Visitor<'_>) {
    for (key, value) in table.iter() {
        path.push(Step::Key(key.get_ref().to_string()));
        visit(path, key.span());
        visit_value(value, path, visit);
        path.pop();
    }
}

fn visit_value(value: &Spanned<DeValue<'_>>, path: &mut Vec<Step>, visit: &mut Visitor<'_>) {
    visit(path, value.span());
    match value.get_ref() {
        DeValue::Table(table) => visit_table(table, path, visit),
        DeValue::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                path.push(Step::Element(index));
                visit_value(element, path, visit);
                path.pop();
            }
        }
        _ => {}
    }
}

/// An entry that was taken out because it was wrong.
struct Removed {
    /// Where the section or element lies that it was in.
    parent: Range<usize>,
    /// Empty for an element of an array.
    key: String,
}

impl Removed {
    /// Whether the error only says that this entry is missing now.
    fn explains(&self, error: &toml::de::Error) -> bool {
        let missing = error.message().strip_prefix("missing field ");
        error.span().as_ref() == Some(&self.parent)
            && missing.is_some_and(|name| name.trim_matches('`') == self.key)
    }
}

/// Takes an entry out of the table that lies at `parent`.
fn remove(table: &mut DeTable<'_>, parent: Range<usize>, path: &[Step]) -> Option<Removed> {
    let (Step::Key(key), rest) = path.split_first()? else {
        return None;
    };
    let name = table.keys().find(|name| name.get_ref() == key)?.clone();
    if rest.is_empty() {
        table.remove(&name)?;
        return Some(Removed {
            parent,
            key: key.clone(),
        });
    }
    remove_inside(table.get_mut(&name)?, rest)
}

fn remove_inside(value: &mut Spanned<DeValue<'_>>, path: &[Step]) -> Option<Removed> {
    let parent = value.span();
    match (value.get_mut(), path) {
        (DeValue::Table(table), _) => remove(table, parent, path),
        (DeValue::Array(elements), [Step::Element(index)]) => {
            let mut kept = DeArray::new();
            for (at, element) in elements.iter().enumerate() {
                if at != *index {
                    kept.push(element.clone());
                }
            }
            *elements = kept;
            Some(Removed {
                parent,
                key: String::new(),
            })
        }
        (DeValue::Array(elements), [Step::Element(index), rest @ ..]) => {
            remove_inside(elements.get_mut(*index)?, rest)
        }
        _ => None,
    }
}

/// In the order of the file.
fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(Problem::offset);
    problems
}
