//! A client of one socket that sends exactly the bytes it is told to.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mqtt::client::{self, ServerPacket};
use mqtt::{Frame, Qos, RetainHandling, Subscription, Version, encode, frame};

/// Far more than anything here takes; a test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Over a bare socket, or over what a client puts on top of one.
#[derive(Debug)]
pub(crate) struct Line<S = TcpStream> {
    pub(crate) stream: S,
    version: Version,
    buffer: Vec<u8>,
}

impl Line {
    pub(crate) fn open(address: SocketAddr, version: Version) -> Line {
        let stream = TcpStream::connect(address).expect("the listener accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        // A test that asks after each packet would otherwise wait for the other side's delayed
        // acknowledgements.
        stream.set_nodelay(true).expect("an option");
        Line::over(stream, version)
    }

    /// Connects with a clean start and no keep-alive.
    pub(crate) fn connect(address: SocketAddr, version: Version, client_id: &str) -> Line {
        let mut line = Line::open(address, version);
        line.send_connect(&client::Connect::new(version, client_id));
        assert_eq!(line.next(), "connack 0");
        line
    }
}

impl<S: Read + Write> Line<S> {
    pub(crate) fn over(stream: S, version: Version) -> Line<S> {
        Line {
            stream,
            version,
            buffer: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("sent");
        self.stream.flush().expect("sent");
    }

    pub(crate) fn send_connect(&mut self, connect: &client::Connect<'_>) {
        let mut bytes = Vec::new();
        client::connect(&mut bytes, connect);
        self.send(&bytes);
    }

    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8], packet_id: u16, retain: bool) {
        let qos = if packet_id == 0 {
            Qos::AtMostOnce
        } else {
            Qos::AtLeastOnce
        };
        self.publish_at(qos, topic, payload, packet_id, retain);
    }

    pub(crate) fn publish_at(
        &mut self,
        qos: Qos,
        topic: &str,
        payload: &[u8],
        packet_id: u16,
        retain: bool,
    ) {
        let mut bytes = Vec::new();
        let publish = encode::Publish {
            qos,
            retain,
            topic,
            packet_id,
            payload,
            ..Default::default()
        };
        encode::publish(&mut bytes, self.version, &publish);
        self.send(&bytes);
    }

    /// Subscribes at QoS 1 and waits for SUBACK.
    pub(crate) fn subscribe(&mut self, filter: &str) {
        self.ask(filter);
        assert_eq!(self.next(), "suback [1]");
    }

    /// Asks to subscribe at QoS 1.
    pub(crate) fn ask(&mut self, filter: &str) {
        self.ask_at(filter, Qos::AtLeastOnce);
    }

    pub(crate) fn ask_at(&mut self, filter: &str, qos: Qos) {
        let mut bytes = Vec::new();
        let subscription = Subscription {
            qos,
            ..at_qos_1(filter)
        };
        client::subscribe(&mut bytes, self.version, 7, None, &[subscription]);
        self.send(&bytes);
    }

    pub(crate) fn disconnect(&mut self) {
        let mut bytes = Vec::new();
        client::disconnect(&mut bytes, self.version, mqtt::ReasonCode::Success, None);
        self.send(&bytes);
    }

    /// The next packet in short, or `closed`.
    pub(crate) fn next(&mut self) -> String {
        self.receive(describe).unwrap_or_else(|| "closed".into())
    }

    /// What is to be said of the next packet; `None`: the connection is closed.
    pub(crate) fn receive<T>(&mut self, say: impl FnOnce(&ServerPacket<'_>) -> T) -> Option<T> {
        let started = Instant::now();
        loop {
            if let Frame::Complete {
                first_byte,
                body,
                length,
            } = frame(&self.buffer, usize::MAX).expect("well formed")
            {
                let packet = client::decode(self.version, first_byte, &self.buffer[body]);
                let said = say(&packet.expect("well formed"));
                self.buffer.drain(..length);
                return Some(said);
            }
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came in {:?}: {error}", started.elapsed()),
            }
        }
    }

    /// Proves that the client is served: what it asks now is answered next.
    pub(crate) fn is_served(&mut self) {
        let mut bytes = Vec::new();
        client::pingreq(&mut bytes);
        self.send(&bytes);
        assert_eq!(self.next(), "pingresp");
    }
}

/// A subscription without any option.
pub(crate) fn at_qos_1(filter: &str) -> Subscription<'_> {
    Subscription {
        filter,
        qos: Qos::AtLeastOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    }
}

fn describe(packet: &ServerPacket<'_>) -> String {
    match packet {
        ServerPacket::ConnAck(ack) if ack.session_present => "connack 0 present".into(),
        ServerPacket::ConnAck(ack) => format!("connack {:x}", ack.code),
        ServerPacket::PubRec(ack) => format!("pubrec {}", ack.packet_id),
        ServerPacket::PubRel(ack) => format!("pubrel {}", ack.packet_id),
        ServerPacket::PubComp(ack) => format!("pubcomp {}", ack.packet_id),
        ServerPacket::PubAck(ack) => match ack.reason.code() {
            0 => format!("puback {}", ack.packet_id),
            reason => format!("puback {} reason {reason:x}", ack.packet_id),
        },
        ServerPacket::SubAck(reasons) => format!("suback {:x?}", reasons.codes),
        ServerPacket::UnsubAck(_) => "unsuback".into(),
        ServerPacket::PingResp => "pingresp".into(),
        ServerPacket::Disconnect(disconnect) => {
            format!("disconnect {:x}", disconnect.reason.code())
        }
        ServerPacket::Publish(publish) => {
            let payload = match publish.payload.len() {
                0..=400 => String::from_utf8_lossy(publish.payload).into_owned(),
                length => format!("{length} bytes"),
            };
            let retained = if publish.retain { " retained" } else { "" };
            let again = if publish.dup { " again" } else { "" };
            format!("{} = {payload}{retained}{again}", publish.topic)
        }
    }
}
