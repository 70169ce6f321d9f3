//! `published.log`: the ids of events that left before the database knew of them.
//!
//! Owns: that file. Never: stops the lane; without the file alerts still flow, only a crash may
//! repeat some of them. Invariant: an id is in the file before its event is published, and until
//! the transaction that holds it has succeeded.
//!
//! It is written without fsync: it has to outlive the process, not the machine. What is left of an
//! entry at the end of the file is cut off, and an entry that is damaged is left out; both are
//! told.
//!
//! It is no journal, on purpose. An append to a journal returns before anything is written, and
//! what it promises comes after the disk has synced. An alert would either leave before it is in a
//! file, or wait for the disk.

mod format;

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use journal::Position;
use telemetry::Micros;
use tracing::{error, info, warn};

use super::id::EventId;
use format::{Contents, ENTRY_BYTES, encode};

/// Name of the file in the data folder.
pub const FILE_NAME: &str = "published.log";

/// The file is rewritten when it holds this many entries more than twice those still needed.
/// Normally it never comes to that: whenever everything is committed the file is simply emptied.
const REWRITE_SLACK: usize = 4096;

/// Between two attempts to write the file again after a failure.
const RETRY: Duration = Duration::from_secs(5);

/// One published event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub id: EventId,
    pub cause: EventId,
    pub position: Position,
    /// A crash took the record along before it was durable: another record may have its position by
    /// now.
    pub lost: bool,
    pub started_at: Micros,
    pub updated_at: Micros,
}

/// Published events whose transaction has not succeeded yet.
#[derive(Debug)]
pub struct PublishedLog {
    path: Option<PathBuf>,
    /// `None` without a path, and after a failure until the entries could be written anew.
    file: Option<File>,
    failed_at: Option<Instant>,
    entries: HashMap<EventId, Entry>,
    /// Entries in the file, those that are no longer needed included.
    written: usize,
}

impl PublishedLog {
    /// Opens or creates the log in `folder` and returns what an earlier process left in it, an
    /// entry for each id.
    pub fn open(folder: &Path) -> (PublishedLog, Vec<Entry>) {
        let mut log = PublishedLog::in_memory();
        let path = folder.join(FILE_NAME);
        let restored = match open_file(&path) {
            Ok((file, entries)) => {
                log.file = Some(file);
                entries
            }
            Err(source) => {
                report(&path, &source);
                Vec::new()
            }
        };
        log.path = Some(path);
        log.written = restored.len();
        log.entries = restored.iter().map(|entry| (entry.id, *entry)).collect();
        let mut restored: Vec<Entry> = log.entries.values().copied().collect();
        restored.sort_by_key(|entry| (entry.position, entry.updated_at, entry.id));
        (log, restored)
    }

    /// A log that a crash forgets.
    pub fn in_memory() -> PublishedLog {
        PublishedLog {
            path: None,
            file: None,
            failed_at: None,
            entries: HashMap::new(),
            written: 0,
        }
    }

    /// To be called before the events are published. An entry replaces an earlier one with its id.
    /// After an error the entries are kept in memory only.
    pub fn append(&mut self, entries: &[Entry]) {
        self.entries
            .extend(entries.iter().map(|entry| (entry.id, *entry)));
        let Some(file) = &mut self.file else {
            self.try_again();
            return;
        };
        match file.write_all(&encode(entries.iter())) {
            Ok(()) => self.written += entries.len(),
            Err(source) => self.degrade(&source),
        }
    }

    /// The events are in the database now, or will never be asked for again.
    pub fn forget(&mut self, ids: impl IntoIterator<Item = EventId>) {
        for id in ids {
            self.entries.remove(&id);
        }
        if self.entries.is_empty() {
            self.clear();
        } else if self.written > 2 * self.entries.len() + REWRITE_SLACK {
            self.rewrite();
        }
    }

    /// Events that are published and not committed.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Nothing is needed any more: an empty file, and a new start for one that failed.
    fn clear(&mut self) {
        if let Some(file) = &self.file {
            if self.written > 0 {
                match file.set_len(0) {
                    Ok(()) => self.written = 0,
                    Err(source) => self.degrade(&source),
                }
            }
        } else if let Some(path) = &self.path
            && let Ok(file) = create(path)
        {
            info!(path = %path.display(), "published alerts are logged again");
            self.file = Some(file);
            self.written = 0;
        }
    }

    fn rewrite(&mut self) {
        let (Some(path), Some(_)) = (&self.path, &self.file) else {
            return;
        };
        let replaced = replace(path, &encode(self.entries.values()));
        match replaced {
            Ok(file) => {
                self.file = Some(file);
                self.written = self.entries.len();
            }
            Err(source) => self.degrade(&source),
        }
    }

