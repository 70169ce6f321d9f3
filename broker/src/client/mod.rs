//! One connected client, without its socket: bytes in, bytes out.
//!
//! Owns: what MQTT remembers of a connection (aliases, acknowledgements that wait for the disk);
//! what outlives it is the session's. Never: does I/O, so that a test can drive it with bytes.
//! Invariants: acknowledgements leave in the order of their publishes, and that of a journalled
//! publish never before the journal calls it durable.

mod acks;
mod commit;
mod egress;
mod ingress;
mod publish;
mod subscribe;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;
use journal::RecordBatch;

use self::acks::Acks;
use self::subscribe::Answers;
use crate::end::End;
use crate::gate::Gate;
use crate::limits::{RefusalKind, Throttle, Who};
use crate::presence::Cause;
use crate::session::{Begun, Departure, Session};
use access::{Identity, Principal};
use mqtt::{ReasonCode, Version, encode};

/// What a client's CONNECT set for the life of the connection.
pub(crate) struct Terms {
    pub(crate) version: Version,
    /// See `Connect::is_v31`.
    pub(crate) is_v31: bool,
    /// See `Connect::is_bridge`.
    pub(crate) is_bridge: bool,
    pub(crate) identity: Arc<Identity>,
    /// Bytes of the largest packet the client takes; `None`: no limit.
    pub(crate) max_packet_bytes: Option<u32>,
    /// QoS 1 and 2 messages that may wait for the client's acknowledgement.
    pub(crate) inflight_max: u16,
    /// The CONNECT asked for a session that outlives the connection.
    pub(crate) kept: bool,
}

pub(crate) struct Client {
    pub(crate) gate: Arc<Gate>,
    pub(crate) session: Arc<Session>,
    terms: Terms,
    /// Topics by alias − 1, once the client uses aliases.
    aliases: Vec<Option<Box<str>>>,
    acks: Acks,
    /// To SUBSCRIBE and UNSUBSCRIBE, while there are some.
    answers: Option<Box<Answers>>,
    /// QoS 2 publishes of which the session is still to tell the log, or to tell it where their
    /// records are.
    begun: Vec<Begun>,
    /// Publishes received on this connection whose exchange has not ended yet.
    unfinished: u16,
    departure: Departure,
    /// What follows the bytes that were sent: a payload too large to be copied for each subscriber.
    pub(crate) payload: Option<Bytes>,
    /// Telemetry that the journal could not take; it is tried again before anything more is
    /// received.
    parked: Option<Box<RecordBatch>>,
    /// The last `receive` stopped for its batch's size; complete packets may wait.
    pub(crate) has_more_input: bool,
    closing: Option<ReasonCode>,
    /// Measures the client, if there is a limit to its rate.
    throttle: Option<Box<Throttle>>,
    /// Beyond its rate: nothing is received before this moment.
    pub(crate) paused_until: Option<Instant>,
}

impl Client {
    pub(crate) fn new(gate: Arc<Gate>, session: Arc<Session>, terms: Terms) -> Client {
        let throttle = gate.settings.client_rates.throttle(Instant::now());
        Client {
            gate,
            session,
            terms,
            aliases: Vec::new(),
            acks: Acks::default(),
            answers: None,
            begun: Vec::new(),
            unfinished: 0,
            departure: Departure::default(),
            payload: None,
            parked: None,
            has_more_input: false,
            closing: None,
            throttle,
            paused_until: None,
        }
    }

