//! What a connection that is idle costs the broker in resident memory, for each kind of listener.
//!
//! `cargo bench -p broker --bench idle [-- CONNECTIONS]`. The broker runs as a process of its own,
//! so that the clients' memory is not counted. Each client publishes once before it falls silent:
//! buffers that are kept would show.

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use broker::{Broker, Config, ListenerConfig, ListenerKind, Parts};
use journal::local::LocalJournal;
use mqtt::Version;
use mqtt::client::Connect;
use testkit::Authority;
use testkit::mqtt::{Client, Duplex, Frames, secure, trusting};

const KINDS: [ListenerKind; 4] = [
    ListenerKind::Tcp,
    ListenerKind::Tls,
    ListenerKind::Ws,
    ListenerKind::Wss,
];

/// Tells the process that it is the broker.
const SERVE: &str = "MILLRACE_TEST_SERVE";
const CONNECTIONS: usize = 2_000;

fn main() {
    if std::env::var_os(SERVE).is_some() {
        return serve();
    }
    let connections = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(CONNECTIONS);
    println!("{connections} idle connections of each kind");
    for (index, kind) in KINDS.iter().enumerate() {
        // A process for each: what an earlier kind left free would be used again.
        let server = Server::start();
        let address = server.addresses[index];
        // One that is not counted pays for what is set up at the first use.
        let _first = server.connect(index, address);
        let before = server.resident_bytes();
        let clients: Vec<_> = (0..connections)
            .map(|_| server.connect(index, address))
            .collect();
        let used = server.resident_bytes().saturating_sub(before);
        let each = used / clients.len() as u64;
        println!("{kind:?}\t{each} bytes a connection");
    }
}

/// The broker's side: tells its certificate authority and where it listens, and serves until its
/// standard input ends.
fn serve() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = Authority::new("Bench Authority");
    let path = folder.path().join("authority.pem");
    std::fs::write(&path, authority.pem()).expect("written");
    println!("{}", path.display());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let broker = runtime.block_on(Broker::start(parts(folder.path(), &authority)));
    let broker = broker.expect("a broker");
    for listener in broker.listeners() {
        println!("{}", listener.address);
    }
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// A broker with one listener of each kind.
fn parts(data: &Path, authority: &Authority) -> Parts {
    let (certificate, key) = authority.server("first").write(data);
    let listener = |kind: ListenerKind| {
        let name = format!("{kind:?}").to_lowercase();
        let text = format!("kind = '{name}'\naddress = '127.0.0.1:0'");
        let mut listener: ListenerConfig = toml::from_str(&text).expect("a listener");
        listener.certificate = kind.is_encrypted().then(|| certificate.clone());
        listener.key = kind.is_encrypted().then(|| key.clone());
        listener
    };
    let config = Config {
        listen: String::new(),
        listener: KINDS.into_iter().map(listener).collect(),
        ..Config::default()
    };
    let journal_settings = journal::Config::default().validate().expect("good");
    let (journal, _) =
        LocalJournal::open_dir(&data.join("journal"), journal_settings).expect("a journal");
    Parts {
        settings: config.validate().expect("good"),
        data: data.to_owned(),
        journal: Arc::new(journal),
        is_telemetry: Arc::new(|topic: &str| topic.starts_with("devices/")),
        on_untaken: None,
        devices: None,
        system_values: None,
    }
}

struct Server {
    child: Child,
    _output: BufReader<ChildStdout>,
    authority: String,
    /// In the order of `KINDS`.
    addresses: Vec<SocketAddr>,
}

impl Server {
    fn start() -> Server {
        let mut child = Command::new(std::env::current_exe().expect("a path"))
            .env(SERVE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = || {
            let mut text = String::new();
            output.read_line(&mut text).expect("a line");
            text.trim().to_owned()
        };
        let authority = line();
        let addresses = KINDS.map(|_| line().parse().expect("an address"));
        Server {
            authority: std::fs::read_to_string(authority).expect("PEM"),
            addresses: addresses.into(),
            child,
            _output: output,
        }
    }

    fn connect(&self, kind: usize, address: SocketAddr) -> Client<Box<dyn Duplex>> {
        let kind = KINDS[kind];
        let socket = TcpStream::connect(address).expect("the listener accepts");
        socket.set_nodelay(true).expect("an option");
        let trust = || trusting(&self.authority, None);
        let stream: Box<dyn Duplex> = match (kind.is_encrypted(), kind.is_websocket()) {
            (false, false) => Box::new(socket),
            (true, false) => Box::new(secure(socket, trust())),
            (false, true) => Box::new(Frames::over(socket)),
            (true, true) => Box::new(Frames::over(secure(socket, trust()))),
        };
        let mut client = Client::over(stream, Version::V311);
        client.send_connect(&Connect::new(Version::V311, ""));
        assert_eq!(client.next(), "connack 0");
        client.publish("room/a", b"{\"temperature\": 20.5}", 1, false);
        assert_eq!(client.next(), "puback 1");
        client
    }

    fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("a process");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kilobytes.expect("VmRSS in kB") * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut input) = self.child.stdin.take() {
            let _ = input.flush();
        }
        let _ = self.child.wait();
    }
}
