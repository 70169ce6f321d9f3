//! The PEM files of a listener, and what can be wrong with them.
//!
//! Owns: reading and decoding them. Never: keeps a private key longer than a configuration is built
//! from it.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use tokio_rustls::rustls::server::VerifierBuilderError;
use tokio_rustls::rustls::{self, InconsistentKeys};

use super::revocation::{Malformed, Revocations};

/// A chain has a few KB and a system's bundle of authorities 200 KB; anything larger is the wrong
/// file.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// A list has some 50 bytes for each certificate that was taken back: room for half a million.
const CRL_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// The files that an encrypted listener is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) client_ca: Option<PathBuf>,
    pub(crate) crl: Option<PathBuf>,
}

/// Why files cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("cannot read `{}`", path.display())]
    Read {
        key: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("`{}` is not a well-formed PEM file", path.display())]
    Pem {
        key: &'static str,
        path: PathBuf,
        source: pem::Error,
    },
    #[error("`{}` holds no certificate", path.display())]
    NoCertificate { key: &'static str, path: PathBuf },
    #[error("`{}` holds no private key", path.display())]
    NoKey { path: PathBuf, encrypted: bool },
    #[error("the private key in `{}` does not belong to the certificate in `{}`", key.display(), certificate.display())]
    Mismatch { key: PathBuf, certificate: PathBuf },
    #[error("`{}` and `{}` cannot be used", certificate.display(), key.display())]
    Pair {
        key: PathBuf,
        certificate: PathBuf,
        source: rustls::Error,
    },
    #[error("`{}` holds a certificate that cannot be an authority", path.display())]
    Authority {
        path: PathBuf,
        source: rustls::Error,
    },
    #[error("the authorities in `{}` cannot be used", path.display())]
    Authorities {
        path: PathBuf,
        source: VerifierBuilderError,
    },
    #[error("`{}` holds no revocation list", path.display())]
    NoList { path: PathBuf },
    #[error("`{}` holds a revocation list that is malformed", path.display())]
    MalformedList { path: PathBuf },
    #[error("`{}` holds a revocation list that cannot be used", path.display())]
    List {
        path: PathBuf,
        source: VerifierBuilderError,
    },
    #[error("`{}` holds no revocation list of the authority `{authority}`", path.display())]
    Unlisted { path: PathBuf, authority: String },
    #[error("the cryptography cannot be set up")]
    Provider(#[source] rustls::Error),
}

impl TlsError {
    /// The key of the listener's configuration that names the file in question.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            TlsError::Read { key, .. }
            | TlsError::Pem { key, .. }
            | TlsError::NoCertificate { key, .. } => key,
            TlsError::NoKey { .. } | TlsError::Mismatch { .. } => "key",
            TlsError::Pair { .. } | TlsError::Provider(_) => "certificate",
            TlsError::Authority { .. } | TlsError::Authorities { .. } => "client_ca",
            TlsError::NoList { .. }
            | TlsError::MalformedList { .. }
            | TlsError::List { .. }
            | TlsError::Unlisted { .. } => "crl",
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            TlsError::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("the file must be readable for the user that Millrace runs as")
            }
            TlsError::NoKey {
                encrypted: true, ..
            } => Some(
                "the key is encrypted, and nobody is there to type its password: store it \
                 decrypted (`openssl pkey -in FILE -out key.pem`), readable for Millrace alone",
            ),
            TlsError::Pem { .. } | TlsError::NoCertificate { .. } | TlsError::NoKey { .. } => Some(
                "a PEM file holds text between `-----BEGIN …-----` and `-----END …-----`; \
                 `openssl x509 -inform der` and `openssl pkey -inform der` convert from DER",
            ),
            TlsError::NoList { .. } => Some(
                "a PEM file of lists holds text between `-----BEGIN X509 CRL-----` and \
                 `-----END X509 CRL-----`; `openssl crl -inform der` converts from DER",
            ),
            TlsError::Unlisted { .. } => Some(
                "nobody with a certificate of that authority could be let in: add its list, which \
                 may be empty, to the file, or take the authority out of `client_ca`",
            ),
            TlsError::Mismatch { .. } => Some(
                "name the key that the certificate was requested with; the server's own \
                 certificate comes first in its file, before those of the authorities",
            ),
            _ => None,
        }
    }
}

impl Files {
    pub(super) fn paths(&self) -> Vec<&Path> {
        let own = [&self.certificate, &self.key];
        let all = own.into_iter().chain(&self.client_ca).chain(&self.crl);
        all.map(PathBuf::as_path).collect()
    }

