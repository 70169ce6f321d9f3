//! The files against which a test compares the table.
//!
//! Owns: `FILE` with every acknowledged sample and `FILE.unacknowledged` with those that were sent
//! and may or may not have arrived. Never: writes a sample twice. Invariant: when the run has
//! ended, both files are complete and flushed.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::Error;

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 256 * 1024;

#[derive(Debug)]
pub(crate) struct Expect {
    acknowledged: Sink,
    unacknowledged: Sink,
}

#[derive(Debug)]
struct Sink {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: BufWriter<File>,
    /// The first failure; what comes after it is not written.
    failure: Option<std::io::Error>,
}

impl Expect {
    /// Creates both files, replacing older ones.
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        let mut other = path.as_os_str().to_owned();
        other.push(".unacknowledged");
        Ok(Self {
            acknowledged: Sink::create(path.to_owned())?,
            unacknowledged: Sink::create(other.into())?,
        })
    }

    pub(crate) fn acknowledged(&self, lines: &[u8]) {
        self.acknowledged.write(lines);
    }

    pub(crate) fn unacknowledged(&self, lines: &[u8]) {
        self.unacknowledged.write(lines);
    }

    pub(crate) fn finish(&self) -> Result<(), Error> {
        self.acknowledged.finish()?;
        self.unacknowledged.finish()
    }
}

impl Sink {
    fn create(path: PathBuf) -> Result<Self, Error> {
        match File::create(&path) {
            Ok(file) => {
                let file = BufWriter::with_capacity(BUFFER_BYTES, file);
                Ok(Self {
                    path,
                    state: Mutex::new(State {
                        file,
                        failure: None,
                    }),
                })
            }
            Err(source) => Err(Error::Expect { path, source }),
        }
    }

    fn write(&self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        // A poisoned lock guards a buffer that is still whole: `write_all` is the only thing done
        // under it.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failure.is_none()
            && let Err(error) = state.file.write_all(lines)
        {
            state.failure = Some(error);
        }
    }

    fn finish(&self) -> Result<(), Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = match state.failure.take() {
            Some(failure) => Err(failure),
            None => state.file.flush(),
        };
        result.map_err(|source| Error::Expect {
            path: self.path.clone(),
            source,
        })
    }
}
