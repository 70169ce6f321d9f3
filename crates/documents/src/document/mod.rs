//! A file as text with places.
//!
//! Owns: reading it, and saying where in it something stands. Never: knows a key. Invariant: every
//! mistake of a file is found in one go: an entry that is wrong is reported, left out, and the
//! rest is read again.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::explain::{self, Explained};
use crate::values::Node;
use crate::{FileError, Keys, Place, Problem};

/// Mistakes reported at most for one file; more than a screen of them helps nobody.
pub(crate) const PROBLEMS_MAX: usize = 20;

/// Each attempt finds one mistake, or leaves out what is incomplete because of an earlier one.
const ATTEMPTS_MAX: usize = 3 * PROBLEMS_MAX;

#[derive(Clone)]
pub struct Document {
    file: PathBuf,
    text: Arc<str>,
}

impl Document {
    pub fn new(file: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> Document {
        Document {
            file: file.into(),
            text: text.into(),
        }
    }

    /// Reads a file of at most `bytes_max`; more is the wrong file. `what` it is to people: "alert
    /// rules".
    pub fn read(file: &Path, what: &'static str, bytes_max: u64) -> Result<Document, FileError> {
        let text = read(file, bytes_max).map_err(|source| FileError::Unreadable {
            what,
            path: file.to_owned(),
            source,
        })?;
        Ok(Document::new(file, text))
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The folder that relative paths in the file start from.
    pub fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The file's values, and everything that is wrong with them. Without values nothing could be
    /// read at all.
    pub fn deserialize<T: DeserializeOwned>(&self) -> (Option<T>, Vec<Problem>) {
        let table = match self.parse() {
            Ok(table) => table,
            Err(problems) => return (None, problems),
        };
        let root = Spanned::new(table.span(), DeValue::Table(table.into_inner()));
        let mut problems = Vec::new();
        let mut left_out = HashSet::new();
        for _ in 0..ATTEMPTS_MAX {
            let node = Node {
                value: &root,
                left_out: &left_out,
            };
            let fault = match T::deserialize(node) {
                Ok(value) => return (Some(value), sorted(problems)),
                Err(fault) => fault,
            };
            if !fault.is_consequence {
                let explained = explain::fault(&fault, Keys::of::<T>);
                // The span of the document itself is all of it: a mistake without an entry belongs
                // to its beginning.
                let span = fault.span.filter(|_| fault.entry.is_some());
                problems.push(self.problem(explained, span));
            }
            match fault.entry {
                Some(entry) if problems.len() < PROBLEMS_MAX => left_out.insert(entry),
                _ => break,
            };
        }
        (None, sorted(problems))
    }

    /// The values with their places, or every error of the syntax.
    pub fn parse(&self) -> Result<Spanned<DeTable<'_>>, Vec<Problem>> {
        let (table, errors) = DeTable::parse_recoverable(&self.text);
        if errors.is_empty() {
            return Ok(table);
        }
        let problems = errors
            .into_iter()
            .take(PROBLEMS_MAX)
            .map(|error| self.problem(explain::syntax(error.message()), error.span()));
        Err(sorted(problems.collect()))
    }

    /// The values as written, without a type.
    pub fn values(&self) -> toml::Table {
        self.text.parse().unwrap_or_default()
    }

    /// Where the value of a dotted key (`journal.max_size`, `filter.rule.0.range`) stands, if it is
    /// in the file.
    pub fn place_of(&self, key: &str) -> Option<Place> {
        let root = DeTable::parse_recoverable(&self.text).0;
        let (first, rest) = key.split_once('.').unwrap_or((key, ""));
        let mut value = get(root.get_ref(), first)?;
        for part in rest.split('.').filter(|part| !part.is_empty()) {
            value = match value.get_ref() {
                DeValue::Table(table) => get(table, part)?,
                DeValue::Array(elements) => elements.get(part.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(self.place(value.span(), ""))
    }

    /// The same, or where the nearest section or element around it stands.
    pub fn nearest_place_of(&self, key: &str) -> Option<Place> {
        let around = std::iter::successors(Some(key), |key| Some(key.rsplit_once('.')?.0));
        around.into_iter().find_map(|key| self.place_of(key))
    }

    /// A whole line, counted from 1.
    pub fn line(&self, number: usize) -> Option<Place> {
        let mut start = 0;
        let mut lines = self.text.split_inclusive('\n');
        for line in lines.by_ref().take(number.checked_sub(1)?) {
            start += line.len();
        }
        let line = lines.next()?.trim_end();
        Some(self.place(start..start + line.len(), ""))
    }

    pub fn place(&self, span: Range<usize>, label: impl Into<String>) -> Place {
        Place {
            file: self.file.clone(),
            text: self.text.clone(),
            span,
            label: label.into(),
        }
    }

    fn problem(&self, explained: Explained, span: Option<Range<usize>>) -> Problem {
        // A mistake without a place belongs to the whole file.
        let place = self.place(span.unwrap_or(0..0), explained.label);
        Problem::new(explained.message)
            .at(place)
            .hint_if(explained.hint)
    }
}

/// Without the text, which may hold a password.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Document").field(&self.file).finish()
    }
}

fn read(file: &Path, bytes_max: u64) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?
        .take(bytes_max + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > bytes_max {
        let size = match bytes_max >> 20 {
            0 => format!("{bytes_max} bytes"),
            mib => format!("{mib} MiB"),
        };
        let message = format!("it is larger than {size}");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

fn get<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<&'t Spanned<DeValue<'i>>> {
    table
        .iter()
        .find(|(name, _)| name.get_ref() == key)
        .map(|(_, value)| value)
}

/// In the order of the file.
pub(crate) fn sorted(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(Problem::offset);
    problems
}
