//! A journal whose disk is in the hand of whoever tries the gate.
//!
//! Owns: the records, in memory, and who waits for them. Never: calls a record durable, or takes
//! one again after it was told to refuse, before it is told to.

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::Duration;

use journal::{
    AppendError, Chunk, Interrupter, Journal, Poisoned, Position, ReadError, Reader, Record,
    RecordBatch, State, Status,
};

use crate::lock::lock;

/// Takes records and calls them durable when told to.
#[derive(Default)]
pub(crate) struct HandJournal {
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    chunks: Vec<Chunk>,
    end: Position,
    durable: Position,
    refuse: Option<AppendError>,
    /// Woken when everything is durable: who appended, and who asked for a position.
    appenders: Vec<Waker>,
    waiters: Vec<(Position, Waker)>,
    /// Woken when what is refused changes.
    await_room: Vec<Waker>,
}

impl HandJournal {
    /// Everything that was appended is durable now.
    pub(crate) fn sync(&self) {
        let (appenders, waiters) = {
            let memory = &mut *self.memory();
            memory.durable = memory.end;
            (
                std::mem::take(&mut memory.appenders),
                std::mem::take(&mut memory.waiters),
            )
        };
        let waiters = waiters.into_iter().map(|(_, waker)| waker);
        appenders.into_iter().chain(waiters).for_each(Waker::wake);
    }

    /// The positions that somebody waits for who has not appended what lies before them.
    #[cfg(test)]
    pub(crate) fn awaited(&self) -> Vec<Position> {
        let memory = self.memory();
        memory
            .waiters
            .iter()
            .map(|(position, _)| *position)
            .collect()
    }

    /// As a crash of the machine leaves it.
    pub(crate) fn lose_what_is_not_durable(&self) {
        let memory = &mut *self.memory();
        let durable = memory.durable;
        // One sync makes all durable that there is, so no chunk is so in part.
        memory.chunks.retain(|chunk| chunk.end() <= durable);
        memory.end = durable;
        memory.appenders.clear();
        memory.waiters.clear();
    }

    /// What every further append fails with; `None`: nothing any more.
    pub(crate) fn refuse(&self, error: Option<AppendError>) {
        let waiting = {
            let mut memory = self.memory();
            memory.refuse = error;
            // Also when it is another error: what was refused for that one is answered in another
            // way.
            std::mem::take(&mut memory.await_room)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// How many of the records are meant: of those that are durable, and of all.
    pub(crate) fn count(&self, is_meant: impl Fn(&Record<'_>) -> bool) -> (usize, usize) {
        let memory = self.memory();
        let records = memory.chunks.iter().flat_map(Chunk::records);
        let meant = records.filter(|(_, record)| is_meant(record));
        meant.fold((0, 0), |(durable, all), (position, _)| {
            (durable + usize::from(position < memory.durable), all + 1)
        })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        lock(&self.memory)
    }
}

/// Reads what was there when it was made.
struct HandReader {
    rest: Option<Chunk>,
    position: Position,
}

impl Reader for HandReader {
    fn position(&self) -> Position {
        self.position
    }

    fn read(
        &mut self,
        chunks: &mut Vec<Chunk>,
        _max_bytes: usize,
        _timeout: Duration,
    ) -> Result<usize, ReadError> {
        let Some(chunk) = self.rest.take() else {
            return Ok(0);
        };
        self.position = chunk.end();
        let count = chunk.len() as usize;
        chunks.push(chunk);
        Ok(count)
    }

    fn interrupter(&self) -> Interrupter {
        Interrupter(Arc::new(|| ()))
    }
}

impl Journal for HandJournal {
    fn identity(&self) -> uuid::Uuid {
        uuid::Uuid::nil()
    }

    fn append(&self, batch: &mut RecordBatch, waker: &Waker) -> Result<Position, AppendError> {
        let mut memory = self.memory();
        if let Some(error) = memory.refuse {
            return Err(error);
        }
        let chunk = batch.take(memory.end);
        memory.end = chunk.end();
        memory.chunks.push(chunk);
        memory.appenders.push(waker.clone());
        Ok(memory.end)
    }

    fn durable(&self) -> Position {
        self.memory().durable
    }

    fn end(&self) -> Position {
        self.memory().end
    }

    fn start(&self) -> Position {
        Position::ZERO
    }

    fn wake_when_writable(&self, waker: &Waker) {
        self.memory().await_room.push(waker.clone());
    }

    fn wake_when_durable(&self, position: Position, waker: &Waker) {
        let mut memory = self.memory();
        if position <= memory.durable {
            drop(memory);
            waker.wake_by_ref();
        } else {
            memory.waiters.push((position, waker.clone()));
        }
    }

    fn wait_durable(&self, _position: Position, _timeout: Duration) -> Result<bool, Poisoned> {
        unreachable!("the gate never blocks")
    }

    fn release(&self, _up_to: Position) {}

    fn reader(&self, from: Position) -> Result<Box<dyn Reader>, ReadError> {
        let memory = self.memory();
        let mut batch = RecordBatch::new();
        let records = memory.chunks.iter().flat_map(Chunk::records);
        records
            .filter(|(position, _)| *position >= from)
            .for_each(|(_, record)| batch.push(&record));
        Ok(Box::new(HandReader {
            rest: Some(batch.take(from)),
            position: from,
        }))
    }

    fn status(&self) -> Status {
        Status {
            state: State::Open,
            start: Position::ZERO,
            durable: self.durable(),
            end: self.end(),
            size_bytes: 0,
            size_bytes_max: 0,
            limit_reached: 0,
        }
    }

    fn close(&self) {}
}
