//! Figures, not judgements. Run with
//! `cargo test --release -p broker router::tests::bench -- --ignored --nocapture`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::*;

#[derive(Default)]
struct Count {
    deliveries: AtomicU64,
    waiting: Mutex<Option<(u64, std::thread::Thread)>>,
}

impl Deliver for Count {
    fn deliver(&self, _: FilterId, message: &Arc<Message>) {
        std::hint::black_box(message);
        let count = self.deliveries.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_multiple_of(1_000) || count < 1_000 {
            let waiting = lock(&self.waiting);
            if let Some((until, thread)) = &*waiting
                && count >= *until
            {
                thread.unpark();
            }
        }
    }
}

impl Count {
    fn wait_for(&self, deliveries: u64) {
        *lock(&self.waiting) = Some((deliveries, std::thread::current()));
        while self.deliveries.load(Ordering::Relaxed) < deliveries {
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

fn start_counting() -> (Router, Arc<Count>) {
    let count = Arc::<Count>::default();
    let router = Router::start(Settings::default(), Arc::clone(&count) as Arc<dyn Deliver>)
        .expect("the router starts");
    (router, count)
}

#[tokio::test]
#[ignore = "prints figures"]
async fn throughput() {
    const MESSAGES: u64 = 1_000_000;
    let topics: Vec<String> = (0..1_000)
        .map(|n| format!("devices/d{n:04}/telemetry"))
        .collect();
    for filters in [1_u64, 10, 100] {
        let (router, count) = start_counting();
        for id in 0..filters {
            // Distinct, and each matches every message.
            let filter = match id {
                0 => "devices/+/telemetry".to_owned(),
                id => format!("{}#", ["devices/+/", "+/", "devices/", ""][id as usize % 4]),
            };
            router.subscribe(FilterId(id), &filter);
        }
        let messages = MESSAGES / filters.max(10) * 10;
        let all: Vec<_> = topics
            .iter()
            .map(|topic| with_payload(topic, &[b'x'; 100]))
            .collect();
        let start = Instant::now();
        for n in 0..messages {
            publish(&router, &all[n as usize % all.len()]);
        }
        count.wait_for(messages * filters);
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{filters:>4} filters: {:>9.0} messages/s, {:>9.0} deliveries/s",
            messages as f64 / seconds,
            (messages * filters) as f64 / seconds
        );
        assert_eq!(router.stats().failures, 0);
        router.shutdown().await;
    }
}

#[tokio::test]
#[ignore = "prints figures"]
async fn latency_when_idle() {
    const MESSAGES: u64 = 20_000;
    let (router, count) = start_counting();
    router.subscribe(FilterId(0), "devices/+/telemetry");
    let message = with_payload("devices/d1/telemetry", &[b'x'; 100]);
    let mut micros: Vec<f64> = (1..=MESSAGES)
        .map(|n| {
            let start = Instant::now();
            publish(&router, &message);
            while count.deliveries.load(Ordering::Acquire) < n {
                std::hint::spin_loop();
            }
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    micros.sort_by(f64::total_cmp);
    let at = |share: f64| micros[(micros.len() as f64 * share) as usize];
    println!(
        "publish to deliver: p50 {:.0} µs, p99 {:.0} µs",
        at(0.5),
        at(0.99)
    );
    router.shutdown().await;
}

/// Resident memory of the process, from the kernel; 0 where there is no such file.
fn resident_mb() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: f64 = statm
        .split(' ')
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(0.0);
    pages * 4_096.0 / 1e6
}

#[tokio::test]
#[ignore = "prints figures"]
async fn memory_of_busy_filters() {
    for filters in [1_u64, 64, 1_000, 5_000] {
        let (router, count) = start_counting();
        for id in 0..filters {
            router.subscribe(FilterId(id), &format!("b/{id}/#"));
        }
        publish(&router, &message("b/0/first", 0));
        count.wait_for(1);
        let before = resident_mb();
        let all: Vec<_> = (0..filters)
            .map(|id| with_payload(&format!("b/{id}/telemetry"), &[0; 100]))
            .collect();
        let rounds = 2_000_000 / filters.max(1_000);
        for _ in 0..rounds {
            all.iter().for_each(|message| publish(&router, message));
        }
        count.wait_for(1 + rounds * filters);
        println!(
            "{filters:>5} busy filters: {:>6.1} MB more resident",
            resident_mb() - before
        );
        assert_eq!(router.stats().failures, 0);
        router.shutdown().await;
    }
}
