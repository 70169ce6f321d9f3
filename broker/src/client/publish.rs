//! What comes of a PUBLISH: whether it may be, its record for the journal, its copies for
//! subscribers, its acknowledgement.
//!
//! Owns: what is known of a topic for the length of one read. Never: waits. Invariant: no copy
//! leaves for a publish that the rules deny, and the acknowledgement of one waits for all that must
//! survive of it.

use std::sync::Arc;
use std::task::Waker;

use journal::{Position, Record};

use super::acks::{AckKind, UNPLACED, UNTOLD, Wait};
use super::ingress::Intake;
use super::{Client, End};
use crate::exchange::Origin;
use crate::gate::Untaken;
use crate::limits::RefusalKind;
use crate::message::Message;
use crate::session::{Held, Hold};
use crate::subscriptions::Targets;
use access::Action;
use access::rules::{DeniedPublish, is_bridge_state};
use mqtt::{Publish, Qos, ReasonCode};

/// What is known of a topic that the client may publish to: clients send many messages to one
/// topic, and what holds for all of them is asked once in each read.
#[derive(Default)]
pub(super) struct Route<'i> {
    /// `None`: nothing is known for the next publish.
    topic: Option<&'i str>,
    /// The rules that let the client publish there.
    rules: u64,
    is_telemetry: bool,
    targets: Option<Targets>,
    /// Whether it was told that nobody takes what is published there.
    is_told: bool,
}

