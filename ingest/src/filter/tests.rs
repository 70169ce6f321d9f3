use std::time::Duration;

use store::{Counts, Reason, SeriesKey};
use telemetry::{Micros, Value};

use super::duplicate::Ring;
use super::*;
use crate::prepare::Sample;
use mqtt::topic;

const SECOND: Micros = 1_000_000;

fn config(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

fn rules(text: &str) -> Rules {
    Rules::new(&config(text)).unwrap()
}

#[test]
fn the_first_rule_that_speaks_decides() {
    let rules = rules(
        r#"
        [[rule]]
        device = "lab-*"
        action = "allow"
        [[rule]]
        metric = "debug.*"
        action = "deny"
        [[rule]]
        topic = "test/#"
        action = "deny"
        [[rule]]
        metric = "temperature"
        range = { min = -50, max = 150 }
        [[rule]]
        range = { max = 1000 }
        "#,
    );
    #[track_caller]
    fn check(rules: &Rules, device: &str, metric: &str, topic: &str, value: f64, expected: &str) {
        let set = rules.resolve(device, metric, topic);
        let reason = if set.denied() {
            Some(Reason::Denied)
        } else {
            set.check_value(Value::Number(value))
        };
        let shown = reason.map_or("kept", Reason::as_str);
        assert_eq!(shown, expected, "{device} {metric} {topic} {value}");
    }
    check(&rules, "d", "flow", "t", 5.0, "kept");
    check(&rules, "d", "debug.heap", "t", 5.0, "denied");
    check(&rules, "lab-1", "debug.heap", "t", 5.0, "kept");
    check(&rules, "d", "flow", "test/a/b", 5.0, "denied");
    check(&rules, "d", "flow", "testing", 5.0, "kept");
    check(&rules, "d", "temperature", "t", 150.0, "kept");
    check(&rules, "d", "temperature", "t", 150.1, "out_of_range");
    check(&rules, "d", "temperature", "t", -50.1, "out_of_range");
    check(&rules, "d", "flow", "t", -1e300, "kept");
    check(&rules, "d", "flow", "t", 1000.5, "out_of_range");
    check(&rules, "d", "flow", "t", f64::INFINITY, "not_finite");
    assert_eq!(
        rules
            .resolve("d", "temperature", "t")
            .check_value(Value::Text("hot")),
        None
    );
    assert!(rules.uses_topics());
}

#[test]
fn times_are_measured_against_the_receipt() {
    let received = 1_000_000 * SECOND;
    let rules = rules("max_age = '1h'\nmax_future = '1m'");
    assert_eq!(rules.check_time(received - 3_600 * SECOND, received), None);
    assert_eq!(
        rules.check_time(received - 3_600 * SECOND - 1, received),
        Some(Reason::TooOld)
    );
    assert_eq!(rules.check_time(received + 60 * SECOND, received), None);
    let future = Some(Reason::TooFarInFuture);
    assert_eq!(
        rules.check_time(received + 60 * SECOND + 1, received),
        future
    );
    let off = self::rules("max_future = 'off'");
    assert_eq!(off.check_time(0, received), None);
    assert_eq!(off.check_time(received * 1_000, received), None);
    let default = Rules::new(&Config::default()).unwrap();
    assert_eq!(default.check_time(0, received), None);
    assert_eq!(
        default.check_time(received + 3_601 * SECOND, received),
        future
    );
}

#[test]
fn a_configuration_is_read_and_written_alike() {
    let written = r#"
        max_age = "30d"
        max_future = "off"
        duplicates = false
        duplicate_window = 16
        [[rule]]
        device = "a"
        deadband = { percent = 1.5, max_silence = "10m" }
    "#;
    let config = config(written);
    assert_eq!(config.max_age, Some(Duration::from_secs(30 * 86_400)));
    assert_eq!(config.max_future, None);
    assert_eq!(Rules::new(&config).unwrap().duplicate_window(), 0);
    let text = toml::to_string(&config).unwrap();
    assert_eq!(toml::from_str::<Config>(&text).unwrap(), config);
    let text = toml::to_string(&Config::default()).unwrap();
    assert_eq!(toml::from_str::<Config>(&text).unwrap(), Config::default());
    assert!(toml::from_str::<Config>("max_agee = '1h'").is_err());
    assert!(toml::from_str::<Config>("max_age = 'never'").is_err());
    assert!(toml::from_str::<Config>("[[rule]]\nactoin = 'deny'").is_err());
}

#[test]
fn rules_without_a_meaning_are_refused() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(
            Rules::new(&config(text)).unwrap_err().to_string(),
            expected,
            "{text}"
        );
    }
    check(
        "duplicate_window = 3",
        "`ingest.filter.duplicate_window` is 3; it may be 4 to 256",
    );
    check(
        "duplicate_window = 257",
        "`ingest.filter.duplicate_window` is 257; it may be 4 to 256",
    );
    let rule = |text: &str| format!("[[rule]]\naction = 'deny'\n[[rule]]\n{text}");
    check(
        &rule("device = 'a'"),
        "filter rule 2: `action` is missing, and there is no range or deadband",
    );
    check(
        &rule("action = 'deny'\ntopic = 'a/#/b'"),
        "filter rule 2: `topic` is `a/#/b`, which is not an MQTT filter",
    );
    check(
        &rule("action = 'deny'\ndevice = ''"),
        "filter rule 2: `device` is empty; leave it out to match all",
    );
    check(
        &rule("range = {}"),
        "filter rule 2: `range` needs `min` or `max`",
    );
    check(
        &rule("range = { min = 2, max = 1 }"),
        "filter rule 2: `range` from 2 to 1 holds no number",
    );
    check(
        &rule("range = { min = nan }"),
        "filter rule 2: `range` from NaN to inf holds no number",
    );
    check(
        &rule("deadband = { max_silence = '1s' }"),
        "filter rule 2: `deadband` needs either `absolute` or `percent`",
    );
    check(
        &rule("deadband = { absolute = 1, percent = 1 }"),
        "filter rule 2: `deadband` needs either `absolute` or `percent`",
    );
    check(
        &rule("deadband = { absolute = -1 }"),
        "filter rule 2: `deadband` of -1 is not a width",
    );
    let error = Rules::new(&config("[[rule]]\naction = 'deny'\nmetric = '[a'")).unwrap_err();
    assert_eq!(error.key, "ingest.filter.rule.0.metric");
}

