//! The only door to the disk.
//!
//! Owns: every system call the journal makes on files. Never: decides anything. Invariant: no other
//! module of this crate names `std::fs`, so a test that stands behind `Disk` can make any single
//! call fail, or lose what was not synced.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, OpenOptionsExt as _};
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

    /// Gives a file or a folder another name. What has that name is replaced: a file by a file, an
    /// empty folder by a folder.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes created, removed and changed names durable.
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

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }
}

/// Puts a file with what `write` writes in the place of the one at `path`, in one step that
/// survives power loss. The file is written beside the old one, under its name with `.new` behind,
/// and synced. When that fails the old file stays as it is and nothing is left beside it. `mode`
/// says who may read it, as `chmod` has it.
pub fn replace_file(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    // One left by a crash may have been made by somebody with other rights.
    match std::fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let replaced = write_beside(beside, mode, write).and_then(|()| std::fs::rename(beside, path));
    if let Err(error) = replaced {
        // On a full disk it would take what others need.
        let _ = std::fs::remove_file(beside);
        return Err(error);
    }
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => RealDisk.sync_dir(folder),
        _ => RealDisk.sync_dir(Path::new(".")),
    }
}

fn write_beside(
    beside: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(beside)?;
    write(&mut file)?;
    file.sync_all()
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
pub fn is_no_space(error: &io::Error) -> bool {
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
