//! Certificates that their authority has taken back.
//!
//! Owns: what the revocation lists say, and whether it concerns a connection that was let in
//! before. Never: verifies a list's signature; rustls does, with each handshake. Invariant: of
//! lists for the same certificates the newest counts alone.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use ring::digest::{Context, SHA256};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::parse_x509_certificate;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

/// The extension that says which certificates a list is about, when it is not about all of its
/// issuer (RFC 5280, 5.2.5).
const ISSUING_DISTRIBUTION_POINT: &str = "2.5.29.28";

/// The lists of a listener, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationLists {
    pub file: PathBuf,
    /// Certificates that are taken back.
    pub revoked: usize,
    /// Seconds since 1970 at which the first list is due to be replaced.
    pub next_update: Option<i64>,
}

/// What lists say together.
pub struct Revocations {
    revoked: HashSet<CertificateId>,
    /// Names of those whose lists there are.
    issuers: HashSet<Box<[u8]>>,
    /// Seconds since 1970 at which the first of them is due to be replaced.
    next_update: Option<i64>,
    is_expiry_told: AtomicBool,
}

/// Which certificate it is, for whoever has a list of its issuer (RFC 5280, 5.3): half of SHA-256
/// of issuer and serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct CertificateId([u8; 16]);

/// A certificate that a client was let in with and that may be taken back.
pub struct Revocable {
    /// The client's own and those between it and the authority.
    chain: Box<[CertificateId]>,
    /// As they are now, at the listener where the client came in.
    revocations: Arc<ArcSwap<Revocations>>,
}

/// A list that is none.
pub struct Malformed;

impl Revocations {
    /// Reads the lists, and leaves in `lists` those that count.
    pub fn of(
        lists: &mut Vec<CertificateRevocationListDer<'static>>,
    ) -> Result<Revocations, Malformed> {
        let mut all = Vec::with_capacity(lists.len());
        for der in lists.iter() {
            let (_, list) = CertificateRevocationList::from_der(der).map_err(|_| Malformed)?;
            all.push(list);
        }
        let mut newest = HashMap::new();
        for (index, list) in all.iter().enumerate() {
            let at = newest.entry(scope(list)).or_insert(index);
            if all[*at].last_update() < list.last_update() {
                *at = index;
            }
        }
        let counts: HashSet<usize> = newest.into_values().collect();
        let mut revocations = Revocations::none();
        for index in &counts {
            revocations.add(&all[*index]);
        }
        let mut index = 0..;
        lists.retain(|_| index.next().is_some_and(|index| counts.contains(&index)));
        Ok(revocations)
    }

    pub fn none() -> Revocations {
        Revocations {
            revoked: HashSet::new(),
            issuers: HashSet::new(),
            next_update: None,
            is_expiry_told: AtomicBool::new(false),
        }
    }

    fn add(&mut self, list: &CertificateRevocationList<'_>) {
        let issuer = list.issuer().as_raw();
        self.issuers.insert(issuer.into());
        let revoked = list.iter_revoked_certificates();
        let ids = revoked.map(|entry| CertificateId::of(issuer, entry.raw_serial()));
        self.revoked.extend(ids);
        let next = list.next_update().map(|time| time.timestamp());
        self.next_update = self.next_update.into_iter().chain(next).min();
    }

    /// The name of an authority without a list: nothing could be said of its certificates.
    pub fn uncovered(&self, authorities: &[CertificateDer<'_>]) -> Option<String> {
        let name = |authority| {
            let (_, authority) = parse_x509_certificate(authority).ok()?;
            let subject = authority.subject();
            (!self.issuers.contains(subject.as_raw())).then(|| subject.to_string())
        };
        authorities.iter().find_map(|authority| name(authority))
    }

    /// Certificates that are revoked.
    pub fn count(&self) -> usize {
        self.revoked.len()
    }

    pub fn next_update(&self) -> Option<i64> {
        self.next_update
    }

    /// Whether a list has expired and nobody has been told yet.
    pub fn is_expiry_news(&self, now: u64) -> bool {
        let expired = |due: i64| u64::try_from(due).map_or(true, |due| due < now);
        self.next_update.is_some_and(expired) && !self.is_expiry_told.swap(true, Ordering::Relaxed)
    }
}

impl CertificateId {
    fn of(issuer: &[u8], serial: &[u8]) -> CertificateId {
        // A number of its own may be written with zeros before it.
        let zeros = serial.iter().take_while(|byte| **byte == 0).count();
        let mut context = Context::new(&SHA256);
        context.update(issuer);
        context.update(&serial[zeros..]);
        let mut id = [0; 16];
        id.copy_from_slice(&context.finish().as_ref()[..16]);
        CertificateId(id)
    }

    fn of_certificate(certificate: &X509Certificate<'_>) -> CertificateId {
        CertificateId::of(certificate.issuer().as_raw(), certificate.raw_serial())
    }
}

impl Revocable {
    /// What a client has shown. A certificate that cannot be read here was not needed to verify its
    /// own.
    pub fn new(chain: &[CertificateDer<'_>], revocations: Arc<ArcSwap<Revocations>>) -> Revocable {
        let parsed = chain
            .iter()
            .filter_map(|der| parse_x509_certificate(der).ok());
        Revocable {
            chain: parsed
                .map(|(_, it)| CertificateId::of_certificate(&it))
                .collect(),
            revocations,
        }
    }

    /// Whether it has been taken back by now.
    pub fn is_revoked(&self) -> bool {
        let revoked = &self.revocations.load().revoked;
        self.chain.iter().any(|id| revoked.contains(id))
    }
}

impl PartialEq for Revocable {
    fn eq(&self, other: &Revocable) -> bool {
        self.chain == other.chain && Arc::ptr_eq(&self.revocations, &other.revocations)
    }
}

impl Eq for Revocable {}

impl fmt::Debug for Revocable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Revocable")
            .field("chain", &self.chain)
            .finish_non_exhaustive()
    }
}

/// Which certificates a list is about: those of its issuer, or a part of them.
fn scope<'a>(list: &'a CertificateRevocationList<'_>) -> (&'a [u8], Option<&'a [u8]>) {
    let part = list
        .extensions()
        .iter()
        .find(|extension| extension.oid.to_id_string() == ISSUING_DISTRIBUTION_POINT);
    (
        list.issuer().as_raw(),
        part.map(|extension| extension.value),
    )
}