#[test]
fn mqtt_filters() {
    #[track_caller]
    fn check(filter: &str, topic: &str, expected: bool) {
        assert!(topic::valid_filter(filter));
        assert_eq!(topic::matches(filter, topic), expected, "{filter} {topic}");
    }
    check("a/b", "a/b", true);
    check("a/b", "a/b/c", false);
    check("a/+", "a/b", true);
    check("a/+", "a", false);
    check("a/+", "a/", true);
    check("+/b", "/b", true);
    check("a/#", "a", true);
    check("a/#", "a/b/c", true);
    check("#", "a/b", true);
    check("#", "$SYS/x", false);
    check("+/x", "$SYS/x", false);
    check("$SYS/#", "$SYS/x", true);
    for invalid in ["", "a/#/b", "a#", "a/b+", "a\0"] {
        assert!(!topic::valid_filter(invalid), "{invalid}");
    }
}

/// Offers samples to the memory of one series: `time value receipt`, and what becomes of each.
#[track_caller]
fn check_memory(rules: &Rules, samples: &[(Micros, f64, &str)]) {
    let set = rules.resolve("d", "m", "t");
    let mut memory = Memory::new(rules);
    for (index, (time, value, expected)) in samples.iter().enumerate() {
        let sample = Sample {
            series: SeriesKey(3),
            device: "d",
            metric: "m",
            time: time * SECOND,
            has_device_time: true,
            value: Value::Number(*value),
            rules: &set,
        };
        let reason = memory.check(&sample, index as Micros * SECOND);
        let shown = reason.map_or("kept", Reason::as_str);
        assert_eq!(shown, *expected, "sample {index}: {time} {value}");
    }
}

#[test]
fn a_repeat_of_time_and_value_is_a_duplicate() {
    check_memory(
        &rules(""),
        &[
            (10, 1.0, "kept"),
            (10, 1.0, "duplicate"),
            (10, 2.0, "kept"),
            (11, 1.0, "kept"),
            (10, 2.0, "duplicate"),
            (9, 1.0, "kept"),
            (9, 1.0, "duplicate"),
            (12, 0.0, "kept"),
            (12, -0.0, "kept"),
        ],
    );
    check_memory(
        &rules("duplicates = false"),
        &[(1, 1.0, "kept"), (1, 1.0, "kept")],
    );
}

#[test]
fn texts_and_receipt_times() {
    let rules = rules("");
    let set = rules.resolve("d", "m", "t");
    let mut memory = Memory::new(&rules);
    let mut sample = Sample {
        series: SeriesKey(0),
        device: "d",
        metric: "m",
        time: 5,
        has_device_time: true,
        value: Value::Text("on"),
        rules: &set,
    };
    assert_eq!(memory.check(&sample, 0), None);
    assert_eq!(memory.check(&sample, 0), Some(Reason::Duplicate));
    sample.value = Value::Text("off");
    assert_eq!(memory.check(&sample, 0), None);
    // Two messages received in the same microsecond are two samples.
    sample.has_device_time = false;
    assert_eq!(memory.check(&sample, 0), None);
    assert_eq!(memory.check(&sample, 0), None);
}

