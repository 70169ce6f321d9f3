//! Whether there is anything to log in with, and what the log says when that changes.
//!
//! Owns: the answer for clients without credentials. Never: lets anybody in. Invariant: what was
//! lost closes the broker; it never opens it.

use tracing::{error, info, warn};

use super::{Anonymous, Authenticator};
use crate::lock::lock;

/// How clients without credentials fare, where `allow_anonymous` does not say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// There never was anything to log in with.
    Open,
    /// There is something to log in with.
    ByCredentials,
    /// There was, and it is gone.
    Lost,
}

impl Authenticator {
    /// Notes that there is something to log in with, and tells the log of a change; to be called
    /// now and then, and whenever users have changed.
    pub fn review_entry(&self) {
        if self.saw_credentials() {
            self.past.mark();
        }
        let entry = self.entry();
        let before = lock(&self.told_entry).replace(entry);
        if before != Some(entry) {
            self.tell(before, entry);
        }
    }

    /// Whether a client without credentials is refused unless `allow_anonymous` says otherwise.
    pub(super) fn is_configured(&self) -> bool {
        self.settings.users.is_some()
            || self.has_credentials()
            || self.devices.any_ever()
            || self.past.is_marked()
    }

    pub(super) fn has_credentials(&self) -> bool {
        self.settings.tokens.is_some() || !self.users.users().is_empty() || self.devices.any()
    }

    /// Users or devices, now or before: the users file of the default place is made with the first
    /// user.
    fn saw_credentials(&self) -> bool {
        self.users.was_there() || self.devices.any_ever()
    }

    fn entry(&self) -> Entry {
        match self.is_configured() {
            _ if self.has_credentials() => Entry::ByCredentials,
            // Whoever names a file or has a listener with certificates may never have had a user.
            true if self.past.is_marked() => Entry::Lost,
            true => Entry::ByCredentials,
            false => Entry::Open,
        }
    }

    fn tell(&self, before: Option<Entry>, entry: Entry) {
        let users = self.users.path().display();
        match (before, entry) {
            (Some(Entry::Open), Entry::ByCredentials)
                if self.anonymous == Anonymous::WithoutUsers =>
            {
                warn!(
                    "there is a user or a device's secret now: clients without credentials are not \
                     let in any more, on any listener; `broker.allow_anonymous = true` lets them in"
                );
            }
            (_, Entry::Lost) if self.anonymous == Anonymous::Always => error!(
                %users,
                "there were users or devices with a secret, and none is left; clients without \
                 credentials still get in, since `broker.allow_anonymous` is true"
            ),
            (_, Entry::Lost) => error!(
                %users,
                "there were users or devices with a secret, and none is left: nobody can log in, \
                 and clients without credentials stay out; restore the users file or the database, \
                 add somebody with `millrace user add NAME`, or set `broker.allow_anonymous = true`"
            ),
            (Some(Entry::Lost), Entry::ByCredentials) => {
                info!("there is something to log in with again");
            }
            _ => {}
        }
    }
}
