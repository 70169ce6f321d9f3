//! The labels of a series or a device: a JSON object of strings, as enrichment gives it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Name to value, sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// From a JSON object of strings. Enrichment writes nothing else; anything else counts as no
    /// labels.
    pub fn from_json(json: &str) -> Labels {
        if json.is_empty() || json == "{}" {
            return Labels::default();
        }
        serde_json::from_str(json).unwrap_or_default()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
