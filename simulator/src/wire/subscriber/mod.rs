//! One MQTT 3.1.1 connection that listens: to one filter, at QoS 1, without a session.
//!
//! Owns: the subscription, acknowledgements, keep-alive. Never: connects again by itself; the
//! caller decides that. Invariant: a message is acknowledged when it has been handed over.
//!
//! rumqttc's own event loop would do, but its TLS needs the crate's features, which bring an old
//! second webpki; here the socket is the one that publishing connections have.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::{Error, QoS, v4};
use tokio::time::Instant;

use super::broker::{Broker, MqttVersion};
use super::error::ConnectError;
use super::handshake;
use super::packet::write_ping;
use super::stream::Stream;

/// How long the server may take to accept the connection.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// A server is pinged after this long, and given up when it has not answered by the next time.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// The keep-alive in CONNECT; the server waits half as long again.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Largest message that is accepted: far beyond any alert.
const MESSAGE_MAX_BYTES: usize = 1024 * 1024;
/// There is one subscription, and nothing else that would take an id.
const SUBSCRIBE_ID: u16 = 1;

/// A connection that was accepted, and has asked for its subscription.
pub struct Subscriber {
    stream: Stream,
    incoming: BytesMut,
    /// Bytes to be sent, from `sent` on.
    out: Vec<u8>,
    sent: usize,
    ping_at: Instant,
    ping_is_due: bool,
}

/// What a server says to a subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The subscription is granted.
    Granted,
    Message {
        topic: String,
        payload: Bytes,
        retained: bool,
    },
}

impl Subscriber {
    /// Connects and asks for the filter. Version, session and keep-alive of `broker` do not matter.
    ///
    /// # Errors
    ///
    /// When there is no connection, or the server refuses it.
    pub async fn open(
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
        let opened = handshake::open(&broker, client_id, OPEN_TIMEOUT).await?;
        let mut subscribe = v4::Subscribe::new(filter, QoS::AtLeastOnce);
        subscribe.pkid = SUBSCRIBE_ID;
        let mut out = BytesMut::new();
        let written = subscribe.write(&mut out);
        written.map_err(|error| ConnectError::Protocol(error.to_string()))?;
        Ok(Subscriber {
            stream: opened.stream,
            incoming: opened.incoming,
            out: out.into(),
            sent: 0,
            ping_at: Instant::now() + PING_INTERVAL,
            ping_is_due: false,
        })
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
        let ping_at = self.ping_at;
        tokio::select! {
            received = poll_fn(|context| self.poll_exchange(context)) => return received,
            () = tokio::time::sleep_until(ping_at) => {}
        }
        if self.ping_is_due {
            return Err(ConnectError::Timeout(PING_INTERVAL));
        }
        self.ping_is_due = true;
        self.ping_at = Instant::now() + PING_INTERVAL;
        write_ping(&mut self.out);
        Ok(())
    }

    fn poll_exchange(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        // A server that takes nothing now may still have something to say.
        if self
            .stream
            .poll_send(context, &self.out, &mut self.sent)?
            .is_ready()
        {
            self.out.clear();
            self.sent = 0;
        }
        self.stream.poll_receive(context, &mut self.incoming)
    }
}

#[cfg(test)]
mod tests;
