//! Certificates and revocation lists that change while connections live.
//!
//! Owns: the end of the connections whose certificate was revoked. Never: reads a file itself; the
//! listener's `Tls` does. Invariant: the new lists are active before connections are looked
//! through.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use access::reload::{Fault, Source, Taken};
use mqtt::ReasonCode;
use pemfile::PemError;
use tracing::info;

use crate::gate::Gate;
use crate::tls::{Tls, TlsError};

/// Certificate and key are two files, and whoever renews them writes one after the other.
const REST: Duration = Duration::from_secs(2);

/// The files of an encrypted listener.
pub(crate) struct Certificates {
    pub(crate) tls: Arc<Tls>,
    pub(crate) gate: Arc<Gate>,
}

impl Source for Certificates {
    fn name(&self) -> String {
        format!("certificates of `{}`", self.tls.certificate().display())
    }

    fn files(&self) -> Vec<&Path> {
        self.tls.paths()
    }

    fn rest(&self) -> Duration {
        REST
    }

    fn take(&self) -> Result<Taken, Fault> {
        let taken = self.tls.refresh().map_err(|error| match error {
            TlsError::File(PemError::Read { .. }) => Fault::unreadable(&error),
            _ => Fault::wrong(&error),
        })?;
        if taken == Taken::New {
            self.end_revoked();
        }
        Ok(taken)
    }

    fn glance(&self) {
        self.tls.tell_expired(self.gate.clock.unix_seconds());
    }
}

impl Certificates {
    /// After the new lists are in force: a client that comes in from now on is looked at by its own
    /// task.
    fn end_revoked(&self) {
        let ended = self
            .gate
            .registry
            .close_where(ReasonCode::NotAuthorized, |session| {
                session.identity().is_revoked()
            });
        if ended > 0 {
            info!(
                connections = ended,
                "ended connections whose certificate was revoked"
            );
        }
    }
}
