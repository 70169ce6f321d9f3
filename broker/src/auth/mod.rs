//! Authentication: from what a CONNECT carries to who the client is.
//!
//! Owns: the one step of the handshake that lets a client in or turns it away. Never: decides what it may publish or subscribe;
//! that is `access`'s.

mod identity;

use std::sync::Arc;

pub(crate) use identity::Identity;

use crate::packet::{Connect, ReasonCode};
use crate::peer::Peer;

/// Judges who a client is.
pub(crate) struct Authenticator {
    anonymous: Arc<Identity>,
}

impl Authenticator {
    pub(crate) fn new() -> Authenticator {
        Authenticator {
            anonymous: Arc::default(),
        }
    }

    /// Who sent the CONNECT, or the reason code to refuse it with.
    pub(crate) async fn authenticate(
        &self,
        peer: &Peer,
        connect: &Connect<'_>,
    ) -> Result<Arc<Identity>, ReasonCode> {
        // There are no users yet: everyone is anonymous, but for the name in a certificate.
        let _ = connect;
        match &peer.certificate {
            None => Ok(Arc::clone(&self.anonymous)),
            Some(name) => Ok(Arc::new(Identity {
                certificate: Some(name.clone()),
                ..Identity::default()
            })),
        }
    }
}
