//! One topic to many subscribers: how many deliveries a second, and what they take in memory.
//!
//! One thread publishes and one receives for all subscribers, with as little work per message as
//! there can be. What is published and not delivered yet is bounded, so that nothing is dropped and
//! every message counts.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mqtt::{Frame, Qos, RetainHandling, Subscription, Version, client, encode, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::sync::Notify;

use super::load;

const TOPIC: &str = "fanout/all";
const PAYLOAD_BYTES: usize = 100;
/// How many messages are published at once, and how many may be on their way.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    batch: u64,
    /// Published and not yet delivered to all: below the in-flight window of a subscriber.
    outstanding_max: u64,
}

impl Pace {
    /// As from a publisher that never pauses: a subscriber finds several messages at a time.
    pub(crate) const STREAM: Pace = Pace {
        batch: 16,
        outstanding_max: 64,
    };
    /// The next message when all have the one before: each delivery is a write and a read of its
    /// own.
    pub(crate) const SINGLY: Pace = Pace {
        batch: 1,
        outstanding_max: 1,
    };
}

/// Nothing at all delivered for so long is a failure.
const PATIENCE: Duration = Duration::from_secs(30);
/// First bytes of a PUBLISH, by their upper half.
const PUBLISH: u8 = 3;

/// What kind of subscribers.
#[derive(Clone, Copy)]
pub(crate) struct Subscribing {
    pub(crate) filter: &'static str,
    pub(crate) qos: Qos,
    /// Their sessions outlive their connections, so what they are owed is on disk.
    pub(crate) kept: bool,
}

/// The subscribers, connected; they receive until dropped.
pub(crate) struct Subscribers {
    count: u64,
    received: Arc<AtomicU64>,
    stop: Arc<Notify>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Subscribers {
    /// Returns when every subscription is acknowledged.
    pub(crate) fn connect(
        address: SocketAddr,
        count: usize,
        subscribing: Subscribing,
    ) -> io::Result<Subscribers> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let received = Arc::new(AtomicU64::new(0));
        let streams = runtime.block_on(async {
            let mut streams = Vec::with_capacity(count);
            for index in 0..count {
                streams.push(subscribe(address, index, subscribing).await?);
            }
            Ok::<_, io::Error>(streams)
        })?;
        let (stop, stopped) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        let (counter, end, ended) = (
            Arc::clone(&received),
            Arc::clone(&stop),
            Arc::clone(&stopped),
        );
        let thread = std::thread::spawn(move || {
            let result = runtime.block_on(async {
                let tasks: Vec<_> = streams
                    .into_iter()
                    .map(|stream| tokio::spawn(receive(stream, Arc::clone(&counter))))
                    .collect();
                end.notified().await;
                for task in tasks {
                    // One that has ended by itself was disconnected.
                    if task.is_finished() {
                        task.await.map_err(io::Error::other)??;
                    }
                }
                Ok(())
            });
            ended.store(true, Ordering::Release);
            result
        });
        Ok(Subscribers {
            count: count as u64,
            received,
            stop,
            stopped,
            thread: Some(thread),
        })
    }

    /// Publishes for the duration and waits until everything is delivered; deliveries a second.
    pub(crate) fn round(
        &self,
        address: SocketAddr,
        qos: Qos,
        pace: Pace,
        duration: Duration,
    ) -> io::Result<f64> {
        let mut publisher = Publisher::connect(address, qos)?;
        let count = self.count;
        let (before, started) = (self.received.load(Ordering::Relaxed), Instant::now());
        let mut sent = 0;
        while started.elapsed() < duration {
            publisher.publish(pace.batch)?;
            sent += pace.batch;
            let due = sent.saturating_sub(pace.outstanding_max - pace.batch);
            self.wait_for(before + due * count)?;
        }
        self.wait_for(before + sent * count)?;
        let elapsed = started.elapsed();
        Ok((sent * count) as f64 / elapsed.as_secs_f64())
    }

