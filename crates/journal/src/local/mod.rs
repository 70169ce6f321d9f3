//! The journal in a folder of this machine.
//!
//! Owns: opening, and the `Journal` promises over one folder. Never: locks the folder against other
//! processes (its user does). Invariant: one thread, `journal-writer`, does everything that changes
//! the folder.

mod files;
mod reader;
mod shared;
mod state;
mod tail;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::Duration;

use uuid::Uuid;

use crate::catalog::{Catalog, Segment};
use crate::config::Settings;
use crate::disk::{Disk, RealDisk};
use crate::error::{OpenError, io_error};
use crate::format::segment_name;
use crate::recovery::{Found, Scan, TornTail, scan};
use crate::{
    AppendError, Chunk, Journal, Poisoned, Position, ReadError, Reader, RecordBatch, State, Status,
};
use files::{Active, Files, WriteError, create_segment};
use reader::LocalReader;
use shared::{Scratch, Shared};
use state::{Fullness, Pending, Reclaim, Stopped, TaskKey, held_memory};
use writer::Writer;

/// A journal in a folder. Dropping it writes what has gathered and ends the writer thread.
pub struct LocalJournal {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What was found when the journal was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    pub identity: Uuid,
    /// There was no journal; this one is new.
    pub created: bool,
    pub start: Position,
    pub end: Position,
    pub segments: usize,
    pub size_bytes: u64,
    /// An unfinished frame that was cut off; nothing in it was acknowledged.
    pub torn_tail: Option<TornTail>,
}

impl LocalJournal {
    /// Opens the journal in `dir`, or creates one where there is none. Everything is read and
    /// checked (a second or so per gigabyte); a torn tail is cut; damage is an error and changes
    /// nothing.
    pub fn open(
        dir: &Path,
        settings: Settings,
        disk: Arc<dyn Disk>,
    ) -> Result<(LocalJournal, OpenReport), OpenError> {
        disk.create_dir(dir).map_err(io_error("create", dir))?;
        let opened = match scan(&*disk, dir, &mut |_| Ok(()))? {
            Found::Nothing { half_created } => {
                if let Some(path) = half_created {
                    disk.remove(&path).map_err(io_error("remove", &path))?;
                }
                Opened::create(&*disk, dir)?
            }
            Found::Journal(found) => Opened::recover(*found, &*disk, dir)?,
        };
        let Opened {
            report,
            catalog,
            active,
        } = opened;
        let identity = report.identity;
        let sealed_bytes = catalog.bytes() - active.offset;
        let files = Files::new(
            dir.to_owned(),
            Arc::clone(&disk),
            identity,
            &settings,
            active,
            sealed_bytes,
        );
        let state = state::State::new(catalog, report.end, &settings);
        let shared = Arc::new(Shared::new(identity, settings, dir.to_owned(), disk, state));
        let writer = Writer::new(Arc::clone(&shared), files);
        let thread = std::thread::Builder::new()
            .name("journal-writer".into())
            .spawn(move || writer.run())
            .map_err(OpenError::Thread)?;
        let journal = LocalJournal {
            shared,
            writer: Mutex::new(Some(thread)),
        };
        Ok((journal, report))
    }

    /// `open` on the operating system's files.
    pub fn open_dir(
        dir: &Path,
        settings: Settings,
    ) -> Result<(LocalJournal, OpenReport), OpenError> {
        LocalJournal::open(dir, settings, Arc::new(RealDisk))
    }

    /// Removes what was released since the writer ended in order. What cannot be removed is left to
    /// the next start, which releases it again.
    fn reclaim_closed(&self) {
        let Shared { dir, disk, .. } = &*self.shared;
        // One at a time: the names must never have a gap.
        let _alone = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let reclaim = self.shared.lock().reclaim();
            let Some(Reclaim::Remove(first, bytes)) = reclaim else {
                return;
            };
            let path = dir.join(segment_name(first));
            self.shared.retire_oldest();
            if let Err(error) = disk.remove(&path).and_then(|()| disk.sync_dir(dir)) {
                tracing::debug!(%error, path = %path.display(), "a released segment is left");
                return;
            }
            self.shared.reclaimed(bytes, &mut Scratch::default());
        }
    }
}

impl Drop for LocalJournal {
    fn drop(&mut self) {
        self.close();
    }
}

impl Journal for LocalJournal {
    fn identity(&self) -> Uuid {
        self.shared.identity
    }