impl Client {
    pub(super) fn publish<'i>(
        &mut self,
        publish: &Publish<'i>,
        intake: &mut Intake<'_, 'i>,
    ) -> Result<(), End> {
        intake.received += 1;
        if publish.qos != Qos::AtMostOnce {
            self.unfinished = self.unfinished.saturating_add(1);
            // [MQTT-3.3.4-7]; 3.1.1 has no word about it, and such a client is not read further
            // instead.
            let too_many = self.speaks_v5() && self.unfinished > self.gate.settings.receive_maximum;
            if too_many && !self.counts_already(publish) {
                return Err(End::Refused(ReasonCode::ReceiveMaximumExceeded));
            }
        }
        let Some(alias) = publish.properties.topic_alias else {
            return self.publish_to(publish.topic, publish, intake);
        };
        // Taken out for the time of this call, since the topic may be borrowed from it.
        let mut aliases = std::mem::take(&mut self.aliases);
        let alias_max = self.gate.settings.topic_alias_maximum;
        let result = resolve_alias(&mut aliases, alias, publish.topic, alias_max)
            .and_then(|topic| self.publish_to(topic, publish, intake));
        self.aliases = aliases;
        result
    }

    fn publish_to<'i>(
        &mut self,
        topic: &str,
        publish: &Publish<'i>,
        intake: &mut Intake<'_, 'i>,
    ) -> Result<(), End> {
        if let Err(reason) = self.admit(topic, publish, intake) {
            self.note_refusal(RefusalKind::Publish, "topic", topic, reason);
            return self.refuse_publish(publish, reason);
        }
        if let Some(packet_id) = publish
            .packet_id
            .filter(|_| publish.qos == Qos::ExactlyOnce)
        {
            self.publish_once(packet_id, topic, publish, intake);
            return Ok(());
        }
        let is_telemetry = intake.route.is_telemetry;
        if let Some(packet_id) = publish.packet_id {
            let wait = Wait::for_journal(place_of_record(is_telemetry));
            self.answer(AckKind::Puback, packet_id, ReasonCode::Success, wait);
        }
        if is_telemetry {
            self.journal(topic, publish, intake);
        }
        self.distribute(topic, publish, Origin::default(), intake);
        Ok(())
    }

    /// A publish at QoS 2: what of it was done before a reconnect or a crash is not done again.
    fn publish_once(
        &mut self,
        packet_id: u16,
        topic: &str,
        publish: &Publish<'_>,
        intake: &mut Intake<'_, '_>,
    ) {
        let is_telemetry = intake.route.is_telemetry;
        let (mut begun, journals, origin) = match self.session.hold(packet_id) {
            Hold::New(begun, origin) => (begun, is_telemetry, Some(origin)),
            Hold::Journalled(begun, origin) => (begun, false, Some(origin)),
            Hold::Distributed(begun) => (begun, is_telemetry, None),
            Hold::Again(held) => {
                if held.counted {
                    self.unfinished -= 1;
                }
                return self.publish_again(held, intake.waker);
            }
        };
        let wait = Wait {
            position: place_of_record(journals),
            // PUBREC waits until the log knows of the publish too.
            saved: UNTOLD,
        };
        self.answer(AckKind::Pubrec, packet_id, ReasonCode::Success, wait);
        if journals {
            self.journal(topic, publish, intake);
        }
        match origin {
            Some(origin) => self.distribute(topic, publish, origin, intake),
            // The retained message may have been lost with the record.
            None if publish.retain => {
                let message = self.message(topic, publish, Origin::default(), intake.received_at);
                self.gate.retain(&message);
            }
            None => {}
        }
        begun.journals = journals;
        self.begun.push(begun);
    }

    /// Its record goes to the journal with the others of this read.
    fn journal(&self, topic: &str, publish: &Publish<'_>, intake: &mut Intake<'_, '_>) {
        // A start must be able to tell a publish that is sent again from a new one.
        let exactly_once_here = publish.qos == Qos::ExactlyOnce && self.session.is_logged();
        intake.batch.push(&Record {
            received_at: intake.received_at,
            qos: publish.qos as u8,
            packet_id: publish.packet_id.filter(|_| exactly_once_here),
            content_type: publish.properties.content_type.unwrap_or_default(),
            client_id: &self.session.client_id,
            user: &self.terms.identity.user,
            topic,
            payload: publish.payload,
        });
    }

    /// Hands a publish to whoever subscribes to its topic, and retains it if it asks for it.
    fn distribute(
        &mut self,
        topic: &str,
        publish: &Publish<'_>,
        origin: Origin,
        intake: &mut Intake<'_, '_>,
    ) {
        let retained = publish.retain.then(|| {
            let message = self.message(topic, publish, origin.clone(), intake.received_at);
            self.gate.retain(&message);
            message
        });
        // After it is retained: a client that subscribes meanwhile finds the message in the store
        // or is found here.
        let subscriptions = &self.gate.subscriptions;
        let targets = match &mut intake.route.targets {
            Some(targets) if subscriptions.is_current(targets) => targets,
            targets => targets.insert(subscriptions.targets(topic)),
        };
        if targets.is_empty() {
            if !intake.route.is_telemetry {
                self.untaken(topic, publish, &mut intake.route);
            }
            return;
        }
        let message =
            retained.unwrap_or_else(|| self.message(topic, publish, origin, intake.received_at));
        self.gate.fan_out(targets, &message);
        if publish.qos == Qos::AtLeastOnce {
            self.await_queues();
        }
    }

    /// Nobody subscribes, and it is no telemetry. Unless it is retained it is gone, and the
    /// publisher is told where its MQTT has a word for it.
    fn untaken(&mut self, topic: &str, publish: &Publish<'_>, route: &mut Route<'_>) {
        if !publish.retain {
            self.gate.stats.unmatched.add(1);
            if publish.packet_id.is_some() {
                self.acks.remark_last(ReasonCode::NoMatchingSubscribers);
            }
        }
        // Once in each read: a client sends many messages to one topic.
        if !std::mem::replace(&mut route.is_told, true)
            && let Some(tell) = &self.gate.on_untaken
        {
            tell(&Untaken {
                topic,
                payload: publish.payload,
                is_retained: publish.retain,
                client_id: &self.session.client_id,
                user: &self.terms.identity.user,
            });
        }
    }

    fn message(
        &self,
        topic: &str,
        publish: &Publish<'_>,
        origin: Origin,
        received_at: i64,
    ) -> Arc<Message> {
        Arc::new(Message {
            topic: topic.into(),
            payload: bytes::Bytes::copy_from_slice(publish.payload),
            qos: publish.qos,
            retain: publish.retain,
            properties: publish.properties.raw_forwardable().to_bytes(),
            expiry_seconds: publish.properties.message_expiry,
            publisher: self.session.number,
            received_at,
            origin,
            holders: Default::default(),
        })
    }

    /// The publish at QoS 1 that was acknowledged last may have entered queues of kept sessions:
    /// the acknowledgement waits until they are saved.
    fn await_queues(&mut self) {
        if let Some(log) = self.gate.log_of_queues() {
            let saved = log.end();
            self.acks
                .change_last(|wait| wait.saved = wait.saved.max(saved));
        }
    }

    /// A QoS 2 publish that was received before: it is answered, and nothing else happens.
    fn publish_again(&mut self, held: Held, waker: &Waker) {
        let packet_id = held.packet_id;
        let (position, saved) = if held.is_begun {
            let mut begun = self.begun.iter();
            let journals = begun.any(|begun| begun.packet_id == packet_id && begun.journals);
            (place_of_record(journals), UNTOLD)
        } else {
            (held.journalled, held.saved)
        };
        let wait = Wait { position, saved };
        self.answer(AckKind::Pubrec, packet_id, ReasonCode::Success, wait);
        if position != UNPLACED && position > self.gate.journal.durable() {
            // The waker that was given with its record may be that of an earlier connection.
            self.gate.journal.wake_when_durable(position, waker);
        }
    }

    /// Whether it is a QoS 2 publish that came before on this connection: one exchange, however
    /// often the publish is sent.
    fn counts_already(&self, publish: &Publish<'_>) -> bool {
        let packet_id = publish.packet_id;
        publish.qos == Qos::ExactlyOnce && packet_id.is_some_and(|id| self.session.counts(id))
    }

    /// Sees whether the client may publish this. Afterwards the route is that of its topic.
    fn admit<'i>(
        &self,
        topic: &str,
        publish: &Publish<'i>,
        intake: &mut Intake<'_, 'i>,
    ) -> Result<(), ReasonCode> {
        let rules = self.gate.access.generation();
        let route = &intake.route;
        if route.topic != Some(topic) || route.rules != rules {
            intake.route = Route::default();
            if self.denies(Action::Publish, topic) {
                self.gate.stats.denied.add(1);
                return Err(ReasonCode::NotAuthorized);
            }
            if self.gate.settings.topics.check_bounds(topic).is_err() {
                self.gate.stats.refused_by_limit.add(1);
                return Err(ReasonCode::TopicNameInvalid);
            }
            intake.route = Route {
                // Empty: the topic is that of an alias, and does not live as long as the input.
                topic: (!publish.topic.is_empty()).then_some(publish.topic),
                rules,
                is_telemetry: (self.gate.is_telemetry)(topic),
                targets: None,
                is_told: false,
            };
        }
        if publish.payload.len() > self.gate.settings.max_payload_bytes {
            self.gate.stats.refused_by_limit.add(1);
            return Err(ReasonCode::QuotaExceeded);
        }
        Ok(())
    }

    /// 3.1.1 has no way to refuse a publish but to close the connection, or to acknowledge it as if
    /// it were kept: [MQTT-3.3.5-2] of 3.1.1. The latter only if that is configured, and only for
    /// what rules deny. A bridge is told so in any case: it would come back with the same message,
    /// and nothing else would ever pass.
    fn refuse_publish(&mut self, publish: &Publish<'_>, reason: ReasonCode) -> Result<(), End> {
        let is_of_a_bridge = self.terms.is_bridge || is_bridge_state(publish.topic);
        match publish.packet_id {
            _ if !self.speaks_v5() && !is_of_a_bridge && !self.drops(reason) => {
                return Err(End::Refused(reason));
            }
            Some(packet_id) => {
                let kind = ack_kind(publish.qos);
                self.answer(kind, packet_id, reason, Wait::default());
            }
            None => {}
        }
        Ok(())
    }

    /// Whether a publish of a client that cannot be told is dropped for this reason.
    fn drops(&self, reason: ReasonCode) -> bool {
        let denied_publish = self.gate.settings.acl.denied_publish_v3;
        let drops =
            reason == ReasonCode::NotAuthorized && denied_publish == DeniedPublish::Acknowledge;
        if drops {
            self.gate.stats.dropped_denied.add(1);
        }
        drops
    }
}