    /// Who is authorised when this client acts.
    fn principal(&self) -> Principal<'_> {
        Principal {
            identity: &self.terms.identity,
            client_id: &self.session.client_id,
        }
    }

    fn speaks_v5(&self) -> bool {
        self.terms.version == Version::V5
    }

    /// Whether bytes from the client may be handled now; false while the journal
    /// holds it back.
    pub(crate) fn may_receive(&self) -> bool {
        self.parked.is_none()
            && self.closing.is_none()
            && self.paused_until.is_none()
            && self.acks.len() < self.acks_max()
            && self
                .answers
                .as_ref()
                .is_none_or(|answers| answers.has_room())
    }

    /// Acknowledgements that may wait before nothing more is read. MQTT 5 clients know how many
    /// publishes they may send, and are ended when they send more, which must be read to be
    /// noticed; the other half is for answers to PUBREC and PUBREL.
    fn acks_max(&self) -> usize {
        let receive_maximum = usize::from(self.gate.settings.receive_maximum);
        match self.terms.version {
            Version::V311 => receive_maximum,
            Version::V5 => receive_maximum.saturating_mul(2),
        }
    }

    /// Sees whether the connection must end, and tries again what was parked.
    pub(crate) fn resume(&mut self, waker: &Waker) -> Result<(), End> {
        if self.closing.is_none() {
            self.closing = self
                .session
                .with_outbound(waker, |outbound| outbound.close_requested());
        }
        match self.closing {
            Some(reason) if !self.lingers(reason) => return Err(End::Refused(reason)),
            _ => {}
        }
        if self.parked.is_some() {
            self.retry_parked(waker);
        }
        Ok(())
    }

    /// Whether the connection goes on for a while although it is to end for this reason: at a
    /// shutdown what was received is acknowledged before the farewell; nothing more is received
    /// meanwhile.
    fn lingers(&self, reason: ReasonCode) -> bool {
        let has_some = !self.acks.is_empty() || self.answers.is_some();
        let acks_can_leave = self.parked.is_none() && has_some;
        reason == ReasonCode::ServerShuttingDown && acks_can_leave
    }

    fn retry_parked(&mut self, waker: &Waker) {
        let Some(mut batch) = self.parked.take() else {
            return;
        };
        if self.commit(&mut batch, waker) {
            self.resume_keep_alive();
        } else {
            self.parked = Some(batch);
        }
    }

    /// The client may be read again: it is within its rate.
    pub(crate) fn end_pause(&mut self) {
        self.paused_until = None;
        self.resume_keep_alive();
    }

    /// Measures what was received against the client's rate.
    fn charge(&mut self, publishes: u64, bytes: usize) {
        let Some(throttle) = &mut self.throttle else {
            return;
        };
        let now = Instant::now();
        if let Some(pause) = throttle.charge(publishes, bytes as u64, now) {
            self.gate.stats.throttled.add(1);
            self.paused_until = Some(now + pause);
        }
    }

    /// After something that held the client back is gone: if it was the last, the client's silence
    /// counts from now.
    fn resume_keep_alive(&self) {
        if self.may_receive() {
            self.session.heard(self.gate.clock.seconds());
        }
    }

    /// Tells the log, in a while, what the client was refused.
    fn note_refusal(&self, kind: RefusalKind, what: &str, name: &str, reason: ReasonCode) {
        self.note(kind, || {
            let (code, words) = (reason.code(), reason.name());
            format!("{what} `{name}`: {words} (0x{code:02X})")
        });
    }

    fn note(&self, kind: RefusalKind, what: impl FnOnce() -> String) {
        let visit = self.session.visit();
        let who = Who {
            user: &self.terms.identity.user,
            client_id: &self.session.client_id,
            address: visit.map(|(visit, _)| visit.address),
        };
        self.gate.refusals.note(kind, &who, what);
    }

    /// Tells the log, in a while, of a client that breaks the protocol.
    fn note_end(&self, end: &End) {
        let is_protocol = match end {
            End::Malformed(_) => true,
            End::Refused(reason) => matches!(
                reason,
                ReasonCode::ProtocolError
                    | ReasonCode::ReceiveMaximumExceeded
                    | ReasonCode::TopicAliasInvalid
                    | ReasonCode::PacketTooLarge
            ),
            End::Disconnected { .. } | End::Closed | End::Io(_) => false,
        };
        if is_protocol {
            self.note(RefusalKind::Packet, || end.to_string());
        }
    }

    /// The client never learns that it was let in, so nobody else does: its will is not published.
    pub(crate) fn withdraw(&mut self) {
        self.departure.will_withdrawn = true;
    }

    /// The last word to the client, and its will if it has not said goodbye.
    pub(crate) fn finish(&mut self, end: &End, out: &mut Vec<u8>) {
        self.note_end(end);
        let reason = match end {
            End::Malformed(error) => Some(error.reason),
            End::Refused(reason) => Some(*reason),
            End::Disconnected { .. } | End::Closed | End::Io(_) => None,
        };
        if matches!(end, End::Malformed(_)) {
            self.gate.stats.protocol_errors.add(1);
        }
        if let Some(reason) = reason {
            let text = match end {
                End::Malformed(error) => Some(error.to_string()),
                _ => None,
            };
            let (version, size_max) = (self.terms.version, self.terms.max_packet_bytes);
            encode::disconnect(out, version, reason, text.as_deref(), size_max);
        }
        self.departure = Departure {
            will_withdrawn: matches!(end, End::Disconnected { will: false }),
            cause: Cause::from(end),
        };
    }
}

/// Also what a panic in the connection's task leaves by: nothing of a client stays behind but its
/// session.
impl Drop for Client {
    fn drop(&mut self) {
        self.leave_begun();
        self.session.detach(&self.gate, self.departure);
    }
}
