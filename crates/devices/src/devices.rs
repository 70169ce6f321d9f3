//! The handle of a running follower: start, wait, reload, end.
//!
//! Owns: the thread `device-watch` and how it is asked. Never: talks to the database itself.
//! Invariant: neither a reload nor the end waits long for a database that does not answer.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use access::reload::Outcome;
use store::Settings;
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::cache::{Cache, CacheError};
use crate::follow::{Asked, Follower};
use crate::known::Known;
use crate::table::Table;

/// How long the end waits for the copy on disk to be written. The database may be frozen and is not
/// waited for; whatever is left undone then, the next start finds out anew.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// How long `reload` waits for the database.
const ANSWER_PATIENCE: Duration = Duration::from_secs(3);

/// Follows the database until it is dropped.
pub struct Devices {
    known: Arc<Known>,
    /// Asks for a look now; dropped: the thread ends.
    ask: Option<SyncSender<Asked>>,
    /// Says that the database was read once or did not answer; gone: the thread has ended.
    asked: Receiver<()>,
    started: Instant,
}

impl Devices {
    /// Takes what the copy on disk says, and begins to follow the database.
    pub fn start(data: &Path, store: &Settings) -> std::io::Result<Devices> {
        let known = Arc::new(Known::default());
        let cache = Cache::in_folder(data);
        let table = read(&cache);
        if let Some(table) = &table {
            info!(
                devices = table.len(),
                "device credentials as they were known last"
            );
            known.set(table.clone());
        }
        let (ask, orders) = mpsc::sync_channel(1);
        let (answered, asked) = mpsc::sync_channel(1);
        let follower = Follower::new(store.clone(), cache, table, Arc::clone(&known), answered);
        std::thread::Builder::new()
            .name("device-watch".into())
            .spawn(move || follower.run(&orders))?;
        Ok(Devices {
            known,
            ask: Some(ask),
            asked,
            started: Instant::now(),
        })
    }

    /// Waits until the database was read once or has failed to answer, but no longer than
    /// `patience` since the start.
    pub fn wait_until_asked(&self, patience: Duration) {
        let left = patience.saturating_sub(self.started.elapsed());
        let _ = self.asked.recv_timeout(left);
    }

    /// Has all of them read anew, rows that were changed by hand among them, and says what came of
    /// it.
    pub async fn reload(&self) -> Outcome {
        let (answer, answered) = oneshot::channel();
        // A channel that is full holds an earlier question, which the database has not answered.
        let is_asked = self
            .ask
            .as_ref()
            .is_some_and(|ask| ask.try_send(answer).is_ok());
        match tokio::time::timeout(ANSWER_PATIENCE, answered).await {
            Ok(Ok(outcome)) if is_asked => outcome,
            _ => {
                warn!("the database has not answered; what is known of the devices still holds");
                Outcome::Failed
            }
        }
    }

    /// What is known now, at any later moment too.
    pub fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known)
    }
}

impl Drop for Devices {
    fn drop(&mut self) {
        self.ask.take();
        let started = Instant::now();
        // A word that nobody has waited for may still be there.
        while started.elapsed() < END_PATIENCE {
            let left = END_PATIENCE.saturating_sub(started.elapsed());
            if self.asked.recv_timeout(left) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }
}

/// How many devices the copy in the data folder knows; `None` when there is none.
pub fn verify_cache(data: &Path) -> Result<Option<usize>, CacheError> {
    Ok(Cache::in_folder(data).read()?.map(|table| table.len()))
}

fn read(cache: &Cache) -> Option<Table> {
    cache.read().unwrap_or_else(|error| {
        // Only a copy: the database has them.
        let error = &error as &dyn std::error::Error;
        warn!(
            error,
            "the copy of the device credentials cannot be used; the database is asked"
        );
        None
    })
}
