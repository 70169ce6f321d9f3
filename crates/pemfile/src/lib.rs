//! The PEM files of TLS: certificates, private keys, certificate authorities, revocation lists.
//!
//! Owns: reading and decoding them, and what to say when that fails. Never: decides what a file is
//! used for, or keeps its bytes after the caller has dropped them. Invariant: an error names the
//! file and the setting that led to it, and never quotes the file's contents.

mod error;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use tokio_rustls::rustls::RootCertStore;

pub use error::PemError;

/// A chain has a few KB and a system's bundle of authorities 200 KB; a larger file is the wrong
/// one.
pub const CERTIFICATES_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// A revoked certificate takes some 50 bytes of a list: room for half a million.
pub const REVOCATIONS_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// The contents of a file at one moment. No `Debug`: it may hold a private key.
pub struct PemFile {
    setting: &'static str,
    path: PathBuf,
    bytes: Vec<u8>,
}

impl PemFile {
    /// Reads the file that `setting` names.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is larger than `bytes_max`.
    pub fn read(setting: &'static str, path: &Path, bytes_max: u64) -> Result<PemFile, PemError> {
        let bytes = read(path, bytes_max).map_err(|source| PemError::Read {
            setting,
            path: path.to_owned(),
            source,
        })?;
        Ok(PemFile {
            setting,
            path: path.to_owned(),
            bytes,
        })
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All certificates, in the order of the file; at least one.
    ///
    /// # Errors
    ///
    /// When the file is malformed, or holds no certificate.
    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, PemError> {
        let found: Vec<_> = self.items()?;
        if found.is_empty() {
            return Err(PemError::NoCertificate {
                setting: self.setting,
                path: self.path.clone(),
            });
        }
        Ok(found)
    }

    /// All certificates, as the authorities that the other side's certificate must lead to.
    ///
    /// # Errors
    ///
    /// As `certificates`, and when one of them cannot be an authority.
    pub fn authorities(&self) -> Result<RootCertStore, PemError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots
                .add(certificate)
                .map_err(|source| PemError::Authority {
                    setting: self.setting,
                    path: self.path.clone(),
                    source,
                })?;
        }
        Ok(roots)
    }

    /// The first private key.
    ///
    /// # Errors
    ///
    /// When the file is malformed, or holds no key that is readable without a password.
    pub fn private_key(&self) -> Result<PrivateKeyDer<'static>, PemError> {
        PrivateKeyDer::from_pem_slice(&self.bytes).map_err(|error| match error {
            pem::Error::NoItemsFound => PemError::NoKey {
                setting: self.setting,
                path: self.path.clone(),
                is_encrypted: contains(&self.bytes, b"ENCRYPTED PRIVATE KEY"),
            },
            source => self.malformed(source),
        })
    }

    /// All revocation lists; at least one.
    ///
    /// # Errors
    ///
    /// When the file is malformed, or holds no list.
    pub fn revocation_lists(&self) -> Result<Vec<CertificateRevocationListDer<'static>>, PemError> {
        let found: Vec<_> = self.items()?;
        if found.is_empty() {
            return Err(PemError::NoList {
                setting: self.setting,
                path: self.path.clone(),
            });
        }
        Ok(found)
    }

    fn items<T: PemObject>(&self) -> Result<Vec<T>, PemError> {
        T::pem_slice_iter(&self.bytes)
            .collect::<Result<_, _>>()
            .map_err(|source| self.malformed(source))
    }

    fn malformed(&self, source: pem::Error) -> PemError {
        PemError::Malformed {
            setting: self.setting,
            path: self.path.clone(),
            source,
        }
    }
}

fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells that a file is too large.
    let mut bounded = File::open(path)?.take(bytes_max + 1);
    bounded.read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        let text = format!("larger than {bytes_max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
