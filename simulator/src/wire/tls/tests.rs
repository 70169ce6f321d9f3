use std::error::Error as _;
use std::io;

use rcgen::{CertificateParams, KeyPair};
use tokio_rustls::rustls::{AlertDescription, CertificateError};

use super::*;

/// A certificate and its key, as PEM.
fn pair() -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

/// What loading says, and what it hints at.
fn refusal(keys: &TlsKeys) -> (String, bool) {
    let error = keys.load().expect_err("must not load");
    (error.to_string(), error.hint().is_some())
}

#[test]
fn nothing_is_encrypted_unless_an_authority_is_named() {
    let keys = TlsKeys::default();
    assert!(keys.load().expect("nothing to read").is_none());
    assert_eq!(keys.default_port(), 1883);
}

#[test]
fn keys_that_need_each_other_say_so() {
    let some = || Some(PathBuf::from("file.pem"));
    for (keys, expected) in [
        (
            TlsKeys {
                cert: some(),
                key: some(),
                ..TlsKeys::default()
            },
            "`cert` needs `cafile`",
        ),
        (
            TlsKeys {
                cafile: some(),
                cert: some(),
                ..TlsKeys::default()
            },
            "`cert` needs `key`",
        ),
        (
            TlsKeys {
                cafile: some(),
                key: some(),
                ..TlsKeys::default()
            },
            "`key` needs `cert`",
        ),
        (
            TlsKeys {
                insecure: true,
                ..TlsKeys::default()
            },
            "`insecure` needs `cafile`",
        ),
    ] {
        assert_eq!(refusal(&keys).0, expected);
    }
}

#[test]
fn files_are_read_and_what_is_wrong_with_them_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        Some(path)
    };
    let (certificate, secret) = pair();
    let certificate = write("certificate.pem", &certificate);
    let key = write("key.pem", &secret);
    let good = TlsKeys {
        cafile: certificate.clone(),
        cert: certificate.clone(),
        key: key.clone(),
        insecure: false,
    };
    let loaded = good.load().expect("good files").expect("encrypted");
    assert_eq!(good.default_port(), 8883);
    // A private key must not reach a log by way of somebody's `{:?}`.
    assert_eq!(format!("{loaded:?}"), "Tls { .. }");

    let cafile = |path| TlsKeys {
        cafile: path,
        ..good.clone()
    };
    let missing = refusal(&cafile(Some(folder.path().join("none.pem"))));
    assert!(missing.0.starts_with("cannot read `"));
    for (keys, expected) in [
        (cafile(write("empty.pem", "")), "holds no certificate"),
        (cafile(key.clone()), "holds no certificate"),
        (
            cafile(write("torn.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n")),
            "is not a well-formed PEM file",
        ),
        (
            TlsKeys {
                key: certificate.clone(),
                ..good.clone()
            },
            "holds no private key",
        ),
        (
            TlsKeys {
                key: write("other.pem", &pair().1),
                ..good.clone()
            },
            "does not belong to the certificate in",
        ),
    ] {
        let (message, has_hint) = refusal(&keys);
        assert!(message.contains(expected), "{message}");
        assert!(has_hint, "{message}");
    }
}

#[test]
fn advice_is_found_under_what_wraps_the_cause() {
    let issuer = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
    let wrapped = io::Error::new(io::ErrorKind::InvalidData, issuer);
    let connect = crate::ConnectError::Tls(wrapped);
    assert!(connect.source().is_some());
    let advice = Advice::on(&connect).expect("advice");
    assert!(advice.is_final && advice.hint.contains("`--cafile`"));

    let wanted = rustls::Error::AlertReceived(AlertDescription::CertificateRequired);
    let advice = Advice::on(&wanted).expect("advice");
    assert!(advice.hint.contains("`--cert` and `--key`"));

    let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    assert_eq!(Advice::on(&refused), None);
    let renewed = rustls::Error::AlertReceived(AlertDescription::InternalError);
    assert_eq!(Advice::on(&renewed), None);
}
