//! What has become of somebody who was let in.
//!
//! Owns: whether an identity would still be found, and with which groups; asked for clients that
//! are away, and before a will is published. Never: asks for credentials again. Invariant: what
//! cannot be known now counts as unchanged.

use std::sync::Arc;

use super::{Anonymous, Authenticator};
use crate::devices::Lookup;
use crate::identity::{Identity, Voucher};

impl Authenticator {
    /// Changes when an answer of `standing` may have.
    pub fn standing_generation(&self) -> (u64, u64) {
        (self.users.generation(), self.devices.generation())
    }

    /// The identity as it is now, the same `Arc` where nothing has changed; `None` when whoever
    /// vouched for it no longer would: the user was removed or disabled, the device revoked, or
    /// nobody is let in that way any more. That a secret or a password was replaced or a
    /// certificate taken back changes nothing: it is the same client that comes back with a new
    /// one.
    pub fn standing(&self, identity: &Arc<Identity>) -> Option<Arc<Identity>> {
        let unchanged = || Some(Arc::clone(identity));
        let users = self.users.users();
        let user = users.find(&identity.user);
        match identity.vouched_by {
            Voucher::Forgotten => unchanged(),
            Voucher::Nobody => self.admits_nobody().then(|| Arc::clone(identity)),
            Voucher::Devices => match self.devices.find(&identity.user) {
                Lookup::Known { .. } | Lookup::Unavailable => unchanged(),
                Lookup::Unknown => None,
            },
            Voucher::Users => {
                let user = user.filter(|user| !user.disabled)?;
                match identity.certificate {
                    // What all clients of the user share.
                    None => Some(Arc::clone(&user.identity)),
                    Some(_) => Some(with_groups(identity, &user.identity.groups)),
                }
            }
            _ if user.is_some_and(|user| user.disabled) => None,
            Voucher::Certificate if !self.settings.certificate_is_user => None,
            Voucher::Certificate => {
                let groups = user.map(|user| Arc::clone(&user.identity.groups));
                Some(with_groups(identity, &groups.unwrap_or_default()))
            }
            // Which of its groups are the token's own is not known; the next token says it.
            Voucher::Token => self.settings.tokens.is_some().then(|| Arc::clone(identity)),
        }
    }

    /// Whether a client without credentials would be let in.
    pub fn admits_nobody(&self) -> bool {
        match self.anonymous {
            Anonymous::Always => true,
            Anonymous::WithoutUsers => !self.is_configured(),
            Anonymous::Never => false,
        }
    }
}

fn with_groups(identity: &Arc<Identity>, groups: &Arc<[Box<str>]>) -> Arc<Identity> {
    if identity.groups == *groups {
        return Arc::clone(identity);
    }
    Arc::new(Identity {
        groups: Arc::clone(groups),
        ..Identity::clone(identity)
    })
}
