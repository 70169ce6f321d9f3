//! A disk in memory that fails on demand and forgets what was not synced.
//!
//! What a power loss may leave behind is modelled harshly: each name that was created or removed
//! since the last `sync_dir`, and each sector that was written since the last `sync_data`, survives
//! or not, independently. After a failed `sync_data` the bytes stay readable but no later sync
//! makes them durable.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use journal::disk::{Access, Disk, DiskFile};
use rand::{Rng, RngExt};

use crate::PATIENCE;

pub const EIO: i32 = 5;
pub const ENOSPC: i32 = 28;
pub const EDQUOT: i32 = 122;
pub const EOPNOTSUPP: i32 = 95;

/// Smaller than a real one, so that a small frame spans several.
const SECTOR_BYTES: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    CreateDir,
    Create,
    Remove,
    Rename,
    SyncDir,
    Write,
    Allocate,
    Truncate,
    Sync,
}

/// The call with this number (counting from 0) fails.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    pub at: usize,
    pub errno: i32,
    /// A write does half of its work before it fails.
    pub half: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing that was not synced survives.
    Everything,
    /// All of it survives, as after a kill of the process.
    Nothing,
    /// A beginning of what was done to each file survives.
    Suffix,
    /// Each sector and each name survives or not.
    Random,
}

#[derive(Clone, Default)]
pub struct SimDisk(Arc<Sim>);

#[derive(Default)]
struct Sim {
    state: Mutex<State>,
    unblocked: Condvar,
}

#[derive(Default)]
struct State {
    names: BTreeMap<PathBuf, Inode>,
    durable_names: BTreeMap<PathBuf, Inode>,
    name_changes: Vec<(PathBuf, Option<Inode>)>,
    /// Calls that change something, failed ones included.
    calls: Vec<Call>,
    fault: Option<Fault>,
    allocate_errno: Option<i32>,
    /// Bytes that all files together may have.
    space: Option<u64>,
    peak_bytes: u64,
    syncs_blocked: bool,
    reads: usize,
    failing_read: Option<usize>,
}

type Inode = Arc<Mutex<Content>>;

#[derive(Default, Clone)]
struct Content {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl SimDisk {
    pub fn failing(fault: Fault) -> SimDisk {
        let disk = SimDisk::default();
        disk.lock().fault = Some(fault);
        disk
    }

    pub fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// Journals in the folder `data` of this disk.
    pub fn journals(&self) -> journal::LocalJournals {
        journal::LocalJournals::new(Path::new("data"), self.shared())
    }

    /// Lets the next call but `after` fail.
    pub fn fail_next(&self, after: usize, errno: i32) {
        let mut state = self.lock();
        let at = state.calls.len() + after;
        state.fault = Some(Fault {
            at,
            errno,
            half: false,
        });
    }

    /// Every promise of space fails.
    pub fn refuse_allocations(&self, errno: i32) {
        self.lock().allocate_errno = Some(errno);
    }

    pub fn fail_read(&self, at: usize) {
        let mut state = self.lock();
        state.failing_read = Some(state.reads + at);
    }

    pub fn set_space(&self, bytes: Option<u64>) {
        self.lock().space = bytes;
    }

    pub fn bytes(&self) -> u64 {
        self.lock().bytes()
    }

    pub fn peak_bytes(&self) -> u64 {
        self.lock().peak_bytes
    }

    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    pub fn count(&self, call: Call) -> usize {
        self.lock().calls.iter().filter(|c| **c == call).count()
    }

    /// `sync_data` does not return until `unblock_syncs`.
    pub fn block_syncs(&self) {
        self.lock().syncs_blocked = true;
    }

    pub fn unblock_syncs(&self) {
        self.lock().syncs_blocked = false;
        self.0.unblocked.notify_all();
    }

    /// Blocks until so many calls have been made; a sync that is blocked counts.
    pub fn wait_for_calls(&self, call: Call, count: usize) {
        let state = self.lock();
        let (_state, timeout) = self
            .0
            .unblocked
            .wait_timeout_while(state, PATIENCE, |state| {
                state.calls.iter().filter(|c| **c == call).count() < count
            })
            .unwrap();
        assert!(!timeout.timed_out(), "no {call:?}");
    }

