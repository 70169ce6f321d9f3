//! Device credentials in memory: what the database says, for the broker to ask.
//!
//! Owns: the table of digests, how it follows the database, the copy on disk for a start without
//! the database. Never: sees a secret. Invariant: `find` answers from memory alone, and a database
//! that is away keeps nobody out who was known before.

mod cache;
mod follow;
mod table;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use broker::{DeviceCredentials, Lookup, ReloadOutcome};
use store::Settings;
use tokio::sync::oneshot;
use tracing::{info, warn};

pub(crate) use cache::{CacheError, FILE_NAME as CACHE_FILE};

use cache::Cache;
use follow::Follower;
use table::Table;

/// How long the end waits for the copy on disk to be written. The database may be frozen and is not
/// waited for; whatever is left undone then, the next start finds out anew.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// How long who asked for a look waits for the database.
const ANSWER_PATIENCE: Duration = Duration::from_secs(3);

/// Somebody waits to hear what a look has found.
type Asked = oneshot::Sender<ReloadOutcome>;

/// Follows the database until it is dropped.
pub(crate) struct Devices {
    known: Arc<Known>,
    /// Asks for a look now; dropped: the thread ends.
    ask: Option<SyncSender<Asked>>,
    /// Says that the database was read once or did not answer; gone: the thread has ended.
    asked: Receiver<()>,
    started: Instant,
}

impl Devices {
    /// Takes what the copy on disk says, and begins to follow the database.
    pub(crate) fn start(data: &Path, store: &Settings) -> std::io::Result<Devices> {
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
    pub(crate) fn wait_until_asked(&self, patience: Duration) {
        let left = patience.saturating_sub(self.started.elapsed());
        let _ = self.asked.recv_timeout(left);
    }

    /// Has all of them read anew, rows that were changed by hand among them, and says what came of
    /// it.
    pub(crate) async fn reload(&self) -> ReloadOutcome {
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
                ReloadOutcome::Failed
            }
        }
    }

    pub(crate) fn credentials(&self) -> Arc<dyn DeviceCredentials> {
        Arc::clone(&self.known) as Arc<dyn DeviceCredentials>
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
pub(crate) fn verify_cache(data: &Path) -> Result<Option<usize>, CacheError> {
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

/// The table as it is now.
#[derive(Default)]
struct Known {
    table: ArcSwapOption<Table>,
    /// A device had a secret once, though it may be revoked or its row lost.
    any_ever: AtomicBool,
    generation: AtomicU64,
}

impl Known {
    /// From now on this is what holds.
    fn set(&self, table: Table) {
        if table.len() > 0 {
            self.had_one();
        }
        self.table.store(Some(Arc::new(table)));
    }

    fn had_one(&self) {
        self.any_ever.store(true, Ordering::Release);
    }

    /// Some secret may have ceased to hold.
    fn secrets_ended(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }
}

impl DeviceCredentials for Known {
    fn find(&self, device: &str) -> Lookup {
        match &*self.table.load() {
            Some(table) => table.find(device, now_micros()),
            None => Lookup::Unavailable,
        }
    }

    fn any(&self) -> bool {
        self.table
            .load()
            .as_ref()
            .is_some_and(|table| table.len() > 0)
    }

    fn any_ever(&self) -> bool {
        self.any_ever.load(Ordering::Acquire)
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

/// Microseconds since 1970, UTC; a clock before that is none.
pub(crate) fn now_micros() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as i64)
}

#[cfg(test)]
mod tests;
