//! What a client says, and what follows from it.
//!
//! Owns: what is expected after each packet. Never: expects what the broker is free not to do.

use super::line::{Answer, Connected, Kind, Published, Request, Stage};
use super::messages::{Key, Sent};
use super::session::{self, Begun, Session};
use super::{Oracle, is_forbidden, is_telemetry};
use mqtt::{Packet, Publish, Qos};

impl Oracle {
    pub(super) fn client_says(&mut self, line: usize, first_byte: u8, body: &[u8]) {
        let stage = std::mem::take(&mut self.lines[line].stage);
        let Stage::Connected(mut connected) = stage else {
            unreachable!("only a client that is connected is heard");
        };
        if !connected.is_deaf {
            match Packet::decode(connected.asked.version, first_byte, body) {
                Ok(packet) => self.understand(line, &mut connected, &packet),
                Err(_) => connected.is_deaf = true,
            }
        }
        self.lines[line].stage = Stage::Connected(connected);
    }

    fn understand(&mut self, line: usize, connected: &mut Connected, packet: &Packet<'_>) {
        let client_id = connected.asked.client_id.clone();
        let is_current = self.is_current(line, &client_id, connected.session);
        let step = self.step;
        match packet {
            Packet::Publish(publish) => self.publishes(is_current, connected, publish),
            Packet::PubRel(ack) => {
                connected.owes(Kind::Pubcomp, ack.packet_id);
                if let Some(session) = self.session(is_current, &client_id) {
                    session.begun.remove(&ack.packet_id);
                    session.releasing.insert(ack.packet_id);
                }
            }
            Packet::PubRec(ack) if !ack.reason.is_error() => {
                connected.owes(Kind::Pubrel, ack.packet_id);
            }
            Packet::Subscribe(subscribe) => {
                let requests = subscribe.subscriptions.iter().map(|asked| Request {
                    name: asked.filter.to_owned(),
                    qos: asked.qos,
                    no_local: asked.no_local,
                    identifier: subscribe.subscription_id,
                    step,
                });
                let requests = requests.collect();
                connected.subacks.push_back((subscribe.packet_id, requests));
            }
            Packet::Unsubscribe(unsubscribe) => {
                let names = unsubscribe.filters.iter().map(str::to_owned).collect();
                connected
                    .unsubacks
                    .push_back((unsubscribe.packet_id, names));
            }
            Packet::PingReq => connected.pings += 1,
            Packet::Disconnect(disconnect) => {
                connected.is_deaf = true;
                let longest = self.limits.session_expiry_seconds;
                if let Some(session) = self.session(is_current, &client_id)
                    && let Some(seconds) = disconnect.session_expiry
                    && (seconds == 0 || session.expiry_max > 0)
                {
                    let granted = seconds.min(longest);
                    session.expiry_min = session.expiry_min.min(granted);
                    session.expiry_max = session.expiry_max.max(granted);
                }
            }
            Packet::Auth(_) => connected.is_deaf = true,
            Packet::PubAck(_) | Packet::PubRec(_) | Packet::PubComp(_) => {}
        }
        if let Some(session) = self.session(is_current, &client_id) {
            acknowledge(session, connected, packet);
        }
    }

    fn session(&mut self, is_current: bool, client_id: &str) -> Option<&mut Session> {
        self.sessions.get_mut(client_id).filter(|_| is_current)
    }

