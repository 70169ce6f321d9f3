//! The only door to the disk.
//!
//! Owns: every system call the journal makes on files. Never: decides anything. Invariant: no other
//! module of this crate names `std::fs`, so a test that stands behind `Disk` can make any single
//! call fail, or lose what was not synced.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::FallocateFlags;

const NO_SPACE: [io::ErrorKind; 2] = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];

/// A folder's files. Every change of names is durable only after `sync_dir`.
pub trait Disk: Send + Sync + 'static {
    /// Creates the folder and its parents where they are missing, durably.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// The names of the files in `dir`, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// A new file for reading and writing; an error when there is one already.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes created and removed names durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// An open file. Bytes and length are durable only after `sync_data`.
pub trait DiskFile: Send + Sync {
    fn length(&self) -> io::Result<u64>;

    /// Reads what is there, at most `buffer.len()` bytes; 0 at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes as much as it can of `slices` (at most `IOV_MAX` of them); returns the number of
    /// bytes.
    fn write_vectored_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize>;

    /// Makes the file at least `length` bytes long, zeros behind the former end, with the space for
    /// them promised.
    fn allocate(&self, length: u64) -> io::Result<()>;

    fn truncate(&self, length: u64) -> io::Result<()>;

    /// `fdatasync`: the bytes, and the length needed to read them.
    fn sync_data(&self) -> io::Result<()>;
}

/// The slices one `write_vectored_at` may carry: Linux's `UIO_MAXIOV`, the largest of the systems
/// we know.
pub const SLICES_MAX: usize = 1024;

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        std::fs::create_dir_all(dir)?;
        match dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => self.sync_dir(parent),
            _ => self.sync_dir(Path::new(".")),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            // A name that is not UTF-8 is not one of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(access == Access::Write)
            .open(path)?;
        Ok(Box::new(file))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn write_vectored_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        Ok(rustix::io::pwritev(self, slices, offset)?)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        Ok(rustix::fs::fallocate(
            self,
            FallocateFlags::empty(),
            0,
            length,
        )?)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }
}

/// No space, or no quota: passes when somebody frees some.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    NO_SPACE.contains(&error.kind())
}

/// The file system cannot promise space in advance; writing works all the same.
pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
}

/// Fills `buffer` from `offset` on; an early end of the file is `UnexpectedEof`.
pub(crate) fn read_exact_at(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all of `slices` from `offset` on, in as few calls as `SLICES_MAX` allows.
pub(crate) fn write_all_at(
    file: &dyn DiskFile,
    mut slices: &mut [IoSlice<'_>],
    mut offset: u64,
) -> io::Result<()> {
    while !slices.is_empty() {
        let batch = slices.len().min(SLICES_MAX);
        match file.write_vectored_at(&slices[..batch], offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                IoSlice::advance_slices(&mut slices, written);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
