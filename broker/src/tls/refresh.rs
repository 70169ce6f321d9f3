//! Takes up new certificates while connections live.
//!
//! Owns: what is made of new contents. Never: replaces a working configuration by a broken one. Invariant: contents that are in
//! force already change nothing, tickets least of all.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tracing::info;

use super::{Tls, TlsError, configure};
use crate::lock::lock;
use crate::reload::{Fault, Source, Taken};

/// Certificate and key are two files, and whoever renews them writes one after the other.
const REST: Duration = Duration::from_secs(2);

/// The files of an encrypted listener.
pub(crate) struct Certificates(pub(crate) Arc<Tls>);

impl Source for Certificates {
    fn name(&self) -> String {
        format!("certificates of `{}`", self.0.files.certificate.display())
    }

    fn files(&self) -> Vec<&Path> {
        self.0.files.paths()
    }

    fn rest(&self) -> Duration {
        REST
    }

    fn take(&self) -> Result<Taken, Fault> {
        self.0.refresh().map_err(|error| match error {
            TlsError::Read { .. } => Fault::unreadable(&error),
            _ => Fault::wrong(&error),
        })
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
        let config = configure(&self.files, &contents, self.requires_certificate)?;
        self.current.store(Arc::new(config));
        *in_force = digest;
        info!(certificate = %self.files.certificate.display(), "took up a new certificate");
        Ok(Taken::New)
    }
}
