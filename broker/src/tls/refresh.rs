//! Takes up new certificates while connections live.
//!
//! Owns: what is made of new contents. Never: replaces a working configuration by a broken one.
//! Invariant: contents that are in force already change nothing, tickets least of all.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pemfile::PemError;
use tracing::{error, info};

use super::{Tls, TlsError, configure};
use crate::gate::Gate;
use crate::lock::lock;
use crate::reload::{Fault, Source, Taken};
use mqtt::ReasonCode;

/// Certificate and key are two files, and whoever renews them writes one after the other.
const REST: Duration = Duration::from_secs(2);

/// The files of an encrypted listener.
pub(crate) struct Certificates {
    pub(crate) tls: Arc<Tls>,
    pub(crate) gate: Arc<Gate>,
}

impl Source for Certificates {
    fn name(&self) -> String {
        format!("certificates of `{}`", self.tls.files.certificate.display())
    }

    fn files(&self) -> Vec<&Path> {
        self.tls.files.paths()
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

impl Tls {
    /// Takes up what the files hold if that is new and can be used.
    pub(super) fn refresh(&self) -> Result<Taken, TlsError> {
        let contents = self.files.read()?;
        let digest = contents.digest();
        let mut in_force = lock(&self.in_force);
        if *in_force == digest {
            return Ok(Taken::Same);
        }
        let (config, revocations) = configure(&self.files, &contents, self.requires_certificate)?;
        let revoked = revocations.len();
        self.current.store(Arc::new(config));
        if let Some(current) = &self.revocations {
            current.store(Arc::new(revocations));
        }
        *in_force = digest;
        let certificate = self.files.certificate.display();
        info!(%certificate, revoked, "took up new certificates");
        Ok(Taken::New)
    }

    /// Once for each time that lists are not replaced when they should be.
    pub(super) fn tell_expired(&self, now: u64) {
        let Some(revocations) = &self.revocations else {
            return;
        };
        if revocations.load().is_expiry_news(now) {
            let file = self.files.crl.as_deref().map(Path::display);
            error!(
                file = file.map(tracing::field::display),
                "a revocation list has expired: what was revoked since is not known"
            );
        }
    }
}
