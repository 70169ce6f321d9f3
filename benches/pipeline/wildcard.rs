//! One subscriber of a whole fleet: how fast it gets what many connections publish, and whether it
//! gets all of it, beside a stock rumqttd in the same run.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mqtt::Qos;
use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};

use super::fanout::{Subscribers, Subscribing};
use super::load::{ClosedLoop, End, Topics};
use super::server::Server;
use super::{CONNECTIONS, WINDOW};

/// Publishes of one round, of all connections together.
const MESSAGES: u64 = 300_000;
const ROUNDS: usize = 5;
/// A subscriber that got nothing for so long gets nothing more.
const QUIET: Duration = Duration::from_secs(2);

/// What is published, and by which filter it is subscribed to.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    topics: Topics,
    filter: &'static str,
    has_peer: bool,
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "no telemetry, wildcard",
        topics: Topics::Each("plant/load-", "/state"),
        filter: "plant/+/state",
        has_peer: true,
    },
    Kind {
        name: "telemetry, wildcard",
        topics: Topics::TELEMETRY,
        filter: "devices/+/telemetry",
        has_peer: true,
    },
    Kind {
        name: "no telemetry, exact",
        topics: Topics::All("plant/state"),
        filter: "plant/state",
        has_peer: true,
    },
];

struct Figures {
    /// From the first publish to the last acknowledgement, and to the last delivery.
    published_per_second: f64,
    delivered_per_second: f64,
    missed: u64,
}

/// Runs rumqttd as it comes, on this port of loopback, until it is killed.
pub(crate) fn serve_stock_rumqttd(port: u16) -> Result<(), Box<dyn Error>> {
    let settings = ServerSettings {
        name: "stock".to_owned(),
        listen: SocketAddr::from(([127, 0, 0, 1], port)),
        tls: None,
        next_connection_delay_ms: 1,
        connections: ConnectionSettings {
            connection_timeout_ms: 60_000,
            max_payload_size: 20_480,
            max_inflight_count: 100,
            auth: None,
            external_auth: None,
            dynamic_filters: true,
        },
    };
    // What stands in the `rumqttd.toml` that comes with it.
    let router = RouterConfig {
        max_connections: 10_010,
        max_outgoing_packet_count: 200,
        max_segment_size: 104_857_600,
        max_segment_count: 10,
        ..RouterConfig::default()
    };
    let config = Config {
        router,
        v4: Some(HashMap::from([("1".to_owned(), settings)])),
        ..Config::default()
    };
    Ok(Broker::new(config).start()?)
}

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    println!(
        "one subscriber, {MESSAGES} publishes at QoS 1 by {CONNECTIONS} connections, \
         median of {ROUNDS} rounds:"
    );
    for kind in KINDS {
        let (mut ours, mut peers) = (Vec::new(), Vec::new());
        // In turn, so that a noisy machine is noisy for both.
        for _ in 0..ROUNDS {
            let data = tempfile::tempdir()?;
            let server = Server::start(data.path(), None, None)?;
            ours.push(round(server.address, kind)?);
            server.kill();
            if kind.has_peer {
                let peer = StockRumqttd::start()?;
                peers.push(round(peer.address, kind)?);
            }
        }
        report(kind.name, "millrace", &mut ours);
        report(kind.name, "rumqttd", &mut peers);
    }
    Ok(())
}

fn round(address: SocketAddr, kind: Kind) -> io::Result<Figures> {
    let subscribing = Subscribing {
        filter: kind.filter,
        qos: Qos::AtLeastOnce,
        kept: false,
    };
    let subscribers = Subscribers::connect(address, 1, subscribing)?;
    let started = Instant::now();
    let sent = ClosedLoop {
        address,
        connections: CONNECTIONS,
        window: WINDOW,
        topics: kind.topics,
        end: End::Messages(MESSAGES / CONNECTIONS as u64),
    }
    .run()?;
    let (received, last) = subscribers.wait_until_quiet(sent.acknowledged, QUIET)?;
    Ok(Figures {
        published_per_second: sent.acknowledged as f64 / sent.elapsed.as_secs_f64(),
        delivered_per_second: received as f64 / (last - started).as_secs_f64(),
        missed: sent.acknowledged - received,
    })
}

fn report(kind: &str, broker: &str, rounds: &mut [Figures]) {
    rounds.sort_by(|a, b| a.delivered_per_second.total_cmp(&b.delivered_per_second));
    let (Some(least), Some(most)) = (rounds.first(), rounds.last()) else {
        return;
    };
    let median = &rounds[rounds.len() / 2];
    println!(
        "  {:<34} {:>9.0} deliveries/s   {:.0} to {:.0}   {:.0} publishes/s   {} missed",
        format!("{kind}, {broker}"),
        median.delivered_per_second,
        least.delivered_per_second,
        most.delivered_per_second,
        median.published_per_second,
        rounds.iter().map(|round| round.missed).sum::<u64>(),
    );
}

/// This program again, as the peer.
struct StockRumqttd {
    child: Child,
    address: SocketAddr,
}

impl StockRumqttd {
    fn start() -> io::Result<StockRumqttd> {
        let port = testkit::free_port();
        let child = Command::new(std::env::current_exe()?)
            .args(["--serve-stock-rumqttd", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let peer = StockRumqttd { child, address };
        let started = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            if started.elapsed() > Duration::from_secs(20) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(peer)
    }
}

impl Drop for StockRumqttd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
