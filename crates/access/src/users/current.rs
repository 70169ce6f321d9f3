//! The users as they are now, while their file may change.
//!
//! Owns: which users hold now. Never: gives up users because their file is broken or gone, or looks
//! at the file by itself. Invariant: a change is taken over as a whole.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use tracing::{info, warn};

use super::{LoadError, Users};

/// The users as they are, and the file they come from.
pub struct CurrentUsers {
    path: PathBuf,
    users: ArcSwap<Users>,
    /// There is a file, or there was one since the start.
    was_there: AtomicBool,
    /// How often they have changed.
    generation: AtomicU64,
}

impl CurrentUsers {
    /// Reads the file; one that is not there has no users.
    pub fn open(path: PathBuf) -> Result<CurrentUsers, LoadError> {
        let (users, was_there) = match Users::load(&path) {
            Err(LoadError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                (Users::default(), false)
            }
            loaded => (loaded?, true),
        };
        Ok(CurrentUsers {
            was_there: AtomicBool::new(was_there),
            path,
            users: ArcSwap::from_pointee(users),
            generation: AtomicU64::new(0),
        })
    }

    pub fn users(&self) -> arc_swap::Guard<Arc<Users>> {
        self.users.load()
    }

    /// Whether there is a file, or was one since the start.
    pub fn was_there(&self) -> bool {
        self.was_there.load(Ordering::Acquire)
    }

    /// How often they have changed.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes over what the file says; the names of the users that changed.
    pub fn take(&self) -> Result<HashSet<Box<str>>, LoadError> {
        let before = self.users.load();
        let loaded = match Users::load(&self.path) {
            // There never was a file.
            Err(LoadError::Read { source, .. })
                if source.kind() == io::ErrorKind::NotFound && before.is_empty() =>
            {
                return Ok(HashSet::new());
            }
            loaded => loaded?,
        };
        self.was_there.store(true, Ordering::Release);
        let (users, changed) = loaded.replacing(&before);
        if !changed.is_empty() {
            info!(users = users.len(), changed = changed.len(), "users read");
            if users.is_empty() {
                let file = self.path.display();
                warn!(%file, "the users file names nobody any more; all its users are logged out");
            }
            self.users.store(Arc::new(users));
            self.generation.fetch_add(1, Ordering::Release);
        }
        Ok(changed)
    }
}
