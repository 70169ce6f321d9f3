//! The journal shown to people: what is in a folder, and whether it is intact.
//!
//! Owns: read-only walks over a folder. Never: changes a byte, or disturbs a process that has the
//! journal open. Invariant: while a process writes, what is reported was true at some moment of the
//! walk; a frame that is just being written may look torn.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use uuid::Uuid;

use crate::catalog::Place;
use crate::disk::{Access, Disk, RealDisk};
use crate::error::{Damage, DamageKind, OpenError, io_error};
use crate::format::{Mark, SEGMENT_HEADER_BYTES, segment_name};
use crate::recovery::{Found, Seen, list_segments, read_segment_header, scan};
use crate::walk::{Frame, FrameWalk, Step};
use crate::{Chunk, Position, TornTail};

/// While a process writes and removes segments a walk can miss one, or see half a frame. Then it is
/// begun again, so often at most.
const ATTEMPTS_MAX: usize = 8;

/// What a folder holds, as far as it can be read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Summary {
    /// `None` when there is no journal.
    pub identity: Option<String>,
    pub start: Position,
    pub end: Position,
    pub frames: u64,
    pub records: u64,
    /// Bytes of headers and complete frames.
    pub size_bytes: u64,
    pub segments: Vec<SegmentSummary>,
    pub torn_tail: Option<TornTail>,
    /// What is damaged; the figures are then those of what comes before.
    pub damage: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentSummary {
    pub file: String,
    pub first: Position,
    pub end: Position,
    pub frames: u64,
    pub records: u64,
    /// Bytes of the header and complete frames.
    pub size_bytes: u64,
    /// Bytes of the file, promised space included.
    pub file_bytes: u64,
    /// Microseconds since 1970, UTC: when the first record was received.
    pub first_received_at: Option<i64>,
    pub last_received_at: Option<i64>,
}

/// An intact journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub identity: Option<String>,
    pub start: Position,
    pub end: Position,
    pub segments: u64,
    pub frames: u64,
    pub records: u64,
    pub size_bytes: u64,
    pub torn_tail: Option<TornTail>,
}

/// Counts what is in `dir`. Damage is part of the summary; an error means that the files cannot be
/// read.
pub fn inspect(dir: &Path) -> Result<Summary, OpenError> {
    settled(|last| {
        let mut summary = Summary::default();
        match survey(&RealDisk, dir, &mut summary, false) {
            Ok(()) => Ok(summary),
            Err(OpenError::Damaged(damage)) if last == Some(&damage) => {
                summary.damage = Some(damage.to_string());
                Ok(summary)
            }
            Err(error) => Err(error),
        }
    })
}

/// Checks every frame and every record in `dir`. Damage is an error that says where and what to do.
pub fn verify(dir: &Path) -> Result<Report, OpenError> {
    settled(|_| {
        let mut summary = Summary::default();
        survey(&RealDisk, dir, &mut summary, true)?;
        Ok(Report {
            identity: summary.identity,
            start: summary.start,
            end: summary.end,
            segments: summary.segments.len() as u64,
            frames: summary.frames,
            records: summary.records,
            size_bytes: summary.size_bytes,
            torn_tail: summary.torn_tail,
        })
    })
}

/// The records in `dir` from position `from` on (or from the first one there is, if that is later),
/// a frame at a time.
pub fn records(dir: &Path, from: Position) -> Result<RecordWalk, OpenError> {
    settled(|_| RecordWalk::open(dir, from))
}

/// Yields chunks in order and ends at the journal's end; after an error it ends.
pub struct RecordWalk {
    dir: PathBuf,
    from: Position,
    identity: Option<Uuid>,
    current: Option<FrameWalk>,
    /// First position of the current segment, and its path.
    segment: Position,
    path: PathBuf,
}

impl Iterator for RecordWalk {
    type Item = Result<Chunk, OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = self.next_chunk().transpose();
        if !matches!(result, Some(Ok(_))) {
            self.current = None;
        }
        result
    }
}

impl RecordWalk {
    fn open(dir: &Path, from: Position) -> Result<RecordWalk, OpenError> {
        let firsts = list_segments(&RealDisk, dir)?;
        let segment = firsts.iter().rfind(|first| **first <= from);
        let mut walk = RecordWalk {
            dir: dir.to_owned(),
            from,
            identity: None,
            current: None,
            segment: Position::ZERO,
            path: PathBuf::new(),
        };
        if let Some(first) = segment.or(firsts.first()) {
            walk.open_segment(*first)?;
        }
        Ok(walk)
    }

