//! SIGHUP: an operator's "look again now", or the end of the terminal that this process was started
//! from.
//!
//! Owns: telling the two apart. Never: acts on it. Invariant: from `listen` on the signal does not
//! end the process.

use std::io::{self, IsTerminal};

use tokio::signal::unix::{Signal, SignalKind, signal};

pub(super) struct Hangup {
    signal: Signal,
    had_terminal: bool,
}

/// What SIGHUP means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// `kill -HUP`, `systemctl reload`.
    Reload,
    /// The terminal was closed: nobody would stop this process any more.
    Stop,
}

impl Hangup {
    /// One that comes before `next` is waited for is not lost.
    pub(super) fn listen() -> io::Result<Hangup> {
        Ok(Hangup {
            signal: signal(SignalKind::hangup())?,
            had_terminal: has_terminal(),
        })
    }

    pub(super) async fn next(&mut self) -> Meaning {
        if self.signal.recv().await.is_none() {
            // Only while the runtime ends.
            return std::future::pending().await;
        }
        if self.had_terminal && !has_terminal() {
            Meaning::Stop
        } else {
            Meaning::Reload
        }
    }
}

/// A terminal that was closed is none any more.
fn has_terminal() -> bool {
    io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal()
}