#[test]
fn deadbands() {
    check_memory(
        &rules("[[rule]]\ndeadband = { absolute = 1, max_silence = '60s' }"),
        &[
            (0, 10.0, "kept"),
            (1, 11.0, "deadband"),
            (2, 9.0, "deadband"),
            (3, 11.5, "kept"),
            (4, 10.6, "deadband"),
            (5, 10.0, "kept"),
            // Late: it says nothing about the last one.
            (4, 10.1, "kept"),
            (6, 10.2, "deadband"),
            (64, 10.2, "deadband"),
            (65, 10.0, "kept"),
            (66, 10.0, "deadband"),
        ],
    );
    check_memory(
        &rules("[[rule]]\ndeadband = { percent = 10 }"),
        &[
            (0, -100.0, "kept"),
            (1, -110.0, "deadband"),
            (2, -111.0, "kept"),
            (3, 0.0, "kept"),
            (4, 0.0, "deadband"),
            (5, 1e-9, "kept"),
        ],
    );
    check_memory(
        &rules("[[rule]]\ndeadband = { absolute = 0 }"),
        &[(0, 1.0, "kept"), (1, 1.0, "deadband"), (2, 1.1, "kept")],
    );
}

#[test]
fn rings_grow_while_what_they_would_forget_is_young() {
    const WINDOW: usize = 256;
    let mut budget = usize::MAX;
    // One a minute: four are enough.
    let mut ring = Ring::default();
    for minute in 0..100 {
        let time = minute * 60 * SECOND;
        assert!(ring.insert(time, Value::Number(1.0), time, WINDOW, &mut budget));
    }
    assert_eq!(ring.capacity(), 4);
    // One a second: a minute of them.
    let mut ring = Ring::default();
    for second in 0..1_000 {
        let time = second * SECOND;
        assert!(ring.insert(time, Value::Number(1.0), time, WINDOW, &mut budget));
    }
    assert_eq!(ring.capacity(), 64);
    for second in 1_000 - 64..1_000 {
        let (time, now) = (second * SECOND, 1_000 * SECOND);
        assert!(!ring.insert(time, Value::Number(1.0), now, WINDOW, &mut budget));
    }
    // A thousand a second: as many as the window has, the latest.
    let mut ring = Ring::default();
    for time in 0..10_000 {
        assert!(ring.insert(time, Value::Number(1.0), time * 1_000, WINDOW, &mut budget));
    }
    assert_eq!(ring.capacity(), WINDOW);
    for time in 10_000 - 256..10_000 {
        assert!(!ring.insert(time, Value::Number(1.0), 0, WINDOW, &mut budget));
    }
    assert!(ring.insert(10_000 - 257, Value::Number(1.0), 0, WINDOW, &mut budget));
}

/// Against a plain list: within the last `capacity` inserts every repeat is found, through every
/// growth.
#[test]
fn growing_forgets_nothing() {
    let mut budget = usize::MAX;
    let mut ring = Ring::default();
    let mut inserted: Vec<Micros> = Vec::new();
    for step in 0_i64..2_000 {
        // Out of order, never repeated: 7,919 and 10,007 are primes.
        let time = (step * 7_919) % 10_007;
        assert!(ring.insert(time, Value::Number(0.5), step, 100, &mut budget));
        inserted.push(time);
        let remembered = &inserted[inserted.len() - ring.capacity().min(inserted.len())..];
        for time in remembered {
            assert!(!ring.insert(*time, Value::Number(0.5), step, 100, &mut budget));
        }
    }
    assert_eq!(ring.capacity(), 100);
}

#[test]
fn without_budget_rings_stay_small() {
    let mut budget = duplicate::SLOT_BYTES * 4;
    let mut ring = Ring::default();
    for time in 0..100 {
        ring.insert(time, Value::Number(1.0), 0, 256, &mut budget);
    }
    assert_eq!((ring.capacity(), budget), (8, 0));
    assert!(!ring.insert(99, Value::Number(1.0), 0, 256, &mut budget));
}

#[test]
fn counts_add_up() {
    let mut counts = Counts::default();
    counts.add(Reason::Deadband);
    counts.add(Reason::Deadband);
    counts.add(Reason::TooOld);
    let mut sum = counts;
    sum.merge(&counts);
    assert_eq!((sum.get(Reason::Deadband), sum.total()), (4, 6));
    let words: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    let mut unique = words.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), words.len());
    for (index, reason) in Reason::ALL.into_iter().enumerate() {
        assert_eq!(reason as usize, index);
    }
}
