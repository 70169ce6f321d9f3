//! Rules that change while clients are connected.
//!
//! Owns: noticing that the file has changed, and the order of a change: new rules, then a look at what was allowed by the old
//! ones. Never: leaves the broker without rules; a file that is broken or gone keeps the ones from before. Invariant: a file
//! that is being written counts only when it has come to rest.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tracing::{error, info};

use super::error::LoadError;
use super::policy::{self, Policy};
use super::principal::Principal;
use super::{Action, Decision};
use crate::gate::Gate;
use crate::session::Session;

/// A file that reads the same after this time is not being written. An editor's two writes are closer together.
const REST: Duration = Duration::from_millis(50);

/// What the file held; a file that cannot be read counts by its error, so that each is told once.
type Content = Result<String, String>;

/// Looks at the file until the broker stops.
pub(crate) async fn watch(gate: Arc<Gate>) {
    let settings = &gate.settings.acl;
    let Some(file) = &settings.file else { return };
    let mut known: Content = Ok(gate.access.policy.load().text().to_owned());
    loop {
        let found = tokio::select! {
            found = change(file, &known, settings.reload_interval) => found,
            () = gate.stop.cancelled() => return,
        };
        take(&gate, file, found.clone()).await;
        known = found;
    }
}

/// Waits until the file holds something else, and has come to rest.
async fn change(file: &Path, known: &Content, interval: Duration) -> Content {
    loop {
        tokio::time::sleep(interval).await;
        let found = read(file).await;
        if found == *known {
            continue;
        }
        tokio::time::sleep(REST).await;
        if read(file).await == found {
            return found;
        }
    }
}

async fn take(gate: &Arc<Gate>, file: &Path, found: Content) {
    let path = file.to_owned();
    let loading = spawn_blocking(move || match found {
        Ok(text) => Policy::from_text(&path, text),
        Err(error) => Err(LoadError::Read {
            path,
            source: std::io::Error::other(error),
        }),
    });
    let policy = match loading.await {
        Ok(Ok(policy)) => policy,
        Ok(Err(error)) => return keep(gate, &error),
        // Only while the runtime ends.
        Err(_) => return,
    };
    let rules = policy.rules();
    gate.access.replace(policy);
    let (mut subscriptions, mut sessions) = (0, 0);
    gate.registry.for_each(|session| {
        let revoked = revoke(gate, session);
        subscriptions += revoked;
        sessions += usize::from(revoked > 0);
    });
    gate.stats.access_reloads.add(1);
    info!(
        file = %file.display(),
        rules,
        subscriptions_ended = subscriptions,
        of_sessions = sessions,
        "the access rules have changed"
    );
}

/// Ends the session's subscriptions that the rules in force deny, and with them what waits for the client because of them alone; how
/// many there were.
pub(crate) fn revoke(gate: &Gate, session: &Session) -> usize {
    // Of one that was kept over a restart nothing can be said before its client is back; it is looked at then.
    let Some(identity) = session.known_identity() else {
        return 0;
    };
    let principal = Principal {
        identity: &identity,
        client_id: &session.client_id,
    };
    let denied = |filter: &str| {
        gate.access.authorize(&principal, Action::Subscribe, filter) == Decision::Deny
    };
    let revoked = session.revoke_subscriptions(gate, denied);
    gate.stats.revoked_subscriptions.add(revoked as u64);
    revoked
}

fn keep(gate: &Gate, error: &LoadError) {
    gate.stats.access_reloads_failed.add(1);
    let cause = std::error::Error::source(error).map(ToString::to_string);
    error!(%error, cause, "the access rules stay as they were");
}

async fn read(file: &Path) -> Content {
    let path = file.to_owned();
    let read = spawn_blocking(move || policy::read(&path).map_err(|error| error.to_string()));
    read.await.unwrap_or_else(|error| Err(error.to_string()))
}
