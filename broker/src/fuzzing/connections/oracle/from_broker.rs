//! What the broker says, and whether it may.
//!
//! Owns: the rules that each packet is held against. Never: asks the gate.

use super::line::{Answer, Connected, Kind, Published, Stage};
use super::messages::{Key, SessionName};
use super::session::{self, InFlight, Session, Subscription};
use super::{Oracle, is_forbidden, is_named, is_telemetry};
use crate::fuzzing::connections::words::{is_hidden, may_be_withheld};
use mqtt::client::{Reasons, ServerPacket};
use mqtt::topic::{self, Filter};
use mqtt::{Ack, Publish, Qos, Version};

impl Oracle {
    pub(super) fn broker_says(&mut self, line: usize, packet: &ServerPacket<'_>) {
        let stage = std::mem::take(&mut self.lines[line].stage);
        let Stage::Connected(mut connected) = stage else {
            unreachable!("only who is connected is told something");
        };
        self.judge(line, &mut connected, packet);
        self.lines[line].stage = Stage::Connected(connected);
    }

    fn judge(&mut self, line: usize, connected: &mut Connected, packet: &ServerPacket<'_>) {
        let step = self.step;
        assert!(
            !connected.is_dismissed,
            "step {step}, line {line}: behind disconnect comes {packet:?}"
        );
        match packet {
            ServerPacket::ConnAck(_) => panic!("step {step}, line {line}: a second connack"),
            ServerPacket::Publish(publish) => self.delivers(line, connected, publish),
            ServerPacket::PubAck(ack) => self.answers(line, connected, Kind::Puback, ack),
            ServerPacket::PubRec(ack) => self.answers(line, connected, Kind::Pubrec, ack),
            ServerPacket::PubComp(ack) => self.answers(line, connected, Kind::Pubcomp, ack),
            ServerPacket::PubRel(ack) => self.releases(line, connected, ack),
            ServerPacket::SubAck(reasons) => self.grants(line, connected, reasons),
            ServerPacket::UnsubAck(reasons) => self.unsubscribes(line, connected, reasons),
            ServerPacket::PingResp => {
                assert!(connected.pings > 0, "step {step}: a pingresp for nothing");
                connected.pings -= 1;
            }
            ServerPacket::Disconnect(_) => {
                let version = connected.asked.version;
                assert_eq!(version, Version::V5, "3.1.1 has no word for it");
                connected.is_dismissed = true;
            }
        }
    }

    /// PUBACK, PUBREC and PUBCOMP come in the order of what they answer.
    fn answers(&mut self, line: usize, connected: &mut Connected, kind: Kind, ack: &Ack<'_>) {
        let step = self.step;
        let expected = connected.answers.pop_front();
        let fits = |answer: &Answer| answer.kind == kind && answer.packet_id == ack.packet_id;
        let Some(answer) = expected.filter(fits) else {
            panic!(
                "step {step}, line {line}: {kind:?} {} answers nothing",
                ack.packet_id
            );
        };
        let client_id = &connected.asked.client_id;
        let is_current = self.is_current(line, client_id, connected.session);
        let session = self.sessions.get_mut(client_id).filter(|_| is_current);
        if let Some(session) = session {
            answered(session, &answer, ack);
        }
        if let Some(publish) = answer.publish
            && !ack.reason.is_error()
        {
            self.promises(connected, &publish);
        }
    }

    /// A publish was acknowledged: the broker has taken it upon itself.
    fn promises(&mut self, connected: &Connected, publish: &Published) {
        let step = self.step;
        let client_id = &connected.asked.client_id;
        let (topic, _) = &publish.key;
        assert!(
            !is_forbidden(&connected.asked.user, topic),
            "step {step}: `{client_id}` may not publish to `{topic}`, and is told that it did"
        );
        let by_name = Some(&**client_id).filter(|client_id| is_named(client_id));
        if is_telemetry(topic) && !publish.may_be_again {
            let (durable, _) = self.journalled(by_name, &publish.key);
            assert!(
                durable > 0,
                "step {step}: `{client_id}` is told that {:?} of step {} is safe, and it is not",
                publish.key,
                publish.step
            );
        }
        if publish.may_be_again {
            return;
        }
        let message = self.messages.get_mut(&publish.key);
        let message = message.expect("what is acknowledged was read");
        for (name, session) in &self.sessions {
            let is_there = session.line.is_some() || session.must_be_kept(self.clock);
            if is_there && !session.is_sloppy && wants(session, topic, publish.step) {
                message.owe((name.clone(), session.number));
            }
        }
    }

