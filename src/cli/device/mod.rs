//! `millrace device`: which devices may connect, and with which secret.
//!
//! Owns: the commands and what they print. Never: keeps a secret; it is shown once, and its digest
//! goes to the database. Invariant: works beside a running Millrace, which sees the change within
//! seconds; what a command refuses, it refuses as a whole.

mod list;
mod names;
mod secret;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use devices::credentials::{self, ChangeError, Credentials, Existing, NewSecret};
use documents::Problem;
use jiff::Timestamp;
use serde::Serialize;
use store::{StoreError, Target};
use telemetry::now_micros;

use super::options::{ConfigFile, Overrides};
use super::{Outcome, entry, output};
use crate::config::{self, Settings};
use crate::diagnostics::{Failure, display};
use crate::private;
use secret::Secret;

const EXAMPLES: &str = "\
Examples:
  millrace device add boiler-1 boiler-2
  millrace device add --from devices.csv > secrets.csv
  millrace device rotate boiler-1 --grace 1h
  millrace device revoke boiler-2
  millrace device list

A device connects with its name as user name and its secret as password:
  mosquitto_pub -u boiler-1 -P SECRET -t devices/boiler-1/telemetry -m '{\"temperature\": 71.5}'

A secret is shown once; only a digest of it is kept, in the database of `store.url`. A running
Millrace sees every change within seconds, and ends the connections of a device whose secret was
revoked or replaced. Once a device has a secret, clients without credentials are accepted only with
`broker.allow_anonymous = true`.";

/// Give devices secrets of their own: add, rotate, revoke, list
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Give new devices a secret, and revoked ones a new one
    Add(Add),
    /// Replace the secrets of devices
    Rotate(Rotate),
    /// Revoke devices' secrets and disconnect them
    Revoke(Revoke),
    /// Show all devices that have, or had, a secret
    List(List),
}

