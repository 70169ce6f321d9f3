//! A raw load generator: as little work per message as there can be, since it shares the machine with what it measures.
//!
//! Each connection keeps a window of unacknowledged QoS 1 publishes full (closed loop), or sends at planned times (open loop).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use broker::packet::{Qos, Version, client, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::time::{sleep_until, timeout};

/// A PUBACK of MQTT 3.1.1.
const PUBACK_BYTES: usize = 4;

pub(crate) struct ClosedLoop {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) window: usize,
    pub(crate) duration: Duration,
}

pub(crate) struct Sent {
    pub(crate) acknowledged: u64,
    pub(crate) elapsed: Duration,
}

impl ClosedLoop {
    /// Runs to the end of the duration and until everything sent is acknowledged.
    pub(crate) fn run(&self) -> io::Result<Sent> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let total = Arc::new(AtomicU64::new(0));
            let started = Instant::now();
            let end = started + self.duration;
            let mut tasks = Vec::new();
            for device in 0..self.connections {
                let stream = connect(self.address, &format!("load-{device}")).await?;
                let total = Arc::clone(&total);
                let window = self.window;
                tasks.push(tokio::spawn(keep_window_full(
                    stream, device, window, end, total,
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
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut packet = Vec::new();
    client::connect(&mut packet, &client::Connect::new(Version::V311, client_id));
    stream.write_all(&packet).await?;
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).await?;
    match connack {
        [0x20, 2, _, 0] => Ok(stream),
        refused => Err(io::Error::other(format!("refused: {refused:?}"))),
    }
}

async fn keep_window_full(
    mut stream: TcpStream,
    device: usize,
    window: usize,
    end: Instant,
    total: Arc<AtomicU64>,
) -> io::Result<()> {
    let mut template = Template::new(device);
    let mut out = Vec::with_capacity(window * 160);
    let mut acks = [0; 16 * 1024];
    let (mut free, mut acknowledged, mut partial) = (window, 0, 0);
    let mut sending = true;
    while sending || free < window {
        if sending && free > 0 {
            out.clear();
            template.append(free, &mut out);
            free = 0;
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
        sending = Instant::now() < end;
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
    pub(crate) fn run(&self) -> io::Result<Vec<u64>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut streams = Vec::new();
            for device in 0..self.connections {
                streams.push(connect(self.address, &format!("paced-{device}")).await?);
            }
            let per_connection = (self.rate as f64 / self.connections as f64).max(0.001);
            let interval = Duration::from_secs_f64(1.0 / per_connection);
            let started = Instant::now() + Duration::from_millis(50);
            let tasks: Vec<_> = streams
                .into_iter()
                .enumerate()
                .map(|(device, stream)| {
                    let offset = interval.mul_f64(device as f64 / self.connections as f64);
                    let plan = Plan {
                        first: started + offset,
                        interval,
                        duration: self.duration,
                    };
                    tokio::spawn(send_as_planned(stream, device, plan, self.alternating))
                })
                .collect();
            let mut latencies = Vec::new();
            for task in tasks {
                latencies.extend(task.await.map_err(io::Error::other)??);
            }
            Ok(latencies)
        })
    }
}

struct Plan {
    first: Instant,
    interval: Duration,
    duration: Duration,
}

async fn send_as_planned(
    stream: TcpStream,
    device: usize,
    plan: Plan,
    alternating: bool,
) -> io::Result<Vec<u64>> {
    let (mut reader, mut writer) = stream.into_split();
    let count = (plan.duration.as_secs_f64() / plan.interval.as_secs_f64()) as u32;
    let (first, interval) = (plan.first, plan.interval);
    let send = async move {
        let mut template = Template::new(device);
        let mut out = Vec::new();
        for index in 0..count {
            sleep_until((first + interval * index).into()).await;
            out.clear();
            if alternating {
                template.set_hot(index % 2 == 0);
            }
            template.append(1, &mut out);
            writer.write_all(&out).await?;
        }
        Ok::<_, io::Error>(writer)
    };
    let receive = async move {
        let mut latencies = Vec::with_capacity(count as usize);
        let mut ack = [0; PUBACK_BYTES];
        for index in 0..count {
            timeout(Duration::from_secs(30), reader.read_exact(&mut ack)).await??;
            latencies.push((first + interval * index).elapsed().as_micros() as u64);
        }
        Ok::<_, io::Error>(latencies)
    };
    let (writer, latencies) = tokio::join!(send, receive);
    drop(writer?);
    latencies
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
    fn new(device: usize) -> Template {
        let topic = format!("devices/load-{device:04}/telemetry");
        let payload =
            br#"{"ts":0000000000000000,"temperature":20.000,"pressure":1.013,"humidity":45.2}"#;
        let mut packet = Vec::new();
        let publish = encode::Publish {
            topic: &topic,
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
