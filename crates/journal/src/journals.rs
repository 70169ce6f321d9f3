//! Where a part of the process gets its journals from.
//!
//! Owns: the names of journals, and what becomes of one that is damaged. Never: decides whether a
//! damaged journal may be set aside; whoever opens it knows what it is worth. Invariant: a name
//! belongs to one journal, and nothing but `rename` takes it away.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Access, Disk};
use crate::recovery::{Seen, scan};
use crate::{Chunk, Journal, LocalJournal, OpenError, OpenReport, Settings};

/// The one way to a journal for those who open it themselves, so that replicated journals can stand
/// behind it.
pub trait Journals: Send + Sync + 'static {
    /// Opens the journal of this name, or creates one where there is none. Damage is an error and
    /// changes nothing.
    fn open(
        &self,
        name: &str,
        settings: Settings,
    ) -> Result<(Arc<dyn Journal>, OpenReport), OpenError>;

    /// Bytes that the journal takes, also when it is damaged; 0 when there is none.
    fn size_bytes(&self, name: &str) -> io::Result<u64>;

    /// Shows what can be read of a journal up to its end, or up to the damage in it.
    fn salvage(&self, name: &str, visit: &mut dyn FnMut(Chunk));

    /// Gives the journal, which nobody has open, another name, durably. One that has that name is
    /// removed.
    fn rename(&self, name: &str, to: &str) -> io::Result<()>;

    /// Where people find it.
    fn path(&self, name: &str) -> PathBuf;
}

/// Journals in a folder of this machine, each in a folder of its own.
pub struct LocalJournals {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
}

impl LocalJournals {
    pub fn new(folder: &Path, disk: Arc<dyn Disk>) -> LocalJournals {
        LocalJournals {
            folder: folder.to_owned(),
            disk,
        }
    }

    /// The paths of the files in the journal's folder; none when there is no such folder.
    fn files(&self, name: &str) -> io::Result<Vec<PathBuf>> {
        let folder = self.path(name);
        match self.disk.list(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            names => Ok(names?.iter().map(|name| folder.join(name)).collect()),
        }
    }
}

impl Journals for LocalJournals {
    fn open(
        &self,
        name: &str,
        settings: Settings,
    ) -> Result<(Arc<dyn Journal>, OpenReport), OpenError> {
        let disk = Arc::clone(&self.disk);
        let (journal, report) = LocalJournal::open(&self.path(name), settings, disk)?;
        Ok((Arc::new(journal), report))
    }

    fn size_bytes(&self, name: &str) -> io::Result<u64> {
        let files = self.files(name)?;
        let lengths = files
            .iter()
            .map(|path| self.disk.open(path, Access::Read)?.length());
        lengths.sum()
    }

    fn salvage(&self, name: &str, visit: &mut dyn FnMut(Chunk)) {
        // How it ends, whoever asks knows already.
        let _ = scan(&*self.disk, &self.path(name), &mut |seen| {
            if let Seen::Frame { frame, .. } = seen {
                let header = frame.header;
                visit(Chunk::new(
                    header.first,
                    header.count,
                    frame.records.clone(),
                ));
            }
            Ok(())
        });
    }

    fn rename(&self, name: &str, to: &str) -> io::Result<()> {
        for path in self.files(to)? {
            self.disk.remove(&path)?;
        }
        self.disk.rename(&self.path(name), &self.path(to))?;
        self.disk.sync_dir(&self.folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}
