//! Strangers who connect and say nothing, or nonsense, or very slowly.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use broker::{Config, ListenerKind};
use mqtt::Version;
use testkit::mqtt::{secure, trusting};
use testkit::{PATIENCE, wait_until};

use super::doors::{Doors, KINDS};

fn with_timeout(connect_timeout: Duration) -> Doors {
    let config = Config {
        connect_timeout,
        ..Config::default()
    };
    Doors::with(config, |_| {})
}

fn connections(doors: &Doors) -> u64 {
    let broker = doors.broker.as_ref().expect("running");
    broker.stats().connections.get()
}

#[test]
fn silence_on_any_kind_keeps_nobody_out() {
    // Long after the test: nothing is freed by it.
    let doors = with_timeout(Duration::from_secs(600));
    // 2,000 connections that say nothing, and some that stop in the middle of what comes first.
    let mut silent: Vec<TcpStream> = Vec::new();
    for kind in KINDS {
        silent.extend((0..500).map(|_| doors.socket(kind)));
        for beginning in [
            &b"\x16\x03\x01\x02"[..],
            b"GET /mqtt HTTP/1.1\r\nHost:",
            b"\x10",
        ] {
            let mut socket = doors.socket(kind);
            socket.write_all(beginning).expect("sent");
            silent.push(socket);
        }
    }
    // Behind TLS and the upgrade, without a CONNECT.
    let idle: Vec<_> = KINDS
        .iter()
        .map(|&kind| doors.call(kind, Version::V5))
        .collect();
    doors.serves_fresh_clients();
    assert!(connections(&doors) >= 1_900);
    drop((silent, idle));
    wait_until(
        "all places are free",
        PATIENCE,
        || connections(&doors),
        |&open| open == 0,
    );
}

#[test]
fn nonsense_ends_its_own_connection_alone() {
    let doors = Doors::open();
    let mut bystanders = KINDS.map(|kind| doors.connect(kind, Version::V5, &format!("{kind:?}")));
    let noise: Vec<u8> = (0..5_000_u32).map(|n| (n * n % 251) as u8).collect();
    // A record of the largest length that TLS does not allow, and a hello of the right shape with
    // nothing in it.
    let record = [&[0x16, 3, 3, 0xFF, 0xFF][..], &[0; 70_000]].concat();
    let hello = [&[0x16, 3, 1, 0, 5, 1, 0, 0, 1][..], &[0; 64]].concat();
    for kind in KINDS {
        for bytes in [&noise, &record, &hello] {
            let mut socket = doors.socket(kind);
            // The broker may close while this is being sent.
            let _ = socket.write_all(bytes);
            let _ = socket.read_to_end(&mut Vec::new());
        }
    }
    for bystander in &mut bystanders {
        bystander.is_served();
    }
    doors.serves_fresh_clients();
}

/// Sends `bytes` one at a time, and then the last one again and again, until the broker has enough.
fn drip(mut stream: impl Read + Write, bytes: &[u8]) {
    let endless = bytes
        .iter()
        .chain(std::iter::repeat(bytes.last().expect("some")));
    for byte in endless {
        // The attack itself: slow, but never silent.
        std::thread::sleep(Duration::from_millis(10));
        if stream
            .write_all(&[*byte])
            .and_then(|()| stream.flush())
            .is_err()
        {
            return;
        }
    }
}

#[test]
fn a_handshake_byte_by_byte_is_cut_off_at_the_deadline() {
    let doors = with_timeout(Duration::from_secs(1));
    let proxied = {
        let config = Config {
            connect_timeout: Duration::from_secs(1),
            ..Config::default()
        };
        Doors::with(config, |listener| listener.proxy_protocol = true)
    };
    std::thread::scope(|scope| {
        // Each would last for minutes at this pace: a CONNECT with a long client id, a hello of 16
        // KB, a head of 8 KB.
        let connect = [&b"\x10\xF4\x03\0\x04MQTT\x04\x02\0\0\x01\xE8"[..], b"c"].concat();
        let head = b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nCookie: x".to_vec();
        let hello = vec![0x16, 3, 1, 0x3F, 0xFF, 1, 0, 0x3F, 0xFB, 3, 3, 0];
        let slow = |kind, bytes: Vec<u8>| {
            let socket = doors.socket(kind);
            scope.spawn(move || drip(socket, &bytes));
        };
        slow(ListenerKind::Tcp, connect.clone());
        slow(ListenerKind::Tls, hello.clone());
        slow(ListenerKind::Ws, head.clone());
        slow(ListenerKind::Wss, hello);
        // Behind a quick TLS handshake: the upgrade, or CONNECT, has what is left of the same time.
        let trust = trusting(&doors.authority.pem(), None);
        let behind = secure(doors.socket(ListenerKind::Wss), trust.clone());
        scope.spawn(move || drip(behind, &head));
        let behind = secure(doors.socket(ListenerKind::Tls), trust);
        scope.spawn(move || drip(behind, &connect));
        let signature = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x0F\xFF\0".to_vec();
        let socket = proxied.socket(ListenerKind::Tls);
        scope.spawn(move || drip(socket, &signature));
    });
    wait_until(
        "all places are free",
        PATIENCE,
        || connections(&doors) + connections(&proxied),
        |&open| open == 0,
    );
    doors.serves_fresh_clients();
}
