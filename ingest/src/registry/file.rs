//! Reading `devices.csv`.
//!
//! The first line names the columns, `#` begins a comment, cells may be quoted. Every mistake is
//! reported, up to a screenful.

use std::collections::HashMap;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};
use documents::{Document, FileError, Place, Problem};
use globset::GlobSetBuilder;
use telemetry::unit::{self, CONVERSIONS};

use super::pattern::{self, Pattern};
use super::{Conversion, Registry, Row};

/// A line a device for a million devices; more is the wrong file.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Mistakes reported for one file.
const PROBLEMS_MAX: usize = 20;

/// What the file is to people.
const WHAT: &str = "device registry";

/// Columns that are not labels.
const DEVICE: &str = "device";
const METRIC: &str = "metric";
const UNIT: &str = "unit";
const SCALE: &str = "scale";
const OFFSET: &str = "offset";
const CONVERT: &str = "convert";

pub(super) fn load(file: &Path) -> Result<Registry, FileError> {
    let document = Document::read(file, WHAT, FILE_BYTES_MAX)?;
    parse(&document).map_err(|problems| FileError::Wrong {
        what: WHAT,
        path: file.to_owned(),
        problems,
    })
}

pub(super) fn parse(document: &Document) -> Result<Registry, Vec<Problem>> {
    // The last line counts like the others only when it ends.
    let text = document.text();
    let text = format!("{}\n", text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut reader = ReaderBuilder::new()
        .comment(Some(b'#'))
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(cause) => return Err(vec![located(document, 1, (None, not_csv(&cause)))]),
    };
    let header_line = line_of(&header, reader.position().line());
    let columns = Columns::parse(&header)
        .map_err(|problem| vec![located(document, header_line, (None, problem))])?;

    let mut builder = Builder::default();
    let mut problems = Vec::new();
    let mut record = StringRecord::new();
    while problems.len() < PROBLEMS_MAX {
        let read = reader.read_record(&mut record);
        let line = line_of(&record, reader.position().line());
        let result = match read {
            Ok(false) => break,
            Ok(true) => builder.add(&columns, &record, line),
            Err(cause) => Err((None, not_csv(&cause))),
        };
        if let Err(fault) = result {
            problems.push(located(document, line, fault));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    builder
        .build()
        .map_err(|problem| vec![located(document, header_line, (Some(DEVICE), problem))])
}

/// A mistake at its line; beside the caret stands its column.
fn located(document: &Document, line: u64, (column, problem): Fault<'_>) -> Problem {
    let problem = problem.about("the device registry");
    let line = usize::try_from(line).unwrap_or(usize::MAX);
    let Some(place) = document.line(line) else {
        return problem;
    };
    let label = column.map(|column| format!("column `{column}`"));
    problem.at(Place {
        label: label.unwrap_or_default(),
        ..place
    })
}

/// The line a record begins in. The reader only knows the line behind it: its own position for a
/// record lies before the comments that it skipped.
fn line_of(record: &StringRecord, line_behind: u64) -> u64 {
    let within = record
        .iter()
        .flat_map(str::bytes)
        .filter(|byte| *byte == b'\n')
        .count();
    line_behind.saturating_sub(1 + within as u64).max(1)
}

/// The header; columns with a meaning of their own, and all others as labels.
#[derive(Debug)]
struct Columns {
    names: Vec<Box<str>>,
    device: usize,
}

/// Which column, if one, and what is wrong with it.
type Fault<'c> = (Option<&'c str>, Problem);

impl Columns {
    fn parse(header: &StringRecord) -> Result<Columns, Problem> {
        let mut names: Vec<Box<str>> = Vec::new();
        for name in header {
            match name {
                "" => {
                    let number = names.len() + 1;
                    return Err(Problem::new(format!("column {number} has no name")));
                }
                _ if name.contains('\0') => return Err(nul()),
                _ if names.iter().any(|known| **known == *name) => {
                    return Err(Problem::new(format!("the column `{name}` is named twice")));
                }
                _ => names.push(name.into()),
            }
        }
        let device = names.iter().position(|name| **name == *DEVICE);
        let device =
            device.ok_or_else(|| Problem::new("the first line must name a column `device`"))?;
        Ok(Columns { names, device })
    }
}

#[derive(Debug, Default)]
struct Builder {
    registry: Registry,
    globs: Vec<globset::Glob>,
    /// Where a device and metric stood before, as they are written.
    seen: HashMap<(String, String), u64>,
}

impl Builder {
    fn add<'c>(
        &mut self,
        columns: &'c Columns,
        record: &StringRecord,
        line: u64,
    ) -> Result<(), Fault<'c>> {
        if record.len() != columns.names.len() {
            let (found, expected) = (record.len(), columns.names.len());
            let message = format!("{found} cells, and the first line names {expected} columns");
            return Err((None, Problem::new(message)));
        }
        let device = &record[columns.device];
        if device.is_empty() {
            return Err((Some(DEVICE), Problem::new("the `device` cell is empty")));
        }
        let mut written = Written::default();
        for (index, (name, cell)) in columns.names.iter().zip(record).enumerate() {
            if index != columns.device && !cell.is_empty() {
                written
                    .set(name, cell)
                    .map_err(|problem| (Some(&**name), problem))?;
            }
        }
        let metric_text = written.metric_text.clone();
        let row = written.row()?;
        let key = (device.to_owned(), metric_text);
        if let Some(before) = self.seen.insert(key, line) {
            let message = format!("the same device and metric stand in line {before}");
            return Err((None, Problem::new(message)));
        }
        self.insert(device, row)
            .map_err(|problem| (Some(DEVICE), problem))
    }

    fn insert(&mut self, device: &str, row: Row) -> Result<(), Problem> {
        if device.contains('\0') {
            return Err(nul());
        }
        let index = self.registry.rows.len() as u32;
        if pattern::is_glob(device) {
            let glob = pattern::glob(device).map_err(|source| not_a_glob(device, &source))?;
            self.globs.push(glob);
            self.registry.glob_rows.push(index);
        } else {
            self.registry
                .exact
                .entry(device.into())
                .or_default()
                .push(index);
        }
        self.registry.rows.push(row);
        Ok(())
    }

    fn build(mut self) -> Result<Registry, Problem> {
        let mut set = GlobSetBuilder::new();
        for glob in self.globs {
            set.add(glob);
        }
        self.registry.globs = set
            .build()
            .map_err(|source| not_a_glob("device", &source))?;
        Ok(self.registry)
    }
}

