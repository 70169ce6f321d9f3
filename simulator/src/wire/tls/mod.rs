//! TLS as a client: whom it trusts, what it shows, and what to do when the two sides disagree.
//!
//! Owns: the client's PEM files, its configuration of rustls, advice on failures. Never: opens a
//! socket. Invariant: a chain that does not lead to an authority of `cafile` is refused, whatever
//! else is allowed.

mod advice;
mod name;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pemfile::{CERTIFICATES_BYTES_MAX, PemError, PemFile};
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{self, ClientConfig};

pub use advice::Advice;

/// What people write to have a connection encrypted; the names are mosquitto's.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct TlsKeys {
    /// Use TLS; trust certificates signed by a certificate authority (CA) in this PEM file
    #[arg(long, value_name = "FILE")]
    pub cafile: Option<PathBuf>,
    /// Certificate to show the server, as PEM
    #[arg(long, value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// Private key of --cert, as PEM
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Accept a certificate issued for another host name; a CA in --cafile must still have signed
    /// it
    #[arg(long)]
    pub insecure: bool,
}

/// How connections are encrypted; cheap to clone.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

/// Why a connection cannot be encrypted as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("`{key}` needs `{missing}`")]
    Incomplete {
        key: &'static str,
        missing: &'static str,
    },
    #[error(transparent)]
    File(#[from] PemError),
    #[error("the cryptography cannot be set up")]
    Provider(#[source] rustls::Error),
}

impl TlsError {
    /// What to do about it, where something is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::File(error) => error.hint(),
            Self::Incomplete { .. } | Self::Provider(_) => None,
        }
    }
}

impl TlsKeys {
    /// The port of the MQTT server when none is written.
    pub fn default_port(&self) -> u16 {
        if self.cafile.is_some() { 8883 } else { 1883 }
    }

    /// Reads the files; `None` when encryption is not asked for.
    ///
    /// # Errors
    ///
    /// When a key lacks another one that it needs, or a file cannot be used.
    pub fn load(&self) -> Result<Option<Tls>, TlsError> {
        let needs = |key, missing| TlsError::Incomplete { key, missing };
        let shown = match (&self.cert, &self.key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (Some(_), None) => return Err(needs("cert", "key")),
            (None, Some(_)) => return Err(needs("key", "cert")),
            (None, None) => None,
        };
        let Some(cafile) = &self.cafile else {
            return match (shown, self.insecure) {
                (Some(_), _) => Err(needs("cert", "cafile")),
                (None, true) => Err(needs("insecure", "cafile")),
                (None, false) => Ok(None),
            };
        };
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::new(read("cafile", cafile)?.authorities()?);
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Provider)?;
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|error| TlsError::Provider(rustls::Error::General(error.to_string())))?;
        let builder = if !self.insecure {
            builder.with_webpki_verifier(verifier)
        } else {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(name::AnyName(verifier)))
        };
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let (certificate, key) = (read("cert", certificate)?, read("key", key)?);
                builder
                    .with_client_auth_cert(certificate.certificates()?, key.private_key()?)
                    .map_err(|source| PemError::pair(&certificate, &key, source))?
            }
        };
        // The connections of a fleet stand for devices of their own, which have no tickets of each
        // other: each pays for its handshake.
        config.resumption = Resumption::disabled();
        Ok(Some(Tls(Arc::new(config))))
    }
}

impl Tls {
    /// For whoever makes the connection.
    pub fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.0)
    }
}

/// Nothing of it: there may be a private key inside.
impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tls").finish_non_exhaustive()
    }
}

fn read(key: &'static str, path: &Path) -> Result<PemFile, PemError> {
    PemFile::read(key, path, CERTIFICATES_BYTES_MAX)
}
