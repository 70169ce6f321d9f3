//! `millrace watch`: alerts in the terminal, those that are active first.
//!
//! Owns: the subscription and coming back to it. Never: decides what an alert is. Invariant: alerts
//! alone are on stdout; the state of the connection is on stderr; a reader that leaves is a normal
//! end.

mod board;
mod line;
#[cfg(test)]
mod tests;

use std::error::Error as _;
use std::io::{self, Write};
use std::iter::successors;
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::ArgAction;
use globset::Glob;
use jiff::tz::TimeZone;
use simulator::{Broker, ConnectError, MqttVersion, News, Subscriber, TlsError, TlsKeys};

use self::board::{Board, Filter, Severity, Shown};
use super::Outcome;
use super::password::Login;
use crate::diagnostics::Failure;

/// Retained alerts are held back until none has come for this long, so that they can be put in
/// order.
const SETTLE: Duration = Duration::from_millis(150);
const RECONNECT: Duration = Duration::from_millis(500);
const ALERTS: &str = "alerts/#";
/// What a closed pipe and Ctrl-C end with.
const DONE: ExitCode = ExitCode::SUCCESS;

const EXAMPLES: &str = "\
Examples:
  millrace watch
  millrace watch --severity warning --device 'boiler-*'
  millrace watch --json | jq .message

Active alerts come first, the worst on top; then each change as it happens. Stop with Ctrl-C.";

/// Show alerts as they happen, those that are active first
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, disable_help_flag = true)]
pub(crate) struct Args {
    /// Host of the MQTT server
    #[arg(short = 'h', long, value_name = "HOST", default_value = "127.0.0.1")]
    host: String,
    /// Port of the MQTT server [default: 1883, with --cafile 8883]
    #[arg(short = 'p', long, value_name = "PORT")]
    port: Option<u16>,
    /// User name
    #[arg(short = 'u', long, value_name = "NAME")]
    username: Option<String>,
    #[command(flatten)]
    login: Login,
    #[command(flatten)]
    tls: TlsKeys,
    /// Only alerts at least this severe: info, warning or critical
    #[arg(long, value_name = "SEVERITY", value_enum)]
    severity: Option<Severity>,
    /// Only devices of this pattern, such as 'boiler-*'
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    device: Option<Glob>,
    /// Print each event as a line of JSON, as it was published
    #[arg(long)]
    json: bool,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
}

impl Args {
    /// All alerts of this server, as lines for people.
    pub(super) fn of_server(address: SocketAddr) -> Args {
        Args {
            host: address.ip().to_string(),
            port: Some(address.port()),
            username: None,
            login: Login::default(),
            tls: TlsKeys::default(),
            severity: None,
            device: None,
            json: false,
            help: None,
        }
    }

    fn port(&self) -> u16 {
        self.port.unwrap_or(self.tls.default_port())
    }
}

pub(crate) async fn run(args: Args) -> Outcome {
    let board = Board::new(Filter {
        severity: args.severity,
        device: args.device.as_ref().map(Glob::compile_matcher),
    });
    let show = if args.json {
        Show::Json
    } else {
        Show::Lines(TimeZone::system())
    };
    let watch = Watch {
        broker: broker(&args)?,
        board,
        show,
    };
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    tokio::select! {
        outcome = watch.follow(anstream::stdout()) => outcome,
        _ = &mut interrupted => Ok(DONE),
    }
}

fn glob(text: &str) -> Result<Glob, String> {
    Glob::new(text).map_err(|error| error.kind().to_string())
}

fn broker(args: &Args) -> Result<Broker, Failure> {
    if args.username.is_none() && args.login.is_given() {
        return Err(Failure::usage("`password` needs a `username`"));
    }
    let password = match &args.username {
        Some(_) => args.login.read()?,
        None => None,
    };
    let tls = args.tls.load().map_err(|error| match error {
        TlsError::Incomplete { .. } => Failure::usage(error.to_string()),
        error => simulator::Error::Tls(error).into(),
    })?;
    Ok(Broker {
        host: args.host.clone(),
        port: args.port(),
        tls,
        username: args.username.clone(),
        password,
        version: MqttVersion::V3,
        keep_alive: Duration::ZERO,
        clean: true,
    })
}

/// How an alert is printed.
enum Show {
    Json,
    /// For people, with times of this zone.
    Lines(TimeZone),
}

