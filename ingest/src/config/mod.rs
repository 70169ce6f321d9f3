//! The section `[ingest]` of the configuration, and what becomes of it.

mod payload;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use documents::{ConfigError, FileError};
use serde::{Deserialize, Serialize};
use telemetry::topic::Topics;

use crate::filter::{self, Rules};
use crate::prepare::Meaning;
use crate::registry::Registry;
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
    /// What people wrote about devices.
    pub fn registry(&self) -> Result<Registry, FileError> {
        match &self.devices {
            Some(file) => Registry::load(file),
            None => Ok(Registry::empty()),
        }
    }

    /// What records mean by this configuration.
    pub fn meaning(&self, registry: Arc<Registry>) -> Result<Meaning, ConfigError> {
        check("max_series", self.max_series, 1, u32::MAX as usize)?;
        Ok(Meaning {
            topics: Arc::new(self.topics.clone()),
            payloads: self.options()?,
            registry,
            rules: Arc::new(Rules::new(&self.filter)?),
            series_max: self.max_series,
        })
    }

    /// How the rows lane batches by this configuration.
    pub fn rows(&self) -> Result<rows::Settings, ConfigError> {
        check("batch_rows", self.batch_rows, 1, BATCH_ROWS_MAX)?;
        if self.batch_delay > BATCH_DELAY_MAX {
            let problem = format!(
                "is {:?}; it may be up to {BATCH_DELAY_MAX:?}",
                self.batch_delay
            );
            return Err(wrong("batch_delay", &problem));
        }
        Ok(rows::Settings {
            batch_rows: self.batch_rows,
            batch_delay: self.batch_delay,
        })
    }
}

fn check(key: &str, value: usize, min: usize, max: usize) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    let problem = format!("is {value}; it may be {min} to {max}");
    Err(wrong(key, &problem))
}

/// `key` within `[ingest]`.
fn wrong(key: &str, problem: &str) -> ConfigError {
    ConfigError::new(format!("ingest.{key}"), problem)
}
