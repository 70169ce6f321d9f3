//! The copy on disk of what is known of devices, for a start while the database is away.
//!
//! Owns: `devices.cache` in the data folder. Never: holds a secret or a name, only digests.
//! Invariant: the file is whole or absent: it is written beside the old one and put in its place,
//! and what does not fit its checksum is not used.
//!
//! Layout, numbers little-endian: `MRDEVS01`; the number of entries (u64); the entries: key (16
//! bytes), digest (32), until (i64, microseconds since 1970; the largest number: without an end);
//! CRC-32 of all before it (u32).

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crc32fast::Hasher;

use crate::credentials::DEVICES_MAX;
use crate::table::{Entry, Table};

pub const FILE_NAME: &str = "devices.cache";
const MAGIC: &[u8; 8] = b"MRDEVS01";
/// Each device has two secrets at most.
const ENTRIES_MAX: u64 = 2 * DEVICES_MAX as u64;
/// Digests of good secrets tell nothing, and yet they are nobody else's business.
const MODE: u32 = 0o600;

/// What is wrong with the copy.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("cannot read `{}`", file.display())]
    Read { file: PathBuf, source: io::Error },
    #[error("`{}` is damaged, or of another version", file.display())]
    Damaged { file: PathBuf },
    #[error("cannot write `{}`", file.display())]
    Write { file: PathBuf, source: io::Error },
}

pub(crate) struct Cache {
    folder: PathBuf,
    file: PathBuf,
}

impl Cache {
    pub(crate) fn in_folder(folder: &Path) -> Cache {
        Cache {
            folder: folder.to_owned(),
            file: folder.join(FILE_NAME),
        }
    }

    /// `None` when there is no copy.
    pub(crate) fn read(&self) -> Result<Option<Table>, CacheError> {
        let read = || {
            let file = File::open(&self.file)?;
            decode(&mut Checked::new(BufReader::new(file)))
        };
        match read() {
            Ok(Some(table)) => Ok(Some(table)),
            Ok(None) => Err(self.damaged()),
            Err(error) => match error.kind() {
                ErrorKind::NotFound => Ok(None),
                ErrorKind::UnexpectedEof => Err(self.damaged()),
                _ => Err(CacheError::Read {
                    file: self.file.clone(),
                    source: error,
                }),
            },
        }
    }

    /// Puts this table in the place of the copy; when it returns, it is on the disk.
    pub(crate) fn write(&self, table: &Table) -> Result<(), CacheError> {
        self.try_write(table).map_err(|source| CacheError::Write {
            file: self.file.clone(),
            source,
        })
    }

    fn try_write(&self, table: &Table) -> io::Result<()> {
        let beside = self.file.with_extension("cache.new");
        // One left by a crash may have been made by somebody with other rights.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(&beside)?;
        let mut out = Checked::new(BufWriter::new(file));
        encode(table, &mut out)?;
        let file = out.inner.into_inner().map_err(io::Error::from)?;
        file.sync_all()?;
        fs::rename(&beside, &self.file)?;
        File::open(&self.folder)?.sync_all()
    }

    fn damaged(&self) -> CacheError {
        CacheError::Damaged {
            file: self.file.clone(),
        }
    }
}

fn encode(table: &Table, out: &mut Checked<impl Write>) -> io::Result<()> {
    out.put(MAGIC)?;
    out.put(&(table.entries().count() as u64).to_le_bytes())?;
    for entry in table.entries() {
        out.put(&entry.key)?;
        out.put(&entry.digest)?;
        out.put(&entry.until.to_le_bytes())?;
    }
    let sum = out.sum.clone().finalize();
    out.put(&sum.to_le_bytes())
}

/// `None`: not what `encode` has written.
fn decode(from: &mut Checked<impl Read>) -> io::Result<Option<Table>> {
    if from.take()? != *MAGIC {
        return Ok(None);
    }
    let count = u64::from_le_bytes(from.take()?);
    if count > ENTRIES_MAX {
        return Ok(None);
    }
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push(Entry {
            key: from.take()?,
            digest: from.take()?,
            until: i64::from_le_bytes(from.take()?),
        });
    }
    let sum = from.sum.clone().finalize();
    Ok((from.take()? == sum.to_le_bytes()).then(|| Table::of(entries)))
}

/// Keeps the checksum of what passes.
struct Checked<T> {
    inner: T,
    sum: Hasher,
}

impl<T> Checked<T> {
    fn new(inner: T) -> Checked<T> {
        Checked {
            inner,
            sum: Hasher::new(),
        }
    }
}

impl<T: Write> Checked<T> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.inner.write_all(bytes)
    }
}

impl<T: Read> Checked<T> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes)?;
        self.sum.update(&bytes);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::credentials::{Credential, Previous};
    use crate::table::Change;

    fn table() -> Table {
        let credentials = ["a", "b", "größe"].map(|device| Credential {
            device: device.into(),
            digest: [1; 32],
            previous: (device == "b").then_some(Previous {
                digest: [2; 32],
                until: 5,
            }),
            created_at: 0,
            rotated_at: None,
            revoked_at: None,
        });
        Table::default().with(&credentials.each_ref().map(Change::from))
    }

    #[test]
    fn what_was_written_is_read_by_nobody_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::in_folder(folder.path());
        assert!(cache.read().expect("nothing wrong").is_none());
        let table = table();
        for round in 0..2 {
            cache.write(&table).expect("written");
            let back = cache.read().expect("readable").expect("a copy");
            assert!(back.entries().eq(table.entries()), "round {round}");
            assert_eq!(back.len(), 3);
            let mode = fs::metadata(&cache.file).expect("the file").permissions();
            assert_eq!(mode.mode() & 0o777, MODE);
        }
        let files = fs::read_dir(folder.path()).expect("the folder").count();
        assert_eq!(files, 1, "nothing is left beside it");
    }

    #[test]
    fn a_damaged_copy_is_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = Cache::in_folder(folder.path());
        cache.write(&table()).expect("written");
        let good = fs::read(&cache.file).expect("the bytes");
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            fs::write(&cache.file, &bad).expect("written");
            assert!(cache.read().is_err(), "byte {at} is another");
            fs::write(&cache.file, &good[..at]).expect("written");
            assert!(cache.read().is_err(), "it ends at {at}");
        }
    }
}
