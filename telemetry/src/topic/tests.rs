use super::*;

fn template(text: &str) -> TopicTemplate {
    TopicTemplate::parse(text).unwrap()
}

#[test]
fn topics_by_the_default_templates() {
    #[track_caller]
    fn check(topic: &str, expected: Option<(Option<&str>, Option<&str>)>) {
        let topics = Topics::default();
        let found = topics
            .matches(topic)
            .map(|found| (found.device, found.metric));
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
    assert_eq!(topics.matches("x/b/c").unwrap().device, Some("x"));
    assert_eq!(topics.matches("a/b/d").unwrap().device, Some("d"));
    assert!(topics.matches("x/y/c").is_none());
}

#[test]
fn other_parts_are_labels() {
    let template = template("{site}/{line}/{device}/data/{metric}");
    let found = template.matches("north/4/press/data/force").unwrap();
    assert_eq!(found.device, Some("press"));
    assert_eq!(found.metric, Some("force"));
    let labels: Vec<_> = found.labels().collect();
    assert_eq!(labels, [("site", "north"), ("line", "4")]);
}

#[test]
fn without_device_the_client_is_the_device() {
    let template = template("v1/devices/me/telemetry");
    let found = template.matches("v1/devices/me/telemetry").unwrap();
    assert_eq!(found.device_or("client-9"), "client-9");
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
    check("a\0/{device}", 2, "a topic cannot hold U+0000");
    check(
        "devices/telemetry",
        1,
        "nothing names the device: it needs `{device}`, or the level `me` for the client id",
    );
    check(
        &format!("{{device}}{}", "/x".repeat(32)),
        72,
        "it has more than 32 levels",
    );
    check(&"x".repeat(70_000), 1, "it is longer than 65,535 bytes");
}

#[test]
fn a_configuration_holds_topics_as_a_list_of_strings() {
    let topics: Topics = serde_json::from_str(r#"["a/{device}", "me/{metric}"]"#).unwrap();
    assert_eq!(topics.len(), 2);
    assert_eq!(
        serde_json::to_string(&topics).unwrap(),
        r#"["a/{device}","me/{metric}"]"#
    );
    let error = serde_json::from_str::<Topics>(r#"["a/+"]"#).unwrap_err();
    assert!(
        error.to_string().contains("topic template `a/+`, column 3"),
        "{error}"
    );
}
