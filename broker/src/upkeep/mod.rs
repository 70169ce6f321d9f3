//! What has to change for clients when rules, users, keys or certificates do.
//!
//! Owns: the enforcement: subscriptions, connections and kept sessions that end because of a
//! change. Never: judges anybody; `access` does. Invariant: the change is active before whatever
//! was allowed before it is looked through, so one of the two sees it.

mod absent;
mod certificates;
pub(crate) mod recheck;
mod rules;
mod tokens;
mod users;

use std::sync::Arc;

use access::reload::Source;

pub(crate) use absent::review;
#[cfg(any(test, fuzzing))]
pub(crate) use rules::enforce;
pub(crate) use rules::revoke;
#[cfg(test)]
pub(crate) use users::UsersFile;

use crate::gate::Gate;

/// Everything whose files may change.
pub(crate) fn sources(gate: &Arc<Gate>) -> Vec<Box<dyn Source>> {
    let mut sources: Vec<Box<dyn Source>> = Vec::new();
    if let Some(rules) = rules::Rules::of(gate) {
        sources.push(Box::new(rules));
    }
    sources.push(Box::new(users::UsersFile(Arc::clone(gate))));
    if let Some(keys) = tokens::TokenKeys::of(gate) {
        sources.push(Box::new(keys));
    }
    for listener in &gate.settings.listeners {
        if let Some(tls) = &listener.tls {
            let (tls, gate) = (Arc::clone(tls), Arc::clone(gate));
            sources.push(Box::new(certificates::Certificates { tls, gate }));
        }
    }
    sources
}