    fn append(&self, batch: &mut RecordBatch, waker: &Waker) -> Result<Position, AppendError> {
        if batch.is_empty() {
            return Ok(self.durable());
        }
        // Whatever allocates is done before the lock is taken.
        let count = batch.len();
        let detached = batch.detach();
        let (copied, length) = (detached.copied, detached.bytes.len());
        let memory = held_memory(detached.memory);
        let waker = waker.clone();

        let mut state = self.shared.lock();
        let fullness = state.fullness;
        if let Err(error) = state.admit(length, memory, &self.shared.settings) {
            if state.fullness == fullness {
                drop(state);
            } else {
                // It has just become full: the writer may have space to reclaim.
                self.shared.nudge(state);
            }
            batch.restore(detached);
            return Err(error);
        }
        let chunk = Chunk::new(state.end, count, detached.bytes);
        let end = chunk.end();
        state.accept(Pending {
            chunk,
            waker,
            memory,
        });
        self.shared.appended(state);
        batch.settle(copied, length);
        Ok(end)
    }

    fn durable(&self) -> Position {
        self.shared.durable()
    }

    fn end(&self) -> Position {
        self.shared.end()
    }

    fn start(&self) -> Position {
        self.shared.start()
    }

    fn wake_when_writable(&self, waker: &Waker) {
        let mut state = self.shared.lock();
        // With nothing waiting for the disk, nothing that happens later would wake it.
        if state.stopped.is_some() || (state.fullness.is_none() && state.waiting_bytes == 0) {
            drop(state);
            waker.wake_by_ref();
            return;
        }
        let task = TaskKey::of(waker);
        state.writable.entry(task).or_insert_with(|| waker.clone());
    }

    fn wake_when_durable(&self, position: Position, waker: &Waker) {
        let mut state = self.shared.lock();
        if state.durable >= position || state.stopped.is_some() {
            drop(state);
            waker.wake_by_ref();
            return;
        }
        let key = (position, TaskKey::of(waker));
        let waiters = &mut state.durable_waiters;
        waiters.entry(key).or_insert_with(|| waker.clone());
    }

    fn wait_durable(&self, position: Position, timeout: Duration) -> Result<bool, Poisoned> {
        self.shared.wait_durable(position, timeout)
    }

    fn release(&self, up_to: Position) {
        let mut state = self.shared.lock();
        let up_to = up_to.min(state.end);
        if up_to <= state.released {
            return;
        }
        state.released = up_to;
        if state.stopped == Some(Stopped::Closed) {
            drop(state);
            self.reclaim_closed();
        } else if state.reclaim().is_some() {
            self.shared.nudge(state);
        }
    }

    fn reader(&self, from: Position) -> Result<Box<dyn Reader>, ReadError> {
        Ok(Box::new(LocalReader::new(Arc::clone(&self.shared), from)?))
    }

    fn close(&self) {
        let thread = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(thread) = thread else {
            return;
        };
        let mut state = self.shared.lock();
        state.closing = true;
        self.shared.nudge(state);
        // The writer catches its own panics.
        let _ = thread.join();
    }

    fn status(&self) -> Status {
        let state = self.shared.lock();
        let now = match (state.stopped, state.fullness) {
            (Some(Stopped::Failed), _) => State::Poisoned,
            (_, Some(Fullness::Limit | Fullness::Disk)) => State::Full,
            (_, None) => State::Open,
        };
        Status {
            state: now,
            start: state.catalog.start(),
            durable: state.durable,
            end: state.end,
            size_bytes: state.catalog.bytes(),
            size_bytes_max: self.shared.settings.max_size_bytes,
            limit_reached: state.limit_reached,
        }
    }
}

/// A folder ready to be written to.
struct Opened {
    report: OpenReport,
    catalog: Catalog,
    active: Active,
}

impl Opened {
    fn create(disk: &dyn Disk, dir: &Path) -> Result<Opened, OpenError> {
        let identity = Uuid::new_v4();
        let active = match create_segment(disk, dir, identity, Position::ZERO) {
            Ok(active) => active,
            Err(WriteError::NoSpace(failure) | WriteError::Failed(failure)) => {
                return Err(failure.into_open_error());
            }
        };
        let catalog = Catalog::new(vec![Segment::new(Position::ZERO)]);
        Ok(Opened {
            report: OpenReport {
                identity,
                created: true,
                start: Position::ZERO,
                end: Position::ZERO,
                segments: 1,
                size_bytes: catalog.bytes(),
                torn_tail: None,
            },
            catalog,
            active,
        })
    }

    fn recover(mut found: Scan, disk: &dyn Disk, dir: &Path) -> Result<Opened, OpenError> {
        let file = found.mend(disk, dir)?;
        let segments = found.segments.len();
        let last = &found.segments[segments - 1];
        let active = Active {
            path: dir.join(segment_name(last.first)),
            file,
            offset: last.bytes,
            promised: found.file_bytes[segments - 1],
        };
        let catalog = Catalog::new(found.segments);
        Ok(Opened {
            report: OpenReport {
                identity: found.identity,
                created: false,
                start: catalog.start(),
                end: found.end,
                segments,
                size_bytes: catalog.bytes(),
                torn_tail: found.torn_tail,
            },
            catalog,
            active,
        })
    }
}
