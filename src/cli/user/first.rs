//! The first user: what makes a broker that others can reach usable without making it open.
//!
//! Owns: when `admin` is made and how its password is told. Never: writes the password to a log.
//! Invariant: it is told once, to a terminal or to a file that only its owner can read.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use access::login::logins_are_required;
use access::users::UserFile;
use access::{PasswordHash, generate_password};
use tracing::warn;

use crate::config::Settings;
use crate::diagnostics::{Failure, display};

/// The first user, and its group, to whom the shipped access rules allow everything.
const NAME: &str = "admin";
const GROUP: &str = "admins";
/// Where its password goes when nobody sits at a terminal.
const PASSWORD_FILE: &str = "admin-password";

/// A user that was just made.
pub(in crate::cli) struct FirstAdmin {
    /// Words for the banner.
    pub(in crate::cli) told: String,
    /// Flags that log in as it, for a shell.
    pub(in crate::cli) login: String,
}

/// Makes the first user when the broker needs one, and tells its password. Must be called while the
/// data folder's lock is held.
pub(in crate::cli) fn first_admin(settings: &Settings) -> Result<Option<FirstAdmin>, Failure> {
    first_admin_for(settings, io::stdout().is_terminal())
}

pub(super) fn first_admin_for(
    settings: &Settings,
    at_terminal: bool,
) -> Result<Option<FirstAdmin>, Failure> {
    if settings.users > 0 || !settings.broker.needs_users() {
        return Ok(None);
    }
    let path = &settings.users_file;
    let mut file = UserFile::open(path)?;
    if !file.users().is_empty() {
        return Ok(None);
    }
    if logins_are_required(&settings.data) {
        warn!(
            file = %path.display(),
            "there were users or devices here, and no user is left: a new `{NAME}` is made; if the \
             users file was lost, restore it"
        );
    }
    let unusable = |error| Failure::new(format!("the password of `{NAME}` {error}"));
    let password = generate_password().map_err(unusable)?;
    let hash = PasswordHash::create(password.as_bytes()).map_err(unusable)?;
    // The password first: a user whose password nobody has would lock everybody out.
    let (told, login) = if at_terminal {
        (
            format!("with password {password}  (it is not shown again)"),
            format!("-u {NAME} -P '{password}'"),
        )
    } else {
        let kept = settings.data.join(PASSWORD_FILE);
        write_password(&kept, &password)?;
        (
            format!(
                "with the password in `{}`: store it safely and delete the file",
                display(&kept)
            ),
            format!("-u {NAME} -P \"$(cat {})\"", quoted(&kept)),
        )
    };
    file.put(NAME, Some(&hash), Some(&[GROUP.to_owned()]))?;
    file.save()?;
    let told = format!(
        "  users    made `{NAME}` {told}\n           `millrace user add NAME` adds others\n"
    );
    Ok(Some(FirstAdmin { told, login }))
}

/// A path as one word for a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

fn write_password(path: &Path, password: &str) -> Result<(), Failure> {
    let write = || -> io::Result<()> {
        // One that an earlier start left behind may have other permissions.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(PathBuf::from(path))?;
        writeln!(file, "{password}")?;
        file.sync_all()
    };
    write().map_err(|error| Failure::new(format!("cannot write `{}`: {error}", display(path))))
}
