//! A console's side of the alert latency: subscribes to all alert changes and notes when each
//! arrives.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mqtt::client::{self, ServerPacket};
use mqtt::{Frame, Qos, RetainHandling, Subscription, Version, frame};

/// After the load ends, how long nothing must arrive for the subscriber to be done.
const QUIET: Duration = Duration::from_millis(500);

pub(crate) struct AlertSubscriber {
    thread: JoinHandle<Vec<u64>>,
    stop: Arc<AtomicBool>,
}

impl AlertSubscriber {
    /// Connects and subscribes; returns when the subscription is acknowledged.
    pub(crate) fn start(address: SocketAddr) -> io::Result<AlertSubscriber> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut out = Vec::new();
        client::connect(&mut out, &client::Connect::new(Version::V311, "console"));
        let subscription = Subscription {
            filter: "alerts/critical/#",
            qos: Qos::AtMostOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        };
        client::subscribe(&mut out, Version::V311, 1, None, &[subscription]);
        stream.write_all(&out)?;
        let mut answers = [0; 4 + 5];
        stream.read_exact(&mut answers)?;
        stream.set_read_timeout(Some(QUIET))?;
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = std::thread::spawn(move || receive(stream, &seen));
        Ok(AlertSubscriber { thread, stop })
    }

    /// The latencies in microseconds, from the event time the device gave to arrival here.
    pub(crate) fn stop(self) -> Vec<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

fn receive(mut stream: TcpStream, stop: &AtomicBool) -> Vec<u64> {
    let mut latencies = Vec::new();
    let mut buffer = Vec::new();
    let mut chunk = [0; 64 * 1024];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return latencies,
            Ok(read) => buffer.extend_from_slice(&chunk[..read]),
            Err(_quiet) if stop.load(Ordering::Relaxed) => return latencies,
            Err(_quiet) => continue,
        }
        let now = micros_now();
        let mut handled = 0;
        while let Ok(Frame::Complete {
            first_byte,
            body,
            length,
        }) = frame(&buffer[handled..], usize::MAX)
        {
            let body = &buffer[handled..][body];
            if let Ok(ServerPacket::Publish(publish)) =
                client::decode(Version::V311, first_byte, body)
                && let Some(time) = event_time(publish.payload)
            {
                latencies.push(now.saturating_sub(time));
            }
            handled += length;
        }
        buffer.drain(..handled);
    }
}

/// The event's `updated_at`, which is the device's own time of the sample, in microseconds.
fn event_time(payload: &[u8]) -> Option<u64> {
    let event: serde_json::Value = serde_json::from_slice(payload).ok()?;
    let time: jiff::Timestamp = event.get("updated_at")?.as_str()?.parse().ok()?;
    u64::try_from(time.as_microsecond()).ok()
}

fn micros_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as u64)
}
