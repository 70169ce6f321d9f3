//! The lock of the data folder: one running Millrace for one folder.
//!
//! Owns: the folder's creation and `millrace.lock` in it. Never: looks at anything else there.
//! Invariant: the operating system holds the lock, so it ends with the process however that ends;
//! the file stays, and the process id inside is only for messages.

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::private;

const FILE_NAME: &str = "millrace.lock";

/// Held for as long as it lives.
#[derive(Debug)]
pub(crate) struct DataLock {
    _file: File,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error("the data folder `{}` cannot be created", folder.display())]
    Create { folder: PathBuf, source: io::Error },
    #[error("the data folder `{}` is not writable", folder.display())]
    NotWritable { folder: PathBuf, source: io::Error },
    #[error("the data folder `{}` is in use by {}", folder.display(), holder(*process))]
    InUse {
        folder: PathBuf,
        process: Option<u32>,
    },
    #[error("the data folder `{}` cannot be locked", folder.display())]
    Lock { folder: PathBuf, source: io::Error },
}

impl DataLock {
    /// Creates the folder when it is missing and takes its lock, or says who holds it.
    pub(crate) fn acquire(folder: &Path) -> Result<DataLock, LockError> {
        let owned = || folder.to_owned();
        private::create_data_folder(folder).map_err(|source| LockError::Create {
            folder: owned(),
            source,
        })?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join(FILE_NAME))
            .map_err(|source| LockError::NotWritable {
                folder: owned(),
                source,
            })?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::InUse {
                    folder: owned(),
                    process: read_process(&mut file),
                });
            }
            Err(TryLockError::Error(source)) => {
                return Err(LockError::Lock {
                    folder: owned(),
                    source,
                });
            }
        }
        write_process(&mut file).map_err(|source| LockError::NotWritable {
            folder: owned(),
            source,
        })?;
        private::warn_when_open_to_others(folder);
        Ok(DataLock { _file: file })
    }
}

fn write_process(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

/// The holder writes its id just after it took the lock, so it may not be there yet.
fn read_process(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn holder(process: Option<u32>) -> String {
    match process {
        Some(process) => format!("process {process}"),
        None => "another process".to_owned(),
    }
}
