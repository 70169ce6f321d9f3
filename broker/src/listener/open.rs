//! From an accepted socket to a stream of MQTT bytes: PROXY header, TLS, WebSocket, in this order.
//!
//! Owns: the order, and the one deadline that all of it shares with CONNECT. Never: runs anywhere but in the connection's task.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::Settings;
use crate::connection;
use crate::gate::Gate;
use crate::limits::Place;
use crate::peer::Peer;
use crate::proxy_protocol::{self, ProxyError};
use crate::tls::TlsStream;
use crate::websocket::{self, UpgradeError, WebSocket};

/// Serves one accepted socket to its end.
pub(super) async fn serve(
    gate: Arc<Gate>,
    stream: TcpStream,
    address: SocketAddr,
    listener: Arc<Settings>,
) {
    let deadline = Instant::now() + gate.settings.connect_timeout;
    if listener.tls.is_none() && !listener.kind.is_websocket() && !listener.proxy_protocol {
        // The common case stays in the task itself. Idle connections are many: each allocation counts.
        drop(listener);
        if let Some(_place) = enter(&gate, address) {
            connection::serve(gate, stream, Peer::at(address), deadline).await;
        }
        return;
    }
    // Boxed: it needs more room than what follows, which lasts longer.
    let opening = Box::pin(open(&gate, &listener, stream, address));
    let opened = tokio::select! {
        opened = timeout_at(deadline, opening) => opened.unwrap_or(Err(OpenError::Late)),
        () = gate.stop.cancelled() => return,
    };
    drop(listener);
    let (opened, peer, _place) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            gate.stats.connections_refused.add(1);
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            debug!(peer = %address, %error, cause, "connection refused");
            return;
        }
    };
    opened.serve(gate, peer, deadline).await;
}

#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("no complete handshake in time")]
    Late,
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    #[error("the address has all the connections that it may have")]
    Crowded,
    #[error("no WebSocket")]
    WebSocket(#[from] UpgradeError),
}

/// A stream of MQTT bytes, whatever lies below.
enum Opened {
    Tcp(TcpStream),
    Tls(TlsStream),
    WebSocket(WebSocket<TcpStream>),
    SecureWebSocket(WebSocket<TlsStream>),
}

async fn open(
    gate: &Gate,
    listener: &Settings,
    mut stream: TcpStream,
    address: SocketAddr,
) -> Result<(Opened, Peer, Place), OpenError> {
    let mut peer = Peer::at(address);
    if listener.proxy_protocol
        && let Some(told) = proxy_protocol::read(&mut stream).await?
    {
        peer.address = told;
    }
    // Before a handshake that costs something, and by the client's own address.
    let place = gate.addresses.enter(peer.address.ip());
    let place = place.ok_or(OpenError::Crowded)?;
    let opened = match &listener.tls {
        None if listener.kind.is_websocket() => {
            Opened::WebSocket(websocket::accept(stream, listener).await?)
        }
        None => Opened::Tcp(stream),
        Some(tls) => {
            let (stream, certificate) = tls.accept(stream).await.map_err(OpenError::Tls)?;
            peer.certificate = certificate;
            match listener.kind.is_websocket() {
                true => Opened::SecureWebSocket(websocket::accept(stream, listener).await?),
                false => Opened::Tls(stream),
            }
        }
    };
    Ok((opened, peer, place))
}

fn enter(gate: &Gate, address: SocketAddr) -> Option<Place> {
    let place = gate.addresses.enter(address.ip());
    if place.is_none() {
        gate.stats.connections_refused.add(1);
        debug!(peer = %address, "refused: `broker.max_connections_per_address` is reached");
    }
    place
}

impl Opened {
    /// Each kind in a box of its own size, so that the task is as small as its own connection allows.
    fn serve(
        self,
        gate: Arc<Gate>,
        peer: Peer,
        deadline: Instant,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        match self {
            Opened::Tcp(stream) => Box::pin(connection::serve(gate, stream, peer, deadline)),
            Opened::Tls(stream) => Box::pin(connection::serve(gate, stream, peer, deadline)),
            Opened::WebSocket(stream) => Box::pin(connection::serve(gate, stream, peer, deadline)),
            Opened::SecureWebSocket(stream) => {
                Box::pin(connection::serve(gate, stream, peer, deadline))
            }
        }
    }
}
