//! A client that publishes numbers and forgets none until its exchange is over.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mqtt::client::ServerPacket;
use mqtt::{Qos, ReasonCode, encode};

use super::wire::{VERSION, Wire};

/// Publishes that are not acknowledged yet, at most.
const IN_FLIGHT_MAX: usize = 20;

pub(super) const AT_LEAST_ONCE: &str = "jobs/at-least-once";
pub(super) const EXACTLY_ONCE: &str = "jobs/exactly-once";

/// Numbers take turns: telemetry at QoS 2, then the two topics of jobs.
pub(super) const TURNS: u64 = 3;

/// What other threads see and say.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) done: AtomicU64,
    pub(super) enough: AtomicBool,
}

struct Exchange {
    packet_id: u16,
    number: u64,
    /// PUBREC has come.
    received: bool,
}

pub(super) struct Publisher<'t> {
    address: SocketAddr,
    progress: &'t Progress,
    open: VecDeque<Exchange>,
    /// How many numbers were begun.
    begun: u64,
    last_packet_id: u16,
}

impl Publisher<'_> {
    pub(super) fn new(address: SocketAddr, progress: &Progress) -> Publisher<'_> {
        Publisher {
            address,
            progress,
            open: VecDeque::new(),
            begun: 0,
            last_packet_id: 0,
        }
    }

    /// Publishes until it is told that it is enough and all are acknowledged; how many there were.
    pub(super) fn run(mut self) -> u64 {
        let mut known = false;
        loop {
            let (wire, present) = Wire::connect(self.address, "publisher");
            assert!(present || !known, "the session is gone");
            known = true;
            if self.converse(wire).is_ok() {
                return self.begun;
            }
        }
    }

    fn converse(&mut self, mut wire: Wire) -> io::Result<()> {
        for exchange in &self.open {
            if exchange.received {
                release(&mut wire, exchange.packet_id)
            } else {
                send(&mut wire, exchange, true)
            }
        }
        loop {
            let enough = self.progress.enough.load(Ordering::Relaxed);
            while !enough && self.open.len() < IN_FLIGHT_MAX {
                self.begin(&mut wire);
            }
            wire.flush()?;
            if self.open.is_empty() {
                return Ok(());
            }
            let (packet_id, over) = wire.receive(|packet| match packet {
                ServerPacket::PubAck(ack) => (ack.packet_id, true),
                ServerPacket::PubComp(ack) => (ack.packet_id, true),
                ServerPacket::PubRec(ack) => (ack.packet_id, false),
                _ => panic!("nothing else is sent to a publisher"),
            })?;
            self.answer(&mut wire, packet_id, over);
        }
    }

    fn begin(&mut self, wire: &mut Wire) {
        loop {
            self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
            let packet_id = self.last_packet_id;
            if !self.open.iter().any(|open| open.packet_id == packet_id) {
                break;
            }
        }
        let exchange = Exchange {
            packet_id: self.last_packet_id,
            number: self.begun,
            received: false,
        };
        self.begun += 1;
        send(wire, &exchange, false);
        self.open.push_back(exchange);
    }

    fn answer(&mut self, wire: &mut Wire, packet_id: u16, over: bool) {
        let known = self
            .open
            .iter()
            .position(|open| open.packet_id == packet_id);
        if !over {
            if let Some(at) = known {
                self.open[at].received = true;
            }
            release(wire, packet_id);
        } else if let Some(at) = known {
            self.open.remove(at);
            self.progress.done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn send(wire: &mut Wire, exchange: &Exchange, dup: bool) {
    let number = exchange.number;
    let id = exchange.packet_id;
    match number % TURNS {
        0 => {
            // Without a time of its own, so that ingest could not tell a second record from a new
            // reading.
            let topic = format!("devices/d{}/telemetry", number % 7);
            let payload = format!("{{\"n\":{number}}}");
            wire.publish(Qos::ExactlyOnce, &topic, &payload, id, dup);
        }
        1 => wire.publish(
            Qos::AtLeastOnce,
            AT_LEAST_ONCE,
            &number.to_string(),
            id,
            dup,
        ),
        _ => wire.publish(Qos::ExactlyOnce, EXACTLY_ONCE, &number.to_string(), id, dup),
    }
}

fn release(wire: &mut Wire, packet_id: u16) {
    encode::pubrel(wire.out(), VERSION, packet_id, ReasonCode::Success);
}