    /// Waits until so many deliveries have come, or none for the time; how many there are, and when
    /// the last one came.
    pub(crate) fn wait_until_quiet(
        &self,
        received: u64,
        quiet: Duration,
    ) -> io::Result<(u64, Instant)> {
        let (mut last, mut since) = (0, Instant::now());
        while last < received && since.elapsed() < quiet {
            let now = self.received.load(Ordering::Relaxed);
            if now != last {
                (last, since) = (now, Instant::now());
            }
            if self.stopped.load(Ordering::Acquire) {
                return Err(io::Error::other("the subscriber was disconnected"));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok((last, since))
    }

    fn wait_for(&self, received: u64) -> io::Result<()> {
        let (mut last, mut since) = (0, Instant::now());
        loop {
            let now = self.received.load(Ordering::Relaxed);
            if now >= received {
                return Ok(());
            }
            if now != last {
                (last, since) = (now, Instant::now());
            }
            if since.elapsed() > PATIENCE || self.stopped.load(Ordering::Acquire) {
                let text = format!("only {now} of {received} deliveries came");
                return Err(io::Error::other(text));
            }
            // Short beside the milliseconds that a window takes, long enough to leave the processor
            // to the others.
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

impl Drop for Subscribers {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            eprintln!("  a subscriber failed: {error}");
        }
    }
}

async fn subscribe(
    address: SocketAddr,
    index: usize,
    Subscribing { filter, qos, kept }: Subscribing,
) -> io::Result<TcpStream> {
    let id = format!("fanout-{index}");
    let connect = client::Connect {
        clean_start: !kept,
        ..client::Connect::new(Version::V311, &id)
    };
    let mut stream = load::connect_as(address, &connect).await?;
    let mut out = Vec::new();
    let subscription = Subscription {
        filter,
        qos,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Never,
    };
    client::subscribe(&mut out, Version::V311, 1, None, &[subscription]);
    stream.write_all(&out).await?;
    let mut suback = [0; 5];
    stream.read_exact(&mut suback).await?;
    match suback {
        [0x90, 3, 0, 1, granted] if granted == qos as u8 => Ok(stream),
        refused => Err(io::Error::other(format!("refused: {refused:?}"))),
    }
}

/// Counts what comes, and acknowledges it at QoS 1. A buffer lives no longer than one look at the
/// socket.
async fn receive(stream: TcpStream, received: Arc<AtomicU64>) -> io::Result<()> {
    let mut rest = Vec::new();
    let mut acks = Vec::new();
    loop {
        stream.ready(Interest::READABLE).await?;
        let mut buffer = [0; 32 * 1024];
        let kept = rest.len();
        buffer[..kept].copy_from_slice(&rest);
        let filled = match stream.try_read(&mut buffer[kept..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => kept + read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        let (handled, count) = handle(&buffer[..filled], &mut acks)?;
        rest.clear();
        rest.extend_from_slice(&buffer[handled..filled]);
        received.fetch_add(count, Ordering::Relaxed);
        // Few bytes, which a socket that is read on the other side always takes.
        if !acks.is_empty() {
            let sent = stream.try_write(&acks)?;
            if sent != acks.len() {
                return Err(io::ErrorKind::WriteZero.into());
            }
            acks.clear();
        }
    }
}

/// The bytes of the complete packets, and how many of them are publishes.
fn handle(bytes: &[u8], acks: &mut Vec<u8>) -> io::Result<(usize, u64)> {
    let (mut handled, mut count) = (0, 0);
    while let Frame::Complete {
        first_byte,
        body,
        length,
    } = frame(&bytes[handled..], usize::MAX).map_err(io::Error::other)?
    {
        if first_byte >> 4 == PUBLISH {
            count += 1;
            if first_byte & 0x06 != 0 {
                let body = &bytes[handled..][body];
                let packet_id_at = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                acks.extend_from_slice(&[0x40, 2, body[packet_id_at], body[packet_id_at + 1]]);
            }
        }
        handled += length;
    }
    Ok((handled, count))
}

struct Publisher {
    stream: std::net::TcpStream,
    qos: Qos,
    out: Vec<u8>,
    packet_id: u16,
}

impl Publisher {
    fn connect(address: SocketAddr, qos: Qos) -> io::Result<Publisher> {
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut out = Vec::new();
        client::connect(
            &mut out,
            &client::Connect::new(Version::V311, "fanout-source"),
        );
        stream.write_all(&out)?;
        let mut connack = [0; 4];
        stream.read_exact(&mut connack)?;
        Ok(Publisher {
            stream,
            qos,
            out,
            packet_id: 0,
        })
    }

    /// Returns, at QoS 1, when they are acknowledged.
    fn publish(&mut self, count: u64) -> io::Result<()> {
        self.out.clear();
        for _ in 0..count {
            self.packet_id = self.packet_id.checked_add(1).unwrap_or(1);
            let publish = encode::Publish {
                qos: self.qos,
                topic: TOPIC,
                packet_id: self.packet_id,
                payload: &[b'x'; PAYLOAD_BYTES],
                ..encode::Publish::default()
            };
            encode::publish(&mut self.out, Version::V311, &publish);
        }
        self.stream.write_all(&self.out)?;
        if self.qos != Qos::AtMostOnce {
            let mut acks = vec![0; count as usize * 4];
            self.stream.read_exact(&mut acks)?;
        }
        Ok(())
    }
}
