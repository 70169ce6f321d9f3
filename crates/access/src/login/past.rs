//! Whether there ever was something to log in with.
//!
//! Owns: the mark of it in the data folder. Never: takes the mark away; a person may. Invariant:
//! once a user or a device's secret was seen, a users file or a database that is lost lets nobody
//! in.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::error;

/// The mark's name in the data folder.
const FILE: &str = "logins-required";

const TEXT: &str = "\
There was a user or a device with a secret here. While this file exists, clients without credentials
are let in only with `broker.allow_anonymous = true`, also after the users or the devices were lost.
To begin anew, stop Millrace and delete this file together with `users.toml`.
";

pub(super) struct Past {
    folder: PathBuf,
    marked: AtomicBool,
    /// The mark is on disk.
    written: AtomicBool,
    told: AtomicBool,
}

impl Past {
    pub(super) fn of(folder: &Path) -> Past {
        // A folder that cannot be looked at tells nothing: better nobody gets in than everybody.
        let is_marked = folder.join(FILE).try_exists();
        let is_marked = is_marked.unwrap_or(true);
        Past {
            folder: folder.to_owned(),
            marked: AtomicBool::new(is_marked),
            written: AtomicBool::new(is_marked),
            told: AtomicBool::new(false),
        }
    }

    pub(super) fn is_marked(&self) -> bool {
        self.marked.load(Ordering::Acquire)
    }

    /// From now on there was something to log in with. A write that fails is tried again at the
    /// next call.
    pub(super) fn mark(&self) {
        self.marked.store(true, Ordering::Release);
        if self.written.load(Ordering::Relaxed) {
            return;
        }
        match require_logins(&self.folder) {
            Ok(()) => self.written.store(true, Ordering::Relaxed),
            Err(error) if !self.told.swap(true, Ordering::Relaxed) => error!(
                %error,
                folder = %self.folder.display(),
                "cannot note that credentials are required here: should the users and devices be \
                 lost, a start would let everybody in; it is tried again"
            ),
            Err(_) => {}
        }
    }
}

/// Notes in the data folder, durably, that clients without credentials are not to be let in by
/// default any more.
pub fn require_logins(data: &Path) -> io::Result<()> {
    let path = data.join(FILE);
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path);
    let mut file = match created {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        created => created?,
    };
    // What it says is for people: the name alone counts.
    let written = file
        .write_all(TEXT.as_bytes())
        .and_then(|()| file.sync_all());
    if written.is_err() {
        // Best effort: what failed is told.
        let _ = fs::remove_file(&path);
    }
    written?;
    File::open(data)?.sync_all()
}

/// Whether that is noted there.
pub fn logins_are_required(data: &Path) -> bool {
    Past::of(data).is_marked()
}
