//! A certificate authority of a test's own, and the certificates it gives out and takes back.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
    date_time_ymd,
};

/// A key whose certificates are trusted by who trusts its own.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// Its own number, if another authority gave it out, and the certificates below it.
    serial: u64,
    issued: AtomicU64,
}

/// A certificate and its key, as PEM.
pub struct Issued {
    pub certificate: String,
    pub key: String,
    pub serial: u64,
}

impl Authority {
    /// One that nobody vouches for.
    pub fn new(name: &str) -> Authority {
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(authority(name, 0), key);
        Authority::of(issuer.expect("an authority"), 0)
    }

    /// Another one, which this one vouches for.
    pub fn below(&self, name: &str) -> Authority {
        let key = KeyPair::generate().expect("a key");
        let serial = self.next_serial();
        let issuer = CertifiedIssuer::signed_by(authority(name, serial), key, &self.issuer);
        Authority::of(issuer.expect("an authority"), serial)
    }

    fn of(issuer: CertifiedIssuer<'static, KeyPair>, serial: u64) -> Authority {
        let issued = AtomicU64::new(0);
        Authority {
            issuer,
            serial,
            issued,
        }
    }

    /// Its own number among those that its authority gave out.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The private key, as PEM.
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// The list of the certificates that it takes back, by their serial numbers; made in `year` and
    /// good until 2100. As PEM.
    pub fn list(&self, revoked: &[u64], year: i32) -> String {
        self.list_until(revoked, year, 2100)
    }

    /// The same, good until the year `end` begins.
    pub fn list_until(&self, revoked: &[u64], year: i32, end: i32) -> String {
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(year, 1, 1),
            next_update: date_time_ymd(end, 1, 1),
            crl_number: SerialNumber::from(year as u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).expect("a list");
        list.pem().expect("PEM")
    }

    /// Its own certificate, as PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// For a server on this machine, under a name of its own.
    pub fn server(&self, name: &str) -> Issued {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params)
    }

    /// For a client of this common name.
    pub fn client(&self, name: &str) -> Issued {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params)
    }

    fn issue(&self, mut params: CertificateParams) -> Issued {
        let serial = self.next_serial();
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer);
        Issued {
            certificate: certificate.expect("a certificate").pem(),
            key: key.serialize_pem(),
            serial,
        }
    }

    fn next_serial(&self) -> u64 {
        self.issued.fetch_add(1, Ordering::Relaxed) + 1
    }
}

fn authority(name: &str, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.serial_number = Some(SerialNumber::from(serial));
    params
}

impl Issued {
    /// Writes `server.pem` and `server.key`.
    pub fn write(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let certificate = folder.join("server.pem");
        let key = folder.join("server.key");
        std::fs::write(&certificate, &self.certificate).expect("written");
        std::fs::write(&key, &self.key).expect("written");
        (certificate, key)
    }
}
