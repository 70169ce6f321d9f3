//! The `[alerts]` section of the configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What the user wrote about alerts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The file with the rules; without one there are no alerts.
    pub rules: Option<PathBuf>,
    /// Instances kept in memory, each a rule on one device and metric, about 100 bytes. Further
    /// ones are not evaluated.
    pub max_instances: usize,
    /// Devices remembered with the rules that cover them, about 100 bytes each. The silence of
    /// further ones is not noticed.
    pub max_devices: usize,
    /// Events that wait for the database, about 1 KB each. When so many wait, alerts wait for the
    /// database too.
    pub max_pending_events: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            rules: None,
            max_instances: 1_000_000,
            max_devices: 1_000_000,
            max_pending_events: 50_000,
        }
    }
}
