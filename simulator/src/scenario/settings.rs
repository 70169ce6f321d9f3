//! What a run does, resolved and checked.
//!
//! Owns: the validated settings. Never: reads a file or a flag; `scenario` makes settings out of
//! what people wrote. Invariant: settings that exist can be run.

use std::path::PathBuf;
use std::time::Duration;

use crate::fleet::Fleet;
use crate::replay::Replay;
use crate::wire::Broker;

/// A whole run.
#[derive(Debug, Clone)]
pub struct Settings {
    pub broker: Broker,
    pub load: Load,
    /// Repeats a run: the same seed gives the same samples.
    pub seed: u64,
    /// Microseconds since 1970 at which the devices' clocks begin; `None`: now.
    pub start_time_us: Option<i64>,
    /// How long to wait at the end for acknowledgements that are outstanding.
    pub drain: Duration,
    /// How long the first connection may take before the run fails.
    pub connect_timeout: Duration,
    /// Threads that share the connections.
    pub workers: usize,
    /// Where acknowledged samples are written.
    pub expect: Option<PathBuf>,
    /// The filter on which alerts are listened for.
    pub alerts: Option<String>,
    pub progress: Progress,
}

/// What is sent.
#[derive(Debug, Clone)]
pub enum Load {
    Fleets(Vec<Fleet>),
    Replay(Box<Replay>),
}

/// Whether and how progress is shown on standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    #[default]
    Off,
    /// A bar on a terminal, a line every five seconds elsewhere.
    Auto,
}
