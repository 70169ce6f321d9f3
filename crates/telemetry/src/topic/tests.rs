use super::*;

fn template(text: &str) -> TopicTemplate {
    TopicTemplate::parse(text).unwrap()
}

/// The device of a topic that the client `client` publishes.
fn device(topics: &Topics, topic: &str) -> String {
    let found = topics.matches(topic).unwrap();
    found.device("client", &mut String::new()).to_owned()
}

#[test]
fn topics_by_the_default_templates() {
    #[track_caller]
    fn check(topic: &str, expected: Option<(Option<&str>, Option<&str>)>) {
        let topics = Topics::default();
        let mut buffer = String::new();
        let found = topics.matches(topic).map(|found| {
            let device = found.device("client", &mut buffer);
            (
                Some(device).filter(|device| *device != "client"),
                found.metric,
            )
        });
        assert_eq!(found, expected, "{topic}");
    }
    check("devices/boiler-7/telemetry", Some((Some("boiler-7"), None)));
    check("devices/котёл №7/telemetry", Some((Some("котёл №7"), None)));
    check(
        "devices/boiler-7/telemetry/temperature",
        Some((Some("boiler-7"), Some("temperature"))),
    );
    check("v1/devices/me/telemetry", Some((None, None)));
    // As the MQTT filter `devices/+/telemetry` does: an empty level is a level.
    check("devices//telemetry", Some((Some(""), None)));
    check("devices/a/telemetry/", Some((Some("a"), Some(""))));
    check("devices/a", None);
    check("devices/a/b/telemetry", None);
    check("devices/a/telemetry/b/c", None);
    check("/devices/a/telemetry", None);
    check("Devices/a/telemetry", None);
    check("", None);
    check("$SYS/a/telemetry", None);
    check(&"/".repeat(40), None);
    check(&format!("devices/{}/telemetry", "x".repeat(70_000)), None);
}

#[test]
fn the_first_template_that_matches_decides() {
    let topics = Topics::parse(["a/{device}/c", "{device}/b/c", "a/{site}/{device}"]).unwrap();
    let found = topics.matches("a/b/c").unwrap();
    assert_eq!(found.template.as_str(), "a/{device}/c");
    assert_eq!(device(&topics, "x/b/c"), "x");
    assert_eq!(device(&topics, "a/b/d"), "b/d");
    assert!(topics.matches("x/y/c").is_none());
}

#[test]
fn other_parts_are_labels() {
    let template = template("{site}/{line}/{device}/data/{metric}");
    let found = template.matches("north/4/press/data/force").unwrap();
    let mut buffer = String::new();
    assert_eq!(found.device("client", &mut buffer), "north/4/press");
    assert_eq!(found.metric, Some("force"));
    let labels: Vec<_> = found.labels().collect();
    assert_eq!(labels, [("site", "north"), ("line", "4")]);
}

#[test]
fn without_device_the_client_is_the_device() {
    let template = template("v1/devices/me/telemetry");
    let found = template.matches("v1/devices/me/telemetry").unwrap();
    assert_eq!(found.device("client-9", &mut String::new()), "client-9");
    assert!(template.matches("v1/devices/you/telemetry").is_none());
}

#[test]
fn filters_accept_what_templates_match() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(template(text).filter(), expected);
    }
    check("devices/{device}/telemetry", "devices/+/telemetry");
    check("{site}/{line}/{device}/data", "+/+/+/data");
    check("/{device}/", "/+/");
    check("v1/devices/me/telemetry", "v1/devices/me/telemetry");
}

#[test]
fn the_brokers_own_topics_are_out_of_reach_of_parts() {
    assert!(template("{device}/uptime").matches("$SYS/uptime").is_none());
}