    fn next_chunk(&mut self) -> Result<Option<Chunk>, OpenError> {
        loop {
            let Some(current) = &mut self.current else {
                return Ok(None);
            };
            let step = current.step().map_err(io_error("read", &self.path))?;
            let fault = match step {
                Step::Frame(frame) if frame.header.end() <= self.from => continue,
                Step::Frame(frame) => {
                    let header = frame.header;
                    let chunk = Chunk::new(header.first, header.count, frame.records);
                    return Ok(Some(chunk.starting_at(self.from)));
                }
                Step::End => None,
                Step::Broken(fault) => Some(fault),
            };
            // Nothing more in this file: the records go on in the next one, or this is the end.
            let (end, offset) = (current.position(), current.offset());
            let firsts = list_segments(&RealDisk, &self.dir)?;
            let Some(next) = firsts.into_iter().find(|first| *first > self.segment) else {
                return Ok(None);
            };
            if next != end {
                let kind = match fault {
                    Some(fault) => DamageKind::SealedFrame(fault, next),
                    None => DamageKind::Gap(end),
                };
                return Err(damage(&self.path, offset, end, kind).into());
            }
            self.open_segment(next)?;
        }
    }

    fn open_segment(&mut self, first: Position) -> Result<(), OpenError> {
        let path = self.dir.join(segment_name(first));
        let file = RealDisk
            .open(&path, Access::Read)
            .map_err(io_error("open", &path))?;
        let limit = file.length().map_err(io_error("read", &path))?;
        let identity = read_segment_header(&*file, &path, limit, first)?.identity;
        let expected = *self.identity.get_or_insert(identity);
        if identity != expected {
            let kind = DamageKind::Foreign {
                found: identity,
                expected,
            };
            return Err(damage(&path, 16, first, kind).into());
        }
        let place = Place {
            segment: first,
            frame: first,
            offset: SEGMENT_HEADER_BYTES,
            limit,
        };
        self.current = Some(FrameWalk::new(file, Mark::of(identity), place));
        self.segment = first;
        self.path = path;
        Ok(())
    }
}

/// Fills `summary` with what a scan sees, up to the first damage.
fn survey(
    disk: &dyn Disk,
    dir: &Path,
    summary: &mut Summary,
    check_records: bool,
) -> Result<(), OpenError> {
    let found = scan(disk, dir, &mut |seen| match seen {
        Seen::Segment {
            path,
            header,
            file_bytes,
        } => {
            if summary.segments.is_empty() {
                summary.identity = Some(header.identity.to_string());
                summary.start = header.first;
            }
            summary.end = header.first;
            summary.size_bytes += SEGMENT_HEADER_BYTES;
            summary.segments.push(SegmentSummary {
                file: path
                    .file_name()
                    .map(|name| name.to_string_lossy().into_owned())
                    .unwrap_or_default(),
                first: header.first,
                end: header.first,
                frames: 0,
                records: 0,
                size_bytes: SEGMENT_HEADER_BYTES,
                file_bytes,
                first_received_at: None,
                last_received_at: None,
            });
            Ok(())
        }
        Seen::Frame { path, frame } => {
            if check_records {
                check(path, frame)?;
            }
            count_frame(summary, frame);
            Ok(())
        }
    })?;
    if let Found::Journal(found) = found {
        summary.torn_tail = found.torn_tail;
    }
    Ok(())
}

fn count_frame(summary: &mut Summary, frame: &Frame) {
    let header = frame.header;
    summary.end = header.end();
    summary.frames += 1;
    summary.records += u64::from(header.count);
    summary.size_bytes += header.frame_bytes();
    let Some(segment) = summary.segments.last_mut() else {
        return;
    };
    segment.end = header.end();
    segment.frames += 1;
    segment.records += u64::from(header.count);
    segment.size_bytes += header.frame_bytes();
    let chunk = Chunk::new(header.first, header.count, frame.records.clone());
    for (_, record) in chunk.records() {
        segment.first_received_at.get_or_insert(record.received_at);
        segment.last_received_at = Some(record.received_at);
    }
}

fn check(path: &Path, frame: &Frame) -> Result<(), Damage> {
    let header = frame.header;
    let chunk = Chunk::new(header.first, header.count, frame.records.clone());
    let mut records = chunk.records();
    let count = records.by_ref().count();
    if count == header.count as usize && records.is_exhausted() {
        return Ok(());
    }
    let position = header.first.plus(count as u64);
    Err(damage(path, frame.offset, position, DamageKind::Record))
}

/// Tries again what a writing process may have disturbed. `attempt` is told the damage that the
/// attempt before it saw: damage is real when it is seen twice.
fn settled<T>(
    mut attempt: impl FnMut(Option<&Damage>) -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    let mut last = None;
    let mut attempts = 0;
    loop {
        attempts += 1;
        match attempt(last.as_ref()) {
            Err(OpenError::Damaged(damage))
                if attempts < ATTEMPTS_MAX && last.as_ref() != Some(&damage) =>
            {
                last = Some(damage);
            }
            Err(OpenError::Io { source, .. })
                if attempts < ATTEMPTS_MAX
                    && matches!(
                        source.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof
                    ) => {}
            result => return result,
        }
    }
}

fn damage(path: &Path, offset: u64, position: Position, kind: DamageKind) -> Damage {
    Damage {
        path: path.to_owned(),
        offset,
        position,
        kind,
    }
}
