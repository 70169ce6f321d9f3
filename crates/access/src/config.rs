//! What is wrong with a value of the configuration.
//!
//! Owns: the error that the checks of the `[broker]` section share. Never: checks a value.

use std::borrow::Cow;
use std::error::Error;

/// A value of the `[broker]` section that cannot be used; `key` is its name in that section.
#[derive(Debug, thiserror::Error)]
#[error("`broker.{key}` {problem}")]
pub struct ConfigError {
    pub key: Cow<'static, str>,
    pub problem: String,
    pub hint: Option<String>,
    pub source: Option<Box<dyn Error + Send + Sync>>,
}
