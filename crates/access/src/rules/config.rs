//! `[broker.acl]`: where the access rules are.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// `[broker.acl]` as written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The rules; without a file the built-in ones hold.
    pub file: Option<PathBuf>,
    /// What becomes of a publish that rules deny to a client of MQTT 3.1.1 or 3.1, which cannot be
    /// told.
    pub denied_publish_v3: DeniedPublish,
}

/// The two answers that MQTT 3.1.1 leaves ([MQTT-3.3.5-2]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeniedPublish {
    /// End the connection: an acknowledgement means that the message is kept, and a client without
    /// one keeps the message itself.
    #[default]
    Close,
    /// Acknowledge the publish and drop it, as Mosquitto does.
    Acknowledge,
}

/// The section, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    pub file: Option<PathBuf>,
    pub denied_publish_v3: DeniedPublish,
}

impl Config {
    pub fn validate(&self) -> Result<Settings, ConfigError> {
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
        Ok(Settings {
            file,
            denied_publish_v3: self.denied_publish_v3,
        })
    }
}
