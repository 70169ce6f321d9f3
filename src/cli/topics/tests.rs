use expect_test::{Expect, expect};

use super::*;

const TOPICS: &str = "topics = ['devices/{device}/telemetry', \
     { topic = '{site}/{line}/{device}/data/{metric}', device = '{line}/{device}' }, \
     'v1/devices/me/telemetry']";

fn meaning(text: &str) -> Meaning {
    let config: ingest::Config = toml::from_str(text).expect("good");
    config.meaning(Default::default()).expect("good")
}

#[track_caller]
fn check(topic: &str, client_id: Option<&str>, expected: Expect) {
    let explain = Explain {
        topic: topic.to_owned(),
        client_id: client_id.map(str::to_owned),
        file: ConfigFile::default(),
        overrides: Overrides::default(),
    };
    let shown = match explain.answer(&meaning(TOPICS)) {
        Ok((is_telemetry, text)) => format!("{is_telemetry}\n{text}"),
        Err(failure) => crate::diagnostics::tests::plain(&failure),
    };
    expected.assert_eq(&shown);
}

#[test]
fn a_topic_that_is_taken_shows_what_it_names() {
    check(
        "north/4/press-7/data/force",
        None,
        expect![[r#"
        true
        `north/4/press-7/data/force` is telemetry: `{site}/{line}/{device}/data/{metric}` takes it

          device  4/press-7 (`{line}/{device}`)
          metric  force
          labels  line=4, site=north
    "#]],
    );
    check(
        "v1/devices/me/telemetry",
        Some("boiler-1"),
        expect![[r#"
            true
            `v1/devices/me/telemetry` is telemetry: `v1/devices/me/telemetry` takes it

              device  boiler-1 (`{client_id}`)
              metric  named in the payload
              labels  none
        "#]],
    );
    check(
        "v1/devices/me/telemetry",
        None,
        expect![[r#"
        true
        `v1/devices/me/telemetry` is telemetry: `v1/devices/me/telemetry` takes it

          device  CLIENT-ID (`{client_id}`)
          metric  named in the payload
          labels  none

        note: the device is the client that publishes; name one with `--client-id`
    "#]],
    );
    check(
        "devices//telemetry",
        None,
        expect![[r#"
        false
        `devices//telemetry` is telemetry: `devices/{device}/telemetry` takes it

          device  none (`{device}`)
          metric  named in the payload
          labels  none

        note: its messages are dead letters: the topic names no device
    "#]],
    );
}

#[test]
fn a_topic_that_is_not_taken_shows_the_line_that_would() {
    check(
        "sensors/b",
        None,
        expect![[r#"
        false
        `sensors/b` is not telemetry: no template matches it. It is delivered to subscribers and not stored

        nearest: `devices/{device}/telemetry`, but it has 3 levels, the topic has 2
                 `{site}/{line}/{device}/data/{metric}`: it has 5 levels, the topic has 2
                 `v1/devices/me/telemetry`: it has 4 levels, the topic has 2

        to take it, where the payload names its metrics, as {"temperature": 21.5}:

            [ingest]
            topics = ["devices/{device}/telemetry", { topic = "{site}/{line}/{device}/data/{metric}", device = "{line}/{device}" }, "v1/devices/me/telemetry", "sensors/{device}"]
    "#]],
    );
    check(
        "device/boiler-1/telemetry/flow",
        None,
        expect![[r#"
        false
        `device/boiler-1/telemetry/flow` is not telemetry: no template matches it. It is delivered to subscribers and not stored

        nearest: `devices/{device}/telemetry`, but it has 3 levels, the topic has 4
                 `{site}/{line}/{device}/data/{metric}`: it has 5 levels, the topic has 4
                 `v1/devices/me/telemetry`: level 1 is `device`, not `v1`

        to take it, where the payload names its metrics, as {"temperature": 21.5}:

            [ingest]
            topics = ["devices/{device}/telemetry", { topic = "{site}/{line}/{device}/data/{metric}", device = "{line}/{device}" }, "v1/devices/me/telemetry", "device/{device}/telemetry/flow"]

        to take it, where the payload is one value, as 21.5, and the topic names the metric:

            [ingest]
            topics = ["devices/{device}/telemetry", { topic = "{site}/{line}/{device}/data/{metric}", device = "{line}/{device}" }, "v1/devices/me/telemetry", "device/{device}/telemetry/{metric}"]
    "#]],
    );
    check(
        "home/press-7/b9",
        Some("b9"),
        expect![[r#"
        false
        `home/press-7/b9` is not telemetry: no template matches it. It is delivered to subscribers and not stored

        nearest: `devices/{device}/telemetry`, but level 1 is `home`, not `devices`
                 `{site}/{line}/{device}/data/{metric}`: it has 5 levels, the topic has 3
                 `v1/devices/me/telemetry`: it has 4 levels, the topic has 3

        to take it, where the payload names its metrics, as {"temperature": 21.5}:

            [ingest]
            topics = ["devices/{device}/telemetry", { topic = "{site}/{line}/{device}/data/{metric}", device = "{line}/{device}" }, "v1/devices/me/telemetry", "home/{level2}/{device}"]

        to take it, where the payload is one value, as 21.5, and the topic names the metric:

            [ingest]
            topics = ["devices/{device}/telemetry", { topic = "{site}/{line}/{device}/data/{metric}", device = "{line}/{device}" }, "v1/devices/me/telemetry", "home/{device}/{metric}"]
    "#]],
    );
    check(
        "alerts/active/x/y",
        None,
        expect![[r#"
        false
        `alerts/active/x/y` is not telemetry: no template matches it. It is delivered to subscribers and not stored

        nearest: `{site}/{line}/{device}/data/{metric}`, but it has 5 levels, the topic has 4
                 `devices/{device}/telemetry`: it has 3 levels, the topic has 4
                 `v1/devices/me/telemetry`: level 1 is `alerts`, not `v1`

        Millrace itself publishes there; it can be no telemetry
    "#]],
    );
    check(
        "$SYS/broker/uptime",
        None,
        expect![[r#"
        false
        `$SYS/broker/uptime` is not telemetry: no template matches it. It is delivered to subscribers and not stored

        nearest: `devices/{device}/telemetry`, but topics that begin with `$` are the broker's own
                 `{site}/{line}/{device}/data/{metric}`: topics that begin with `$` are the broker's own
                 `v1/devices/me/telemetry`: topics that begin with `$` are the broker's own

        Millrace itself publishes there; it can be no telemetry
    "#]],
    );
    check(
        "a/+/b",
        None,
        expect![[r#"
        error: the topic `a/+/b` has a wildcard in a topic name
    "#]],
    );
}

/// What is printed can be written into a file.
#[test]
fn the_line_that_would_take_a_topic_takes_it() {
    let before = meaning(TOPICS).topics;
    for topic in ["sensors/b", "a/\"b\"/c7", "x/y/z/7"] {
        assert!(before.matches(topic).is_none());
        let template = suggest(topic, &Hints::default()).expect("one");
        let after = meaning(&with(&before, &template)).topics;
        assert!(after.matches(topic).is_some(), "{topic}");
        let shown: Vec<_> = after.iter().map(written).collect();
        assert_eq!(shown[..3], before.iter().map(written).collect::<Vec<_>>());
    }
}
