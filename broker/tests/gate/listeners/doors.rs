//! A broker that listens in every way, and callers for each of them.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use access::reload::Reloaded;
use broker::{Broker, Config, ListenerConfig, ListenerKind, Parts};
use journal::local::LocalJournal;
use mqtt::Version;
use mqtt::client::Connect;
use testkit::mqtt::{Client, Duplex, Frames, secure, trusting};
use testkit::{Authority, PATIENCE};

pub(crate) const KINDS: [ListenerKind; 4] = [
    ListenerKind::Tcp,
    ListenerKind::Tls,
    ListenerKind::Ws,
    ListenerKind::Wss,
];

/// A broker with one listener of each kind, in a runtime of its own so that tests can block.
pub(crate) struct Doors {
    runtime: tokio::runtime::Runtime,
    pub(crate) broker: Option<Broker>,
    pub(crate) authority: Authority,
    pub(crate) folder: tempfile::TempDir,
}

pub(crate) type Caller = Client<Box<dyn Duplex>>;

impl Doors {
    pub(crate) fn open() -> Doors {
        Doors::with(Config::default(), |_| {})
    }

    /// `change` is asked for each listener; a `client_ca` that it sets becomes the authority's
    /// file, and a `crl` that of its list, `revoked.pem`.
    pub(crate) fn with(config: Config, change: impl Fn(&mut ListenerConfig)) -> Doors {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::new("Test Authority");
        let (certificate, key) = authority.server("first").write(folder.path());
        std::fs::write(folder.path().join("authority.pem"), authority.pem()).expect("written");
        let nobody = authority.list(&[], 2020);
        std::fs::write(folder.path().join("revoked.pem"), nobody).expect("written");
        let listener = KINDS.iter().map(|&kind| {
            let is_encrypted = kind.is_encrypted();
            let mut listener: ListenerConfig = toml::from_str(&format!(
                "kind = \"{}\"\naddress = \"127.0.0.1:0\"",
                format!("{kind:?}").to_lowercase()
            ))
            .expect("a listener");
            listener.certificate = is_encrypted.then(|| certificate.clone());
            listener.key = is_encrypted.then(|| key.clone());
            change(&mut listener);
            if listener.client_ca.is_some() {
                listener.client_ca = is_encrypted.then(|| folder.path().join("authority.pem"));
            }
            if listener.crl.is_some() {
                listener.crl = is_encrypted.then(|| folder.path().join("revoked.pem"));
            }
            listener
        });
        let settings = Config {
            listen: String::new(),
            listener: listener.collect(),
            ..config
        }
        .validate()
        .expect("good");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let journal_settings = journal::Config::default().validate().expect("good");
        let (journal, _) = LocalJournal::open_dir(&folder.path().join("journal"), journal_settings)
            .expect("a journal");
        let broker = runtime
            .block_on(Broker::start(Parts {
                settings,
                data: folder.path().to_owned(),
                journal: Arc::new(journal),
                is_telemetry: Arc::new(|topic: &str| topic.starts_with("devices/")),
                on_untaken: None,
                devices: None,
                system_values: None,
            }))
            .expect("a broker");
        Doors {
            runtime,
            broker: Some(broker),
            authority,
            folder,
        }
    }

    pub(crate) fn address(&self, kind: ListenerKind) -> SocketAddr {
        let broker = self.broker.as_ref().expect("running");
        let listener = broker.listeners().iter().find(|door| door.kind == kind);
        listener.expect("one of each kind").address
    }

    /// A bare socket to the listener.
    pub(crate) fn socket(&self, kind: ListenerKind) -> TcpStream {
        let stream = TcpStream::connect(self.address(kind)).expect("the listener accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("an option");
        stream
    }

    /// Through all layers of the kind; no CONNECT yet.
    pub(crate) fn call(&self, kind: ListenerKind, version: Version) -> Caller {
        self.call_over(self.socket(kind), kind, version)
    }

    pub(crate) fn call_over(
        &self,
        socket: TcpStream,
        kind: ListenerKind,
        version: Version,
    ) -> Caller {
        let trust = || trusting(&self.authority.pem(), None);
        let stream: Box<dyn Duplex> = match kind {
            ListenerKind::Tcp => Box::new(socket),
            ListenerKind::Tls => Box::new(secure(socket, trust())),
            ListenerKind::Ws => Box::new(Frames::over(socket)),
            ListenerKind::Wss => Box::new(Frames::over(secure(socket, trust()))),
        };
        Client::over(stream, version)
    }

    pub(crate) fn connect(&self, kind: ListenerKind, version: Version, client_id: &str) -> Caller {
        let mut caller = self.call(kind, version);
        caller.send_connect(&Connect::new(version, client_id));
        assert_eq!(caller.next(), "connack 0", "{kind:?}");
        caller
    }

    /// Has changed files looked at now; what became of each source.
    pub(crate) fn reload(&self) -> Vec<Reloaded> {
        let broker = self.broker.as_ref().expect("running");
        self.runtime.block_on(broker.reload())
    }

    /// Strangers connect to each listener, subscribe, publish and receive: the broker is well.
    pub(crate) fn serves_fresh_clients(&self) {
        for kind in KINDS {
            let mut fresh = self.connect(kind, Version::V5, "");
            fresh.subscribe("fresh/+");
            fresh.publish("fresh/a", b"hello", 3, false);
            let mut answers = [fresh.next(), fresh.next()];
            answers.sort();
            assert_eq!(answers, ["fresh/a = hello", "puback 3"], "{kind:?}");
        }
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        self.close();
    }
}

impl Doors {
    /// Stops the broker as a shutdown would.
    pub(crate) fn close(&mut self) {
        if let Some(broker) = self.broker.take() {
            self.runtime.block_on(async {
                broker.close(Duration::from_secs(10)).await;
                broker.shutdown().await;
            });
        }
    }
}
