//! What a connection that is idle costs the broker in resident memory, for each kind of listener.
//!
//! `cargo bench -p broker --bench idle [-- CONNECTIONS]`. The broker runs as a process of its own,
//! so that the clients' memory is not counted. Each client publishes once before it falls silent:
//! buffers that are kept would show.
// The modules are those of the tests, which use all of them.

#[allow(dead_code)]
#[path = "../tests/listeners/doors.rs"]
mod doors;
#[allow(dead_code)]
#[path = "../tests/gate/line.rs"]
mod line;

use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};

use mqtt::Version;
use mqtt::client::Connect;

use doors::{Doors, Duplex, Frames, KINDS, secure, trusting};
use line::Line;

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

/// The broker's side: tells where it listens, and serves until its standard input ends.
fn serve() {
    let doors = Doors::open();
    println!("{}", doors.folder.path().display());
    for kind in KINDS {
        println!("{}", doors.address(kind));
    }
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
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
        let authority = format!("{}/authority.pem", line());
        let addresses = KINDS.map(|_| line().parse().expect("an address"));
        Server {
            authority: std::fs::read_to_string(authority).expect("PEM"),
            addresses: addresses.into(),
            child,
            _output: output,
        }
    }

    fn connect(&self, kind: usize, address: SocketAddr) -> Line<Box<dyn Duplex>> {
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
        let mut line = Line::over(stream, Version::V311);
        line.send_connect(&Connect::new(Version::V311, ""));
        assert_eq!(line.next(), "connack 0");
        line.publish("room/a", b"{\"temperature\": 20.5}", 1, false);
        assert_eq!(line.next(), "puback 1");
        line
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
