//! The one door to the disk, so that a test can let any call fail.
//!
//! Owns: opening, writing, syncing and replacing files. Never: knows the format.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

pub(super) trait Disk: Send {
    /// A new empty file; one that exists is emptied.
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;

    /// To write behind what the file holds.
    fn append(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;

    /// `from` takes the place of `to` in one step that survives power loss.
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes what `path` holds also reachable as `aside`, taking the place of what was there.
    fn keep_aside(&self, path: &Path, aside: &Path) -> io::Result<()>;

    /// Gives its space back; best effort.
    fn remove(&self, path: &Path);
}

pub(super) trait LogFile: Send {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// What was written survives power loss.
    fn sync(&mut self) -> io::Result<()>;
}

pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(File::create(path)?))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        Ok(Box::new(OpenOptions::new().append(true).open(path)?))
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        // The new name is in the folder, so the folder is what must be synced.
        match to.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    fn keep_aside(&self, path: &Path, aside: &Path) -> io::Result<()> {
        self.remove(aside);
        // A second name costs nothing; not every file system has one to give.
        fs::hard_link(path, aside).or_else(|_| fs::copy(path, aside).map(|_| ()))
    }

    fn remove(&self, path: &Path) {
        let _ = fs::remove_file(path);
    }
}

impl LogFile for File {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        Write::write_all(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}
