//! `millrace demo`: `up` and a simulated fleet with faults, in one process.
//!
//! Owns: the demo's folder, the order of its start and end, and what it says. Never: touches
//! another data folder, or reads the user's configuration file. Invariant: the fleet speaks MQTT
//! over a socket, as devices do.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;
use simulator::{Progress, Report, Scenario};
use store::ByReason;
use tokio_util::sync::CancellationToken;

use super::{Outcome, output, simulate, up, watch};
use crate::app::{App, Drained};
use crate::config::{self, Override, Sources};
use crate::diagnostics::{Failure, display};
use crate::lock::DataLock;
use crate::logging;
use crate::private;

/// Alert rules and fleet of the demo, written into its folder so that people can look at them and
/// change them.
const FILES: [(&str, &str); 2] = [
    (ALERTS_FILE, include_str!("../../../config/alerts.toml")),
    (
        SCENARIO_FILE,
        include_str!("../../../config/scenarios/demo.toml"),
    ),
];
const ALERTS_FILE: &str = "alerts.toml";
const SCENARIO_FILE: &str = "demo.toml";

const EXAMPLES: &str = "\
Examples:
  millrace demo
  millrace demo --duration 1m
  millrace demo --store postgres://millrace@localhost/telemetry --listen 127.0.0.1:1884

The rules (alerts.toml) and the fleet (demo.toml) are written into the demo's folder when they are
not there; change them and start again. Stop with Ctrl-C.";

/// Show everything at work: `up`, and a simulated fleet whose faults make alerts fire
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// End after this time, such as 30s or 5m [default: with Ctrl-C]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,

    /// Folder of the demo; kept, so that a next demo goes on there
    #[arg(short, long, value_name = "FOLDER", default_value = "millrace-demo")]
    data: PathBuf,

    /// Address and port for MQTT; port 0 takes any that is free
    #[arg(
        short,
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:1883"
    )]
    listen: String,

    /// Where rows go: `sqlite`, `sqlite:FILE` or `postgres://USER@HOST/DATABASE`
    #[arg(short, long, value_name = "URL", default_value = "sqlite")]
    store: String,

    /// What to log
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    log: String,

    /// Show no alerts, and print one report as JSON at the end
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args) -> Outcome {
    write_files(&args.data)?;
    let scenario = simulate::read(&args.data.join(SCENARIO_FILE))?;
    let settings = config::load(&sources(&args))?;
    if settings.broker.needs_users() {
        return Err(
            Failure::new("other machines could reach the demo, and it knows no users")
                .hint("listen on 127.0.0.1, or use `millrace up`"),
        );
    }
    logging::init(settings.log.clone());
    let _lock = DataLock::acquire(&settings.data)?;

    let data = settings.data.clone();
    let app = App::start(settings).await?;
    if !args.json {
        output::text(&banner(&app, &data))?;
    }
    let (fleet, failure) = play(&app, scenario, &args).await;
    let store = app.store().to_owned();
    let drained = app.drain(up::DRAIN).await?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    let report = fleet?;
    if args.json {
        output::json(&Summary::new(&report, &drained, &store))?
    } else {
        output::text(&format!("\n{report}\n{}", drained.describe()))?
    }
    Ok(ExitCode::SUCCESS)
}

/// The demo is the same wherever it is started: only its own flags count.
fn sources(args: &Args) -> Sources {
    let data = display(&args.data);
    let rules = display(&args.data.join(ALERTS_FILE));
    let flags = vec![
        Override::flag("--data", "data", data),
        Override::flag("--listen", "broker.listen", args.listen.as_str()),
        Override::flag("--store", "store.url", args.store.as_str()),
        Override::flag("--log", "log", args.log.as_str()),
        Override::flag("--data", "alerts.rules", rules),
    ];
    Sources {
        flags,
        ..Sources::alone()
    }
}

