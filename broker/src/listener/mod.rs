//! Where clients knock: any number of listeners, each TCP, TLS, WebSocket or secure WebSocket.
//!
//! Owns: binding, accepting, and what comes before the first MQTT byte (PROXY header, TLS, the
//! WebSocket upgrade), all in the connection's own task and under one deadline with CONNECT. Never:
//! knows a packet. Invariant: accepting never waits for a client, and behind this module every
//! connection is a plain stream of bytes with a `Peer`.

mod accept;
mod config;
mod open;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use crate::gate::Gate;

#[cfg(any(test, fuzzing))]
pub(crate) use accept::Place;
pub(crate) use config::resolve;
pub use config::{Config, Kind, Settings};

/// A bound listener that is not served yet.
pub(crate) struct Bound {
    socket: TcpListener,
    settings: Arc<Settings>,
}

/// A listener as people see it: what is spoken there, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listening {
    pub kind: Kind,
    /// With the port that the system chose when 0 was asked for.
    pub address: SocketAddr,
    /// The path of a WebSocket listener; empty otherwise.
    pub path: Box<str>,
}

impl Bound {
    pub(crate) fn new(settings: &Settings) -> io::Result<Bound> {
        Ok(Bound {
            socket: accept::bind(settings.address)?,
            settings: Arc::new(settings.clone()),
        })
    }

    pub(crate) fn listening(&self) -> io::Result<Listening> {
        Ok(Listening {
            address: self.socket.local_addr()?,
            ..self.settings.listening()
        })
    }

    /// Serves it until the gate stops.
    pub(crate) async fn serve(self, gate: Arc<Gate>) {
        accept::accept(gate, self.socket, self.settings).await;
    }
}

/// As the URL that clients take.
impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.kind.scheme();
        write!(f, "{scheme}://{}{}", self.address, self.path)
    }
}
