//! Rules that change while clients are connected.
//!
//! Owns: the order of a change: new rules, then a look at what was allowed by the old ones. Never:
//! leaves the broker without rules; a file that is broken or gone keeps the ones from before.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use access::Policy;
use access::reload::{Fault, Source, Taken};
use tracing::info;

use crate::gate::Gate;
use crate::session::Session;

/// The file of the rules.
pub(crate) struct Rules {
    gate: Arc<Gate>,
    file: PathBuf,
}

impl Rules {
    /// `None`: the rules that are built in never change.
    pub(crate) fn of(gate: &Arc<Gate>) -> Option<Rules> {
        let file = gate.settings.acl.file.clone()?;
        let gate = Arc::clone(gate);
        Some(Rules { gate, file })
    }
}

impl Source for Rules {
    fn name(&self) -> String {
        "access rules".to_owned()
    }

    fn files(&self) -> Vec<&Path> {
        vec![&self.file]
    }

    fn take(&self) -> Result<Taken, Fault> {
        let gate = &self.gate;
        let policy = Policy::load(&self.file)?;
        if policy.text() == gate.access.policy().text() {
            return Ok(Taken::Same);
        }
        let rules = policy.rules();
        let (subscriptions, sessions) = enforce(gate, policy);
        info!(
            file = %self.file.display(),
            rules,
            subscriptions_ended = subscriptions,
            of_sessions = sessions,
            "the access rules have changed"
        );
        Ok(Taken::New)
    }

    fn refused(&self) {
        self.gate.stats.access_reloads_failed.add(1);
    }
}

/// From now on these rules hold; how many subscriptions they ended, of how many sessions.
pub(crate) fn enforce(gate: &Gate, policy: Policy) -> (usize, usize) {
    gate.access.replace(policy);
    let (mut subscriptions, mut sessions) = (0, 0);
    gate.registry.for_each(|session| {
        let revoked = revoke(gate, session);
        subscriptions += revoked;
        sessions += usize::from(revoked > 0);
    });
    gate.stats.access_reloads.add(1);
    (subscriptions, sessions)
}

/// Ends the session's subscriptions that the rules in force deny, and with them what waits for the
/// client because of them alone; how many there were. Of those that they deny in part, what is
/// denied is not delivered any more.
pub(crate) fn revoke(gate: &Gate, session: &Session) -> usize {
    let identity = session.identity();
    // What it may do is looked at when its client is back.
    if !identity.is_known() {
        return 0;
    }
    let grant = |filter: &str| gate.access.grant(&identity, &session.client_id, filter);
    let revoked = session.revoke_subscriptions(gate, grant);
    gate.stats.revoked_subscriptions.add(revoked as u64);
    revoked
}
