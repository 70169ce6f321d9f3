//! `millrace topics`: what a topic means, and what would have to be written where it means nothing.
//!
//! Owns: how an explanation is printed. Never: decides; it asks the templates that `up` would start
//! with. Invariant: the exit code tells whether the topic is telemetry, so that a script can hold a
//! fleet's topics against the configuration.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Subcommand;
use ingest::prepare::{Meaning, check_device};
use mqtt::topic::TopicLimits;
use telemetry::topic::{Hints, Match, TopicTemplate, Topics, suggest};

use super::options::{ConfigFile, Overrides};
use super::{Outcome, output};
use crate::config;
use crate::diagnostics::Failure;

/// In the place of a client id that was not given.
const SOME_CLIENT: &str = "CLIENT-ID";

/// What Millrace itself publishes begins so.
const ALERTS: &str = "alerts/";

const EXAMPLES: &str = "\
Examples:
  millrace topics explain devices/boiler-1/telemetry
  millrace topics explain v1/devices/me/telemetry --client-id boiler-1
  millrace topics explain sensors/b       the line that would take it

Exit codes: 0 it is telemetry, 1 it is not or the command failed, 2 wrong command line.";

/// Ask the topic templates: which device and metric a topic names
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the template that takes a topic, or why none does and which one would
    #[command(after_help = EXAMPLES)]
    Explain(Box<Explain>),
}

#[derive(Debug, clap::Args)]
struct Explain {
    /// The topic that is published to
    topic: String,
    /// The client that publishes; some templates take it for the device
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    overrides: Overrides,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let Command::Explain(explain) = &args.command;
    let settings = config::load(&explain.file.sources(&explain.overrides))?;
    let (is_telemetry, text) = explain.answer(&settings.meaning)?;
    output::text(&text)?;
    Ok(if is_telemetry {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Explain {
    /// Whether it makes rows, and all about it.
    fn answer(&self, meaning: &Meaning) -> Result<(bool, String), Failure> {
        let topic = &self.topic;
        let limits = TopicLimits::default();
        limits
            .check_topic(topic)
            .map_err(|error| Failure::usage(format!("the topic `{topic}` {error}")))?;
        Ok(match meaning.topics.matches(topic) {
            Some(found) => self.taken(meaning, &found),
            None => (false, self.not_taken(&meaning.topics)),
        })
    }

    fn taken(&self, meaning: &Meaning, found: &Match<'_>) -> (bool, String) {
        let mut name = String::new();
        let client_id = self.client_id.as_deref().unwrap_or(SOME_CLIENT);
        let device = found.device(client_id, &mut name);
        let labels = meaning.registry.device_labels(device, found.labels());
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let labels = if labels.is_empty() {
            "none".to_owned()
        } else {
            labels.join(", ")
        };
        let metric = match found.metric {
            None => "named in the payload".to_owned(),
            Some("") => "none: its level is empty".to_owned(),
            Some(metric) => metric.to_owned(),
        };
        let (template, named) = (found.template, found.template.device_name());
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "`{}` is telemetry: `{template}` takes it\n",
            self.topic
        );
        let shown = if device.is_empty() { "none" } else { device };
        let _ = writeln!(out, "  device  {shown} (`{named}`)");
        let _ = writeln!(out, "  metric  {metric}");
        let _ = writeln!(out, "  labels  {labels}");
        if self.client_id.is_none() && named.contains("{client_id}") {
            let _ = writeln!(
                out,
                "\nnote: the device is the client that publishes; name one with `--client-id`"
            );
        }
        let fault = check_device(device).err();
        if let Some(fault) = &fault {
            let _ = writeln!(
                out,
                "\nnote: its messages are dead letters: {}",
                fault.detail
            );
        }
        (fault.is_none() && found.metric != Some(""), out)
    }

    fn not_taken(&self, topics: &Topics) -> String {
        let topic = &self.topic;
        let mut out = String::new();
        let _ = writeln!(
            out,
            "`{topic}` is not telemetry: no template matches it. It is delivered to subscribers and \
             not stored\n"
        );
        if let Some(nearest) = topics.nearest(topic)
            && let Some(miss) = nearest.miss(topic)
        {
            let _ = writeln!(out, "nearest: `{nearest}`, but {miss}");
            let others = topics.iter().filter(|template| *template != nearest);
            for (template, miss) in others.filter_map(|other| Some((other, other.miss(topic)?))) {
                let _ = writeln!(out, "         `{template}`: {miss}");
            }
        }
        if topic.starts_with('$') || topic.starts_with(ALERTS) {
            let _ = writeln!(
                out,
                "\nMillrace itself publishes there; it can be no telemetry"
            );
            return out;
        }
        let hints = |bare| Hints {
            client_id: self.client_id.as_deref().unwrap_or_default(),
            user: "",
            bare,
        };
        let object = suggest(topic, &hints(false));
        let bare = suggest(topic, &hints(true)).filter(|bare| Some(bare) != object.as_ref());
        let lines = [
            (
                object,
                "where the payload names its metrics, as {\"temperature\": 21.5}",
            ),
            (
                bare,
                "where the payload is one value, as 21.5, and the topic names the metric",
            ),
        ];
        for (template, when) in lines {
            if let Some(template) = template {
                let _ = writeln!(out, "\nto take it, {when}:\n");
                let _ = writeln!(out, "    [ingest]\n    {}", with(topics, &template));
            }
        }
        out
    }
}

/// The key `topics` with one more template.
fn with(topics: &Topics, more: &TopicTemplate) -> String {
    let written: Vec<_> = topics.iter().chain([more]).map(written).collect();
    format!("topics = [{}]", written.join(", "))
}

fn written(template: &TopicTemplate) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let topic = quoted(template.as_str());
    match template.written_device() {
        Some(device) => format!("{{ topic = {topic}, device = {} }}", quoted(device)),
        None => topic,
    }
}
