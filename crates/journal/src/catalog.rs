//! Which segment holds a position, and where in it.
//!
//! Owns: the list of segments and a sparse index into each. Never: touches a file. Invariant:
//! segments follow each other without gaps, and their bytes are those that are durable.

use std::collections::VecDeque;

use crate::Position;
use crate::format::SEGMENT_HEADER_BYTES;

/// One index entry in so many bytes: a reader that looks for a position reads at most this much in
/// vain, and 10 GB of journal cost less than a megabyte of index.
const INDEX_STEP_BYTES: u64 = 256 << 10;

#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) first: Position,
    /// Durable bytes: the header and complete frames.
    pub(crate) bytes: u64,
    /// Frames in ascending order: position and byte offset.
    index: Vec<(Position, u64)>,
}

/// Where to begin reading for a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// First position of the segment.
    pub(crate) segment: Position,
    /// A frame at or before the wanted position …
    pub(crate) frame: Position,
    /// … and where it begins.
    pub(crate) offset: u64,
    /// The durable bytes of the segment.
    pub(crate) limit: u64,
}

impl Segment {
    pub(crate) fn new(first: Position) -> Segment {
        Segment {
            first,
            bytes: SEGMENT_HEADER_BYTES,
            index: Vec::new(),
        }
    }

    pub(crate) fn add_frame(&mut self, first: Position, frame_bytes: u64) {
        let due = match self.index.last() {
            Some((_, offset)) => self.bytes - offset >= INDEX_STEP_BYTES,
            None => true,
        };
        if due {
            self.index.push((first, self.bytes));
        }
        self.bytes += frame_bytes;
    }

    fn place(&self, position: Position) -> Place {
        let after = self.index.partition_point(|(first, _)| *first <= position);
        let (frame, offset) = match after.checked_sub(1) {
            Some(entry) => self.index[entry],
            None => (self.first, SEGMENT_HEADER_BYTES),
        };
        Place {
            segment: self.first,
            frame,
            offset,
            limit: self.bytes,
        }
    }
}

/// All segments, oldest first; never empty.
#[derive(Debug)]
pub(crate) struct Catalog {
    segments: VecDeque<Segment>,
    bytes: u64,
}

impl Catalog {
    /// `segments` must not be empty.
    pub(crate) fn new(segments: Vec<Segment>) -> Catalog {
        assert!(!segments.is_empty(), "a journal has a segment");
        Catalog {
            bytes: segments.iter().map(|segment| segment.bytes).sum(),
            segments: segments.into(),
        }
    }

    /// Durable bytes of all segment files, those being removed included.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn start(&self) -> Position {
        self.segments[0].first
    }

    /// The first position of the segment that is being written.
    pub(crate) fn active(&self) -> Position {
        self.segments[self.segments.len() - 1].first
    }

    pub(crate) fn begin_segment(&mut self, first: Position) {
        self.segments.push_back(Segment::new(first));
        self.bytes += SEGMENT_HEADER_BYTES;
    }

    pub(crate) fn add_frame(&mut self, first: Position, frame_bytes: u64) {
        let last = self.segments.len() - 1;
        self.segments[last].add_frame(first, frame_bytes);
        self.bytes += frame_bytes;
    }

    /// The oldest segment (first position and bytes) when all its records lie before `released` and
    /// it is not the active one.
    pub(crate) fn removable(&self, released: Position) -> Option<(Position, u64)> {
        let next = self.segments.get(1)?;
        let oldest = &self.segments[0];
        (next.first <= released).then_some((oldest.first, oldest.bytes))
    }

    /// Nobody begins to read the oldest segment any more; its bytes count until `reclaimed`.
    pub(crate) fn retire_oldest(&mut self) {
        if self.segments.len() > 1 {
            self.segments.pop_front();
        }
    }

    /// The file of a retired segment is gone.
    pub(crate) fn reclaimed(&mut self, bytes: u64) {
        self.bytes -= bytes;
    }

    /// Where to read `position`, which must not lie before `start()`.
    pub(crate) fn place(&self, position: Position) -> Place {
        let after = self
            .segments
            .partition_point(|segment| segment.first <= position);
        self.segments[after.saturating_sub(1)].place(position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_found_in_its_segment_near_its_frame() {
        let mut catalog = Catalog::new(vec![Segment::new(Position(10))]);
        for index in 0..10 {
            catalog.add_frame(Position(10 + index * 5), 100 << 10);
        }
        catalog.begin_segment(Position(60));
        catalog.add_frame(Position(60), 1000);

        let bytes = SEGMENT_HEADER_BYTES + (1000 << 10);
        assert_eq!(
            catalog.place(Position(42)),
            Place {
                segment: Position(10),
                frame: Position(40),
                offset: SEGMENT_HEADER_BYTES + (600 << 10),
                limit: bytes,
            }
        );
        assert_eq!(catalog.place(Position(12)).frame, Position(10));
        assert_eq!(catalog.place(Position(60)).segment, Position(60));
        assert_eq!(catalog.bytes(), bytes + SEGMENT_HEADER_BYTES + 1000);
    }

    #[test]
    fn only_whole_segments_before_the_released_position_go() {
        let mut catalog = Catalog::new(vec![Segment::new(Position(0))]);
        catalog.add_frame(Position(0), 500);
        assert_eq!(catalog.removable(Position(100)), None);
        catalog.begin_segment(Position(7));
        assert_eq!(catalog.removable(Position(6)), None);
        assert_eq!(
            catalog.removable(Position(7)),
            Some((Position(0), SEGMENT_HEADER_BYTES + 500))
        );
        catalog.retire_oldest();
        catalog.retire_oldest();
        assert_eq!(catalog.start(), Position(7));
        catalog.reclaimed(SEGMENT_HEADER_BYTES + 500);
        assert_eq!(catalog.bytes(), SEGMENT_HEADER_BYTES);
    }
}
