//! The rows of a recorded file.
//!
//! Owns: columns and cells. Never: keeps more than one row in memory. Invariant: an error names the
//! file, the line and the column.

use std::fs::File;
use std::io::BufReader;

use csv::{ErrorKind, ReaderBuilder, StringRecord};
use jiff::tz::TimeZone;
use telemetry::{Micros, NAME_BYTES_MAX};

use super::{Replay, ReplayError, time};

/// Names a time column has when none is given.
const TIME_COLUMNS: [&str; 3] = ["time", "timestamp", "ts"];

/// Reads a file row by row.
pub(crate) struct Rows {
    replay: Replay,
    zone: TimeZone,
    reader: csv::Reader<BufReader<File>>,
    headers: StringRecord,
    time: usize,
    device: Option<usize>,
    /// Columns to send, and their metrics.
    metrics: Vec<(usize, String)>,
    record: StringRecord,
    /// Rows that have been read.
    count: u64,
}

/// One row; reused.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Row {
    pub(crate) time: Micros,
    pub(crate) device: String,
    /// Index of the metric, value.
    pub(crate) values: Vec<(usize, f64)>,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Rows with at least one value.
    pub(crate) rows: u64,
    pub(crate) first: Micros,
    pub(crate) last: Micros,
}

/// Reads the whole file once, so that a bad cell is found before anything is sent.
pub(crate) fn survey(replay: &Replay) -> Result<Survey, ReplayError> {
    let mut rows = Rows::open(replay)?;
    let mut row = Row::default();
    let mut survey: Option<Survey> = None;
    while rows.read(&mut row)? {
        if row.values.is_empty() {
            continue;
        }
        let seen = survey.get_or_insert(Survey {
            rows: 0,
            first: row.time,
            last: row.time,
        });
        seen.rows += 1;
        seen.last = seen.last.max(row.time);
    }
    survey.ok_or_else(|| ReplayError::Empty {
        path: replay.path.clone(),
    })
}

impl Rows {
    pub(crate) fn open(replay: &Replay) -> Result<Self, ReplayError> {
        let path = &replay.path;
        let zone = TimeZone::get(&replay.zone).map_err(|_| ReplayError::Zone {
            zone: replay.zone.clone(),
        })?;
        let file = File::open(path).map_err(|source| ReplayError::Open {
            path: path.clone(),
            source,
        })?;
        let mut reader = ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(BufReader::new(file));
        let headers = match reader.headers() {
            Ok(headers) => headers.clone(),
            Err(error) => return Err(of_csv(replay, &error)),
        };
        let bad_header = |message| ReplayError::Header {
            path: path.clone(),
            message,
        };
        let time = find_time(replay, &headers).map_err(bad_header)?;
        let device = match &replay.columns.device {
            Some(name) => Some(find(&headers, name).map_err(bad_header)?),
            None => None,
        };
        let metrics = find_metrics(replay, &headers, time, device).map_err(bad_header)?;
        let (replay, record) = (replay.clone(), StringRecord::new());
        Ok(Self {
            replay,
            zone,
            reader,
            headers,
            time,
            device,
            metrics,
            record,
            count: 0,
        })
    }

    /// Names of the metrics, by their index.
    pub(crate) fn metrics(&self) -> impl Iterator<Item = &str> {
        self.metrics.iter().map(|(_, metric)| metric.as_str())
    }

    /// The next row; false at the end, or when there have been as many as were asked for.
    pub(crate) fn read(&mut self, row: &mut Row) -> Result<bool, ReplayError> {
        if self
            .replay
            .messages
            .is_some_and(|messages| self.count >= messages)
        {
            return Ok(false);
        }
        match self.reader.read_record(&mut self.record) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) => return Err(of_csv(&self.replay, &error)),
        }
        self.count += 1;
        let cell = &self.record[self.time];
        row.time = time::parse(cell, &self.zone)
            .map_err(|error| self.bad_cell(self.time, format!("`{cell}` is {error}")))?;
        row.device.clear();
        match self.device {
            Some(column) => {
                let cell = &self.record[column];
                check_device(cell).map_err(|message| self.bad_cell(column, message))?;
                row.device.push_str(cell);
            }
            None => row.device.push_str(&self.replay.device),
        }
        row.values.clear();
        for (index, (column, _)) in self.metrics.iter().enumerate() {
            let cell = &self.record[*column];
            // An empty cell is a value that was not recorded.
            if !cell.is_empty() {
                let value = number(cell).map_err(|message| self.bad_cell(*column, message))?;
                row.values.push((index, value));
            }
        }
        Ok(true)
    }

    fn bad_cell(&self, column: usize, message: String) -> ReplayError {
        ReplayError::Cell {
            path: self.replay.path.clone(),
            line: self.record.position().map_or(0, csv::Position::line),
            column: self.headers.get(column).unwrap_or_default().to_owned(),
            message,
        }
    }
}

