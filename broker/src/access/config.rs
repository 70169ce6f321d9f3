//! `[broker.acl]`: where the access rules are.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// `[broker.acl]` as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The rules; without a file the built-in ones hold.
    pub file: Option<PathBuf>,
    /// How often the file is looked at for changes.
    #[serde(with = "humantime_serde")]
    pub reload_interval: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            file: None,
            reload_interval: Duration::from_secs(1),
        }
    }
}

/// The section, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    pub file: Option<PathBuf>,
    pub reload_interval: Duration,
}

/// Reading the file more often would cost more than anybody gains.
const RELOAD_INTERVAL_MIN: Duration = Duration::from_millis(10);
/// Beyond it a change would seem to be ignored.
const RELOAD_INTERVAL_MAX: Duration = Duration::from_secs(3_600);

impl Config {
    pub(crate) fn validate(&self) -> Result<Settings, ConfigError> {
        let file = self.file.clone();
        if file
            .as_ref()
            .is_some_and(|file| file.as_os_str().is_empty())
        {
            return Err(ConfigError {
                key: "acl.file".into(),
                problem: "is empty".into(),
                hint: Some("name a file, or leave the key out".into()),
                source: None,
            });
        }
        if !(RELOAD_INTERVAL_MIN..=RELOAD_INTERVAL_MAX).contains(&self.reload_interval) {
            return Err(ConfigError {
                key: "acl.reload_interval".into(),
                problem: "must lie between 10ms and 1h".into(),
                hint: None,
                source: None,
            });
        }
        Ok(Settings {
            file,
            reload_interval: self.reload_interval,
        })
    }
}
