//! Accepts connections; each is served by a task of its own, so that accepting never waits for a
//! client.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};

use super::{Settings, open};
use crate::gate::Gate;
use crate::limits::Seldom;

/// Connections that may wait to be accepted; a reconnect storm fills it in milliseconds. The kernel
/// caps it at its own limit.
const BACKLOG: i32 = 4_096;
/// How long to pause when the process is out of file descriptors or memory: trying at once would
/// only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Each listener has it 20 times a second for as long as it lasts.
static TROUBLE: Seldom = Seldom::new();

/// Binds the listener; port 0 takes a free one.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts until the gate stops.
pub(super) async fn accept(gate: Arc<Gate>, listener: TcpListener, settings: Arc<Settings>) {
    let stop = gate.stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                admit(&gate, stream, peer, &settings);
                if let Some(pause) = gate.connect_pause() {
                    // The others wait in the kernel's queue, in their order.
                    tokio::time::sleep(pause).await;
                }
            }
            Err(error) if is_peers_fault(&error) => {
                debug!(%error, "a connection ended before it was accepted")
            }
            Err(error) => {
                if let Some(silenced) = TROUBLE.may_tell(Instant::now()) {
                    warn!(%error, silenced, "cannot accept connections for the moment");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn admit(gate: &Arc<Gate>, stream: TcpStream, peer: SocketAddr, settings: &Arc<Settings>) {
    let Some(place) = Place::take(gate) else {
        gate.stats.connections_refused.add(1);
        debug!(%peer, "refused: `broker.max_connections` is reached");
        return;
    };
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "cannot switch off Nagle's algorithm");
    }
    let task_gate = Arc::clone(gate);
    let settings = Arc::clone(settings);
    let serving = open::serve(task_gate, stream, peer, settings);
    gate.tasks.spawn(async move {
        // Dropped after what it is for: also a panic in this task gives the place back.
        let _place = place;
        serving.await;
    });
}

/// One of `max_connections` places.
pub(crate) struct Place(Arc<Gate>);

impl Place {
    /// `None`: all are taken.
    pub(crate) fn take(gate: &Arc<Gate>) -> Option<Place> {
        let stats = &gate.stats;
        if stats.connections.get() >= gate.settings.max_connections as u64 {
            return None;
        }
        stats.connections.add(1);
        stats.connections_max.raise(stats.connections.get());
        Some(Place(Arc::clone(gate)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.stats.connections.subtract(1);
    }
}

fn is_peers_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
