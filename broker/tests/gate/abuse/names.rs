//! Topics, filters and aliases at the edge of what is allowed, and beyond.

use broker::Config;
use mqtt::{Qos, Version, encode};
use testkit::mqtt::Client;

use crate::{BOTH, Running};

#[test]
fn topics_may_begin_with_any_character() {
    let server = Running::start();
    for version in BOTH {
        let mut console = server.connect(version, "console");
        console.subscribe("#");
        let mut source = server.connect(version, "source");
        for topic in [
            "ä/b",
            "€",
            "𝄞/x",
            "日本/語",
            "\u{202E}/a",
            " ",
            "/",
            "//",
            "a//b",
        ] {
            source.publish(topic, b"1", 1, false);
            assert_eq!(source.next(), "puback 1", "{topic}");
            assert_eq!(console.next(), format!("{topic} = 1"));
        }
    }
    server.serves_a_fresh_client();
}

#[test]
fn deep_names_are_refused_and_those_at_the_limit_work() {
    let server = Running::with(Config {
        max_topic_levels: 200,
        ..Config::default()
    });
    let deep = |levels: usize| vec!["d"; levels].join("/");
    let longest = "l".repeat(65_535);
    for version in BOTH {
        let mut console = server.connect(version, "console");
        for filter in [&deep(201), &deep(30_000), &format!("{}/#", deep(200))] {
            console.ask(filter);
            let refusal = if version == Version::V5 { "8f" } else { "80" };
            assert_eq!(console.next(), format!("suback [{refusal}]"));
        }
        let wildcards = vec!["+"; 199].join("/") + "/#";
        for filter in [&deep(200), &wildcards, &longest] {
            console.subscribe(filter);
        }
        let mut source = server.connect(version, "source");
        source.publish(&longest, b"long", 1, false);
        assert_eq!(source.next(), "puback 1");
        assert_eq!(console.next(), format!("{longest} = long"));
        source.publish(&deep(30_000), b"deep", 2, true);
        match version {
            Version::V5 => assert_eq!(source.next(), "puback 2 reason 90"),
            Version::V311 => assert_eq!(source.next(), "closed"),
        }
        console.is_served();
    }
    server.serves_a_fresh_client();
}

#[test]
fn aliases_beyond_the_rules_end_their_connection_only() {
    let server = Running::with(Config {
        topic_alias_maximum: 4,
        ..Config::default()
    });
    let send = |line: &mut Client, topic: &str, alias: u16| {
        let publish = encode::Publish {
            qos: Qos::AtMostOnce,
            topic,
            topic_alias: Some(alias),
            payload: b"1",
            ..Default::default()
        };
        let mut bytes = Vec::new();
        encode::publish(&mut bytes, Version::V5, &publish);
        line.send(&bytes);
    };
    let mut console = server.connect(Version::V5, "console");
    console.subscribe("t/#");
    // Beyond the maximum, zero, never set, and set in another connection.
    for (topic, alias, reason) in [("t/a", 5, "94"), ("t/a", 65_535, "94"), ("", 4, "82")] {
        let mut line = server.connect(Version::V5, "alias");
        send(&mut line, topic, alias);
        assert_eq!(
            line.next(),
            format!("disconnect {reason}"),
            "{topic} {alias}"
        );
        assert_eq!(line.next(), "closed");
    }
    let mut line = server.connect(Version::V5, "alias");
    for round in 0..1_000 {
        // Set again and again: the latest topic counts.
        send(&mut line, &format!("t/{round}"), 1 + round % 4);
        send(&mut line, "", 1 + round % 4);
        for _ in 0..2 {
            assert_eq!(console.next(), format!("t/{round} = 1"));
        }
    }
    server.serves_a_fresh_client();
}

#[test]
fn client_ids_may_be_any_text() {
    let server = Running::start();
    let long = "i".repeat(65_535);
    for version in BOTH {
        for id in [
            "/", "+", "#", "$share/a", "a b", "ü", "𝄞", "\u{FFFD}", "'\"\\", "%c", &long,
        ] {
            let mut line = server.connect(version, id);
            line.subscribe("ids/+");
            line.publish("ids/a", b"x", 0, false);
            assert_eq!(line.next(), "ids/a = x", "{id}");
        }
    }
    server.serves_a_fresh_client();
}
