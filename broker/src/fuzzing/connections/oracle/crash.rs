//! What a crash in the midst of a step may take back.
//!
//! Owns: how much of it. Never: takes back what somebody was told that it will last.

use std::collections::{BTreeMap, HashMap};

use super::Oracle;
use super::messages::Copies;
use super::session::{InFlight, Session};

/// What a crash may take back.
pub(in super::super) struct Fleeting {
    /// By client id.
    sessions: HashMap<String, (End, BTreeMap<u16, InFlight>)>,
    copies: Copies,
}

/// When a session ends.
#[derive(PartialEq, Eq)]
struct End {
    number: u32,
    expiry_max: u32,
    is_over: bool,
}

impl Oracle {
    /// What a crash may take back of every client's session.
    pub(in super::super) fn fleeting(&self) -> Fleeting {
        let fleeting = |(client_id, session): (&String, &Session)| {
            let end = End {
                number: session.number,
                expiry_max: session.expiry_max,
                is_over: session.has_expired(self.clock),
            };
            (client_id.clone(), (end, session.in_flight.clone()))
        };
        Fleeting {
            sessions: self.sessions.iter().map(fleeting).collect(),
            copies: self.messages.copies(),
        }
    }

    /// The step is cut short. Of what has changed in it nobody was told that it will last: when a
    /// session ends, and what it has in flight at QoS 1. So a copy that was sent meanwhile at QoS 1
    /// may be sent again as if it were the first.
    pub(in super::super) fn cut_short(&mut self, before: &Fleeting) {
        let now = self.fleeting();
        for (client_id, session) in &mut self.sessions {
            let (end, in_flight) = &now.sessions[client_id];
            match before.sessions.get(client_id) {
                Some((end_before, _)) if end != end_before => session.doubt(),
                Some((_, in_flight_before)) if in_flight == in_flight_before => {}
                _ => session.is_sloppy = true,
            }
        }
        self.messages.take_back_copies(&before.copies);
    }
}
