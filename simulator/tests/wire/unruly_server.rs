//! Servers that do what mosquitto cannot be made to do: stall, put off, refuse, fall silent.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::support::{PATIENCE, run, settings};
use tokio_util::sync::CancellationToken;

/// Answers CONNECT, and leaves the rest to `react`: it gets each later packet with its first byte
/// and returns what is sent back. A server for one run; it ends with the test's process.
fn serve<R>(connack: &'static [u8], react: R) -> u16
where
    R: Fn(usize, u8, &[u8]) -> Vec<u8> + Clone + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let react = react.clone();
            std::thread::spawn(move || talk(number, stream.unwrap(), connack, react));
        }
    });
    port
}

fn talk(
    number: usize,
    mut stream: TcpStream,
    connack: &[u8],
    react: impl Fn(usize, u8, &[u8]) -> Vec<u8>,
) {
    while let Some((first, body)) = read_packet(&mut stream) {
        let answer = match first {
            0x10 => connack.to_vec(),
            _ => react(number, first, &body),
        };
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

fn read_packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte).ok()?;
    let first = byte[0];
    let (mut length, mut shift) = (0, 0);
    loop {
        stream.read_exact(&mut byte).ok()?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] < 0x80 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((first, body))
}

/// The packet id of a PUBLISH with QoS 1.
fn id(body: &[u8]) -> [u8; 2] {
    let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
    [body[2 + topic], body[3 + topic]]
}

fn puback(body: &[u8]) -> Vec<u8> {
    let [high, low] = id(body);
    vec![0x40, 2, high, low]
}

fn is_publish(first: u8) -> bool {
    first & 0xf0 == 0x30
}

const V3_CONNACK: &[u8] = &[0x20, 2, 0, 0];
const V5_CONNACK: &[u8] = &[0x20, 3, 0, 0, 0];

#[tokio::test]
async fn a_server_that_stalls_cannot_hide_the_messages_it_delayed() {
    const STALL: Duration = Duration::from_millis(500);
    let port = serve(V3_CONNACK, move |_, first, body| {
        if !is_publish(first) {
            return Vec::new();
        }
        // The packet ids tell the first message from the others.
        if id(body) == [0, 1] {
            std::thread::sleep(STALL);
        }
        puback(body)
    });
    let scenario = "[[fleet]]\ncount = 1\ninflight = 1\ninterval = 10\nmessages = 100";
    let report = run(port, scenario).await;
    assert_eq!((report.sent, report.acknowledged), (100, 100));
    let latency = report.puback_latency.unwrap();
    // One message waited for the server; the forty meant to be sent meanwhile waited at the client.
    // Counted from the moment of sending, one in a hundred would be slow.
    assert!(latency.max_ms >= 500.0, "{latency}");
    assert!(latency.p90_ms >= 390.0, "{latency}");
}

#[tokio::test]
async fn what_the_server_puts_off_is_sent_again_until_it_is_taken() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(HashMap::<Vec<u8>, u32>::new()));
    let counted = seen.clone();
    let port = serve(V5_CONNACK, move |_, first, body| {
        if !is_publish(first) {
            return Vec::new();
        }
        let [high, low] = id(body);
        let payload = body[body.iter().position(|byte| *byte == b'{').unwrap()..].to_vec();
        let mut counted = counted.lock().unwrap();
        let times = counted.entry(payload).or_default();
        *times += 1;
        // Quota exceeded, twice.
        if *times <= 2 {
            vec![0x40, 3, high, low, 0x97]
        } else {
            puback(body)
        }
    });
    let scenario = "mqtt-version = 5\n[[fleet]]\ncount = 1\nrate = \"max\"\nmessages = 10";
    let report = run(port, scenario).await;
    assert_eq!(
        (report.sent, report.acknowledged, report.put_off),
        (10, 10, 20),
        "{report}"
    );
    assert!(report.is_complete());
    assert!(seen.lock().unwrap().values().all(|times| *times == 3));
}

#[tokio::test]
async fn what_the_server_refuses_is_failed_and_not_expected() {
    let port = serve(V5_CONNACK, |_, first, body| {
        if !is_publish(first) {
            return Vec::new();
        }
        let [high, low] = id(body);
        // Not authorized, for every third one.
        if low % 3 == 0 {
            vec![0x40, 3, high, low, 0x87]
        } else {
            puback(body)
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let expect = dir.path().join("expect.csv");
    let scenario = format!(
        "mqtt-version = 5\nexpect = \"{}\"\n[[fleet]]\ncount = 1\nrate = \"max\"\nmessages = 30",
        expect.display()
    );
    let report = run(port, &scenario).await;
    assert_eq!(
        (report.acknowledged, report.failed, report.in_flight),
        (20, 10, 0),
        "{report}"
    );
    assert_eq!(report.failure.as_deref(), Some("not authorized"));
    assert_eq!(crate::support::lines(&expect).len(), 60);
    assert_eq!(
        crate::support::lines(&dir.path().join("expect.csv.unacknowledged")).len(),
        30
    );
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left_and_gets_everything_again() {
    let (sender, dups): (_, Receiver<u8>) = channel();
    let port = serve(V3_CONNACK, move |number, first, body| match number {
        // The first connection is never answered again, pings included.
        0 => Vec::new(),
        _ if is_publish(first) => {
            sender.send(first).unwrap();
            puback(body)
        }
        _ => Vec::new(),
    });
    let scenario = "keepalive = 1\n[[fleet]]\ncount = 1\nrate = \"max\"\nmessages = 5";
    let report = run(port, scenario).await;
    assert!(report.is_complete(), "{report}");
    assert_eq!((report.reconnects, report.resent), (1, 5), "{report}");
    let firsts: Vec<u8> = (0..5)
        .map(|_| dups.recv_timeout(PATIENCE).unwrap())
        .collect();
    // PUBLISH, QoS 1, DUP.
    assert_eq!(firsts, [0x3a; 5]);
}

#[tokio::test]
async fn a_run_ends_in_time_when_the_server_never_acknowledges() {
    let port = serve(V3_CONNACK, |_, _, _| Vec::new());
    let scenario = "drain = \"200ms\"\n[[fleet]]\ncount = 2\nrate = \"max\"\nmessages = 50";
    let report = run(port, scenario).await;
    assert_eq!(
        (report.sent, report.acknowledged, report.in_flight),
        (50, 0, 50),
        "{report}"
    );
    assert!(!report.is_complete());
}

#[tokio::test]
async fn a_dropped_run_leaves_nothing_behind() {
    let (sender, closed) = channel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        while let Some((first, _)) = read_packet(&mut stream) {
            if first == 0x10 {
                stream.write_all(V3_CONNACK).unwrap();
                sender.send("open").unwrap();
            }
        }
        sender.send("closed").unwrap();
    });
    let settings = settings(port, "[[fleet]]\ncount = 1");
    let load = tokio::spawn(simulator::run(settings, CancellationToken::new()));
    let wait = move || {
        assert_eq!(closed.recv_timeout(PATIENCE), Ok("open"));
        closed
    };
    let closed = tokio::task::spawn_blocking(wait).await.unwrap();
    load.abort();
    let end = tokio::task::spawn_blocking(move || closed.recv_timeout(PATIENCE))
        .await
        .unwrap();
    assert_eq!(end, Ok("closed"));
}
