//! Why a run could not be made, or not be finished.

use std::io;
use std::path::PathBuf;

use crate::replay::ReplayError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key that cannot be used; the message names it.
    #[error("{0}")]
    Settings(String),
    #[error("cannot read `{path}`")]
    File { path: PathBuf, source: io::Error },
    #[error("`{path}` is not a scenario: {message}")]
    Scenario { path: PathBuf, message: String },
    #[error("cannot write `{path}`")]
    Expect { path: PathBuf, source: io::Error },
    #[error("cannot connect to `{address}`")]
    Connect {
        address: String,
        source: ConnectError,
    },
    #[error("cannot listen to `{filter}`: {message}")]
    Alerts { filter: String, message: String },
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error("cannot start a worker")]
    Worker { source: io::Error },
}

/// Why one connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("no answer within {0:?}")]
    Timeout(std::time::Duration),
    #[error("the server closed the connection before it answered")]
    Closed,
    /// The reason code of CONNACK, in words.
    #[error("refused: {0}")]
    Refused(String),
    #[error("the server allows QoS {allowed} at most, and `qos` is {wanted}")]
    Qos { allowed: u8, wanted: u8 },
    #[error("the server does not speak MQTT: {0}")]
    Protocol(String),
}

impl ConnectError {
    /// Whether trying again cannot help.
    pub(crate) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Refused(_) | Self::Qos { .. } | Self::Protocol(_)
        )
    }
}
