//! Users, and keys of tokens, that change while clients are logged in by them.
//!
//! Owns: which users are true now. Never: gives up users or keys because their file is broken or
//! gone. Invariant: a change is taken over whole, and whoever it is about must log in again.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use tracing::{info, warn};

use super::token::{KeyError, Tokens};
use super::users::{LoadError, Users};
use crate::gate::Gate;
use crate::reload::{Fault, Source, Taken};
use mqtt::ReasonCode;

/// The users as they are, and the file they come from.
pub(super) struct CurrentUsers {
    path: PathBuf,
    users: ArcSwap<Users>,
    /// There is a file, or there was one since the start.
    was_there: AtomicBool,
    /// How often they have changed.
    generation: AtomicU64,
}

impl CurrentUsers {
    /// Reads the file; one that is not there has no users.
    pub(super) fn open(path: PathBuf) -> Result<CurrentUsers, LoadError> {
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

    pub(super) fn users(&self) -> arc_swap::Guard<Arc<Users>> {
        self.users.load()
    }

    /// Whether there is a file, or was one since the start.
    pub(super) fn was_there(&self) -> bool {
        self.was_there.load(Ordering::Acquire)
    }

    /// How often they have changed.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes over what the file says; the names of the users that changed.
    pub(super) fn take(&self) -> Result<HashSet<Box<str>>, LoadError> {
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

/// The file of the users. Connections of users that changed end: they come back, if they may, as
/// what they are now.
pub(crate) struct UsersFile(pub(crate) Arc<Gate>);

impl Source for UsersFile {
    fn name(&self) -> String {
        "users".to_owned()
    }

    fn files(&self) -> Vec<&Path> {
        vec![self.0.authenticator.users().path()]
    }

    fn take(&self) -> Result<Taken, Fault> {
        let taken = self.0.authenticator.users().take();
        let changed = taken.map_err(|error| match error {
            LoadError::Read { .. } => Fault::unreadable(&error),
            LoadError::Invalid { .. } => Fault::wrong(&error),
        })?;
        self.0.authenticator.review_entry();
        if changed.is_empty() {
            return Ok(Taken::Same);
        }
        let closed = self
            .0
            .registry
            .close_where(ReasonCode::AdministrativeAction, |session| {
                changed.contains(&session.identity().user)
            });
        if closed > 0 {
            info!(closed, "connections of changed users ended");
        }
        Ok(Taken::New)
    }
}

/// The file of the keys. Connections whose token is signed with a key that is gone end.
pub(crate) struct TokenKeys {
    gate: Arc<Gate>,
    tokens: Arc<Tokens>,
    file: PathBuf,
}

impl TokenKeys {
    /// `None`: there are no tokens, or their key cannot change.
    pub(crate) fn of(gate: &Arc<Gate>) -> Option<TokenKeys> {
        let tokens = Arc::clone(gate.authenticator.tokens()?);
        Some(TokenKeys {
            file: tokens.file()?.to_owned(),
            gate: Arc::clone(gate),
            tokens,
        })
    }
}

impl Source for TokenKeys {
    fn name(&self) -> String {
        format!("keys of tokens in `{}`", self.file.display())
    }

    fn files(&self) -> Vec<&Path> {
        vec![&self.file]
    }

    fn take(&self) -> Result<Taken, Fault> {
        let taken = self.tokens.take().map_err(|error| match error {
            KeyError::Read { .. } => Fault::unreadable(&error),
            _ => Fault::wrong(&error),
        })?;
        if taken == Taken::New {
            let closed = self
                .gate
                .registry
                .close_where(ReasonCode::NotAuthorized, |session| {
                    let key = &session.identity().token_key;
                    key.as_ref().is_some_and(|key| !self.tokens.knows(key))
                });
            if closed > 0 {
                info!(closed, "connections whose token's key is gone ended");
            }
        }
        Ok(taken)
    }
}
