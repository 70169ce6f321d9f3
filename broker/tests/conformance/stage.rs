//! A real broker on a free port for one script, with a journal and a folder of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, Config, ListenerKind, Listening, Parts};
use journal::local::LocalJournal;
use tokio::runtime::Runtime;

/// Far more than a broker without load needs to end.
const CLOSING: Duration = Duration::from_secs(10);

pub(crate) struct Stage {
    runtime: Arc<Runtime>,
    config: Config,
    broker: Option<Broker>,
    data: tempfile::TempDir,
}

impl Stage {
    /// `config`: keys of `[broker]` in TOML that differ from the defaults.
    pub(crate) fn start(runtime: &Arc<Runtime>, config: &str) -> Stage {
        let config: Config = toml::from_str(config).expect("keys of the broker");
        let mut stage = Stage {
            runtime: Arc::clone(runtime),
            config: Config {
                listen: "127.0.0.1:0".into(),
                ..config
            },
            broker: None,
            data: tempfile::tempdir().expect("a folder"),
        };
        stage.run();
        stage
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.broker.as_ref().expect("it runs").address()
    }

    /// Of the WebSocket listener that the script configured.
    pub(crate) fn websocket_address(&self) -> Option<SocketAddr> {
        let broker = self.broker.as_ref().expect("it runs");
        let is_websocket = |listening: &&Listening| listening.kind == ListenerKind::Ws;
        let found = broker.listeners().iter().find(is_websocket);
        found.map(|listening| listening.address)
    }

    /// Starts the broker on the folder as it is.
    pub(crate) fn run(&mut self) {
        let settings = self.config.validate().expect("good");
        let journal_settings = journal::Config::default().validate().expect("good");
        let folder = self.data.path().join("journal");
        let (journal, _) = LocalJournal::open_dir(&folder, journal_settings).expect("a journal");
        let parts = Parts {
            settings,
            data: self.data.path().to_owned(),
            journal: Arc::new(journal),
            is_telemetry: Arc::new(|topic: &str| topic.starts_with("devices/")),
            on_untaken: None,
            devices: None,
            system_values: None,
        };
        let broker = self.runtime.block_on(Broker::start(parts));
        self.broker = Some(broker.expect("a broker"));
    }

    /// Closes in order, as a service that is told to end.
    pub(crate) fn stop(&mut self) {
        if let Some(broker) = self.broker.take() {
            self.runtime.block_on(async {
                broker.close(CLOSING).await;
                broker.shutdown().await;
            });
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop();
    }
}
