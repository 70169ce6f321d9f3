//! Kept sessions, when something changes about those they are kept for.
//!
//! Owns: what becomes of a session whose client is away. Never: ends a connection. Invariant:
//! nothing is kept for somebody who would not be let in any more, and rules are asked about what a
//! client is now, not about what it was when it left.

use std::sync::Arc;

use crate::gate::Gate;
use crate::session::Session;

/// Ends the session if its client is away and cannot come back, or else lets the rules look at it
/// as its client is now; true when it has ended.
pub(crate) fn review(gate: &Arc<Gate>, session: &Session) -> bool {
    let known = session.identity();
    match gate.authenticator.standing(&known) {
        // A will is judged when it is published: this one is not.
        None => session.end_of(gate, &known),
        Some(now) => {
            if session.renew_identity(&known, now) {
                super::revoke(gate, session);
            }
            false
        }
    }
}
