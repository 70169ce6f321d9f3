//! Authentication: from what a CONNECT carries to who the client is.
//!
//! Owns: the one step of the handshake that lets a client in or turns it away. Never: decides what it may publish or subscribe;
//! that is `access`'s.

mod devices;
mod identity;
pub(crate) mod recheck;

use std::sync::Arc;

pub use devices::{DeviceCredentials, Lookup, SecretDigest, secret_digest};
pub(crate) use identity::Identity;

use crate::packet::{Connect, ReasonCode};
use crate::peer::Peer;

/// The group of every device.
const DEVICES_GROUP: &str = "devices";

/// Judges who a client is.
pub(crate) struct Authenticator {
    devices: Arc<dyn DeviceCredentials>,
    anonymous: Arc<Identity>,
    device_groups: Arc<[Box<str>]>,
}

impl Authenticator {
    pub(crate) fn new(devices: Option<Arc<dyn DeviceCredentials>>) -> Authenticator {
        Authenticator {
            devices: devices.unwrap_or_else(devices::NoDevices::shared),
            anonymous: Arc::default(),
            device_groups: Arc::new([DEVICES_GROUP.into()]),
        }
    }

    /// Who sent the CONNECT, or the reason code to refuse it with.
    pub(crate) async fn authenticate(
        &self,
        peer: &Peer,
        connect: &Connect<'_>,
    ) -> Result<Arc<Identity>, ReasonCode> {
        if let Some(password) = connect.password
            && self.devices.any()
        {
            return self.device(peer, connect, password).map(Arc::new);
        }
        match &peer.certificate {
            None => Ok(Arc::clone(&self.anonymous)),
            Some(name) => Ok(Arc::new(Identity {
                certificate: Some(name.clone()),
                ..Identity::default()
            })),
        }
    }

    /// Changes when a device's secret has ceased to hold.
    pub(crate) fn device_generation(&self) -> u64 {
        self.devices.generation()
    }

    /// Whether the secret that let a device in still holds; anybody else's credentials do.
    pub(crate) fn is_still_good(&self, identity: &Identity) -> bool {
        let Some(secret) = identity.device_secret else {
            return true;
        };
        match self.devices.find(&identity.user) {
            Lookup::Known { current, previous } => secret == current || previous == Some(secret),
            Lookup::Unknown => false,
            // Nothing is known: nothing says that it does not.
            Lookup::Unavailable => true,
        }
    }

    fn device(
        &self,
        peer: &Peer,
        connect: &Connect<'_>,
        password: &[u8],
    ) -> Result<Identity, ReasonCode> {
        let device = connect.user.unwrap_or(connect.client_id);
        match self.devices.find(device) {
            Lookup::Known { current, previous }
                if devices::matches(password, &current, previous.as_ref()) =>
            {
                Ok(Identity {
                    user: device.into(),
                    groups: Arc::clone(&self.device_groups),
                    certificate: peer.certificate.clone(),
                    device_secret: Some(secret_digest(password)),
                    ..Identity::default()
                })
            }
            Lookup::Known { .. } | Lookup::Unknown => Err(ReasonCode::BadUserNameOrPassword),
            Lookup::Unavailable => Err(ReasonCode::ServerUnavailable),
        }
    }
}