    fn delivers(&mut self, line: usize, connected: &mut Connected, publish: &Publish<'_>) {
        let step = self.step;
        let client_id = connected.asked.client_id.clone();
        let key: Key = (publish.topic.to_owned(), publish.payload.to_vec());
        let is_ours = publish.topic.starts_with('$');
        assert!(
            !is_hidden(publish.topic),
            "step {step}, line {line}: withheld by rules, and delivered: {publish:?}"
        );
        let mut since = 0;
        if !is_ours {
            let Some(message) = self.messages.get(&key) else {
                panic!("step {step}, line {line}: nobody published {publish:?}");
            };
            assert!(
                message.is_permitted,
                "step {step}, line {line}: denied, and delivered: {publish:?}"
            );
            assert!(
                publish.qos <= message.qos_max,
                "step {step}, line {line}: published at a lower qos: {publish:?}"
            );
            since = message.first_step;
        }
        let name = (client_id.clone(), connected.session);
        let is_current = self.is_current(line, &client_id, connected.session);
        let Some(session) = self.sessions.get_mut(&client_id) else {
            panic!("step {step}, line {line}: a delivery without a session");
        };
        if session.number == connected.session {
            let matching: Vec<_> = session.matching(publish.topic, since).cloned().collect();
            check_subscription(connected.asked.version, publish, &matching, step);
            if !is_ours && !publish.retain && !publish.dup {
                let is_exactly_once = publish.qos == Qos::ExactlyOnce;
                self.count_copy(&key, &name, &matching, is_exactly_once);
            }
        }
        if let Some(message) = self.messages.get_mut(&key) {
            message.deliver(&name);
        }
        if let Some(session) = self.sessions.get_mut(&client_id)
            && is_current
            && !session.is_sloppy
        {
            in_flight(session, connected, publish, key, step);
        }
    }

    /// No more copies than were published, for each subscription.
    fn count_copy(
        &mut self,
        key: &Key,
        name: &SessionName,
        matching: &[Subscription],
        is_exactly_once: bool,
    ) {
        let Some(message) = self.messages.get_mut(key) else {
            return;
        };
        let copies = message.copy(name);
        // A message of a group goes from member to member, and one that the journal refused is sent
        // again by its client.
        let may_return =
            matching.iter().any(Subscription::is_shared) || (self.refuses && is_telemetry(&key.0));
        let most = message.sent * matching.len();
        assert!(
            may_return || copies <= most,
            "step {}: `{}` gets `{}` for the {copies}th time, and {most} would be right",
            self.step,
            name.0,
            key.0
        );
        if is_exactly_once {
            // Whatever crashed in between; but for a session of which the log lacks something.
            let copies = message.copy_once(name);
            let asked = matching.iter().filter(|held| held.qos == Qos::ExactlyOnce);
            let most = message.exchanges * asked.count();
            let may_return = matching.iter().any(Subscription::is_shared) || self.is_unsaved;
            assert!(
                may_return || copies <= most,
                "step {}: `{}` gets `{}` at qos 2 for the {copies}th time, and {most} would be right",
                self.step,
                name.0,
                key.0
            );
        }
        let is_own = message.is_only_from(&name.0);
        assert!(
            !(is_own && matching.iter().all(|held| held.no_local)),
            "step {}: `{}` gets its own `{}`",
            self.step,
            name.0,
            key.0
        );
    }

    /// PUBREL, as an answer to PUBREC, or again on a new connection.
    fn releases(&mut self, line: usize, connected: &mut Connected, ack: &Ack<'_>) {
        let step = self.step;
        let packet_id = ack.packet_id;
        let is_answer = connected
            .answers
            .pop_front_if(|answer| answer.kind == Kind::Pubrel && answer.packet_id == packet_id)
            .is_some();
        let is_current = self.is_current(line, &connected.asked.client_id, connected.session);
        let session = self.sessions.get_mut(&connected.asked.client_id);
        let Some(session) = session.filter(|session| is_current && !session.is_sloppy) else {
            return;
        };
        match session.in_flight.get_mut(&packet_id) {
            Some(entry) if entry.stage != session::Stage::Published => {
                entry.stage = session::Stage::Released;
            }
            // The client answered what is over, and is told so.
            found => assert!(
                is_answer && found.is_none(),
                "step {step}, line {line}: pubrel {packet_id} is not due"
            ),
        }
    }

    fn grants(&mut self, line: usize, connected: &mut Connected, reasons: &Reasons<'_>) {
        let step = self.step;
        let Some((packet_id, requests)) = connected.subacks.pop_front() else {
            panic!("step {step}, line {line}: a suback for nothing");
        };
        assert_eq!(packet_id, reasons.packet_id, "step {step}");
        assert_eq!(requests.len(), reasons.codes.len(), "[MQTT-3.8.4-6]");
        let (subscriptions_max, rules_step) = (self.limits.subscriptions, self.rules_step);
        let is_current = self.is_current(line, &connected.asked.client_id, connected.session);
        let session = self.sessions.get_mut(&connected.asked.client_id);
        let mut session = session.filter(|_| is_current);
        for (request, &code) in requests.into_iter().zip(reasons.codes) {
            if code >= 0x80 {
                continue;
            }
            let name = &request.name;
            let Ok(filter) = Filter::parse(name) else {
                panic!("step {step}: `{name}` is no filter, and granted");
            };
            assert!(
                !is_hidden(filter.filter),
                "step {step}: `{name}` is granted"
            );
            assert!(
                code <= request.qos as u8,
                "step {step}: more than asked for"
            );
            let Some(session) = session.as_deref_mut() else {
                continue;
            };
            session.subscribe(Subscription {
                qos: Qos::from_u8(code).expect("0, 1 or 2"),
                no_local: request.no_local,
                identifier: request.identifier,
                from: request.step,
                until: None,
                // Rules that came before the answer left may have ended it.
                is_certain: request.step > rules_step,
                name: request.name,
            });
            let held = session.subscriptions.iter();
            let held = held.filter(|held| held.until.is_none() && held.is_certain);
            assert!(held.count() <= subscriptions_max, "step {step}");
        }
    }

