//! `millrace up`: broker and ingest in one process.
//!
//! Owns: the order of a start: settings, log, the data folder's lock, then the application. Never:
//! builds a part itself. Invariant: nothing in the data folder is touched before its lock is held.

use std::net::Ipv4Addr;
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use broker::{ListenerKind, Listening};
use tokio::signal::unix::SignalKind;

use super::hangup::{Hangup, Meaning};
use super::options::{ConfigFile, Overrides};
use super::{Outcome, output, user};
use crate::app::App;
use crate::diagnostics::Failure;
use crate::lock::DataLock;
use crate::{config, logging};

const EXAMPLES: &str = "\
Examples:
  millrace up
  millrace up --data /var/lib/millrace --store postgres://millrace@localhost/telemetry
  millrace up --config millrace.toml --log debug
  MILLRACE_JOURNAL__MAX_SIZE=50GB millrace up

Then, from another terminal:
  mosquitto_pub -t devices/boiler-1/telemetry -q 1 -m '{\"temperature\": 71.5}'
  sqlite3 millrace-data/millrace.db 'select * from telemetry'

Values come from the defaults, the configuration file, the environment (MILLRACE_SECTION__KEY) and
these flags; the later wins. Stop with Ctrl-C: what was accepted is written before it ends. SIGHUP
reloads rules, users, certificates and device secrets at once.";

/// Take telemetry over MQTT and write rows and alerts
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) file: ConfigFile,
    #[command(flatten)]
    pub(super) overrides: Overrides,
}

/// How long the drain may take; what is not written by then stays in the journal.
pub(super) const DRAIN: Duration = Duration::from_secs(10);

pub(crate) async fn run(args: Args) -> Outcome {
    let settings = config::load(&args.file.sources(&args.overrides))?;
    logging::init(settings.log.clone());
    let mut hangup = Hangup::listen()?;
    let _lock = DataLock::acquire(&settings.data)?;
    let data = settings.data.clone();
    let admin = user::first_admin(&settings)?;
    let app = App::start(settings).await?;
    let login = admin.as_ref().map(|admin| admin.login.as_str());
    let told = admin.as_ref().map_or("", |admin| &admin.told);
    output::text(&(banner(&app, &data, login) + told))?;
    // Listens from its first poll on: a signal that comes during a reload is not lost.
    let mut stopped = pin!(signal());
    let failure = loop {
        tokio::select! {
            biased;
            stopped = &mut stopped => break stopped.err(),
            failure = app.failure() => break Some(failure),
            meaning = hangup.next() => match meaning {
                Meaning::Reload => app.reload().await,
                Meaning::Stop => break None,
            },
        }
    };
    output::text(&app.drain(DRAIN).await?.describe())?;
    match failure {
        Some(failure) => Err(failure),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Returns on SIGINT or SIGTERM.
pub(super) async fn signal() -> Result<(), Failure> {
    let mut terminate = tokio::signal::unix::signal(SignalKind::terminate())?;
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// What is listening, where data goes, and what to try next. `login`: flags that log in as a user
/// whose password is known here.
pub(super) fn banner(app: &App, data: &Path, login: Option<&str>) -> String {
    let listeners: String = app
        .listeners()
        .iter()
        .map(|listener| {
            let (scheme, address) = (listener.kind.scheme(), listener.address);
            format!("  {scheme:<8} {address}{}  (3.1.1 and 5)\n", listener.path)
        })
        .collect();
    let first_steps = first_steps(app, login);
    let absent = if app.store_is_reached() {
        ""
    } else {
        " (not reached yet: messages are kept in the journal until it is)"
    };
    format!(
        "millrace {version} is up
{listeners}  data     {data}
  rows     {store}{absent}
{first_steps}",
        version = env!("CARGO_PKG_VERSION"),
        data = data.display(),
        store = app.store(),
    )
}

/// Commands to try: as they stand they work, but for a password that only the user knows.
fn first_steps(app: &App, login: Option<&str>) -> String {
    let is_plain = |listener: &Listening| listener.kind == ListenerKind::Tcp;
    if !app.listeners().iter().any(is_plain) {
        // Certificates and names are the user's own: no command would work as it stands.
        return String::new();
    }
    let mut flags = String::new();
    let address = app.address();
    let ip = address.ip();
    if !ip.is_unspecified() && ip != Ipv4Addr::LOCALHOST {
        flags.push_str(&format!(" -h {ip}"));
    }
    if address.port() != 1883 {
        flags.push_str(&format!(" -p {}", address.port()));
    }
    match login {
        Some(login) => flags.push_str(&format!(" {login}")),
        None if app.admits_anonymous() => {}
        None => flags.push_str(" -u USER -P PASSWORD"),
    }
    format!(
        "  try      mosquitto_pub{flags} -q 1 -t devices/boiler-1/telemetry -m \
         '{{\"temperature\": 71.5}}'
           millrace watch{flags}\n"
    )
}
