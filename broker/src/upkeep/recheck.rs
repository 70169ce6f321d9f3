//! Ends the connections of devices whose secret was revoked or replaced, and the sessions kept for
//! those who cannot come back.
//!
//! Owns: when connections and kept sessions are looked through. Never: decides whether a secret
//! holds or a user exists; their keepers do. Invariant: a connection outlives the secret that let
//! it in by a few seconds at most, and so does what is kept for a user or device that is no more.

use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use crate::gate::Gate;
use mqtt::ReasonCode;

/// How often the keepers of secrets and users are asked whether something has changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Looks until the gate stops.
pub(crate) async fn run(gate: Arc<Gate>) {
    let mut tick = tokio::time::interval(LOOK_INTERVAL);
    let mut known = None;
    let mut again = false;
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = gate.stop.cancelled() => return,
        }
        let found = Some(gate.authenticator.standing_generation());
        // Once more at the next tick: a device that was judged just before the change is among the
        // connections only now, and one that was leaving is away.
        if found != known || again {
            again = found != known;
            known = found;
            end_refused(&gate);
            review_absent(&gate);
        }
    }
}

fn end_refused(gate: &Gate) {
    let ended = gate
        .registry
        .close_where(ReasonCode::NotAuthorized, |session| {
            !gate.authenticator.is_still_good(&session.identity())
        });
    if ended > 0 {
        info!(
            connections = ended,
            "ended connections of devices whose secret was revoked or replaced"
        );
    }
}

fn review_absent(gate: &Arc<Gate>) {
    let mut ended = 0;
    gate.registry.for_each(|session| {
        ended += usize::from(super::review(gate, session));
    });
    tell_ended(ended);
}

/// Says how many kept sessions have ended because nobody can come back to them.
pub(crate) fn tell_ended(sessions: usize) {
    if sessions > 0 {
        info!(
            sessions,
            "ended kept sessions of clients that are let in no more"
        );
    }
}
