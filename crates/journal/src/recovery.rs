//! What the files of a journal hold, and mending what a crash leaves behind.
//!
//! Owns: the recovery rule. Never: writes while it looks (`scan`), and later (`mend`) removes only
//! what was never acknowledged. Invariant: a frame is begun only when the one before it is durable,
//! and a segment only when the one before it is complete. So a broken frame with an intact one
//! behind it, or in any but the last segment, is damage and an error; a broken frame with nothing
//! behind it is a torn tail; and a segment without a header and with nothing in it was being
//! created.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use uuid::Uuid;

use crate::Position;
use crate::catalog::{Place, Segment};
use crate::disk::{Access, Disk, DiskFile, read_exact_at, write_all_at};
use crate::error::{Damage, DamageKind, OpenError, io_error};
use crate::format::{
    Mark, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentHeaderError, parse_segment_name, segment_name,
};
use crate::walk::{Frame, FrameWalk, Rest, Step, look_behind};

/// A frame that was being written when the process or the power went. None of its records was
/// acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TornTail {
    pub path: PathBuf,
    /// Where the torn frame begins.
    pub offset: u64,
    /// The position its first record would have had.
    pub position: Position,
    /// From `offset` to the last byte that is not zero.
    pub bytes: u64,
}

/// A readable journal with at least one segment.
pub(crate) struct Scan {
    pub(crate) identity: Uuid,
    pub(crate) segments: Vec<Segment>,
    /// Parallel to `segments`: lengths of the files, promised space and garbage included.
    pub(crate) file_bytes: Vec<u64>,
    pub(crate) end: Position,
    pub(crate) torn_tail: Option<TornTail>,
    /// A segment whose creation was cut short.
    pub(crate) half_created: Option<PathBuf>,
    /// The last frame of the last segment.
    last_frame: Option<Frame>,
}

/// What lies in the folder.
pub(crate) enum Found {
    /// No segment, or only the beginnings of the very first.
    Nothing {
        half_created: Option<PathBuf>,
    },
    Journal(Box<Scan>),
}

/// What a scan passes by.
pub(crate) enum Seen<'a> {
    Segment {
        path: &'a Path,
        header: SegmentHeader,
        file_bytes: u64,
    },
    Frame {
        path: &'a Path,
        frame: &'a Frame,
    },
}

