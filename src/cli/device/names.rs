//! Names of devices, from the command line or a file.
//!
//! Owns: which column holds them, and how a name that cannot be is told. Never: asks the database.
//! Invariant: what is returned is valid, and no name occurs twice.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use ::csv::{ReaderBuilder, StringRecord, Trim};
use devices::credentials::{DEVICES_MAX, check_name};
use documents::Problem;

use super::output;
use crate::diagnostics::{Failure, display};

/// A line a device for a million devices; more is the wrong file.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Mistakes reported for one file.
const PROBLEMS_MAX: usize = 20;

/// The column of a file with a header.
const DEVICE: &str = "device";

/// Checks names that were typed.
pub(super) fn check(devices: &[String]) -> Result<Vec<String>, Failure> {
    let mut names = Names::default();
    for device in devices {
        names.add(device, "");
    }
    names.finish("the command line")
}

/// Reads a file; `-` is stdin.
pub(super) fn read(file: &Path) -> Result<Vec<String>, Failure> {
    let (shown, text) = if file.as_os_str() == "-" {
        ("stdin".to_owned(), text_of(io::stdin().lock()))
    } else {
        (display(file), File::open(file).and_then(text_of))
    };
    let text = text.map_err(|error| Failure::new(format!("cannot read `{shown}`: {error}")))?;
    parse(&shown, &text)
}

fn text_of(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        Err(io::Error::other("it is larger than 256 MB"))
    } else {
        Ok(text)
    }
}

/// A name a line, or lines of CSV under a header with `device` in it, such as the device registry.
pub(super) fn parse(file: &str, text: &str) -> Result<Vec<String>, Failure> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut names = Names::default();
    let mut header: Option<usize> = None;
    let mut is_first = true;
    for (number, line) in text.lines().enumerate() {
        let Some(record) = record(line)? else {
            continue;
        };
        if std::mem::take(&mut is_first) {
            header = record.iter().position(|cell| cell == DEVICE);
            if header.is_some() {
                continue;
            }
        }
        let device = record.get(header.unwrap_or(0)).unwrap_or_default();
        if header.is_some() && is_pattern(device) {
            names.patterns += 1;
            continue;
        }
        names.add(device, &format!("{file}:{}: ", number + 1));
    }
    names.finish(file)
}

/// The cells of a line; `None` when it is empty or a comment.
fn record(line: &str) -> Result<Option<StringRecord>, Failure> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .comment(Some(b'#'))
        .trim(Trim::All)
        .from_reader(line.as_bytes());
    let mut record = StringRecord::new();
    let found = reader.read_record(&mut record)?;
    Ok((found && !record.iter().all(str::is_empty)).then_some(record))
}

/// The device registry may speak of many devices at once.
fn is_pattern(device: &str) -> bool {
    device.contains(['*', '?', '[', '{', '\\'])
}

#[derive(Default)]
struct Names {
    names: Vec<String>,
    known: HashSet<String>,
    problems: Vec<Problem>,
    patterns: u64,
}

impl Names {
    /// `place` stands before a complaint.
    fn add(&mut self, device: &str, place: &str) {
        if self.known.contains(device) || self.problems.len() >= PROBLEMS_MAX {
            return;
        }
        match check_name(device) {
            Ok(()) => {
                self.known.insert(device.to_owned());
                self.names.push(device.to_owned());
            }
            Err(error) => {
                let message = format!("{place}the name `{}` {error}", device.escape_debug());
                let hint = "a device is called as in its topic, devices/NAME/telemetry";
                self.problems.push(Problem::new(message).hint(hint));
            }
        }
    }

    fn finish(self, file: &str) -> Result<Vec<String>, Failure> {
        if let Some(failure) = Failure::from_problems(self.problems) {
            return Err(failure);
        }
        if self.names.len() > DEVICES_MAX {
            let count = self.names.len();
            let message = format!("`{file}` names {count} devices, {DEVICES_MAX} at most may be");
            return Err(Failure::new(message));
        }
        if self.patterns > 0 {
            let lines = output::count(self.patterns, "line");
            anstream::eprintln!("left out {lines} of `{file}` whose device is a pattern");
        }
        if self.names.is_empty() {
            Err(Failure::new(format!("`{file}` names no device")))
        } else {
            Ok(self.names)
        }
    }
}
