//! Runs against mosquitto: any broker will do, and this one is not ours.

use std::collections::BTreeMap;
use std::path::Path;

use crate::support::{Mosquitto, PATIENCE, Subscriber, lines, run, samples, settings};
use simulator::{ConnectError, Error, ReplayKeys, Report, RunKeys, Scenario};
use testkit::wait_until;
use tokio_util::sync::CancellationToken;

fn assert_complete(report: &Report, messages: u64) {
    assert!(report.is_complete(), "{report}");
    assert_eq!(
        (report.sent, report.acknowledged),
        (messages, messages),
        "{report}"
    );
    let latency = report.puback_latency.unwrap();
    assert_eq!(latency.count, messages);
    assert!(latency.p50_ms <= latency.p99_ms && latency.p99_ms <= latency.max_ms);
}

#[tokio::test]
async fn what_is_acknowledged_is_what_a_subscriber_gets() {
    let broker = Mosquitto::start();
    for version in ["3.1.1", "5"] {
        for (qos, payload) in [(1, "flat"), (2, "values"), (1, "batch")] {
            let subscriber = Subscriber::start(broker.port);
            let dir = tempfile::tempdir().unwrap();
            let expect = dir.path().join("expect.csv");
            let report = run(
                broker.port,
                &format!(
                    r#"
                    mqtt-version = "{version}"
                    expect = "{}"
                    [[fleet]]
                    count = 7
                    connections = 3
                    profile = ["thermostat", "gps"]
                    interval = "5ms"
                    messages = 200
                    qos = {qos}
                    payload = "{payload}"
                    "#,
                    expect.display()
                ),
            )
            .await;
            assert_complete(&report, 200);
            let mut received = BTreeMap::new();
            for (topic, payload) in subscriber.take(200) {
                for sample in samples(&topic, &payload) {
                    *received.entry(sample).or_insert(0) += 1;
                }
            }
            assert_eq!(
                received,
                lines(&expect),
                "MQTT {version}, QoS {qos}, {payload}"
            );
            assert_eq!(
                received.values().sum::<u32>() as u64,
                report.samples_acknowledged
            );
            assert!(lines(&dir.path().join("expect.csv.unacknowledged")).is_empty());
        }
    }
}

#[tokio::test]
async fn quality_of_service_0_is_sent_and_never_acknowledged() {
    let broker = Mosquitto::start();
    let subscriber = Subscriber::start(broker.port);
    let dir = tempfile::tempdir().unwrap();
    let expect = dir.path().join("expect.csv");
    let scenario = format!(
        "expect = \"{}\"\n[[fleet]]\ncount = 2\nqos = 0\nrate = \"max\"\nmessages = 500",
        expect.display()
    );
    let report = run(broker.port, &scenario).await;
    assert_eq!(
        (report.sent, report.acknowledged, report.in_flight),
        (500, 0, 0)
    );
    assert_eq!(report.puback_latency, None);
    assert_eq!(subscriber.take(500).len(), 500);
    assert!(lines(&expect).is_empty());
    assert_eq!(
        lines(&dir.path().join("expect.csv.unacknowledged")).len(),
        1_500
    );
}

#[tokio::test]
async fn a_seed_and_a_start_time_repeat_every_byte() {
    let broker = Mosquitto::start();
    let mut runs = Vec::new();
    for seed in [1, 1, 2] {
        let subscriber = Subscriber::start(broker.port);
        let scenario = format!(
            r#"
            seed = {seed}
            start-time = "2025-01-01T00:00:00Z"
            [[fleet]]
            count = 3
            connections = 1
            profile = ["boiler", "power-meter", "vibration"]
            fault = ["spike:0.1", "duplicate:0.1", "late-batch:0.05,for=3s", "dropout:0.02,for=2s"]
            rate = "max"
            messages = 300
            "#
        );
        let report = run(broker.port, &scenario).await;
        runs.push(subscriber.take(report.sent as usize));
    }
    assert!(runs[0].len() > 100);
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test]
async fn load_survives_a_broker_that_is_killed_and_started_again() {
    for (version, clean) in [("3.1.1", true), ("5", false)] {
        let mut broker = Mosquitto::start();
        let dir = tempfile::tempdir().unwrap();
        let expect = dir.path().join("expect.csv");
        let settings = settings(
            broker.port,
            &format!(
                r#"
                mqtt-version = "{version}"
                clean = {clean}
                seed = 3
                start-time = "2025-01-01T00:00:00Z"
                expect = "{}"
                [[fleet]]
                count = 20
                connections = 4
                rate = 4000
                messages = 12000
                fault = "duplicate:0.05"
                "#,
                expect.display()
            ),
        );
        let load = tokio::spawn(simulator::run(settings, CancellationToken::new()));
        for _ in 0..3 {
            wait_for_lines(&expect).await;
            broker.kill();
            broker.start_again();
        }
        let report = load.await.unwrap().unwrap();
        assert!(report.is_complete(), "{report}");
        assert_eq!(report.sent, report.acknowledged, "{report}");
        assert!(report.reconnects >= 4, "{report}");
        assert_eq!(report.faults["duplicate"] + 12_000, report.sent);

        // Every sample of the run, each once.
        let lines = lines(&expect);
        assert_eq!(lines.len() as u64, report.samples_acknowledged);
        assert_eq!(lines.len(), 36_000);
        assert!(lines.values().all(|count| *count == 1));
    }
}

