//! Where retained messages lie between two runs, and what becomes of damage.
//!
//! Owns: the journal `retained` and the order in which it and what was before it are read. Never:
//! lets damage stop a start; what is readable before it is kept, and the rest is set aside.
//! Invariant: what a start must read again if this one does not get far is removed, or replaced by
//! the note of `earlier`, only when the journal holds everything.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use journal::{Damage, DamageKind, Journal, Journals, OpenReport, for_each_record};
use tracing::warn;

use super::OpenError;
use super::earlier::{self, FILE_NAME, Found};
use super::record;
use super::store::Store;

/// The journal's name.
pub(super) const NAME: &str = "retained";
/// What it is called when it is damaged.
const DAMAGED: &str = "retained.damaged";
/// Space comes back in files of this size.
const SEGMENT_BYTES: u64 = 1 << 20;

pub(super) struct Home {
    journals: Arc<dyn Journals>,
    /// Where the messages were in earlier versions; now the note lies there.
    note: PathBuf,
}

/// What a start has found.
pub(super) struct Loaded {
    /// `None`: there is no space for a new one yet.
    pub(super) journal: Option<Arc<dyn Journal>>,
    /// Bytes of its files.
    pub(super) bytes: u64,
    /// Whether it holds everything that was loaded.
    pub(super) is_complete: bool,
}

impl Home {
    pub(super) fn new(journals: Arc<dyn Journals>, data: &Path) -> Home {
        let note = data.join(FILE_NAME);
        Home { journals, note }
    }

    /// Reads everything into `store`.
    pub(super) fn load(&self, store: &mut Store) -> Result<Loaded, OpenError> {
        let found = earlier::read(&self.note, &mut |message| store.load(message))?;
        match found {
            // A start that had set damage aside did not come to its end.
            Found::Nothing => self.salvage(DAMAGED, store),
            Found::Messages { unread_bytes: 1.. } => self.keep_copy(found, store.len())?,
            Found::Note | Found::Messages { .. } => {}
        }
        let mut is_complete = found == Found::Note;
        let opened = self.open(&mut || {
            is_complete = false;
            self.salvage(NAME, store);
        });
        let (journal, report) = match opened {
            Err(error) if is_disk_full(&error) => {
                return Ok(Loaded {
                    journal: None,
                    bytes: 0,
                    is_complete: false,
                });
            }
            opened => opened?,
        };
        if let Some(torn) = &report.torn_tail {
            let (bytes, file) = (torn.bytes, torn.path.display());
            warn!(bytes, %file, "cut a torn tail off the retained messages");
        }
        self.replay(&*journal, store)?;
        Ok(Loaded {
            journal: Some(journal),
            bytes: report.size_bytes,
            is_complete,
        })
    }

    /// Opens the journal again after it has failed, in a running process, which knows everything.
    pub(super) fn reopen(&self) -> Result<Arc<dyn Journal>, OpenError> {
        let (journal, _) = self.open(&mut || ())?;
        Ok(journal)
    }

    /// The journal holds everything: nothing else is read any more.
    pub(super) fn note(&self) -> Result<(), OpenError> {
        earlier::write_note(&self.note).map_err(|source| OpenError::Write {
            path: self.note.clone(),
            source,
        })
    }

    /// Where people find it.
    pub(super) fn path(&self) -> PathBuf {
        self.journals.path(NAME)
    }

    /// Opens the journal; a damaged one is shown to `before_aside`, and a new one is begun.
    fn open(
        &self,
        before_aside: &mut dyn FnMut(),
    ) -> Result<(Arc<dyn Journal>, OpenReport), OpenError> {
        let settings = journal::Settings {
            // The limits of the store bound it, since it is compacted.
            max_size_bytes: u64::MAX / 2,
            segment_size_bytes: SEGMENT_BYTES,
            // Nobody reads its end from memory.
            tail_memory_bytes: 0,
            ..journal::Settings::default()
        };
        let error = match self.journals.open(NAME, settings) {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        match error {
            journal::OpenError::Damaged(damage) if !is_newer(&damage) => {
                before_aside();
                self.set_aside(&damage)?;
            }
            error => return Err(self.journal_error(error)),
        }
        self.journals
            .open(NAME, settings)
            .map_err(|error| self.journal_error(error))
    }

    /// Without the note, the next start reads the damaged journal again.
    fn set_aside(&self, damage: &Damage) -> Result<(), OpenError> {
        let aside = self.journals.path(DAMAGED);
        let removed = match earlier::read(&self.note, &mut |_| ())? {
            Found::Note => fs::remove_file(&self.note),
            Found::Nothing | Found::Messages { .. } => Ok(()),
        };
        removed
            .and_then(|()| self.journals.rename(NAME, DAMAGED))
            .map_err(|source| OpenError::Write {
                path: aside.clone(),
                source,
            })?;
        warn!(
            %damage,
            folder = %aside.display(),
            "retained messages are damaged: kept those before it, moved the folder aside"
        );
        Ok(())
    }

    /// Keeps what cannot be read of a file of the earlier format.
    fn keep_copy(&self, found: Found, kept: usize) -> Result<(), OpenError> {
        let aside = self.note.with_extension("log.damaged");
        let removed = match fs::remove_file(&aside) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        // A second name costs nothing; not every file system has one to give.
        removed
            .and_then(|()| fs::hard_link(&self.note, &aside))
            .or_else(|_| fs::copy(&self.note, &aside).map(drop))
            .map_err(|source| OpenError::Write {
                path: aside.clone(),
                source,
            })?;
        warn!(
            ?found,
            kept,
            file = %aside.display(),
            "retained messages are damaged or were cut: kept those before it, and a copy of the file"
        );
        Ok(())
    }

    fn replay(&self, journal: &dyn Journal, store: &mut Store) -> Result<(), OpenError> {
        let read = for_each_record(journal, journal.start(), |position, record| {
            let message = record::decode(record).map_err(|source| OpenError::Record {
                path: self.path(),
                position,
                source,
            })?;
            store.load(message);
            Ok(())
        });
        read.map_err(|source| OpenError::Replay {
            path: self.path(),
            source,
        })?
    }

    /// What can be read of a damaged journal.
    fn salvage(&self, name: &str, store: &mut Store) {
        self.journals.salvage(name, &mut |chunk| {
            for message in chunk
                .records()
                .filter_map(|(_, found)| record::decode(&found).ok())
            {
                store.load(message);
            }
        });
    }

    fn journal_error(&self, source: journal::OpenError) -> OpenError {
        OpenError::Journal {
            path: self.path(),
            source,
        }
    }
}

/// It is not damaged: a newer version wrote it.
fn is_newer(damage: &Damage) -> bool {
    matches!(damage.kind, DamageKind::Version(_))
}

pub(super) fn is_disk_full(error: &OpenError) -> bool {
    let source = match error {
        OpenError::Write { source, .. } => source,
        OpenError::Journal {
            source: journal::OpenError::Io { source, .. },
            ..
        } => source,
        _ => return false,
    };
    journal::disk::is_no_space(source)
}
