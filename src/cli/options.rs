//! Flags that several commands share.
//!
//! Owns: their names and help, and which configuration key each one sets. Never: reads the
//! configuration. Invariant: a flag that was not given sets nothing.

use std::path::PathBuf;

use crate::config::{Override, Sources};

/// Where the configuration is.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ConfigFile {
    /// Configuration file [default: ./millrace.toml if there is one]
    #[arg(
        short,
        long,
        value_name = "FILE",
        env = "MILLRACE_CONFIG",
        hide_env = true
    )]
    pub(crate) config: Option<PathBuf>,
}

/// The keys that people change most often, as flags; they win over the file and the environment.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Overrides {
    /// Data folder [default: ./millrace-data]
    #[arg(short, long, value_name = "FOLDER")]
    pub(crate) data: Option<String>,

    /// Address and port for MQTT [default: 127.0.0.1:1883]
    #[arg(short, long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<String>,

    /// Where rows go: `sqlite`, `sqlite:FILE` or `postgres://USER@HOST/DATABASE`
    /// [default: sqlite, in the data folder]
    #[arg(short, long, value_name = "URL")]
    pub(crate) store: Option<String>,

    /// What to log: `error`, `warn`, `info`, `debug`, `trace`, or `info,broker=debug`
    /// [default: info]
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

impl Overrides {
    pub(crate) fn list(&self) -> Vec<Override> {
        let flags = [
            ("--data", "data", &self.data),
            ("--listen", "broker.listen", &self.listen),
            ("--store", "store.url", &self.store),
            ("--log", "log", &self.log),
        ];
        flags
            .into_iter()
            .filter_map(|(flag, key, value)| Some(Override::flag(flag, key, value.clone()?)))
            .collect()
    }
}

impl ConfigFile {
    pub(crate) fn sources(&self, overrides: &Overrides) -> Sources {
        Sources::of_process(self.config.clone(), overrides.list())
    }
}
