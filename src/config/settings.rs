//! What is true: the configuration after every section was checked.
//!
//! Owns: the sum of the sections' settings. Never: checks a value itself that a crate can check.
//! Invariant: a `Settings` exists only when every section was found good, the files that it names
//! included.

use std::path::PathBuf;
use std::sync::Arc;

use access::Policy;
use access::users::{self, Users};
use documents::{ConfigError, Problem};
use ingest::alert::Rules;
use ingest::prepare::Meaning;
use ingest::registry::Registry;
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
    let registry = keep(&mut problems, registry(config, origins));
    let meaning = keep(&mut problems, meaning(config, registry, origins));
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
    let validate = |section: &broker::Config| {
        section.validate().map_err(|error| ConfigError {
            key: format!("broker.{}", error.key),
            message: error.to_string(),
            hint: error.hint,
            source: error.source,
        })
    };
    every::mistake("broker", &config.broker, validate).map_err(|errors| origins.values(errors))
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
    every::mistake("journal", &config.journal, journal::Config::validate)
        .map_err(|errors| origins.values(errors))
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
    every::mistake("store", &config.store, |store| store.validate(&config.data))
        .map_err(|errors| origins.values(errors))
}

/// Reads the device registry. Paths were resolved when the file was read.
fn registry(config: &Config, origins: &Origins<'_>) -> Checked<Registry> {
    let read = config.ingest.registry();
    read.map_err(|error| origins.file("ingest.devices", error))
}

fn meaning(config: &Config, registry: Option<Registry>, origins: &Origins<'_>) -> Checked<Meaning> {
    let registry = Arc::new(registry.unwrap_or_default());
    every::mistake("ingest", &config.ingest, |section| {
        section.meaning(registry.clone())
    })
    .map_err(|errors| origins.values(errors))
}

fn rows(config: &Config, origins: &Origins<'_>) -> Checked<ingest::rows::Settings> {
    every::mistake("ingest", &config.ingest, ingest::Config::rows)
        .map_err(|errors| origins.values(errors))
}

/// Reads the alert rules.
fn rules(config: &Config, origins: &Origins<'_>) -> Checked<Rules> {
    match &config.alerts.rules {
        Some(file) => Rules::load(file).map_err(|error| origins.file("alerts.rules", error)),
        None => Ok(Rules::default()),
    }
}
