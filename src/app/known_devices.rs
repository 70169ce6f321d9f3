//! What the broker asks about devices, answered by the crate `devices`.
//!
//! Owns: the translation between the two. Never: keeps anything.

use std::sync::Arc;

use access::reload::Outcome;
use access::{DeviceCredentials, Lookup};
use devices::{Known, Reread};

/// The devices that are known, as the broker asks for them.
pub(super) struct KnownDevices(pub(super) Arc<Known>);

impl DeviceCredentials for KnownDevices {
    fn find(&self, device: &str) -> Lookup {
        match self.0.find(device) {
            devices::Lookup::Known { current, previous } => Lookup::Known { current, previous },
            devices::Lookup::Unknown => Lookup::Unknown,
            devices::Lookup::Unavailable => Lookup::Unavailable,
        }
    }

    fn any(&self) -> bool {
        self.0.any()
    }

    fn any_ever(&self) -> bool {
        self.0.any_ever()
    }

    fn generation(&self) -> u64 {
        self.0.generation()
    }
}

pub(super) fn outcome(reread: Reread) -> Outcome {
    match reread {
        Reread::New => Outcome::New,
        Reread::Same => Outcome::Same,
        Reread::Failed => Outcome::Failed,
    }
}
