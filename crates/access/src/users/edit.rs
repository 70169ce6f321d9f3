//! Changing `users.toml` without disturbing what people wrote into it.
//!
//! Owns: the file's replacement: whole or not at all, readable by its owner alone. Never: judges
//! what the file says; it is checked before it is changed, and its comments stay. Invariant:
//! whatever fails, the old file is still there.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use toml_edit::{Array, DocumentMut, Item, Table, value};

use super::file::{self, check_name};
use super::{LoadError, Users};
use crate::password::PasswordHash;

/// What a new file begins with.
const HEADER: &str = "\
# The users of Millrace's broker. `millrace user add|remove|list|verify` keeps it; it may be edited by
# hand too, and a running broker takes changes over within seconds.

";

/// Readable and writable by the owner alone.
const MODE: u32 = 0o600;
/// What an existing file may keep of its permissions: a group that reads it.
const MODE_KEPT: u32 = 0o640;

/// A users file that is being changed; nobody else changes it meanwhile.
pub struct UserFile {
    /// Where it really is, behind links.
    path: PathBuf,
    document: DocumentMut,
    users: Users,
    is_new: bool,
    /// Holds the lock.
    _folder: File,
}

#[derive(Debug, thiserror::Error)]
pub enum EditError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("{what} `{name}` {reason}")]
    Name {
        what: &'static str,
        name: String,
        reason: String,
    },
    #[error("`{path}` cannot be changed without losing something that it says")]
    Form { path: PathBuf },
    #[error("cannot write the users file `{path}`")]
    Write { path: PathBuf, source: io::Error },
}

impl UserFile {
    /// Reads the file, or begins a new one. Waits until nobody else changes one in its folder.
    pub fn open(path: &Path) -> Result<UserFile, EditError> {
        let unwritable = |source| EditError::Write {
            path: path.to_owned(),
            source,
        };
        let path = match fs::canonicalize(path) {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(unwritable(error)),
        };
        let folder = folder_of(&path);
        fs::create_dir_all(folder).map_err(unwritable)?;
        let folder = File::open(folder).map_err(unwritable)?;
        folder.lock().map_err(unwritable)?;
        let (text, is_new) = match file::read(&path) {
            Ok(text) => (text, false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (String::new(), true),
            Err(source) => return Err(LoadError::Read { path, source }.into()),
        };
        let users = Users::parse(&text).map_err(|errors| LoadError::Invalid {
            path: path.clone(),
            text: text.clone(),
            errors,
        })?;
        let document = text
            .parse()
            .map_err(|_| EditError::Form { path: path.clone() })?;
        Ok(UserFile {
            path,
            document,
            users,
            is_new,
            _folder: folder,
        })
    }

    /// The users when it was opened.
    pub fn users(&self) -> &Users {
        &self.users
    }

    /// Adds a user, or changes one. `None` leaves the password, or the groups, as they are.
    pub fn put(
        &mut self,
        name: &str,
        password: Option<&PasswordHash>,
        groups: Option<&[String]>,
    ) -> Result<(), EditError> {
        check("user", name)?;
        for group in groups.unwrap_or_default() {
            check("group", group)?;
        }
        let form = || EditError::Form {
            path: self.path.clone(),
        };
        let no_users = || {
            let mut table = Table::new();
            // No line `[user]` of its own.
            table.set_implicit(true);
            Item::Table(table)
        };
        let users = self
            .document
            .entry("user")
            .or_insert_with(no_users)
            .as_table_like_mut()
            .ok_or_else(form)?;
        let entry = users
            .entry(name)
            .or_insert_with(|| Item::Table(Table::new()))
            .as_table_like_mut()
            .ok_or_else(form)?;
        if let Some(password) = password {
            entry.insert("password", value(password.to_string()));
        }
        if let Some(groups) = groups {
            let groups: Array = groups.iter().collect();
            entry.insert("groups", value(groups));
        }
        Ok(())
    }

    /// Takes a user out; false when there is none of that name.
    pub fn remove(&mut self, name: &str) -> bool {
        let users = self
            .document
            .get_mut("user")
            .and_then(Item::as_table_like_mut);
        users.is_some_and(|users| users.remove(name).is_some())
    }

    /// Whether it names nobody, after what was changed.
    pub fn is_empty(&self) -> bool {
        let users = self.document.get("user").and_then(Item::as_table_like);
        users.is_none_or(|users| users.is_empty())
    }

    /// Writes the file anew, so that whoever reads it sees the old one or the new one.
    pub fn save(self) -> Result<(), EditError> {
        let header = if self.is_new { HEADER } else { "" };
        let text = format!("{header}{}", self.document);
        // Our own words must be understood at the next start.
        Users::parse(&text).map_err(|_| EditError::Form {
            path: self.path.clone(),
        })?;
        replace(&self.path, &text).map_err(|source| EditError::Write {
            path: self.path.clone(),
            source,
        })
    }
}

fn check(what: &'static str, name: &str) -> Result<(), EditError> {
    check_name(name).map_err(|reason| EditError::Name {
        what,
        name: name.escape_debug().to_string(),
        reason,
    })
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let before = fs::metadata(path).ok();
    let folder = folder_of(path);
    let temporary = folder.join(temporary_name(path));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(MODE)
        .open(&temporary)?;
    let written = (|| {
        // Left behind by a crash, it may have other permissions.
        file.set_permissions(fs::Permissions::from_mode(MODE))?;
        file.write_all(text.as_bytes())?;
        give_to_owner(&file, before.as_ref(), folder)?;
        if let Some(before) = &before {
            let mode = (before.permissions().mode() & MODE_KEPT) | MODE;
            file.set_permissions(fs::Permissions::from_mode(mode))?;
        }
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        // Best effort: what failed is told.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Under `sudo`, the file must still be readable by the user that Millrace runs as: whoever has the
/// file, or the folder.
fn give_to_owner(file: &File, before: Option<&fs::Metadata>, folder: &Path) -> io::Result<()> {
    let (owner, group) = match before {
        Some(before) => (before.uid(), before.gid()),
        None => fs::metadata(folder).map(|folder| (folder.uid(), folder.gid()))?,
    };
    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (owner, group) {
        Ok(())
    } else {
        match std::os::unix::fs::fchown(file, Some(owner), Some(group)) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            result => result,
        }
    }
}

/// Fixed, since only the holder of the folder's lock makes one.
fn temporary_name(path: &Path) -> OsString {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    name
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