    fn publishes(&mut self, is_current: bool, connected: &mut Connected, publish: &Publish<'_>) {
        let Some(topic) = topic_of(connected, publish, self.limits.topic_alias_max) else {
            connected.is_deaf = true;
            return;
        };
        let client_id = connected.asked.client_id.clone();
        let key: Key = (topic, publish.payload.to_vec());
        let mut exchange = Exchanged {
            is_new: true,
            is_again: false,
            may_be_again: false,
            step: self.step,
        };
        let step = self.step;
        let may_be_refused = self.is_full && is_telemetry(&key.0);
        if let Some(session) = self.session(is_current, &client_id)
            && let Some(packet_id) = publish.packet_id
            && publish.qos == Qos::ExactlyOnce
        {
            let retain = publish.retain;
            exchange = exchanged(session, packet_id, &key, retain, step, may_be_refused);
        }
        let sent = Sent {
            publisher: &client_id,
            step,
            qos: publish.qos,
            retain: publish.retain,
            is_permitted: !is_forbidden(&connected.asked.user, &key.0),
            is_new: exchange.is_new,
            is_exchange: !exchange.is_again,
        };
        self.messages.sent(key.clone(), &sent);
        if let Some(packet_id) = publish.packet_id {
            connected.answers.push_back(Answer {
                kind: match publish.qos {
                    Qos::ExactlyOnce => Kind::Pubrec,
                    _ => Kind::Puback,
                },
                packet_id,
                publish: Some(Published {
                    key,
                    step: exchange.step,
                    may_be_again: exchange.may_be_again,
                }),
            });
        }
    }
}

/// What a QoS 2 publish is.
struct Exchanged {
    /// Not certainly received before.
    is_new: bool,
    /// Certainly sent before.
    is_again: bool,
    /// It may be taken for another one, and then nobody gets it.
    may_be_again: bool,
    /// When it was sent first.
    step: u32,
}

/// Enters a QoS 2 publish.
fn exchanged(
    session: &mut Session,
    packet_id: u16,
    key: &Key,
    retain: bool,
    step: u32,
    may_be_refused: bool,
) -> Exchanged {
    let is_certain = !session.releasing.contains(&packet_id) && !may_be_refused;
    let known = session.begun.get(&packet_id).cloned();
    let is_new = known.as_ref().is_none_or(|known| !known.is_received);
    let begun = match known {
        Some(known) if known.key == *key => known,
        Some(known) => Begun {
            is_certain: false,
            key: key.clone(),
            retain,
            ..known
        },
        None => Begun {
            key: key.clone(),
            retain,
            step,
            is_received: false,
            is_certain,
        },
    };
    let exchanged = Exchanged {
        is_new,
        is_again: begun.is_certain && begun.step < step,
        may_be_again: !begun.is_certain || session.is_sloppy,
        step: begun.step,
    };
    session.begun.insert(packet_id, begun);
    exchanged
}

/// The topic, once its alias is resolved; `None`: the broker ends the connection for it.
fn topic_of(connected: &mut Connected, publish: &Publish<'_>, alias_max: u16) -> Option<String> {
    let Some(alias) = publish.properties.topic_alias else {
        return Some(publish.topic.to_owned());
    };
    if alias > alias_max {
        return None;
    }
    if publish.topic.is_empty() {
        return connected.aliases.get(&alias).cloned();
    }
    connected.aliases.insert(alias, publish.topic.to_owned());
    Some(publish.topic.to_owned())
}

/// What an acknowledgement does to what is in flight.
fn acknowledge(session: &mut Session, connected: &mut Connected, packet: &Packet<'_>) {
    let (packet_id, is_over) = match packet {
        Packet::PubAck(ack) => (ack.packet_id, true),
        Packet::PubRec(ack) => (ack.packet_id, ack.reason.is_error()),
        Packet::PubComp(ack) => (ack.packet_id, true),
        _ => return,
    };
    let Some(entry) = session.in_flight.get_mut(&packet_id) else {
        // It may be in flight all the same, and not have left yet.
        session.is_sloppy = true;
        return;
    };
    match packet {
        // Of the other QoS: the broker ends the connection.
        Packet::PubAck(_) if entry.qos == Qos::ExactlyOnce => connected.is_deaf = true,
        Packet::PubRec(_) if !is_over && entry.qos != Qos::ExactlyOnce => connected.is_deaf = true,
        Packet::PubRec(_) if !is_over => {
            if entry.stage == session::Stage::Published {
                entry.stage = session::Stage::Received;
            }
        }
        Packet::PubComp(_) if entry.stage == session::Stage::Published => {}
        _ => {
            session.in_flight.remove(&packet_id);
            connected.sent.remove(&packet_id);
        }
    }
}
