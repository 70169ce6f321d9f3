//! A client that sends exactly the bytes it is told to, and tells what comes in short words.
//!
//! Owns: one connection, and the bytes that were read and not asked for yet. Never: answers or
//! sends anything on its own. Invariant: a packet comes out whole, however the stream cut it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use mqtt::client::{self, ServerPacket};
use mqtt::{Frame, Qos, RetainHandling, Subscription, Version, encode, frame};

use crate::PATIENCE;

/// Over a bare socket, or over what a client puts on top of one.
#[derive(Debug)]
pub struct Client<S = TcpStream> {
    pub stream: S,
    version: Version,
    buffer: Vec<u8>,
}

impl Client {
    /// A bare connection; no CONNECT yet.
    pub fn open(address: SocketAddr, version: Version) -> Client {
        Client::try_open(address, version).expect("the listener accepts")
    }

    pub fn try_open(address: SocketAddr, version: Version) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // A test that asks after each packet would otherwise wait for the other side's delayed
        // acknowledgements.
        stream.set_nodelay(true)?;
        Ok(Client::over(stream, version))
    }

    /// Connects with a clean start and no keep-alive.
    pub fn connect(address: SocketAddr, version: Version, client_id: &str) -> Client {
        let mut client = Client::open(address, version);
        client.send_connect(&client::Connect::new(version, client_id));
        assert_eq!(client.next(), "connack 0");
        client
    }
}

impl<S: Read + Write> Client<S> {
    pub fn over(stream: S, version: Version) -> Client<S> {
        Client {
            stream,
            version,
            buffer: Vec::new(),
        }
    }

    /// Writes the bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("sent");
        self.stream.flush().expect("sent");
    }

    pub fn send_connect(&mut self, connect: &client::Connect<'_>) {
        let mut bytes = Vec::new();
        client::connect(&mut bytes, connect);
        self.send(&bytes);
    }

    pub fn publish(&mut self, topic: &str, payload: &[u8], packet_id: u16, retain: bool) {
        let qos = if packet_id == 0 {
            Qos::AtMostOnce
        } else {
            Qos::AtLeastOnce
        };
        self.publish_at(qos, topic, payload, packet_id, retain);
    }

    pub fn publish_at(
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
    pub fn subscribe(&mut self, filter: &str) {
        self.ask(filter);
        assert_eq!(self.next(), "suback [1]");
    }

    /// Asks to subscribe at QoS 1.
    pub fn ask(&mut self, filter: &str) {
        self.ask_at(filter, Qos::AtLeastOnce);
    }

    pub fn ask_at(&mut self, filter: &str, qos: Qos) {
        let mut bytes = Vec::new();
        let subscription = Subscription {
            qos,
            ..at_qos_1(filter)
        };
        client::subscribe(&mut bytes, self.version, 7, None, &[subscription]);
        self.send(&bytes);
    }

    pub fn disconnect(&mut self) {
        let mut bytes = Vec::new();
        client::disconnect(&mut bytes, self.version, mqtt::ReasonCode::Success, None);
        self.send(&bytes);
    }

    /// The next packet in short, or `closed`.
    #[expect(
        clippy::should_implement_trait,
        reason = "it waits, and never comes to an end"
    )]
    pub fn next(&mut self) -> String {
        self.receive(describe).unwrap_or_else(|| "closed".into())
    }

    /// What `say` makes of the next packet; `None` when the connection is closed.
    pub fn receive<T>(&mut self, say: impl FnOnce(&ServerPacket<'_>) -> T) -> Option<T> {
        match self.try_receive(say) {
            Ok(said) => Some(said),
            Err(error) => {
                let is_end = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
                assert!(is_end.contains(&error.kind()), "{error}");
                None
            }
        }
    }

    /// The same, with the error that ended the connection.
    ///
    /// # Panics
    ///
    /// When nothing comes at all.
    pub fn try_receive<T>(&mut self, say: impl FnOnce(&ServerPacket<'_>) -> T) -> io::Result<T> {
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
                return Ok(said);
            }
            let mut chunk = [0; 16 * 1024];
            let read = self.stream.read(&mut chunk).inspect_err(|error| {
                let is_silent = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
                assert!(
                    !is_silent.contains(&error.kind()),
                    "nothing came for {PATIENCE:?}"
                );
            })?;
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.buffer.extend_from_slice(&chunk[..read]);
        }
    }

    /// Proves that the client is served: what it asks now is answered next.
    pub fn is_served(&mut self) {
        let mut bytes = Vec::new();
        client::pingreq(&mut bytes);
        self.send(&bytes);
        assert_eq!(self.next(), "pingresp");
    }
}

/// A subscription without any option.
pub fn at_qos_1(filter: &str) -> Subscription<'_> {
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
