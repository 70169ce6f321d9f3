//! One MQTT 3.1.1 connection that listens: to one filter, at QoS 1, without a session.
//!
//! Owns: the handshake, acknowledgements, keep-alive. Never: comes back by itself; who listens
//! decides that. Invariant: a message is acknowledged when it has been handed over.
//!
//! rumqttc's own event loop would do, but its TLS needs the crate's features, which bring an old
//! second webpki; here the socket is the one that publishing connections have.

use std::io;
use std::pin::pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::{Error, QoS, v4};
use tokio::io::Interest;
use tokio::time::Instant;

use super::broker::{Broker, MqttVersion};
use super::error::ConnectError;
use super::packet;
use super::stream::Stream;

/// How long the server may take to accept the connection.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that says nothing is asked so often, and given up when it has not answered by the next
/// time.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// What the server is told; it waits half as long again.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Largest message that is accepted: far beyond any alert.
const MESSAGE_MAX_BYTES: usize = 1024 * 1024;
/// There is one subscription, and nothing else that would take an id.
const SUBSCRIBE_ID: u16 = 1;

/// A connection that was accepted, and has asked for its subscription.
pub struct Subscriber {
    stream: Stream,
    incoming: BytesMut,
    /// Bytes that wait for the socket.
    out: BytesMut,
    ping_at: Instant,
    ping_is_due: bool,
}

/// What a server says to a subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The subscription stands.
    Granted,
    Message {
        topic: String,
        payload: Bytes,
        retained: bool,
    },
}

impl Subscriber {
    /// Connects and asks for the filter; of `broker` the version, the session and the keep-alive do
    /// not matter.
    ///
    /// # Errors
    ///
    /// When there is no connection, or the server refuses it.
    pub async fn open(
        broker: &Broker,
        client_id: &str,
        filter: &str,
    ) -> Result<Subscriber, ConnectError> {
        let opening = Subscriber::shake_hands(broker, client_id, filter);
        match tokio::time::timeout(OPEN_TIMEOUT, Box::pin(opening)).await {
            Ok(opened) => opened,
            Err(_) => Err(ConnectError::Timeout(OPEN_TIMEOUT)),
        }
    }

    async fn shake_hands(
        broker: &Broker,
        client_id: &str,
        filter: &str,
    ) -> Result<Subscriber, ConnectError> {
        let broker = Broker {
            version: MqttVersion::V3,
            keep_alive: KEEP_ALIVE,
            clean: true,
            ..broker.clone()
        };
        let mut connect = Vec::new();
        packet::write_connect(&mut connect, &broker, client_id);
        let mut subscriber = Subscriber {
            stream: Stream::open(&broker).await?,
            incoming: BytesMut::new(),
            out: BytesMut::from(connect.as_slice()),
            ping_at: Instant::now() + PING_INTERVAL,
            ping_is_due: false,
        };
        loop {
            if broker.tls.is_none() && subscriber.incoming.starts_with(&packet::TLS_ALERT) {
                return Err(ConnectError::Encrypted);
            }
            match subscriber.packet()? {
                Some(v4::Packet::ConnAck(ack)) => {
                    accept(ack.code)?;
                    break;
                }
                Some(other) => {
                    let problem = format!("{other:?} instead of CONNACK");
                    return Err(ConnectError::Protocol(problem));
                }
                None => subscriber.exchange().await?,
            }
        }
        let mut subscribe = v4::Subscribe::new(filter, QoS::AtLeastOnce);
        subscribe.pkid = SUBSCRIBE_ID;
        let written = subscribe.write(&mut subscriber.out);
        written.map_err(|error| ConnectError::Protocol(error.to_string()))?;
        Ok(subscriber)
    }

    /// What comes next; nothing is lost when this is not waited for to its end.
    ///
    /// # Errors
    ///
    /// When the connection is lost, or the subscription is refused.
    pub async fn next(&mut self) -> Result<News, ConnectError> {
        loop {
            match self.packet()? {
                Some(v4::Packet::Publish(publish)) => {
                    if publish.qos == QoS::AtLeastOnce {
                        let [high, low] = publish.pkid.to_be_bytes();
                        self.out.extend_from_slice(&[0x40, 2, high, low]);
                    }
                    return Ok(News::Message {
                        topic: publish.topic,
                        payload: publish.payload,
                        retained: publish.retain,
                    });
                }
                Some(v4::Packet::SubAck(ack)) => {
                    return if ack.return_codes.contains(&v4::SubscribeReasonCode::Failure) {
                        Err(ConnectError::Subscription)
                    } else {
                        Ok(News::Granted)
                    };
                }
                Some(v4::Packet::PingResp) => self.ping_is_due = false,
                Some(_) => {}
                None => self.exchange().await?,
            }
        }
    }

    fn packet(&mut self) -> Result<Option<v4::Packet>, ConnectError> {
        match v4::Packet::read(&mut self.incoming, MESSAGE_MAX_BYTES) {
            Ok(packet) => Ok(Some(packet)),
            Err(Error::InsufficientBytes(_)) => Ok(None),
            Err(error) => Err(ConnectError::Protocol(error.to_string())),
        }
    }

    /// Sends what waits, and receives something or lets time pass.
    async fn exchange(&mut self) -> Result<(), ConnectError> {
        let is_blocked = !self.send()?;
        let interest = if is_blocked {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        match self.stream.try_read(&mut self.incoming) {
            Ok(0) => return Err(ConnectError::Closed),
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        let ping_at = self.ping_at;
        let ready = pin!(self.stream.ready(interest));
        tokio::select! {
            ready = ready => {
                ready?;
            }
            () = tokio::time::sleep_until(ping_at) => {
                if self.ping_is_due {
                    return Err(ConnectError::Timeout(PING_INTERVAL));
                }
                self.ping_is_due = true;
                self.ping_at = Instant::now() + PING_INTERVAL;
                self.out.extend_from_slice(&[0xc0, 0]);
            }
        }
        Ok(())
    }

    /// Gives the socket what it takes; whether that was all.
    fn send(&mut self) -> io::Result<bool> {
        while !self.out.is_empty() {
            match self.stream.try_write(&self.out) {
                Ok(count) => drop(self.out.split_to(count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.stream.try_flush()
    }
}

fn accept(code: v4::ConnectReturnCode) -> Result<(), ConnectError> {
    match code {
        v4::ConnectReturnCode::Success => Ok(()),
        v4::ConnectReturnCode::ServiceUnavailable => Err(ConnectError::Unavailable),
        code => Err(ConnectError::Refused(packet::words(&code))),
    }
}

#[cfg(test)]
mod tests;
