//! Reading `devices.csv`.
//!
//! The first line names the columns, `#` begins a comment, cells may be quoted. Every mistake is
//! reported, up to a screenful.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};
use globset::GlobSetBuilder;
use telemetry::unit::{self, CONVERSIONS};

use super::pattern::{self, Pattern};
use super::{Conversion, Registry, RegistryError, RegistryReason, Row};

/// A line a device for a million devices; more is the wrong file.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Mistakes reported for one file.
const ERRORS_MAX: usize = 20;

/// Columns that are not labels.
const DEVICE: &str = "device";
const METRIC: &str = "metric";
const UNIT: &str = "unit";
const SCALE: &str = "scale";
const OFFSET: &str = "offset";
const CONVERT: &str = "convert";

pub(super) fn load(file: &Path) -> Result<Registry, Vec<RegistryError>> {
    let error = |reason| vec![whole_file(file, reason)];
    let length = fs::metadata(file)
        .map_err(|cause| error(RegistryReason::Read(cause)))?
        .len();
    if length > FILE_BYTES_MAX {
        return Err(error(RegistryReason::TooLarge(FILE_BYTES_MAX)));
    }
    let text = fs::read_to_string(file).map_err(|cause| error(RegistryReason::Read(cause)))?;
    parse(file, &text)
}

pub(super) fn parse(file: &Path, text: &str) -> Result<Registry, Vec<RegistryError>> {
    // The last line counts like the others only when it ends.
    let text = format!("{}\n", text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut reader = ReaderBuilder::new()
        .comment(Some(b'#'))
        .flexible(true)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(cause) => return Err(vec![whole_file(file, RegistryReason::Csv(cause))]),
    };
    let header_line = line_of(&header, reader.position().line());
    let columns = Columns::parse(&header).map_err(|reason| {
        vec![RegistryError {
            line: header_line,
            ..whole_file(file, reason)
        }]
    })?;

    let mut builder = Builder::default();
    let mut errors = Vec::new();
    let mut record = StringRecord::new();
    while errors.len() < ERRORS_MAX {
        let read = reader.read_record(&mut record);
        let line = line_of(&record, reader.position().line());
        let result = match read {
            Ok(false) => break,
            Ok(true) => builder.add(&columns, &record, line),
            Err(cause) => Err((None, RegistryReason::Csv(cause))),
        };
        if let Err((column, reason)) = result {
            errors.push(RegistryError {
                file: file.to_owned(),
                line,
                column: column.map(str::to_owned),
                reason,
            });
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    builder
        .build()
        .map_err(|reason| vec![whole_file(file, reason)])
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

fn whole_file(file: &Path, reason: RegistryReason) -> RegistryError {
    RegistryError {
        file: file.to_owned(),
        line: 0,
        column: None,
        reason,
    }
}

/// The header; columns with a meaning of their own, and all others as labels.
#[derive(Debug)]
struct Columns {
    names: Vec<Box<str>>,
    device: usize,
}

/// Which column, if one, and what is wrong with it.
type Fault<'c> = (Option<&'c str>, RegistryReason);

impl Columns {
    fn parse(header: &StringRecord) -> Result<Columns, RegistryReason> {
        let mut names: Vec<Box<str>> = Vec::new();
        for name in header {
            match name {
                "" => return Err(RegistryReason::UnnamedColumn(names.len() + 1)),
                _ if name.contains('\0') => return Err(RegistryReason::Nul),
                _ if names.iter().any(|known| **known == *name) => {
                    return Err(RegistryReason::RepeatedColumn(name.to_owned()));
                }
                _ => names.push(name.into()),
            }
        }
        let device = names.iter().position(|name| **name == *DEVICE);
        let device = device.ok_or(RegistryReason::NoDeviceColumn)?;
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
            return Err((None, RegistryReason::CellCount { found, expected }));
        }
        let device = &record[columns.device];
        if device.is_empty() {
            return Err((Some(DEVICE), RegistryReason::NoDevice));
        }
        let mut written = Written::default();
        for (index, (name, cell)) in columns.names.iter().zip(record).enumerate() {
            if index != columns.device && !cell.is_empty() {
                written
                    .set(name, cell)
                    .map_err(|reason| (Some(&**name), reason))?;
            }
        }
        let metric_text = written.metric_text.clone();
        let row = written.row()?;
        let key = (device.to_owned(), metric_text);
        if let Some(before) = self.seen.insert(key, line) {
            return Err((None, RegistryReason::Repeated(before)));
        }
        self.insert(device, row)
            .map_err(|reason| (Some(DEVICE), reason))
    }

    fn insert(&mut self, device: &str, row: Row) -> Result<(), RegistryReason> {
        if device.contains('\0') {
            return Err(RegistryReason::Nul);
        }
        let index = self.registry.rows.len() as u32;
        if pattern::is_glob(device) {
            let glob = pattern::glob(device).map_err(|source| not_a_glob(device, source))?;
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

    fn build(mut self) -> Result<Registry, RegistryReason> {
        let mut set = GlobSetBuilder::new();
        for glob in self.globs {
            set.add(glob);
        }
        self.registry.globs = set.build().map_err(|source| not_a_glob("device", source))?;
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
    fn set(&mut self, column: &str, cell: &str) -> Result<(), RegistryReason> {
        if cell.contains('\0') {
            return Err(RegistryReason::Nul);
        }
        match column {
            METRIC => {
                let pattern = Pattern::parse(cell).map_err(|source| not_a_glob(cell, source))?;
                self.metric = Some(pattern);
                self.metric_text = cell.to_owned();
            }
            UNIT => self.unit = Some(cell.into()),
            SCALE => {
                self.scale = Some(finite(cell)?);
                if self.scale == Some(0.0) {
                    return Err(RegistryReason::ZeroScale);
                }
            }
            OFFSET => self.offset = Some(finite(cell)?),
            CONVERT => {
                let found = unit::find(cell);
                self.convert = Some(found.ok_or_else(|| RegistryReason::Conversion {
                    name: cell.to_owned(),
                    nearest: nearest_conversion(cell),
                })?);
            }
            _ => self.labels.push((column.into(), cell.into())),
        }
        Ok(())
    }

    fn row(self) -> Result<Row, Fault<'static>> {
        let scaling = self.scale.map(|_| SCALE).or(self.offset.map(|_| OFFSET));
        if let (Some(column), Some(_)) = (scaling, self.convert) {
            return Err((Some(column), RegistryReason::TwoConversions));
        }
        let converting = scaling.or(self.convert.map(|_| CONVERT));
        if let (Some(column), None) = (converting, &self.metric) {
            return Err((Some(column), RegistryReason::ConversionWithoutMetric));
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

fn finite(cell: &str) -> Result<f64, RegistryReason> {
    let number = cell.parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| RegistryReason::Number(cell.to_owned()))
}

fn not_a_glob(text: &str, source: globset::Error) -> RegistryReason {
    RegistryReason::Glob {
        text: text.to_owned(),
        source,
    }
}

/// Above this, the suggestion would be a guess.
const SIMILARITY_MIN: f64 = 0.8;

fn nearest_conversion(name: &str) -> Option<&'static str> {
    let known = CONVERSIONS.iter().map(|conversion| conversion.name);
    let scored = known.map(|known| (strsim::jaro_winkler(name, known), known));
    // Of equals `max_by` takes the last; the table names the commonest first.
    let best = scored.rev().max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best.0 >= SIMILARITY_MIN).then_some(best.1)
}
