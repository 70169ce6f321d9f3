use super::*;
use crate::Config;

const RECEIVED: Micros = 1_769_847_300_000_000;

fn preparer(config: &str, devices: &str) -> Preparer {
    let config: Config = toml::from_str(config).unwrap();
    let meaning = config.meaning(Default::default()).unwrap();
    let devices = format!("device,metric,site,unit,scale,offset\n{devices}");
    Preparer::new(Meaning {
        registry: Arc::new(Registry::of_text(&devices)),
        ..meaning
    })
}

/// `key:device/metric=value[unit]@time … | reason=count …`, or the reason of a dead letter.
fn prepared(preparer: &mut Preparer, topic: &str, payload: &str) -> String {
    let record = Record {
        received_at: RECEIVED,
        qos: 1,
        packet_id: None,
        content_type: "",
        client_id: "client-1",
        user: "",
        topic,
        payload: payload.as_bytes(),
    };
    let prepared = match preparer.prepare(Position(7), &record) {
        Ok(prepared) => prepared,
        Err(error) => return format!("! {}", error.reason),
    };
    let mut shown: Vec<String> = prepared
        .samples()
        .map(|sample| {
            let series = prepared.series(sample.series);
            assert_eq!(
                (series.device, series.metric),
                (sample.device, sample.metric)
            );
            let value = match sample.value {
                Value::Number(number) => number.to_string(),
                Value::Text(text) => format!("'{text}'"),
            };
            let time = if sample.has_device_time {
                format!("@{}", sample.time - RECEIVED)
            } else {
                String::new()
            };
            let Sample { device, metric, .. } = sample;
            format!(
                "{}:{device}/{metric}={value}{}{time}",
                sample.series.0, series.unit
            )
        })
        .collect();
    for (reason, count) in prepared.filtered.iter().filter(|(_, count)| *count > 0) {
        shown.push(format!("| {}={count}", reason.as_str()));
    }
    let all = prepared.len() as u64 + prepared.filtered.total();
    assert_eq!(all.max(1), (prepared.values() as u64).max(1));
    shown.join(" ")
}

