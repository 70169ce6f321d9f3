//! What comes from the client, packet by packet.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::Waker;

use journal::{Position, Record, RecordBatch};

use super::{Client, End, Parked, UNPLACED};
use crate::access::{Action, Decision};
use crate::gate::now_micros;
use crate::message::Message;
use crate::packet::{
    Frame, Packet, Publish, Qos, ReasonCode, RetainHandling, Subscribe, Subscription, Unsubscribe,
    encode, frame,
};
use crate::session::Delivery;
use crate::subscriptions::Options;
use crate::topic::Filter;

/// Bytes of records after which a batch goes to the journal, even if more packets have been read: a record repeats the client
/// id and may be far larger than its packet.
const BATCH_BYTES_MAX: usize = 256 * 1024;

/// What one `receive` gathers.
struct Intake<'a> {
    received_at: i64,
    batch: RecordBatch,
    received: u64,
    out: &'a mut Vec<u8>,
    waker: &'a Waker,
}

impl Client {
    /// Handles the complete packets at the beginning of `input`; the number of bytes they take. Answers go to `out`, telemetry as
    /// one batch to the journal. Stops early when the client has to wait.
    pub(crate) fn receive(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        waker: &Waker,
    ) -> Result<usize, End> {
        let mut intake = Intake {
            received_at: now_micros(),
            batch: RecordBatch::new(),
            received: 0,
            out,
            waker,
        };
        let mut handled = 0;
        let result = self.handle_packets(input, &mut handled, &mut intake);
        // Also before an end: what was received before the offending packet counts.
        self.gate.stats.received.add(intake.received);
        self.charge(intake.received, handled);
        if !intake.batch.is_empty()
            && let Some(batch) = self.append(intake.batch, waker)
        {
            self.parked().batch = Some(batch);
        }
        if !self.may_receive() {
            self.session.suspend_keep_alive();
        }
        result.map(|()| handled)
    }

    fn handle_packets(
        &mut self,
        input: &[u8],
        handled: &mut usize,
        intake: &mut Intake<'_>,
    ) -> Result<(), End> {
        self.has_more_input = false;
        while self.may_receive() {
            if intake.batch.byte_len() >= BATCH_BYTES_MAX {
                self.has_more_input = true;
                break;
            }
            let rest = &input[*handled..];
            match frame(rest, self.gate.settings.max_packet_bytes)? {
                Frame::Incomplete { .. } => break,
                Frame::Complete {
                    first_byte,
                    body,
                    length,
                } => {
                    let packet = Packet::decode(self.session.version, first_byte, &rest[body])?;
                    self.handle(packet, intake)?;
                    *handled += length;
                }
            }
        }
        Ok(())
    }

    fn handle(&mut self, packet: Packet<'_>, intake: &mut Intake<'_>) -> Result<(), End> {
        match packet {
            Packet::Publish(publish) => self.publish(&publish, intake),
            Packet::PubAck(ack) => {
                self.acknowledged(ack.packet_id);
                Ok(())
            }
            Packet::Subscribe(subscribe) => self.subscribe(&subscribe, intake),
            Packet::Unsubscribe(unsubscribe) => {
                self.unsubscribe(&unsubscribe, intake.out);
                Ok(())
            }
            Packet::PingReq => {
                encode::pingresp(intake.out);
                Ok(())
            }
            Packet::Disconnect(disconnect) => Err(End::Disconnected {
                // Only a normal disconnection takes the will back: [MQTT-3.14.4-3].
                will: disconnect.reason != ReasonCode::Success,
            }),
            // QoS 2 is neither accepted nor sent, so there is nothing these could speak of.
            Packet::PubRec(_) | Packet::PubRel(_) | Packet::PubComp(_) | Packet::Auth(_) => {
                Err(End::Refused(ReasonCode::ProtocolError))
            }
        }
    }

    fn publish(&mut self, publish: &Publish<'_>, intake: &mut Intake<'_>) -> Result<(), End> {
        intake.received += 1;
        if publish.qos == Qos::ExactlyOnce {
            return Err(End::Refused(ReasonCode::QosNotSupported));
        }
        // Taken out for the time of this call, since the topic may be borrowed from it.
        let mut aliases = std::mem::take(&mut self.aliases);
        let result = resolve_alias(
            &mut aliases,
            publish,
            self.gate.settings.topic_alias_maximum,
        )
        .and_then(|topic| self.publish_to(topic, publish, intake));
        self.aliases = aliases;
        result
    }