type Visit<'a> = &'a mut dyn FnMut(Seen<'_>) -> Result<(), Damage>;

/// Reads and checks everything; `visit` sees it in order. Changes nothing.
pub(crate) fn scan(disk: &dyn Disk, dir: &Path, visit: Visit<'_>) -> Result<Found, OpenError> {
    let mut firsts = list_segments(disk, dir)?;
    let half_created = match firsts.last() {
        Some(first) => half_created(disk, dir, *first)?,
        None => None,
    };
    let half_created = half_created.map(|path| (firsts.pop().unwrap_or_default(), path));
    if firsts.is_empty() {
        return match half_created {
            // Before a later segment was begun, the ones before it were there.
            Some((first, path)) if first != Position::ZERO => {
                Err(damage(path, 0, first, DamageKind::Header).into())
            }
            half_created => Ok(Found::Nothing {
                half_created: half_created.map(|(_, path)| path),
            }),
        };
    }

    let mut found: Option<Scan> = None;
    for (index, first) in firsts.iter().enumerate() {
        let next = firsts.get(index + 1).copied();
        let opened = open_segment(disk, dir, *first, found.as_ref())?;
        let scan = found.get_or_insert_with(|| Scan {
            identity: opened.header.identity,
            segments: Vec::new(),
            file_bytes: Vec::new(),
            end: *first,
            torn_tail: None,
            half_created: None,
            last_frame: None,
        });
        scan_segment(scan, opened, next, visit)?;
    }
    let mut scan = found.expect("there is at least one segment");
    if let Some((first, path)) = half_created {
        if first != scan.end {
            return Err(damage(path, 0, scan.end, DamageKind::Gap(scan.end)).into());
        }
        scan.half_created = Some(path);
    }
    Ok(Found::Journal(Box::new(scan)))
}

impl Scan {
    /// Cuts what was never acknowledged and makes the rest durable, whatever happened before.
    /// Returns the last segment's file.
    pub(crate) fn mend(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
    ) -> Result<Box<dyn DiskFile>, OpenError> {
        if let Some(path) = &self.half_created {
            disk.remove(path).map_err(io_error("remove", path))?;
        }
        let last = self.segments.len() - 1;
        for (index, segment) in self.segments.iter().enumerate() {
            // Behind a sealed segment lies space whose return to the disk was lost in a crash.
            if index != last && self.file_bytes[index] > segment.bytes {
                let path = dir.join(segment_name(segment.first));
                let file = disk
                    .open(&path, Access::Write)
                    .map_err(io_error("open", &path))?;
                file.truncate(segment.bytes)
                    .map_err(io_error("truncate", &path))?;
            }
        }
        let segment = &self.segments[last];
        let path = dir.join(segment_name(segment.first));
        let file = disk
            .open(&path, Access::Write)
            .map_err(io_error("open", &path))?;
        if self.torn_tail.is_some() {
            file.truncate(segment.bytes)
                .map_err(io_error("truncate", &path))?;
            self.file_bytes[last] = segment.bytes;
        }
        self.write_again(&*file).map_err(io_error("write", &path))?;
        file.sync_data().map_err(io_error("sync", &path))?;
        disk.sync_dir(dir).map_err(io_error("sync", dir))?;
        Ok(file)
    }

    /// After an fsync that failed, the kernel may keep bytes in memory that are not on the disk and
    /// that no later fsync writes. Only what was written last can be in that state, so that is
    /// written once more.
    fn write_again(&self, file: &dyn DiskFile) -> io::Result<()> {
        let segment = &self.segments[self.segments.len() - 1];
        let header = SegmentHeader {
            identity: self.identity,
            first: segment.first,
        }
        .encode();
        match &self.last_frame {
            None => write_all_at(file, &mut [io::IoSlice::new(&header)], 0),
            Some(frame) => {
                let head = frame.header.encode(Mark::of(self.identity));
                let mut slices = [io::IoSlice::new(&head), io::IoSlice::new(&frame.records)];
                write_all_at(file, &mut slices, frame.offset)
            }
        }
    }
}

struct OpenSegment {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    file_bytes: u64,
    header: SegmentHeader,
}

fn open_segment(
    disk: &dyn Disk,
    dir: &Path,
    first: Position,
    before: Option<&Scan>,
) -> Result<OpenSegment, OpenError> {
    let path = dir.join(segment_name(first));
    let file = disk
        .open(&path, Access::Read)
        .map_err(io_error("open", &path))?;
    let file_bytes = file.length().map_err(io_error("read", &path))?;
    let position = before.map_or(first, |scan| scan.end);
    let header = read_segment_header(&*file, &path, file_bytes, position)?;
    let kind = match before {
        Some(scan) if scan.identity != header.identity => Some(DamageKind::Foreign {
            found: header.identity,
            expected: scan.identity,
        }),
        _ if header.first != first => Some(DamageKind::Name(header.first)),
        _ if first != position => Some(DamageKind::Gap(position)),
        _ => None,
    };
    if let Some(kind) = kind {
        return Err(damage(path, 0, position, kind).into());
    }
    Ok(OpenSegment {
        path,
        file,
        file_bytes,
        header,
    })
}

/// The header of the segment at `path`, of which `position` is the first expected.
pub(crate) fn read_segment_header(
    file: &dyn DiskFile,
    path: &Path,
    file_bytes: u64,
    position: Position,
) -> Result<SegmentHeader, OpenError> {
    let bytes = read_header(file, file_bytes).map_err(io_error("read", path))?;
    SegmentHeader::parse(&bytes).map_err(|error| {
        let kind = match error {
            SegmentHeaderError::UnknownVersion(version) => DamageKind::Version(version),
            SegmentHeaderError::Invalid => DamageKind::Header,
        };
        damage(path.to_owned(), 0, position, kind).into()
    })
}

fn scan_segment(
    scan: &mut Scan,
    opened: OpenSegment,
    next: Option<Position>,
    visit: Visit<'_>,
) -> Result<(), OpenError> {
    let OpenSegment {
        path,
        file,
        file_bytes,
        header,
    } = opened;
    let path = path.as_path();
    visit(Seen::Segment {
        path,
        header,
        file_bytes,
    })?;
    let mark = Mark::of(header.identity);
    let mut segment = Segment::new(header.first);
    let place = Place {
        segment: header.first,
        frame: header.first,
        offset: SEGMENT_HEADER_BYTES,
        limit: file_bytes,
    };
    let mut walk = FrameWalk::new(file, mark, place);
    scan.last_frame = None;
    let fault = loop {
        // What lies behind the last record of a sealed segment was never acknowledged, or is
        // promised space.
        if next.is_some_and(|next| walk.position() >= next) {
            break None;
        }
        match walk.step().map_err(io_error("read", path))? {
            Step::Frame(frame) => {
                segment.add_frame(frame.header.first, frame.header.frame_bytes());
                visit(Seen::Frame {
                    path,
                    frame: &frame,
                })?;
                scan.last_frame = Some(frame);
            }
            // In a sealed segment that is too early: the header of the next one shows the gap.
            Step::End => break None,
            Step::Broken(fault) => break Some(fault),
        }
    };
    let (offset, end) = (walk.offset(), walk.position());
    scan.end = end;
    if let Some(fault) = fault {
        if let Some(next) = next {
            let kind = DamageKind::SealedFrame(fault, next);
            return Err(damage(path.to_owned(), offset, end, kind).into());
        }
        let rest = look_behind(walk.file(), mark, end, offset, file_bytes)
            .map_err(io_error("read", path))?;
        scan.torn_tail = match rest {
            Rest {
                frame_at: Some(at), ..
            } => {
                let kind = DamageKind::Frame(fault, at);
                return Err(damage(path.to_owned(), offset, end, kind).into());
            }
            Rest { written_end, .. } => written_end.map(|written_end| TornTail {
                path: path.to_owned(),
                offset,
                position: end,
                bytes: written_end - offset,
            }),
        };
    }
    scan.segments.push(segment);
    scan.file_bytes.push(file_bytes);
    Ok(())
}

/// The path of the last segment when its creation was cut short: no valid header, and nothing
/// behind it.
fn half_created(
    disk: &dyn Disk,
    dir: &Path,
    first: Position,
) -> Result<Option<PathBuf>, OpenError> {
    let path = dir.join(segment_name(first));
    let looked = disk.open(&path, Access::Read).and_then(|file| {
        let file_bytes = file.length()?;
        let header = read_header(&*file, file_bytes)?;
        if SegmentHeader::parse(&header) != Err(SegmentHeaderError::Invalid) {
            return Ok(false);
        }
        // Without a header there is no mark to look for; every byte counts as written.
        let (mark, after) = (Mark([0xff; 8]), first);
        let rest = look_behind(&*file, mark, after, SEGMENT_HEADER_BYTES, file_bytes)?;
        Ok(rest.written_end.is_none())
    });
    let half = looked.map_err(io_error("read", &path))?;
    Ok(half.then_some(path))
}

/// The header's bytes, zeros where the file is too short.
fn read_header(
    file: &dyn DiskFile,
    file_bytes: u64,
) -> io::Result<[u8; SEGMENT_HEADER_BYTES as usize]> {
    let mut header = [0; SEGMENT_HEADER_BYTES as usize];
    let there = file_bytes.min(SEGMENT_HEADER_BYTES) as usize;
    read_exact_at(file, &mut header[..there], 0)?;
    Ok(header)
}

/// The first positions of the segments in `dir`, ascending. Other files are not ours and not looked
/// at.
pub(crate) fn list_segments(disk: &dyn Disk, dir: &Path) -> Result<Vec<Position>, OpenError> {
    let names = disk.list(dir).map_err(io_error("list", dir))?;
    let mut firsts: Vec<_> = names
        .iter()
        .filter_map(|name| parse_segment_name(name))
        .collect();
    firsts.sort_unstable();
    Ok(firsts)
}

fn damage(path: PathBuf, offset: u64, position: Position, kind: DamageKind) -> Damage {
    Damage {
        path,
        offset,
        position,
        kind,
    }
}
