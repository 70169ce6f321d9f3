use super::*;

fn report() -> Report {
    Report {
        seed: 7,
        mqtt_version: MqttVersion::V5,
        devices: 1_000,
        connections: 100,
        duration_s: 10.04,
        sent: 20_000,
        acknowledged: 19_990,
        samples_acknowledged: 59_970,
        failed: 3,
        failure: Some("not authorized".into()),
        in_flight: 7,
        unsent: 0,
        resent: 12,
        put_off: 0,
        reconnects: 100,
        connect_failures: 250,
        rate: 1_991.03,
        connect_latency: None,
        puback_latency: Some(LatencySummary {
            count: 19_990,
            mean_ms: 0.5,
            p50_ms: 0.4217,
            p90_ms: 1.0,
            p99_ms: 2.345,
            p999_ms: 20.0,
            max_ms: 1_234.5,
        }),
        alerts_received: Some(12),
        alert_latency: None,
        faults: BTreeMap::from([("dropout".to_owned(), 2), ("spike".to_owned(), 1_500)]),
        stopped: false,
    }
}

#[test]
fn people_read_a_report_as_text() {
    assert_eq!(
        report().to_string(),
        "\
fleet         1,000 devices, 100 connections, MQTT 5, seed 7
sent          20,000 messages in 10.0 s, 12 sent again
acknowledged  19,990 messages, 59,970 samples, 1,991 messages/s, 7 still in flight
refused       3 messages: not authorized
reconnects    100, 250 failed attempts
PUBACK        p50 0.422 ms, p99 2.35 ms, max 1234 ms
alerts        12 received
faults        2 dropout, 1,500 spike
"
    );
}

#[test]
fn programs_read_a_report_as_json() {
    let json: serde_json::Value = serde_json::to_value(report()).unwrap();
    assert_eq!(json["mqtt_version"], "5");
    assert_eq!(json["acknowledged"], 19_990);
    assert_eq!(json["puback_latency"]["p50_ms"], 0.4217);
    assert_eq!(json["alert_latency"], serde_json::Value::Null);
    assert_eq!(json["faults"]["spike"], 1_500);
    let keys: Vec<&str> = json
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        keys.join(" "),
        "acknowledged alert_latency alerts_received connect_failures connect_latency connections \
         devices duration_s failed failure faults in_flight mqtt_version puback_latency put_off \
         rate reconnects resent samples_acknowledged seed sent stopped unsent"
    );
}

#[test]
fn a_run_is_complete_when_nothing_is_missing() {
    let complete = Report {
        failed: 0,
        in_flight: 0,
        ..report()
    };
    assert!(complete.is_complete());
    assert!(
        !Report {
            failed: 1,
            ..complete.clone()
        }
        .is_complete()
    );
    assert!(
        !Report {
            in_flight: 1,
            ..complete.clone()
        }
        .is_complete()
    );
    assert!(
        !Report {
            unsent: 1,
            ..complete.clone()
        }
        .is_complete()
    );
    assert!(
        Report {
            unsent: 1,
            stopped: true,
            ..complete
        }
        .is_complete()
    );
}

#[test]
fn long_numbers_are_grouped() {
    for (number, text) in [
        (0, "0"),
        (999, "999"),
        (1_000, "1,000"),
        (1_234_567, "1,234,567"),
    ] {
        assert_eq!(grouped(number), text);
    }
}
