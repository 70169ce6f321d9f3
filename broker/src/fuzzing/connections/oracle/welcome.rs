//! CONNECT and CONNACK: who comes, and which session it gets.
//!
//! Owns: when a session must be there, and when it must not. Never: says which CONNECT must be
//! accepted.

use super::line::{self, Asked, Stage};
use super::messages::Sent;
use super::session::Session;
use super::{NAMELESS, Oracle, is_named};
use crate::fuzzing::connections::words::is_forbidden;
use mqtt::client::ConnAck;
use mqtt::{Connect, Version};

impl Oracle {
    pub(super) fn asks(&mut self, line: usize, body: &[u8]) {
        let stage = match Connect::decode(body) {
            Ok(connect) => {
                let asked = Asked::of(&connect, self.clock);
                if let Some(will) = &connect.will {
                    self.messages.sent(
                        (will.topic.to_owned(), will.payload.to_vec()),
                        &Sent {
                            publisher: &asked.client_id,
                            step: self.step,
                            qos: will.qos,
                            retain: will.retain,
                            is_permitted: !is_forbidden(&asked.user, will.topic),
                            is_new: true,
                            is_exchange: true,
                        },
                    );
                }
                Stage::Asked(Some(asked))
            }
            Err(error) if error.answer().is_some() => Stage::Asked(None),
            Err(_) => Stage::Over,
        };
        self.lines[line].stage = stage;
    }

    pub(super) fn welcomed(&mut self, line: usize, mut asked: Asked, answer: &ConnAck<'_>) {
        let step = self.step;
        if answer.code != 0 {
            assert!(!answer.session_present, "[MQTT-3.2.2-6]");
            self.lines[line].stage = Stage::Over;
            return;
        }
        if asked.client_id.is_empty() {
            asked.client_id = match answer.assigned_client_id {
                Some(assigned) => assigned.to_owned(),
                None => {
                    assert_eq!(asked.version, Version::V311, "[MQTT-3.1.3-7]");
                    format!("{NAMELESS}, {line} at {step}")
                }
            };
        }
        let client_id = asked.client_id.clone();
        if self
            .sessions
            .get(&client_id)
            .is_some_and(|s| s.line.is_some())
        {
            // Taken over; what it still writes it had ready before.
            self.part(&client_id);
        }
        self.check_present(&asked, answer.session_present);
        let granted = asked.session_expiry.min(self.limits.session_expiry_seconds);
        let known = self.sessions.remove(&client_id);
        let number = known.as_ref().map_or(0, |known| known.number);
        let mut session = match known {
            Some(session) if answer.session_present => session,
            _ => Session::begin(number + 1, &asked.user),
        };
        session.line = Some(line);
        session.left = None;
        session.is_uncertain = false;
        if asked.maximum_packet_size.is_some() {
            session.expect_too_large();
        }
        session.user.clone_from(&asked.user);
        (session.expiry_min, session.expiry_max) = (granted, granted);
        let latest = (client_id.clone(), asked.user.clone());
        self.latest[line] = Some(latest).filter(|(client_id, _)| is_named(client_id));
        let connected = line::Connected::new(asked, session.number);
        self.sessions.insert(client_id.clone(), session);
        self.lines[line].stage = Stage::Connected(Box::new(connected));
        self.revoke(&client_id);
        self.hear_client(line);
    }

    fn check_present(&self, asked: &Asked, present: bool) {
        let (step, client_id) = (self.step, &asked.client_id);
        let known = self.sessions.get(client_id);
        if known.is_some_and(|known| known.is_uncertain) {
            return;
        }
        let fits = known
            .filter(|known| !asked.clean_start && known.user == asked.user && known.expiry_max > 0);
        let may = fits.is_some_and(|known| !known.has_expired(asked.at));
        assert!(
            may || !present,
            "step {step}: `{client_id}` gets a session that it should not have"
        );
        let must = fits.is_some_and(|known| known.must_be_kept(self.clock))
            && self.sessions_refused() == 0;
        assert!(
            present || !must,
            "step {step}: `{client_id}` has lost its session"
        );
    }
}
