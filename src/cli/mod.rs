//! The command line: one file per command.
//!
//! Owns: names, help texts, and what each command does with its flags. Never: does the work itself.
//! Invariant: stdout is for data, stderr for everything else; a wrong command line exits with 2, a
//! failure with 1.

mod acl;
mod check;
mod demo;
mod device;
mod entry;
mod hangup;
mod journal;
mod options;
mod output;
mod password;
mod simulate;
#[cfg(test)]
mod tests;
mod topics;
mod up;
mod user;
mod version;
mod watch;

use std::future::Future;
use std::process::ExitCode;

use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::{Parser, Subcommand};

use crate::diagnostics::Failure;

/// What a command returns: how the process ends, or why it failed.
pub(crate) type Outcome = Result<ExitCode, Failure>;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default())
    .error(AnsiColor::BrightRed.on_default().bold());

const EXAMPLES: &str = "\
Examples:
  millrace up                       MQTT on 127.0.0.1:1883, rows in ./millrace-data/millrace.db
  millrace demo                     the same with a simulated fleet, in ./millrace-demo
  millrace simulate -c 100 -R 1000  a hundred devices, a thousand messages a second
  millrace watch                    alerts as they happen

Exit codes: 0 done, 1 failed, 2 wrong command line.";

/// Telemetry in one binary: MQTT in, rows and alerts out.
///
/// A publish is acknowledged when it is on disk, and becomes a row exactly once.
#[derive(Debug, Parser)]
#[command(name = "millrace", version, styles = STYLES, after_help = EXAMPLES, max_term_width = 100)]
#[command(disable_help_subcommand = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Args),
    Demo(demo::Args),
    // Boxed: it has many more flags than the others.
    Simulate(Box<simulate::Args>),
    Watch(watch::Args),
    Check(check::Args),
    Acl(acl::Args),
    Topics(topics::Args),
    Device(device::Args),
    User(user::Args),
    Journal(journal::Args),
    Version(version::Args),
}

/// Reads the command line of this process; a wrong one ends it with 2.
pub(crate) fn parse() -> Cli {
    Cli::parse()
}

pub(crate) fn run(cli: Cli) -> Outcome {
    match cli.command {
        Command::Up(args) => wait_for(up::run(args)),
        Command::Demo(args) => wait_for(demo::run(args)),
        Command::Simulate(args) => wait_for(simulate::run(*args)),
        Command::Watch(args) => wait_for(watch::run(args)),
        Command::Check(args) => check::run(&args),
        Command::Acl(args) => acl::run(&args),
        Command::Topics(args) => topics::run(&args),
        Command::Device(args) => device::run(&args),
        Command::User(args) => user::run(&args),
        Command::Journal(args) => journal::run(&args),
        Command::Version(args) => version::run(&args),
    }
}

/// Runs a command that waits for sockets or time.
fn wait_for(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(command)
}
