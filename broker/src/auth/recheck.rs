//! Ends the connections of devices whose secret was revoked or replaced.
//!
//! Owns: when connections are looked through. Never: decides whether a secret holds; its keeper
//! does. Invariant: a connection outlives the secret that let it in by a few seconds at most.

use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use crate::gate::Gate;
use crate::packet::ReasonCode;

/// How often the keeper of secrets is asked whether something has changed.
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
        let found = Some(gate.authenticator.device_generation());
        // Once more at the next tick: a device that was judged just before the change is among the
        // connections only now.
        if found != known || again {
            again = found != known;
            known = found;
            end_refused(&gate);
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
