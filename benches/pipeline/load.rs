//! A raw load generator: as little work per message as there can be, since it shares the machine
//! with what it measures.
//!
//! Each connection keeps a window of unacknowledged QoS 1 publishes full (closed loop), or sends at
//! planned times (open loop).

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mqtt::{Qos, Version, client, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::timeout;

/// A PUBACK of MQTT 3.1.1.
const PUBACK_BYTES: usize = 4;
/// A return code of CONNACK.
const SERVER_UNAVAILABLE: u8 = 3;

pub(crate) struct ClosedLoop {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) window: usize,
    pub(crate) topics: Topics,
    pub(crate) end: End,
}

/// When a connection publishes nothing more.
#[derive(Clone, Copy)]
pub(crate) enum End {
    After(Duration),
    /// So many of its own.
    Messages(u64),
}

/// Where the connections publish.
#[derive(Clone, Copy)]
pub(crate) enum Topics {
    /// Each to a topic of its own, with its number between these.
    Each(&'static str, &'static str),
    /// All to this one.
    All(&'static str),
}

impl Topics {
    pub(crate) const TELEMETRY: Topics = Topics::Each("devices/load-", "/telemetry");

    fn topic(self, device: usize) -> String {
        match self {
            Topics::Each(before, behind) => format!("{before}{device:04}{behind}"),
            Topics::All(topic) => topic.to_owned(),
        }
    }
}

pub(crate) struct Sent {
    pub(crate) acknowledged: u64,
    pub(crate) elapsed: Duration,
}

impl ClosedLoop {
    /// Runs to the end and until everything sent is acknowledged.
    pub(crate) fn run(&self) -> io::Result<Sent> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let total = Arc::new(AtomicU64::new(0));
            let started = Instant::now();
            let mut tasks = Vec::new();
            for device in 0..self.connections {
                let stream = connect(self.address, &format!("load-{device}")).await?;
                let total = Arc::clone(&total);
                let template = Template::new(&self.topics.topic(device));
                let (window, end) = (self.window, self.end);
                tasks.push(tokio::spawn(keep_window_full(
                    stream, template, window, end, total,
                )));
            }
            for task in tasks {
                task.await.map_err(io::Error::other)??;
            }
            Ok(Sent {
                acknowledged: total.load(Ordering::Relaxed),
                elapsed: started.elapsed(),
            })
        })
    }
}

/// Connects as a 3.1.1 client with keep-alive off.
pub(crate) async fn connect(address: SocketAddr, client_id: &str) -> io::Result<TcpStream> {
    connect_as(address, &client::Connect::new(Version::V311, client_id)).await
}

/// Connects as the 3.1.1 client described. An error of the kind `ResourceBusy`: the server asks to
/// try again.
pub(crate) async fn connect_as(
    address: SocketAddr,
    connect: &client::Connect<'_>,
) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut packet = Vec::new();
    client::connect(&mut packet, connect);
    stream.write_all(&packet).await?;
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).await?;
    match connack {
        [0x20, 2, _, 0] => Ok(stream),
        [0x20, 2, _, SERVER_UNAVAILABLE] => Err(io::ErrorKind::ResourceBusy.into()),
        refused => Err(io::Error::other(format!("refused: {refused:?}"))),
    }
}

async fn keep_window_full(
    mut stream: TcpStream,
    mut template: Template,
    window: usize,
    end: End,
    total: Arc<AtomicU64>,
) -> io::Result<()> {
    let started = Instant::now();
    let mut left = match end {
        End::After(_) => u64::MAX,
        End::Messages(messages) => messages,
    };
    let mut out = Vec::with_capacity(window * 160);
    let mut acks = [0; 16 * 1024];
    let (mut free, mut acknowledged, mut partial) = (window, 0, 0);
    let mut sending = true;
    while sending || free < window {
        if sending && free > 0 {
            out.clear();
            let count = free.min(usize::try_from(left).unwrap_or(usize::MAX));
            template.append(count, &mut out);
            free -= count;
            left -= count as u64;
            stream.write_all(&out).await?;
        }
        let read = stream.read(&mut acks).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        partial += read;
        free += partial / PUBACK_BYTES;
        acknowledged += (partial / PUBACK_BYTES) as u64;
        partial %= PUBACK_BYTES;
        sending = left > 0
            && match end {
                End::After(duration) => started.elapsed() < duration,
                End::Messages(_) => true,
            };
    }
    total.fetch_add(acknowledged, Ordering::Relaxed);
    Ok(())
}

pub(crate) struct OpenLoop {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    /// Messages per second of all connections together.
    pub(crate) rate: u64,
    pub(crate) duration: Duration,
    /// Every message crosses the threshold of the rule, up and down in turn.
    pub(crate) alternating: bool,
}

