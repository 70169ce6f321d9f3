//! A child process whose output is collected and which ends with the test.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::wait::wait_until;

/// Kills and reaps its process when dropped.
#[derive(Debug)]
pub struct ChildGuard {
    name: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl ChildGuard {
    /// Starts `command`; the lines of its standard output and standard error are collected in the
    /// order they arrive.
    ///
    /// # Panics
    ///
    /// When the program cannot be started.
    #[track_caller]
    pub fn spawn(command: &mut Command) -> ChildGuard {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start `{name}`: {error}"));
        let lines = Arc::default();
        let readers = [
            child.stdout.take().map(|pipe| collect(pipe, &lines)),
            child.stderr.take().map(|pipe| collect(pipe, &lines)),
        ];
        let readers = readers.into_iter().flatten().collect();
        ChildGuard {
            name,
            child,
            lines,
            readers,
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All lines so far, standard output and standard error together.
    pub fn lines(&self) -> Vec<String> {
        lock(&self.lines).clone()
    }

    /// Waits for a line that contains `text`, earlier ones included, and returns it.
    ///
    /// # Panics
    ///
    /// When `deadline` passes or the process ends first; the message holds all lines.
    #[track_caller]
    pub fn wait_for_line(&mut self, text: &str, deadline: Duration) -> String {
        let what = format!("a line with `{text}` from `{}`", self.name);
        let found = wait_until(
            &what,
            deadline,
            || {
                // The order matters: lines printed before the end must not be missed.
                let ended = self.try_wait();
                if ended.is_some() {
                    self.readers.drain(..).for_each(|reader| {
                        let _ = reader.join();
                    });
                }
                let lines = self.lines();
                match lines.iter().find(|line| line.contains(text)) {
                    Some(line) => Seen::Line(line.clone()),
                    None => Seen::Nothing { ended, lines },
                }
            },
            |seen| !matches!(seen, Seen::Nothing { ended: None, .. }),
        );
        match found {
            Seen::Line(line) => line,
            Seen::Nothing { .. } => panic!("{what} never came: {found:#?}"),
        }
    }

    /// The exit status, when the process has ended.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child
            .try_wait()
            .expect("the child is ours to wait for")
    }

    /// Waits for the process to end by itself.
    ///
    /// # Panics
    ///
    /// When `deadline` passes first; the message holds all lines.
    #[track_caller]
    pub fn wait(&mut self, deadline: Duration) -> ExitStatus {
        let what = format!("`{}` to end", self.name);
        let (ended, _) = wait_until(
            &what,
            deadline,
            || (self.try_wait(), self.lines()),
            |(ended, _)| ended.is_some(),
        );
        self.readers.drain(..).for_each(|reader| {
            let _ = reader.join();
        });
        ended.expect("waited until it was there")
    }

    /// Sends a signal by name, as `kill` knows it: `TERM`, `INT`, `STOP`.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Ends the process at once (SIGKILL) and reaps it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to a process that this test started.
#[track_caller]
pub(crate) fn signal(process: u32, name: &str) {
    let sent = try_signal(process, name);
    assert!(sent, "cannot send {name} to process {process}");
}

/// False when there is no such process. Goes through `kill`, because the call itself is unsafe
/// code.
pub(crate) fn try_signal(process: u32, name: &str) -> bool {
    Command::new("kill")
        .args(["-s", name, &process.to_string()])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[derive(Debug)]
enum Seen {
    Line(String),
    Nothing {
        ended: Option<ExitStatus>,
        // Read by `Debug` alone, when the wait fails.
        #[allow(dead_code)]
        lines: Vec<String>,
    },
}

fn collect(pipe: impl Read + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) -> JoinHandle<()> {
    let lines = Arc::clone(lines);
    std::thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line);
            lock(&lines).push(text.trim_end_matches(['\r', '\n']).to_owned());
            line.clear();
        }
    })
}

fn lock(lines: &Mutex<Vec<String>>) -> MutexGuard<'_, Vec<String>> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}