    fn publish_to(
        &mut self,
        topic: &str,
        publish: &Publish<'_>,
        intake: &mut Intake<'_>,
    ) -> Result<(), End> {
        if self.denies(Action::Publish, topic) {
            self.gate.stats.denied.add(1);
            return self.refuse_publish(publish, ReasonCode::NotAuthorized);
        }
        if let Some(reason) = self.exceeds_limits(topic, publish) {
            self.gate.stats.refused_by_limit.add(1);
            return self.refuse_publish(publish, reason);
        }
        let is_telemetry = (self.gate.is_telemetry)(topic);
        if is_telemetry {
            intake.batch.push(&Record {
                received_at: intake.received_at,
                qos: publish.qos as u8,
                packet_id: None,
                content_type: publish.properties.content_type.unwrap_or_default(),
                client_id: &self.session.client_id,
                user: &self.session.identity.user,
                topic,
                payload: publish.payload,
            });
        }
        if let Some(packet_id) = publish.packet_id {
            let position = if is_telemetry {
                UNPLACED
            } else {
                Position::ZERO
            };
            self.acknowledge(packet_id, ReasonCode::Success, position);
        }
        let targets = self.gate.subscriptions.targets(topic);
        if !publish.retain && targets.is_empty() {
            return Ok(());
        }
        let message = Arc::new(Message {
            topic: topic.into(),
            payload: bytes::Bytes::copy_from_slice(publish.payload),
            qos: publish.qos,
            retain: publish.retain,
            properties: publish.properties.raw_forwardable().to_bytes(),
            expiry_seconds: publish.properties.message_expiry,
            publisher: self.session.number,
            received_at: intake.received_at,
        });
        if message.retain {
            self.gate.retain(&message);
        }
        if self.gate.fan_out(&targets, &message).is_err() {
            self.router_busy(message, intake.waker);
        }
        Ok(())
    }

    fn exceeds_limits(&self, topic: &str, publish: &Publish<'_>) -> Option<ReasonCode> {
        let settings = &self.gate.settings;
        if settings.topics.check_bounds(topic).is_err() {
            return Some(ReasonCode::TopicNameInvalid);
        }
        (publish.payload.len() > settings.max_payload_bytes).then_some(ReasonCode::QuotaExceeded)
    }

    fn denies(&self, action: Action, topic: &str) -> bool {
        let principal = self.session.principal();
        self.gate.access.authorize(&principal, action, topic) == Decision::Deny
    }

    /// 3.1.1 has no way to refuse a publish but to close the connection: acknowledging it would be a lie. [MQTT-3.3.5-2] of 3.1.1.
    fn refuse_publish(&mut self, publish: &Publish<'_>, reason: ReasonCode) -> Result<(), End> {
        match publish.packet_id {
            _ if !self.speaks_v5() => return Err(End::Refused(reason)),
            Some(packet_id) => self.acknowledge(packet_id, reason, Position::ZERO),
            None => {}
        }
        Ok(())
    }

    /// QoS 0 is dropped and counted; a QoS 1 message waits, and its client with it.
    fn router_busy(&mut self, message: Arc<Message>, waker: &Waker) {
        if message.qos == Qos::AtMostOnce {
            self.gate.stats.dropped_router_busy.add(1);
            return;
        }
        self.parked().messages.push_back(message);
        // The router may have become ready in between; the next poll tries.
        waker.wake_by_ref();
    }

    fn parked(&mut self) -> &mut Parked {
        self.parked.get_or_insert_default()
    }

    fn subscribe(&mut self, subscribe: &Subscribe<'_>, intake: &mut Intake<'_>) -> Result<(), End> {
        let identifier = subscribe.subscription_id.and_then(NonZeroU32::new);
        let mut reasons = Vec::with_capacity(subscribe.subscriptions.len());
        for subscription in subscribe.subscriptions.iter() {
            reasons.push(self.subscribe_one(&subscription, identifier));
        }
        encode::suback(
            intake.out,
            self.session.version,
            subscribe.packet_id,
            &reasons,
        );
        Ok(())
    }

