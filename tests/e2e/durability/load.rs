//! `millrace simulate` as a process, and its record of what was acknowledged.

use std::path::PathBuf;

use testkit::{ChildGuard, wait_until};

use crate::server::{PATIENCE, Setup, millrace};

/// Clients that send until they are stopped.
#[derive(Debug)]
pub(crate) struct Load {
    process: ChildGuard,
    expect: PathBuf,
}

/// What a load has done.
#[derive(Debug)]
pub(crate) struct Done {
    /// In messages.
    pub(crate) acknowledged: u64,
    pub(crate) samples: u64,
    pub(crate) resent: u64,
    pub(crate) reconnects: u64,
    /// The acknowledged samples, a line each.
    pub(crate) expect: PathBuf,
}

impl Load {
    pub(crate) fn start(setup: &Setup, seed: u64, arguments: &[&str]) -> Load {
        let expect = setup.data.with_file_name("expect.csv");
        let mut command = millrace();
        command
            .args(["simulate", "--json", "--quiet", "--drain", "60s"])
            .args(["--port", &setup.address.port().to_string()])
            .args(["--seed", &seed.to_string()])
            .arg("--expect")
            .arg(&expect)
            .args(arguments);
        Load {
            process: ChildGuard::spawn(&mut command),
            expect,
        }
    }

    /// Waits until so many bytes more have been recorded as acknowledged.
    #[track_caller]
    pub(crate) fn wait_for_acknowledged(&self, bytes: u64) {
        // The file appears a moment after the start.
        let length = || std::fs::metadata(&self.expect).map_or(0, |file| file.len());
        let before = length();
        wait_until("acknowledgements", PATIENCE, length, |length| {
            *length >= before + bytes
        });
    }

    /// Stops sending and waits until everything sent is acknowledged.
    ///
    /// # Panics
    ///
    /// When something never is.
    #[track_caller]
    pub(crate) fn stop(self) -> Done {
        self.process.signal("INT");
        self.wait()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.try_wait().is_none()
    }

    /// Waits until a load with a number of messages has sent them and all are acknowledged.
    ///
    /// # Panics
    ///
    /// When something never is.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Done {
        let status = self.process.wait(PATIENCE * 2);
        let lines = self.process.lines();
        assert!(
            status.success(),
            "not all was acknowledged, {status}: {lines:#?}"
        );
        let begin = lines.iter().position(|line| line == "{").unwrap();
        let end = lines.iter().position(|line| line == "}").unwrap();
        let report: serde_json::Value =
            serde_json::from_str(&lines[begin..=end].join("\n")).unwrap();
        let number = |key: &str| report[key].as_u64().unwrap();
        Done {
            acknowledged: number("acknowledged"),
            samples: number("samples_acknowledged"),
            resent: number("resent"),
            reconnects: number("reconnects"),
            expect: self.expect,
        }
    }
}
