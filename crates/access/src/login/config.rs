//! The `[broker.auth]` section: what the user wrote, and what is true after it was checked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;
use crate::token::{self, Tokens};

/// `[broker.auth]` as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The users and their passwords; without it `users.toml` in the data folder, if there is one.
    pub users: Option<PathBuf>,
    /// Whether a client with a certificate and no password is the user that its certificate names.
    pub certificate_is_user: bool,
    /// Whether a client id that one user has, connected or with a kept session, is refused to all
    /// others.
    pub exclusive_client_ids: bool,
    /// Logins that may wait for their password to be checked; further ones are told that the server
    /// is busy.
    pub max_waiting_logins: usize,
    /// How long a login may wait for that.
    #[serde(with = "humantime_serde")]
    pub login_timeout: Duration,
    /// How long after a user's latest login the same password is believed without hashing it again.
    #[serde(with = "humantime_serde")]
    pub remember_logins: Duration,
    /// Failed logins from one address (IPv6: one /64 network) within `failure_window`.
    pub max_failures_per_address: u32,
    /// Failed logins as one user within `failure_window`, from addresses where that user has not
    /// logged in lately.
    pub max_failures_per_user: u32,
    #[serde(with = "humantime_serde")]
    pub failure_window: Duration,
    /// Tokens that clients bring as their password; without this section there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<token::Config>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            users: None,
            certificate_is_user: true,
            exclusive_client_ids: true,
            max_waiting_logins: 20_000,
            login_timeout: Duration::from_secs(120),
            remember_logins: Duration::from_secs(10 * 60),
            max_failures_per_address: 60,
            max_failures_per_user: 20,
            failure_window: Duration::from_secs(60),
            jwt: None,
        }
    }
}

/// The section, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// As configured; `None` means the default place.
    pub users: Option<PathBuf>,
    pub certificate_is_user: bool,
    pub exclusive_client_ids: bool,
    pub max_waiting_logins: usize,
    pub login_timeout: Duration,
    pub remember_logins: Duration,
    pub max_failures_per_address: u32,
    pub max_failures_per_user: u32,
    pub failure_window: Duration,
    pub tokens: Option<Arc<Tokens>>,
}

impl Config {
    /// Checks every value, and reads the key of tokens.
    pub fn validate(&self) -> Result<Settings, ConfigError> {
        let positive = |key: &'static str, count: u64| match count {
            0 => Err(ConfigError {
                key: key.into(),
                problem: "must be greater than 0, or nobody could log in".into(),
                hint: None,
                source: None,
            }),
            _ => Ok(()),
        };
        positive("auth.max_waiting_logins", self.max_waiting_logins as u64)?;
        positive(
            "auth.max_failures_per_address",
            self.max_failures_per_address.into(),
        )?;
        positive(
            "auth.max_failures_per_user",
            self.max_failures_per_user.into(),
        )?;
        positive("auth.login_timeout", self.login_timeout.as_nanos() as u64)?;
        positive("auth.failure_window", self.failure_window.as_nanos() as u64)?;
        let tokens = match &self.jwt {
            Some(jwt) => Some(Arc::new(jwt.validate()?)),
            None => None,
        };
        Ok(Settings {
            users: self.users.clone(),
            certificate_is_user: self.certificate_is_user,
            exclusive_client_ids: self.exclusive_client_ids,
            max_waiting_logins: self.max_waiting_logins,
            login_timeout: self.login_timeout,
            remember_logins: self.remember_logins,
            max_failures_per_address: self.max_failures_per_address,
            max_failures_per_user: self.max_failures_per_user,
            failure_window: self.failure_window,
            tokens,
        })
    }
}