    /// The disk as a restarted machine finds it, if the power goes now.
    pub fn crash(&self, loss: Loss, rng: &mut impl Rng) -> SimDisk {
        let state = self.lock();
        let mut names = state.durable_names.clone();
        for (path, inode) in &state.name_changes {
            let survives = match loss {
                Loss::Everything => false,
                Loss::Nothing => true,
                Loss::Suffix | Loss::Random => rng.random(),
            };
            match (survives, inode) {
                (false, _) => {}
                (true, Some(inode)) => drop(names.insert(path.clone(), Arc::clone(inode))),
                (true, None) => drop(names.remove(path)),
            }
        }
        let names: BTreeMap<_, _> = names
            .into_iter()
            .map(|(path, inode)| {
                let bytes = inode.lock().unwrap().after_crash(loss, rng);
                (path, bytes)
            })
            .collect();
        SimDisk::from_files(names)
    }

    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.lock();
        let content = |inode: &Inode| inode.lock().unwrap().bytes.clone();
        state
            .names
            .iter()
            .map(|(path, inode)| (path.clone(), content(inode)))
            .collect()
    }

    pub fn from_files(files: BTreeMap<PathBuf, Vec<u8>>) -> SimDisk {
        let disk = SimDisk::default();
        let mut state = disk.lock();
        for (path, bytes) in files {
            let inode = Arc::new(Mutex::new(Content {
                durable: bytes.clone(),
                bytes,
                changes: Vec::new(),
            }));
            state.names.insert(path.clone(), Arc::clone(&inode));
            state.durable_names.insert(path, inode);
        }
        drop(state);
        disk
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    /// Counts a call; an error when it is the one that fails. Also says whether half is to be done.
    fn enter(&self, call: Call) -> Result<MutexGuard<'_, State>, (io::Error, bool)> {
        let mut state = self.lock();
        let number = state.calls.len();
        state.calls.push(call);
        self.0.unblocked.notify_all();
        match state.fault {
            Some(fault) if fault.at == number => {
                Err((io::Error::from_raw_os_error(fault.errno), fault.half))
            }
            _ => Ok(state),
        }
    }

    fn read_call(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        let number = state.reads;
        state.reads += 1;
        if state.failing_read == Some(number) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(state)
    }
}

impl State {
    fn bytes(&self) -> u64 {
        let length = |inode: &Inode| inode.lock().unwrap().bytes.len() as u64;
        self.names.values().map(length).sum()
    }

    /// How far `content` may grow towards `length`.
    fn grow(&mut self, used_by_it: usize, length: usize) -> usize {
        let others = self.bytes() - used_by_it as u64;
        let allowed = match self.space {
            Some(space) => space.saturating_sub(others) as usize,
            None => usize::MAX,
        };
        let length = length.min(allowed.max(used_by_it));
        let total = others + length.max(used_by_it) as u64;
        self.peak_bytes = self.peak_bytes.max(total);
        length
    }
}

impl Content {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        write_at(&mut self.bytes, offset, bytes);
        self.changes.push(Change::Write(offset, bytes.to_vec()));
    }

    fn set_length(&mut self, length: usize) {
        self.bytes.resize(length, 0);
        self.changes.push(Change::Length(length));
    }

    /// Only what changed since the last sync is written: what a failed one lost stays lost.
    fn sync(&mut self) {
        for change in self.changes.drain(..) {
            match change {
                Change::Write(offset, bytes) => write_at(&mut self.durable, offset, &bytes),
                Change::Length(length) => self.durable.resize(length, 0),
            }
        }
    }

    /// What was written stays readable until the machine restarts, and is gone then.
    fn fail_sync(&mut self) {
        self.changes.clear();
    }

    fn after_crash(&self, loss: Loss, rng: &mut impl Rng) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        let survivors = match loss {
            Loss::Everything => 0,
            Loss::Suffix => rng.random_range(0..=self.changes.len()),
            Loss::Nothing | Loss::Random => self.changes.len(),
        };
        for change in &self.changes[..survivors] {
            match change {
                Change::Length(length) if loss != Loss::Random || rng.random() => {
                    bytes.resize(*length, 0);
                }
                Change::Length(_) => {}
                Change::Write(offset, written) => {
                    let mut at = 0;
                    while at < written.len() {
                        let sector = SECTOR_BYTES - (offset + at) % SECTOR_BYTES;
                        let end = written.len().min(at + sector);
                        if loss != Loss::Random || rng.random() {
                            write_at(&mut bytes, offset + at, &written[at..end]);
                        }
                        at = end;
                    }
                }
            }
        }
        bytes
    }
}

