//! TLS 1.2 and 1.3 for listeners, with certificates that may change while connections live.
//!
//! Owns: the configuration that new connections get, and the name that a client's certificate proves. Never: touches a
//! connection that was accepted: it goes on with what it began with. Invariant: there is always a usable configuration; a
//! broken file on the disk never replaces it.

mod files;
mod identity;
mod refresh;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

pub(crate) use files::{Files, TlsError};
pub(crate) use refresh::Certificates;

use crate::listener::IdentityFrom;
use files::{Contents, Digest};

/// An encrypted connection.
pub(crate) type TlsStream = tokio_rustls::server::TlsStream<TcpStream>;

/// Tickets for TLS 1.3 sent with a handshake: a device comes back on one connection at a time.
const TICKETS: usize = 1;

/// What an encrypted listener shows, and whom it asks.
pub(crate) struct Tls {
    files: Files,
    requires_certificate: bool,
    identity_from: IdentityFrom,
    current: ArcSwap<ServerConfig>,
    /// Of the contents that the configuration was made from.
    in_force: Mutex<Digest>,
}

impl Tls {
    /// Reads the files and proves that they can be used together.
    pub(crate) fn load(
        files: Files,
        requires_certificate: bool,
        identity_from: IdentityFrom,
    ) -> Result<Tls, TlsError> {
        let contents = files.read()?;
        let config = configure(&files, &contents, requires_certificate)?;
        Ok(Tls {
            in_force: Mutex::new(contents.digest()),
            files,
            requires_certificate,
            identity_from,
            current: ArcSwap::from_pointee(config),
        })
    }

    pub(crate) fn requires_certificate(&self) -> bool {
        self.requires_certificate
    }

    /// Shakes hands; the stream, and the name in the client's certificate if it showed one.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream, Option<Box<str>>)> {
        let acceptor = TlsAcceptor::from(self.current.load_full());
        let stream = acceptor.accept(stream).await?;
        // What is here was verified: rustls ends a handshake whose certificate `client_ca` does not vouch for.
        let shown = stream.get_ref().1.peer_certificates();
        let name = match shown.and_then(|chain| chain.first()) {
            Some(certificate) => identity::name(certificate, self.identity_from)?,
            None => None,
        };
        Ok((stream, name))
    }
}

/// Paths alone: a key must never reach a log.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("files", &self.files)
            .field("requires_certificate", &self.requires_certificate)
            .field("identity_from", &self.identity_from)
            .finish_non_exhaustive()
    }
}

/// What connections get from these contents.
fn configure(
    files: &Files,
    contents: &Contents,
    requires_certificate: bool,
) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Provider)?;
    let builder = match contents.client_authorities(files)? {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in authorities {
                let added = roots.add(authority);
                added.map_err(|source| files.authority_unusable(source))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = match requires_certificate {
                true => verifier,
                false => verifier.allow_unauthenticated(),
            };
            let verifier = verifier.build();
            builder.with_client_cert_verifier(
                verifier.map_err(|source| files.authorities_unusable(source))?,
            )
        }
    };
    let mut config = builder
        .with_single_cert(contents.chain(files)?, contents.key(files)?)
        .map_err(|source| files.pair_unusable(source))?;
    // Resumption by tickets alone: the state lies with the client. Their keys are new with each load, so that nobody comes
    // back with a ticket for a certificate that the new authorities do not vouch for.
    config.ticketer = ring::Ticketer::new().map_err(TlsError::Provider)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = TICKETS;
    Ok(config)
}
