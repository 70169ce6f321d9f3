//! The users file, looked at every few seconds.
//!
//! Owns: which users are true now. Never: gives up users because their file is broken or gone. Invariant: a change is taken
//! over whole, and whoever it is about must log in again.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::{error, info};

use super::users::{LoadError, Users};
use crate::gate::Gate;
use crate::lock::lock;
use crate::packet::ReasonCode;

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// The users as they are, and the file they come from.
pub(super) struct Watched {
    path: PathBuf,
    users: ArcSwap<Users>,
    /// The file's state when it was last read, good or not, so that each state is read and told once.
    seen: Mutex<Option<Print>>,
}

/// Tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Print {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Watched {
    /// Reads the file; one that is not there has no users.
    pub(super) fn open(path: PathBuf) -> Result<Watched, LoadError> {
        let seen = print(&path);
        let users = Users::load_if_there(&path)?;
        Ok(Watched {
            path,
            users: ArcSwap::from_pointee(users),
            seen: Mutex::new(seen),
        })
    }

    pub(super) fn users(&self) -> arc_swap::Guard<Arc<Users>> {
        self.users.load()
    }

    /// Takes a change of the file over; the names of the users it is about.
    pub(super) fn look(&self) -> HashSet<Box<str>> {
        let mut seen = lock(&self.seen);
        let print = print(&self.path);
        if print == *seen {
            return HashSet::new();
        }
        *seen = print;
        let loaded = match Users::load(&self.path) {
            Ok(users) => users,
            Err(failure) => {
                let cause = std::error::Error::source(&failure).map(ToString::to_string);
                error!(cause, "{failure}; the users before the change stay");
                return HashSet::new();
            }
        };
        let (users, changed) = loaded.replacing(&self.users.load());
        info!(users = users.len(), changed = changed.len(), "users read");
        self.users.store(Arc::new(users));
        changed
    }
}

/// Looks at the file until the gate stops, and ends the connections of users that changed: they come back, if they may, as
/// what they are now.
pub(crate) async fn watch(gate: Arc<Gate>) {
    let mut tick = tokio::time::interval(INTERVAL);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = gate.stop.cancelled() => return,
        }
        gate.authenticator.flush_report();
        let looking = Arc::clone(&gate);
        // Off the threads that serve clients: a disk may be slow.
        let looked = tokio::task::spawn_blocking(move || looking.authenticator.look());
        let changed = looked.await.unwrap_or_default();
        if changed.is_empty() {
            continue;
        }
        let closed = gate
            .registry
            .close_where(ReasonCode::AdministrativeAction, |session| {
                changed.contains(&session.identity().user)
            });
        if closed > 0 {
            info!(closed, "connections of changed users ended");
        }
    }
}

fn print(path: &Path) -> Option<Print> {
    let found = fs::metadata(path).ok()?;
    Some(Print {
        inode: found.ino(),
        bytes: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}