/// Waits until the expect file has grown, which it does when a buffer of it is full or the run has
/// ended.
async fn wait_for_lines(path: &Path) {
    let path = path.to_owned();
    let size = move || std::fs::metadata(&path).map_or(0, |meta| meta.len());
    let before = size();
    let wait = move || {
        wait_until("an acknowledged sample", PATIENCE, size, |now| {
            *now > before
        })
    };
    tokio::task::spawn_blocking(wait).await.unwrap();
}

#[tokio::test]
async fn what_a_dead_server_has_not_acknowledged_is_reported() {
    let mut broker = Mosquitto::start();
    let dir = tempfile::tempdir().unwrap();
    let expect = dir.path().join("expect.csv");
    let settings = settings(
        broker.port,
        &format!(
            r#"
            drain = "500ms"
            expect = "{}"
            [[fleet]]
            count = 10
            connections = 2
            rate = "max"
            "#,
            expect.display()
        ),
    );
    let stop = CancellationToken::new();
    let load = tokio::spawn(simulator::run(settings, stop.clone()));
    wait_for_lines(&expect).await;
    broker.kill();
    stop.cancel();
    let report = load.await.unwrap().unwrap();
    assert!(report.stopped);
    assert_eq!(
        report.sent,
        report.acknowledged + report.in_flight,
        "{report}"
    );
    let unacknowledged = lines(&dir.path().join("expect.csv.unacknowledged"));
    assert_eq!(unacknowledged.len() as u64, report.in_flight * 3);
    assert_eq!(lines(&expect).len() as u64, report.samples_acknowledged);
}

#[tokio::test]
async fn a_storm_breaks_all_connections_and_loses_nothing() {
    let broker = Mosquitto::start();
    let report = run(
        broker.port,
        r#"
        duration = "2s"
        [[fleet]]
        count = 10
        interval = "20ms"
        fault = "reconnect-storm:every=500ms,at=300ms"
        "#,
    )
    .await;
    assert_complete(&report, 1_000);
    assert!(
        report.reconnects >= 30 && report.reconnects.is_multiple_of(10),
        "{report}"
    );
}

#[tokio::test]
async fn several_fleets_and_workers_add_up() {
    let broker = Mosquitto::start();
    let report = run(
        broker.port,
        r#"
        workers = 2
        duration = "500ms"
        [[fleet]]
        count = 5
        profile = "boiler"
        interval = "10ms"
        [[fleet]]
        count = 6
        profile = "gps"
        interval = "20ms"
        time-unit = "ms"
        ramp-up = "100ms"
        "#,
    )
    .await;
    assert_complete(&report, 5 * 50 + 6 * 25);
    assert_eq!((report.devices, report.connections), (11, 11));
}

#[tokio::test]
async fn a_first_connection_that_fails_is_an_error() {
    let broker = Mosquitto::start_with("allow_anonymous false");
    for version in ["3.1.1", "5"] {
        let wrong = settings(broker.port, &format!("mqtt-version = \"{version}\""));
        let error = simulator::run(wrong, CancellationToken::new())
            .await
            .unwrap_err();
        let Error::Connect { source, .. } = &error else {
            panic!("{error}")
        };
        assert!(matches!(source, ConnectError::Refused(_)), "{source}");
        assert!(source.to_string().contains("not authorized"), "{source}");
    }
    let mut broker = broker;
    broker.kill();
    let nobody = settings(broker.port, "connect-timeout = \"200ms\"");
    let error = simulator::run(nobody, CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot connect to `127.0.0.1:{}`", broker.port)
    );
}

