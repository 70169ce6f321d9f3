//! The segment files, as the writer thread sees them.
//!
//! Owns: every byte that is written after recovery. Never: decides when. Invariant: a frame is
//! written only behind durable ones, a segment is begun only when the one before it is complete,
//! and after a write without space the file is as it was before.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::Position;
use crate::disk::{Disk, DiskFile, is_no_space, is_unsupported, write_all_at};
use crate::format::{
    FRAME_HEADER_BYTES, FrameHeader, Mark, SEGMENT_HEADER_BYTES, SegmentHeader, segment_name,
};
use crate::local::state::Pending;

pub(crate) struct Files {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    identity: Uuid,
    segment_bytes_max: u64,
    bytes_max: u64,
    active: Active,
    /// Bytes of the segments before the active one.
    sealed_bytes: u64,
    /// The file system can promise space.
    promises: bool,
}

pub(crate) struct Active {
    pub(crate) path: PathBuf,
    pub(crate) file: Box<dyn DiskFile>,
    /// Where the next frame begins.
    pub(crate) offset: u64,
    /// The length of the file: space up to here is there.
    pub(crate) promised: u64,
}

/// A call that failed, for the log.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{path}`", path = .path.display())]
pub(crate) struct Failure {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

#[derive(Debug)]
pub(crate) enum WriteError {
    /// Nothing has changed; the same may succeed later.
    NoSpace(Failure),
    /// Nobody knows what the disk holds now.
    Failed(Failure),
}

impl Files {
    pub(crate) fn new(
        dir: PathBuf,
        disk: Arc<dyn Disk>,
        identity: Uuid,
        settings: &crate::Settings,
        active: Active,
        sealed_bytes: u64,
    ) -> Files {
        Files {
            dir,
            disk,
            identity,
            segment_bytes_max: settings.segment_size_bytes,
            bytes_max: settings.max_size_bytes,
            active,
            sealed_bytes,
            promises: true,
        }
    }

    /// Whether a frame with `records_bytes` belongs into a new segment.
    pub(crate) fn is_segment_complete(&self, records_bytes: usize) -> bool {
        let frame_bytes = FRAME_HEADER_BYTES + records_bytes as u64;
        self.active.offset > SEGMENT_HEADER_BYTES
            && self.active.offset + frame_bytes > self.segment_bytes_max
    }

    /// Completes the active segment and begins the one whose first record will be `first`, durably.
    pub(crate) fn begin_segment(&mut self, first: Position) -> Result<(), WriteError> {
        self.return_promised_space()?;
        let active = create_segment(&*self.disk, &self.dir, self.identity, first)?;
        self.sealed_bytes += self.active.offset;
        self.active = active;
        Ok(())
    }

    /// Writes one frame and makes it durable. Returns its bytes.
    pub(crate) fn write_frame(&mut self, pendings: &[Pending]) -> Result<u64, WriteError> {
        let pieces = pendings.iter().map(|pending| &pending.chunk.bytes()[..]);
        let first = pendings
            .first()
            .map_or(Position::ZERO, |pending| pending.chunk.first());
        let count = pendings.iter().map(|pending| pending.chunk.len()).sum();
        let header = FrameHeader::of(first, count, pieces.clone());
        let frame_bytes = header.frame_bytes();
        self.promise_space(frame_bytes)?;

        let head = header.encode(Mark::of(self.identity));
        let mut slices = Vec::with_capacity(1 + pendings.len());
        slices.push(IoSlice::new(&head));
        slices.extend(pieces.map(IoSlice::new));
        let active = &mut self.active;
        if let Err(error) = write_all_at(&*active.file, &mut slices, active.offset) {
            return Err(self.undo(error));
        }
        active
            .file
            .sync_data()
            .map_err(|error| failed("sync", &active.path, error))?;
        active.offset += frame_bytes;
        active.promised = active.promised.max(active.offset);
        Ok(frame_bytes)
    }