/// The cells of a line behind `device`.
#[derive(Debug, Default)]
struct Written {
    metric_text: String,
    metric: Option<Pattern>,
    unit: Option<Box<str>>,
    scale: Option<f64>,
    offset: Option<f64>,
    convert: Option<&'static unit::Conversion>,
    labels: Vec<(Box<str>, Box<str>)>,
}

impl Written {
    fn set(&mut self, column: &str, cell: &str) -> Result<(), Problem> {
        if cell.contains('\0') {
            return Err(nul());
        }
        match column {
            METRIC => {
                let pattern = Pattern::parse(cell).map_err(|source| not_a_glob(cell, &source))?;
                self.metric = Some(pattern);
                self.metric_text = cell.to_owned();
            }
            UNIT => self.unit = Some(cell.into()),
            SCALE => {
                self.scale = Some(finite(cell)?);
                if self.scale == Some(0.0) {
                    return Err(Problem::new("a scale of 0 makes every value the same"));
                }
            }
            OFFSET => self.offset = Some(finite(cell)?),
            CONVERT => {
                let found = unit::find(cell);
                self.convert = Some(found.ok_or_else(|| unknown_conversion(cell))?);
            }
            _ => self.labels.push((column.into(), cell.into())),
        }
        Ok(())
    }

    fn row(self) -> Result<Row, Fault<'static>> {
        let scaling = self.scale.map(|_| SCALE).or(self.offset.map(|_| OFFSET));
        if let (Some(column), Some(_)) = (scaling, self.convert) {
            let message = "a line has either `convert`, or `scale` and `offset`";
            return Err((Some(column), Problem::new(message)));
        }
        let converting = scaling.or(self.convert.map(|_| CONVERT));
        if let (Some(column), None) = (converting, &self.metric) {
            let message = "a conversion needs a `metric`; `*` means every metric of the device";
            return Err((Some(column), Problem::new(message)));
        }
        let conversion = match self.convert {
            Some(named) => Some(Conversion {
                scale: named.scale,
                offset: named.offset,
            }),
            None => scaling.map(|_| Conversion {
                scale: self.scale.unwrap_or(1.0),
                offset: self.offset.unwrap_or(0.0),
            }),
        };
        // A conversion knows its unit; the cell may still write it differently.
        let unit = self.unit.or(self.convert.map(|named| named.unit.into()));
        Ok(Row {
            metric: self.metric,
            unit,
            conversion,
            labels: self.labels,
        })
    }
}

fn finite(cell: &str) -> Result<f64, Problem> {
    let number = cell.parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| Problem::new(format!("`{cell}` is not a finite number")))
}

fn nul() -> Problem {
    Problem::new("holds U+0000, which no database stores")
}

fn not_csv(cause: &csv::Error) -> Problem {
    Problem::new("not a CSV line").cause(cause.to_string())
}

fn not_a_glob(text: &str, source: &globset::Error) -> Problem {
    Problem::new(format!("`{text}` is not a glob")).cause(source.to_string())
}

fn unknown_conversion(name: &str) -> Problem {
    let known = CONVERSIONS.iter().map(|conversion| conversion.name);
    let hint = documents::nearest(name, known).map(documents::did_you_mean);
    Problem::new(format!("`{name}` is not a known conversion")).hint_if(hint)
}