fn number(cell: &str) -> Result<f64, String> {
    match cell {
        "true" | "TRUE" | "True" => return Ok(1.0),
        "false" | "FALSE" | "False" => return Ok(0.0),
        _ => {}
    }
    match cell.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(format!("`{cell}` is not a finite number")),
        Err(_) => Err(format!("`{cell}` is not a number")),
    }
}

/// A device is a level of a topic.
fn check_device(name: &str) -> Result<(), String> {
    if name.is_empty() {
        Err("the device has no name".into())
    } else if name.len() > NAME_BYTES_MAX {
        Err(format!(
            "the device's name is longer than {NAME_BYTES_MAX} bytes"
        ))
    } else if let Some(bad) = name.chars().find(|c| matches!(c, '/' | '+' | '#' | '\0')) {
        Err(format!(
            "`{name}` contains `{}`, which cannot stand in a topic",
            bad.escape_default()
        ))
    } else {
        Ok(())
    }
}

fn find(headers: &StringRecord, name: &str) -> Result<usize, String> {
    headers
        .iter()
        .position(|header| header == name)
        .ok_or_else(|| {
            let known: Vec<&str> = headers.iter().collect();
            format!(
                "there is no column `{name}`: the columns are `{}`",
                known.join("`, `")
            )
        })
}

fn find_time(replay: &Replay, headers: &StringRecord) -> Result<usize, String> {
    if let Some(name) = &replay.columns.time {
        return find(headers, name);
    }
    let position = |name: &&str| headers.iter().position(|header| header == *name);
    TIME_COLUMNS.iter().find_map(position).ok_or_else(|| {
        let known: Vec<&str> = headers.iter().collect();
        format!(
            "no column is called `{}`, so `time-column` must name it: the columns are `{}`",
            TIME_COLUMNS.join("`, `"),
            known.join("`, `")
        )
    })
}

fn find_metrics(
    replay: &Replay,
    headers: &StringRecord,
    time: usize,
    device: Option<usize>,
) -> Result<Vec<(usize, String)>, String> {
    let columns = &replay.columns;
    let mut metrics: Vec<(usize, String)> = Vec::new();
    for (column, metric) in &columns.map {
        metrics.push((find(headers, column)?, metric.clone()));
    }
    let named = |column: &usize| metrics.iter().any(|(known, _)| known == column);
    let mut others = Vec::new();
    if !columns.metrics.is_empty() {
        for name in &columns.metrics {
            let column = find(headers, name)?;
            if !named(&column) {
                others.push((column, name.clone()));
            }
        }
    } else if columns.map.is_empty() {
        let others_of_file = (0..headers.len()).filter(|c| *c != time && Some(*c) != device);
        others.extend(others_of_file.map(|column| (column, headers[column].to_owned())));
    }
    metrics.extend(others);
    if metrics.is_empty() {
        return Err("there is no column to send".into());
    }
    for (index, (column, metric)) in metrics.iter().enumerate() {
        if metric.is_empty() {
            return Err(format!(
                "column {} has no name: give it one with `map`",
                column + 1
            ));
        }
        if metrics[..index].iter().any(|(_, other)| other == metric) {
            return Err(format!("two columns are sent as `{metric}`"));
        }
    }
    Ok(metrics)
}

fn of_csv(replay: &Replay, error: &csv::Error) -> ReplayError {
    let path = replay.path.clone();
    let line = error.position().map_or(0, csv::Position::line);
    let message = match error.kind() {
        ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            format!("{len} columns instead of {expected_len}")
        }
        ErrorKind::Utf8 { err, .. } => format!("column {}: not UTF-8", err.field() + 1),
        ErrorKind::Io(error) => error.to_string(),
        _ => error.to_string(),
    };
    ReplayError::Row {
        path,
        line,
        message,
    }
}
