//! The system's disk with a hand on it: whoever writes can be held.
//!
//! Owns: whether it is held. Never: fails a call, or changes what is written. Invariant: while it
//! is held nothing of what is handed over reaches a file, as if the thread that writes it were not
//! given the processor.

use std::io::{self, ErrorKind, IoSlice};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use journal::disk::{Access, Disk, DiskFile, RealDisk};

use crate::lock::lock;

/// Clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct HandDisk(Arc<Hand>);

#[derive(Default)]
struct Hand {
    is_held: Mutex<bool>,
    let_go: Condvar,
}

impl HandDisk {
    pub(crate) fn hold(&self) {
        *lock(&self.0.is_held) = true;
    }

    pub(crate) fn let_go(&self) {
        *lock(&self.0.is_held) = false;
        self.0.let_go.notify_all();
    }

    pub(crate) fn is_held(&self) -> bool {
        *lock(&self.0.is_held)
    }

    fn wait(&self) {
        let held = self
            .0
            .let_go
            .wait_while(lock(&self.0.is_held), |held| *held);
        drop(held.unwrap_or_else(PoisonError::into_inner));
    }

    fn file(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(HandFile {
            file,
            disk: self.clone(),
        })
    }
}

impl Disk for HandDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.wait();
        Ok(self.file(RealDisk.create(path)?))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(RealDisk.open(path, access)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.wait();
        RealDisk.remove(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.wait();
        RealDisk.rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }
}

struct HandFile {
    file: Box<dyn DiskFile>,
    disk: HandDisk,
}

impl DiskFile for HandFile {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_vectored_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        self.disk.wait();
        self.file.write_vectored_at(slices, offset)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.file.allocate(length)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.disk.wait();
        self.file.truncate(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.wait();
        self.file.sync_data()
    }
}

/// Copies the files of a folder as they are while somebody may write to them: what an end of the
/// process at this moment leaves.
pub(crate) fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&to)?;
            copy_files(&from, &to)?;
        } else if let Err(error) = std::fs::copy(&from, &to)
            && error.kind() != ErrorKind::NotFound
        {
            return Err(error);
        }
    }
    Ok(())
}