    fn unsubscribes(&mut self, line: usize, connected: &mut Connected, reasons: &Reasons<'_>) {
        let step = self.step;
        let Some((packet_id, names)) = connected.unsubacks.pop_front() else {
            panic!("step {step}, line {line}: an unsuback for nothing");
        };
        assert_eq!(packet_id, reasons.packet_id, "step {step}");
        if connected.asked.version == Version::V5 {
            assert_eq!(names.len(), reasons.codes.len(), "[MQTT-3.11.3-1]");
        }
        let is_current = self.is_current(line, &connected.asked.client_id, connected.session);
        let session = self.sessions.get_mut(&connected.asked.client_id);
        let Some(session) = session.filter(|_| is_current) else {
            return;
        };
        for (index, name) in names.iter().enumerate() {
            let held = session.end_subscription(name, step);
            if let Some(&code) = reasons.codes.get(index) {
                assert!(code == 0 || !held, "step {step}: `{name}` is not found");
            }
        }
    }
}

/// What an answer says of what the client has begun.
fn answered(session: &mut Session, answer: &Answer, ack: &Ack<'_>) {
    let packet_id = ack.packet_id;
    match answer.kind {
        Kind::Pubrec if ack.reason.is_error() => drop(session.begun.remove(&packet_id)),
        Kind::Pubrec => {
            if let Some(begun) = session.begun.get_mut(&packet_id)
                && let Some(publish) = &answer.publish
                && publish.key == begun.key
            {
                begun.is_received = true;
            }
        }
        Kind::Pubcomp => drop(session.releasing.remove(&packet_id)),
        Kind::Puback | Kind::Pubrel => {}
    }
}

/// Whether the session must get what is published to the topic at that step, at QoS 1 or 2.
fn wants(session: &Session, topic: &str, step: u32) -> bool {
    session.subscriptions.iter().any(|held| {
        held.is_certain
            && held.until.is_none()
            && held.from < step
            && held.qos != Qos::AtMostOnce
            && !held.no_local
            && !held.is_shared()
            && topic::matches(held.filter(), topic)
            && !(topic::is_wildcard(held.filter()) && may_be_withheld(topic))
    })
}

fn check_subscription(
    version: Version,
    publish: &Publish<'_>,
    matching: &[Subscription],
    step: u32,
) {
    let identifiers: Vec<u32> = publish.properties.subscription_ids().collect();
    let identifier = identifiers.first().copied();
    assert!(identifiers.len() <= 1, "a copy is of one subscription");
    assert!(
        matching.iter().any(|held| publish.qos <= held.qos
            && (version == Version::V311 || held.identifier == identifier)),
        "step {step}: no subscription asks for {publish:?}, not even {matching:?}"
    );
}

/// What is sent at QoS 1 and 2 and how it lies to what was sent before.
fn in_flight(
    session: &mut Session,
    connected: &mut Connected,
    publish: &Publish<'_>,
    key: Key,
    step: u32,
) {
    let Some(packet_id) = publish.packet_id else {
        assert!(!publish.dup, "[MQTT-3.3.1-2]");
        return;
    };
    assert!(
        connected.sent.insert(packet_id),
        "step {step}: packet id {packet_id} is in use"
    );
    let most = usize::from(connected.asked.receive_maximum);
    assert!(
        connected.sent.len() <= most,
        "step {step}: {} in flight for a client that takes {most}",
        connected.sent.len()
    );
    let entry = InFlight {
        qos: publish.qos,
        key,
        stage: session::Stage::Published,
    };
    if let Some(before) = session.in_flight.get(&packet_id) {
        assert!(
            publish.dup,
            "step {step}: packet id {packet_id} is sent again as if new"
        );
        assert!(
            before.key == entry.key && before.qos == entry.qos,
            "step {step}: packet id {packet_id} is another message now"
        );
        assert_ne!(
            before.stage,
            session::Stage::Released,
            "step {step}: packet id {packet_id} is released, and sent again"
        );
    }
    session.in_flight.insert(packet_id, entry);
}
