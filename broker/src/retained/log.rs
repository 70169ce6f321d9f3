//! The thread that brings the journal up to date.
//!
//! Owns: what of the store the journal lacks, when it is compacted, and what happens when it fails.
//! Never: holds the store's lock while it writes. Invariant: a journal that has failed is opened
//! again and written whole from memory, which knows everything.
//!
//! Compaction writes every message once more, waits until all that is durable, and releases what
//! was before. What changes meanwhile is written behind it. When the disk is full it goes on later
//! where it stopped, so that it takes the space only once.

use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use journal::{AppendError, Journal, Position, RecordBatch, State};
use tracing::{error, info};

use super::OpenError;
use super::home::{Home, Loaded, is_disk_full};
use super::record;
use super::store::{Scan, Store, Unwritten};
use crate::clock::now_micros;
use crate::lock::{lock, read, write};

/// Topics written between two waits for the disk.
const BATCH_TOPICS: usize = 4096;
/// Bytes gathered for one append.
const APPEND_BYTES: usize = 1 << 20;
/// What an append costs in the journal beside its records.
const FRAME_BYTES: u64 = 32;
/// The journal is not compacted before so much of it is obsolete.
const GARBAGE_BYTES_MIN: u64 = 1 << 20;
/// After a failure, doubled up to the maximum while it goes on failing.
const RETRY: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// How often expired messages are removed when nothing else happens.
const PURGE: Duration = Duration::from_secs(30);
/// How often a wait for the disk looks whether that is full.
const LOOK: Duration = Duration::from_millis(100);
/// How long the end waits for a full disk: the journal tries again each second, and what ended
/// before it may have given space back.
const FINISH_PATIENCE: Duration = Duration::from_secs(3);

/// What the connections and the thread share.
pub(super) struct Shared {
    pub(super) store: RwLock<Store>,
    progress: Mutex<Progress>,
    /// The thread waits for `wake` and `stop`, `flush` for `synced` and `failures`.
    changed: Condvar,
}

