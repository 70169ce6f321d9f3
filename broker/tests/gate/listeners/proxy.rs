//! Behind a load balancer that tells whom it speaks for.

use std::io::Write;
use std::net::TcpStream;

use broker::{Config, ListenerKind};
use mqtt::Version;
use mqtt::client::Connect;
use testkit::mqtt::Client;

use super::doors::{Caller, Doors, KINDS};

/// Listeners that require the header; everybody may come through them.
fn behind_a_proxy(max_connections_per_address: usize) -> Doors {
    let config = Config {
        allow_anonymous: true,
        max_connections_per_address,
        ..Config::default()
    };
    Doors::with(config, |listener| listener.proxy_protocol = true)
}

fn header(command: u8, source: [u8; 4], port: u16) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    // IPv4 over TCP: two addresses, two ports, and a TLV that is not looked at.
    bytes.extend([0x20 | command, 0x11, 0, 12 + 5]);
    bytes.extend(source);
    bytes.extend([10, 0, 0, 1]);
    bytes.extend(port.to_be_bytes());
    bytes.extend(1883_u16.to_be_bytes());
    bytes.extend([0x01, 0, 2, b'h', b'2']);
    bytes
}

/// A connection with the header, through whatever lies above it.
fn call(doors: &Doors, kind: ListenerKind, header: &[u8]) -> Caller {
    let mut socket = doors.socket(kind);
    socket.write_all(header).expect("sent");
    doors.call_over(socket, kind, Version::V5)
}

fn connected(mut caller: Caller) -> Caller {
    caller.send_connect(&Connect::new(Version::V5, ""));
    assert_eq!(caller.next(), "connack 0");
    caller
}

#[test]
fn the_address_that_is_told_is_the_one_that_counts() {
    let doors = behind_a_proxy(1);
    for (number, kind) in (0..).zip(KINDS) {
        let client = |host, port| header(1, [192, 0, number, host], port);
        let _one = connected(call(&doors, kind, &client(1, 1)));
        let _other = connected(call(&doors, kind, &client(2, 1)));
        let mut second = doors.socket(kind);
        second.write_all(&client(1, 2)).expect("sent");
        assert_eq!(end_of(second), "closed", "{kind:?}");
    }
}

#[test]
fn a_health_check_speaks_for_itself_and_may_just_leave() {
    let doors = behind_a_proxy(0);
    for kind in KINDS {
        connected(call(&doors, kind, &header(0, [0; 4], 0))).is_served();
        drop(doors.socket(kind));
    }
}

#[test]
fn nobody_is_anonymous_behind_a_proxy_because_it_is_on_this_machine() {
    let doors = Doors::with(Config::default(), |listener| listener.proxy_protocol = true);
    for kind in KINDS {
        let mut caller = call(&doors, kind, &header(1, [192, 0, 2, 1], 1));
        caller.send_connect(&Connect::new(Version::V5, ""));
        assert_eq!(caller.next(), "connack 87", "{kind:?}");
    }
}

#[test]
fn a_connection_without_a_header_is_closed() {
    let doors = behind_a_proxy(0);
    for kind in KINDS {
        let mut connect = Vec::new();
        mqtt::client::connect(&mut connect, &Connect::new(Version::V5, "direct"));
        for first in [
            &connect[..],
            b"PROXY TCP4 192.0.2.1 10.0.0.1 1 1883\r\n",
            b"GET /mqtt HTTP/1.1\r\n\r\n",
        ] {
            let mut socket = doors.socket(kind);
            socket.write_all(first).expect("sent");
            assert_eq!(end_of(socket), "closed", "{kind:?}");
        }
    }
}

#[test]
fn without_the_option_a_header_is_an_error() {
    let doors = Doors::open();
    let mut socket = doors.socket(ListenerKind::Tcp);
    socket
        .write_all(&header(1, [192, 0, 2, 1], 1))
        .expect("sent");
    assert_eq!(end_of(socket), "closed");
}

/// `closed` when the broker ends the connection without a word.
fn end_of(socket: TcpStream) -> String {
    Client::over(socket, Version::V5).next()
}
