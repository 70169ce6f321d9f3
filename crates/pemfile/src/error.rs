//! Why PEM files cannot be used, and what to do about it.
//!
//! Owns: the sentences and hints, for servers and clients alike. Never: reads a file. Invariant:
//! the cause is in `source()`, not in the text.

use std::io;
use std::path::PathBuf;

use rustls_pki_types::pem;
use tokio_rustls::rustls::{self, InconsistentKeys};

use crate::PemFile;

/// Why a file, or a pair of files, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    #[error("cannot read `{}`", path.display())]
    Read {
        setting: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("`{}` is not a well-formed PEM file", path.display())]
    Malformed {
        setting: &'static str,
        path: PathBuf,
        source: pem::Error,
    },
    #[error("`{}` holds no certificate", path.display())]
    NoCertificate {
        setting: &'static str,
        path: PathBuf,
    },
    #[error("`{}` holds no private key", path.display())]
    NoKey {
        setting: &'static str,
        path: PathBuf,
        is_encrypted: bool,
    },
    #[error("`{}` holds no revocation list", path.display())]
    NoList {
        setting: &'static str,
        path: PathBuf,
    },
    #[error("`{}` holds a certificate that cannot be a certificate authority", path.display())]
    Authority {
        setting: &'static str,
        path: PathBuf,
        source: rustls::Error,
    },
    #[error(
        "the private key in `{}` does not belong to the certificate in `{}`",
        key.display(),
        certificate.display()
    )]
    Mismatch {
        setting: &'static str,
        key: PathBuf,
        certificate: PathBuf,
    },
    #[error("`{}` and `{}` cannot be used", certificate.display(), key.display())]
    Pair {
        setting: &'static str,
        key: PathBuf,
        certificate: PathBuf,
        source: Box<rustls::Error>,
    },
}

impl PemError {
    /// What rustls says of a certificate and a private key that it does not take together.
    pub fn pair(certificate: &PemFile, key: &PemFile, source: rustls::Error) -> PemError {
        let is_mismatch = matches!(
            source,
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)
        );
        let (key_path, certificate_path) = (key.path.clone(), certificate.path.clone());
        if is_mismatch {
            PemError::Mismatch {
                setting: key.setting,
                key: key_path,
                certificate: certificate_path,
            }
        } else {
            PemError::Pair {
                setting: certificate.setting,
                key: key_path,
                certificate: certificate_path,
                source: Box::new(source),
            }
        }
    }

    /// The setting that names the file in question.
    pub fn setting(&self) -> &'static str {
        match self {
            PemError::Read { setting, .. }
            | PemError::Malformed { setting, .. }
            | PemError::NoCertificate { setting, .. }
            | PemError::NoKey { setting, .. }
            | PemError::NoList { setting, .. }
            | PemError::Authority { setting, .. }
            | PemError::Mismatch { setting, .. }
            | PemError::Pair { setting, .. } => setting,
        }
    }

    /// What to do about it, where something is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            PemError::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("the file must be readable for the user that Millrace runs as")
            }
            PemError::NoKey {
                is_encrypted: true, ..
            } => Some(
                "the key is encrypted, and Millrace asks for no password: store it decrypted \
                 (`openssl pkey -in FILE -out key.pem`), readable for Millrace alone",
            ),
            PemError::Malformed { .. }
            | PemError::NoCertificate { .. }
            | PemError::NoKey { .. } => Some(
                "a PEM file holds text between `-----BEGIN …-----` and `-----END …-----`; \
                 `openssl x509 -inform der` and `openssl pkey -inform der` convert from DER",
            ),
            PemError::NoList { .. } => Some(
                "a PEM file of revocation lists holds text between `-----BEGIN X509 CRL-----` and \
                 `-----END X509 CRL-----`; `openssl crl -inform der` converts from DER",
            ),
            PemError::Mismatch { .. } => Some(
                "name the key that the certificate was requested with; the certificate of that \
                 key comes first in its file, before those of the authorities",
            ),
            PemError::Read { .. } | PemError::Authority { .. } | PemError::Pair { .. } => None,
        }
    }
}
