//! The chunks that readers at the tail find in memory.
//!
//! Owns: how much memory they may hold. Never: knows who reads. Invariant: the chunks follow each
//! other without gaps and hold everything that is not durable yet.

use std::collections::VecDeque;

use crate::{Chunk, Position};

/// What a chunk costs beside its bytes: its entries here and in the writer's list, the reference
/// count, the waker, the allocator's headers. Counted so that many chunks of one small record
/// cannot outgrow the budget.
pub(crate) const CHUNK_OVERHEAD_BYTES: u64 = 256;

/// Chunks handed out under one hold of the lock, so that a reader far behind does not stop the
/// appenders.
const CHUNKS_AT_ONCE_MAX: usize = 1024;

#[derive(Debug)]
pub(crate) struct Tail {
    chunks: VecDeque<Held>,
    start: Position,
    bytes: u64,
    bytes_max: u64,
}

#[derive(Debug)]
struct Held {
    chunk: Chunk,
    /// Bytes of memory, overhead included.
    memory: u64,
}

impl Tail {
    pub(crate) fn new(start: Position, bytes_max: u64) -> Tail {
        Tail {
            chunks: VecDeque::new(),
            start,
            bytes: 0,
            bytes_max,
        }
    }

    /// The first position that is in memory; the journal's end when none is.
    pub(crate) fn start(&self) -> Position {
        self.start
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// `chunk` must begin where the last one ends.
    pub(crate) fn push(&mut self, chunk: Chunk, memory: u64) {
        self.bytes += memory;
        self.chunks.push_back(Held { chunk, memory });
    }

    /// Chunks from the one that holds `from` on (which must not lie before `start()`), until they
    /// reach `bytes_max`.
    pub(crate) fn collect(&self, from: Position, bytes_max: usize, out: &mut Vec<Chunk>) {
        let begin = self.chunks.partition_point(|held| held.chunk.end() <= from);
        let mut bytes = 0;
        for held in self.chunks.range(begin..).take(CHUNKS_AT_ONCE_MAX) {
            if bytes > 0 && bytes + held.chunk.bytes().len() > bytes_max {
                break;
            }
            bytes += held.chunk.bytes().len();
            out.push(held.chunk.clone());
        }
    }

    /// Moves to `out` what exceeds the budget, oldest first, as far as it is durable. The caller
    /// drops it outside the lock.
    pub(crate) fn evict(&mut self, durable: Position, out: &mut Vec<Chunk>) {
        while self.bytes > self.bytes_max
            && self
                .chunks
                .front()
                .is_some_and(|held| held.chunk.end() <= durable)
            && let Some(held) = self.chunks.pop_front()
        {
            self.bytes -= held.memory;
            self.start = held.chunk.end();
            out.push(held.chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn chunk(first: u64, count: u32, bytes: usize) -> Chunk {
        Chunk::new(Position(first), count, Bytes::from(vec![0; bytes]))
    }

    #[test]
    fn what_is_not_durable_stays_whatever_the_budget() {
        let mut tail = Tail::new(Position(0), 100);
        tail.push(chunk(0, 2, 200), 200);
        tail.push(chunk(2, 3, 200), 200);
        let mut out = Vec::new();
        tail.evict(Position(1), &mut out);
        assert!(out.is_empty());
        tail.evict(Position(2), &mut out);
        assert_eq!(
            (out.len(), tail.start(), tail.bytes()),
            (1, Position(2), 200)
        );
        tail.evict(Position(5), &mut out);
        assert_eq!((out.len(), tail.start(), tail.bytes()), (2, Position(5), 0));
    }

    #[test]
    fn collecting_begins_with_the_chunk_that_holds_the_position() {
        let mut tail = Tail::new(Position(0), 1000);
        for index in 0..10 {
            tail.push(chunk(index * 10, 10, 100), 100);
        }
        let mut out = Vec::new();
        tail.collect(Position(25), 250, &mut out);
        let firsts: Vec<_> = out.iter().map(|chunk| chunk.first().0).collect();
        assert_eq!(firsts, [20, 30]);
        out.clear();
        tail.collect(Position(30), 1, &mut out);
        assert_eq!(out.len(), 1);
        out.clear();
        tail.collect(Position(100), 1, &mut out);
        assert!(out.is_empty());
    }
}
