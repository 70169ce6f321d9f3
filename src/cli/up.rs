//! `millrace up`: broker and ingest in one process.
//!
//! Owns: the order of a start: settings, log, the data folder's lock, then the application. Never: builds a part itself.
//! Invariant: nothing in the data folder is touched before its lock is held.

use std::process::ExitCode;

use super::Outcome;
use super::options::{ConfigFile, Overrides};
use crate::lock::DataLock;
use crate::{config, logging};

const EXAMPLES: &str = "\
Examples:
  millrace up
  millrace up --data /var/lib/millrace --store postgres://millrace@localhost/telemetry
  millrace up --config millrace.toml --log debug
  MILLRACE_JOURNAL__MAX_SIZE=50GB millrace up

Then, from another terminal:
  mosquitto_pub -t devices/boiler-1/telemetry -q 1 -m '{\"temperature\": 71.5}'
  sqlite3 millrace-data/millrace.db 'select * from telemetry'

Values come from the defaults, the configuration file, the environment (MILLRACE_SECTION__KEY) and
these flags; the later wins. Stop with Ctrl-C: what was accepted is written before it ends.";

/// Take telemetry over MQTT and write rows and alerts
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) file: ConfigFile,
    #[command(flatten)]
    pub(super) overrides: Overrides,
}

pub(crate) async fn run(args: Args) -> Outcome {
    let settings = config::load(&args.file.sources(&args.overrides))?;
    logging::init(settings.log);
    let _lock = DataLock::acquire(&settings.data)?;
    Ok(ExitCode::SUCCESS)
}
