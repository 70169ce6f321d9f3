//! From an accepted socket to a stream of MQTT bytes: PROXY header, TLS, WebSocket, in this order.
//!
//! Owns: the order, and the one deadline that all of it shares with CONNECT. Never: runs anywhere
//! but in the connection's task.

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
use crate::limits::{Place, RefusalKind, Who};
use crate::proxy_protocol::{self, ProxyError};
use crate::tls::TlsStream;
use crate::websocket::{self, UpgradeError, WebSocket};
use access::Peer;
use access::error_chain;

/// One connection, from here to its end.
type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Serves one accepted socket to its end. A future of its own for each kind, so that none is larger
/// than it needs.
pub(super) fn serve(
    gate: Arc<Gate>,
    stream: TcpStream,
    address: SocketAddr,
    listener: Arc<Settings>,
) -> Serving {
    let deadline = Instant::now() + gate.settings.connect_timeout;
    if listener.tls.is_some() || listener.kind.is_websocket() || listener.proxy_protocol {
        return Box::pin(serve_opened(gate, stream, address, listener, deadline));
    }
    let Some(place) = enter(&gate, address) else {
        return Box::pin(std::future::ready(()));
    };
    let serving = connection::serve(gate, stream, Peer::at(address), deadline);
    Box::pin(async move {
        let _place = place;
        serving.await;
    })
}

async fn serve_opened(
    gate: Arc<Gate>,
    stream: TcpStream,
    address: SocketAddr,
    listener: Arc<Settings>,
    deadline: Instant,
) {
    // Each stage in a box that is freed before the next: what lasts is what `Opened::serve`
    // returns.
    let opening = Box::pin(open_in_time(gate, stream, address, listener, deadline));
    let opened = opening.await;
    if let Some((serving, _place)) = opened {
        serving.await;
    }
}

async fn open_in_time(
    gate: Arc<Gate>,
    stream: TcpStream,
    address: SocketAddr,
    listener: Arc<Settings>,
    deadline: Instant,
) -> Option<(Serving, Place)> {
    let mut peer = Peer::at(address);
    let opened = tokio::select! {
        opened = timeout_at(deadline, open(&gate, &listener, stream, &mut peer)) => {
            opened.unwrap_or(Err(OpenError::Late))
        }
        () = gate.stop.cancelled() => return None,
    };
    match opened {
        Ok((opened, place)) => Some((opened.serve(gate, peer, deadline), place)),
        Err(error) => {
            gate.stats.connections_refused.add(1);
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            note(&gate, peer.address, &error);
            debug!(%peer, %error, cause, "connection refused");
            None
        }
    }
}

/// Tells the log, in a while, of what does not just end: checks of a balancer connect and go.
fn note(gate: &Gate, address: SocketAddr, error: &OpenError) {
    let kind = match error {
        OpenError::Tls(error) if error.kind() == io::ErrorKind::InvalidData => RefusalKind::Tls,
        OpenError::WebSocket(error) if !error.is_end() => RefusalKind::WebSocket,
        OpenError::Proxy(error) if !error.is_end() => RefusalKind::Proxy,
        _ => return,
    };
    let what = || error_chain(error);
    gate.refusals.note(kind, &Who::at(address), what);
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
    peer: &mut Peer,
) -> Result<(Opened, Place), OpenError> {
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
            let (stream, shown) = tls.accept(stream).await.map_err(OpenError::Tls)?;
            peer.certificate = shown.name;
            peer.revocable = shown.revocable;
            if listener.kind.is_websocket() {
                Opened::SecureWebSocket(websocket::accept(stream, listener).await?)
            } else {
                Opened::Tls(stream)
            }
        }
    };
    Ok((opened, place))
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
    /// Each kind in a box of its own size, so that the task is as small as its own connection
    /// allows.
    fn serve(self, gate: Arc<Gate>, peer: Peer, deadline: Instant) -> Serving {
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
