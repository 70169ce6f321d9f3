//! The PEM files of a listener, and what can be wrong with them together.
//!
//! Owns: which files there are, and whether their contents fit each other. Never: keeps a private
//! key longer than a configuration is built from it. Invariant: an error names the configuration
//! key of the file in question.

use std::path::{Path, PathBuf};

use pemfile::{CERTIFICATES_BYTES_MAX, PemError, PemFile, REVOCATIONS_BYTES_MAX};
use ring::digest::{Context, SHA256};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use tokio_rustls::rustls;
use tokio_rustls::rustls::server::VerifierBuilderError;

use access::certificate::{Malformed, Revocations};

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
    #[error(transparent)]
    File(#[from] PemError),
    #[error("the certificate authorities in `{}` cannot be used", path.display())]
    Authorities {
        path: PathBuf,
        source: VerifierBuilderError,
    },
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
            TlsError::File(error) => error.setting(),
            TlsError::Provider(_) => "certificate",
            TlsError::Authorities { .. } => "client_ca",
            TlsError::MalformedList { .. } | TlsError::List { .. } | TlsError::Unlisted { .. } => {
                "crl"
            }
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            TlsError::File(error) => error.hint(),
            TlsError::Unlisted { .. } => Some(
                "no client with a certificate of that authority could connect: add its list, \
                 which may be empty, to the file, or remove the authority from `client_ca`",
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

    pub(super) fn read(&self) -> Result<Contents, PemError> {
        let read = |key, path: &Path| PemFile::read(key, path, CERTIFICATES_BYTES_MAX);
        let client_ca = self.client_ca.as_deref();
        let crl = self.crl.as_deref();
        Ok(Contents {
            certificate: read("certificate", &self.certificate)?,
            key: read("key", &self.key)?,
            client_ca: client_ca.map(|path| read("client_ca", path)).transpose()?,
            crl: crl
                .map(|path| PemFile::read("crl", path, REVOCATIONS_BYTES_MAX))
                .transpose()?,
        })
    }

    /// What rustls says of authorities and lists, which it judges only together.
    pub(super) fn verifier_unusable(&self, source: VerifierBuilderError) -> TlsError {
        let path = |path: &Option<PathBuf>| path.clone().unwrap_or_default();
        if let VerifierBuilderError::InvalidCrl(_) = source {
            let path = path(&self.crl);
            TlsError::List { path, source }
        } else {
            let path = path(&self.client_ca);
            TlsError::Authorities { path, source }
        }
    }
}

/// The contents of the files at one moment. No `Debug`: there is a private key among them.
pub(super) struct Contents {
    /// The server's certificate and those that lead to its authority.
    pub(super) certificate: PemFile,
    pub(super) key: PemFile,
    /// The authorities that sign clients' certificates.
    pub(super) client_ca: Option<PemFile>,
    crl: Option<PemFile>,
}

/// Tells contents apart without keeping them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest([u8; 32]);

impl Contents {
    /// The revocation lists, if there is a file of them, as rustls takes them and as we read them.
    pub(super) fn revocations(
        &self,
        files: &Files,
        authorities: &[CertificateDer<'_>],
    ) -> Result<Option<(Vec<CertificateRevocationListDer<'static>>, Revocations)>, TlsError> {
        let (Some(path), Some(crl)) = (&files.crl, &self.crl) else {
            return Ok(None);
        };
        let path = || path.clone();
        let mut lists = crl.revocation_lists()?;
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
        let mut context = Context::new(&SHA256);
        let own = [Some(&self.certificate), Some(&self.key)];
        for file in own
            .into_iter()
            .chain([self.client_ca.as_ref(), self.crl.as_ref()])
        {
            let bytes = file.map(PemFile::bytes).unwrap_or_default();
            context.update(&bytes.len().to_le_bytes());
            context.update(bytes);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Digest(digest)
    }
}
