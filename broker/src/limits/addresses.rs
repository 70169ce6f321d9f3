//! How many connections each address has.
//!
//! Invariant: an address stands in the table as long as it has a connection, so the table is
//! bounded by the connections.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use access::network_of;
use foldhash::HashMap;

use crate::lock::lock;

/// Connections by address, and their bound.
pub(crate) struct Addresses {
    connections: Mutex<HashMap<IpAddr, usize>>,
    /// For each address.
    connections_max: usize,
}

/// One connection of an address; dropping it gives the place back.
pub(crate) struct Place {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

impl Addresses {
    pub(crate) fn new(connections_max: usize) -> Arc<Addresses> {
        Arc::new(Addresses {
            connections: Mutex::default(),
            connections_max,
        })
    }

    /// A place for one more connection; `None`: the address has all that it may have.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = network_of(address);
        let mut connections = lock(&self.connections);
        let count = connections.entry(address).or_default();
        if *count >= self.connections_max {
            return None;
        }
        *count += 1;
        drop(connections);
        Some(Place {
            addresses: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut connections = lock(&self.addresses.connections);
        if let Some(count) = connections.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                connections.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_has_as_many_places_as_it_may_have() {
        let addresses = Addresses::new(2);
        let first = addresses.enter(ip("10.0.0.1"));
        let second = addresses.enter(ip("::ffff:10.0.0.1"));
        assert!(first.is_some() && second.is_some());
        assert!(addresses.enter(ip("10.0.0.1")).is_none());
        assert!(addresses.enter(ip("10.0.0.2")).is_some());
        drop(first);
        assert!(addresses.enter(ip("10.0.0.1")).is_some());
    }

    #[test]
    fn a_host_with_many_addresses_counts_as_one() {
        let addresses = Addresses::new(1);
        let _held = addresses.enter(ip("2001:db8:1:2::1")).expect("the first");
        assert!(addresses.enter(ip("2001:db8:1:2:ffff::9")).is_none());
        assert!(addresses.enter(ip("2001:db8:1:3::1")).is_some());
    }

    #[test]
    fn an_address_without_connections_is_forgotten() {
        let addresses = Addresses::new(1);
        drop(addresses.enter(ip("10.0.0.1")));
        assert!(lock(&addresses.connections).is_empty());
    }
}
