//! Files that cannot be used, and what a new look at the files does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pemfile::PemError;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use testkit::Authority;

use super::{Files, Tls, TlsError};
use access::certificate::IdentityFrom;
use access::reload::Taken;

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
}

/// A certificate and its key in `folder`, as `server.pem` and `server.key`.
fn pair(folder: &Path) -> Files {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let files = Files {
        certificate: folder.join("server.pem"),
        key: folder.join("server.key"),
        client_ca: None,
        crl: None,
    };
    write(&files.certificate, &cert.pem());
    write(&files.key, &signing_key.serialize_pem());
    files
}

fn load(files: &Files) -> Result<Tls, TlsError> {
    Tls::load(files.clone(), false, IdentityFrom::Cn)
}

/// What is wrong, and the key it is wrong at; the folder's name does not matter.
fn check(files: &Files, key: &str, message: &str, hint: &str) {
    let error = load(files).expect_err(message);
    let folder = files.certificate.parent().expect("a folder");
    let folder = format!("{}/", folder.display());
    assert_eq!(error.to_string().replace(&folder, ""), message);
    assert_eq!(error.key(), key, "{message}");
    let given = error.hint().unwrap_or_default();
    assert!(
        given.contains(hint) && given.is_empty() == hint.is_empty(),
        "{given}"
    );
}

#[test]
fn files_that_cannot_be_used_are_told_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = pair(folder.path());
    assert!(load(&good).is_ok());

    let named = |name: &str, text: &str| {
        let path = folder.path().join(name);
        write(&path, text);
        path
    };
    let absent = Files {
        certificate: folder.path().join("absent.pem"),
        ..good.clone()
    };
    check(&absent, "certificate", "cannot read `absent.pem`", "");
    let exchanged = Files {
        certificate: good.key.clone(),
        key: good.certificate.clone(),
        client_ca: None,
        crl: None,
    };
    let message = "`server.key` holds no certificate";
    check(&exchanged, "certificate", message, "-----BEGIN");
    let keyless = Files {
        key: good.certificate.clone(),
        ..good.clone()
    };
    check(&keyless, "key", "`server.pem` holds no private key", "DER");
    let text = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let encrypted = Files {
        key: named("locked.key", text),
        ..good.clone()
    };
    let message = "`locked.key` holds no private key";
    check(&encrypted, "key", message, "openssl pkey -in");
    let torn = Files {
        certificate: named("torn.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n"),
        ..good.clone()
    };
    let message = "`torn.pem` is not a well-formed PEM file";
    check(&torn, "certificate", message, "-----BEGIN");
    let foreign = KeyPair::generate().expect("a key").serialize_pem();
    let mismatched = Files {
        key: named("foreign.key", &foreign),
        ..good.clone()
    };
    let message =
        "the private key in `foreign.key` does not belong to the certificate in `server.pem`";
    check(&mismatched, "key", message, "comes first");
    let nobody = Files {
        client_ca: Some(named("nobody.pem", "")),
        ..good
    };
    let message = "`nobody.pem` holds no certificate";
    check(&nobody, "client_ca", message, "-----BEGIN");
}

#[test]
fn lists_that_cannot_be_used_are_told_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let named = |name: &str, text: &str| {
        let path = folder.path().join(name);
        write(&path, text);
        path
    };
    let (authority, other) = (Authority::new("Plant"), Authority::new("Office"));
    let with = |crl: PathBuf| Files {
        client_ca: Some(folder.path().join("clients.pem")),
        crl: Some(crl),
        ..pair(folder.path())
    };
    write(&folder.path().join("clients.pem"), &authority.pem());
    let list = authority.list(&[1], 2020);
    let torn = &list[..list.len() / 2];
    assert!(load(&with(named("good.pem", &list))).is_ok());

    let absent = with(folder.path().join("absent.pem"));
    check(&absent, "crl", "cannot read `absent.pem`", "");
    let message = "`empty.pem` holds no revocation list";
    check(&with(named("empty.pem", "")), "crl", message, "X509 CRL");
    let message = "`torn.pem` is not a well-formed PEM file";
    check(&with(named("torn.pem", torn)), "crl", message, "-----BEGIN");
    let noise = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
    let message = "`noise.pem` holds a revocation list that is malformed";
    check(&with(named("noise.pem", noise)), "crl", message, "");
    let both = authority.pem() + &other.pem();
    write(&folder.path().join("clients.pem"), &both);
    let message = "`good.pem` holds no revocation list of the authority `CN=Office`";
    let unlisted = with(folder.path().join("good.pem"));
    check(&unlisted, "crl", message, "may be empty");
}

#[test]
fn new_files_are_taken_up_when_they_fit() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = pair(folder.path());
    let tls = load(&files).expect("usable");
    let first = tls.current.load_full();
    let is_first = |tls: &Tls| Arc::ptr_eq(&tls.current.load_full(), &first);

    let text = std::fs::read(&files.certificate).expect("a certificate");
    std::fs::write(&files.certificate, text).expect("written");
    assert_eq!(tls.refresh().expect("usable"), Taken::Same);
    assert!(is_first(&tls), "tickets stay good");
    // The certificate alone does not fit the old key.
    let old_key = std::fs::read(&files.key).expect("a key");
    pair(folder.path());
    let new_key = std::fs::read(&files.key).expect("a key");
    std::fs::write(&files.key, old_key).expect("written");
    let refused = tls.refresh().expect_err("the pair does not fit");
    assert!(matches!(refused, TlsError::File(PemError::Mismatch { .. })));
    assert!(is_first(&tls), "the old pair stays");
    std::fs::write(&files.key, new_key).expect("written");
    assert_eq!(tls.refresh().expect("usable"), Taken::New);
    assert!(!is_first(&tls), "taken up");

    let second = tls.current.load_full();
    std::fs::remove_file(&files.key).expect("removed");
    let refused = tls.refresh().expect_err("it is gone");
    assert!(matches!(refused, TlsError::File(PemError::Read { .. })));
    assert!(Arc::ptr_eq(&tls.current.load_full(), &second));
}

#[test]
fn a_key_is_never_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let shown = format!("{:?}", load(&pair(folder.path())).expect("usable"));
    assert!(
        shown.contains("server.key") && !shown.contains("PRIVATE"),
        "{shown}"
    );
}
