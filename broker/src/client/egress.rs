//! What leaves for the client: acknowledgements that became durable, and deliveries.

use std::num::NonZeroU32;
use std::task::Waker;

use bytes::Bytes;
use journal::Position;

use super::acks::{AckKind, Wait};
use super::{Client, End};
use crate::delivery::Delivery;
use crate::gate::Gate;
use crate::limits::UNSENT_BYTES_MAX;
use crate::session::{InFlight, Next, Outbound, Search, Session, Stage, UNSAVED};
use mqtt::{Qos, ReasonCode, Version, encode};

impl Client {
    /// Appends to `out` what may leave now; true when more waits only for room in `out` and the
    /// next call. If it leaves a `payload` behind, that comes next, before anything else is
    /// appended.
    pub(crate) fn send(&mut self, out: &mut Vec<u8>, waker: &Waker) -> Result<bool, End> {
        let held_back = !self.may_receive();
        self.send_acks(out, waker);
        self.send_answers(out, waker);
        if held_back {
            self.resume_keep_alive();
        }
        if let Some(reason) = self.closing {
            // Shutting down: the last acknowledgement takes the connection with it. A journal that
            // failed has none to give.
            return if self.lingers(reason) {
                Ok(false)
            } else {
                Err(End::Refused(reason))
            };
        }
        // What a subscription brings comes behind its SUBACK, as most clients expect.
        Ok(self.answers.is_none() && self.send_deliveries(out, waker))
    }

    fn send_acks(&mut self, out: &mut Vec<u8>, waker: &Waker) {
        if self.acks.is_empty() {
            return;
        }
        let durable = self.gate.journal.durable();
        let (gate, session) = (&*self.gate, &*self.session);
        let is_over = |wait: &mut Wait| {
            (wait.position == Position::ZERO || wait.position <= durable)
                && is_queued(gate, session, wait, waker)
        };
        let mut finished = 0_u16;
        self.acks.leave(is_over, |ack| {
            let encode = match ack.kind {
                AckKind::Puback => encode::puback,
                AckKind::Pubrec => encode::pubrec,
                AckKind::Pubrel => encode::pubrel,
                AckKind::Pubcomp => encode::pubcomp,
            };
            encode(out, self.terms.version, ack.packet_id, ack.reason);
            if ack.kind == AckKind::Pubrec && ack.reason.is_error() {
                session.refused(ack.packet_id);
            }
            finished = finished.saturating_add(u16::from(ack.ends_exchange()));
        });
        // What an earlier connection began is finished here without having been counted.
        self.unfinished = self.unfinished.saturating_sub(finished);
    }

    fn send_deliveries(&mut self, out: &mut Vec<u8>, waker: &Waker) -> bool {
        let now = self.gate.clock.now_micros();
        let mut out = Outgoing {
            bytes: out,
            payload: None,
        };
        let (step, caught_up) = self.session.with_outbound(waker, |outbound| {
            let step = loop {
                if out.is_full() {
                    break Step::Taken;
                }
                match self.send_one(outbound, now, &mut out) {
                    Step::Taken => {}
                    other => break other,
                }
            };
            (step, outbound.caught_up())
        });
        self.payload = out.payload;
        if let Some(dropped) = caught_up {
            self.session.tell_caught_up(dropped, &self.gate.stats);
        }
        match step {
            Step::Taken => true,
            // No more than a page in each round: looking through the store takes time that others
            // want, too.
            Step::Page(search) => {
                let found = search.look(&self.gate);
                self.session.add_page(&search, found);
                true
            }
            Step::Nothing => false,
        }
    }

    /// Sends what is next: of the window what this connection has not sent yet, then the queue.
    fn send_one(&self, outbound: &mut Outbound, now: i64, out: &mut Outgoing<'_>) -> Step {
        let inflight_max = usize::from(self.terms.inflight_max);
        if let Some(entry) = outbound.window().unsent() {
            // After a reconnect the window may be larger than what this connection takes; PUBREL is
            // not counted: section 4.9.
            let has_room = outbound.window().sent() < inflight_max;
            if !has_room && matches!(entry.stage, Stage::Published(_)) {
                return Step::Nothing;
            }
            if !self.gate.is_saved(entry.saved) {
                return Step::Nothing;
            }
            match self.send_entry(entry, now, out) {
                Ok(()) => outbound.mark_sent(),
                Err(TooLarge) => outbound.drop_unsent(),
            }
            return Step::Taken;
        }
        let inflight_free = outbound.window().len() < inflight_max;
        let (delivery, source) = match outbound.pop(inflight_free) {
            Next::Delivery(delivery, source) => (delivery, source),
            Next::Page(search) => return Step::Page(search),
            Next::Nothing => return Step::Nothing,
        };
        let Ok(expiry) = delivery.message.remaining_expiry(now) else {
            self.gate.stats.dropped_expired.add(1);
            outbound.discard(&delivery, source);
            return Step::Taken;
        };
        match delivery.qos {
            // Too large: counted, and [MQTT-3.1.2-25] has it as if it had been sent.
            Qos::AtMostOnce => drop(self.send_publish(&delivery, expiry, None, out)),
            _ => outbound.assign(&delivery, source),
        }
        Step::Taken
    }