    /// Subscribes to one filter and queues its retained messages; the reason code for SUBACK.
    fn subscribe_one(
        &mut self,
        subscription: &Subscription<'_>,
        identifier: Option<NonZeroU32>,
    ) -> ReasonCode {
        let name = subscription.filter;
        // The depth too: the tree of filters is walked by recursion, and a stack that runs out takes the process with it.
        let Ok(filter) = self.gate.settings.topics.check_filter(name) else {
            return ReasonCode::TopicFilterInvalid;
        };
        if let Some(reason) = self.refuse_filter(name, &filter) {
            return reason;
        }
        let granted = subscription.qos.min(Qos::AtLeastOnce);
        let options = Options {
            qos: granted,
            no_local: subscription.no_local,
            retain_as_published: subscription.retain_as_published,
            identifier,
        };
        let gate = Arc::clone(&self.gate);
        let (membership, new) =
            gate.subscriptions
                .subscribe(&gate.router, &filter, &self.session, options);
        if new {
            self.subscriptions.insert(name.into(), membership);
            gate.stats.subscriptions.add(1);
        }
        let wants_retained = match subscription.retain_handling {
            // Section 4.8.2: a shared subscription gets no retained messages when it is made.
            _ if filter.share.is_some() => false,
            RetainHandling::Send => true,
            RetainHandling::SendIfNew => new,
            RetainHandling::Never => false,
        };
        if wants_retained {
            self.session.enqueue_snapshot(&gate.stats, |push| {
                gate.retained_matching(filter.filter, &mut |message| {
                    push(Delivery {
                        message: Arc::clone(message),
                        qos: message.qos.min(granted),
                        retain: true,
                        identifier,
                        snapshot: true,
                        share: None,
                    });
                });
            });
        }
        match granted {
            Qos::AtMostOnce => ReasonCode::Success,
            _ => ReasonCode::GrantedQos1,
        }
    }

    /// `name` is what the client wrote, `filter` what it means: the access rules know nothing of groups.
    fn refuse_filter(&self, name: &str, filter: &Filter<'_>) -> Option<ReasonCode> {
        if self.denies(Action::Subscribe, filter.filter) {
            self.gate.stats.denied_subscriptions.add(1);
            return Some(ReasonCode::NotAuthorized);
        }
        let at_limit = self.subscriptions.len() >= self.gate.settings.max_subscriptions;
        (at_limit && !self.subscriptions.contains_key(name)).then_some(ReasonCode::QuotaExceeded)
    }

    fn unsubscribe(&mut self, unsubscribe: &Unsubscribe<'_>, out: &mut Vec<u8>) {
        let mut reasons = Vec::with_capacity(unsubscribe.filters.len());
        for filter in unsubscribe.filters.iter() {
            let reason = match self.subscriptions.remove(filter) {
                Some(membership) => {
                    let gate = &self.gate;
                    gate.subscriptions
                        .unsubscribe(&gate.router, &membership, self.session.number);
                    gate.stats.subscriptions.subtract(1);
                    ReasonCode::Success
                }
                None => ReasonCode::NoSubscriptionExisted,
            };
            reasons.push(reason);
        }
        encode::unsuback(out, self.session.version, unsubscribe.packet_id, &reasons);
    }

    /// The will goes the way of a publish; nobody waits for an acknowledgement of it.
    pub(super) fn publish_will(&self, will: Message) {
        if self.denies(Action::Publish, &will.topic) {
            self.gate.stats.denied.add(1);
            return;
        }
        if (self.gate.is_telemetry)(&will.topic) {
            let mut batch = RecordBatch::new();
            batch.push(&Record {
                received_at: now_micros(),
                qos: will.qos as u8,
                packet_id: None,
                content_type: "",
                client_id: &self.session.client_id,
                user: &self.session.identity.user,
                topic: &will.topic,
                payload: &will.payload,
            });
            match self.gate.journal.append(&mut batch, Waker::noop()) {
                Ok(_) => self.gate.stats.journalled.add(1),
                Err(_) => self.gate.stats.dropped_journal_full.add(1),
            }
        }
        self.gate.publish_own(will);
    }
}

/// The topic of a publish, after its alias was learned or looked up. Section 3.3.2.3.4.
fn resolve_alias<'a>(
    aliases: &'a mut Vec<Option<Box<str>>>,
    publish: &Publish<'a>,
    alias_max: u16,
) -> Result<&'a str, End> {
    let Some(alias) = publish.properties.topic_alias else {
        return Ok(publish.topic);
    };
    if alias > alias_max {
        return Err(End::Refused(ReasonCode::TopicAliasInvalid));
    }
    let index = usize::from(alias) - 1;
    if !publish.topic.is_empty() {
        if aliases.len() <= index {
            aliases.resize(index + 1, None);
        }
        aliases[index] = Some(publish.topic.into());
        return Ok(publish.topic);
    }
    match aliases.get(index) {
        Some(Some(topic)) => Ok(topic),
        _ => Err(End::Refused(ReasonCode::ProtocolError)),
    }
}
