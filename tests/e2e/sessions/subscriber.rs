//! A client with a session, which notes what it gets.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;

use mqtt::client::ServerPacket;
use mqtt::{Qos, ReasonCode, encode};

use super::publisher::{AT_LEAST_ONCE, EXACTLY_ONCE};
use super::wire::{VERSION, Wire};

pub(super) struct Subscriber {
    name: &'static str,
    subscriptions: &'static [(&'static str, Qos)],
    pub(super) at_least_once: Vec<u64>,
    pub(super) exactly_once: Vec<u64>,
    /// QoS 2 ids that were received and are not released.
    held: HashSet<u16>,
    known: bool,
}

/// What came.
enum Came {
    Message { qos: Qos, id: u16, number: u64 },
    Release(u16),
}

impl Default for Subscriber {
    /// One with the topics of jobs.
    fn default() -> Subscriber {
        let subscriptions = &[
            (AT_LEAST_ONCE, Qos::AtLeastOnce),
            (EXACTLY_ONCE, Qos::ExactlyOnce),
        ];
        Subscriber::new("subscriber", subscriptions)
    }
}

impl Subscriber {
    pub(super) fn new(
        name: &'static str,
        subscriptions: &'static [(&'static str, Qos)],
    ) -> Subscriber {
        Subscriber {
            name,
            subscriptions,
            at_least_once: Vec::new(),
            exactly_once: Vec::new(),
            held: HashSet::new(),
            known: false,
        }
    }

    /// Connects again and again until `enough`.
    pub(super) fn run(&mut self, address: SocketAddr, enough: impl Fn(&Subscriber) -> bool) {
        while !enough(self) {
            // A lost connection: the next one goes on.
            let _ = self.converse(address, &enough);
        }
    }

    /// One connection, which is left in order.
    pub(super) fn visit(&mut self, address: SocketAddr, enough: impl Fn(&Subscriber) -> bool) {
        let wire = self.converse(address, &enough);
        wire.expect("the server is there").disconnect();
    }

    fn converse(
        &mut self,
        address: SocketAddr,
        enough: &impl Fn(&Subscriber) -> bool,
    ) -> io::Result<Wire> {
        let (mut wire, present) = Wire::connect(address, self.name);
        assert!(present || !self.known, "the session is gone");
        if !self.known {
            wire.subscribe(self.subscriptions)?;
            self.known = true;
        }
        while !enough(self) || !self.held.is_empty() {
            match wire.receive(came)? {
                Came::Message { qos, id, number } => self.take(&mut wire, qos, id, number),
                Came::Release(id) => {
                    self.held.remove(&id);
                    encode::pubcomp(wire.out(), VERSION, id, ReasonCode::Success);
                }
            }
            wire.flush()?;
        }
        Ok(wire)
    }

    fn take(&mut self, wire: &mut Wire, qos: Qos, id: u16, number: u64) {
        if qos == Qos::AtLeastOnce {
            self.at_least_once.push(number);
            encode::puback(wire.out(), VERSION, id, ReasonCode::Success);
            return;
        }
        if self.held.insert(id) {
            self.exactly_once.push(number);
        }
        encode::pubrec(wire.out(), VERSION, id, ReasonCode::Success);
    }
}

fn came(packet: &ServerPacket<'_>) -> Came {
    match packet {
        ServerPacket::Publish(publish) => {
            let text = std::str::from_utf8(publish.payload).expect("a number");
            // Telemetry has it as JSON.
            let text = text.trim_start_matches("{\"n\":").trim_end_matches('}');
            Came::Message {
                qos: publish.qos,
                id: publish.packet_id.unwrap_or(0),
                number: text.parse().expect("a number"),
            }
        }
        ServerPacket::PubRel(ack) => Came::Release(ack.packet_id),
        _ => panic!("nothing else is sent to a subscriber"),
    }
}
