//! `millrace check`: what `up` would start with, without starting it.
//!
//! Owns: the list of what was found. Never: opens the database or the data folder. Invariant: what
//! this command accepts, `up` accepts too, because both load the same settings.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use access::certificate::RevocationLists;
use jiff::Timestamp;
use telemetry::topic::TopicTemplate;

use super::options::{ConfigFile, Overrides};
use super::{Outcome, output};
use crate::config::{self, Settings};
use crate::diagnostics::{Failure, display};

const EXAMPLES: &str = "\
Examples:
  millrace check
  millrace check --config /etc/millrace/millrace.toml

Every mistake is shown with its line, in the configuration, the access rules, the alert rules, the
device registry and the environment. Exit codes: 0 everything is right, 1 something is wrong.";

/// Check configuration, access, alert rules and device registry, without starting anything
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    overrides: Overrides,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let settings = config::load(&args.file.sources(&args.overrides))?;
    output::text(&found(&settings)?)?;
    Ok(ExitCode::SUCCESS)
}

/// One line for each thing that was looked at.
fn found(settings: &Settings) -> Result<String, Failure> {
    let mut out = String::new();
    let mut ok = |what: &str, found: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "ok  {what:<15} {found}");
    };
    ok(
        "configuration",
        file_or(settings.file.as_deref(), "defaults, no file"),
    );
    ok("data folder", format!("`{}`", display(&settings.data)));
    for listener in &settings.broker.listeners {
        ok("listener", listener.listening().to_string());
        if let Some(lists) = listener.revocation_lists() {
            ok("revocations", revocations(&lists));
        }
    }
    let access_rules = output::count(settings.access.rules() as u64, "rule");
    let file = file_or(settings.access.source(), "built in");
    ok("access rules", format!("{file}, {access_rules}"));
    ok("users", users(settings));
    if let Some(tokens) = &settings.broker.auth.tokens {
        ok("tokens", tokens.describe());
    }
    ok("store", store::open(&settings.store)?.describe());
    let topics: Vec<_> = settings.meaning.topics.iter().map(template).collect();
    ok("topics", topics.join(", "));
    let registry = match &settings.devices {
        Some(file) => {
            let lines = settings.meaning.registry.len();
            format!(
                "`{}`, {}",
                display(file),
                output::count(lines as u64, "line")
            )
        }
        None => "none".to_owned(),
    };
    ok("device registry", registry);
    let rules = match &settings.alerts.rules {
        Some(file) => {
            let rules = settings.rules.len();
            format!(
                "`{}`, {}",
                display(file),
                output::count(rules as u64, "rule")
            )
        }
        None => "none".to_owned(),
    };
    ok("alert rules", rules);
    Ok(out)
}

/// The topics, and what their devices are called where that is not `{device}` alone.
fn template(template: &TopicTemplate) -> String {
    if template.written_device().is_some() || template.joins_by_default() {
        format!("{} (device `{}`)", template, template.device_name())
    } else {
        template.to_string()
    }
}

/// How many there are, or what it means that there are none.
fn users(settings: &Settings) -> String {
    if settings.users == 0 {
        return if settings.broker.needs_users() {
            "none; the first `millrace up` makes `admin`".to_owned()
        } else {
            "none".to_owned()
        };
    }
    let users = output::count(settings.users as u64, "user");
    format!("`{}`, {users}", display(&settings.users_file))
}

fn revocations(lists: &RevocationLists) -> String {
    let certificates = output::count(lists.revoked as u64, "certificate");
    let due = lists
        .next_update
        .and_then(|at| Timestamp::from_second(at).ok());
    let due = match due {
        Some(due) if due < Timestamp::now() => format!(", expired on {due}"),
        Some(due) => format!(", good until {due}"),
        None => String::new(),
    };
    format!("`{}`, {certificates}{due}", display(&lists.file))
}

fn file_or(file: Option<&Path>, otherwise: &str) -> String {
    match file {
        Some(file) => format!("`{}`", display(file)),
        None => otherwise.to_owned(),
    }
}
