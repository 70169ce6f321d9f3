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
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

pub use advice::Advice;

/// A chain has a few KB and a system's bundle of authorities 200 KB; anything larger is the wrong
/// file.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What people write to have a connection encrypted; the names are mosquitto's.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct TlsKeys {
    /// Encrypt, and trust servers whose certificate an authority of this PEM file vouches for
    #[arg(long, value_name = "FILE")]
    pub cafile: Option<PathBuf>,
    /// Certificate to show the server, as PEM
    #[arg(long, value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// Private key of --cert, as PEM
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Take a certificate that is for another host: an authority of --cafile must still vouch for
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
    #[error("cannot read the file of `{key}`, `{}`", path.display())]
    Read {
        key: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("the file of `{key}`, `{}`, is not well-formed PEM", path.display())]
    Pem {
        key: &'static str,
        path: PathBuf,
        source: pem::Error,
    },
    #[error("the file of `{key}`, `{}`, holds no certificate", path.display())]
    NoCertificate { key: &'static str, path: PathBuf },
    #[error("the file of `key`, `{}`, holds no private key", path.display())]
    NoKey { path: PathBuf },
    #[error("the file of `cafile`, `{}`, holds what cannot be an authority", path.display())]
    Authority {
        path: PathBuf,
        source: rustls::Error,
    },
    #[error("`{}` and `{}` cannot be used together", certificate.display(), key.display())]
    Pair {
        certificate: PathBuf,
        key: PathBuf,
        source: rustls::Error,
    },
    #[error("the cryptography cannot be set up")]
    Provider(#[source] rustls::Error),
}

impl TlsError {
    /// What to do about it, where something is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoKey { .. } => Some(
                "an encrypted key cannot be used: store it decrypted with \
                 `openssl pkey -in FILE -out key.pem`",
            ),
            Self::Pem { .. } | Self::NoCertificate { .. } => Some(
                "a PEM file holds text between `-----BEGIN …-----` and `-----END …-----`; \
                 `openssl x509 -inform der` converts a certificate from DER",
            ),
            Self::Pair { .. } => {
                Some("`--key` must be the key that the certificate was requested with")
            }
            _ => None,
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
        let roots = Arc::new(authorities(cafile)?);
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
            Some((certificate, key)) => builder
                .with_client_auth_cert(certificates("cert", certificate)?, private_key(key)?)
                .map_err(|source| TlsError::Pair {
                    certificate: certificate.clone(),
                    key: key.clone(),
                    source,
                })?,
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

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("cafile", path)? {
        roots
            .add(certificate)
            .map_err(|source| TlsError::Authority {
                path: path.to_owned(),
                source,
            })?;
    }
    Ok(roots)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(key, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsError::NoCertificate {
            key,
            path: path.to_owned(),
        }),
        Ok(found) => Ok(found),
        Err(source) => Err(TlsError::Pem {
            key,
            path: path.to_owned(),
            source,
        }),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let path_buf = || path.to_owned();
    PrivateKeyDer::from_pem_slice(&read("key", path)?).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::NoKey { path: path_buf() },
        source => TlsError::Pem {
            key: "key",
            path: path_buf(),
            source,
        },
    })
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Read {
        key,
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large.
    let mut bounded = File::open(path)
        .map_err(unreadable)?
        .take(FILE_BYTES_MAX + 1);
    bounded.read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let text = format!("larger than {FILE_BYTES_MAX} bytes");
        return Err(unreadable(io::Error::new(
            io::ErrorKind::FileTooLarge,
            text,
        )));
    }
    Ok(bytes)
}
