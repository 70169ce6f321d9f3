//! A connection that may break at any moment, and says so instead of failing.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mqtt::client::{self, ServerPacket};
use mqtt::{Qos, Version, encode};
use testkit::mqtt::{Client, at_qos_1};
use testkit::{PATIENCE, wait_until};

pub(super) const VERSION: Version = Version::V311;

#[derive(Debug)]
pub(super) struct Wire {
    client: Client,
    out: Vec<u8>,
}

impl Wire {
    /// Connects without clean session, as soon as the server lets it; whether the session was
    /// there.
    pub(super) fn connect(address: SocketAddr, client_id: &str) -> (Wire, bool) {
        let connect = || Wire::try_connect(address, client_id).ok();
        wait_until("a connection", PATIENCE, connect, Option::is_some).expect("waited for")
    }

    fn try_connect(address: SocketAddr, client_id: &str) -> io::Result<(Wire, bool)> {
        let mut wire = Wire {
            client: Client::try_open(address, VERSION)?,
            out: Vec::new(),
        };
        let connect = client::Connect {
            clean_start: false,
            ..client::Connect::new(VERSION, client_id)
        };
        client::connect(&mut wire.out, &connect);
        wire.flush()?;
        let present = wire.receive(|packet| match packet {
            ServerPacket::ConnAck(ack) => {
                assert_eq!(ack.code, 0, "let in");
                ack.session_present
            }
            _ => panic!("not a CONNACK"),
        })?;
        Ok((wire, present))
    }

    /// Subscribes at the filter's QoS and waits for SUBACK.
    pub(super) fn subscribe(&mut self, filters: &[(&str, Qos)]) -> io::Result<()> {
        let subscriptions: Vec<_> = filters
            .iter()
            .map(|(filter, qos)| {
                let mut subscription = at_qos_1(filter);
                subscription.qos = *qos;
                subscription
            })
            .collect();
        client::subscribe(&mut self.out, VERSION, 1, None, &subscriptions);
        self.flush()?;
        self.receive(|packet| {
            let granted = matches!(packet, ServerPacket::SubAck(_));
            assert!(granted, "a SUBACK comes first");
        })
    }

    /// Packets appended to it are sent by `flush`.
    pub(super) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    pub(super) fn publish(&mut self, qos: Qos, topic: &str, payload: &str, id: u16, dup: bool) {
        let publish = encode::Publish {
            dup,
            qos,
            topic,
            packet_id: id,
            payload: payload.as_bytes(),
            ..Default::default()
        };
        encode::publish(&mut self.out, VERSION, &publish);
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.client.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// What is to be said of the next packet; an error when the connection ends before it.
    pub(super) fn receive<T>(&mut self, say: impl FnOnce(&ServerPacket<'_>) -> T) -> io::Result<T> {
        self.client.try_receive(say)
    }

    pub(super) fn disconnect(mut self) {
        client::disconnect(&mut self.out, VERSION, mqtt::ReasonCode::Success, None);
        self.flush().expect("the server is there");
        // Its end of the connection: the server has read all of it.
        let end = self.client.stream.read(&mut [0; 16]).expect("an end");
        assert_eq!(end, 0);
    }
}
