//! Opening a connection: socket, TLS, CONNECT and CONNACK.
//!
//! Owns: what is sent and expected before the first packet of either kind of connection. Never:
//! tries again; the caller decides that. Invariant: a connection that is returned was accepted.

use std::future::poll_fn;
use std::time::Duration;

use bytes::BytesMut;

use super::broker::Broker;
use super::error::ConnectError;
use super::packet::{self, Accepted, Incoming};
use super::stream::Stream;

/// How a TLS server complains about a CONNECT: a record that holds an alert, of TLS 1.0 or later.
const TLS_ALERT: [u8; 2] = [0x15, 0x03];

/// A connection that the server has accepted.
pub(crate) struct Opened {
    pub(crate) stream: Stream,
    pub(crate) accepted: Accepted,
    /// Bytes that came together with CONNACK.
    pub(crate) incoming: BytesMut,
}

/// Connects within `limit`.
pub(crate) async fn open(
    broker: &Broker,
    client_id: &str,
    limit: Duration,
) -> Result<Opened, ConnectError> {
    tokio::time::timeout(limit, Box::pin(shake_hands(broker, client_id)))
        .await
        .unwrap_or(Err(ConnectError::Timeout(limit)))
}

async fn shake_hands(broker: &Broker, client_id: &str) -> Result<Opened, ConnectError> {
    let mut stream = Stream::open(broker).await?;
    let (mut connect, mut sent) = (Vec::new(), 0);
    packet::write_connect(&mut connect, broker, client_id);
    poll_fn(|context| stream.poll_send(context, &connect, &mut sent)).await?;
    let mut incoming = BytesMut::new();
    loop {
        poll_fn(|context| stream.poll_receive(context, &mut incoming)).await?;
        if broker.tls.is_none() && incoming.starts_with(&TLS_ALERT) {
            return Err(ConnectError::Encrypted);
        }
        match packet::read(&mut incoming, broker.version)? {
            Some(Incoming::Accepted(accepted)) => {
                return Ok(Opened {
                    stream,
                    accepted,
                    incoming,
                });
            }
            Some(Incoming::Unavailable) => return Err(ConnectError::Unavailable),
            Some(Incoming::Refused(reason)) => return Err(ConnectError::Refused(reason)),
            Some(other) => {
                let problem = format!("{other:?} instead of CONNACK");
                return Err(ConnectError::Protocol(problem));
            }
            None => {}
        }
    }
}
