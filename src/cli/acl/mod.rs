//! `millrace acl`: what the access rules say about a client, and why.
//!
//! Owns: how an explanation is printed. Never: decides; it asks the rules that `up` would start
//! with. Invariant: the exit code tells the decision, so that a script can hold its rules against
//! it.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use access::rules::{Explanation, Reason, Subject};
use access::users::{User, Users};
use access::{Action, Decision, Policy};
use clap::{Subcommand, ValueEnum};
use mqtt::topic::TopicLimits;

use super::options::{ConfigFile, Overrides};
use super::{Outcome, output};
use crate::config;
use crate::diagnostics::{Failure, display};

/// The name of no user: clients that were let in without credentials.
const NOBODY: &str = "-";

const EXAMPLES: &str = "\
Examples:
  millrace acl explain press-1 press-1 publish devices/press-2/telemetry
  millrace acl explain ann browser subscribe 'devices/#' --group consoles
  millrace acl explain - anyone publish plant/1       a client without a user

Exit codes: 0 allowed, 1 denied or failed, 2 wrong command line.";

/// Ask the access rules: who may publish and subscribe to what
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the decision, the rule that decides, and why the rules before it do not
    #[command(after_help = EXAMPLES)]
    Explain(Box<Explain>),
}

#[derive(Debug, clap::Args)]
struct Explain {
    /// The user's name; `-` for a client without one
    user: String,
    /// The client id
    client: String,
    /// What the client wants to do; wills and retained messages are publishes
    action: Verb,
    /// The topic, or the filter of a subscription
    topic: String,
    /// A group the user is in, beside those of the users file; may be repeated
    #[arg(short, long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// The name in the client's certificate
    #[arg(long, value_name = "NAME")]
    certificate: Option<String>,
    /// What `%{NAME}` stands for in the rules; may be repeated
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = pair)]
    variables: Vec<(String, String)>,
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    overrides: Overrides,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Verb {
    Publish,
    Subscribe,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let Command::Explain(explain) = &args.command;
    let settings = config::load(&explain.file.sources(&explain.overrides))?;
    let users = Users::load_if_there(&settings.users_file)?;
    let (decision, text) = explain.answer(&settings.access, &users)?;
    output::text(&text)?;
    Ok(match decision {
        Decision::Allow | Decision::Partly => ExitCode::SUCCESS,
        Decision::Deny => ExitCode::FAILURE,
    })
}

impl Explain {
    fn answer(&self, policy: &Policy, users: &Users) -> Result<(Decision, String), Failure> {
        let subject = self.subject(users);
        let action = match self.action {
            Verb::Publish => Action::Publish,
            Verb::Subscribe => Action::Subscribe,
        };
        self.check_topic(action)?;
        let explanation = policy.explain(&subject, action, &self.topic);
        let mut text = self.text(policy, &subject, &explanation);
        text.extend(self.note(users));
        Ok((explanation.decision, text))
    }

    fn subject(&self, users: &Users) -> Subject {
        let user = match self.user.as_str() {
            NOBODY => String::new(),
            user => user.to_owned(),
        };
        let known = users.get(&user).into_iter().flat_map(User::groups);
        let mut groups: Vec<String> = known.map(str::to_owned).collect();
        for group in &self.groups {
            if !groups.contains(group) {
                groups.push(group.clone());
            }
        }
        Subject {
            user,
            groups,
            client_id: self.client.clone(),
            certificate: self.certificate.clone(),
            variables: self.variables.iter().cloned().collect::<BTreeMap<_, _>>(),
        }
    }

    /// What may make the answer another one than the broker's.
    fn note(&self, users: &Users) -> Option<String> {
        match users.get(&self.user) {
            Some(user) if user.is_disabled() => Some(format!(
                "\nnote: the user `{}` is disabled, and not let in\n",
                self.user
            )),
            None if self.user != NOBODY && self.groups.is_empty() => Some(format!(
                "\nnote: `{}` is not in the users file, so no groups are known; devices are in \
                 `--group devices`\n",
                self.user
            )),
            _ => None,
        }
    }

    fn check_topic(&self, action: Action) -> Result<(), Failure> {
        let (limits, topic) = (TopicLimits::default(), &self.topic);
        let checked = match action {
            Action::Publish => limits.check_topic(topic),
            Action::Subscribe => limits.check_filter(topic).map(|_| ()),
        };
        let what = match action {
            Action::Publish => "topic",
            Action::Subscribe => "filter",
        };
        checked.map_err(|error| Failure::usage(format!("the {what} `{topic}` {error}")))
    }

    fn text(&self, policy: &Policy, subject: &Subject, explanation: &Explanation) -> String {
        let file = match policy.source() {
            Some(path) => display(path),
            None => "built-in rules".to_owned(),
        };
        let may = match explanation.decision {
            Decision::Allow | Decision::Partly => "may",
            Decision::Deny => "may not",
        };
        let action = match self.action {
            Verb::Publish => "publish",
            Verb::Subscribe => "subscribe",
        };
        let mut out = String::new();
        // Writing to a string cannot fail.
        let part = match explanation.decision {
            Decision::Partly => " in part: what rules deny of it is not delivered",
            Decision::Allow | Decision::Deny => "",
        };
        let who = name(subject);
        let _ = writeln!(out, "{who} {may} {action} to `{}`{part}", self.topic);
        let _ = match &explanation.reason {
            Reason::Fixed(why) => writeln!(out, "because {why}, whatever the rules say"),
            Reason::Default => writeln!(out, "because no rule allows it"),
            Reason::Rule { line, text, filter } => {
                let _ = writeln!(out, "because `{filter}` fits in {file}:{line}\n");
                text.lines()
                    .try_for_each(|line| writeln!(out, "    {line}"))
            }
        };
        if !explanation.steps.is_empty() {
            let place = |line| match policy.source().and_then(Path::file_name) {
                Some(name) => format!("{}:{line}", display(Path::new(name))),
                None => format!("line {line}"),
            };
            let _ = writeln!(out, "\nrules in their order:");
            for step in &explanation.steps {
                let _ = writeln!(out, "  {:<12} {}", place(step.line), step.rule);
                let _ = writeln!(out, "  {:<12}   {}", "", step.why);
            }
        }
        out
    }
}

/// The client in words.
fn name(subject: &Subject) -> String {
    let mut words = match subject.user.as_str() {
        "" => format!("a client `{}` without a user", subject.client_id),
        user => format!("user `{user}` as client `{}`", subject.client_id),
    };
    if !subject.groups.is_empty() {
        let groups: Vec<_> = subject
            .groups
            .iter()
            .map(|group| format!("`{group}`"))
            .collect();
        let _ = write!(words, " in {}", groups.join(", "));
    }
    if let Some(certificate) = &subject.certificate {
        let _ = write!(words, " with the certificate `{certificate}`");
    }
    words
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE, such as site=north".to_owned()),
    }
}
