//! What appenders, readers and the writer thread share under one lock.
//!
//! Owns: positions, what waits for the disk, when an append is refused. Never: does I/O, wakes
//! anybody (it says whom to wake). Invariant: everything accepted has space reserved under the size
//! limit, even if each chunk became a frame in a segment of its own.

use std::collections::{BTreeMap, HashMap};
use std::task::Waker;

use crate::catalog::Catalog;
use crate::config::Settings;
use crate::format::{FRAME_HEADER_BYTES, FRAME_RECORDS_BYTES_LIMIT, SEGMENT_HEADER_BYTES};
use crate::local::tail::{CHUNK_OVERHEAD_BYTES, Tail};
use crate::{AppendError, Chunk, Poisoned, Position};

/// A chunk on its way to the disk.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) chunk: Chunk,
    pub(crate) waker: Waker,
    /// Bytes of memory it holds.
    pub(crate) memory: u64,
}

impl Pending {
    /// The space reserved for it: a frame and a segment of its own.
    pub(crate) fn reserve(&self) -> u64 {
        reserve(self.chunk.bytes().len())
    }
}

/// A frame that is durable, summed up outside the lock.
#[derive(Debug)]
pub(crate) struct CommittedFrame {
    pub(crate) end: Position,
    pub(crate) frame_bytes: u64,
    memory: u64,
    reserved: u64,
}

impl CommittedFrame {
    /// `None` when there are no `pendings`.
    pub(crate) fn of(pendings: &[Pending], frame_bytes: u64) -> Option<CommittedFrame> {
        Some(CommittedFrame {
            end: pendings.last()?.chunk.end(),
            frame_bytes,
            memory: pendings.iter().map(|pending| pending.memory).sum(),
            reserved: pendings.iter().map(Pending::reserve).sum(),
        })
    }
}

/// Why appends are refused for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fullness {
    /// `max_size` is reached.
    Limit,
    /// The file system has no space.
    Disk,
}

/// Why the writer thread is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    Closed,
    Failed,
}

/// Tells one task from another by its waker: two that are equal wake the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TaskKey {
    data: usize,
    vtable: usize,
}

impl TaskKey {
    pub(crate) fn of(waker: &Waker) -> TaskKey {
        TaskKey {
            data: waker.data() as usize,
            vtable: std::ptr::from_ref(waker.vtable()) as usize,
        }
    }
}

/// What the writer can do to get space back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reclaim {
    /// Remove the oldest segment: its first position and its bytes.
    Remove(Position, u64),
    /// Begin a new segment so that the active one, wholly released, can be removed.
    Rotate,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) end: Position,
    pub(crate) durable: Position,
    pub(crate) released: Position,
    pub(crate) tail: Tail,
    pub(crate) catalog: Catalog,
    /// Accepted, and not taken by the writer yet.
    pub(crate) gathered: Vec<Pending>,
    /// Memory of everything accepted and not durable.
    pub(crate) waiting_bytes: u64,
    /// Space reserved for everything accepted and not durable.
    pub(crate) reserved_bytes: u64,
    pub(crate) fullness: Option<Fullness>,
    /// How often the size limit was.
    pub(crate) limit_reached: u64,
    pub(crate) stopped: Option<Stopped>,
    pub(crate) closing: bool,
    /// Something was released since the writer looked last.
    pub(crate) nudged: bool,
    /// Who waits to append again, once each: a task that asks twice is the same task.
    pub(crate) writable: HashMap<TaskKey, Waker>,
    /// Who waits for a position to be durable without an append of their own; once for each
    /// position, however often a task that is woken for other reasons asks.
    pub(crate) durable_waiters: BTreeMap<(Position, TaskKey), Waker>,
    /// The writer waits on `work`; cleared by whoever signals it.
    pub(crate) writer_sleeps: bool,
    /// Some readers wait on `grown`; cleared by whoever signals them.
    pub(crate) readers_wait: bool,
    /// Some threads wait on `settled`; cleared by whoever signals them.
    pub(crate) settlers_wait: bool,
}

