//! What tells one state of a file from another without reading it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A file's state. The times alone would not do: a link may be switched to an older file, an older
/// file be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Print {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Print {
    /// `None`: there is no such file, or it cannot be reached.
    pub(super) fn of(path: &Path) -> Option<Print> {
        let found = fs::metadata(path).ok()?;
        Some(Print {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}
