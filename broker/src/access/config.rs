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
}

/// The section, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    pub file: Option<PathBuf>,
}

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
        Ok(Settings { file })
    }
}