/// Where the journal is to be durable for a publish whose record goes there with this read.
fn place_of_record(journals: bool) -> Position {
    if journals { UNPLACED } else { Position::ZERO }
}

/// How a publish of that QoS, which is not 0, is answered.
fn ack_kind(qos: Qos) -> AckKind {
    match qos {
        Qos::ExactlyOnce => AckKind::Pubrec,
        _ => AckKind::Puback,
    }
}

/// The topic that the alias of a publish stands for, after it was learned or looked up; `topic` is
/// empty where the client relies on the alias. Section 3.3.2.3.4.
fn resolve_alias<'a>(
    aliases: &'a mut Vec<Option<Box<str>>>,
    alias: u16,
    topic: &'a str,
    alias_max: u16,
) -> Result<&'a str, End> {
    if alias > alias_max {
        return Err(End::Refused(ReasonCode::TopicAliasInvalid));
    }
    let index = usize::from(alias) - 1;
    if !topic.is_empty() {
        if aliases.len() <= index {
            aliases.resize(index + 1, None);
        }
        aliases[index] = Some(topic.into());
        return Ok(topic);
    }
    match aliases.get(index) {
        Some(Some(topic)) => Ok(topic),
        _ => Err(End::Refused(ReasonCode::ProtocolError)),
    }
}