    /// A disk that was full may have space again.
    fn try_again(&mut self) {
        if self.failed_at.is_none_or(|at| at.elapsed() >= RETRY) {
            self.write_anew();
        }
    }

    /// After a failure: all that is needed, in a new file.
    fn write_anew(&mut self) {
        let Some(path) = &self.path else { return };
        match replace(path, &encode(self.entries.values())) {
            Ok(file) => {
                info!(path = %path.display(), "published alerts are logged again");
                self.file = Some(file);
                self.written = self.entries.len();
            }
            Err(_) => self.failed_at = Some(Instant::now()),
        }
    }

    fn degrade(&mut self, source: &io::Error) {
        if let Some(path) = &self.path {
            report(path, source);
        }
        self.file = None;
        self.failed_at = Some(Instant::now());
    }
}

impl Drop for PublishedLog {
    /// At an orderly stop others have given space back by now; what is not committed is needed by
    /// the next start.
    fn drop(&mut self) {
        if self.file.is_none() && !self.entries.is_empty() {
            self.write_anew();
        }
    }
}

fn report(path: &Path, source: &io::Error) {
    error!(
        path = %path.display(),
        %source,
        "cannot log published alerts; until this works again a crash may repeat the latest of them"
    );
}

fn open_file(path: &Path) -> io::Result<(File, Vec<Entry>)> {
    let contents = read(path)?;
    if contents.damaged > 0 || contents.cut_bytes > 0 {
        warn!(
            file = %path.display(),
            damaged_entries = contents.damaged,
            cut_bytes = contents.cut_bytes,
            "the list of published alerts is damaged or was cut; an alert of before the stop may be \
             published twice"
        );
    }
    if !contents.can_be_continued() {
        let file = replace(path, &encode(contents.entries.iter()))?;
        return Ok((file, contents.entries));
    }
    let file = options().open(path)?;
    // Whatever follows must begin at the boundary of an entry.
    file.set_len((contents.entries.len() * ENTRY_BYTES) as u64)?;
    Ok((file, contents.entries))
}

/// Its mode follows the data folder's, as that of the other files does.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    options
}

fn read(path: &Path) -> io::Result<Contents> {
    match fs::read(path) {
        Ok(bytes) => Ok(format::read(&bytes)),
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(Contents::default()),
        Err(source) => Err(source),
    }
}

/// What `verify` has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    pub entries: u64,
    /// Entries that are not as they were written.
    pub damaged: u64,
    /// What is left of an entry at the end, cut by a crash or just being written.
    pub cut_bytes: u64,
}

/// Reads the log in `folder` and changes nothing; `None` when there is none.
pub fn verify(folder: &Path) -> io::Result<Option<Verified>> {
    let path = folder.join(FILE_NAME);
    if !path.try_exists()? {
        return Ok(None);
    }
    let contents = read(&path)?;
    Ok(Some(Verified {
        entries: contents.entries.len() as u64,
        damaged: contents.damaged,
        cut_bytes: contents.cut_bytes,
    }))
}

fn create(path: &Path) -> io::Result<File> {
    let file = options().open(path)?;
    file.set_len(0)?;
    Ok(file)
}

