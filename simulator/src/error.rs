//! Why a run could not be made, or not be finished.

use std::io;
use std::path::PathBuf;

use crate::replay::ReplayError;
use crate::wire::{ConnectError, TlsError};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key that cannot be used; the message names it.
    #[error("{0}")]
    Settings(String),
    #[error("cannot write `{path}`")]
    Expect { path: PathBuf, source: io::Error },
    #[error("cannot connect to `{address}`")]
    Connect {
        address: String,
        source: ConnectError,
    },
    #[error("cannot listen to `{filter}`")]
    Alerts {
        filter: String,
        source: ConnectError,
    },
    #[error("cannot encrypt")]
    Tls(#[source] TlsError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// What ended a source of messages early.
    #[error(transparent)]
    Source(Box<dyn std::error::Error + Send + Sync>),
    #[error("cannot start a worker")]
    Worker { source: io::Error },
}

impl Error {
    /// What to do about it, where something is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Connect { source, .. } | Self::Alerts { source, .. } => source.hint(),
            Self::Tls(error) => error.hint(),
            _ => None,
        }
    }
}