/// Runs the fleet, and shows the alerts, until the time is over, someone stops it, or a part fails.
async fn play(
    app: &App,
    scenario: Scenario,
    args: &Args,
) -> (Result<Report, Failure>, Option<Failure>) {
    let fleet = match fleet_settings(scenario, app.address()) {
        Ok(settings) => settings,
        Err(failure) => return (Err(failure), None),
    };
    let stop = CancellationToken::new();
    let mut fleet = Box::pin(simulator::run(fleet, stop.clone()));
    let mut failed = None;
    tokio::select! {
        report = &mut fleet => return (report.map_err(Failure::from), None),
        failure = app.failure() => failed = Some(failure),
        failure = show_alerts(app.address(), args.json) => failed = Some(failure),
        stopped = up::signal() => failed = stopped.err(),
        () = time_is_over(args.duration) => {}
    }
    stop.cancel();
    (fleet.await.map_err(Failure::from), failed)
}

fn fleet_settings(scenario: Scenario, address: SocketAddr) -> Result<simulator::Settings, Failure> {
    let mut settings = scenario.resolve()?;
    settings.broker.host = address.ip().to_string();
    settings.broker.port = address.port();
    // The demo's own listener is plain, whatever the scenario says of another server.
    settings.broker.tls = None;
    settings.progress = Progress::Off;
    Ok(settings)
}

/// Returns only when alerts cannot be shown any more.
async fn show_alerts(address: SocketAddr, quiet: bool) -> Failure {
    if !quiet && let Err(failure) = watch::run(watch::Args::of_server(address)).await {
        return failure;
    }
    std::future::pending().await
}

async fn time_is_over(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

/// Makes the demo's folder, and the files that are missing in it.
fn write_files(folder: &Path) -> Result<(), Failure> {
    let unwritable = |path: &Path, error: std::io::Error| {
        Failure::new(format!("cannot write `{}`: {error}", display(path)))
            .hint("choose another folder with `--data`")
    };
    private::create_data_folder(folder).map_err(|error| unwritable(folder, error))?;
    for (name, text) in FILES {
        let path = folder.join(name);
        match fs::File::create_new(&path) {
            Ok(mut file) => std::io::Write::write_all(&mut file, text.as_bytes())
                .map_err(|error| unwritable(&path, error))?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unwritable(&path, error)),
        }
    }
    Ok(())
}

fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text
        .parse()
        .map_err(|error: jiff::Error| error.to_string())?;
    match span.try_into() {
        Ok(duration) if duration > Duration::ZERO => Ok(duration),
        _ => Err("must be longer than nothing".to_owned()),
    }
}

fn banner(app: &App, data: &Path) -> String {
    let mut text = up::banner(app, data, None);
    text.push_str(&format!(
        "  fleet    {} (faults make alerts fire within half a minute)\n\n",
        display(&data.join(SCENARIO_FILE))
    ));
    text
}

/// The whole demo for a program to read.
#[derive(Debug, Serialize)]
struct Summary<'a> {
    store: &'a str,
    /// Absent when the database was never reached.
    account: Option<AccountSummary>,
    simulator: &'a Report,
}

/// received = stored + filtered + dead_lettered + pending, in messages.
#[derive(Debug, Serialize)]
struct AccountSummary {
    received: u64,
    stored: u64,
    filtered: u64,
    dead_lettered: u64,
    pending: u64,
    /// They add up to `filtered` and `dead_lettered`.
    filtered_by_reason: BTreeMap<String, u64>,
    dead_lettered_by_reason: BTreeMap<String, u64>,
}

impl<'a> Summary<'a> {
    fn new(simulator: &'a Report, drained: &Drained, store: &'a str) -> Summary<'a> {
        let messages = |reasons: &ByReason| {
            let counted = reasons.iter().filter(|(_, count)| count.messages > 0);
            counted
                .map(|(reason, count)| (reason.to_string(), count.messages))
                .collect()
        };
        let reasons = drained.reasons();
        let account = drained.account().map(|account| AccountSummary {
            received: account.received,
            stored: account.stored,
            filtered: account.filtered,
            dead_lettered: account.dead_lettered,
            pending: account.pending,
            filtered_by_reason: messages(&reasons.filtered),
            dead_lettered_by_reason: messages(&reasons.dead_lettered),
        });
        Summary {
            store,
            account,
            simulator,
        }
    }
}