/// Writes a new file beside the old one and puts it in its place, so that no moment is without the
/// entries.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let new = path.with_extension("log.new");
    let mut file = create(&new)?;
    let written = file.write_all(bytes).and_then(|()| fs::rename(&new, path));
    if let Err(error) = written {
        // On a full disk it would take what others need.
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn entry(number: u8) -> Entry {
        Entry {
            id: EventId([number; 16]),
            cause: EventId([number ^ 0xff; 16]),
            position: Position(u64::from(number) << 40),
            lost: number.is_multiple_of(2),
            started_at: -1,
            updated_at: i64::from(number),
        }
    }

    #[test]
    fn a_later_entry_replaces_an_earlier_one_with_its_id() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, _) = PublishedLog::open(folder.path());
        let lost = Entry {
            lost: true,
            ..entry(1)
        };
        log.append(&[entry(1), entry(3)]);
        log.append(&[lost]);
        assert_eq!(reopen(folder.path()), [lost, entry(3)]);
    }

    fn reopen(folder: &Path) -> Vec<Entry> {
        PublishedLog::open(folder).1
    }

    #[test]
    fn an_appended_entry_is_there_for_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, restored) = PublishedLog::open(folder.path());
        assert_eq!(restored, []);
        log.append(&[entry(1), entry(2)]);
        log.append(&[entry(3)]);
        assert_eq!(reopen(folder.path()), [entry(1), entry(2), entry(3)]);
    }

    #[test]
    fn a_torn_tail_is_cut_wherever_it_tore() {
        for torn in 1..ENTRY_BYTES {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(FILE_NAME);
            let bytes = encode([entry(1), entry(2)].iter());
            fs::write(&path, &bytes[..bytes.len() - torn]).unwrap();
            let (mut log, restored) = PublishedLog::open(folder.path());
            assert_eq!(restored, [entry(1)], "torn by {torn}");
            log.append(&[entry(3)]);
            assert_eq!(
                reopen(folder.path()),
                [entry(1), entry(3)],
                "torn by {torn}"
            );
        }
    }

    #[test]
    fn a_damaged_entry_is_told_and_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        assert_eq!(verify(folder.path()).unwrap(), None);
        let mut bytes = encode([entry(1), entry(2), entry(3)].iter());
        bytes[ENTRY_BYTES + 20] ^= 1;
        bytes.extend_from_slice(b"MRP");
        fs::write(&path, &bytes).unwrap();
        let damaged = Verified {
            entries: 2,
            damaged: 1,
            cut_bytes: 3,
        };
        assert_eq!(verify(folder.path()).unwrap(), Some(damaged));
        assert_eq!(fs::read(&path).unwrap(), bytes, "only read");
        assert_eq!(reopen(folder.path()), [entry(1), entry(3)]);
        let whole = Verified {
            entries: 2,
            damaged: 0,
            cut_bytes: 0,
        };
        assert_eq!(verify(folder.path()).unwrap(), Some(whole));
    }

    #[test]
    fn a_file_of_before_the_checksums_becomes_one_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        let old: Vec<u8> = encode([entry(1), entry(3)].iter())
            .chunks(ENTRY_BYTES)
            .flat_map(|entry| entry[8..].to_vec())
            .collect();
        fs::write(&path, old).unwrap();
        let (mut log, restored) = PublishedLog::open(folder.path());
        assert_eq!(restored, [entry(1), entry(3)]);
        log.append(&[entry(5)]);
        assert_eq!(reopen(folder.path()), [entry(1), entry(3), entry(5)]);
        assert_eq!(fs::metadata(&path).unwrap().len(), 3 * ENTRY_BYTES as u64);
    }

    #[test]
    fn the_file_is_emptied_when_everything_is_committed() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, _) = PublishedLog::open(folder.path());
        log.append(&[entry(1), entry(2)]);
        log.forget([entry(1).id]);
        assert_eq!(log.len(), 1);
        assert_eq!(reopen(folder.path()), [entry(1), entry(2)]);
        log.forget([entry(2).id]);
        assert!(log.is_empty());
        assert_eq!(reopen(folder.path()), []);
        log.append(&[entry(4)]);
        assert_eq!(reopen(folder.path()), [entry(4)]);
    }

    #[test]
    fn the_file_does_not_grow_when_it_is_never_quite_empty() {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, _) = PublishedLog::open(folder.path());
        log.append(&[entry(1)]);
        for number in 0..3 * REWRITE_SLACK as u64 {
            let mut id = [2; 16];
            id[..8].copy_from_slice(&number.to_le_bytes());
            let entry = Entry {
                id: EventId(id),
                ..entry(2)
            };
            log.append(&[entry]);
            log.forget([entry.id]);
        }
        let length = fs::metadata(folder.path().join(FILE_NAME)).unwrap().len();
        assert!(length <= ((REWRITE_SLACK + 4) * ENTRY_BYTES) as u64);
        assert!(reopen(folder.path()).contains(&entry(1)));
    }

    #[test]
    fn a_folder_that_cannot_be_written_does_not_stop_anything() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("not-there");
        let (mut log, restored) = PublishedLog::open(&gone);
        assert_eq!(restored, []);
        log.append(&[entry(1)]);
        assert_eq!(log.len(), 1);
        // Once the folder is back and nothing is outstanding, the log works again.
        fs::create_dir(&gone).unwrap();
        log.forget([entry(1).id]);
        log.append(&[entry(2)]);
        assert_eq!(reopen(&gone), [entry(2)]);
    }

    #[test]
    fn what_a_failure_kept_in_memory_is_written_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("not-there");
        let (mut log, _) = PublishedLog::open(&gone);
        log.append(&[entry(1), entry(2)]);
        log.forget([entry(1).id]);
        fs::create_dir(&gone).unwrap();
        drop(log);
        assert_eq!(reopen(&gone), [entry(2)]);
    }
}