#[derive(Default)]
struct Progress {
    /// Something may be unwritten.
    wake: bool,
    /// Somebody waits for it, so a pause after a failure is cut short.
    flush: bool,
    stop: bool,
    /// How many of the store's changes survive power loss.
    synced: u64,
    failures: u64,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Why something is not written now.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Refused(#[from] AppendError),
}

impl Shared {
    pub(super) fn new(store: Store) -> Shared {
        Shared {
            store: RwLock::new(store),
            progress: Mutex::default(),
            changed: Condvar::new(),
        }
    }
}

impl Writer {
    /// Starts the thread. A journal that lacks something is written first. A full disk does not
    /// stop the start: the thread tries again.
    pub(super) fn start(
        home: Home,
        loaded: Loaded,
        shared: &Arc<Shared>,
    ) -> Result<Writer, OpenError> {
        let mut log = Log {
            shared: Arc::clone(shared),
            home,
            journal: loaded.journal,
            bytes: loaded.bytes,
            is_complete: loaded.is_complete,
            compaction: None,
            retry: None,
        };
        if !loaded.is_complete {
            match log.compact() {
                Err(Failure::Open(error)) if !is_disk_full(&error) => return Err(error),
                Err(failure) => log.failed(&failure),
                Ok(()) => {}
            }
        }
        let thread = std::thread::Builder::new()
            .name("retained".to_owned())
            .spawn(move || log.run())
            .map_err(OpenError::Thread)?;
        Ok(Writer {
            shared: Arc::clone(shared),
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(super) fn wake(&self) {
        lock(&self.shared.progress).wake = true;
        self.shared.changed.notify_all();
    }

    /// Waits until what has changed is synced; false when the disk fails meanwhile.
    pub(super) fn flush(&self) -> bool {
        let shared = &*self.shared;
        let changes = read(&shared.store).changes();
        let mut progress = lock(&shared.progress);
        let failures = progress.failures;
        progress.flush = true;
        shared.changed.notify_all();
        while progress.synced < changes {
            if progress.failures > failures || progress.stop {
                return false;
            }
            progress = shared
                .changed
                .wait(progress)
                .unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    /// How many changes would not survive power loss.
    pub(super) fn unsynced(&self) -> u64 {
        let changes = read(&self.shared.store).changes();
        changes.saturating_sub(lock(&self.shared.progress).synced)
    }

    pub(super) fn stop(&self) {
        lock(&self.shared.progress).stop = true;
        self.shared.changed.notify_all();
        if let Some(thread) = lock(&self.thread).take()
            && thread.join().is_err()
        {
            error!("the thread that writes retained messages panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The thread's own side.
struct Log {
    shared: Arc<Shared>,
    home: Home,
    /// `None`: it has failed, or there was no space for it.
    journal: Option<Arc<dyn Journal>>,
    /// Bytes in it, about; the obsolete ones too.
    bytes: u64,
    /// Otherwise the journal may lack something that memory has, whatever is unwritten.
    is_complete: bool,
    /// One that has begun and is not complete.
    compaction: Option<Compaction>,
    /// After a failure: how long until the next try.
    retry: Option<Duration>,
}

/// How far a compaction has come.
struct Compaction {
    /// Where it began; everything before is released at its end.
    from: Position,
    /// The topic that was written last.
    after: Option<Arc<str>>,
    is_written: bool,
    /// Bytes in the journal when it began.
    bytes_before: u64,
}

impl Log {
    fn run(mut self) {
        loop {
            let stop = self.wait();
            write(&self.shared.store).purge(now_micros());
            if stop {
                self.finish();
                return;
            }
            self.try_to_catch_up();
        }
    }

    /// Waits for something to do; true when it is the last time.
    fn wait(&self) -> bool {
        let purge = read(&self.shared.store).has_expiring().then_some(PURGE);
        let mut progress = lock(&self.shared.progress);
        // While the disk fails, new changes do not shorten the wait.
        let timeout = self.retry.or(purge);
        let waits = |progress: &mut Progress| {
            let woken = progress.wake && self.retry.is_none();
            !(progress.stop || progress.flush || woken)
        };
        progress = match timeout {
            Some(timeout) => {
                let waited = self
                    .shared
                    .changed
                    .wait_timeout_while(progress, timeout, waits);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let waited = self.shared.changed.wait_while(progress, waits);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        };
        progress.wake = false;
        progress.flush = false;
        progress.stop
    }

    fn try_to_catch_up(&mut self) -> bool {
        let caught_up = self.catch_up();
        match &caught_up {
            Ok(()) => self.recovered(),
            Err(failure) => self.failed(failure),
        }
        caught_up.is_ok()
    }

    /// The last chance of what a full disk has kept in memory.
    fn finish(&mut self) {
        let deadline = Instant::now() + FINISH_PATIENCE;
        while !self.try_to_catch_up() && Instant::now() < deadline {
            let Some(journal) = &self.journal else {
                return;
            };
            let rest = deadline.saturating_duration_since(Instant::now());
            // Until the disk has taken what it refused.
            if !matches!(journal.wait_durable(journal.end(), rest), Ok(true)) {
                break;
            }
        }
        if let Some(journal) = &self.journal {
            journal.close();
        }
    }

    /// Writes until nothing is unwritten, and waits until that is durable.
    fn catch_up(&mut self) -> Result<(), Failure> {
        loop {
            if !self.is_complete || self.compaction.is_some() || self.is_mostly_garbage() {
                self.compact()?;
            }
            let (batch, changes) = {
                let mut store = write(&self.shared.store);
                let batch = store.take_unwritten(BATCH_TOPICS);
                (batch, store.is_written().then(|| store.changes()))
            };
            if let Err(failure) = self.append(&batch) {
                write(&self.shared.store).put_back_unwritten(batch);
                return Err(failure);
            }
            if let Some(changes) = changes {
                self.synced(changes);
                return Ok(());
            }
        }
    }

    fn append(&mut self, batch: &[Unwritten]) -> Result<(), Failure> {
        let mut records = Records::default();
        for (topic, message) in batch {
            record::encode(
                &mut records.batch,
                topic,
                message.as_deref(),
                &mut records.scratch,
            );
            self.append_if_many(&mut records)?;
        }
        self.append_records(&mut records)?;
        self.wait_durable()
    }

    /// Writes all that is in memory, and releases what was before.
    fn compact(&mut self) -> Result<(), Failure> {
        let journal = self.open_journal()?;
        let mut compaction = self.compaction.take().unwrap_or_else(|| Compaction {
            from: journal.end(),
            after: None,
            is_written: false,
            bytes_before: self.bytes,
        });
        let done = self.continue_compaction(&mut compaction);
        if let Err(failure) = done {
            // A journal that has failed is begun anew.
            self.compaction = self.journal.is_some().then_some(compaction);
            return Err(failure);
        }
        journal.release(compaction.from);
        self.bytes = self.bytes.saturating_sub(compaction.bytes_before);
        if !self.is_complete {
            self.home.note()?;
            self.is_complete = true;
        }
        Ok(())
    }

    fn continue_compaction(&mut self, compaction: &mut Compaction) -> Result<(), Failure> {
        let mut records = Records::default();
        let mut page = Vec::new();
        while !compaction.is_written {
            let mut scan = Scan::everything(compaction.after.clone());
            read(&self.shared.store).page(&mut scan, i64::MIN, &mut page);
            for message in page.drain(..) {
                record::encode(
                    &mut records.batch,
                    &message.topic,
                    Some(&message),
                    &mut records.scratch,
                );
                self.append_if_many(&mut records)?;
            }
            // The page counts as written when all of it is handed over.
            self.append_records(&mut records)?;
            compaction.is_written = scan.is_done();
            compaction.after = scan.into_after();
        }
        self.wait_durable()
    }

    fn append_if_many(&mut self, records: &mut Records) -> Result<(), Failure> {
        if records.batch.byte_len() < APPEND_BYTES {
            return Ok(());
        }
        self.append_records(records)
    }

    fn append_records(&mut self, records: &mut Records) -> Result<(), Failure> {
        let bytes = records.batch.byte_len() as u64;
        let journal = self.open_journal()?;
        loop {
            match journal.append(&mut records.batch, Waker::noop()) {
                Ok(_) => {
                    self.bytes += bytes + FRAME_BYTES;
                    return Ok(());
                }
                Err(AppendError::Busy) => self.wait_durable()?,
                Err(error) => return Err(self.refused(error)),
            }
        }
    }

    /// Until everything that was appended is durable.
    fn wait_durable(&mut self) -> Result<(), Failure> {
        let journal = self.open_journal()?;
        loop {
            match journal.wait_durable(journal.end(), LOOK) {
                Ok(true) => return Ok(()),
                Ok(false) if journal.status().state == State::Full => {
                    return Err(AppendError::Full.into());
                }
                Ok(false) => {}
                Err(poisoned) => return Err(self.refused(poisoned.into())),
            }
        }
    }

    /// The journal; one that has failed is opened again, and lacks something from then on.
    fn open_journal(&mut self) -> Result<Arc<dyn Journal>, Failure> {
        if let Some(journal) = &self.journal {
            return Ok(Arc::clone(journal));
        }
        let journal = self.home.reopen()?;
        self.journal = Some(Arc::clone(&journal));
        Ok(journal)
    }

    fn refused(&mut self, error: AppendError) -> Failure {
        if let AppendError::Poisoned(_) = error {
            self.journal = None;
            self.is_complete = false;
        }
        error.into()
    }

    fn is_mostly_garbage(&self) -> bool {
        let live = read(&self.shared.store).record_bytes();
        self.bytes.saturating_sub(live) > live.max(GARBAGE_BYTES_MIN)
    }

    fn synced(&self, changes: u64) {
        let mut progress = lock(&self.shared.progress);
        progress.synced = progress.synced.max(changes);
        self.shared.changed.notify_all();
    }

    fn failed(&mut self, failure: &Failure) {
        if self.retry.is_none() {
            error!(
                error = %failure,
                folder = %self.home.path().display(),
                "cannot write retained messages: kept in memory until it is possible"
            );
        }
        self.retry = Some(self.retry.map_or(RETRY, |retry| RETRY_MAX.min(retry * 2)));
        lock(&self.shared.progress).failures += 1;
        self.shared.changed.notify_all();
    }

    fn recovered(&mut self) {
        if self.retry.take().is_some() {
            info!(folder = %self.home.path().display(), "retained messages are written again");
        }
    }
}

/// Records on their way into the journal.
#[derive(Default)]
struct Records {
    batch: RecordBatch,
    scratch: Vec<u8>,
}
