//! Playing recorded telemetry.
//!
//! Owns: the CSV file, its columns, times and errors. Never: changes a value. Invariant: every row
//! is sent, in the order of the file, with its own time (shifted as a whole when that is asked
//! for); a file that cannot be read to its end is refused before the first message.

mod rows;
mod source;
pub(crate) mod time;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use rows::{Rows, Survey, survey};
pub(crate) use source::ReplaySource;

use crate::message::{PayloadShape, Template, TimeUnit};

/// What is played, and how.
#[derive(Debug, Clone)]
pub struct Replay {
    pub path: PathBuf,
    pub columns: Columns,
    /// The device, unless a column names it.
    pub device: String,
    pub client_id: String,
    /// IANA name of the zone of times that have none.
    pub zone: String,
    /// How much faster than recorded; `None` is as fast as acknowledged.
    pub speed: Option<f64>,
    /// Moves all times so that the last row is sent at its own time.
    pub shift_to_now: bool,
    /// Rows at most.
    pub messages: Option<u64>,
    /// Rows that are due within this time.
    pub duration: Option<Duration>,
    pub qos: u8,
    pub retain: bool,
    pub topic: Template,
    pub shape: PayloadShape,
    pub time_unit: TimeUnit,
    pub inflight: u16,
}

/// Which columns of the file are what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// `None`: the first of `time`, `timestamp`, `ts`.
    pub time: Option<String>,
    pub device: Option<String>,
    /// Empty: all that are neither time nor device.
    pub metrics: Vec<String>,
    /// Columns sent under another name; they need not be in `metrics`.
    pub map: Vec<(String, String)>,
}

/// Why a file cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("cannot read `{path}`")]
    Open { path: PathBuf, source: io::Error },
    #[error("`{path}`: {message}")]
    Header { path: PathBuf, message: String },
    #[error("`{path}`, line {line}, column `{column}`: {message}")]
    Cell {
        path: PathBuf,
        line: u64,
        column: String,
        message: String,
    },
    #[error("`{path}`, line {line}: {message}")]
    Row {
        path: PathBuf,
        line: u64,
        message: String,
    },
    #[error("`{path}` has no rows")]
    Empty { path: PathBuf },
    #[error("`{zone}` is not a time zone: write a name such as `Europe/Berlin`")]
    Zone { zone: String },
}

#[cfg(test)]
mod tests;
