//! What users and devices mean for clients that bring no credentials.
//!
//! Owns: the words, and the note in the data folder that credentials are required from now on.
//! Never: lets anybody in. Invariant: who adds the first credential is told whom that keeps out.

use std::io;
use std::path::Path;

use access::login;

use crate::diagnostics::display;

/// The first user or device has a credential.
pub(super) const CLOSED: &str = "\
from now on clients without credentials are not let in any more, on any listener
  hint: `broker.allow_anonymous = true` in the configuration lets them in beside those that log in";

/// The last user is gone.
pub(super) const NOBODY_LEFT: &str = "\
no user is left; clients without credentials stay out all the same
  hint: add a user, or let everybody in with `broker.allow_anonymous = true` in the configuration";

/// Notes that credentials are required where this data is, and says so if that is new. `is_first`:
/// there was nothing to log in with before.
pub(super) fn require_logins(data: &Path, is_first: bool, allows_anonymous: bool) {
    let was_required = login::logins_are_required(data);
    match login::require_logins(data) {
        Ok(()) => {}
        // The broker is elsewhere, and notes it when it sees the credential.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => anstream::eprintln!(
            "cannot note in `{}` that credentials are required from now on: {error}; a running \
             Millrace does so within seconds",
            display(data)
        ),
    }
    if is_first && !was_required && !allows_anonymous {
        anstream::eprintln!("{CLOSED}");
    }
}