impl OpenLoop {
    /// The time from each message's planned moment to its PUBACK, in microseconds.
    ///
    /// A thread of its own sends: the runtime's timers count whole milliseconds, which is longer
    /// than what is measured.
    pub(crate) fn run(&self) -> io::Result<Vec<u64>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let (mut readers, mut writers) = (Vec::new(), Vec::new());
            for device in 0..self.connections {
                let stream = connect(self.address, &format!("paced-{device}"))
                    .await?
                    .into_std()?;
                writers.push(stream.try_clone()?);
                readers.push(TcpStream::from_std(stream)?);
            }
            let plan = Plan {
                first: Instant::now() + Duration::from_millis(50),
                interval: Duration::from_secs_f64(1.0 / self.rate as f64),
                count: (self.rate as f64 * self.duration.as_secs_f64()) as u32,
                connections: self.connections,
            };
            let alternating = self.alternating;
            let sender =
                std::thread::spawn(move || send_as_planned(&mut writers, plan, alternating));
            let tasks: Vec<_> = readers
                .into_iter()
                .enumerate()
                .map(|(device, stream)| tokio::spawn(time_acks(stream, device, plan)))
                .collect();
            let mut latencies = Vec::new();
            for task in tasks {
                latencies.extend(task.await.map_err(io::Error::other)??);
            }
            sender
                .join()
                .map_err(|_| io::Error::other("the sender panicked"))??;
            Ok(latencies)
        })
    }
}

/// Message i of the plan is sent by connection i modulo their number.
#[derive(Clone, Copy)]
struct Plan {
    first: Instant,
    interval: Duration,
    count: u32,
    connections: usize,
}

fn send_as_planned(
    writers: &mut [std::net::TcpStream],
    plan: Plan,
    alternating: bool,
) -> io::Result<()> {
    let topic = |device| Topics::TELEMETRY.topic(device);
    let mut templates: Vec<_> = (0..writers.len())
        .map(|device| Template::new(&topic(device)))
        .collect();
    let mut out = Vec::new();
    for index in 0..plan.count {
        let planned = plan.first + plan.interval * index;
        std::thread::sleep(planned.saturating_duration_since(Instant::now()));
        let device = index as usize % plan.connections;
        let template = &mut templates[device];
        if alternating {
            template.set_hot(!template.hot);
        }
        out.clear();
        template.append(1, &mut out);
        writers[device].write_all(&out)?;
    }
    Ok(())
}

async fn time_acks(mut stream: TcpStream, device: usize, plan: Plan) -> io::Result<Vec<u64>> {
    let mut latencies = Vec::new();
    let mut ack = [0; PUBACK_BYTES];
    for index in (device as u32..plan.count).step_by(plan.connections) {
        timeout(Duration::from_secs(30), stream.read_exact(&mut ack)).await??;
        let planned = plan.first + plan.interval * index;
        latencies.push(planned.elapsed().as_micros() as u64);
    }
    Ok(latencies)
}

/// A publish of three metrics whose digits are changed in place.
struct Template {
    packet: Vec<u8>,
    packet_id_at: usize,
    time_at: usize,
    value_at: usize,
    packet_id: u16,
    last_time: u64,
    sequence: u64,
    hot: bool,
}

const TIME_DIGITS: usize = 16;
const VALUE_DIGITS: usize = 3;

impl Template {
    fn new(topic: &str) -> Template {
        let payload =
            br#"{"ts":0000000000000000,"temperature":20.000,"pressure":1.013,"humidity":45.2}"#;
        let mut packet = Vec::new();
        let publish = encode::Publish {
            topic,
            payload,
            qos: Qos::AtLeastOnce,
            packet_id: 1,
            ..encode::Publish::default()
        };
        encode::publish(&mut packet, Version::V311, &publish);
        let payload_at = packet.len() - payload.len();
        Template {
            packet_id_at: payload_at - 2,
            time_at: payload_at + br#"{"ts":"#.len(),
            value_at: payload_at + br#"{"ts":0000000000000000,"temperature":20."#.len(),
            packet,
            packet_id: 0,
            last_time: 0,
            sequence: 0,
            hot: false,
        }
    }

    /// 90 degrees more, or not.
    fn set_hot(&mut self, hot: bool) {
        self.hot = hot;
        self.packet[self.value_at - VALUE_DIGITS] = if hot { b'9' } else { b'2' };
    }

    fn append(&mut self, count: usize, out: &mut Vec<u8>) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut time = now.as_micros() as u64;
        for _ in 0..count {
            // Times of a device are distinct, as those of a real one are.
            time = time.max(self.last_time + 1);
            self.last_time = time;
            self.packet_id = self.packet_id.checked_add(1).unwrap_or(1);
            self.sequence += 1;
            self.packet[self.packet_id_at..][..2].copy_from_slice(&self.packet_id.to_be_bytes());
            write_digits(&mut self.packet[self.time_at..][..TIME_DIGITS], time);
            write_digits(
                &mut self.packet[self.value_at..][..VALUE_DIGITS],
                self.sequence % 1000,
            );
            out.extend_from_slice(&self.packet);
        }
    }
}

fn write_digits(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}
