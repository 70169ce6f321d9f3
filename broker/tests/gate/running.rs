//! A broker on a free port, for tests that speak to it over sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::access::DeviceCredentials;
use ::access::reload::Reloaded;
use broker::{Broker, Config, IsTelemetry, OnUntaken, Parts, Stats};
use journal::local::LocalJournal;
use mqtt::Version;
use testkit::PATIENCE;
use testkit::mqtt::Client;

use crate::BOTH;

/// A broker on a free port, in a runtime of its own so that tests can block.
pub(crate) struct Running {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) broker: Option<Broker>,
    pub(crate) address: SocketAddr,
    pub(crate) data: tempfile::TempDir,
}

impl Running {
    pub(crate) fn start() -> Running {
        Running::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Running {
        Running::in_folder(config, tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn in_folder(config: Config, data: tempfile::TempDir) -> Running {
        let is_telemetry = Arc::new(|topic: &str| topic.starts_with("devices/"));
        Running::assembled(config, data, is_telemetry, None)
    }

    pub(crate) fn with_telemetry(config: Config, is_telemetry: IsTelemetry) -> Running {
        let data = tempfile::tempdir().expect("a folder");
        Running::assembled(config, data, is_telemetry, None)
    }

    pub(crate) fn with_devices(devices: Arc<dyn DeviceCredentials>) -> Running {
        let data = tempfile::tempdir().expect("a folder");
        let is_telemetry = Arc::new(|topic: &str| topic.starts_with("devices/"));
        Running::assembled(Config::default(), data, is_telemetry, Some(devices))
    }

    /// One that tells of what nobody takes.
    pub(crate) fn telling(config: Config, on_untaken: OnUntaken) -> Running {
        let data = tempfile::tempdir().expect("a folder");
        let is_telemetry = Arc::new(|topic: &str| topic.starts_with("devices/"));
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        Running::made_of(runtime, config, data, is_telemetry, Some(on_untaken), None)
    }

    pub(crate) fn assembled(
        config: Config,
        data: tempfile::TempDir,
        is_telemetry: IsTelemetry,
        devices: Option<Arc<dyn DeviceCredentials>>,
    ) -> Running {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        Running::on(runtime, config, data, is_telemetry, devices)
    }

    pub(crate) fn on(
        runtime: tokio::runtime::Runtime,
        config: Config,
        data: tempfile::TempDir,
        is_telemetry: IsTelemetry,
        devices: Option<Arc<dyn DeviceCredentials>>,
    ) -> Running {
        Running::made_of(runtime, config, data, is_telemetry, None, devices)
    }

    pub(crate) fn made_of(
        runtime: tokio::runtime::Runtime,
        config: Config,
        data: tempfile::TempDir,
        is_telemetry: IsTelemetry,
        on_untaken: Option<OnUntaken>,
        devices: Option<Arc<dyn DeviceCredentials>>,
    ) -> Running {
        let settings = Config {
            listen: "127.0.0.1:0".into(),
            ..config
        }
        .validate()
        .expect("good");
        let journal_settings = journal::Config::default().validate().expect("good");
        let (journal, _) = LocalJournal::open_dir(&data.path().join("journal"), journal_settings)
            .expect("a journal");
        let broker = runtime
            .block_on(Broker::start(Parts {
                settings,
                data: data.path().to_owned(),
                journal: Arc::new(journal),
                is_telemetry,
                on_untaken,
                devices,
                system_values: None,
            }))
            .expect("a broker");
        Running {
            address: broker.address(),
            runtime,
            broker: Some(broker),
            data,
        }
    }

    pub(crate) fn connect(&self, version: Version, client_id: &str) -> Client {
        Client::connect(self.address, version, client_id)
    }

    pub(crate) fn open(&self, version: Version) -> Client {
        Client::open(self.address, version)
    }

    /// A stranger connects, subscribes, publishes and receives: the broker is well.
    pub(crate) fn serves_a_fresh_client(&self) {
        for version in BOTH {
            let mut fresh = self.connect(version, "");
            fresh.subscribe("fresh/+");
            fresh.publish("fresh/a", b"hello", 3, false);
            let mut answers = [fresh.next(), fresh.next()];
            answers.sort();
            assert_eq!(answers, ["fresh/a = hello", "puback 3"]);
        }
    }

    pub(crate) fn serves_someone_else(&self) {
        self.connect(Version::V311, "someone else").is_served();
    }

    pub(crate) fn stats(&self) -> &Stats {
        self.broker.as_ref().expect("running").stats()
    }

    /// Has changed files looked at now.
    pub(crate) fn reload(&self) -> Vec<Reloaded> {
        let broker = self.broker.as_ref().expect("running");
        self.runtime.block_on(broker.reload())
    }

    /// Waits until nothing is left of all clients but these.
    pub(crate) fn is_empty_but_for(&self, connections: u64) {
        testkit::wait_until(
            "the connections to be gone",
            PATIENCE,
            || self.stats().connections.get(),
            |left| *left == connections,
        );
    }

    pub(crate) fn stop(&mut self) {
        if let Some(broker) = self.broker.take() {
            self.runtime.block_on(async {
                broker.close(Duration::from_secs(10)).await;
                broker.shutdown().await;
            });
        }
    }
}

/// Acknowledges QoS 1 publishes whose ids run on from `first`.
pub(crate) fn acknowledge(line: &mut Client, first: u32, count: u32) {
    let mut bytes = Vec::new();
    for id in first..first + count {
        // Ids run from 1 to 65,535 and begin again.
        let id = ((id - 1) % 65_535 + 1) as u16;
        let success = mqtt::ReasonCode::Success;
        mqtt::encode::puback(&mut bytes, Version::V311, id, success);
    }
    line.send(&bytes);
}
