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
mod private;

use std::process::ExitCode;

/// glibc's allocator keeps what threads free for each other: 2.5 GB where 0.1 GB are in use, after
/// kept sessions came and went for two minutes. jemalloc gives it back from a thread of its own.
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = cli::parse();
    match cli::run(cli) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
