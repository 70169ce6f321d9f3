//! The thread that brings the log up to date.
//!
//! Owns: the open file, when it is synced, when it is rewritten. Never: holds the store's lock
//! while it writes. Invariant: a file that failed once is never written again; the next try writes
//! a new one from memory, which knows everything.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::{error, info};

use super::disk::{Disk, LogFile};
use super::record::{self, FILE_HEADER_BYTES};
use super::store::{Scan, Store, Unwritten};
use crate::clock::now_micros;
use crate::lock::{lock, read, write};

/// Topics written between two syncs: bounds how long a batch takes, not how many changes a second
/// are possible.
const BATCH_TOPICS: usize = 4096;
/// Bytes gathered for one write.
const WRITE_BYTES: usize = 1 << 20;
/// The log is not rewritten before so much of it is obsolete.
const GARBAGE_BYTES_MIN: u64 = 1 << 20;
/// After a failure, doubled up to the maximum while it goes on failing.
const RETRY: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);
/// How often expired messages are removed when nothing else happens.
const PURGE: Duration = Duration::from_secs(30);

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
    failure: Option<io::ErrorKind>,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
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
    /// Starts the thread. `reusable_bytes`: the length of a log at `path` that can be continued;
    /// otherwise a new one is written first. A full disk does not stop the start: the thread tries
    /// again.
    pub(super) fn start(
        disk: Box<dyn Disk>,
        path: PathBuf,
        shared: &Arc<Shared>,
        reusable_bytes: Option<u64>,
    ) -> io::Result<Writer> {
        let mut log = Log {
            shared: Arc::clone(shared),
            disk,
            path,
            file: None,
            bytes: 0,
            retry: None,
        };
        match reusable_bytes {
            Some(bytes) => {
                log.file = Some(log.disk.append(&log.path)?);
                log.bytes = bytes;
            }
            None => match log.rewrite() {
                Err(error) if is_disk_full(&error) => log.failed(&error),
                result => result?,
            },
        }
        let thread = std::thread::Builder::new()
            .name("retained".to_owned())
            .spawn(move || log.run())?;
        Ok(Writer {
            shared: Arc::clone(shared),
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(super) fn wake(&self) {
        lock(&self.shared.progress).wake = true;
        self.shared.changed.notify_all();
    }

    /// Waits until what has changed is synced, or until the disk fails.
    pub(super) fn flush(&self) -> io::Result<()> {
        let shared = &*self.shared;
        let changes = read(&shared.store).changes();
        let mut progress = lock(&shared.progress);
        let failures = progress.failures;
        progress.flush = true;
        shared.changed.notify_all();
        while progress.synced < changes {
            if progress.failures > failures || progress.stop {
                let kind = progress.failure.unwrap_or(io::ErrorKind::BrokenPipe);
                return Err(kind.into());
            }
            progress = shared
                .changed
                .wait(progress)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
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
    disk: Box<dyn Disk>,
    path: PathBuf,
    /// `None`: the log must be written anew.
    file: Option<Box<dyn LogFile>>,
    /// Bytes of the file.
    bytes: u64,
    /// After a failure: how long until the next try.
    retry: Option<Duration>,
}

impl Log {
    fn run(mut self) {
        loop {
            let stop = self.wait();
            write(&self.shared.store).purge(now_micros());
            match self.catch_up() {
                Ok(()) => self.recovered(),
                Err(error) => self.failed(&error),
            }
            if stop {
                return;
            }
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

    /// Writes and syncs until nothing is unwritten.
    fn catch_up(&mut self) -> io::Result<()> {
        loop {
            if self.file.is_none() || self.is_mostly_garbage() {
                self.rewrite()?;
            }
            let (batch, changes) = {
                let mut store = write(&self.shared.store);
                let batch = store.take_unwritten(BATCH_TOPICS);
                (batch, store.is_written().then(|| store.changes()))
            };
            if !batch.is_empty() {
                self.append(&batch)?;
            }
            if let Some(changes) = changes {
                self.synced(changes);
                return Ok(());
            }
        }
    }

    fn append(&mut self, batch: &[Unwritten]) -> io::Result<()> {
        // Until it has succeeded, the file counts as failed.
        let Some(mut file) = self.file.take() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let mut buffer = Buffer::new(&mut *file);
        for (topic, message) in batch {
            match message {
                Some(message) => record::encode_set(&mut buffer.bytes, message),
                None => record::encode_clear(&mut buffer.bytes, topic),
            }
            buffer.write_if_full()?;
        }
        self.bytes += buffer.finish()?;
        self.file = Some(file);
        Ok(())
    }

    /// Writes all that is in memory to a new file that takes the old one's place. What changes
    /// meanwhile is written after it.
    fn rewrite(&mut self) -> io::Result<()> {
        self.file = None;
        let temporary = self.path.with_extension("log.new");
        let result = self.write_new(&temporary);
        match result {
            Ok((file, bytes)) => {
                self.file = Some(file);
                self.bytes = bytes;
                Ok(())
            }
            Err(error) => {
                self.disk.remove(&temporary);
                Err(error)
            }
        }
    }

    fn write_new(&self, temporary: &Path) -> io::Result<(Box<dyn LogFile>, u64)> {
        let changes = {
            let mut store = write(&self.shared.store);
            store.forget_unwritten();
            store.changes()
        };
        let mut file = self.disk.create(temporary)?;
        let mut buffer = Buffer::new(&mut *file);
        buffer.bytes.extend_from_slice(&record::file_header());
        let mut page = Vec::new();
        let mut scan = Scan::everything();
        while !scan.is_done() {
            read(&self.shared.store).page(&mut scan, i64::MIN, &mut page);
            for message in page.drain(..) {
                record::encode_set(&mut buffer.bytes, &message);
                buffer.write_if_full()?;
            }
        }
        let bytes = buffer.finish()?;
        self.disk.replace(temporary, &self.path)?;
        self.synced(changes);
        Ok((file, bytes))
    }

    fn is_mostly_garbage(&self) -> bool {
        let live = FILE_HEADER_BYTES as u64 + read(&self.shared.store).record_bytes();
        self.bytes.saturating_sub(live) > live.max(GARBAGE_BYTES_MIN)
    }

    fn synced(&self, changes: u64) {
        let mut progress = lock(&self.shared.progress);
        progress.synced = progress.synced.max(changes);
        self.shared.changed.notify_all();
    }

    fn failed(&mut self, error: &io::Error) {
        if self.retry.is_none() {
            error!(
                %error,
                file = %self.path.display(),
                "cannot write retained messages: kept in memory until it is possible"
            );
        }
        self.file = None;
        self.retry = Some(self.retry.map_or(RETRY, |retry| RETRY_MAX.min(retry * 2)));
        let mut progress = lock(&self.shared.progress);
        progress.failures += 1;
        progress.failure = Some(error.kind());
        self.shared.changed.notify_all();
    }

    fn recovered(&mut self) {
        if self.retry.take().is_some() {
            info!(file = %self.path.display(), "retained messages are written again");
        }
    }
}

/// Gathers records into large writes.
struct Buffer<'a> {
    file: &'a mut dyn LogFile,
    bytes: Vec<u8>,
    written: u64,
}

impl<'a> Buffer<'a> {
    fn new(file: &'a mut dyn LogFile) -> Buffer<'a> {
        Buffer {
            file,
            bytes: Vec::new(),
            written: 0,
        }
    }

    fn write_if_full(&mut self) -> io::Result<()> {
        if self.bytes.len() < WRITE_BYTES {
            Ok(())
        } else {
            self.write()
        }
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all(&self.bytes)?;
        self.written += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }

    /// Writes and syncs the rest; the bytes written in all.
    fn finish(mut self) -> io::Result<u64> {
        self.write()?;
        self.file.sync()?;
        Ok(self.written)
    }
}

fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