fn write_at(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[offset..end].copy_from_slice(bytes);
}

impl Disk for SimDisk {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        let entered = self.enter(Call::CreateDir);
        entered.map(drop).map_err(|(error, _)| error)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.read_call()?;
        let mut names = Vec::new();
        for path in state.names.keys() {
            if path.parent() == Some(dir) {
                names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
            }
        }
        Ok(names)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.enter(Call::Create).map_err(|(error, _)| error)?;
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = Inode::default();
        state.names.insert(path.to_owned(), Arc::clone(&inode));
        state
            .name_changes
            .push((path.to_owned(), Some(Arc::clone(&inode))));
        drop(state);
        Ok(Box::new(SimFile {
            disk: self.clone(),
            inode,
        }))
    }

    fn open(&self, path: &Path, _access: Access) -> io::Result<Box<dyn DiskFile>> {
        let state = self.read_call()?;
        let inode = state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(SimFile {
            disk: self.clone(),
            inode: Arc::clone(inode),
        }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.enter(Call::Remove).map_err(|(error, _)| error)?;
        state.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        state.name_changes.push((path.to_owned(), None));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.enter(Call::Rename).map_err(|(error, _)| error)?;
        let moved: Vec<_> = state
            .names
            .keys()
            .filter(|path| path.starts_with(from))
            .cloned()
            .collect();
        for path in moved {
            let inode = state.names.remove(&path).unwrap();
            let below = path.strip_prefix(from).unwrap();
            let renamed = if below.as_os_str().is_empty() {
                to.to_owned()
            } else {
                to.join(below)
            };
            state.names.insert(renamed.clone(), Arc::clone(&inode));
            state.name_changes.push((path, None));
            state.name_changes.push((renamed, Some(inode)));
        }
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut state = self.enter(Call::SyncDir).map_err(|(error, _)| error)?;
        state.durable_names = state.names.clone();
        state.name_changes.clear();
        Ok(())
    }
}

struct SimFile {
    disk: SimDisk,
    inode: Inode,
}

impl SimFile {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.inode.lock().unwrap()
    }
}

impl DiskFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        let _state = self.disk.read_call()?;
        Ok(self.content().bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let _state = self.disk.read_call()?;
        let content = self.content();
        let rest = content.bytes.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn write_vectored_at(&self, slices: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
        assert!(slices.len() <= 1024, "more than IOV_MAX");
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        let offset = offset as usize;
        match self.disk.enter(Call::Write) {
            Err((error, half)) => {
                if half {
                    self.content().write(offset, &bytes[..bytes.len() / 2]);
                }
                Err(error)
            }
            Ok(mut state) => {
                let used = self.content().bytes.len();
                let end = state.grow(used, offset + bytes.len());
                if end <= offset {
                    return Err(io::Error::from_raw_os_error(ENOSPC));
                }
                self.content().write(offset, &bytes[..end - offset]);
                Ok(end - offset)
            }
        }
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let mut state = self
            .disk
            .enter(Call::Allocate)
            .map_err(|(error, _)| error)?;
        if let Some(errno) = state.allocate_errno {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let length = length as usize;
        let used = self.content().bytes.len();
        let end = state.grow(used, length).max(used);
        self.content().set_length(end);
        if end < length {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let _state = self
            .disk
            .enter(Call::Truncate)
            .map_err(|(error, _)| error)?;
        self.content().set_length(length as usize);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.disk.enter(Call::Sync) {
            Err((error, _)) => {
                self.content().fail_sync();
                Err(error)
            }
            Ok(state) => {
                let blocked = |state: &mut State| state.syncs_blocked;
                let _state = self.disk.0.unblocked.wait_while(state, blocked).unwrap();
                self.content().sync();
                Ok(())
            }
        }
    }
}
