//! The device registry: `devices.csv` says where a device stands, what it is and in which unit it
//! measures.
//!
//! Owns: what people wrote about devices, and which of it applies to a series. Never: is asked for
//! each sample; a series is looked up once. Invariant: the same file gives a series the same
//! enrichment, whatever came before.
//!
//! A line applies to the devices and metrics that its cells `device` and `metric` (empty: all)
//! match, literally or as globs. All lines that apply are laid over each other, the general ones
//! beneath:
//!
//! 1. device globs, then lines with the device's exact id;
//! 2. among these, lines without a metric, then metric globs, then the exact metric;
//! 3. among these, in the order of the file.
//!
//! A filled cell covers what lies beneath it, an empty one lets it through. `scale`, `offset` and
//! `convert` count as one cell: a line with any of them decides the whole conversion.

mod file;
pub(crate) mod pattern;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use documents::{Document, FileError, Problem};
use globset::GlobSet;

use pattern::Pattern;

/// What is known about devices, from one file.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    rows: Vec<Row>,
    /// Lines by the exact id of their device.
    exact: HashMap<Box<str>, Vec<u32>>,
    globs: GlobSet,
    /// The lines of `globs`, in the same order.
    glob_rows: Vec<u32>,
}

/// One line; an empty cell is `None`.
#[derive(Debug, Clone)]
struct Row {
    metric: Option<Pattern>,
    unit: Option<Box<str>>,
    conversion: Option<Conversion>,
    /// `site`, `type` and every other column, by its name.
    labels: Vec<(Box<str>, Box<str>)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Conversion {
    scale: f64,
    offset: f64,
}

/// What a series is given.
#[derive(Debug, Clone, PartialEq)]
pub struct Enrichment {
    /// Empty when nobody named it.
    pub unit: String,
    /// Sorted by name.
    pub labels: BTreeMap<String, String>,
    /// stored = received × scale + offset
    pub scale: f64,
    pub offset: f64,
}

impl Registry {
    /// A registry that knows no device.
    pub fn empty() -> Registry {
        Registry::default()
    }

    /// Reads a file; on failure everything that is wrong with it, up to a screenful.
    pub fn load(file: &Path) -> Result<Registry, FileError> {
        file::load(file)
    }

    /// Reads the text of a file.
    pub fn parse(document: &Document) -> Result<Registry, Vec<Problem>> {
        file::parse(document)
    }

    /// The registry of a text that is right.
    #[cfg(test)]
    pub(crate) fn of_text(text: &str) -> Registry {
        Registry::parse(&Document::new("devices.csv", text)).expect("a registry that is right")
    }

    /// The number of lines.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What applies to a series. `topic_labels` are what its topic says; the registry covers them.
    pub fn enrich<'a>(
        &self,
        device: &str,
        metric: &str,
        topic_labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Enrichment {
        let mut enrichment = Enrichment::from_topic(topic_labels);
        for row in self.rows_for(device, Some(metric)) {
            row.lay_over(&mut enrichment);
        }
        enrichment
    }

    /// The labels of a device as such: what lines without a metric say. `topic_labels` as in
    /// `enrich`.
    pub fn device_labels<'a>(
        &self,
        device: &str,
        topic_labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> BTreeMap<String, String> {
        let mut enrichment = Enrichment::from_topic(topic_labels);
        for row in self.rows_for(device, None) {
            row.lay_over(&mut enrichment);
        }
        enrichment.labels
    }

    /// The lines that apply to a metric, or to the device as such; general ones first.
    fn rows_for(&self, device: &str, metric: Option<&str>) -> Vec<&Row> {
        let globs = self
            .globs
            .matches(device)
            .into_iter()
            .map(|at| self.glob_rows[at]);
        let exact = self.exact.get(device).into_iter().flatten().copied();
        let mut ranked: Vec<_> = globs
            .map(|row| (0, row))
            .chain(exact.map(|row| (1, row)))
            .filter_map(|(device_rank, index)| {
                let row = &self.rows[index as usize];
                let metric_rank = match (&row.metric, metric) {
                    (None, _) => 0,
                    (Some(_), None) => return None,
                    (Some(pattern), Some(metric)) if !pattern.matches(metric) => return None,
                    (Some(Pattern::Glob(_)), _) => 1,
                    (Some(Pattern::Exact(_)), _) => 2,
                };
                Some(((device_rank, metric_rank, index), row))
            })
            .collect();
        ranked.sort_unstable_by_key(|(rank, _)| *rank);
        ranked.into_iter().map(|(_, row)| row).collect()
    }
}

impl Enrichment {
    fn from_topic<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Enrichment {
        let labels = labels.into_iter();
        Enrichment {
            unit: String::new(),
            labels: labels
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            scale: 1.0,
            offset: 0.0,
        }
    }
}

impl Row {
    fn lay_over(&self, enrichment: &mut Enrichment) {
        if let Some(unit) = &self.unit {
            enrichment.unit = unit.to_string();
        }
        if let Some(conversion) = self.conversion {
            enrichment.scale = conversion.scale;
            enrichment.offset = conversion.offset;
        }
        for (name, value) in &self.labels {
            enrichment
                .labels
                .insert(name.to_string(), value.to_string());
        }
    }
}

/// Labels as rows and alerts carry them: a JSON object of strings, keys sorted.
pub(crate) fn labels_json(labels: &BTreeMap<String, String>) -> String {
    serde_json::to_string(labels).expect("a map of texts always has a JSON form")
}
