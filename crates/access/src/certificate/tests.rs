//! Names in certificates, and which revocation lists count.

use rcgen::string::Ia5String;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, SanType};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use testkit::Authority;

use super::{IdentityFrom, Revocations, name_in};

#[test]
fn of_lists_of_one_authority_the_newest_counts() {
    let (authority, other) = (Authority::new("Plant"), Authority::new("Office"));
    let der = |text: &String| CertificateRevocationListDer::from_pem_slice(text.as_bytes());
    let texts = [
        authority.list(&[1], 2021),
        other.list(&[1, 2], 2020),
        authority.list(&[3, 4, 5], 2022),
    ];
    let mut lists = texts
        .each_ref()
        .map(|text| der(text).expect("PEM"))
        .to_vec();
    let kept = [lists[1].clone(), lists[2].clone()];
    let Ok(revocations) = Revocations::of(&mut lists) else {
        panic!("good lists");
    };
    assert_eq!(lists, kept);
    assert_eq!(revocations.count(), 5);
    let certificate = |pem: String| CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM");
    let authorities = [authority.pem(), other.pem()].map(certificate);
    assert_eq!(revocations.uncovered(&authorities), None);

    // Due at the beginning of 2100, and told once.
    let due = 4_102_444_800;
    assert_eq!(revocations.next_update(), Some(due as i64));
    assert!(!revocations.is_expiry_news(due));
    assert!(revocations.is_expiry_news(due + 1));
    assert!(!revocations.is_expiry_news(due + 2));
}

fn certificate(change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    change(&mut params);
    let key = KeyPair::generate().expect("a key");
    params
        .self_signed(&key)
        .expect("a certificate")
        .der()
        .clone()
}

#[test]
fn a_name_comes_from_the_field_that_was_asked_for() {
    let text = |text: &str| Ia5String::try_from(text).expect("ascii");
    let name = |certificate: &CertificateDer<'_>, from| {
        name_in(certificate, from).map_err(|error| error.to_string())
    };
    let full = certificate(|params| {
        params
            .distinguished_name
            .push(DnType::CommonName, "boiler-1");
        params.subject_alt_names = vec![
            SanType::URI(text("urn:device:1")),
            SanType::Rfc822Name(text("boiler@example.org")),
            SanType::DnsName(text("boiler-1.example.org")),
            SanType::DnsName(text("second.example.org")),
        ];
    });
    assert_eq!(name(&full, IdentityFrom::Cn), Ok(Some("boiler-1".into())));
    assert_eq!(
        name(&full, IdentityFrom::San),
        Ok(Some("boiler-1.example.org".into()))
    );
    let mail = certificate(|params| {
        params.subject_alt_names = vec![
            SanType::URI(text("urn:device:1")),
            SanType::Rfc822Name(text("boiler@example.org")),
        ];
    });
    assert_eq!(
        name(&mail, IdentityFrom::San),
        Ok(Some("boiler@example.org".into()))
    );
    assert_eq!(name(&mail, IdentityFrom::Cn), Ok(None));
    let uri = certificate(|params| {
        params.subject_alt_names = vec![SanType::URI(text("urn:device:1"))];
    });
    assert_eq!(
        name(&uri, IdentityFrom::San),
        Ok(Some("urn:device:1".into()))
    );
    let bare = certificate(|params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    assert_eq!(name(&bare, IdentityFrom::San), Ok(None));
    let split = certificate(|params| {
        params
            .distinguished_name
            .push(DnType::CommonName, "admin\0.example.org");
    });
    let unusable = Err("the name in the client's certificate cannot be used".to_owned());
    assert_eq!(name(&split, IdentityFrom::Cn), unusable);
    let expired = certificate(|params| {
        params.distinguished_name.push(DnType::CommonName, "late");
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    let invalid = Err("the client's certificate is not valid now".to_owned());
    assert_eq!(name(&expired, IdentityFrom::Cn), invalid);
}
