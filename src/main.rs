//! Millrace: telemetry over MQTT in, rows and alerts out.
//!
//! Owns: the order of things (parse, load, build, run, drain). Never: does the work of a crate.
//! Invariant: whatever goes wrong leaves through `diagnostics`, with an exit code that is written
//! there.

mod app;
mod cli;
mod config;
mod diagnostics;
mod lock;
mod logging;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::parse();
    match cli::run(cli) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
