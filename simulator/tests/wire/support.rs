//! A mosquitto broker of our own, and readers of what a run leaves behind.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use simulator::{Report, Scenario, Settings};
use tempfile::TempDir;
pub(crate) use testkit::PATIENCE;
use testkit::{ChildGuard, free_port, wait_until};
use tokio_util::sync::CancellationToken;

pub(crate) struct Mosquitto {
    pub(crate) port: u16,
    dir: TempDir,
    child: Option<ChildGuard>,
}

impl Mosquitto {
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// `config` is added to mosquitto's configuration.
    pub(crate) fn start_with(config: &str) -> Self {
        let port = free_port();
        let dir = TempDir::new().unwrap();
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 0\n{config}\n"
        );
        std::fs::write(dir.path().join("mosquitto.conf"), text).unwrap();
        let mut broker = Self {
            port,
            dir,
            child: None,
        };
        broker.start_again();
        broker
    }

    /// Starts it on the same port, and waits until it takes connections.
    pub(crate) fn start_again(&mut self) {
        let program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .unwrap_or("mosquitto");
        let config = self.dir.path().join("mosquitto.conf");
        self.child = Some(ChildGuard::spawn(
            Command::new(program).arg("-c").arg(config),
        ));
        let connect = || TcpStream::connect(("127.0.0.1", self.port));
        drop(wait_until(
            "mosquitto to listen",
            PATIENCE,
            connect,
            Result::is_ok,
        ));
    }

    /// Kills it as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill();
        }
    }
}

/// Everything published on `#`, in the order of arrival.
pub(crate) struct Subscriber {
    messages: Receiver<(String, Vec<u8>)>,
}

impl Subscriber {
    /// Returns when the subscription stands. `qos` 1 makes it complete while the broker lives.
    pub(crate) fn start(port: u16) -> Self {
        let mut options = MqttOptions::new("subscriber", "127.0.0.1", port);
        options.set_max_packet_size(1 << 20, 1 << 20);
        let (client, mut connection) = Client::new(options, 10);
        client.subscribe("#", QoS::AtLeastOnce).unwrap();
        let (ready, is_ready) = channel();
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            let _client = client;
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::SubAck(_))) => drop(ready.send(())),
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        if sender
                            .send((publish.topic, publish.payload.to_vec()))
                            .is_err()
                        {
                            return;
                        }
                    }
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        });
        is_ready.recv_timeout(PATIENCE).expect("subscribed");
        Self { messages }
    }

    /// The next `count` messages.
    pub(crate) fn take(&self, count: usize) -> Vec<(String, Vec<u8>)> {
        (0..count)
            .map(|index| {
                self.messages
                    .recv_timeout(PATIENCE)
                    .unwrap_or_else(|_| panic!("message {} of {count}", index + 1))
            })
            .collect()
    }
}

/// Settings out of the text of a scenario.
pub(crate) fn settings(port: u16, scenario: &str) -> Settings {
    let text = format!("port = {port}\n{scenario}");
    Scenario::parse(&text, Path::new("test.toml"))
        .unwrap()
        .resolve()
        .unwrap()
}

pub(crate) async fn run(port: u16, scenario: &str) -> Report {
    simulator::run(settings(port, scenario), CancellationToken::new())
        .await
        .unwrap()
}

/// Lines of an expect file, with how often each occurs.
pub(crate) fn lines(path: &Path) -> BTreeMap<String, u32> {
    let mut lines = BTreeMap::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        *lines.entry(line.to_owned()).or_default() += 1;
    }
    lines
}

/// The samples of a message on `devices/{device}/telemetry`, as an expect file writes them.
pub(crate) fn samples(topic: &str, payload: &[u8]) -> Vec<String> {
    let device = topic.split('/').nth(1).unwrap();
    let json: serde_json::Value = serde_json::from_slice(payload).unwrap();
    let objects = json
        .as_array()
        .cloned()
        .unwrap_or_else(|| vec![json.clone()]);
    let mut samples = Vec::new();
    for object in objects {
        let time = object["ts"].as_i64().unwrap();
        let time_us = if time < 10_000_000_000_000 {
            time * 1_000
        } else {
            time
        };
        let values = object.get("values").unwrap_or(&object).as_object().unwrap();
        for (metric, value) in values.iter().filter(|(metric, _)| *metric != "ts") {
            samples.push(format!("{device},{metric},{time_us},{value}"));
        }
    }
    samples
}
