//! What must be true of every connection, whatever the clients, the disk and the clock do.
//!
//! Owns: what both sides have said, as far as it matters. Never: is a second broker: it says what
//! must not be, and of what must be only what is certain from outside. Invariant: it hears what the
//! broker read and wrote in the order in which it did.

mod crash;
mod end;
mod from_broker;
mod from_client;
mod line;
mod messages;
mod session;
mod welcome;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

pub(super) use self::crash::Fleeting;
use self::line::{Asked, Line, Stage};
use self::messages::{Key, Messages, Sent};
use self::session::{Begun, Session, Subscription};
use super::words::{is_forbidden, is_telemetry};
use super::{LINES, Limits};
use crate::fuzzing::HandJournal;
use crate::gate::Gate;
use access::{Action, Decision, Principal};
use mqtt::client::{self, ServerPacket};
use mqtt::{Frame, Qos, Version, frame};

pub(super) struct Oracle {
    gate: Arc<Gate>,
    journal: Arc<HandJournal>,
    limits: Limits,
    /// Steps of the script so far.
    pub(super) step: u32,
    /// Seconds that the script let pass.
    clock: u32,
    /// The journal has refused something, or may have.
    refuses: bool,
    /// The journal has no room.
    is_full: bool,
    /// The log of kept sessions lacks something.
    is_unsaved: bool,
    /// The step at which the rules changed last.
    rules_step: u32,
    past: Past,
    lines: [Line; LINES],
    sessions: HashMap<String, Session>,
    messages: Messages,
    /// Who was welcomed last: client id and user.
    latest: [Option<(String, String)>; LINES],
}

/// What gates before the present one have counted.
#[derive(Default)]
struct Past {
    journalled: u64,
    sessions_refused: u64,
    dropped: u64,
}

/// A delivery that a good client has something to say about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Puback(u16),
    Pubrec(u16),
    Pubcomp(u16),
}

impl Oracle {
    pub(super) fn new(gate: Arc<Gate>, journal: Arc<HandJournal>, limits: Limits) -> Oracle {
        Oracle {
            gate,
            journal,
            limits,
            step: 0,
            clock: 0,
            refuses: false,
            is_full: false,
            is_unsaved: false,
            rules_step: 0,
            past: Past::default(),
            lines: Default::default(),
            sessions: HashMap::new(),
            messages: Messages::default(),
            latest: Default::default(),
        }
    }

    pub(super) fn opened(&mut self, line: usize) {
        self.lines[line] = Line::default();
    }

    pub(super) fn read(&mut self, line: usize, bytes: &[u8]) {
        self.lines[line].from_client.extend_from_slice(bytes);
        self.hear_client(line);
    }

    pub(super) fn wrote(&mut self, line: usize, bytes: &[u8]) {
        self.lines[line].from_broker.extend_from_slice(bytes);
        while let Some((first_byte, packet, body)) =
            split(&mut self.lines[line].from_broker, usize::MAX).expect("the broker writes packets")
        {
            self.hear_broker(line, first_byte, &packet, body);
        }
    }

    /// The connection's task has ended.
    pub(super) fn ended(&mut self, line: usize) {
        match &self.lines[line].stage {
            Stage::Connected(connected) => {
                let (client_id, number) = (connected.asked.client_id.clone(), connected.session);
                if self.is_current(line, &client_id, number) {
                    self.part(&client_id);
                }
            }
            // It may have changed the session without having been told so.
            Stage::Asked(Some(asked)) => {
                let session = self.sessions.entry(asked.client_id.clone());
                session
                    .or_insert_with(|| Session::begin(0, &asked.user))
                    .doubt();
            }
            _ => {}
        }
        self.lines[line] = Line::default();
    }

    pub(super) fn passed(&mut self, seconds: u32) {
        self.clock += seconds;
    }

    /// The journal may refuse from now on. When it has no room MQTT 5 clients are told so, and may
    /// be lost before they hear it.
    pub(super) fn disk_refuses(&mut self, is_full: bool) {
        self.refuses = true;
        self.is_full = is_full;
        for session in self.sessions.values_mut().filter(|_| is_full) {
            let telemetry = session.begun.values_mut();
            let telemetry = telemetry.filter(|begun| is_telemetry(&begun.key.0));
            telemetry.for_each(|begun| begun.is_certain &= begun.is_received);
        }
    }

    /// The journal takes all from now on.
    pub(super) fn disk_takes(&mut self) {
        self.is_full = false;
    }

    /// Millrace itself published.
    pub(super) fn published(&mut self, topic: &str, payload: &[u8]) {
        let key = (topic.to_owned(), payload.to_vec());
        let sent = Sent {
            publisher: "",
            step: self.step,
            qos: Qos::AtLeastOnce,
            retain: true,
            is_permitted: true,
            is_new: true,
            is_exchange: true,
        };
        self.messages.sent(key, &sent);
    }

    /// Rules have changed: what they deny has ended.
    pub(super) fn rules_changed(&mut self) {
        self.rules_step = self.step;
        let client_ids: Vec<String> = self.sessions.keys().cloned().collect();
        for client_id in client_ids {
            self.revoke(&client_id);
        }
    }