#[test]
fn faults_are_named_with_their_column() {
    #[track_caller]
    fn check(text: &str, column: usize, message: &str) {
        let error = TopicTemplate::parse(text).unwrap_err();
        assert_eq!(
            (error.column, error.reason.to_string().as_str()),
            (column, message),
            "{text}"
        );
    }
    check("", 1, "it is empty");
    check(
        "$share/{device}",
        1,
        "topics that begin with `$` belong to the broker",
    );
    check(
        "devices/+/telemetry",
        9,
        "`+` is an MQTT wildcard: name the part instead, such as `{site}`",
    );
    check(
        "spBv1.0/#",
        9,
        "`#` is an MQTT wildcard: name the part instead, such as `{site}`",
    );
    check(
        "дом/x-{device}/t",
        7,
        "a part is a whole level: write `/{name}/`, not `x-{device}`",
    );
    check(
        "a/{device",
        3,
        "a part is a whole level: write `/{name}/`, not `{device`",
    );
    check(
        "a/{{device}}",
        3,
        "a part is a whole level: write `/{name}/`, not `{{device}}`",
    );
    check(
        "a/{}/{device}",
        4,
        "`` is not a name for a part: letters, digits, `_` and `-`",
    );
    check(
        "a/{my site}",
        4,
        "`my site` is not a name for a part: letters, digits, `_` and `-`",
    );
    check(
        "{site}/{device}/{site}",
        17,
        "the part `{site}` occurs twice",
    );
    check("{device}/{device}", 10, "the part `{device}` occurs twice");
    check(
        "a\0/{device}",
        2,
        "U+0000 can stand in no topic and no name",
    );
    check(
        "devices/telemetry",
        1,
        "nothing names the device: it needs `{device}`, or the level `me` for the client id, or a key `device` beside it, such as device = \"boiler-1\"",
    );
    check(
        "{site}/{machine}/{metric}",
        1,
        "nothing names the device: it needs `{device}`, or the level `me` for the client id, or a key `device` beside it, such as device = \"{site}/{machine}\"",
    );
    check(
        &format!("{{device}}{}", "/x".repeat(32)),
        72,
        "it has more than 32 levels",
    );
    check(&"x".repeat(70_000), 1, "it is longer than 65,535 bytes");
}

#[test]
fn names_hold_every_part_that_tells_devices_apart() {
    #[track_caller]
    fn check(template: &str, named: &str, topic: &str, expected: &str) {
        let topics = Topics::parse([template]).unwrap();
        let template = topics.iter().next().unwrap();
        assert_eq!(template.device_name(), named);
        assert_eq!(device(&topics, topic), expected, "{topic}");
        // What holds without the key is what the key would say.
        let written = TopicTemplate::with_device(template.as_str(), named).unwrap();
        let matched = written.matches(topic).unwrap();
        assert_eq!(matched.device("client", &mut String::new()), expected);
    }
    let plant = "{site}/{line}/{device}/data";
    let named = "{site}/{line}/{device}";
    check(plant, named, "north/4/press-7/data", "north/4/press-7");
    check(plant, named, "south/1/press-7/data", "south/1/press-7");
    check(plant, named, "//press-7/data", "//press-7");
    // As ever: a topic without a device names none.
    check(plant, named, "north/4//data", "");
    let relays = "shellies/{device}/relay/{channel}/{metric}";
    check(
        relays,
        "{device}/{channel}",
        "shellies/s-1/relay/0/power",
        "s-1/0",
    );
    check(
        relays,
        "{device}/{channel}",
        "shellies/s-1/relay/1/power",
        "s-1/1",
    );
    check("a/{device}/{metric}", "{device}", "a/b/c", "b");
    check(
        "v1/devices/me/telemetry",
        "{client_id}",
        "v1/devices/me/telemetry",
        "client",
    );
    let me = "{site}/me/{channel}";
    check(
        me,
        "{site}/{client_id}/{channel}",
        "north/me/1",
        "north/client/1",
    );
    // With `{device}` the level `me` is a level like others.
    check(
        "me/{site}/{device}",
        "{site}/{device}",
        "me/north/1",
        "north/1",
    );
}

#[test]
fn a_template_says_how_its_devices_are_named() {
    #[track_caller]
    fn check(template: &str, named: &str, topic: &str, expected: &str) {
        let template = TopicTemplate::with_device(template, named).unwrap();
        assert_eq!(template.device_name(), named);
        let matched = template.matches(topic).unwrap();
        assert_eq!(matched.device("client", &mut String::new()), expected);
    }
    let plant = "{site}/{line}/{device}/data";
    check(plant, "{device}", "north/4/press-7/data", "press-7");
    check(
        plant,
        "{device}/at {site}!",
        "north/4/press-7/data",
        "press-7/at north!",
    );
    check(
        plant,
        "{client_id}/{device}",
        "north/4/press-7/data",
        "client/press-7",
    );
    check("{site}/{machine}", "{machine}", "north/m", "m");
    check("{site}/{machine}", "{site}/{machine}", "/", "");
    check(
        "plant/boiler/data",
        "boiler 1",
        "plant/boiler/data",
        "boiler 1",
    );
    check("telemetry", "{client_id}", "telemetry", "client");
    check("{client_id}/{device}", "{client_id}/{device}", "c/d", "c/d");
    check("{site}/me/{channel}", "{client_id}", "north/me/1", "client");
}

