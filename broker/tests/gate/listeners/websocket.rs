//! WebSockets by the byte: frames that another implementation would not send.

use std::io::{Read, Write};
use std::net::TcpStream;

use broker::ListenerKind;
use mqtt::client::{self, Connect};
use mqtt::{Qos, Version, encode};

use super::doors::Doors;

const MASK: [u8; 4] = [1, 2, 3, 4];
const BINARY: u8 = 0x82;

/// A WebSocket of which every byte is the test's own.
struct Raw {
    stream: TcpStream,
}

impl Raw {
    fn upgrade(doors: &Doors) -> Raw {
        let mut stream = doors.socket(ListenerKind::Ws);
        let status = ask(&mut stream, "GET", "/mqtt", "mqtt");
        assert_eq!(status, "HTTP/1.1 101 Switching Protocols");
        Raw { stream }
    }

    fn connect(doors: &Doors) -> Raw {
        let mut raw = Raw::upgrade(doors);
        // Without an id, so that nobody is taken over.
        raw.send(BINARY, &connect(""));
        assert_eq!(raw.next(), (BINARY, vec![0x20, 2, 0, 0]));
        raw
    }

    fn send(&mut self, first: u8, payload: &[u8]) {
        self.stream.write_all(&frame(first, payload)).expect("sent");
    }

    /// The next frame: its first byte and its payload.
    fn next(&mut self) -> (u8, Vec<u8>) {
        let mut header = [0; 2];
        self.stream.read_exact(&mut header).expect("a frame");
        assert!(header[1] < 126, "short, and not masked");
        let mut payload = vec![0; usize::from(header[1])];
        self.stream.read_exact(&mut payload).expect("a payload");
        (header[0], payload)
    }

