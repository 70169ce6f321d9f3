//! The users: who they are, how they prove it, and which groups they are in.
//!
//! Owns: the users of one file as they are true now. Never: watches the file or writes it by
//! itself. Invariant: a `Users` that exists is valid; what is remembered of a user's logins ends
//! with that user's entry.

mod current;
mod edit;
mod file;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub use current::CurrentUsers;
pub use edit::{EditError, UserFile};

use crate::digest::{PairDigest, are_equal};
use crate::identity::{Identity, Voucher};
use crate::lock::lock;
use crate::password::PasswordHash;
use crate::reload::Fault;

/// Where the users are when no file is configured: in the data folder.
pub const DEFAULT_FILE: &str = "users.toml";

/// The valid users of a file.
#[derive(Debug, Clone, Default)]
pub struct Users {
    by_name: HashMap<Box<str>, Arc<User>>,
}

/// One user.
pub struct User {
    pub(crate) password: Option<PasswordHash>,
    pub(crate) disabled: bool,
    /// What every client of this user shares.
    pub(crate) identity: Arc<Identity>,
    /// Held by the one login whose password is being checked, so that others with the same one need
    /// not be.
    pub(crate) turn: tokio::sync::Mutex<()>,
    memory: Mutex<Memory>,
}

/// What is remembered of a user's logins.
#[derive(Default)]
struct Memory {
    verified: Option<(PairDigest, Instant)>,
    /// Numbers of the networks where the user logged in, the latest last.
    networks: Vec<u64>,
}

/// Networks remembered for one user: enough for people who move about, too few to cost anything.
const NETWORKS_MAX: usize = 16;

/// Something wrong in the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct UserError {
    /// Bytes of the file; never those of a password.
    pub span: Range<usize>,
    /// Counted from 1.
    pub line: usize,
    pub message: String,
    pub hint: Option<String>,
}

/// Why a file gives no users.
#[derive(thiserror::Error)]
pub enum LoadError {
    #[error("cannot read the users file `{path}`")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    /// `text` is the whole file, for showing the lines of the errors.
    #[error("line {} of the users file `{path}`: {}", first(.errors).0, first(.errors).1)]
    Invalid {
        path: PathBuf,
        text: String,
        errors: Vec<UserError>,
    },
}

impl Users {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Users, LoadError> {
        let text = file::read(path).map_err(|source| LoadError::Read {
            path: path.to_owned(),
            source,
        })?;
        Users::parse(&text).map_err(|errors| LoadError::Invalid {
            path: path.to_owned(),
            text,
            errors,
        })
    }

    /// The same, but a file that is not there has no users.
    pub fn load_if_there(path: &Path) -> Result<Users, LoadError> {
        match Users::load(path) {
            Err(LoadError::Read { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                Ok(Users::default())
            }
            loaded => loaded,
        }
    }

    /// All that is wrong, not only the first; what is not TOML ends at the first.
    pub fn parse(text: &str) -> Result<Users, Vec<UserError>> {
        file::parse(text).map(|by_name| Users { by_name })
    }

    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    pub fn get(&self, name: &str) -> Option<&User> {
        self.by_name.get(name).map(|user| &**user)
    }

    /// By name, in its order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &User)> {
        let mut sorted: Vec<_> = self
            .by_name
            .iter()
            .map(|(name, user)| (&**name, &**user))
            .collect();
        sorted.sort_unstable_by_key(|(name, _)| *name);
        sorted.into_iter()
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }

    /// A hash that costs what those of the users cost; `None` when there is none.
    pub(crate) fn decoy(&self) -> Option<PasswordHash> {
        let mut hashes = self
            .by_name
            .values()
            .filter_map(|user| user.password.as_ref());
        hashes.next().and_then(PasswordHash::decoy)
    }

    /// Keeps of `before` what did not change, with all that is remembered of it; the names of those
    /// that did change or went, whose clients must prove anew who they are.
    pub(crate) fn replacing(mut self, before: &Users) -> (Users, HashSet<Box<str>>) {
        for (name, user) in &mut self.by_name {
            if let Some(known) = before.find(name)
                && known.is_as(user)
            {
                *user = Arc::clone(known);
            }
        }
        let is_kept = |name: &str, known: &Arc<User>| {
            self.find(name).is_some_and(|user| Arc::ptr_eq(user, known))
        };
        let changed = before
            .by_name
            .iter()
            .filter(|(name, known)| !is_kept(name, known))
            .map(|(name, _)| name.clone());
        // Also names that are new: a certificate or a token may have used them without being in the
        // file.
        let added = self
            .by_name
            .keys()
            .filter(|name| before.find(name).is_none())
            .cloned();
        let changed = changed.chain(added).collect();
        (self, changed)
    }
}

impl User {
    fn new(
        name: &str,
        password: Option<PasswordHash>,
        groups: Arc<[Box<str>]>,
        disabled: bool,
    ) -> User {
        User {
            password,
            disabled,
            identity: Arc::new(Identity {
                user: name.into(),
                vouched_by: Voucher::Users,
                groups,
                ..Identity::default()
            }),
            turn: tokio::sync::Mutex::default(),
            memory: Mutex::default(),
        }
    }

    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.identity.groups.iter().map(|group| &**group)
    }

    /// Without one, the user comes with a certificate or a token.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    pub fn is_disabled(&self) -> bool {
        self.disabled
    }

    /// Whether the password is this user's. Takes tens of milliseconds: not for a thread that
    /// serves others.
    pub fn verify(&self, password: &[u8]) -> bool {
        self.password
            .as_ref()
            .is_some_and(|hash| hash.verify(password))
    }

    /// Whether this very password was verified not long ago; if so, it is remembered for longer.
    pub(crate) fn recalls(&self, pair: &PairDigest, lifetime: Duration, now: Instant) -> bool {
        match &mut lock(&self.memory).verified {
            Some((known, at))
                if now.saturating_duration_since(*at) < lifetime && are_equal(known, pair) =>
            {
                *at = now;
                true
            }
            _ => false,
        }
    }

    /// Remembers a password that was verified, and where its client is.
    pub(crate) fn remember(&self, pair: PairDigest, now: Instant) {
        lock(&self.memory).verified = Some((pair, now));
    }

    pub(crate) fn is_familiar_with(&self, network: u64) -> bool {
        lock(&self.memory).networks.contains(&network)
    }

    pub(crate) fn was_seen_in(&self, network: u64) {
        let networks = &mut lock(&self.memory).networks;
        if networks.contains(&network) {
            return;
        }
        if networks.len() == NETWORKS_MAX {
            networks.remove(0);
        }
        networks.push(network);
    }

    /// Whether both say the same.
    fn is_as(&self, other: &User) -> bool {
        self.password == other.password
            && self.disabled == other.disabled
            && self.identity == other.identity
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("identity", &self.identity)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

impl From<LoadError> for Fault {
    fn from(error: LoadError) -> Fault {
        match error {
            LoadError::Read { .. } => Fault::unreadable(&error),
            LoadError::Invalid { .. } => Fault::wrong(&error),
        }
    }
}

// By hand: the text of the file is not for logs.
impl fmt::Debug for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn first(errors: &[UserError]) -> (usize, &str) {
    errors
        .first()
        .map_or((0, "unknown"), |error| (error.line, &error.message))
}