    /// Removes the segment that begins at `first` and has `bytes`, durably.
    pub(crate) fn remove_segment(&mut self, first: Position, bytes: u64) -> Result<(), WriteError> {
        let path = self.dir.join(segment_name(first));
        match self.disk.remove(&path) {
            Ok(()) => {}
            // Somebody was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("remove", &path, error)),
        }
        // Before the next one goes: the names must never have a gap.
        self.disk
            .sync_dir(&self.dir)
            .map_err(|error| failed("sync", &self.dir, error))?;
        self.sealed_bytes -= bytes;
        Ok(())
    }

    /// Gives back the space behind the last frame. Losing this in a crash is harmless.
    pub(crate) fn return_promised_space(&mut self) -> Result<(), WriteError> {
        let active = &mut self.active;
        if active.promised > active.offset {
            active
                .file
                .truncate(active.offset)
                .map_err(|error| failed("truncate", &active.path, error))?;
            active.promised = active.offset;
        }
        Ok(())
    }

    /// Space for a frame: for a whole segment if the size limit allows, so that this is asked
    /// seldom.
    fn promise_space(&mut self, frame_bytes: u64) -> Result<(), WriteError> {
        let active = &mut self.active;
        let needed = active.offset + frame_bytes;
        if needed <= active.promised || !self.promises {
            return Ok(());
        }
        // One segment header stays free, so that a new segment can be begun beside this one.
        let allowed = self
            .bytes_max
            .saturating_sub(self.sealed_bytes + SEGMENT_HEADER_BYTES);
        let length = needed.max(self.segment_bytes_max.min(allowed));
        match active.file.allocate(length) {
            Ok(()) => active.promised = length,
            Err(error) if is_unsupported(&error) => self.promises = false,
            Err(error) => return Err(self.undo_from("allocate", error)),
        }
        Ok(())
    }

    fn undo(&mut self, error: io::Error) -> WriteError {
        self.undo_from("write", error)
    }

    /// After a call without space: cuts off what it did.
    fn undo_from(&mut self, action: &'static str, error: io::Error) -> WriteError {
        let active = &mut self.active;
        if !is_no_space(&error) {
            return failed(action, &active.path, error);
        }
        if let Err(error) = active.file.truncate(active.offset) {
            return failed("truncate", &active.path, error);
        }
        active.promised = active.offset;
        WriteError::NoSpace(Failure {
            action,
            path: active.path.clone(),
            source: error,
        })
    }
}

/// A new segment with a durable header and a durable name.
pub(crate) fn create_segment(
    disk: &dyn Disk,
    dir: &Path,
    identity: Uuid,
    first: Position,
) -> Result<Active, WriteError> {
    let path = dir.join(segment_name(first));
    let file = match disk.create(&path) {
        Ok(file) => file,
        Err(error) => return Err(classify("create", &path, error)),
    };
    let header = SegmentHeader { identity, first }.encode();
    if let Err(error) = write_all_at(&*file, &mut [IoSlice::new(&header)], 0) {
        if is_no_space(&error)
            && let Err(error) = disk.remove(&path)
        {
            return Err(failed("remove", &path, error));
        }
        return Err(classify("write", &path, error));
    }
    file.sync_data()
        .map_err(|error| failed("sync", &path, error))?;
    disk.sync_dir(dir)
        .map_err(|error| failed("sync", dir, error))?;
    Ok(Active {
        path,
        file,
        offset: SEGMENT_HEADER_BYTES,
        promised: SEGMENT_HEADER_BYTES,
    })
}

fn classify(action: &'static str, path: &Path, source: io::Error) -> WriteError {
    let no_space = is_no_space(&source);
    let failure = Failure {
        action,
        path: path.to_owned(),
        source,
    };
    if no_space {
        WriteError::NoSpace(failure)
    } else {
        WriteError::Failed(failure)
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> WriteError {
    WriteError::Failed(Failure {
        action,
        path: path.to_owned(),
        source,
    })
}

impl Failure {
    pub(crate) fn into_open_error(self) -> crate::OpenError {
        crate::OpenError::Io {
            action: self.action,
            path: self.path,
            source: self.source,
        }
    }
}
