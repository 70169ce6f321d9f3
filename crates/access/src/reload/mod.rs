//! Files that may change while the broker runs: access rules, users, keys, certificates.
//!
//! Owns: noticing a change, leaving a file alone that is still being written, telling a fault once.
//! Never: reads a file or knows what is in it; each source does. Invariant: what is in force is
//! replaced as a whole by something usable, or stays.

mod print;
mod source;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::lock::lock;
use source::Watched;

pub use source::{Fault, Source, Taken};

/// Who asks waits for the answer, so more than one at a time is rare; a further one waits in the
/// channel's queue.
const ASKED_MAX: usize = 1;

/// What a look that was asked for found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reloaded {
    /// What it is, in words and in the plural: "access rules".
    pub name: String,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The files say what was in force already.
    Same,
    /// What the files say is in force from now on.
    New,
    /// The files cannot be used, which the log explains; what was in force stays.
    Failed,
}

/// Asks for a look before its time.
#[derive(Debug)]
pub struct Reloader(mpsc::Sender<Asked>);

type Asked = oneshot::Sender<Vec<Reloaded>>;

impl Reloader {
    /// Reads all files now, whether or not they seem to have changed. Empty when the watch has
    /// ended.
    pub async fn reload(&self) -> Vec<Reloaded> {
        let (answer, answered) = oneshot::channel();
        match self.0.send(answer).await {
            Ok(()) => answered.await.unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }
}

/// Looks at the files of all sources until `stop`; to be spawned.
pub fn watch(
    sources: Vec<Box<dyn Source>>,
    interval: Duration,
    stop: CancellationToken,
) -> (Reloader, impl Future<Output = ()>) {
    let (ask, asked) = mpsc::channel(ASKED_MAX);
    let watched = sources.into_iter().map(Watched::new).collect();
    let watching = run(Arc::new(Mutex::new(watched)), interval, asked, stop);
    (Reloader(ask), watching)
}

async fn run(
    watched: Arc<Mutex<Vec<Watched>>>,
    interval: Duration,
    mut asked: mpsc::Receiver<Asked>,
    stop: CancellationToken,
) {
    let mut next = Instant::now();
    loop {
        let answer = tokio::select! {
            () = tokio::time::sleep_until(next.into()) => None,
            Some(answer) = asked.recv() => Some(answer),
            () = stop.cancelled() => return,
        };
        let watched = Arc::clone(&watched);
        // A disk may take its time; the next look waits for this one.
        let looked = spawn_blocking(move || match answer {
            None => look(&mut lock(&watched), Instant::now()),
            Some(answer) => {
                let reloaded = reload(&mut lock(&watched));
                // Whoever asked may have given up.
                let _ = answer.send(reloaded);
                None
            }
        });
        let soon = looked.await.unwrap_or_else(|_| {
            error!("the look at the files failed; it is repeated");
            None
        });
        next = Instant::now() + interval;
        next = soon.map_or(next, |soon| soon.min(next));
    }
}

/// Looks at everything; when to look again before the interval is over.
fn look(watched: &mut [Watched], now: Instant) -> Option<Instant> {
    watched.iter_mut().filter_map(|it| it.look(now)).min()
}

fn reload(watched: &mut [Watched]) -> Vec<Reloaded> {
    watched.iter_mut().map(Watched::reload).collect()
}
