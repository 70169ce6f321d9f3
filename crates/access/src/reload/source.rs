//! One source: its files, what is known of them, and when they are read.
//!
//! Owns: when. Never: waits. Invariant: a state of the files that was read is not read again unless
//! somebody asks, or it could not be read at all, which may pass.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use tracing::{error, info};

use super::print::Print;
use super::{Outcome, Reloaded};
use crate::error_chain::error_chain;

/// A file that is the same after this time is not being written. An editor's two writes are closer
/// together.
const REST: Duration = Duration::from_millis(50);

/// Files that count together, and what is in force of them.
pub trait Source: Send + Sync {
    /// In the plural, for the log and for whoever asks: "access rules".
    fn name(&self) -> String;

    fn files(&self) -> Vec<&Path>;

    /// How long the files must have been the same before they are read.
    fn rest(&self) -> Duration {
        REST
    }

    /// Reads the files and puts in force what they say, which the source tells the log. With a
    /// fault nothing has changed.
    fn take(&self) -> Result<Taken, Fault>;

    /// At each look, whether or not the files have changed.
    fn glance(&self) {}

    /// A fault was told that had not been told before.
    fn refused(&self) {}
}

/// What a source has made of its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// They say what is in force already.
    Same,
    New,
}

/// Why files cannot be used.
#[derive(Debug)]
pub struct Fault {
    problem: String,
    /// It may pass although the files stay as they are.
    may_pass: bool,
}

impl Fault {
    /// A file cannot be read: a descriptor may be missing, or a disk.
    pub fn unreadable(error: &dyn Error) -> Fault {
        Fault {
            problem: error_chain(error),
            may_pass: true,
        }
    }

    /// What the files hold is wrong.
    pub fn wrong(error: &dyn Error) -> Fault {
        Fault {
            problem: error_chain(error),
            may_pass: false,
        }
    }
}

type Prints = Vec<Option<Print>>;

/// A source, and what is known of its files.
pub(super) struct Watched {
    source: Box<dyn Source>,
    /// At the last look, and since which look.
    seen: Prints,
    since: Option<Instant>,
    /// When they were read; `None`: never, or they could not be.
    read: Option<Prints>,
    /// The fault that was told, as long as it lasts.
    told: Option<String>,
}

impl Watched {
    /// The source has read its files, but perhaps before they changed: so they are read once more.
    pub(super) fn new(source: Box<dyn Source>) -> Watched {
        Watched {
            seen: Prints::new(),
            since: None,
            read: None,
            told: None,
            source,
        }
    }

    /// Reads the files if they have changed and rest; otherwise, when they will have rested.
    pub(super) fn look(&mut self, now: Instant) -> Option<Instant> {
        self.source.glance();
        let prints = self.prints();
        let since = match self.since {
            Some(since) if prints == self.seen => since,
            _ => now,
        };
        self.seen = prints;
        self.since = Some(since);
        if self.read.as_ref() == Some(&self.seen) {
            return None;
        }
        let rested = since + self.source.rest();
        if now < rested {
            return Some(rested);
        }
        self.take(false);
        None
    }

    /// Reads the files whatever is known of them.
    pub(super) fn reload(&mut self) -> Reloaded {
        self.seen = self.prints();
        Reloaded {
            outcome: self.take(true),
            name: self.source.name(),
        }
    }

    /// What changes from here on differs from what was seen before.
    fn take(&mut self, is_asked: bool) -> Outcome {
        self.read = Some(self.seen.clone());
        match self.source.take() {
            Ok(taken) => {
                let was_at_fault = self.told.take().is_some();
                if was_at_fault && taken == Taken::Same {
                    info!("the {} are right again", self.source.name());
                }
                match taken {
                    Taken::Same => Outcome::Same,
                    Taken::New => Outcome::New,
                }
            }
            Err(fault) => {
                if fault.may_pass {
                    self.read = None;
                }
                self.tell(fault.problem, is_asked);
                Outcome::Failed
            }
        }
    }

    fn tell(&mut self, problem: String, is_asked: bool) {
        let is_known = self.told.as_ref() == Some(&problem);
        if is_known && !is_asked {
            return;
        }
        error!(problem, "the {} stay as they were", self.source.name());
        if !is_known {
            self.source.refused();
        }
        self.told = Some(problem);
    }

    fn prints(&self) -> Prints {
        self.source.files().into_iter().map(Print::of).collect()
    }
}
