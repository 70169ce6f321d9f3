//! The thread `journal-writer`: group commit.
//!
//! Owns: the order in which frames are written, segments begun and segments removed. Never: waits
//! while something can be done. Invariant: after a failed write or fsync it does nothing more, so
//! what it has reported as durable stays true.

use std::error::Error as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crate::local::files::{Failure, Files, WriteError};
use crate::local::shared::{Scratch, Shared};
use crate::local::state::{Fullness, Pending, Reclaim, Stopped};

/// Entries of the list of taken chunks that are kept allocated: more than one frame seldom has.
const TAKEN_SPARE_MAX: usize = 16 << 10;

pub(crate) struct Writer {
    shared: Arc<Shared>,
    files: Files,
    /// Taken from what has gathered, in the order of positions; the first `done` of them are
    /// durable.
    taken: Vec<Pending>,
    done: usize,
    /// No space: wait until then, unless something is released.
    paused_until: Option<Instant>,
    scratch: Scratch,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, files: Files) -> Writer {
        Writer {
            shared,
            files,
            taken: Vec::new(),
            done: 0,
            paused_until: None,
            scratch: Scratch::default(),
        }
    }

    /// Runs until the journal is closed or a write fails.
    pub(crate) fn run(mut self) {
        // A panic here would leave everybody waiting for ever.
        let result = catch_unwind(AssertUnwindSafe(|| self.work()));
        let why = match result {
            Ok(Ok(())) => Stopped::Closed,
            Ok(Err(failure)) => {
                tracing::error!(
                    error = %failure,
                    cause = failure.source().map(tracing::field::display),
                    durable = self.shared.durable().0,
                    "the journal stopped: restart to recover what the disk holds",
                );
                Stopped::Failed
            }
            Err(_) => {
                tracing::error!("the journal stopped: its writer panicked");
                Stopped::Failed
            }
        };
        self.taken.drain(..self.done);
        self.shared.stop(why, self.taken);
    }

    fn work(&mut self) -> Result<(), Failure> {
        loop {
            let task = self
                .shared
                .next_task(&mut self.taken, &mut self.paused_until);
            if let Some(reclaim) = task.reclaim {
                match self.reclaim(reclaim) {
                    Ok(()) => {}
                    Err(WriteError::NoSpace(failure)) => self.pause(&failure),
                    Err(WriteError::Failed(failure)) => return Err(failure),
                }
            }
            let stuck = match self.commit_taken() {
                Ok(()) => false,
                Err(WriteError::NoSpace(failure)) => {
                    self.become_full(&failure);
                    true
                }
                Err(WriteError::Failed(failure)) => return Err(failure),
            };
            // What a full disk holds back at the end was never acknowledged.
            if task.closing && (stuck || !self.shared.has_gathered()) {
                return match self.files.return_promised_space() {
                    Ok(()) => Ok(()),
                    Err(WriteError::NoSpace(failure) | WriteError::Failed(failure)) => Err(failure),
                };
            }
        }
    }

    /// Writes everything taken, frame by frame.
    fn commit_taken(&mut self) -> Result<(), WriteError> {
        while self.done < self.taken.len() {
            let (frame, records_bytes) = self.next_frame();
            let first = self.taken[self.done].chunk.first();
            if self.files.is_segment_complete(records_bytes) {
                self.files.begin_segment(first)?;
                self.shared.lock().catalog.begin_segment(first);
            }
            let pendings = &self.taken[self.done..frame];
            let frame_bytes = self.files.write_frame(pendings)?;
            if self
                .shared
                .committed(pendings, frame_bytes, &mut self.scratch)
            {
                tracing::info!("the disk has space again: the journal goes on");
            }
            self.done = frame;
        }
        self.taken.clear();
        // A burst must not hold its memory for ever; this list and the one being gathered change
        // places.
        self.taken.shrink_to(TAKEN_SPARE_MAX);
        self.done = 0;
        Ok(())
    }

    /// Where the next frame ends in `taken`, and the bytes of its records: as much as the bound
    /// allows, at least one chunk.
    fn next_frame(&self) -> (usize, usize) {
        let bytes_max = self.shared.settings.frame_bytes_max;
        let mut bytes = self.taken[self.done].chunk.bytes().len();
        let mut end = self.done + 1;
        while let Some(pending) = self.taken.get(end) {
            let with = bytes + pending.chunk.bytes().len();
            if with > bytes_max {
                break;
            }
            bytes = with;
            end += 1;
        }
        (end, bytes)
    }

    fn reclaim(&mut self, reclaim: Reclaim) -> Result<(), WriteError> {
        match reclaim {
            Reclaim::Remove(first, bytes) => {
                self.shared.retire_oldest();
                self.files.remove_segment(first, bytes)?;
                self.shared.reclaimed(bytes, &mut self.scratch);
            }
            Reclaim::Rotate => {
                let first = self.shared.durable();
                self.files.begin_segment(first)?;
                self.shared.lock().catalog.begin_segment(first);
            }
        }
        Ok(())
    }

    fn become_full(&mut self, failure: &Failure) {
        let before = self.shared.lock().fullness.replace(Fullness::Disk);
        if before != Some(Fullness::Disk) {
            tracing::warn!(
                error = %failure,
                cause = failure.source().map(tracing::field::display),
                "the disk is full: the journal takes nothing until there is space",
            );
        }
        self.pause(failure);
    }

    fn pause(&mut self, failure: &Failure) {
        tracing::debug!(error = %failure, "no space, trying again later");
        self.paused_until = Some(Instant::now() + self.shared.settings.retry_interval);
    }
}