#[test]
fn a_buffer_serves_for_many_names() {
    let topics = Topics::parse(["{site}/{device}"]).unwrap();
    let mut buffer = String::with_capacity(64);
    let at = buffer.as_ptr();
    for _ in 0..3 {
        let found = topics.matches("north/press-7").unwrap();
        assert_eq!(found.device("client", &mut buffer), "north/press-7");
    }
    assert_eq!(buffer.as_ptr(), at);
}

#[test]
fn faults_of_names_are_named_with_their_column() {
    #[track_caller]
    fn check(template: &str, named: &str, column: usize, message: &str) {
        let error = TopicTemplate::with_device(template, named).unwrap_err();
        let start = format!("topic template `{template}`, `device` `{named}`, column {column}: ");
        assert_eq!(error.to_string(), format!("{start}{message}"));
    }
    let plant = "{site}/{device}/data";
    check(plant, "", 1, "it is empty");
    check(
        plant,
        "пресс/{sit}/{device}",
        7,
        "the topic has no part `{sit}`: it has `{site}`, `{device}`, and `{client_id}` is the client that publishes",
    );
    check(
        "telemetry",
        "{device}",
        1,
        "the topic has no part `{device}`: write a name, or `{client_id}` for the client that publishes",
    );
    check(
        plant,
        "{site}-{device}",
        8,
        "`{site}-{device}` holds two parts, which could not be told apart: put `/` between them, which no level of a topic holds",
    );
    check(
        plant,
        "{site}",
        1,
        "it leaves out `{device}`: add it, or give that level of the topic another name, which makes it a label",
    );
    check(
        "{site}/{machine}",
        "press",
        1,
        "it holds no part of the topic, so that all would be one device: write `{site}/{machine}`",
    );
    check(
        "{device}/{metric}",
        "{device}/{metric}",
        10,
        "`{metric}` names a metric, not a device: leave it out",
    );
    check(
        plant,
        "x/{device",
        3,
        "`{device` has a brace without its partner: a part is written `{name}`",
    );
    check(
        plant,
        "device}",
        7,
        "`device}` has a brace without its partner: a part is written `{name}`",
    );
    check(
        plant,
        "{my site}",
        1,
        "`my site` is not a name for a part: letters, digits, `_` and `-`",
    );
    check(plant, "a\0", 2, "U+0000 can stand in no topic and no name");
}

#[test]
fn a_configuration_holds_topics_as_texts_and_tables() {
    let text = r#"["a/{device}",{"topic":"{site}/{device}","device":"{device}"},"me/{metric}"]"#;
    let topics: Topics = serde_json::from_str(text).unwrap();
    assert_eq!(topics.len(), 3);
    assert_eq!(device(&topics, "north/press"), "press");
    assert_eq!(serde_json::to_string(&topics).unwrap(), text);

    let plain: Topics = serde_json::from_str(r#"[{"topic":"{site}/{device}"}]"#).unwrap();
    assert_eq!(plain, Topics::parse(["{site}/{device}"]).unwrap());

    for (text, expected) in [
        (r#"["a/+"]"#, "topic template `a/+`, column 3: "),
        (
            r#"[{"topic":"a/{device}","device":"x"}]"#,
            "topic template `a/{device}`, `device` `x`, column 1: ",
        ),
        (
            r#"[{"topic":"a/+","device":"x"}]"#,
            "topic template `a/+`, column 3: ",
        ),
        (
            r#"[{"topik":"a"}]"#,
            "unknown field `topik`, expected `topic` or `device`",
        ),
        (r#"[{"device":"{a}"}]"#, "missing field `topic`"),
        (
            r#"[5]"#,
            "invalid type: integer `5`, expected a template such as",
        ),
    ] {
        let error = serde_json::from_str::<Topics>(text)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}
