//! The system under test: the built binary as a process of its own, and what the operating system
//! says of it.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Another build to measure; the one that was built with the benchmark otherwise.
static BINARY: OnceLock<PathBuf> = OnceLock::new();

/// Measures this build of Millrace from now on.
pub(crate) fn measure(binary: PathBuf) {
    // The first one that is named counts.
    let _ = BINARY.set(binary);
}

pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts `millrace up` on a free port of loopback and waits until it takes connections.
    pub(crate) fn start(
        data: &Path,
        store: Option<&str>,
        rules: Option<&Path>,
    ) -> io::Result<Server> {
        let rules = rules.map(|rules| ("MILLRACE_ALERTS__RULES", rules.as_os_str()));
        let settings: Vec<_> = rules.into_iter().collect();
        Server::start_with(data, store, &settings)
    }

    /// The same with settings as environment variables.
    pub(crate) fn start_with(
        data: &Path,
        store: Option<&str>,
        settings: &[(&str, &OsStr)],
    ) -> io::Result<Server> {
        let port = testkit::free_port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut command =
            Command::new(BINARY.get_or_init(|| env!("CARGO_BIN_EXE_millrace").into()));
        command
            .arg("up")
            .arg("--data")
            .arg(data)
            .arg("--listen")
            .arg(address.to_string());
        if let Some(store) = store {
            command.arg("--store").arg(store);
        }
        let mut child = command
            .env("MILLRACE_JOURNAL__MAX_SIZE", "20GB")
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(stderr) = child.stderr.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    if line.contains("WARN") || line.contains("ERROR") || line.contains("error") {
                        eprintln!("  server: {line}");
                    }
                }
            });
        }
        let mut server = Server { child, address };
        server.wait_until_listening()?;
        Ok(server)
    }

    fn wait_until_listening(&mut self) -> io::Result<()> {
        let started = Instant::now();
        while std::net::TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("the server ended: {status}")));
            }
            if started.elapsed() > Duration::from_secs(20) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    pub(crate) fn resident_bytes(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    /// The largest resident size since the start.
    pub(crate) fn resident_bytes_max(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let kilobytes = status.ok().and_then(|status| {
            let line = status
                .lines()
                .find(|line| line.starts_with(field))?
                .to_owned();
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        });
        kilobytes.unwrap_or(0) * 1024
    }

    /// Seconds of processor time used so far, user and system.
    pub(crate) fn processor_seconds(&self) -> f64 {
        let stat =
            fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // The fields behind the name in parentheses; utime and stime are the 14th and 15th of all.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or("")
            .split_whitespace()
            .collect();
        let ticks = |index: usize| {
            fields
                .get(index)
                .and_then(|f| f.parse::<f64>().ok())
                .unwrap_or(0.0)
        };
        (ticks(11) + ticks(12)) / 100.0
    }

    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
