//! The other end of a connection, as far as the transport knows it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::tls::Revocable;

#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Where the client is; behind a load balancer that says so, the client's own address.
    pub(crate) address: SocketAddr,
    /// The name in the client's certificate, which a trusted authority vouched for.
    pub(crate) certificate: Option<Box<str>>,
    /// That certificate, where it can be taken back.
    pub(crate) revocable: Option<Arc<Revocable>>,
}

impl Peer {
    /// A client of a plain connection.
    pub(crate) fn at(address: SocketAddr) -> Peer {
        Peer {
            address,
            certificate: None,
            revocable: None,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}
