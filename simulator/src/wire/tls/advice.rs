//! What to do when TLS fails.
//!
//! Owns: finding rustls' error under whatever wraps it, and one sentence of advice. Never: changes
//! the message. Invariant: only what the other side cannot mend by itself is called final.

use std::error::Error;
use std::io;

use tokio_rustls::rustls::{self, AlertDescription, CertificateError};

const UNKNOWN_ISSUER: &str = "an authority that is not in `--cafile` issued the server's \
    certificate: name the file of the one that did";
const WRONG_NAME: &str = "connect to a name that the certificate is for (`--host NAME`), or take \
    it under any name with `--insecure`";
const WRONG_TIME: &str = "look at this machine's clock, and renew the server's certificate if the \
    clock is right";
const IS_AUTHORITY: &str = "the server shows an authority's certificate as its own: issue it one \
    that is signed by the authority";
const NOT_TLS: &str = "no TLS is spoken there: without `--cafile` the connection is plain, and the \
    port of an encrypted listener is usually 8883";
const CERTIFICATE_WANTED: &str =
    "the server wants a certificate from its clients: give one with `--cert` and `--key`";
const CERTIFICATE_REFUSED: &str = "the server does not take the certificate of `--cert`: an \
    authority that its `client_ca` names must have issued it, and it must not have expired";

/// What can be said about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// What a person can do.
    pub hint: &'static str,
    /// Whether trying again cannot help.
    pub is_final: bool,
}

impl Advice {
    /// What is known about the cause of an error; `None` when it has nothing to do with TLS.
    pub fn on(error: &(dyn Error + 'static)) -> Option<Advice> {
        on_rustls(find(error)?)
    }

    /// The same for an error that TLS itself may have ended with: a server that hangs up in the
    /// middle of a handshake most often does not speak TLS, but it may also only be going down.
    pub fn on_handshake(error: &(dyn Error + 'static)) -> Option<Advice> {
        Advice::on(error).or_else(|| {
            hung_up(error).then_some(Advice {
                hint: NOT_TLS,
                is_final: false,
            })
        })
    }
}

fn on_rustls(error: &rustls::Error) -> Option<Advice> {
    use rustls::Error::*;
    let hint = match error {
        InvalidCertificate(CertificateError::UnknownIssuer) => UNKNOWN_ISSUER,
        InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => WRONG_NAME,
        InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        ) => WRONG_TIME,
        // What webpki says of a certificate with the mark of an authority has no name of its own.
        InvalidCertificate(CertificateError::Other(other))
            if other.to_string().contains("CaUsedAsEndEntity") =>
        {
            IS_AUTHORITY
        }
        InvalidMessage(_) => NOT_TLS,
        AlertReceived(AlertDescription::CertificateRequired) => CERTIFICATE_WANTED,
        // TLS 1.2 has no alert for a certificate that is missing.
        AlertReceived(AlertDescription::HandshakeFailure) => CERTIFICATE_WANTED,
        AlertReceived(
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied,
        ) => CERTIFICATE_REFUSED,
        _ => return None,
    };
    Some(Advice {
        hint,
        is_final: true,
    })
}

/// Whether tokio-rustls says that the connection ended before the handshake did.
fn hung_up(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return error.kind() == io::ErrorKind::UnexpectedEof
                && error.to_string().contains("handshake");
        }
        next = error.source();
    }
    false
}

/// The error of rustls among the causes; those inside an `io::Error` are not in its chain.
fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inside) => Some(inside as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}
