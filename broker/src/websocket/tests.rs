//! Requests and frames as bytes, whole and cut at every place.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::frame::{Control, Decoder, FrameError};
use super::upgrade::{Wanted, judge, read_head};
use super::{Origins, WebSocket};

const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A client's frame. `first` is the first byte: flags and opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | short as u8),
        medium @ 126..=0xFFFF => {
            bytes.push(0x80 | 126);
            bytes.extend((medium as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    bytes
}

/// Decodes in pieces of `size` bytes: the payload, and the control frames.
fn decode(bytes: &[u8], size: usize) -> Result<(Vec<u8>, Vec<Control>), FrameError> {
    let (mut payload, mut controls) = (Vec::new(), Vec::new());
    let mut decoder = Decoder::default();
    for piece in bytes.chunks(size) {
        let mut piece = piece.to_vec();
        let length = decoder.decode(&mut piece, |control| controls.push(control))?;
        payload.extend_from_slice(&piece[..length]);
    }
    Ok((payload, controls))
}

#[test]
fn frames_are_taken_apart_wherever_they_are_cut() {
    let long: Vec<u8> = (0..70_000_u32).map(|number| number as u8).collect();
    let frames = [
        frame(0x82, b"one"),
        frame(0x82, b""),
        frame(0x02, b"two, "),
        frame(0x89, b"are you there"),
        frame(0x00, b"three, "),
        frame(0x8A, b"unasked"),
        frame(0x80, b"four"),
        frame(0x82, &long[..200]),
        frame(0x82, &long),
        frame(0x89, b""),
    ]
    .concat();
    let expected = [&b"onetwo, three, four"[..], &long[..200], &long].concat();
    let pings = [
        Control::Ping(b"are you there".to_vec().into()),
        Control::Ping(Box::default()),
    ];
    for size in [1, 2, 3, 5, 7, 13, 64, 1_000, frames.len()] {
        let (payload, controls) = decode(&frames, size).expect("well formed");
        assert!(payload == expected, "in pieces of {size}");
        assert_eq!(controls, pings, "in pieces of {size}");
    }
}

#[test]
fn noise_is_judged_the_same_wherever_it_is_cut() {
    let mut random = ChaCha8Rng::seed_from_u64(6_455);
    for _ in 0..5_000 {
        // Frames as they should be, with a few bytes that are not.
        let mut bytes = Vec::new();
        for _ in 0..random.random_range(1..6) {
            let first = [0x82, 0x02, 0x00, 0x80, 0x89, 0x8A, 0x88][random.random_range(0..7)];
            let mut payload = vec![0; random.random_range(0..140)];
            random.fill(&mut payload[..]);
            bytes.extend(frame(first, &payload));
        }
        for _ in 0..random.random_range(0..4) {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        let whole = decode(&bytes, bytes.len());
        for size in [1, 3, random.random_range(1..=bytes.len())] {
            let cut = decode(&bytes, size);
            // Behind a Close pieces would begin anew, which the stream never lets happen.
            if !matches!(&whole, Ok((_, controls)) if controls.iter().any(is_close)) {
                assert_eq!(cut, whole, "in pieces of {size}: {bytes:x?}");
            }
        }
    }
}

fn is_close(control: &Control) -> bool {
    matches!(control, Control::Close(_))
}

#[test]
fn nothing_is_read_behind_a_close() {
    let bytes = [
        frame(0x82, b"last"),
        frame(0x88, &[3, 0xE8]),
        b"noise".to_vec(),
    ]
    .concat();
    let (payload, controls) = decode(&bytes, bytes.len()).expect("well formed");
    assert_eq!(payload, b"last");
    assert_eq!(controls, [Control::Close(vec![3, 0xE8].into())]);
}

#[test]
fn what_breaks_the_protocol_is_named_with_its_status() {
    let check = |bytes: &[u8], status: u16, problem: &str| {
        for size in [1, bytes.len()] {
            let error = decode(bytes, size).expect_err(problem);
            assert_eq!(
                (error.status, error.to_string().as_str()),
                (status, problem)
            );
        }
    };
    check(
        &frame(0x81, b"text"),
        1003,
        "MQTT is sent in binary frames, and this is a text frame",
    );
    check(&[0x82, 0x01, 0x00], 1002, "a client's frame is not masked");
    let reserved = "a reserved bit is set, but no extension was agreed to";
    check(&frame(0xC2, b"compressed"), 1002, reserved);
    let unknown = "the kind of a frame is not known";
    check(&frame(0x83, b""), 1002, unknown);
    check(&frame(0x8B, b""), 1002, unknown);
    let control = "a control frame is in fragments or too long";
    check(&frame(0x09, b""), 1002, control);
    check(&frame(0x89, &[0; 126]), 1002, control);
    check(&frame(0x88, &[3]), 1002, "half a status in a Close");
    check(&frame(0x80, b""), 1002, "a continuation continues nothing");
    let nested = [frame(0x02, b"a"), frame(0x82, b"b")].concat();
    check(&nested, 1002, "a message begins inside another one");
    let long = [&[0x82, 0xFF][..], &(1_u64 << 40).to_be_bytes()].concat();
    check(&long, 1009, "a frame is longer than any MQTT packet");
}

#[tokio::test]
async fn a_stream_answers_pings_and_closes_and_keeps_its_order() {
    let (mut client, server) = duplex(64);
    let mut server = WebSocket::new(server, frame(0x82, b"early"));
    let mut buffer = [0; 16];
    assert_eq!(server.read(&mut buffer).await.expect("read"), 5);
    assert_eq!(&buffer[..5], b"early");

    // More than the pipe holds: the rest of the frame waits, and goes out with the flush.
    let sending = async {
        server.write_all(&[7; 500]).await.expect("accepted");
        server.flush().await.expect("sent");
        server
    };
    let receiving = async {
        let mut received = vec![0; 504];
        client.read_exact(&mut received).await.expect("a frame");
        received
    };
    let (mut server, received) = tokio::join!(sending, receiving);
    assert_eq!(received[..4], [0x82, 126, 1, 244]);
    assert!(received[4..].iter().all(|&byte| byte == 7));

    client.write_all(&frame(0x89, b"hm")).await.expect("sent");
    client
        .write_all(&frame(0x88, &[3, 0xE9, b'x']))
        .await
        .expect("sent");
    assert_eq!(server.read(&mut buffer).await.expect("the end"), 0);
    // After a Close nothing more is sent, whatever is written.
    server.write_all(b"too late").await.expect("ignored");
    server.shutdown().await.expect("shut down");
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.expect("the end");
    assert_eq!(rest, [0x8A, 2, b'h', b'm', 0x88, 2, 3, 0xE9]);
}

const REQUEST: &str = "GET /mqtt HTTP/1.1\r\n\
    Host: broker.example.org:8083\r\n\
    Upgrade: websocket\r\n\
    Connection: keep-alive, Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\n\r\n";

fn answer(request: &str) -> String {
    let wanted = Wanted {
        path: "/mqtt",
        origins: &Origins::default(),
        is_loopback: false,
    };
    match judge(request.as_bytes(), &wanted) {
        Ok(answer) => answer,
        Err(error) => error.answer().unwrap_or_default(),
    }
}

#[test]
fn a_right_request_is_answered_as_the_rfc_says() {
    // The key and its proof are those of RFC 6455, section 1.3.
    assert_eq!(
        answer(REQUEST),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
    );
    let old = REQUEST.replace("mqttv3.1, mqtt", "mqttv3.1");
    assert!(answer(&old).contains("Protocol: mqttv3.1\r\n"));
    let query = REQUEST.replace("/mqtt", "/mqtt?token=1");
    assert!(answer(&query).starts_with("HTTP/1.1 101 "));
    let same_host = REQUEST.replace(
        "Upgrade: ",
        "Origin: https://broker.example.org\r\nUpgrade: ",
    );
    assert!(answer(&same_host).starts_with("HTTP/1.1 101 "));
}

#[test]
fn a_wrong_request_is_told_what_is_wrong() {
    let check = |from: &str, to: &str, expected: &str| {
        assert!(REQUEST.contains(from), "{from}");
        let answer = answer(&REQUEST.replacen(from, to, 1));
        let status = answer.lines().next().unwrap_or_default();
        assert_eq!(status, format!("HTTP/1.1 {expected}"), "{to}");
        assert!(answer.contains("Connection: close\r\n"), "{answer}");
        answer
    };
    check("/mqtt", "/", "404 Not Found");
    check("/mqtt", "/mqtt/", "404 Not Found");
    let method = check("GET", "POST", "405 Method Not Allowed");
    assert!(method.contains("Allow: GET\r\n"));
    check("HTTP/1.1", "HTTP/1.0", "505 HTTP Version Not Supported");
    check("HTTP/1.1", "HTTP/2.0", "505 HTTP Version Not Supported");
    let plain = check("Upgrade: websocket\r\n", "", "426 Upgrade Required");
    assert!(plain.contains("Upgrade: websocket\r\n"));
    check("keep-alive, Upgrade", "close", "426 Upgrade Required");
    let version = check("Version: 13", "Version: 8", "426 Upgrade Required");
    assert!(version.contains("Sec-WebSocket-Version: 13\r\n"));
    check("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", "400 Bad Request");
    check("dGhlIHNhbXBsZSBub25jZQ==", "!", "400 Bad Request");
    check("Host: broker.example.org:8083\r\n", "", "400 Bad Request");
    check("mqttv3.1, mqtt", "chat", "400 Bad Request");
    let foreign = "Origin: https://evil.example\r\nUpgrade";
    let origin = check("Upgrade", foreign, "403 Forbidden");
    assert!(origin.contains("allowed_origins"));
    check("GET /mqtt", "GET  /mqtt", "400 Bad Request");
    let many = "X: y\r\n".repeat(64) + "Host";
    check("Host", &many, "431 Request Header Fields Too Large");
}

#[tokio::test]
async fn a_head_is_read_within_its_bound_wherever_it_is_cut() {
    let (mut client, mut server) = duplex(1);
    let sending = async {
        client.write_all(REQUEST.as_bytes()).await.expect("sent");
        client
    };
    let mut head = Vec::new();
    let (_client, read) = tokio::join!(sending, read_head(&mut server, &mut head));
    assert_eq!(read.ok(), Some(REQUEST.len()));
    assert_eq!(head, REQUEST.as_bytes());

    let together = format!("{REQUEST}frames");
    let mut head = Vec::new();
    let read = read_head(&mut together.as_bytes(), &mut head).await;
    assert_eq!(read.ok(), Some(REQUEST.len()));
    assert_eq!(&head[REQUEST.len()..], b"frames");

    let endless = "GET /mqtt HTTP/1.1\r\nX: ".to_owned() + &"x".repeat(10_000);
    let error = read_head(&mut endless.as_bytes(), &mut Vec::new()).await;
    let answer = error.err().and_then(|error| error.answer());
    assert!(answer.is_some_and(|answer| answer.starts_with("HTTP/1.1 431 ")));
    let connect = read_head(&mut &b"\x10\x0c\0\x04MQTT"[..], &mut Vec::new()).await;
    let answer = connect.err().and_then(|error| error.answer());
    assert!(answer.is_some_and(|answer| answer.starts_with("HTTP/1.1 400 ")));
    let ended = read_head(&mut &b"GET /"[..], &mut Vec::new()).await;
    assert!(ended.is_err_and(|error| error.answer().is_none()));
}
