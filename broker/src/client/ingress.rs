//! What comes from the client, packet by packet.

use std::cell::Cell;
use std::task::Waker;

use journal::{Position, RecordBatch};

use super::acks::{Ack, AckKind, Wait};
use super::publish::Route;
use super::subscribe::Effort;
use super::{Client, End};
use crate::session::Mismatch;
use access::{Action, Decision};
use mqtt::{self, Disconnect, Frame, Packet, ReasonCode, encode, frame, frame_v31};

/// Bytes of records after which a batch goes to the journal, even if more packets have been read: a
/// record repeats the client id and may be far larger than its packet.
const BATCH_BYTES_MAX: usize = 256 * 1024;

/// Filters after which others get their turn, even if more packets have been read.
const FILTERS_AT_ONCE: usize = 256;

/// What one `receive` gathers from its input, which lives for `'i`.
pub(super) struct Intake<'a, 'i> {
    pub(super) received_at: i64,
    pub(super) batch: RecordBatch,
    pub(super) received: u64,
    effort: Effort,
    /// Of the publish that is handled, or was last.
    pub(super) route: Route<'i>,
    out: &'a mut Vec<u8>,
    pub(super) waker: &'a Waker,
}

thread_local! {
    /// A buffer that has grown to the size of what clients send, shared by all connections of a
    /// thread.
    static BATCH: Cell<RecordBatch> = const { Cell::new(RecordBatch::new()) };
}

impl Client {
    /// Handles the complete packets at the beginning of `input`; the number of bytes they take.
    /// Answers go to `out`, telemetry as one batch to the journal. Stops early when the client has
    /// to wait.
    pub(crate) fn receive(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        waker: &Waker,
    ) -> Result<usize, End> {
        let mut intake = Intake {
            received_at: self.gate.clock.now_micros(),
            batch: BATCH.take(),
            received: 0,
            effort: Effort::default(),
            route: Route::default(),
            out,
            waker,
        };
        let mut handled = 0;
        let result = self.handle_packets(input, &mut handled, &mut intake);
        // Also before an end: what was received before the offending packet counts.
        self.gate.stats.received.add(intake.received);
        self.charge(intake.received, handled);
        let mut batch = intake.batch;
        if self.commit(&mut batch, waker) {
            BATCH.set(batch);
        } else {
            self.parked = Some(Box::new(batch));
        }
        if !self.may_receive() {
            self.session.suspend_keep_alive();
        }
        result.map(|()| handled)
    }

    fn handle_packets<'i>(
        &mut self,
        input: &'i [u8],
        handled: &mut usize,
        intake: &mut Intake<'_, 'i>,
    ) -> Result<(), End> {
        self.has_more_input = false;
        while self.may_receive() {
            let is_full = intake.batch.byte_len() >= BATCH_BYTES_MAX
                || intake.effort.filters >= FILTERS_AT_ONCE;
            let rest = &input[*handled..];
            if is_full {
                // Nothing more is read while this says so.
                self.has_more_input = !rest.is_empty();
                break;
            }
            let size_max = self.gate.settings.max_packet_bytes;
            let framed = if self.terms.is_v31 {
                frame_v31(rest, size_max)
            } else {
                frame(rest, size_max)
            };
            match framed? {
                Frame::Incomplete { .. } => break,
                Frame::Complete {
                    first_byte,
                    body,
                    length,
                } => {
                    let packet = Packet::decode(self.terms.version, first_byte, &rest[body])?;
                    self.handle(packet, intake)?;
                    *handled += length;
                }
            }
        }
        Ok(())
    }

    fn handle<'i>(&mut self, packet: Packet<'i>, intake: &mut Intake<'_, 'i>) -> Result<(), End> {
        match packet {
            Packet::Publish(publish) => self.publish(&publish, intake),
            Packet::PubAck(ack) => self
                .session
                .puback(ack.packet_id)
                .map_err(|Mismatch| End::Refused(ReasonCode::ProtocolError)),
            Packet::PubRec(ack) => self.pubrec(&ack, intake.waker),
            Packet::PubRel(ack) => {
                self.pubrel(&ack, intake.waker);
                Ok(())
            }
            Packet::PubComp(ack) => {
                self.session.completed(ack.packet_id);
                Ok(())
            }
            Packet::Subscribe(subscribe) => {
                self.subscribe(&subscribe, &mut intake.effort, intake.out)?;
                Ok(())
            }
            Packet::Unsubscribe(unsubscribe) => {
                self.unsubscribe(&unsubscribe, &mut intake.effort, intake.out)?;
                Ok(())
            }
            Packet::PingReq => {
                encode::pingresp(intake.out);
                Ok(())
            }
            Packet::Disconnect(disconnect) => Err(self.disconnect(&disconnect)),
            // Nobody gets in with an authentication method, so there is none to go on with.
            Packet::Auth(_) => Err(End::Refused(ReasonCode::ProtocolError)),
        }
    }

    fn disconnect(&self, disconnect: &Disconnect<'_>) -> End {
        match disconnect.session_expiry {
            // Section 3.14.2.2.2: a session that was to end with its connection cannot be kept
            // after all.
            Some(1..) if !self.terms.kept => return End::Refused(ReasonCode::ProtocolError),
            Some(seconds) => {
                let granted = seconds.min(self.gate.settings.max_session_expiry_seconds);
                self.session.set_expiry_seconds(granted);
            }
            None => {}
        }
        End::Disconnected {
            // Only a normal disconnection takes the will back: [MQTT-3.14.4-3].
            will: disconnect.reason != ReasonCode::Success,
        }
    }

    /// The client has a QoS 2 delivery, or refuses it. Section 4.3.3.
    fn pubrec(&mut self, ack: &mqtt::Ack<'_>, waker: &Waker) -> Result<(), End> {
        if ack.reason.is_error() {
            self.session.acknowledged(ack.packet_id);
            return Ok(());
        }
        let found = self.session.received(ack.packet_id, waker);
        let found = found.map_err(|Mismatch| End::Refused(ReasonCode::ProtocolError))?;
        let (reason, wait) = reason_for(found);
        self.answer(AckKind::Pubrel, ack.packet_id, reason, wait);
        Ok(())
    }

    /// The client will not send a QoS 2 publish again. Section 4.3.3.
    fn pubrel(&mut self, ack: &mqtt::Ack<'_>, waker: &Waker) {
        let (reason, wait) = reason_for(self.session.release(ack.packet_id, waker));
        self.answer(AckKind::Pubcomp, ack.packet_id, reason, wait);
    }

    /// Queues an acknowledgement behind those of earlier packets.
    pub(super) fn answer(&mut self, kind: AckKind, packet_id: u16, reason: ReasonCode, wait: Wait) {
        let ack = Ack {
            kind,
            reason,
            packet_id,
        };
        self.acks.push(ack, wait);
    }

    pub(super) fn denies(&self, action: Action, topic: &str) -> bool {
        self.gate.access.authorize(&self.principal(), action, topic) == Decision::Deny
    }
}

/// What PUBREL or PUBCOMP says, and what it waits for.
fn reason_for(found: Option<Position>) -> (ReasonCode, Wait) {
    match found {
        Some(saved) => (ReasonCode::Success, Wait::for_log(saved)),
        None => (ReasonCode::PacketIdentifierNotFound, Wait::default()),
    }
}
