//! `millrace journal verify`: whether a journal, or everything that the data folder keeps beside
//! the database, can be read.
//!
//! Owns: the list of logs and how what was found is told. Never: changes a byte. Invariant: every
//! log is looked at, however many are damaged, and each line names one.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use broker::verify::{
    self as broker_logs, RETAINED_FOLDER, RetainedError, SESSIONS_FOLDER, SessionsError,
};
use bytesize::ByteSize;
use documents::Problem;
use ingest::alert::published;
use journal::inspect::{self, Report};
use journal::{DamageKind, OpenError};
use serde::Serialize;

use super::{Place, existing, torn_text};
use crate::cli::Outcome;
use crate::cli::output::{self, count};
use crate::config::JOURNAL_FOLDER;
use crate::diagnostics::{Failure, display, problem_of};

/// What a damaged log means that a start goes on without.
const RETAINED_COST: &str =
    "the next start keeps what is before the damage, and moves the folder aside";
const PUBLISHED_COST: &str = "the next start leaves these out, and an alert may be published twice";
const CACHE_COST: &str =
    "the next start goes without it: until the database is reached, devices are asked to come back";

pub(super) fn run(place: &Place, json: bool) -> Outcome {
    match &place.folder {
        Some(folder) => one(&existing(folder.clone())?, json),
        None => all(&place.settings()?.data, json),
    }
}

#[derive(Serialize)]
struct Intact<'a> {
    intact: bool,
    #[serde(flatten)]
    report: &'a Report,
}

fn one(folder: &Path, json: bool) -> Outcome {
    let report = inspect::verify(folder)?;
    if json {
        output::json(&Intact {
            intact: true,
            report: &report,
        })?
    } else {
        output::text(&report_text(&display(folder), &report))?
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn report_text(folder: &str, report: &Report) -> String {
    let mut out = format!(
        "the journal in `{folder}` is intact: {} at positions {} to {}, {} in {}\n",
        count(report.records, "record"),
        report.start,
        report.end,
        ByteSize(report.size_bytes).display().si(),
        count(report.segments, "segment")
    );
    torn_text(&mut out, report.torn_tail.as_ref());
    out
}

/// One log of the data folder.
#[derive(Debug, Serialize)]
struct Log {
    log: &'static str,
    path: String,
    state: State,
    found: String,
    #[serde(skip)]
    problem: Option<Problem>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Intact,
    /// The last write was cut off, or is just being made.
    Cut,
    Damaged,
    /// There is none, as before it was first needed.
    None,
}

#[derive(Serialize)]
struct All<'a> {
    intact: bool,
    /// What was found in the telemetry journal.
    #[serde(flatten)]
    report: Option<Report>,
    logs: &'a [Log],
}

fn all(data: &Path, json: bool) -> Outcome {
    existing(data.join(JOURNAL_FOLDER))?;
    let (telemetry, report) = telemetry(data);
    let mut logs = vec![
        telemetry,
        sessions(data),
        retained(data),
        published(data),
        devices(data),
    ];
    let problems: Vec<_> = logs
        .iter_mut()
        .filter_map(|log| log.problem.take())
        .collect();
    if json {
        output::json(&All {
            intact: problems.is_empty(),
            report,
            logs: &logs,
        })?
    } else {
        output::text(&text(&logs))?
    }
    match Failure::from_problems(problems) {
        Some(failure) => Err(failure),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn text(logs: &[Log]) -> String {
    let mut out = String::new();
    for log in logs {
        let state = match log.state {
            State::Intact => "ok",
            State::Cut => "cut",
            State::Damaged => "damaged",
            State::None => "none",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{state:<8} {:<18} `{}`: {}",
            log.log, log.path, log.found
        );
    }
    out
}

fn telemetry(data: &Path) -> (Log, Option<Report>) {
    let builder = Builder::new("telemetry journal", data.join(JOURNAL_FOLDER));
    match inspect::verify(&data.join(JOURNAL_FOLDER)) {
        Ok(report) => (builder.journal(&report), Some(report)),
        Err(error) => (builder.damaged(problem_of(&error)), None),
    }
}

fn sessions(data: &Path) -> Log {
    let builder = Builder::new("session log", data.join(SESSIONS_FOLDER));
    match broker_logs::sessions(data) {
        Ok(Some(report)) => builder.journal(&report),
        Ok(None) => builder.none(),
        // The journal's own error, for its hint.
        Err(SessionsError::Journal(error)) => builder.damaged(problem_of(&error)),
        Err(error) => builder.damaged(problem_of(&error)),
    }
}

fn retained(data: &Path) -> Log {
    let builder = Builder::new("retained messages", data.join(RETAINED_FOLDER));
    match broker_logs::retained(data) {
        Ok(Some(retained)) => {
            let found = count(retained.messages as u64, "message");
            match retained.cut_bytes {
                0 => builder.log(State::Intact, found),
                bytes => builder.cut(found, bytes),
            }
        }
        Ok(None) => builder.none(),
        Err(RetainedError::Journal(OpenError::Damaged(damage)))
            if !matches!(damage.kind, DamageKind::Version(_)) =>
        {
            let problem = Problem::new(damage.to_string());
            builder.damaged(problem.hint(RETAINED_COST))
        }
        Err(error) => builder.damaged(problem_of(&error)),
    }
}

fn published(data: &Path) -> Log {
    let builder = Builder::new("published alerts", data.join(published::FILE_NAME));
    match published::verify(data) {
        Ok(Some(found)) if found.damaged > 0 => {
            let all = count(found.entries + found.damaged, "alert");
            let problem = Problem::new(format!("{} of {all} damaged", found.damaged));
            builder.damaged(problem.hint(PUBLISHED_COST))
        }
        Ok(Some(found)) => {
            let entries = count(found.entries, "alert");
            match found.cut_bytes {
                0 => builder.log(State::Intact, entries),
                bytes => builder.cut(entries, bytes),
            }
        }
        Ok(None) => builder.none(),
        Err(error) => builder.damaged(problem_of(&error)),
    }
}

fn devices(data: &Path) -> Log {
    let builder = Builder::new("device cache", data.join(devices::CACHE_FILE));
    match devices::verify_cache(data) {
        Ok(Some(devices)) => builder.log(State::Intact, count(devices as u64, "device")),
        Ok(None) => builder.none(),
        Err(error) => builder.damaged(problem_of(&error).hint(CACHE_COST)),
    }
}

/// The name of a log, and where it is.
struct Builder {
    log: &'static str,
    path: String,
}

impl Builder {
    fn new(log: &'static str, path: std::path::PathBuf) -> Builder {
        Builder {
            log,
            path: display(&path),
        }
    }

    fn log(self, state: State, found: impl Into<String>) -> Log {
        Log {
            log: self.log,
            path: self.path,
            state,
            found: found.into(),
            problem: None,
        }
    }

    fn none(self) -> Log {
        self.log(State::None, "there is none")
    }

    fn cut(self, found: String, bytes: u64) -> Log {
        let found =
            format!("{found}, and {bytes} bytes of a write that was cut off or is just being made");
        self.log(State::Cut, found)
    }

    fn journal(self, report: &Report) -> Log {
        let found = format!(
            "{} at positions {} to {}",
            count(report.records, "record"),
            report.start,
            report.end
        );
        match &report.torn_tail {
            Some(torn) => self.cut(found, torn.bytes),
            None => self.log(State::Intact, found),
        }
    }

    fn damaged(self, problem: Problem) -> Log {
        let problem = problem.about(&format!("{} `{}`", self.log, self.path));
        Log {
            problem: Some(problem),
            ..self.log(State::Damaged, "see below")
        }
    }
}
