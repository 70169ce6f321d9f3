//! The configuration: from what the user wrote to what is true.
//!
//! Owns: where values come from (defaults < file < environment < flags) and how mistakes in them
//! are told. Never: knows what a section means, which is its crate's business. Invariant: nobody
//! behind this module sees a value that was not checked.

mod every;
mod origins;
mod overrides;
mod settings;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use documents::{Document, Problem};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub(crate) use overrides::Override;
pub(crate) use settings::{JOURNAL_FOLDER, Settings};

use crate::diagnostics::Failure;
use origins::Origins;

/// Read when no file is named and it lies in the working folder.
pub(crate) const DEFAULT_FILE: &str = "millrace.toml";

/// A configuration file is written by hand; anything larger is the wrong file.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What the user wrote. Each section belongs to the crate that it configures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Folder for everything that Millrace keeps.
    pub(crate) data: PathBuf,
    /// What is logged: a level, or targets with levels.
    pub(crate) log: String,
    pub(crate) broker: broker::Config,
    pub(crate) journal: journal::Config,
    pub(crate) store: store::Config,
    pub(crate) ingest: ingest::Config,
    pub(crate) alerts: ingest::alert::Config,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            data: "millrace-data".into(),
            log: crate::logging::DEFAULT_FILTER.into(),
            broker: broker::Config::default(),
            journal: journal::Config::default(),
            store: store::Config::default(),
            ingest: ingest::Config::default(),
            alerts: ingest::alert::Config::default(),
        }
    }
}

/// Keys that hold paths: written in a file, they start from the file's folder. `*` stands for each
/// element of an array. Secrets are written `file:PATH` or `env:NAME`.
const PATH_KEYS: [&str; 10] = [
    "data",
    "broker.acl.file",
    "broker.auth.users",
    "broker.auth.jwt.key",
    "ingest.devices",
    "alerts.rules",
    "broker.listener.*.certificate",
    "broker.listener.*.key",
    "broker.listener.*.client_ca",
    "broker.listener.*.crl",
];

/// Where a configuration comes from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// The file named by the user.
    pub(crate) file: Option<PathBuf>,
    /// Where `millrace.toml` is looked for when no file is named.
    pub(crate) working_folder: PathBuf,
    /// Whether that file does not count.
    pub(crate) ignore_default_file: bool,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) flags: Vec<Override>,
}

impl Sources {
    /// The environment and working folder of this process. Variables that are not Unicode cannot be
    /// ours.
    pub(crate) fn of_process(file: Option<PathBuf>, flags: Vec<Override>) -> Sources {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Sources {
            file,
            environment,
            flags,
            ..Sources::default()
        }
    }

    /// No file and no environment: only flags count.
    pub(crate) fn alone() -> Sources {
        Sources {
            ignore_default_file: true,
            ..Sources::default()
        }
    }

    fn document(&self) -> Result<Option<Document>, Failure> {
        if let Some(file) = &self.file {
            return read(file).map(Some).map_err(|failure| {
                failure.hint("without `--config`, Millrace starts with defaults that need no file")
            });
        }
        let default = self.working_folder.join(DEFAULT_FILE);
        if !self.ignore_default_file && default.is_file() {
            read(&default).map(Some)
        } else {
            Ok(None)
        }
    }
}

fn read(file: &Path) -> Result<Document, Failure> {
    Ok(Document::read(file, "configuration file", FILE_BYTES_MAX)?)
}

/// Reads, joins and checks the configuration; every mistake that can be found is in the failure.
pub(crate) fn load(sources: &Sources) -> Result<Settings, Failure> {
    join(sources, settings::check)
}

/// Where the users are, for commands that change them: nothing but the configuration's form is
/// checked, so that a users file that is missing or broken can be made.
pub(crate) fn users_file(sources: &Sources) -> Result<PathBuf, Failure> {
    join(sources, |config, _origins| Ok(settings::users_file(config)))
}

/// What commands that change users need beside their file; checked as little.
pub(crate) struct Entry {
    pub(crate) data: PathBuf,
    pub(crate) allows_anonymous: bool,
}

pub(crate) fn entry(sources: &Sources) -> Result<Entry, Failure> {
    join(sources, |config, _origins| {
        Ok(Entry {
            data: config.data.clone(),
            allows_anonymous: config.broker.allow_anonymous,
        })
    })
}

/// Reads and joins the sources, and gives them to `check`.
fn join<T>(
    sources: &Sources,
    check: impl FnOnce(&Config, &Origins<'_>) -> Result<T, Vec<Problem>>,
) -> Result<T, Failure> {
    let document = sources.document()?;
    let (from_file, mut problems) = match &document {
        Some(document) => read_values(document),
        None => (Some(Table::new()), Vec::new()),
    };
    let (mut overrides, refused) = overrides::from_environment(sources.environment.clone());
    problems.extend(refused);
    overrides.extend(sources.flags.iter().cloned());

    let Some(mut values) = from_file else {
        return Err(failed(problems));
    };
    for found in &overrides {
        found.apply(&mut values);
    }
    let config = Config::deserialize(Value::Table(values)).map_err(|error| {
        Failure::new(format!("the configuration is wrong: {}", error.message()))
    })?;
    let origins = Origins {
        document: document.as_ref(),
        overrides: &overrides,
    };
    match check(&config, &origins) {
        Ok(settings) if problems.is_empty() => Ok(settings),
        Ok(_) => Err(failed(problems)),
        Err(mut more) => {
            more.retain(|found| !problems.iter().any(|earlier| earlier.overlaps(found)));
            Err(failed(problems.into_iter().chain(more).collect()))
        }
    }
}

/// The file's values with its paths made independent of the working folder. After mistakes: only
/// what is right.
fn read_values(document: &Document) -> (Option<Table>, Vec<Problem>) {
    let (config, problems) = document.deserialize::<Config>();
    let values = match config {
        None => None,
        Some(_) if problems.is_empty() => Some(document.values()),
        // What was taken out is gone from `config`, but not from the text.
        Some(config) => Table::try_from(config).ok(),
    };
    let values = values.map(|mut values| {
        for key in PATH_KEYS {
            resolve_path(&mut values, key, document.folder());
        }
        values
    });
    (values, problems)
}

fn resolve_path(values: &mut Table, key: &str, folder: &Path) {
    let (part, rest) = key.split_once('.').unwrap_or((key, ""));
    if let Some(value) = values.get_mut(part) {
        resolve_path_in(value, rest, folder);
    }
}

/// `rest` is what is left of the key below `value`.
fn resolve_path_in(value: &mut Value, rest: &str, folder: &Path) {
    match value {
        Value::Table(table) => resolve_path(table, rest, folder),
        Value::Array(elements) => {
            if let Some(rest) = rest.strip_prefix("*.") {
                for element in elements {
                    resolve_path_in(element, rest, folder);
                }
            }
        }
        Value::String(path) if rest.is_empty() && !path.is_empty() && !path.starts_with("env:") => {
            let (kind, rest) = match path.strip_prefix("file:") {
                Some(rest) => ("file:", rest),
                None => ("", &**path),
            };
            // An absolute path stays as it is.
            *path = format!("{kind}{}", folder.join(rest).display());
        }
        _ => {}
    }
}

fn failed(problems: Vec<Problem>) -> Failure {
    Failure::from_problems(problems)
        .unwrap_or_else(|| Failure::new("the configuration cannot be used"))
}
