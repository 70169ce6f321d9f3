//! Certificates that their authority takes back, before their clients come and while they are here.

use std::io::{Read, Write};
use std::sync::Arc;

use access::reload::Outcome;
use broker::{Config, ListenerKind};
use mqtt::Version;
use mqtt::client::{self, Connect};
use testkit::mqtt::{Client, Secure, secure, trusting};
use testkit::{Authority, Issued};
use tokio_rustls::rustls::{ClientConfig, HandshakeKind};

use super::doors::Doors;

/// Encrypted listeners that ask for certificates and look for them in a list, which is empty at
/// first.
fn listed() -> Doors {
    let config = Config {
        allow_anonymous: true,
        ..Config::default()
    };
    Doors::with(config, |listener| {
        // Any names: the authority's files take their place.
        listener.client_ca = Some("authority".into());
        listener.crl = Some("list".into());
        listener.require_client_certificate = listener.kind.is_encrypted();
    })
}

fn call(doors: &Doors, config: &Arc<ClientConfig>) -> Client<Secure> {
    let socket = doors.socket(ListenerKind::Tls);
    Client::over(secure(socket, Arc::clone(config)), Version::V5)
}

/// A client that shows this certificate, and its configuration, which keeps tickets.
fn connect(doors: &Doors, client_id: &str, shown: &Issued) -> (Client<Secure>, Arc<ClientConfig>) {
    let config = trusting(&doors.authority.pem(), Some(shown));
    let mut line = call(doors, &config);
    line.send_connect(&Connect::new(Version::V5, client_id));
    assert_eq!(line.next(), "connack 0");
    line.is_served();
    (line, config)
}

/// Whether the server lets the client through its TLS handshake.
fn is_let_in(doors: &Doors, config: &Arc<ClientConfig>) -> bool {
    let mut line = call(doors, config);
    let mut connect = Vec::new();
    client::connect(&mut connect, &Connect::new(Version::V5, ""));
    // In TLS 1.3 a client learns only afterwards that its certificate was refused.
    line.stream.write_all(&connect).is_ok() && line.stream.read(&mut [0; 1]).is_ok_and(|n| n == 1)
}

fn write_lists(doors: &Doors, lists: &[String]) {
    let file = doors.folder.path().join("revoked.pem");
    std::fs::write(file, lists.concat()).expect("written");
}

/// What became of the certificates of both encrypted listeners.
fn reload(doors: &Doors) -> [Outcome; 2] {
    let reloaded = doors.reload();
    let certificates = reloaded
        .iter()
        .filter(|it| it.name.starts_with("certificates"));
    let outcomes: Vec<_> = certificates.map(|it| it.outcome).collect();
    outcomes.try_into().expect("two listeners")
}

#[test]
fn a_certificate_that_is_taken_back_ends_its_connection_and_lets_nobody_in() {
    let doors = listed();
    let (lost, kept) = (
        doors.authority.client("lost"),
        doors.authority.client("kept"),
    );
    let (mut lost_line, lost_config) = connect(&doors, "lost", &lost);
    let (mut kept_line, kept_config) = connect(&doors, "kept", &kept);

    write_lists(&doors, &[doors.authority.list(&[lost.serial], 2021)]);
    assert_eq!(reload(&doors), [Outcome::New; 2]);
    // Not authorized: unlike after an administrative action, coming back is of no use.
    assert_eq!(lost_line.next(), "disconnect 87");
    assert_eq!(lost_line.next(), "closed");
    kept_line.is_served();
    // Not with the ticket from before either.
    assert!(!is_let_in(&doors, &lost_config));
    assert!(is_let_in(&doors, &kept_config));

    // A newer list that takes less back; which of the two comes first does not matter.
    let newer = doors.authority.list(&[kept.serial], 2022);
    let older = doors.authority.list(&[lost.serial], 2021);
    write_lists(&doors, &[older, newer]);
    assert_eq!(reload(&doors), [Outcome::New; 2]);
    assert_eq!(kept_line.next(), "disconnect 87");
    assert!(is_let_in(&doors, &lost_config));
    assert!(!is_let_in(&doors, &kept_config));
}

#[test]
fn a_list_is_taken_up_by_itself_and_an_expired_one_still_counts() {
    let doors = listed();
    let (lost, kept) = (
        doors.authority.client("lost"),
        doors.authority.client("kept"),
    );
    let (mut line, _) = connect(&doors, "lost", &lost);
    write_lists(
        &doors,
        &[doors.authority.list_until(&[lost.serial], 2000, 2001)],
    );
    assert_eq!(line.next(), "disconnect 87");
    let shown = |issued| trusting(&doors.authority.pem(), Some(issued));
    assert!(!is_let_in(&doors, &shown(&lost)));
    assert!(is_let_in(&doors, &shown(&kept)));
}

#[test]
fn lists_that_cannot_be_used_leave_those_from_before() {
    let doors = listed();
    let lost = doors.authority.client("lost");
    let config = trusting(&doors.authority.pem(), Some(&lost));
    write_lists(&doors, &[doors.authority.list(&[lost.serial], 2021)]);
    assert_eq!(reload(&doors), [Outcome::New; 2]);
    let half = doors.authority.list(&[], 2022);
    let half = half[..half.len() / 2].to_owned();
    for broken in [
        String::new(),
        half,
        Authority::new("Somebody Else").list(&[], 2022),
        "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n".to_owned(),
    ] {
        write_lists(&doors, &[broken]);
        assert_eq!(reload(&doors), [Outcome::Failed; 2]);
        assert!(!is_let_in(&doors, &config));
    }
    write_lists(&doors, &[doors.authority.list(&[], 2022)]);
    assert_eq!(reload(&doors), [Outcome::New; 2]);
    assert!(is_let_in(&doors, &config));
}

#[test]
fn every_certificate_up_to_the_authority_is_looked_for() {
    let doors = listed();
    let plant = doors.authority.below("Plant");
    let device = plant.client("device");
    let chain = Issued {
        certificate: device.certificate + &plant.pem(),
        ..device
    };
    let config = trusting(&doors.authority.pem(), Some(&chain));
    // There is no list of the plant's: nobody knows whether the certificate is still good.
    assert!(!is_let_in(&doors, &config));
    let nobody = || plant.list(&[], 2021);
    write_lists(&doors, &[doors.authority.list(&[], 2021), nobody()]);
    reload(&doors);
    let (mut line, config) = connect(&doors, "device", &chain);
    write_lists(
        &doors,
        &[doors.authority.list(&[plant.serial()], 2022), nobody()],
    );
    reload(&doors);
    assert_eq!(line.next(), "disconnect 87");
    assert!(!is_let_in(&doors, &config));
}

#[test]
fn what_is_the_same_keeps_tickets_good() {
    let doors = listed();
    let (mut line, config) = connect(&doors, "device", &doors.authority.client("device"));
    write_lists(&doors, &[doors.authority.list(&[], 2020)]);
    line.disconnect();
    assert_eq!(line.next(), "closed");
    let mut again = call(&doors, &config);
    again.send_connect(&Connect::new(Version::V5, "device"));
    assert_eq!(again.next(), "connack 0");
    let kind = again.stream.conn.handshake_kind();
    assert_eq!(kind, Some(HandshakeKind::Resumed));
}