    /// Another gate has begun with what the former one left, and with a clock on which the script
    /// let no time pass.
    pub(super) fn restarted(&mut self, gate: Arc<Gate>) {
        // A crash has taken some of them.
        let (_, journalled) = self.journal.count(|_| true);
        self.past.journalled = journalled as u64;
        self.past.sessions_refused = self.sessions_refused();
        self.past.dropped = self.dropped();
        self.gate = gate;
        for session in self.sessions.values_mut() {
            if session.has_expired(self.clock) || session.left.is_none() {
                continue;
            }
            if !session.must_be_kept(self.clock) {
                session.doubt();
            }
            session.left = Some((self.clock, Instant::now()));
        }
        self.rules_changed();
    }

    fn sessions_refused(&self) -> u64 {
        self.past.sessions_refused + self.gate.stats.sessions_refused.get()
    }

    /// Messages that somebody did not get because there was no room, or no need.
    fn dropped(&self) -> u64 {
        let stats = &self.gate.stats;
        let dropped = [
            &stats.dropped_slow_consumer,
            &stats.dropped_too_large,
            &stats.dropped_expired,
            &stats.dropped_offline_full,
            &stats.dropped_revoked,
        ];
        self.past.dropped + dropped.map(|counter| counter.get()).iter().sum::<u64>()
    }

    /// The version that is spoken on the line; 5 as long as none is.
    pub(super) fn version(&self, line: usize) -> Version {
        match &self.lines[line].stage {
            Stage::Connected(connected) => connected.asked.version,
            Stage::Asked(Some(asked)) => asked.version,
            _ => Version::V5,
        }
    }

    /// What a good client would say next about its deliveries, oldest packet id first.
    pub(super) fn due(&self, line: usize) -> Vec<Due> {
        let Stage::Connected(connected) = &self.lines[line].stage else {
            return Vec::new();
        };
        let Some(session) = self.sessions.get(&connected.asked.client_id) else {
            return Vec::new();
        };
        let due = session.in_flight.iter().filter_map(|(&packet_id, entry)| {
            let is_sent = connected.sent.contains(&packet_id);
            match (entry.stage, entry.qos) {
                (session::Stage::Published, Qos::ExactlyOnce) if is_sent => {
                    Some(Due::Pubrec(packet_id))
                }
                (session::Stage::Published, _) if is_sent => Some(Due::Puback(packet_id)),
                (session::Stage::Released, _) => Some(Due::Pubcomp(packet_id)),
                _ => None,
            }
        });
        due.collect()
    }

    /// Who was connected last on the line, if it can come back: client id and user.
    pub(super) fn latest(&self, line: usize) -> Option<(String, String)> {
        self.latest[line].clone()
    }

    /// What a good client that has just come back on the line goes on with: publishes, and packet
    /// ids to be released.
    pub(super) fn unfinished(&self, line: usize) -> Vec<(u16, Option<Begun>)> {
        let Stage::Connected(connected) = &self.lines[line].stage else {
            return Vec::new();
        };
        let Some(session) = self.sessions.get(&connected.asked.client_id) else {
            return Vec::new();
        };
        let mut begun: Vec<_> = session.begun.iter().collect();
        begun.sort_by_key(|(_, begun)| begun.step);
        let begun = begun.into_iter().map(|(&packet_id, begun)| {
            let publish = (!begun.is_received).then(|| begun.clone());
            (packet_id, publish)
        });
        let releasing = session.releasing.iter();
        let releasing = releasing.filter(|packet_id| !session.begun.contains_key(packet_id));
        begun
            .chain(releasing.map(|&packet_id| (packet_id, None)))
            // MQTT 5 says how many may be unfinished.
            .take(self.gate.settings.receive_maximum.into())
            .collect()
    }

    pub(super) fn has_unfinished(&self, client_id: &str) -> bool {
        let session = self.sessions.get(client_id);
        session.is_some_and(|session| !session.begun.is_empty())
    }

    /// Whether what is sent on the line now is understood: it has a session, and nothing incomplete
    /// or wrong before it.
    pub(super) fn is_clean(&self, line: usize) -> bool {
        let Line {
            from_client, stage, ..
        } = &self.lines[line];
        matches!(stage, Stage::Connected(connected) if !connected.is_deaf && from_client.is_empty())
    }

    fn hear_client(&mut self, line: usize) {
        let max_bytes = self.gate.settings.max_packet_bytes;
        loop {
            let Line {
                from_client, stage, ..
            } = &mut self.lines[line];
            match stage {
                // What comes behind CONNECT waits for CONNACK.
                Stage::Asked(_) | Stage::Over => return,
                Stage::Silent if from_client.first().is_some_and(|first| *first != 0x10) => {
                    *stage = Stage::Over;
                    return;
                }
                Stage::Silent | Stage::Connected(_) => {}
            }
            let found = split(from_client, max_bytes);
            match (stage, found) {
                (_, Ok(None)) => return,
                (Stage::Connected(connected), Err(_)) => {
                    connected.is_deaf = true;
                    return;
                }
                (stage, Err(_)) => {
                    *stage = Stage::Over;
                    return;
                }
                (Stage::Connected(_), Ok(Some((first_byte, packet, body)))) => {
                    self.client_says(line, first_byte, &packet[body]);
                }
                (_, Ok(Some((_, packet, body)))) => self.asks(line, &packet[body]),
            }
        }
    }

