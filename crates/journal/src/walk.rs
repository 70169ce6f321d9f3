//! Reading a segment file frame by frame.
//!
//! Owns: read-ahead, the checks on each frame, and the search behind a broken one. Never: writes,
//! decides what a fault means. Invariant: a frame that is returned is of this journal, at the
//! expected position, and its checksum is right.

use std::io;

use bytes::Bytes;

use crate::Position;
use crate::catalog::Place;
use crate::disk::{DiskFile, read_exact_at};
use crate::error::FrameFault;
use crate::format::{FRAME_HEADER_BYTES, FrameHeader, Mark};

/// Bytes read at once: few system calls, and small enough that a slow consumer who holds a chunk
/// does not hold much more.
pub(crate) const READ_AHEAD_BYTES: u64 = 512 << 10;

const HEADER_BYTES: usize = FRAME_HEADER_BYTES as usize;
static ZEROS: [u8; READ_AHEAD_BYTES as usize] = [0; READ_AHEAD_BYTES as usize];

pub(crate) struct FrameWalk {
    file: Box<dyn DiskFile>,
    mark: Mark,
    offset: u64,
    /// Nothing at or behind this byte is looked at.
    limit: u64,
    expected: Position,
    window: Bytes,
    window_offset: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) offset: u64,
    pub(crate) header: FrameHeader,
    pub(crate) records: Bytes,
}

pub(crate) enum Step {
    Frame(Frame),
    /// Exactly at the limit.
    End,
    /// The walk stays where it is.
    Broken(FrameFault),
}

impl FrameWalk {
    /// Frames from `place` on. `file` must be as long as the place's limit.
    pub(crate) fn new(file: Box<dyn DiskFile>, mark: Mark, place: Place) -> FrameWalk {
        FrameWalk {
            file,
            mark,
            offset: place.offset,
            limit: place.limit,
            expected: place.frame,
            window: Bytes::new(),
            window_offset: place.offset,
        }
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The position of the next frame.
    pub(crate) fn position(&self) -> Position {
        self.expected
    }

    pub(crate) fn file(&self) -> &dyn DiskFile {
        &*self.file
    }

    /// The file has grown: frames up to byte `limit` may be read.
    pub(crate) fn extend(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }

    pub(crate) fn step(&mut self) -> io::Result<Step> {
        let rest = self.limit.saturating_sub(self.offset);
        if rest == 0 {
            return Ok(Step::End);
        }
        if rest < FRAME_HEADER_BYTES {
            return Ok(Step::Broken(FrameFault::Ends));
        }
        let head = self.bytes(0, HEADER_BYTES)?;
        let mut header = [0; HEADER_BYTES];
        header.copy_from_slice(&head);
        let Some(header) = FrameHeader::parse(&header, self.mark) else {
            return Ok(Step::Broken(FrameFault::Header));
        };
        if header.first != self.expected {
            return Ok(Step::Broken(FrameFault::Position(header.first)));
        }
        if header.frame_bytes() > rest {
            return Ok(Step::Broken(FrameFault::Ends));
        }
        let records = self.bytes(HEADER_BYTES, header.length as usize)?;
        if !header.vouches_for(&records) {
            return Ok(Step::Broken(FrameFault::Checksum));
        }
        let offset = self.offset;
        self.offset += header.frame_bytes();
        self.expected = header.end();
        Ok(Step::Frame(Frame {
            offset,
            header,
            records,
        }))
    }

    /// `length` bytes from `skip` bytes behind the current offset on; they must lie before the
    /// limit.
    fn bytes(&mut self, skip: usize, length: usize) -> io::Result<Bytes> {
        let window_end = self.window_offset + self.window.len() as u64;
        let need_end = self.offset + (skip + length) as u64;
        if need_end > window_end {
            let size = READ_AHEAD_BYTES
                .max((skip + length) as u64)
                .min(self.limit - self.offset);
            let mut window = vec![0; size as usize];
            read_exact_at(&*self.file, &mut window, self.offset)?;
            self.window = window.into();
            self.window_offset = self.offset;
        }
        let start = (self.offset - self.window_offset) as usize + skip;
        Ok(self.window.slice(start..start + length))
    }
}

/// What lies in a file behind the last good frame.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rest {
    /// Behind the last byte that is not zero; `None` when all are.
    pub(crate) written_end: Option<u64>,
    /// Where an intact frame for a position behind `after` begins.
    pub(crate) frame_at: Option<u64>,
}

/// Looks at the bytes from `from` to `limit` of `file`.
pub(crate) fn look_behind(
    file: &dyn DiskFile,
    mark: Mark,
    after: Position,
    from: u64,
    limit: u64,
) -> io::Result<Rest> {
    let mut rest = Rest::default();
    let mut window = vec![0; READ_AHEAD_BYTES.min(limit.saturating_sub(from)) as usize];
    let mut offset = from;
    while offset < limit {
        let size = (window.len() as u64).min(limit - offset) as usize;
        let window = &mut window[..size];
        read_exact_at(file, window, offset)?;
        if *window != ZEROS[..size] {
            let last = window.iter().rposition(|byte| *byte != 0).unwrap_or(0);
            rest.written_end = Some(offset + last as u64 + 1);
            for at in memchr::memmem::find_iter(window, &mark.0) {
                let at = offset + at as u64;
                if is_later_frame(file, mark, after, at, limit)? {
                    rest.frame_at = Some(at);
                    return Ok(rest);
                }
            }
        }
        if offset + size as u64 == limit {
            break;
        }
        // A mark may lie across the boundary.
        offset += (size - (mark.0.len() - 1)) as u64;
    }
    Ok(rest)
}

fn is_later_frame(
    file: &dyn DiskFile,
    mark: Mark,
    after: Position,
    at: u64,
    limit: u64,
) -> io::Result<bool> {
    if limit - at < FRAME_HEADER_BYTES {
        return Ok(false);
    }
    let mut header = [0; HEADER_BYTES];
    read_exact_at(file, &mut header, at)?;
    let Some(header) = FrameHeader::parse(&header, mark) else {
        return Ok(false);
    };
    if header.first <= after || header.frame_bytes() > limit - at {
        return Ok(false);
    }
    let mut records = vec![0; header.length as usize];
    read_exact_at(file, &mut records, at + FRAME_HEADER_BYTES)?;
    Ok(header.vouches_for(&records))
}
