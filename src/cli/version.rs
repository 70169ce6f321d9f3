//! `millrace version`: what this binary is.
//!
//! Owns: the version line. Never: looks at a running process. Invariant: the first word is the
//! name, the second the version.

use std::process::ExitCode;

use serde::Serialize;

use super::{Outcome, output};

/// Show the version.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Version {
    name: &'static str,
    version: &'static str,
    target: String,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let version = Version {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
    };
    if args.json {
        output::json(&version)?
    } else {
        output::text(&format!(
            "{} {} ({})\n",
            version.name, version.version, version.target
        ))?
    }
    Ok(ExitCode::SUCCESS)
}
