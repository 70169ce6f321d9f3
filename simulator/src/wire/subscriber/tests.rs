use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const ACCEPTED: [u8; 4] = [0x20, 2, 0, 0];
const GRANTED: [u8; 5] = [0x90, 3, 0, 1, 1];
/// CONNECT, up to its client id `me`.
const CONNECT: &[u8] = b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x1e\x00\x02me";
/// SUBSCRIBE to `a/#` at QoS 1.
const SUBSCRIBE: &[u8] = b"\x82\x08\x00\x01\x00\x03a/#\x01";

/// A server that says what the test wants it to say.
struct Server(TcpListener);

impl Server {
    async fn new() -> Server {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        Server(listener.expect("a free port"))
    }

    /// A subscriber, and the server's end of its connection after CONNECT and CONNACK.
    async fn connect(&self, connack: [u8; 4]) -> (Result<Subscriber, ConnectError>, TcpStream) {
        let broker = Broker {
            host: "127.0.0.1".into(),
            port: self.0.local_addr().expect("bound").port(),
            tls: None,
            username: None,
            password: None,
            version: MqttVersion::V5,
            keep_alive: Duration::ZERO,
            clean: false,
        };
        let serve = async {
            let (mut stream, _) = self.0.accept().await.expect("a client");
            expect(&mut stream, CONNECT).await;
            // In two pieces.
            for piece in [&connack[..1], &connack[1..]] {
                stream.write_all(piece).await.expect("taken");
                stream.flush().await.expect("taken");
            }
            stream
        };
        tokio::join!(Subscriber::open(&broker, "me", "a/#"), serve)
    }
}

async fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    stream.read_exact(&mut read).await.expect("all of it");
    assert_eq!(read, bytes);
}

/// PUBLISH at QoS 1 to `a/b`.
fn publish(id: u8, payload: &[u8], retained: bool) -> Vec<u8> {
    let mut packet = vec![0x32 | u8::from(retained)];
    let mut length = payload.len() + 7;
    while length > 0x7f {
        packet.push(length as u8 | 0x80);
        length >>= 7;
    }
    packet.push(length as u8);
    packet.extend_from_slice(b"\x00\x03a/b\x00");
    packet.push(id);
    packet.extend_from_slice(payload);
    packet
}

fn message(payload: &[u8], retained: bool) -> News {
    News::Message {
        topic: "a/b".into(),
        payload: Bytes::copy_from_slice(payload),
        retained,
    }
}

#[tokio::test]
async fn messages_are_handed_over_and_acknowledged() {
    let server = Server::new().await;
    let (subscriber, mut stream) = server.connect(ACCEPTED).await;
    let mut subscriber = subscriber.expect("accepted");
    // Larger than a socket takes at once, so that it comes in pieces.
    let large = vec![b'x'; 900_000];
    let last = large.clone();
    let serving = tokio::spawn(async move {
        expect(&mut stream, SUBSCRIBE).await;
        // What is retained may come before the subscription is granted.
        let early = [publish(1, b"early", true), GRANTED.to_vec()].concat();
        stream.write_all(&early).await.expect("taken");
        expect(&mut stream, &[0x40, 2, 0, 1]).await;
        stream
            .write_all(&publish(2, &last, false))
            .await
            .expect("taken");
        expect(&mut stream, &[0x40, 2, 0, 2]).await;
    });
    for expected in [
        message(b"early", true),
        News::Granted,
        message(&large, false),
    ] {
        // Whoever waits may give up and ask again: nothing is lost.
        let news = loop {
            tokio::select! {
                biased;
                news = subscriber.next() => break news,
                () = tokio::task::yield_now() => {}
            }
        };
        assert_eq!(news.expect("news"), expected);
    }
    // The server has its acknowledgements and leaves.
    let end = subscriber.next().await;
    assert!(matches!(end, Err(ConnectError::Closed)), "{end:?}");
    serving.await.expect("all was as expected");
}

#[tokio::test]
async fn a_subscription_that_is_refused_is_final() {
    let server = Server::new().await;
    let (subscriber, mut stream) = server.connect(ACCEPTED).await;
    let refusal = [0x90, 3, 0, 1, 0x80];
    stream.write_all(&refusal).await.expect("taken");
    let error = subscriber.expect("accepted").next().await;
    let error = error.expect_err("refused");
    assert!(matches!(error, ConnectError::Subscription) && error.is_final());
}

#[tokio::test]
async fn a_server_that_says_nothing_is_asked_and_given_up() {
    let server = Server::new().await;
    let (subscriber, mut stream) = server.connect(ACCEPTED).await;
    let mut subscriber = subscriber.expect("accepted");
    let serving = tokio::spawn(async move {
        expect(&mut stream, SUBSCRIBE).await;
        expect(&mut stream, &[0xc0, 0]).await;
        let answer = [&[0xd0, 0][..], &publish(1, b"x", false)].concat();
        stream.write_all(&answer).await.expect("taken");
        stream
    });
    // As if the time were over.
    subscriber.ping_at = Instant::now();
    let news = subscriber.next().await.expect("news");
    assert_eq!(news, message(b"x", false));
    assert!(!subscriber.ping_is_due && subscriber.ping_at > Instant::now());
    let _stream = serving.await.expect("all was as expected");

    // It has been asked, and the time is over again.
    subscriber.ping_is_due = true;
    subscriber.ping_at = Instant::now();
    let end = subscriber.next().await;
    assert!(matches!(end, Err(ConnectError::Timeout(_))), "{end:?}");
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let server = Server::new().await;
    for (code, is_final, text) in [
        (3, false, "takes no connections now"),
        (4, true, "refused: bad user name password"),
        (5, true, "refused: not authorized"),
    ] {
        let (refused, _stream) = server.connect([0x20, 2, 0, code]).await;
        let error = refused.err().expect("refused");
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(error.is_final(), is_final, "{error}");
    }
}
