//! `millrace watch`: alerts in the terminal, those that are active first.
//!
//! Owns: the subscription and coming back to it. Never: decides what an alert is. Invariant: alerts
//! alone are on stdout; the state of the connection is on stderr; a reader that leaves is a normal
//! end.

mod board;
mod line;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::ArgAction;
use globset::Glob;
use jiff::tz::TimeZone;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, Packet, QoS,
    SubscribeReasonCode, TlsConfiguration, Transport,
};
use simulator::{Advice, TlsError, TlsKeys};

use self::board::{Board, Filter, Severity, Shown};
use super::Outcome;
use super::password::Login;
use crate::diagnostics::Failure;

/// Retained alerts are held back until none has come for this long, so that they can be put in
/// order.
const SETTLE: Duration = Duration::from_millis(150);
const RECONNECT: Duration = Duration::from_millis(500);
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Largest alert that is accepted: far beyond any message template.
const ALERT_MAX_BYTES: usize = 1024 * 1024;
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
        address: format!("{}:{}", args.host, args.port()),
        board,
        show,
    };
    let options = options(&args)?;
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    tokio::select! {
        outcome = watch.follow(&options, anstream::stdout()) => outcome,
        _ = &mut interrupted => Ok(DONE),
    }
}

fn glob(text: &str) -> Result<Glob, String> {
    Glob::new(text).map_err(|error| error.kind().to_string())
}

fn options(args: &Args) -> Result<MqttOptions, Failure> {
    let id = format!("watch-{}", std::process::id());
    let mut options = MqttOptions::new(id, args.host.clone(), args.port());
    options.set_keep_alive(KEEP_ALIVE);
    options.set_max_packet_size(ALERT_MAX_BYTES, ALERT_MAX_BYTES);
    match &args.username {
        Some(username) => {
            options.set_credentials(username.clone(), args.login.read()?.unwrap_or_default());
        }
        None if args.login.is_given() => {
            return Err(Failure::usage("`password` needs a `username`"));
        }
        None => {}
    }
    match args.tls.load() {
        Ok(None) => {}
        Ok(Some(tls)) => {
            let transport = Transport::Tls(TlsConfiguration::Rustls(tls.config()));
            options.set_transport(transport);
        }
        Err(error @ TlsError::Incomplete { .. }) => return Err(Failure::usage(error.to_string())),
        Err(error) => return Err(simulator::Error::Tls(error).into()),
    }
    Ok(options)
}

/// How an alert is printed.
enum Show {
    Json,
    /// For people, with times of this zone.
    Lines(TimeZone),
}

struct Watch {
    address: String,
    board: Board,
    show: Show,
}

/// What a look at the server brought.
enum News {
    Message {
        topic: String,
        payload: Vec<u8>,
        retained: bool,
    },
    /// No retained alert has come for a while.
    Settled,
    Other,
}

impl Watch {
    /// Prints alerts until the reader leaves or the server refuses for good.
    async fn follow(mut self, options: &MqttOptions, mut out: impl Write) -> Outcome {
        let (client, mut events) = AsyncClient::new(options.clone(), 4);
        let mut connection = Connection::Never;
        loop {
            let shown = match self.next(&client, &mut events, &mut connection).await? {
                News::Message {
                    topic,
                    payload,
                    retained,
                } => self.board.take(&topic, &payload, retained),
                News::Settled => self.board.settle(),
                News::Other => continue,
            };
            match self.print(&mut out, &shown) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(DONE),
                Err(error) => return Err(Failure::new(format!("cannot write to stdout: {error}"))),
            }
        }
    }

    async fn next(
        &self,
        client: &AsyncClient,
        events: &mut EventLoop,
        connection: &mut Connection,
    ) -> Result<News, Failure> {
        let event = if self.board.is_settling() {
            match tokio::time::timeout(SETTLE, events.poll()).await {
                Ok(event) => event,
                Err(_) => return Ok(News::Settled),
            }
        } else {
            events.poll().await
        };
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                connection.is_open(&self.address);
                // A new session knows nothing of a subscription. The channel is as good as empty.
                let _ = client.try_subscribe("alerts/#", QoS::AtLeastOnce);
            }
            Ok(Event::Incoming(Packet::SubAck(ack)))
                if ack.return_codes.contains(&SubscribeReasonCode::Failure) =>
            {
                return Err(Failure::new(
                    "the server refuses the subscription to `alerts/#`",
                ));
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let (topic, payload) = (publish.topic, publish.payload.to_vec());
                return Ok(News::Message {
                    topic,
                    payload,
                    retained: publish.retain,
                });
            }
            Ok(_) => {}
            Err(ConnectionError::ConnectionRefused(code)) if is_final(code) => {
                let refused = Failure::new(format!("`{}` refuses the connection", self.address));
                return Err(refused.hint("is the user name right, and the password?"));
            }
            // Later, a wrong certificate may be a moment of its being renewed.
            Err(error) if *connection == Connection::Never && is_hopeless(&error) => {
                let failure =
                    Failure::new(format!("cannot connect to `{}`: {error}", self.address));
                return Err(match Advice::on(&error) {
                    Some(advice) => failure.hint(advice.hint),
                    None => failure,
                });
            }
            Err(error) => {
                connection.is_lost(&self.address, &error);
                tokio::time::sleep(RECONNECT).await;
            }
        }
        Ok(News::Other)
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

fn is_final(code: ConnectReturnCode) -> bool {
    !matches!(code, ConnectReturnCode::ServiceUnavailable)
}

fn is_hopeless(error: &ConnectionError) -> bool {
    Advice::on(error).is_some_and(|advice| advice.is_final)
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

    fn is_lost(&mut self, address: &str, error: &ConnectionError) {
        if *self != Self::Lost {
            let what = if *self == Self::Open {
                "lost"
            } else {
                "have no"
            };
            anstream::eprintln!("{what} connection to {address} ({error}); trying again");
            if let Some(advice) = Advice::on_handshake(error) {
                anstream::eprintln!("  hint: {}", advice.hint);
            }
        }
        *self = Self::Lost;
    }
}
