//! `millrace journal`: what the log between broker and database holds, for people, and whether the
//! data folder's logs are whole.
//!
//! Owns: how a summary, a check and records are printed. Never: changes a byte of the journal; a
//! running process is not disturbed. Invariant: damage ends with exit code 1.

mod records;
#[cfg(test)]
mod tests;
mod verify;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use bytesize::ByteSize;
use clap::Subcommand;
use jiff::Timestamp;
use journal::inspect::{self, SegmentSummary, Summary};
use journal::{Position, TornTail};

use super::options::{ConfigFile, Overrides};
use super::output::count;
use super::{Outcome, output};
use crate::config::{self, Settings};
use crate::diagnostics::{Failure, display};

const EXAMPLES: &str = "\
Examples:
  millrace journal inspect
  millrace journal inspect --records --from 1200 --limit 20
  millrace journal inspect --records --json | jq .topic
  millrace journal verify
  millrace journal verify /backup/millrace-data/journal

Both only read, and may run beside Millrace.";

/// Inspect the journal: acknowledged messages on their way to the database
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what it holds: positions, segments, records
    Inspect(Inspect),
    /// Check every log of the data folder, or one journal; damage ends with exit code 1
    Verify(Verify),
}

#[derive(Debug, clap::Args)]
struct Inspect {
    #[command(flatten)]
    place: Place,
    /// Show the records themselves, one a line
    #[arg(long)]
    records: bool,
    /// The first position to show [default: the first there is]
    #[arg(
        long,
        value_name = "POSITION",
        requires = "records",
        default_value_t = 0
    )]
    #[arg(hide_default_value = true)]
    from: u64,
    /// How many records to show at most [default: all]
    #[arg(long, value_name = "COUNT", requires = "records")]
    limit: Option<usize>,
    /// As JSON; records as one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Verify {
    #[command(flatten)]
    place: Place,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Place {
    /// The folder of one journal, such as a copy [default: what is in the data folder]
    folder: Option<PathBuf>,
    #[command(flatten)]
    file: ConfigFile,
    /// The data folder [default: from the configuration, or ./millrace-data]
    #[arg(short, long, value_name = "FOLDER")]
    data: Option<String>,
}

impl Place {
    fn settings(&self) -> Result<Settings, Failure> {
        let flags = Overrides {
            data: self.data.clone(),
            ..Overrides::default()
        };
        config::load(&self.file.sources(&flags))
    }

    fn folder(&self) -> Result<PathBuf, Failure> {
        let folder = match &self.folder {
            Some(folder) => folder.clone(),
            None => self.settings()?.journal_folder(),
        };
        existing(folder)
    }
}

fn existing(folder: PathBuf) -> Result<PathBuf, Failure> {
    if folder.is_dir() {
        Ok(folder)
    } else {
        Err(
            Failure::new(format!("there is no journal in `{}`", display(&folder)))
                .hint("name its folder, or the data folder with `--data`"),
        )
    }
}

pub(crate) fn run(args: &Args) -> Outcome {
    match &args.command {
        Command::Inspect(args) if args.records => {
            let from = Position(args.from);
            records::print(&args.place.folder()?, from, args.limit, args.json)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Inspect(args) => inspect_folder(args),
        Command::Verify(args) => verify::run(&args.place, args.json),
    }
}

fn inspect_folder(args: &Inspect) -> Outcome {
    let folder = args.place.folder()?;
    let summary = inspect::inspect(&folder)?;
    if args.json {
        output::json(&summary)?
    } else {
        output::text(&summary_text(&display(&folder), &summary))?
    }
    match &summary.damage {
        None => Ok(ExitCode::SUCCESS),
        Some(damage) => Err(Failure::new(damage.clone())),
    }
}

fn summary_text(folder: &str, summary: &Summary) -> String {
    let Some(identity) = &summary.identity else {
        return format!("the journal in `{folder}` is empty\n");
    };
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(out, "journal    {identity} in `{folder}`");
    let _ = writeln!(out, "positions  {} to {}", summary.start, summary.end);
    let frames = count(summary.frames, "frame");
    let _ = writeln!(out, "records    {} in {frames}", summary.records);
    let size = ByteSize(summary.size_bytes).display().si();
    let segments = count(summary.segments.len() as u64, "segment");
    let _ = writeln!(out, "size       {size} in {segments}");
    torn_text(&mut out, summary.torn_tail.as_ref());
    let _ = writeln!(
        out,
        "\n{:<26} {:>10} {:>12} {:>10}  received",
        "segment", "records", "end", "size"
    );
    for segment in &summary.segments {
        let _ = writeln!(
            out,
            "{:<26} {:>10} {:>12} {:>10}  {}",
            segment.file,
            segment.records,
            segment.end,
            ByteSize(segment.size_bytes).display().si().to_string(),
            received(segment)
        );
    }
    out
}

fn torn_text(out: &mut String, torn: Option<&TornTail>) {
    if torn.is_some() {
        out.push_str(
            "tail       a write was cut off or is just being made; nothing in it was acknowledged, \
             and the next start removes it\n",
        );
    }
}

fn received(segment: &SegmentSummary) -> String {
    match (segment.first_received_at, segment.last_received_at) {
        (Some(first), Some(last)) => format!("{} to {}", time(first), time(last)),
        _ => "nothing yet".to_owned(),
    }
}

/// RFC 3339 in UTC with milliseconds.
fn time(micros: i64) -> String {
    match Timestamp::from_microsecond(micros) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => format!("{micros} µs"),
    }
}
