//! Reading the journal from a position on.
//!
//! Owns: one reader's place. Never: holds the lock while it reads a file. Invariant: what it
//! returns follows without a gap what it returned before.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::catalog::Place;
use crate::disk::Access;
use crate::format::{Mark, segment_name};
use crate::local::shared::Shared;
use crate::walk::{FrameWalk, Step};
use crate::{Chunk, Interrupter, Position, ReadError, Reader};

pub(crate) struct LocalReader {
    shared: Arc<Shared>,
    position: Position,
    interrupted: Arc<AtomicBool>,
    cursor: Option<Cursor>,
}

/// An open segment file; where its walk stands need not be where the reader stands.
struct Cursor {
    segment: Position,
    walk: FrameWalk,
}

/// Where the next records are.
enum Source {
    /// They were in memory and are collected.
    Memory,
    Disk(Place),
    Nothing,
}

impl LocalReader {
    pub(crate) fn new(shared: Arc<Shared>, from: Position) -> Result<LocalReader, ReadError> {
        let state = shared.lock();
        let (start, end) = (state.catalog.start(), state.end);
        drop(state);
        if from < start {
            return Err(ReadError::Released {
                position: from,
                start,
            });
        }
        if from > end {
            return Err(ReadError::Beyond {
                position: from,
                end,
            });
        }
        Ok(LocalReader {
            shared,
            position: from,
            interrupted: Arc::default(),
            cursor: None,
        })
    }
}

impl Reader for LocalReader {
    fn position(&self) -> Position {
        self.position
    }

    fn read(
        &mut self,
        chunks: &mut Vec<Chunk>,
        max_bytes: usize,
        timeout: Duration,
    ) -> Result<usize, ReadError> {
        let begin = chunks.len();
        match self.find(chunks, max_bytes, timeout)? {
            Source::Memory => {
                // The first chunk may begin before the place where this reader stands.
                if chunks[begin].first() < self.position {
                    chunks[begin] = chunks[begin].clone().starting_at(self.position);
                }
            }
            Source::Disk(place) => self.read_disk(place, chunks, max_bytes)?,
            Source::Nothing => return Ok(0),
        }
        let from = self.position;
        if let Some(last) = chunks[begin..].last() {
            self.position = last.end();
        }
        Ok(self.position.since(from) as usize)
    }

    fn interrupter(&self) -> Interrupter {
        let interrupted = Arc::clone(&self.interrupted);
        let shared = Arc::clone(&self.shared);
        Interrupter(Arc::new(move || {
            interrupted.store(true, Ordering::Release);
            shared.interrupt_readers();
        }))
    }
}

impl LocalReader {
    /// Collects what is in memory, or says where to read; waits while there is nothing.
    fn find(
        &self,
        chunks: &mut Vec<Chunk>,
        max_bytes: usize,
        timeout: Duration,
    ) -> Result<Source, ReadError> {
        let mut deadline = None;
        let mut state = self.shared.lock();
        loop {
            if self.interrupted.swap(false, Ordering::AcqRel) {
                return Ok(Source::Nothing);
            }
            let start = state.catalog.start();
            if self.position < start {
                return Err(self.released(start));
            }
            if self.position < state.tail.start() {
                return Ok(Source::Disk(state.catalog.place(self.position)));
            }
            if self.position < state.end {
                state.tail.collect(self.position, max_bytes, chunks);
                return Ok(Source::Memory);
            }
            // The clock is looked at only by those who have to wait.
            let until = *deadline.get_or_insert_with(|| Instant::now().checked_add(timeout));
            if timeout.is_zero() || until.is_some_and(|until| Instant::now() >= until) {
                return Ok(Source::Nothing);
            }
            state = self.shared.wait_grown(state, until);
        }
    }

    fn read_disk(
        &mut self,
        place: Place,
        chunks: &mut Vec<Chunk>,
        max_bytes: usize,
    ) -> Result<(), ReadError> {
        let begin = chunks.len();
        let position = self.position;
        let mut cursor = self.cursor_at(place)?;
        let mut bytes = 0;
        loop {
            let step = cursor
                .walk
                .step()
                .map_err(|source| ReadError::Io { position, source })?;
            match step {
                Step::Frame(frame) => {
                    if frame.header.end() <= position {
                        continue;
                    }
                    let header = frame.header;
                    let chunk =
                        Chunk::new(header.first, header.count, frame.records).starting_at(position);
                    bytes += chunk.bytes().len();
                    chunks.push(chunk);
                    if bytes >= max_bytes {
                        break;
                    }
                }
                Step::End if chunks.len() > begin => break,
                Step::End => return Err(damaged(position, "the segment ends too early".into())),
                // What was read before it is good; the next read finds the fault again.
                Step::Broken(_) if chunks.len() > begin => break,
                Step::Broken(fault) => return Err(damaged(position, fault.to_string())),
            }
        }
        self.cursor = Some(cursor);
        Ok(())
    }

    /// The open segment, if it stands at this reader's position; else the one at `place`.
    fn cursor_at(&mut self, place: Place) -> Result<Cursor, ReadError> {
        if let Some(mut cursor) = self.cursor.take()
            && cursor.segment == place.segment
            && cursor.walk.position() == self.position
        {
            cursor.walk.extend(place.limit);
            return Ok(cursor);
        }
        let path = self.shared.dir.join(segment_name(place.segment));
        let file = match self.shared.disk.open(&path, Access::Read) {
            Ok(file) => file,
            Err(source) => {
                let start = self.shared.start();
                if source.kind() == io::ErrorKind::NotFound && self.position < start {
                    return Err(self.released(start));
                }
                return Err(ReadError::Io {
                    position: self.position,
                    source,
                });
            }
        };
        let mark = Mark::of(self.shared.identity);
        Ok(Cursor {
            segment: place.segment,
            walk: FrameWalk::new(file, mark, place),
        })
    }

    fn released(&self, start: Position) -> ReadError {
        ReadError::Released {
            position: self.position,
            start,
        }
    }
}

fn damaged(position: Position, reason: String) -> ReadError {
    ReadError::Damaged { position, reason }
}
