//! Users that change while clients are logged in.
//!
//! Owns: the end of the connections of users that have changed. Never: reads the file itself.
//! Invariant: whoever a change is about must log in again.

use std::path::Path;
use std::sync::Arc;

use access::reload::{Fault, Source, Taken};
use mqtt::ReasonCode;
use tracing::info;

use crate::gate::Gate;

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
        let changed = self.0.authenticator.users().take()?;
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
