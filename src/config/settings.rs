//! What is true: the configuration after every section was checked.
//!
//! Owns: the sum of the sections' settings. Never: checks a value itself that a crate can check.
//! Invariant: a `Settings` exists only when every section was found good, the files that it names
//! included.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use access::Policy;
use access::users::{self, Users};
use documents::Problem;
use ingest::alert::Rules;
use ingest::prepare::Meaning;
use tracing_subscriber::EnvFilter;

use super::origins::Origins;
use super::{Config, every};
use crate::logging;

/// Where telemetry waits for the database, in the data folder.
pub(crate) const JOURNAL_FOLDER: &str = "journal";

/// Everything a start needs.
pub(crate) struct Settings {
    /// The file that was read, for messages.
    pub(crate) file: Option<PathBuf>,
    /// Folder for everything that Millrace keeps.
    pub(crate) data: PathBuf,
    pub(crate) log: EnvFilter,
    pub(crate) broker: broker::Settings,
    /// Who may publish and subscribe to what, when Millrace starts.
    pub(crate) access: Policy,
    /// Where the users are, and how many there are.
    pub(crate) users_file: PathBuf,
    pub(crate) users: usize,
    pub(crate) journal: journal::Settings,
    pub(crate) store: store::Settings,
    /// What records mean: topics, devices, filters.
    pub(crate) meaning: Meaning,
    pub(crate) rows: ingest::rows::Settings,
    pub(crate) rules: Arc<Rules>,
    pub(crate) alerts: ingest::alert::Config,
    /// The device registry's file, for messages.
    pub(crate) devices: Option<PathBuf>,
}

impl Settings {
    /// Where the journal's segments lie.
    pub(crate) fn journal_folder(&self) -> PathBuf {
        self.data.join(JOURNAL_FOLDER)
    }
}

/// Checks all sections; every problem is reported, not only the first.
pub(super) fn check(config: &Config, origins: &Origins<'_>) -> Result<Settings, Vec<Problem>> {
    let mut problems = Vec::new();
    let data = keep(&mut problems, data(config, origins));
    let log = keep(&mut problems, log(config, origins));
    let broker = keep(&mut problems, broker(config, origins));
    let access = keep(&mut problems, access(config, origins));
    let users = keep(&mut problems, users(config, origins));
    let journal = keep(&mut problems, journal(config, origins));
    let store = keep(&mut problems, store(config, origins));
    let meaning = keep(&mut problems, meaning(config, origins));
    let rows = keep(&mut problems, rows(config, origins));
    let rules = keep(&mut problems, rules(config, origins));
    if let (Some(broker), Some(journal)) = (&broker, &journal) {
        problems.extend(packets_beyond_the_journal(broker, journal, origins));
    }
    let settings = || {
        Some(Settings {
            file: origins.document.map(|document| document.file().to_owned()),
            data: data?,
            log: log?,
            broker: broker?,
            access: access?,
            users_file: users_file(config),
            users: users?.len(),
            journal: journal?,
            store: store?,
            meaning: meaning?,
            rows: rows?,
            rules: Arc::new(rules?),
            alerts: config.alerts.clone(),
            devices: config.ingest.devices.clone(),
        })
    };
    match settings() {
        Some(settings) if problems.is_empty() => Ok(settings),
        _ => Err(problems),
    }
}

type Checked<T> = Result<T, Vec<Problem>>;

fn keep<T>(problems: &mut Vec<Problem>, checked: Checked<T>) -> Option<T> {
    checked.map_err(|found| problems.extend(found)).ok()
}

fn data(config: &Config, origins: &Origins<'_>) -> Checked<PathBuf> {
    if config.data.as_os_str().is_empty() {
        Err(vec![origins.problem("data", "`data` is empty", None)])
    } else {
        Ok(config.data.clone())
    }
}

fn log(config: &Config, origins: &Origins<'_>) -> Checked<EnvFilter> {
    logging::filter(&config.log).map_err(|error| {
        vec![origins.problem("log", format!("`log`: {error}"), Some(error.hint()))]
    })
}

fn broker(config: &Config, origins: &Origins<'_>) -> Checked<broker::Settings> {
    let key_of = |error: &broker::ConfigError| error.key.to_string();
    let problem = |error: broker::ConfigError| {
        let key = format!("broker.{}", error.key);
        origins.caused(&key, &error, error.hint.clone())
    };
    every::mistake(&config.broker, broker::Config::validate, key_of)
        .map_err(|errors| errors.into_iter().map(problem).collect())
}

/// Reads the access rules.
fn access(config: &Config, origins: &Origins<'_>) -> Checked<Policy> {
    match &config.broker.acl.file {
        Some(file) => Policy::load(file).map_err(|error| origins.access(error)),
        None => Ok(Policy::built_in()),
    }
}

