//! New certificates in the files of a listener.
//!
//! Owns: what is made of new contents. Never: replaces a working configuration by a broken one, or
//! ends a connection. Invariant: contents that are active already change nothing, tickets least of
//! all.

use std::path::Path;
use std::sync::Arc;

use access::reload::Taken;
use tracing::{error, info};

use super::{Tls, TlsError, configure};
use crate::lock::lock;

impl Tls {
    /// The file of the listener's own certificate.
    pub(crate) fn certificate(&self) -> &Path {
        &self.files.certificate
    }

    /// All files that may change.
    pub(crate) fn paths(&self) -> Vec<&Path> {
        self.files.paths()
    }

    /// Takes up what the files hold if that is new and can be used.
    pub(crate) fn refresh(&self) -> Result<Taken, TlsError> {
        let contents = self.files.read()?;
        let digest = contents.digest();
        let mut in_force = lock(&self.in_force);
        if *in_force == digest {
            return Ok(Taken::Same);
        }
        let (config, revocations) = configure(&self.files, &contents, self.requires_certificate)?;
        let revoked = revocations.count();
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
    pub(crate) fn tell_expired(&self, now: u64) {
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