#[tokio::test]
async fn a_server_that_allows_less_is_respected() {
    let broker = Mosquitto::start_with("max_qos 1\nmax_packet_size 250");
    let too_much = settings(broker.port, "mqtt-version = 5\n[[fleet]]\nqos = 2");
    let error = simulator::run(too_much, CancellationToken::new())
        .await
        .unwrap_err();
    let Error::Connect {
        source: ConnectError::Qos {
            allowed: 1,
            wanted: 2,
        },
        ..
    } = error
    else {
        panic!("{error}")
    };
    let report = run(
        broker.port,
        "mqtt-version = 5\n[[fleet]]\ncount = 1\nrate = \"max\"\nmessages = 3\npayload = \"batch\"",
    )
    .await;
    assert_eq!((report.failed, report.acknowledged), (3, 0), "{report}");
    assert_eq!(
        report.failure.as_deref(),
        Some("larger than the server takes")
    );
    assert!(!report.is_complete());
}

#[tokio::test]
async fn time_from_publish_to_alert_is_measured() {
    let broker = Mosquitto::start();
    // Stands in for the alert engine: answers each message of the fleet with an alert.
    let subscriber = Subscriber::start(broker.port);
    let port = broker.port;
    let engine = std::thread::spawn(move || {
        let options = rumqttc::MqttOptions::new("engine", "127.0.0.1", port);
        let (client, mut connection) = rumqttc::Client::new(options, 100);
        let publisher =
            std::thread::spawn(move || for _ in connection.iter().take_while(Result::is_ok) {});
        for (topic, payload) in subscriber.take(20) {
            let device = topic.split('/').nth(1).unwrap().to_owned();
            let json: serde_json::Value = serde_json::from_slice(&payload).unwrap();
            let event = serde_json::json!({"device": device, "updated_at": json["ts"]});
            for topic in [
                format!("alerts/warning/{device}/r"),
                format!("alerts/active/{device}/r"),
            ] {
                client
                    .publish(topic, rumqttc::QoS::AtLeastOnce, false, event.to_string())
                    .unwrap();
            }
        }
        // The alerts are on the topics that the subscriber takes as well.
        for _ in 0..40 {
            subscriber.take(1);
        }
        client.disconnect().unwrap();
        publisher.join().unwrap();
    });
    let scenario =
        "alerts = \"alerts/#\"\n[[fleet]]\ncount = 2\ninterval = \"10ms\"\nmessages = 20";
    let report = run(broker.port, scenario).await;
    engine.join().unwrap();
    assert_eq!(report.alerts_received, Some(20), "{report}");
    assert_eq!(report.alert_latency.unwrap().count, 20);
}

#[tokio::test]
async fn a_recorded_file_is_played_in_order_row_by_row() {
    let broker = Mosquitto::start();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("machine.csv");
    let mut text = "timestamp,value\n".to_owned();
    // Every tenth time is repeated with another value.
    for row in 0..1_000 {
        let second = row - i32::from(row % 10 == 9);
        let (minute, second) = (second / 60, second % 60);
        text.push_str(&format!(
            "2014-01-07 02:{minute:02}:{second:02},{}\n",
            f64::from(row) / 4.0
        ));
    }
    std::fs::write(&file, text).unwrap();
    for version in [simulator::MqttVersion::V3, simulator::MqttVersion::V5] {
        let subscriber = Subscriber::start(broker.port);
        let expect = dir.path().join("expect.csv");
        let scenario = Scenario {
            run: RunKeys {
                port: Some(broker.port),
                mqtt_version: Some(version),
                expect: Some(expect.clone()),
                ..RunKeys::default()
            },
            replay: ReplayKeys {
                replay: Some(file.clone()),
                map: vec!["value=temperature".into()],
                speed: Some("max".into()),
                ..ReplayKeys::default()
            },
            ..Scenario::default()
        };
        let settings = scenario.resolve().unwrap();
        let report = simulator::run(settings, CancellationToken::new())
            .await
            .unwrap();
        assert_complete(&report, 1_000);
        let received: Vec<String> = subscriber
            .take(1_000)
            .iter()
            .flat_map(|(topic, payload)| samples(topic, payload))
            .collect();
        let expected = std::fs::read_to_string(&expect).unwrap();
        assert_eq!(received.join("\n"), expected.trim_end());
        assert_eq!(received[9], "machine,temperature,1389060008000000,2.25");
        assert_eq!(received[8], "machine,temperature,1389060008000000,2.0");
    }
}
