//! Nanoseconds a message for the usual shapes: `cargo bench -p telemetry`. Figures to read, not a
//! test.

use std::hint::black_box;
use std::time::{Duration, Instant};

use telemetry::decode::Decoder;
use telemetry::topic::Topics;

const FOR: Duration = Duration::from_millis(500);

fn main() {
    let hundred: Vec<String> = (0..100)
        .map(|i| format!("\"metric_{i}\":{}.25", i * 7))
        .collect();
    let metrics = r#""temperature":21.5,"humidity":40.25,"pressure":1013.1"#;
    let time = r#""2026-01-31T08:15:00.123Z""#;
    let nested = r#"{"ts":1769847300000,"engine":{"oil":{"t":90.5,"p":4.1}},"rpm":[8,9]}"#;
    let payloads = [
        (
            "three metrics",
            format!("{{\"ts\":1769847300000,{metrics}}}"),
            None,
        ),
        (
            "values",
            format!("{{\"ts\":1769847300000,\"values\":{{{metrics}}}}}"),
            None,
        ),
        ("RFC 3339", format!("{{\"time\":{time},{metrics}}}"), None),
        ("nested", nested.to_owned(), None),
        ("bare number", "21.5".to_owned(), Some("temperature")),
        (
            "a hundred metrics",
            format!("{{{}}}", hundred.join(",")),
            None,
        ),
    ];
    let mut decoder = Decoder::new();
    for (name, payload, metric) in &payloads {
        measure(name, payload.len(), || {
            let entries = decoder.decode(black_box(payload.as_bytes()), *metric);
            entries.map_or(0, |entries| {
                entries.filter(|entry| entry.time.is_some()).count()
            })
        });
    }
    let topics = Topics::default();
    for topic in [
        "devices/boiler-0042/telemetry",
        "v1/devices/me/telemetry",
        "alerts/critical/a/b",
    ] {
        measure(topic, topic.len(), || {
            usize::from(topics.matches(black_box(topic)).is_some())
        });
    }
}

fn measure(name: &str, bytes: usize, mut work: impl FnMut() -> usize) {
    let start = Instant::now();
    let mut rounds = 0_u32;
    while start.elapsed() < FOR {
        for _ in 0..1_000 {
            black_box(work());
        }
        rounds += 1_000;
    }
    let each = start.elapsed().as_nanos() as f64 / f64::from(rounds);
    println!("{name:<32} {bytes:>6} bytes {each:>8.0} ns");
}
