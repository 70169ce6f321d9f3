//! The name in a client's certificate.
//!
//! Owns: which field counts. Never: verifies; it sees only certificates that an authority vouched
//! for.

use std::io;

use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::prelude::X509Certificate;

/// The longest name that counts: X.509 allows 64 characters for a common name; DNS names have 253.
const NAME_BYTES_MAX: usize = 256;

/// Where in a client's certificate its name stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityFrom {
    /// The first common name of the subject.
    #[default]
    Cn,
    /// The first subject alternative name: a DNS name, else an e-mail address, else a URI.
    San,
}

/// The name that the certificate proves, or `None` when the field is empty or missing.
///
/// An error ends the handshake: the certificate has expired since its session began (a resumed
/// session shows the certificate of the first one without verifying it again), or its name could be
/// mistaken for another.
pub fn name_in(
    certificate: &CertificateDer<'_>,
    from: IdentityFrom,
) -> io::Result<Option<Box<str>>> {
    let (_, certificate) = parse_x509_certificate(certificate)
        .map_err(|_| refused("the client's certificate cannot be read"))?;
    if !certificate.validity().is_valid() {
        return Err(refused("the client's certificate is not valid now"));
    }
    let Some(name) = field(&certificate, from) else {
        return Ok(None);
    };
    if name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(refused(
            "the name in the client's certificate cannot be used",
        ));
    }
    Ok((!name.is_empty()).then(|| name.into()))
}

fn field<'a>(certificate: &'a X509Certificate<'_>, from: IdentityFrom) -> Option<&'a str> {
    match from {
        IdentityFrom::Cn => certificate
            .subject()
            .iter_common_name()
            .next()
            .and_then(|name| name.as_str().ok()),
        IdentityFrom::San => {
            let names = certificate.subject_alternative_name().ok()??.value;
            let first = |pick: fn(&GeneralName<'a>) -> Option<&'a str>| {
                names.general_names.iter().find_map(pick)
            };
            first(|name| match name {
                GeneralName::DNSName(name) => Some(name),
                _ => None,
            })
            .or_else(|| {
                first(|name| match name {
                    GeneralName::RFC822Name(name) => Some(name),
                    _ => None,
                })
            })
            .or_else(|| {
                first(|name| match name {
                    GeneralName::URI(name) => Some(name),
                    _ => None,
                })
            })
        }
    }
}

fn refused(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
