//! Reading the log at start.
//!
//! Owns: the verdict on how the file ends. Never: changes the file. Invariant: reading stops at the
//! first byte that is not a record; what lies behind it is never applied, since a missing record
//! could bring an older message back.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::OpenError;
use super::record::{self, FILE_HEADER_BYTES, FORMAT, HEADER_BYTES, Header};
use super::store::Store;

/// How much of what lies behind a broken record is searched for a good one.
const SEARCH_BYTES_MAX: u64 = 16 << 20;
/// How many bytes may be checksummed in that search: payloads that look like records must not make
/// it endless.
const SEARCH_CHECKSUM_BYTES_MAX: usize = 256 << 20;

/// How the file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Clean,
    /// The last write did not finish: a broken record and no good one behind it.
    Torn {
        bytes: u64,
    },
    /// A good record lies behind a broken one, or the file is no log at all: not something a crash
    /// does.
    Damaged {
        at: u64,
    },
}

#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) end: End,
    /// Bytes of the file; 0 when there is none.
    bytes: u64,
}

impl Loaded {
    /// The file's bytes when it can be continued as it is: whole, and with nothing obsolete.
    pub(super) fn reusable_bytes(&self, store: &Store) -> Option<u64> {
        let live = FILE_HEADER_BYTES as u64 + store.record_bytes();
        (self.end == End::Clean && self.bytes == live).then_some(live)
    }
}

/// Applies the log's records to `store`, in order.
pub(super) fn load(path: &Path, store: &mut Store) -> Result<Loaded, OpenError> {
    let read_error = |source| OpenError::Read {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Loaded {
                end: End::Clean,
                bytes: 0,
            });
        }
        Err(error) => return Err(read_error(error)),
    };
    let bytes = file.metadata().map_err(read_error)?.len();
    let mut input = Input {
        file: BufReader::new(file),
        at: 0,
        bytes,
    };
    match input.format().map_err(read_error)? {
        Some(FORMAT) => {}
        Some(found) => {
            return Err(OpenError::Format {
                path: path.to_owned(),
                found,
                known: FORMAT,
            });
        }
        // It was moved into its place whole, so it cannot have been torn.
        None => {
            let end = End::Damaged { at: 0 };
            return Ok(Loaded { end, bytes });
        }
    }
    while input.at < bytes {
        match input.record().map_err(read_error)? {
            Some(change) => store.load(change),
            None => {
                let end = input.judge_rest().map_err(read_error)?;
                return Ok(Loaded { end, bytes });
            }
        }
    }
    Ok(Loaded {
        end: End::Clean,
        bytes,
    })
}

struct Input {
    file: BufReader<File>,
    /// Where the next record begins.
    at: u64,
    bytes: u64,
}

impl Input {
    fn format(&mut self) -> io::Result<Option<u32>> {
        if self.bytes < FILE_HEADER_BYTES as u64 {
            return Ok(None);
        }
        let mut header = [0; FILE_HEADER_BYTES];
        self.file.read_exact(&mut header)?;
        self.at = FILE_HEADER_BYTES as u64;
        Ok(record::file_format(&header))
    }

    /// The next record; `None`, and `at` where it was, when there is none in these bytes.
    fn record(&mut self) -> io::Result<Option<record::Change>> {
        let left = self.bytes - self.at;
        if left < HEADER_BYTES as u64 {
            return Ok(None);
        }
        let mut header = [0; HEADER_BYTES];
        self.file.read_exact(&mut header)?;
        let Some(header) = Header::parse(&header) else {
            return Ok(None);
        };
        let length = (HEADER_BYTES + header.body_len()) as u64;
        if left < length {
            return Ok(None);
        }
        let mut body = vec![0; header.body_len()];
        self.file.read_exact(&mut body)?;
        let change = header.decode(&body);
        if change.is_some() {
            self.at += length;
        }
        Ok(change)
    }

    /// Whether what begins at `at`, which is not a record, is a torn tail or damage.
    fn judge_rest(&mut self) -> io::Result<End> {
        self.file.seek(SeekFrom::Start(self.at))?;
        let mut rest = Vec::new();
        self.file
            .by_ref()
            .take(SEARCH_BYTES_MAX)
            .read_to_end(&mut rest)?;
        Ok(if holds_record(&rest[1.min(rest.len())..]) {
            End::Damaged { at: self.at }
        } else {
            End::Torn {
                bytes: self.bytes - self.at,
            }
        })
    }
}

/// Whether a whole record lies somewhere in `bytes`. Counts as found when the search becomes too
/// dear: then a copy is kept.
fn holds_record(bytes: &[u8]) -> bool {
    let mut checksummed = 0;
    for at in 0..bytes.len() {
        let Some((header, rest)) = bytes[at..].split_first_chunk::<HEADER_BYTES>() else {
            return false;
        };
        let Some(header) = Header::parse(header) else {
            continue;
        };
        let Some(body) = rest.get(..header.body_len()) else {
            continue;
        };
        checksummed += body.len();
        if checksummed > SEARCH_CHECKSUM_BYTES_MAX || header.decode(body).is_some() {
            return true;
        }
    }
    false
}