struct Watch {
    broker: Broker,
    board: Board,
    show: Show,
}

/// Why one connection has ended.
enum End {
    Lost(ConnectError),
    /// Whoever reads the output has left.
    Unread,
}

impl Watch {
    /// Prints alerts until the reader leaves or the server refuses for good.
    async fn follow(mut self, mut out: impl Write) -> Outcome {
        let client_id = format!("watch-{}", std::process::id());
        let address = self.broker.address();
        let mut connection = Connection::Never;
        loop {
            let error = match Subscriber::open(&self.broker, &client_id, ALERTS).await {
                Ok(subscriber) => {
                    connection.is_open(&address);
                    match self.show(subscriber, &mut out).await? {
                        End::Lost(error) => error,
                        End::Unread => return Ok(DONE),
                    }
                }
                Err(error) => error,
            };
            if connection.is_hopeless(&error) {
                return Err(refused(&address, error));
            }
            connection.is_lost(&address, &error);
            tokio::time::sleep(RECONNECT).await;
        }
    }

    /// Prints what comes over one connection.
    async fn show(
        &mut self,
        mut subscriber: Subscriber,
        out: &mut impl Write,
    ) -> Result<End, Failure> {
        loop {
            let news = if self.board.is_settling() {
                // Without an answer in time no retained alert has come for a while.
                let news = tokio::time::timeout(SETTLE, subscriber.next()).await;
                news.ok().transpose()
            } else {
                subscriber.next().await.map(Some)
            };
            let shown = match news {
                Ok(Some(News::Message {
                    topic,
                    payload,
                    retained,
                })) => self.board.take(&topic, &payload, retained),
                Ok(Some(News::Granted)) => continue,
                Ok(None) => self.board.settle(),
                Err(error) => return Ok(End::Lost(error)),
            };
            match self.print(out, &shown) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(End::Unread),
                Err(error) => return Err(Failure::new(format!("cannot write to stdout: {error}"))),
            }
        }
    }

    fn print(&self, out: &mut impl Write, shown: &[Shown]) -> io::Result<()> {
        for alert in shown {
            match &self.show {
                Show::Json => writeln!(out, "{}", alert.json())?,
                Show::Lines(zone) => writeln!(out, "{}", line::format(alert, zone))?,
            }
        }
        out.flush()
    }
}

/// The server, or the way to it, is not such that trying again would help.
fn refused(address: &str, error: ConnectError) -> Failure {
    match error {
        ConnectError::Subscription => {
            Failure::new(format!("the server refuses the subscription to `{ALERTS}`"))
        }
        ConnectError::Refused(_) => Failure::new(format!("`{address}` refuses the connection"))
            .hint("check the user name and the password"),
        source => simulator::Error::Connect {
            address: address.to_owned(),
            source,
        }
        .into(),
    }
}

/// What was last said on stderr, so that it is said once.
#[derive(Debug, PartialEq, Eq)]
enum Connection {
    Never,
    Open,
    Lost,
}

impl Connection {
    fn is_open(&mut self, address: &str) {
        match self {
            Self::Never => anstream::eprintln!("watching alerts of {address}"),
            Self::Lost => anstream::eprintln!("watching alerts of {address} again"),
            Self::Open => {}
        }
        *self = Self::Open;
    }

    /// Whether to give up: a refusal is final. A wrong certificate, too, but later it may be a
    /// moment of its being renewed.
    fn is_hopeless(&self, error: &ConnectError) -> bool {
        let is_refusal = matches!(error, ConnectError::Refused(_) | ConnectError::Subscription);
        is_refusal || *self == Connection::Never && error.is_final()
    }

    fn is_lost(&mut self, address: &str, error: &ConnectError) {
        if *self != Self::Lost {
            let what = if *self == Self::Open {
                "lost the connection to"
            } else {
                "cannot connect to"
            };
            let causes = successors(error.source(), |&cause| cause.source());
            let causes: String = causes.map(|cause| format!(": {cause}")).collect();
            anstream::eprintln!("{what} {address}: {error}{causes}; retrying (Ctrl-C to stop)");
            if let Some(hint) = error.hint() {
                anstream::eprintln!("  hint: {hint}");
            }
        }
        *self = Self::Lost;
    }
}