    pub(super) fn read(&self) -> Result<Contents, TlsError> {
        let if_any = |key, path: &Option<PathBuf>, bytes_max| {
            let read = path.as_deref().map(|path| read(key, path, bytes_max));
            read.transpose()
        };
        Ok(Contents {
            certificate: read("certificate", &self.certificate, FILE_BYTES_MAX)?,
            key: read("key", &self.key, FILE_BYTES_MAX)?,
            client_ca: if_any("client_ca", &self.client_ca, FILE_BYTES_MAX)?,
            crl: if_any("crl", &self.crl, CRL_BYTES_MAX)?,
        })
    }

    pub(super) fn pair_unusable(&self, source: rustls::Error) -> TlsError {
        let (key, certificate) = (self.key.clone(), self.certificate.clone());
        match source {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsError::Mismatch { key, certificate }
            }
            source => TlsError::Pair {
                key,
                certificate,
                source,
            },
        }
    }

    pub(super) fn authority_unusable(&self, source: rustls::Error) -> TlsError {
        TlsError::Authority {
            path: self.client_ca.clone().unwrap_or_default(),
            source,
        }
    }

    /// Neither authorities nor lists can be told apart before they are put together.
    pub(super) fn verifier_unusable(&self, source: VerifierBuilderError) -> TlsError {
        let path = |path: &Option<PathBuf>| path.clone().unwrap_or_default();
        match source {
            VerifierBuilderError::InvalidCrl(_) => TlsError::List {
                path: path(&self.crl),
                source,
            },
            source => TlsError::Authorities {
                path: path(&self.client_ca),
                source,
            },
        }
    }
}

/// The bytes of the files at one moment. No `Debug`: there is a private key among them.
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
    crl: Option<Vec<u8>>,
}

/// Tells contents apart without keeping them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest([u8; 32]);

impl Contents {
    /// The server's certificate and those that lead to its authority.
    pub(super) fn chain(&self, files: &Files) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        certificates("certificate", &files.certificate, &self.certificate)
    }

    pub(super) fn key(&self, files: &Files) -> Result<PrivateKeyDer<'static>, TlsError> {
        let path = &files.key;
        PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| match error {
            pem::Error::NoItemsFound => TlsError::NoKey {
                path: path.clone(),
                encrypted: contains(&self.key, b"ENCRYPTED PRIVATE KEY"),
            },
            source => TlsError::Pem {
                key: "key",
                path: path.clone(),
                source,
            },
        })
    }

    /// Those who may vouch for clients, if any.
    pub(super) fn client_authorities(
        &self,
        files: &Files,
    ) -> Result<Option<Vec<CertificateDer<'static>>>, TlsError> {
        match (&files.client_ca, &self.client_ca) {
            (Some(path), Some(bytes)) => certificates("client_ca", path, bytes).map(Some),
            _ => Ok(None),
        }
    }

    /// The lists of certificates that were taken back, if they are asked for, and what they say.
    pub(super) fn revocations(
        &self,
        files: &Files,
        authorities: &[CertificateDer<'_>],
    ) -> Result<Option<(Vec<CertificateRevocationListDer<'static>>, Revocations)>, TlsError> {
        let (Some(path), Some(bytes)) = (&files.crl, &self.crl) else {
            return Ok(None);
        };
        let path = || path.clone();
        let found: Result<Vec<_>, _> =
            CertificateRevocationListDer::pem_slice_iter(bytes).collect();
        let mut lists = found.map_err(|source| TlsError::Pem {
            key: "crl",
            path: path(),
            source,
        })?;
        if lists.is_empty() {
            return Err(TlsError::NoList { path: path() });
        }
        let revocations = Revocations::of(&mut lists)
            .map_err(|Malformed| TlsError::MalformedList { path: path() })?;
        match revocations.uncovered(authorities) {
            Some(authority) => Err(TlsError::Unlisted {
                path: path(),
                authority,
            }),
            None => Ok(Some((lists, revocations))),
        }
    }

    pub(super) fn digest(&self) -> Digest {
        let client_ca = self.client_ca.as_deref().unwrap_or_default();
        let crl = self.crl.as_deref().unwrap_or_default();
        let mut context = Context::new(&SHA256);
        for part in [&self.certificate, &self.key, client_ca, crl] {
            context.update(&part.len().to_le_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Digest(digest)
    }
}

fn read(key: &'static str, path: &Path, bytes_max: u64) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Read {
        key,
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    // One byte more than allowed tells a file that is too large.
    let mut bounded = file.take(bytes_max + 1);
    bounded.read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > bytes_max {
        let text = format!("larger than {bytes_max} bytes");
        return Err(unreadable(io::Error::new(
            io::ErrorKind::FileTooLarge,
            text,
        )));
    }
    Ok(bytes)
}

fn certificates(
    key: &'static str,
    path: &Path,
    bytes: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
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

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
