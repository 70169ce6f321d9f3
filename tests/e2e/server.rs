//! The built binary as a process of its own, in a folder of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) use testkit::PATIENCE;
use testkit::{ChildGuard, free_port};

/// How to start Millrace; the same again after it was killed.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) data: PathBuf,
    pub(crate) address: SocketAddr,
    /// `None`: SQLite in the data folder.
    pub(crate) store: Option<String>,
    /// `MILLRACE_SECTION__KEY` and its value.
    pub(crate) environment: Vec<(String, String)>,
}

impl Setup {
    pub(crate) fn new(data: &Path) -> Setup {
        Setup {
            data: data.to_owned(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())),
            store: None,
            environment: Vec::new(),
        }
    }

    pub(crate) fn store(mut self, url: &str) -> Setup {
        self.store = Some(url.to_owned());
        self
    }

    pub(crate) fn with(mut self, variable: &str, value: impl ToString) -> Setup {
        self.environment
            .push((variable.to_owned(), value.to_string()));
        self
    }

    /// Starts `millrace up` and waits until it says that it is up.
    pub(crate) fn start(&self) -> ChildGuard {
        let mut server = ChildGuard::spawn(&mut self.command());
        server.wait_for_line("is up", PATIENCE);
        server
    }

    /// As `start`, with no more open files than these.
    pub(crate) fn start_with_open_files(&self, most: usize) -> ChildGuard {
        let command = self.command();
        let mut limited = Command::new("sh");
        let script = format!("ulimit -n {most}; exec \"$0\" \"$@\"");
        limited.arg("-c").arg(script).arg(command.get_program());
        limited.args(command.get_args());
        let variables = command.get_envs();
        limited.envs(variables.filter_map(|(name, value)| Some((name, value?))));
        let mut server = ChildGuard::spawn(&mut limited);
        server.wait_for_line("is up", PATIENCE);
        server
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = millrace();
        command.arg("up").arg("--data").arg(&self.data);
        command.arg("--listen").arg(self.address.to_string());
        if let Some(store) = &self.store {
            command.arg("--store").arg(store);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// The built binary.
pub(crate) fn millrace() -> Command {
    Command::new(env!("CARGO_BIN_EXE_millrace"))
}

/// `mosquitto_sub` at QoS 1, to be spawned; `format` as its manual has it.
pub(crate) fn mosquitto_sub(setup: &Setup, version: &str, filter: &str, format: &str) -> Command {
    // Into a pipe it would write by the block, long after it has seen something.
    let mut command = Command::new("stdbuf");
    command.args(["-oL", "mosquitto_sub", "-h", "127.0.0.1", "-V", version]);
    command.args(["-p", &setup.address.port().to_string()]);
    command.args(["-q", "1", "-F", format, "-t", filter]);
    command
}