    fn send_entry(
        &self,
        entry: &InFlight,
        now: i64,
        out: &mut Outgoing<'_>,
    ) -> Result<(), TooLarge> {
        let stats = &self.gate.stats;
        match &entry.stage {
            Stage::Published(delivery) => {
                // Its delivery has begun, so it is finished even when it has expired since: section
                // 3.3.2.3.3.
                let expiry = delivery.message.remaining_expiry(now).unwrap_or(Some(0));
                self.send_publish(delivery, expiry, Some(entry), out)?;
            }
            Stage::Released => {
                let version = self.terms.version;
                encode::pubrel(out.bytes, version, entry.packet_id, ReasonCode::Success);
            }
        }
        if entry.sent_before {
            stats.redelivered.add(1);
        }
        Ok(())
    }

    fn send_publish(
        &self,
        delivery: &Delivery,
        message_expiry: Option<u32>,
        entry: Option<&InFlight>,
        out: &mut Outgoing<'_>,
    ) -> Result<(), TooLarge> {
        let message = &*delivery.message;
        let identifier = delivery.identifier.map(NonZeroU32::get);
        let publish = encode::Publish {
            dup: entry.is_some_and(|entry| entry.sent_before),
            qos: delivery.qos,
            retain: delivery.retain,
            packet_id: entry.map_or(0, |entry| entry.packet_id),
            topic: &message.topic,
            message_expiry,
            subscription_ids: identifier.as_slice(),
            properties: &message.properties,
            payload: &message.payload,
            ..encode::Publish::default()
        };
        let version = self.terms.version;
        // [MQTT-3.1.2-24]
        let size_max = self
            .terms
            .max_packet_bytes
            .map_or(usize::MAX, |bytes| bytes as usize);
        if encode::publish_len(version, &publish) > size_max {
            self.gate.stats.dropped_too_large.add(1);
            return Err(TooLarge);
        }
        out.publish(version, &publish, &message.payload);
        self.gate.stats.delivered.add(1);
        Ok(())
    }
}

/// What came of an attempt to send what is next.
enum Step {
    /// It left, or will not be sent: on to the next.
    Taken,
    /// It has to be looked for.
    Page(Search),
    /// Nothing may leave now.
    Nothing,
}

/// Where packets go: behind the bytes that are there, and after all of them at most one payload
/// that is not copied.
struct Outgoing<'a> {
    bytes: &'a mut Vec<u8>,
    payload: Option<Bytes>,
}

/// A payload of this size is sent from where it lies, which takes a system call of its own; a
/// smaller one is copied behind its packet's head.
const SHARED_PAYLOAD_BYTES_MIN: usize = 16 * 1024;

impl Outgoing<'_> {
    fn is_full(&self) -> bool {
        self.bytes.len() > UNSENT_BYTES_MAX || self.payload.is_some()
    }

    fn publish(&mut self, version: Version, publish: &encode::Publish<'_>, payload: &Bytes) {
        if payload.len() < SHARED_PAYLOAD_BYTES_MIN {
            encode::publish(self.bytes, version, publish);
        } else {
            encode::publish_head(self.bytes, version, publish);
            self.payload = Some(payload.clone());
        }
    }
}

/// Whether kept sessions have what is acknowledged, durably; if not, the waker is woken when they
/// may.
fn is_queued(gate: &Gate, session: &Session, wait: &mut Wait, waker: &Waker) -> bool {
    if wait.saved == UNSAVED {
        let Some(saved) = session.saved_again(waker) else {
            return false;
        };
        wait.saved = saved;
    }
    gate.is_saved_or_wakes(wait.saved, waker)
}

/// The client does not take packets of this size.
#[derive(Debug)]
struct TooLarge;
