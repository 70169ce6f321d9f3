use std::error::Error as _;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio_rustls::rustls::{self, InconsistentKeys};

use super::*;

/// A file of this text, named by the setting `certificate`.
fn file(text: &str) -> PemFile {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file.pem");
    std::fs::write(&path, text).expect("written");
    let read = PemFile::read("certificate", &path, CERTIFICATES_BYTES_MAX);
    let mut file = read.unwrap_or_else(|error| panic!("{error}"));
    file.path = "file.pem".into();
    file
}

/// What is said, and a part of the hint.
#[track_caller]
fn check<T>(outcome: Result<T, PemError>, message: &str, hint: &str) {
    let error = outcome.err().expect("an error");
    assert_eq!(error.to_string(), message);
    assert_eq!(error.setting(), "certificate");
    let given = error.hint().unwrap_or_default();
    assert!(
        given.contains(hint) && given.is_empty() == hint.is_empty(),
        "{given}"
    );
}

#[test]
fn each_kind_of_file_is_read() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let both = file(&(cert.pem() + &cert.pem() + &signing_key.serialize_pem()));
    assert_eq!(both.certificates().expect("certificates").len(), 2);
    assert_eq!(both.authorities().expect("authorities").len(), 2);
    assert!(both.private_key().is_ok());
    let lists = file("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n");
    assert_eq!(lists.revocation_lists().expect("lists").len(), 1);
}

#[test]
fn a_file_that_cannot_be_used_says_why_and_what_to_do() {
    let nothing = file("# nothing\n");
    let message = "`file.pem` holds no certificate";
    check(nothing.certificates(), message, "x509 -inform der");
    check(nothing.authorities(), message, "x509 -inform der");
    let message = "`file.pem` holds no private key";
    check(nothing.private_key(), message, "pkey -inform der");
    let message = "`file.pem` holds no revocation list";
    check(nothing.revocation_lists(), message, "crl -inform der");

    let torn = file("-----BEGIN CERTIFICATE-----\nAAAA\n");
    let message = "`file.pem` is not a well-formed PEM file";
    check(torn.certificates(), message, "-----BEGIN");
    let noise = file("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let message = "`file.pem` holds a certificate that cannot be a certificate authority";
    check(noise.authorities(), message, "");
    let text = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let message = "`file.pem` holds no private key";
    check(file(text).private_key(), message, "openssl pkey -in FILE");
}

#[test]
fn a_file_that_cannot_be_read_names_the_cause() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("large.pem");
    let absent = PemFile::read("certificate", &path, 10).err();
    let absent = absent.expect("an error");
    assert!(absent.to_string().starts_with("cannot read `"));
    std::fs::write(&path, "0123456789").expect("written");
    assert!(PemFile::read("certificate", &path, 10).is_ok());
    let large = PemFile::read("certificate", &path, 9).err();
    let cause = large.as_ref().and_then(|error| error.source());
    assert_eq!(cause.expect("a cause").to_string(), "larger than 9 bytes");
}

#[test]
fn a_key_of_another_certificate_is_told_from_other_trouble() {
    let (certificate, mut key) = (file(""), file(""));
    (key.setting, key.path) = ("key", "key.pem".into());
    let mismatch = rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch);
    let error = PemError::pair(&certificate, &key, mismatch);
    assert_eq!(
        error.to_string(),
        "the private key in `key.pem` does not belong to the certificate in `file.pem`"
    );
    assert_eq!(error.setting(), "key");
    let other = rustls::Error::General("no".into());
    let error = PemError::pair(&certificate, &key, other);
    assert_eq!(error.to_string(), "`file.pem` and `key.pem` cannot be used");
    assert_eq!(error.setting(), "certificate");
    assert!(error.source().is_some());
}