/// The configured file, or the one in the data folder.
pub(super) fn users_file(config: &Config) -> PathBuf {
    match &config.broker.auth.users {
        Some(file) => file.clone(),
        None => config.data.join(users::DEFAULT_FILE),
    }
}

/// Reads the users. A file that was named must be there; the one in the data folder need not.
fn users(config: &Config, origins: &Origins<'_>) -> Checked<Users> {
    let file = users_file(config);
    let loaded = match &config.broker.auth.users {
        Some(_) => Users::load(&file),
        None => Users::load_if_there(&file),
    };
    loaded.map_err(|error| origins.users(error))
}

fn journal(config: &Config, origins: &Origins<'_>) -> Checked<journal::Settings> {
    let key_of = |error: &journal::ConfigError| error.key().to_string();
    let problem = |error: journal::ConfigError| {
        let key = format!("journal.{}", error.key());
        origins.problem(&key, format!("`[journal]`: {error}"), None)
    };
    every::mistake(&config.journal, journal::Config::validate, key_of)
        .map_err(|errors| errors.into_iter().map(problem).collect())
}

/// How many of the largest packets the journal must at least hold.
const LARGEST_PACKETS_MIN: u64 = 2;

/// A packet that does not fit into an empty journal could never be acknowledged, and its client
/// would send it for ever.
fn packets_beyond_the_journal(
    broker: &broker::Settings,
    journal: &journal::Settings,
    origins: &Origins<'_>,
) -> Option<Problem> {
    let needed = LARGEST_PACKETS_MIN * broker.max_packet_bytes as u64;
    (journal.max_size_bytes < needed).then(|| {
        let message = format!(
            "`journal.max_size` holds fewer than {LARGEST_PACKETS_MIN} packets of \
             `broker.max_packet_size`"
        );
        let hint = "make the journal larger or the packets smaller";
        origins.problem("journal.max_size", message, Some(hint.into()))
    })
}

fn store(config: &Config, origins: &Origins<'_>) -> Checked<store::Settings> {
    let key_of = |error: &store::ConfigError| error.key.to_owned();
    let problem = |error: store::ConfigError| {
        let key = format!("store.{}", error.key);
        origins.problem(&key, error.to_string(), error.hint)
    };
    every::mistake(&config.store, |store| store.validate(&config.data), key_of)
        .map_err(|errors| errors.into_iter().map(problem).collect())
}

/// Reads the device registry. Paths were resolved when the file was read.
fn meaning(config: &Config, origins: &Origins<'_>) -> Checked<Meaning> {
    every::mistake(
        &config.ingest,
        |section| section.meaning(Path::new("")),
        ingest_key,
    )
    .map_err(|errors| problems_of_ingest(errors, origins))
}

fn rows(config: &Config, origins: &Origins<'_>) -> Checked<ingest::rows::Settings> {
    every::mistake(&config.ingest, ingest::Config::rows, ingest_key)
        .map_err(|errors| problems_of_ingest(errors, origins))
}

fn ingest_key(error: &ingest::ConfigError) -> String {
    match error {
        ingest::ConfigError::OutOfBounds { key, .. } | ingest::ConfigError::Value { key, .. } => {
            key.to_string()
        }
        ingest::ConfigError::Filter(error) => format!("filter.{}", error.path()),
        ingest::ConfigError::Registry(_) => "devices".to_owned(),
    }
}

fn problems_of_ingest(errors: Vec<ingest::ConfigError>, origins: &Origins<'_>) -> Vec<Problem> {
    errors
        .into_iter()
        .flat_map(|error| ingest(error, origins))
        .collect()
}

fn ingest(error: ingest::ConfigError, origins: &Origins<'_>) -> Vec<Problem> {
    match error {
        ingest::ConfigError::OutOfBounds { key, .. } => {
            let message = format!("`[ingest]`: {error}");
            vec![origins.problem(&format!("ingest.{key}"), message, None)]
        }
        ingest::ConfigError::Value { key, ref hint, .. } => {
            let message = format!("`[ingest]`: {error}");
            let hint = Some(hint.clone());
            vec![origins.problem(&format!("ingest.{key}"), message, hint)]
        }
        ingest::ConfigError::Filter(error) => vec![origins.filter(&error)],
        ingest::ConfigError::Registry(errors) => origins.registry(errors),
    }
}

/// Reads the alert rules.
fn rules(config: &Config, origins: &Origins<'_>) -> Checked<Rules> {
    match &config.alerts.rules {
        Some(file) => Rules::load(file).map_err(|error| origins.rules(error)),
        None => Ok(Rules::default()),
    }
}
