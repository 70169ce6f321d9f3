//! The section `[ingest]` of the configuration, and what becomes of it.

mod payload;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use telemetry::topic::Topics;

use crate::filter::{self, FilterError, Rules};
use crate::prepare::Meaning;
use crate::registry::{Registry, RegistryError};
use crate::rows;

pub use payload::TimeField;

/// What the user wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Topics that carry telemetry, in order: the first template that matches decides.
    pub topics: Topics,
    /// Names of the member that is a message's time: one, or a list of which the first that a
    /// message has counts. A name with dots is a member of an object within: `meta.time`.
    pub time_field: TimeField,
    /// The zone of times that name none: `"Europe/Berlin"`, `"UTC"`. Without one their messages
    /// are dead-lettered.
    pub time_zone: Option<String>,
    /// The messages of earlier times are dead-lettered.
    pub min_time: String,
    /// Whether a text that holds a number, as `"21.5"`, is that number.
    pub numbers_in_quotes: bool,
    /// The device registry; without one, nothing is added to what devices send.
    pub devices: Option<PathBuf>,
    /// Series (a device's metric) kept in memory, about 200 bytes each. The messages of further
    /// ones are dead-lettered.
    pub max_series: usize,
    /// Rows that are written in one transaction when there is much to do.
    pub batch_rows: usize,
    /// How long the first record waits for others when there is little to do, so that the database
    /// sees few transactions.
    #[serde(with = "humantime_serde")]
    pub batch_delay: Duration,
    pub filter: filter::Config,
}

/// What of the section has no meaning.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// `key` within `[ingest]`.
    #[error("`{key}` is {value}; it may be {allowed}")]
    OutOfBounds {
        key: &'static str,
        value: String,
        allowed: String,
    },
    /// `key` within `[ingest]`.
    #[error("`{key}` {message}")]
    Value {
        key: &'static str,
        message: String,
        hint: String,
    },
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Everything that is wrong with the registry.
    #[error("the device registry has {} mistakes", .0.len())]
    Registry(Vec<RegistryError>),
}

const BATCH_ROWS_MAX: usize = 1_000_000;
const BATCH_DELAY_MAX: Duration = Duration::from_secs(10);

impl Default for Config {
    fn default() -> Config {
        Config {
            topics: Topics::default(),
            time_field: TimeField::default(),
            time_zone: None,
            min_time: payload::MIN_TIME.to_owned(),
            numbers_in_quotes: false,
            devices: None,
            max_series: 2_000_000,
            batch_rows: 60_000,
            batch_delay: Duration::from_millis(100),
            filter: filter::Config::default(),
        }
    }
}

impl Config {
    /// What records mean by this configuration; reads the registry, a relative path from `folder`
    /// on.
    pub fn meaning(&self, folder: &Path) -> Result<Meaning, ConfigError> {
        let registry = match &self.devices {
            Some(file) => Registry::load(&folder.join(file)).map_err(ConfigError::Registry)?,
            None => Registry::empty(),
        };
        check("max_series", self.max_series, 1, u32::MAX as usize)?;
        Ok(Meaning {
            topics: Arc::new(self.topics.clone()),
            payloads: self.options()?,
            registry: Arc::new(registry),
            rules: Arc::new(Rules::new(&self.filter)?),
            series_max: self.max_series,
        })
    }

    /// How the rows lane batches by this configuration.
    pub fn rows(&self) -> Result<rows::Settings, ConfigError> {
        check("batch_rows", self.batch_rows, 1, BATCH_ROWS_MAX)?;
        if self.batch_delay > BATCH_DELAY_MAX {
            return Err(ConfigError::OutOfBounds {
                key: "batch_delay",
                value: format!("{:?}", self.batch_delay),
                allowed: format!("up to {BATCH_DELAY_MAX:?}"),
            });
        }
        Ok(rows::Settings {
            batch_rows: self.batch_rows,
            batch_delay: self.batch_delay,
        })
    }
}

fn check(key: &'static str, value: usize, min: usize, max: usize) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::OutOfBounds {
        key,
        value: value.to_string(),
        allowed: format!("{min} to {max}"),
    })
}