impl State {
    pub(crate) fn new(catalog: Catalog, end: Position, settings: &Settings) -> State {
        State {
            end,
            durable: end,
            released: catalog.start(),
            tail: Tail::new(end, settings.tail_memory_bytes),
            catalog,
            gathered: Vec::new(),
            waiting_bytes: 0,
            reserved_bytes: 0,
            fullness: None,
            limit_reached: 0,
            stopped: None,
            closing: false,
            nudged: false,
            writable: HashMap::new(),
            durable_waiters: BTreeMap::new(),
            writer_sleeps: false,
            readers_wait: false,
            settlers_wait: false,
        }
    }

    /// Whether a batch of `bytes` that holds `memory` may be appended; being full is noted.
    pub(crate) fn admit(
        &mut self,
        bytes: usize,
        memory: u64,
        settings: &Settings,
    ) -> Result<(), AppendError> {
        if self.stopped.is_some() || self.closing {
            return Err(Poisoned.into());
        }
        if self.fullness.is_some() {
            return Err(AppendError::Full);
        }
        // One more segment header, so that a new segment can be begun beside a full one.
        let needed = reserve(bytes) + SEGMENT_HEADER_BYTES;
        if bytes > FRAME_RECORDS_BYTES_LIMIT
            || needed + SEGMENT_HEADER_BYTES > settings.max_size_bytes
        {
            // It would not fit into an empty journal either: not a state in which others have to
            // wait.
            return Err(AppendError::Full);
        }
        if self.catalog.bytes() + self.reserved_bytes + needed > settings.max_size_bytes {
            self.fullness = Some(Fullness::Limit);
            self.limit_reached += 1;
            return Err(AppendError::Full);
        }
        if self.waiting_bytes > 0 && self.waiting_bytes + memory > settings.write_buffer_bytes {
            return Err(AppendError::Busy);
        }
        Ok(())
    }

    /// Takes in a batch that `admit` let pass.
    pub(crate) fn accept(&mut self, pending: Pending) {
        self.end = pending.chunk.end();
        self.waiting_bytes += pending.memory;
        self.reserved_bytes += pending.reserve();
        self.tail.push(pending.chunk.clone(), pending.memory);
        self.gathered.push(pending);
    }

    /// The next frame is durable. Returns whether this ended the lack of disk space.
    pub(crate) fn commit(&mut self, frame: &CommittedFrame) -> bool {
        self.catalog.add_frame(self.durable, frame.frame_bytes);
        self.durable = frame.end;
        self.waiting_bytes -= frame.memory;
        self.reserved_bytes -= frame.reserved;
        let recovered = self.fullness == Some(Fullness::Disk);
        if recovered {
            self.fullness = None;
        }
        recovered
    }

    pub(crate) fn reclaim(&self) -> Option<Reclaim> {
        if let Some((first, bytes)) = self.catalog.removable(self.released) {
            return Some(Reclaim::Remove(first, bytes));
        }
        let active_is_released =
            self.released >= self.durable && self.catalog.active() < self.durable;
        (self.fullness.is_some() && active_is_released).then_some(Reclaim::Rotate)
    }

    /// The file of a retired segment of `bytes` is gone.
    pub(crate) fn reclaimed(&mut self, bytes: u64) {
        self.catalog.reclaimed(bytes);
        if self.fullness == Some(Fullness::Limit) {
            self.fullness = None;
        }
    }

    /// Wakers of those who may try to append again. Half of the write buffer must be free, or they
    /// would come one by one.
    pub(crate) fn take_writable(&mut self, settings: &Settings, out: &mut Vec<Waker>) {
        let free = self.fullness.is_none()
            && self.waiting_bytes <= settings.write_buffer_bytes / 2
            && !self.writable.is_empty();
        if free || self.stopped.is_some() {
            out.extend(self.writable.drain().map(|(_, waker)| waker));
        }
    }

    /// Wakers of those whose position is durable by now; of all when there will be no more.
    pub(crate) fn take_durable_waiters(&mut self, out: &mut Vec<Waker>) {
        while let Some(first) = self.durable_waiters.first_entry() {
            let (position, _) = *first.key();
            if position > self.durable && self.stopped.is_none() {
                break;
            }
            out.push(first.remove());
        }
    }
}

/// The memory a batch of `memory` bytes costs while it is held.
pub(crate) fn held_memory(memory: usize) -> u64 {
    memory as u64 + CHUNK_OVERHEAD_BYTES
}

fn reserve(bytes: usize) -> u64 {
    bytes as u64 + FRAME_HEADER_BYTES + SEGMENT_HEADER_BYTES
}