#[derive(Debug, clap::Args)]
struct Add {
    /// Names of devices
    #[arg(value_name = "DEVICE", required_unless_present = "from")]
    devices: Vec<String>,
    /// A file of names, one a line, or with a column `device`; `-` reads stdin. Writes
    /// `device,secret` as CSV
    #[arg(long, value_name = "FILE", conflicts_with = "devices")]
    from: Option<PathBuf>,
    /// Skip devices that already have a secret; without it, one such device means that none is
    /// added
    #[arg(long)]
    skip_existing: bool,
    /// Create the database if there is none yet, for secrets before the first start
    #[arg(long)]
    create: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Rotate {
    /// Names of devices
    #[arg(value_name = "DEVICE", required = true)]
    devices: Vec<String>,
    /// How long the old secret is still good, such as `1h` or `7d`; without it, connections made
    /// with it end
    #[arg(long, value_name = "TIME", value_parser = grace, default_value = "0s")]
    grace: Duration,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct Revoke {
    /// Names of devices
    #[arg(value_name = "DEVICE", required = true)]
    devices: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    common: Common,
}

/// Where the devices are, and how to answer.
#[derive(Debug, clap::Args)]
struct Common {
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
    /// The data folder [default: from the configuration, or ./millrace-data]
    #[arg(short, long, value_name = "FOLDER")]
    data: Option<String>,
    /// The database: `sqlite`, `sqlite:FILE` or `postgres://USER@HOST/DATABASE`
    /// [default: from the configuration, or sqlite in the data folder]
    #[arg(short, long, value_name = "URL")]
    store: Option<String>,
}

/// A longer grace is no grace, but a second secret.
const GRACE_MAX: Duration = Duration::from_secs(366 * 86_400);

pub(crate) fn run(args: &Args) -> Outcome {
    match &args.command {
        Command::Add(args) => add(args),
        Command::Rotate(args) => rotate(args),
        Command::Revoke(args) => revoke(args),
        Command::List(args) => list(args),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn add(args: &Add) -> Result<(), Failure> {
    let devices = match &args.from {
        Some(file) => names::read(file)?,
        None => names::check(&args.devices)?,
    };
    let missing = if args.create {
        Missing::Create
    } else {
        Missing::FailUnlessAsked
    };
    let settings = args.common.settings()?;
    let mut table = open(&settings, missing)?;
    // The database counts changes from 0.
    let is_first = table.version()? == 0 && settings.users == 0;
    let issued = issue(devices)?;
    let existing = if args.skip_existing {
        Existing::Skip
    } else {
        Existing::Refuse
    };
    let added = table.add(&digests(&issued), now_micros(), existing);
    let mut skipped = added.map_err(|error| explained(error, "add"))?;
    skipped.sort_unstable();
    let mut issued = issued;
    issued.retain(|new| skipped.binary_search(&new.device).is_err());
    if !skipped.is_empty() {
        let skipped = output::count(skipped.len() as u64, "device");
        anstream::eprintln!("skipped {skipped} that had a secret already");
    }
    args.common.show(&issued, args.from.is_some())?;
    let allows_anonymous = settings.broker.allows_anonymous();
    entry::require_logins(&settings.data, is_first, allows_anonymous);
    Ok(())
}

fn rotate(args: &Rotate) -> Result<(), Failure> {
    let devices = names::check(&args.devices)?;
    let mut table = args.common.open(Missing::Fail)?;
    let issued = issue(devices)?;
    let now = now_micros();
    let until = (!args.grace.is_zero()).then(|| now + args.grace.as_micros() as i64);
    table
        .rotate(&digests(&issued), now, until)
        .map_err(|error| explained(error, "rotate"))?;
    args.common.show(&issued, false)?;
    match until {
        Some(until) => anstream::eprintln!("the old secret is good until {}", time(until)),
        None => anstream::eprintln!("the old secret is no longer good; its connections end"),
    }
    Ok(())
}

fn revoke(args: &Revoke) -> Result<(), Failure> {
    let devices = names::check(&args.devices)?;
    let mut table = args.common.open(Missing::Fail)?;
    table
        .revoke(&devices, now_micros())
        .map_err(|error| explained(error, "revoke"))?;
    if args.common.json {
        return output::json(&serde_json::json!({ "revoked": devices }));
    }
    let mut text = String::new();
    for device in &devices {
        text.push_str(&format!("revoked {device}\n"));
    }
    output::text(&text)
}

fn list(args: &List) -> Result<(), Failure> {
    let mut table = args.common.open(Missing::Fail)?;
    let mut devices = Vec::new();
    table.read(0, &mut |credential| devices.push(credential))?;
    devices.sort_unstable_by(|one, other| one.device.cmp(&other.device));
    let lines: Vec<_> = devices
        .iter()
        .map(|credential| list::Line::of(credential, now_micros()))
        .collect();
    if args.common.json {
        output::json(&lines)
    } else {
        output::text(&list::text(&lines))
    }
}

/// What is done when there is no database file yet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Create,
    /// As `Fail`, and the command has a flag for making one.
    FailUnlessAsked,
    Fail,
}

impl Common {
    fn settings(&self) -> Result<Settings, Failure> {
        let flags = Overrides {
            data: self.data.clone(),
            store: self.store.clone(),
            ..Overrides::default()
        };
        config::load(&self.file.sources(&flags))
    }

    fn open(&self, missing: Missing) -> Result<Box<dyn Credentials>, Failure> {
        open(&self.settings()?, missing)
    }

    /// Shows secrets for the only time.
    fn show(&self, issued: &[Issued], as_csv: bool) -> Result<(), Failure> {
        let shown = match (self.json, as_csv) {
            (true, _) => output::json(&issued),
            (false, true) => csv(issued).and_then(|text| output::text(&text)),
            (false, false) => output::text(&table(issued)),
        };
        shown.map_err(|failure| {
            failure.hint("the secrets are in force and were not shown: rotate these devices")
        })
    }
}

fn open(settings: &Settings, missing: Missing) -> Result<Box<dyn Credentials>, Failure> {
    prepare(settings, missing)?;
    Ok(credentials::open(&settings.store)?)
}

/// A file of SQLite needs its folder. It is made only when that was asked for: secrets in a
/// database that no Millrace reads let nobody in.
fn prepare(settings: &Settings, missing: Missing) -> Result<(), Failure> {
    let Target::Sqlite(file) = &settings.store.target else {
        return Ok(());
    };
    if missing == Missing::Create {
        if let Some(folder) = file.parent() {
            private::create_data_folder(folder).map_err(|error| cannot_create(folder, &error))?;
        }
        return Ok(());
    }
    if file.exists() {
        Ok(())
    } else {
        Err(no_database(settings, file, missing))
    }
}

/// Names every place that was looked at, so that the wrong one is seen.
fn no_database(settings: &Settings, file: &std::path::Path, missing: Missing) -> Failure {
    let absolute = |path: &std::path::Path| {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        display(&path)
    };
    let configuration = match &settings.file {
        Some(file) => format!("the configuration is `{}`", absolute(file)),
        None => format!("there is no `{}` in this folder", config::DEFAULT_FILE),
    };
    let before_the_start = match missing {
        Missing::FailUnlessAsked => "; before the first start, `--create` makes the database",
        Missing::Create | Missing::Fail => "",
    };
    let hint = format!(
        "name the data folder with `--data`, the configuration with `--config`, or the database with \
         `--store`{before_the_start}"
    );
    let problem =
        Problem::new(format!("there is no database `{}`", absolute(file))).cause(format!(
            "{configuration}, and the data folder is `{}`",
            absolute(&settings.data)
        ));
    Failure::of(problem.hint(hint))
}

fn cannot_create(folder: &std::path::Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot create `{}`: {error}", display(folder)))
        .hint("choose another folder with `--data`")
}

/// A device and the secret that it was given.
#[derive(Serialize)]
struct Issued {
    device: String,
    secret: Secret,
}

fn issue(devices: Vec<String>) -> Result<Vec<Issued>, Failure> {
    devices
        .into_iter()
        .map(|device| {
            let secret = Secret::generate()?;
            Ok(Issued { device, secret })
        })
        .collect()
}

fn digests(issued: &[Issued]) -> Vec<NewSecret> {
    issued
        .iter()
        .map(|new| NewSecret {
            device: new.device.clone(),
            digest: new.secret.digest(),
        })
        .collect()
}

fn table(issued: &[Issued]) -> String {
    let width = issued.iter().map(|new| new.device.chars().count()).max();
    let width = width.unwrap_or(0);
    issued.iter().fold(String::new(), |text, new| {
        text + &format!("{:width$}  {}\n", new.device, new.secret.reveal())
    })
}

fn csv(issued: &[Issued]) -> Result<String, Failure> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(["device", "secret"])?;
    for new in issued {
        writer.write_record([new.device.as_str(), new.secret.reveal()])?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8(bytes)?)
}

fn explained(error: ChangeError, command: &str) -> Failure {
    let hint = match &error {
        ChangeError::Exist(_) => {
            "nothing was added: `millrace device rotate` gives them new secrets, and \
             `--skip-existing` leaves them as they are"
        }
        ChangeError::Unknown(_) if command == "rotate" => {
            "nothing was changed: `millrace device add` gives new and revoked devices a secret"
        }
        ChangeError::Unknown(_) => {
            "nothing was changed: `millrace device list` shows all there are"
        }
        ChangeError::TooMany(_) => {
            "revoke those that are gone, or share them among several Millraces"
        }
        ChangeError::Store(StoreError::Unavailable { .. }) => {
            "whether it was done is not known: look with `millrace device list`, and rotate devices \
             whose secret was not shown"
        }
        ChangeError::Store(_) => return Failure::from_error(&error),
    };
    Failure::from_error(&error).hint(hint)
}

fn grace(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text
        .parse()
        .or_else(|_| whole_days(text))
        .map_err(|error: jiff::Error| error.to_string())?;
    match span.try_into() {
        Ok(duration) if duration <= GRACE_MAX => Ok(duration),
        _ => Err("must lie between 0s and 366d".to_owned()),
    }
}

/// `7d`: a day here is 24 hours.
fn whole_days(text: &str) -> Result<jiff::SignedDuration, jiff::Error> {
    let span: jiff::Span = text.parse()?;
    span.to_duration(jiff::SpanRelativeTo::days_are_24_hours())
}

/// RFC 3339 in UTC, whole seconds.
fn time(micros: i64) -> String {
    match Timestamp::from_microsecond(micros) {
        Ok(time) => format!("{time:.0}"),
        Err(_) => format!("{micros} µs"),
    }
}
