//! Where a client comes from, and what its certificate proves.
//!
//! Owns: the facts that the transport has found before CONNECT. Never: finds them itself.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::certificate::Revocable;

/// The other end of a connection, as far as the transport knows it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Where the client is; behind a load balancer that says so, the client's own address.
    pub address: SocketAddr,
    /// The name in the client's certificate, which a trusted CA has signed.
    pub certificate: Option<Box<str>>,
    /// That certificate, at a listener with revocation lists.
    pub revocable: Option<Arc<Revocable>>,
}

impl Peer {
    /// A client without a certificate.
    pub fn at(address: SocketAddr) -> Peer {
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

/// What is counted as one address: for IPv6 the network of 64 bits, which one host usually has to
/// itself.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}