    fn hear_broker(
        &mut self,
        line: usize,
        first_byte: u8,
        packet: &[u8],
        body: std::ops::Range<usize>,
    ) {
        let step = self.step;
        let body = &packet[body];
        let decode = |version| client::decode(version, first_byte, body);
        match &self.lines[line].stage {
            Stage::Silent | Stage::Over => {
                panic!("step {step}, line {line}: nothing may be written: {packet:02x?}")
            }
            Stage::Asked(None) => {
                let versions = [Version::V5, Version::V311].into_iter();
                let refuses = versions.map(decode).any(|answer| {
                    matches!(answer, Ok(ServerPacket::ConnAck(answer)) if answer.code != 0)
                });
                assert!(
                    refuses,
                    "step {step}, line {line}: a bad connect is answered by {packet:02x?}"
                );
                self.lines[line].stage = Stage::Over;
            }
            Stage::Asked(Some(asked)) => {
                let asked = asked.clone();
                check_size(&asked, packet);
                let Ok(ServerPacket::ConnAck(answer)) = decode(asked.version) else {
                    panic!("step {step}, line {line}: connect is answered by {packet:02x?}");
                };
                self.welcomed(line, asked, &answer);
            }
            Stage::Connected(connected) => {
                check_size(&connected.asked, packet);
                match decode(connected.asked.version) {
                    Ok(packet) => self.broker_says(line, &packet),
                    Err(error) => {
                        panic!("step {step}, line {line}: {error} of {packet:02x?}")
                    }
                }
            }
        }
    }

    /// The session's connection has let go of it. What it asked for and was not answered may have
    /// been granted.
    fn part(&mut self, client_id: &str) {
        let Some(session) = self.sessions.get_mut(client_id) else {
            return;
        };
        let line = session.line.take();
        session.left = Some((self.clock, Instant::now()));
        session.hand_on();
        let Some(Stage::Connected(connected)) = line.map(|line| &self.lines[line].stage) else {
            return;
        };
        for request in connected.subacks.iter().flat_map(|(_, all)| all) {
            session.subscriptions.push(Subscription {
                name: request.name.clone(),
                qos: request.qos,
                no_local: request.no_local,
                identifier: request.identifier,
                from: request.step,
                until: None,
                is_certain: false,
            });
        }
        for name in connected.unsubacks.iter().flat_map(|(_, all)| all) {
            let held = session.subscriptions.iter_mut();
            held.filter(|held| held.name == *name)
                .for_each(|held| held.is_certain = false);
        }
    }

    /// Ends the subscriptions that the rules in force deny.
    fn revoke(&mut self, client_id: &str) {
        let Some(session) = self.sessions.get_mut(client_id) else {
            return;
        };
        let identity = Default::default();
        let principal = Principal {
            identity: &identity,
            client_id,
        };
        for held in &mut session.subscriptions {
            let access = &self.gate.access;
            let decision = access.authorize(&principal, Action::Subscribe, held.filter());
            if decision == Decision::Deny && held.until.is_none() {
                held.until = Some(self.step);
            }
        }
    }

    fn is_current(&self, line: usize, client_id: &str, number: u32) -> bool {
        let session = self.sessions.get(client_id);
        session.is_some_and(|session| session.number == number && session.line == Some(line))
    }

    /// Records of the message: those that are durable, and all of them.
    fn journalled(&self, client_id: Option<&str>, key: &Key) -> (usize, usize) {
        self.journal.count(|record| {
            client_id.is_none_or(|client_id| record.client_id == client_id)
                && record.topic == key.0
                && record.payload == key.1
        })
    }
}

/// What stands for the client id that the broker gave a 3.1.1 client, which is not told.
const NAMELESS: &str = "without a name";

/// Whether that is its client id.
fn is_named(client_id: &str) -> bool {
    !client_id.starts_with(NAMELESS)
}

/// [MQTT-3.1.2-24]
fn check_size(asked: &Asked, packet: &[u8]) {
    let size_max = asked.maximum_packet_size.unwrap_or(u32::MAX) as usize;
    assert!(
        packet.len() <= size_max,
        "`{}` bytes for a client that takes `{size_max}`: {packet:02x?}",
        packet.len()
    );
}

type Split = (u8, Vec<u8>, std::ops::Range<usize>);

/// Takes the first packet off the bytes: its first byte, all of it, and where its body lies in it.
fn split(bytes: &mut Vec<u8>, max_bytes: usize) -> Result<Option<Split>, mqtt::DecodeError> {
    match frame(bytes, max_bytes)? {
        Frame::Incomplete { .. } => Ok(None),
        Frame::Complete {
            first_byte,
            body,
            length,
        } => {
            let packet = bytes.drain(..length).collect();
            Ok(Some((first_byte, packet, body)))
        }
    }
}