#[test]
fn records_become_samples() {
    let mut preparer = preparer("", "boiler-*,t,,°C,2,1\nboiler-*,,plant,,,\n");
    #[track_caller]
    fn check(preparer: &mut Preparer, topic: &str, payload: &str, expected: &str) {
        assert_eq!(
            prepared(preparer, topic, payload),
            expected,
            "{topic} {payload}"
        );
    }
    let p = &mut preparer;
    check(
        p,
        "devices/boiler-1/telemetry",
        r#"{"t":10,"p":3}"#,
        "0:boiler-1/t=21°C 1:boiler-1/p=3",
    );
    check(
        p,
        "devices/boiler-1/telemetry",
        r#"{"s":"x","t":0,"ts":1769847301}"#,
        "2:boiler-1/s='x'@1000000 0:boiler-1/t=1°C@1000000",
    );
    check(p, "devices/boiler-1/telemetry/t", "2.5", "0:boiler-1/t=6°C");
    check(
        p,
        "v1/devices/me/telemetry",
        r#"{"t":10}"#,
        "3:client-1/t=10",
    );
    check(p, "devices/котёл/telemetry", r#"{"т":1}"#, "4:котёл/т=1");
    check(p, "devices/boiler-1/telemetry", "{}", "| no_values=1");
    check(
        p,
        "devices/boiler-1/telemetry",
        r#"{"t":1.5e308}"#,
        "| not_finite=1",
    );
    let series = p.series(SeriesKey(0));
    assert_eq!((series.unit, series.labels), ("°C", r#"{"site":"plant"}"#));
}

/// As Python's `json.dumps` writes it.
#[test]
fn what_is_not_finite_loses_only_its_own_metric() {
    let mut preparer = preparer("", "");
    let mut check = |payload: &str, expected: &str| {
        let topic = "devices/d/telemetry";
        assert_eq!(
            prepared(&mut preparer, topic, payload),
            expected,
            "{payload}"
        );
    };
    check(
        r#"{"t": 21.5, "p": NaN, "q": -Infinity, "r": 1e999, "s": "x"}"#,
        "0:d/t=21.5 1:d/s='x' | not_finite=3",
    );
    check(r#"{"p": NaN}"#, "| not_finite=1");
    check("NaN", "| not_finite=1");
}

#[test]
fn a_fleet_says_how_its_payloads_are_read() {
    let config = "numbers_in_quotes = true\ntime_field = 'meta.at'\ntime_zone = 'Europe/Berlin'\n\
                  min_time = '1970-01-01'";
    let mut preparer = preparer(config, "");
    let payload = r#"{"t":"21.5","ts":7,"meta":{"at":"2026-01-31 09:15:01"}}"#;
    assert_eq!(
        prepared(&mut preparer, "devices/d/telemetry", payload),
        "0:d/t=21.5@1000000 1:d/ts=7@1000000"
    );
    let payload = r#"{"t":1,"meta":{"at":0}}"#;
    assert_eq!(
        prepared(&mut preparer, "devices/d/telemetry", payload),
        format!("0:d/t=1@{}", -RECEIVED)
    );
}

#[test]
fn the_detail_names_the_key_that_would_have_helped() {
    let mut preparer = preparer("", "");
    let mut check = |payload: &str, expected: &str| {
        let record = Record {
            received_at: RECEIVED,
            qos: 1,
            packet_id: None,
            content_type: "",
            client_id: "client-1",
            user: "",
            topic: "devices/d/telemetry",
            payload: payload.as_bytes(),
        };
        let error = preparer.prepare(Position(7), &record).unwrap_err();
        assert_eq!(error.detail, expected);
    };
    check(
        r#"{"ts":"2026-01-31 08:15:00","a":1}"#,
        "`ts` is `2026-01-31 08:15:00`: a time without a zone; `ingest.time_zone` can say which \
         zone is meant",
    );
    check(
        r#"{"ts":123456,"a":1}"#,
        "`ts` is `123456`: that is 1970-01-02T10:17:36Z, before the earliest time accepted; \
         `ingest.min_time` sets it",
    );
    check(
        r#"{"time":"noon","a":1}"#,
        "`time` is `noon`: not a time; `ingest.time_field` says which fields are times",
    );
}

#[test]
fn what_is_not_understood_has_a_reason() {
    let mut preparer = preparer("topics = ['a/{device}/b', 'a/{device}/m/{metric}']", "");
    let long = format!("a/{}/b", "d".repeat(257));
    for (topic, payload, expected) in [
        ("x/y", "1", "! no_template"),
        ("a//b", "1", "! empty_device"),
        (long.as_str(), "1", "! device_too_long"),
        ("a/d\0/b", "1", "! nul_character"),
        ("a/d/m/", "1", "! empty_name"),
        ("a/d/b", "", "! empty"),
        ("a/d/b", "{", "! not_json"),
        ("a/d/b", r#"{NaN:1}"#, "! not_finite"),
        ("a/d/b", r#"{"ts":123456,"a":1}"#, "! time_before_min"),
        (
            "a/d/b",
            r#"{"ts":"2026-01-31T08:15:00","a":1}"#,
            "! naive_time",
        ),
    ] {
        assert_eq!(
            prepared(&mut preparer, topic, payload),
            expected,
            "{topic} {payload}"
        );
    }
    assert_eq!(preparer.series_len(), 0);
}

#[test]
fn stateless_filters() {
    let config = r#"
        [filter]
        max_age = "1h"
        [[filter.rule]]
        metric = "secret"
        action = "deny"
        [[filter.rule]]
        metric = "t"
        range = { max = 100 }
    "#;
    let mut preparer = preparer(config, "d,t,,,2,\n");
    let topic = "devices/d/telemetry";
    assert_eq!(
        prepared(&mut preparer, topic, r#"{"t":51,"secret":1,"u":1e9}"#),
        "2:d/u=1000000000 | denied=1 | out_of_range=1"
    );
    assert_eq!(prepared(&mut preparer, topic, r#"{"t":50}"#), "0:d/t=100");
    let old = r#"{"t":1,"u":2,"ts":1769843699}"#;
    assert_eq!(prepared(&mut preparer, topic, old), "| too_old=2");
    let future = r#"{"t":1,"ts":1769850901}"#;
    assert_eq!(
        prepared(&mut preparer, topic, future),
        "| too_far_in_future=1"
    );
}

/// A series that comes over two topics is judged by the topic of each message.
#[test]
fn rules_for_topics_follow_the_topic() {
    let config = r#"
        topics = ["a/{device}", "b/{device}"]
        [[filter.rule]]
        topic = "b/#"
        action = "deny"
    "#;
    let mut preparer = preparer(config, "");
    for _ in 0..3 {
        assert_eq!(prepared(&mut preparer, "a/d", r#"{"t":1}"#), "0:d/t=1");
        assert_eq!(prepared(&mut preparer, "b/d", r#"{"t":1}"#), "| denied=1");
    }
}

#[test]
fn parts_of_the_topic_are_labels() {
    let mut preparer = preparer(
        "topics = ['{site}/{line}/{device}']",
        "north/*/d2,,registry,,,\nnorth/4/d2,value,,K,2,\n",
    );
    prepared(&mut preparer, "north/4/d1", "1");
    prepared(&mut preparer, "north/4/d2", "1");
    assert_eq!(
        preparer.series(SeriesKey(0)).labels,
        r#"{"line":"4","site":"north"}"#
    );
    assert_eq!(
        preparer.series(SeriesKey(1)).labels,
        r#"{"line":"4","site":"registry"}"#
    );
    assert_eq!(preparer.series(SeriesKey(1)).unit, "K");
}

/// Machines of the same name at two places, and the two relays of one switch.
#[test]
fn two_machines_are_two_series() {
    let topics =
        "topics = ['{site}/{line}/{device}/data', 'shellies/{device}/relay/{channel}/{metric}']";
    let mut preparer = preparer(topics, "");
    for (topic, payload, expected) in [
        (
            "north/4/press-7/data",
            r#"{"t":1}"#,
            "0:north/4/press-7/t=1",
        ),
        (
            "south/1/press-7/data",
            r#"{"t":2}"#,
            "1:south/1/press-7/t=2",
        ),
        (
            "north/4/press-7/data",
            r#"{"t":3}"#,
            "0:north/4/press-7/t=3",
        ),
        ("shellies/s/relay/0/power", "4", "2:s/0/power=4"),
        ("shellies/s/relay/1/power", "5", "3:s/1/power=5"),
    ] {
        assert_eq!(prepared(&mut preparer, topic, payload), expected, "{topic}");
    }
    let labels = |key| preparer.series(SeriesKey(key)).labels;
    assert_eq!(labels(0), r#"{"line":"4","site":"north"}"#);
    assert_eq!(labels(1), r#"{"line":"1","site":"south"}"#);
    assert_eq!(labels(3), r#"{"channel":"1"}"#);
}

/// Somebody chose a name that does not tell the machines apart.
#[test]
fn labels_that_differ_are_noticed() {
    let topics = "topics = [{ topic = '{site}/{device}', device = '{device}' }, 'd/{device}/t']";
    // What the registry says covers the difference.
    let mut preparer = preparer(topics, "covered,,here,,,\n");
    let mut relabelled = |topic, payload: &str| {
        let record = Record {
            received_at: RECEIVED,
            qos: 1,
            packet_id: None,
            content_type: "",
            client_id: "",
            user: "",
            topic,
            payload: payload.as_bytes(),
        };
        let prepared = preparer.prepare(Position(0), &record).unwrap();
        prepared.relabelled.map(|found| (found.series.0, found.new))
    };
    let both = r#"{"a":1,"b":2}"#;
    assert_eq!(relabelled("north/press", both), None);
    assert_eq!(relabelled("north/press", both), None);
    assert_eq!(relabelled("south/press", r#"{"c":1}"#), None);
    assert_eq!(relabelled("south/press", both), Some((1, 2)));
    assert_eq!(relabelled("south/press", both), Some((0, 0)));
    assert_eq!(relabelled("north/press", both), None);
    assert_eq!(relabelled("north/press", r#"{"c":1}"#), Some((2, 1)));
    // Without labels from the topic.
    assert_eq!(relabelled("d/press/t", r#"{"a":1}"#), Some((0, 0)));
    assert_eq!(relabelled("d/pump/t", r#"{"a":1}"#), None);
    assert_eq!(relabelled("north/pump", r#"{"a":1}"#), Some((3, 1)));
    assert_eq!(relabelled("north/covered", r#"{"a":1}"#), None);
    assert_eq!(relabelled("south/covered", r#"{"a":1}"#), None);
    assert_eq!(relabelled("north/covered", r#"{"a":1}"#), None);
}

#[test]
fn series_are_bounded_and_known_ones_go_on() {
    let mut preparer = preparer("max_series = 2", "");
    let topic = "devices/d/telemetry";
    assert_eq!(prepared(&mut preparer, topic, r#"{"a":1}"#), "0:d/a=1");
    assert_eq!(
        prepared(&mut preparer, topic, r#"{"a":1,"b":1,"c":1}"#),
        "! too_many_series"
    );
    assert_eq!(
        prepared(&mut preparer, topic, r#"{"b":1,"a":2}"#),
        "1:d/b=1 0:d/a=2"
    );
    assert_eq!(
        prepared(&mut preparer, "devices/e/telemetry", "1"),
        "! too_many_series"
    );
}

#[test]
fn ten_thousand_metrics_of_a_hot_device() {
    let mut preparer = preparer("", "");
    let members: Vec<String> = (0..10_000)
        .map(|metric| format!("\"m{metric}\":{metric}"))
        .collect();
    let payload = format!("{{{}}}", members.join(","));
    for _ in 0..2 {
        let record = Record {
            received_at: RECEIVED,
            qos: 0,
            packet_id: None,
            content_type: "",
            client_id: "",
            user: "",
            topic: "devices/hot/telemetry",
            payload: payload.as_bytes(),
        };
        let prepared = preparer.prepare(Position(0), &record).unwrap();
        assert_eq!(prepared.len(), 10_000);
        assert!(prepared.samples().enumerate().all(|(index, sample)| {
            sample.series.0 as usize == index && sample.value == Value::Number(index as f64)
        }));
    }
    assert_eq!(preparer.series_len(), 10_000);
}
