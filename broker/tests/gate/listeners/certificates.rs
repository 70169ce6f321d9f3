//! What is shown and asked for on encrypted listeners, and how it changes under living connections.

use std::io::{Read, Write};

use broker::{Config, ListenerKind};
use mqtt::Version;
use mqtt::client::Connect;
use testkit::mqtt::{Client, Secure, secure, trusting};
use testkit::{Authority, Issued, PATIENCE, wait_until};

use super::doors::Doors;

/// The subject's common name in the certificate that the server shows.
fn shown(doors: &Doors) -> String {
    let mut stream = secure(
        doors.socket(ListenerKind::Tls),
        trusting(&doors.authority.pem(), None),
    );
    stream.flush().expect("a handshake");
    while stream.conn.is_handshaking() {
        stream
            .conn
            .complete_io(&mut stream.sock)
            .expect("a handshake");
    }
    let chain = stream.conn.peer_certificates().expect("a certificate");
    let (_, certificate) = x509_parser::parse_x509_certificate(&chain[0]).expect("X.509");
    let name = certificate.subject().iter_common_name().next();
    name.and_then(|name| name.as_str().ok())
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn new_certificates_are_taken_up_while_connections_live() {
    let doors = Doors::open();
    let mut old = [ListenerKind::Tls, ListenerKind::Wss]
        .map(|kind| doors.connect(kind, Version::V5, &format!("{kind:?}")));
    assert_eq!(shown(&doors), "first");

    doors.authority.server("second").write(doors.folder.path());
    let is_second = |name: &String| name == "second";
    wait_until(
        "the second certificate",
        PATIENCE,
        || shown(&doors),
        is_second,
    );

    // A broken file in between changes nothing, and does not end the looking.
    let broken = doors.folder.path().join("server.pem");
    std::fs::write(broken, "no certificate").expect("written");
    assert_eq!(shown(&doors), "second");
    doors.authority.server("third").write(doors.folder.path());
    let is_third = |name: &String| name == "third";
    wait_until(
        "the third certificate",
        PATIENCE,
        || shown(&doors),
        is_third,
    );

    old.iter_mut().for_each(Client::is_served);
    doors.serves_fresh_clients();
}

/// Encrypted listeners that know their clients, and the file of the rules for these, which must
/// outlive the broker.
fn mutual(require: bool) -> (Doors, tempfile::NamedTempFile) {
    let acl = tempfile::NamedTempFile::new().expect("a file");
    let rules = "[[rule]]\ncertificate = \"boiler-*\"\nallow = \"both\"\ntopics = \"#\"\n";
    std::fs::write(acl.path(), rules).expect("written");
    let mut config = Config {
        allow_anonymous: true,
        ..Config::default()
    };
    config.acl.file = Some(acl.path().to_owned());
    let doors = Doors::with(config, |listener| {
        // Any name: the authority's file takes its place.
        listener.client_ca = Some("authority".into());
        listener.require_client_certificate = require && listener.kind.is_encrypted();
    });
    (doors, acl)
}

fn call(doors: &Doors, shown: Option<&Issued>) -> Client<Secure> {
    let config = trusting(&doors.authority.pem(), shown);
    Client::over(secure(doors.socket(ListenerKind::Tls), config), Version::V5)
}

/// Whether the server shakes hands: what is answered to a CONNECT.
fn answer(doors: &Doors, shown: Option<&Issued>) -> String {
    let mut line = call(doors, shown);
    let mut connect = Vec::new();
    mqtt::client::connect(&mut connect, &Connect::new(Version::V5, ""));
    // In TLS 1.3 a client learns only afterwards that its certificate was refused.
    if line.stream.write_all(&connect).is_err() {
        return "refused".into();
    }
    match line.stream.read(&mut [0; 1]) {
        Ok(1) => "answered".into(),
        _ => "refused".into(),
    }
}

#[test]
fn a_required_certificate_must_come_from_the_authority() {
    let (doors, _rules) = mutual(true);
    let known = doors.authority.client("boiler-1");
    let foreign = Authority::new("Somebody Else").client("boiler-1");
    let server = doors.authority.server("boiler-1");
    assert_eq!(answer(&doors, Some(&known)), "answered");
    assert_eq!(answer(&doors, None), "refused");
    assert_eq!(answer(&doors, Some(&foreign)), "refused");
    // A server's certificate is none for clients, whoever gave it out.
    assert_eq!(answer(&doors, Some(&server)), "refused");
}

#[test]
fn the_name_in_a_certificate_is_who_a_client_is() {
    let (doors, _rules) = mutual(false);
    let reason = |shown: Option<&Issued>| {
        let mut line = call(&doors, shown);
        line.send_connect(&Connect::new(Version::V5, ""));
        assert_eq!(line.next(), "connack 0");
        let mut bytes = Vec::new();
        let subscription = mqtt::Subscription {
            filter: "private/#",
            qos: mqtt::Qos::AtMostOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: mqtt::RetainHandling::Send,
        };
        let client = mqtt::client::subscribe;
        client(&mut bytes, Version::V5, 1, None, &[subscription]);
        line.send(&bytes);
        line.next()
    };
    let named = doors.authority.client("boiler-1");
    let other = doors.authority.client("toaster-1");
    assert_eq!(reason(Some(&named)), "suback [0]");
    assert_eq!(reason(Some(&other)), "suback [87]");
    assert_eq!(reason(None), "suback [87]");
    // A certificate that nobody vouched for is no way to be nobody either.
    let foreign = Authority::new("Somebody Else").client("boiler-1");
    assert_eq!(answer(&doors, Some(&foreign)), "refused");
}

#[test]
fn a_resumed_session_keeps_the_name() {
    let (doors, _rules) = mutual(true);
    let config = trusting(
        &doors.authority.pem(),
        Some(&doors.authority.client("boiler-1")),
    );
    for expected in [None, Some(true)] {
        let stream = secure(doors.socket(ListenerKind::Tls), config.clone());
        let mut line = Client::over(stream, Version::V5);
        line.send_connect(&Connect::new(Version::V5, ""));
        assert_eq!(line.next(), "connack 0");
        line.subscribe("private/#");
        let kind = line.stream.conn.handshake_kind();
        let is_resumed = kind == Some(tokio_rustls::rustls::HandshakeKind::Resumed);
        assert_eq!(is_resumed, expected.unwrap_or(false));
    }
}