    /// The broker's farewell with this status, then the end of the connection.
    fn ends_with(mut self, status: u16) {
        assert_eq!(self.next(), (0x88, status.to_be_bytes().to_vec()));
        let mut rest = Vec::new();
        // Unread bytes of ours may turn the end into a reset.
        let _ = self.stream.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{rest:?}");
    }
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | short as u8),
        medium => {
            bytes.push(0x80 | 126);
            bytes.extend((medium as u16).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    let masked = payload.iter().zip(MASK.iter().cycle());
    bytes.extend(masked.map(|(byte, mask)| byte ^ mask));
    bytes
}

fn connect(client_id: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    client::connect(&mut bytes, &Connect::new(Version::V311, client_id));
    bytes
}

fn publish(packet_id: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let publish = encode::Publish {
        qos: Qos::AtLeastOnce,
        topic: "devices/raw/telemetry",
        packet_id,
        payload: b"{\"temperature\": 20}",
        ..Default::default()
    };
    encode::publish(&mut bytes, Version::V311, &publish);
    bytes
}

/// Asks for an upgrade; the status line of the answer. Of a 101 nothing is left unread.
fn ask(stream: &mut TcpStream, method: &str, path: &str, protocol: &str) -> String {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text");
    head.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn packets_may_span_frames_and_frames_may_hold_packets() {
    let doors = Doors::open();
    // One byte a frame, with a ping before each.
    let mut raw = Raw::upgrade(&doors);
    for byte in connect("raw") {
        raw.send(0x89, b"!");
        assert_eq!(raw.next(), (0x8A, b"!".to_vec()));
        raw.send(BINARY, &[byte]);
    }
    assert_eq!(raw.next(), (BINARY, vec![0x20, 2, 0, 0]));
    // One packet in the fragments of one message.
    let packet = publish(1);
    raw.send(0x02, &packet[..3]);
    raw.send(0x00, &[]);
    raw.send(0x89, b"between");
    raw.send(0x80, &packet[3..]);
    assert_eq!(raw.next(), (0x8A, b"between".to_vec()));
    assert_eq!(raw.next(), (BINARY, vec![0x40, 2, 0, 1]));
    // Three packets in one frame, which ends inside the fourth.
    let packets = [publish(2), publish(3), publish(4), publish(5)].concat();
    let (first, second) = packets.split_at(packets.len() - 5);
    raw.send(BINARY, first);
    raw.send(BINARY, second);
    let mut acknowledged = Vec::new();
    while acknowledged.len() < 16 {
        let (first, payload) = raw.next();
        assert_eq!(first, BINARY);
        acknowledged.extend(payload);
    }
    let expected: Vec<u8> = (2..=5).flat_map(|id| [0x40, 2, 0, id]).collect();
    assert_eq!(acknowledged, expected);
    // Everything at once, the request included.
    let mut eager = doors.socket(ListenerKind::Ws);
    let request = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
                   Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
    let all = [request.as_bytes(), &frame(BINARY, &connect("eager"))].concat();
    eager.write_all(&all).expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(&[BINARY, 4, 0x20, 2, 0, 0]) {
        let mut byte = [0];
        eager.read_exact(&mut byte).expect("an answer");
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101 "));
}

#[test]
fn what_breaks_the_protocol_ends_its_connection_alone() {
    let doors = Doors::open();
    let mut bystander = Raw::connect(&doors);
    // A text frame [MQTT-6.0.0-1], before and after CONNECT.
    let mut raw = Raw::upgrade(&doors);
    raw.send(0x81, &connect("text"));
    raw.ends_with(1003);
    let mut raw = Raw::connect(&doors);
    raw.send(0x81, b"hello");
    raw.ends_with(1003);
    let mut raw = Raw::connect(&doors);
    raw.stream.write_all(&[BINARY, 2, 0xC0, 0]).expect("sent");
    raw.ends_with(1002);
    let mut raw = Raw::connect(&doors);
    raw.send(0xC2, b"said to be compressed");
    raw.ends_with(1002);
    let mut raw = Raw::connect(&doors);
    let huge = [&[BINARY, 0xFF][..], &u64::MAX.to_be_bytes()].concat();
    raw.stream.write_all(&huge).expect("sent");
    raw.ends_with(1009);
    // A farewell is answered in kind.
    let mut raw = Raw::connect(&doors);
    raw.send(0x88, &[0x03, 0xE9, b'b', b'y', b'e']);
    raw.ends_with(1001);
    // A packet that MQTT does not know: the frame was right, and so the end is a normal one.
    let mut raw = Raw::connect(&doors);
    raw.send(BINARY, &[0x00, 0x00]);
    raw.ends_with(1000);

    bystander.send(BINARY, &[0xC0, 0]);
    assert_eq!(bystander.next(), (BINARY, vec![0xD0, 0]));
    doors.serves_fresh_clients();
}

#[test]
fn a_flood_of_pings_that_nobody_reads_the_answers_of_is_not_read_for_ever() {
    let doors = Doors::open();
    let mut flood = Raw::connect(&doors);
    flood.stream.set_nonblocking(true).expect("an option");
    let pings = frame(0x89, &[7; 125]).repeat(100);
    // The broker stops reading, so the pipes fill up. Were it to read on, its memory would.
    let mut sent = 0_usize;
    let mut full = 0;
    while full < 20 {
        match flood.stream.write(&pings) {
            Ok(written) => (sent, full) = (sent + written, 0),
            Err(_) => {
                full += 1;
                std::thread::yield_now();
                doors.connect(ListenerKind::Ws, Version::V5, "").is_served();
            }
        }
        assert!(sent < 256 * 1024 * 1024, "{sent} bytes were taken");
    }
    doors.serves_fresh_clients();
}

#[test]
fn a_wrong_request_is_answered_and_closed() {
    let doors = Doors::open();
    let check = |method: &str, path: &str, protocol: &str, expected: &str| {
        let mut stream = doors.socket(ListenerKind::Ws);
        let status = ask(&mut stream, method, path, protocol);
        assert_eq!(status, format!("HTTP/1.1 {expected}"));
        let mut body = String::new();
        stream.read_to_string(&mut body).expect("the end");
        assert!(!body.is_empty());
    };
    check("GET", "/", "mqtt", "404 Not Found");
    check("PUT", "/mqtt", "mqtt", "405 Method Not Allowed");
    check("GET", "/mqtt", "chat", "400 Bad Request");
    // MQTT without a WebSocket around it.
    let mut stream = doors.socket(ListenerKind::Ws);
    stream.write_all(&connect("plain")).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the end");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    doors.serves_fresh_clients();
}
