//! TLS 1.2 and 1.3 for listeners, with certificates that may change while connections live.
//!
//! Owns: the configuration that new connections get, the name that a client's certificate proves,
//! and whether that certificate was taken back since. Never: ends a connection that was accepted;
//! who owns it asks. Invariant: there is always a usable configuration; a broken file on the disk
//! never replaces it.

mod files;
mod refresh;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use access::certificate::{IdentityFrom, Revocable, RevocationLists, Revocations, name_in};
use arc_swap::ArcSwap;
use pemfile::PemError;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};

use files::{Contents, Digest};
pub(crate) use files::{Files, TlsError};

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
    /// `None`: certificates are not looked for in lists.
    revocations: Option<Arc<ArcSwap<Revocations>>>,
    /// Of the contents that the configuration was made from.
    in_force: Mutex<Digest>,
}

/// What a client has shown that an authority vouched for.
#[derive(Default)]
pub(crate) struct Shown {
    /// The name in its certificate.
    pub(crate) name: Option<Box<str>>,
    /// Where certificates can be taken back.
    pub(crate) revocable: Option<Arc<Revocable>>,
}

impl Tls {
    /// Reads the files and proves that they can be used together.
    pub(crate) fn load(
        files: Files,
        requires_certificate: bool,
        identity_from: IdentityFrom,
    ) -> Result<Tls, TlsError> {
        let contents = files.read()?;
        let (config, revocations) = configure(&files, &contents, requires_certificate)?;
        Ok(Tls {
            in_force: Mutex::new(contents.digest()),
            revocations: files
                .crl
                .is_some()
                .then(|| Arc::new(ArcSwap::from_pointee(revocations))),
            files,
            requires_certificate,
            identity_from,
            current: ArcSwap::from_pointee(config),
        })
    }

    pub(crate) fn requires_certificate(&self) -> bool {
        self.requires_certificate
    }

    /// The revocation lists as they are now, if certificates are looked for in some.
    pub(crate) fn revocation_lists(&self) -> Option<RevocationLists> {
        let revocations = self.revocations.as_ref()?.load();
        Some(RevocationLists {
            file: self.files.crl.clone()?,
            revoked: revocations.count(),
            next_update: revocations.next_update(),
        })
    }

    /// Shakes hands; the stream, and what the client has shown.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<(TlsStream, Shown)> {
        let acceptor = TlsAcceptor::from(self.current.load_full());
        let stream = acceptor.accept(stream).await?;
        // What is here was verified: rustls ends a handshake whose certificate `client_ca` does not
        // vouch for.
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let Some(certificate) = chain.first() else {
            return Ok((stream, Shown::default()));
        };
        let revocations = self.revocations.as_ref();
        let shown = Shown {
            name: name_in(certificate, self.identity_from)?,
            revocable: revocations
                .map(|revocations| Arc::new(Revocable::new(chain, Arc::clone(revocations)))),
        };
        Ok((stream, shown))
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

/// The configuration that these contents make, and the certificates that they revoke.
fn configure(
    files: &Files,
    contents: &Contents,
    requires_certificate: bool,
) -> Result<(ServerConfig, Revocations), TlsError> {
    let mut revocations = Revocations::none();
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Provider)?;
    let builder = match &contents.client_ca {
        None => builder.with_no_client_auth(),
        Some(client_ca) => {
            let roots = Arc::new(client_ca.authorities()?);
            let mut verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            if !requires_certificate {
                verifier = verifier.allow_unauthenticated();
            }
            // rustls asks for a list about every certificate up to the authority's own, since each
            // of them can sign others. An expired list still counts: what it revokes stays revoked,
            // and a list that is renewed too late must not keep a whole fleet out. The log says
            // that it has expired.
            if let Some((lists, said)) = contents.revocations(files, &client_ca.certificates()?)? {
                revocations = said;
                verifier = verifier.with_crls(lists);
            }
            let verifier = verifier.build();
            builder.with_client_cert_verifier(
                verifier.map_err(|source| files.verifier_unusable(source))?,
            )
        }
    };
    let (certificate, key) = (&contents.certificate, &contents.key);
    let mut config = builder
        .with_single_cert(certificate.certificates()?, key.private_key()?)
        .map_err(|source| PemError::pair(certificate, key, source))?;
    // Sessions are resumed with tickets alone, so their state lies with the client. The tickets'
    // keys change with each load: a ticket must not outlive the authorities that it was issued
    // under.
    config.ticketer = ring::Ticketer::new().map_err(TlsError::Provider)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = TICKETS;
    Ok((config, revocations))
}
