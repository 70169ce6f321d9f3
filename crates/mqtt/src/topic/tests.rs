use super::*;

#[test]
fn filters_match_as_the_specification_says() {
    let cases = [
        // The examples of section 4.7.1.2 and 4.7.1.3.
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        (
            "sport/tennis/player1/#",
            "sport/tennis/player1/ranking",
            true,
        ),
        (
            "sport/tennis/player1/#",
            "sport/tennis/player1/score/wimbledon",
            true,
        ),
        ("sport/#", "sport", true),
        ("#", "anything/at/all", true),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        // Empty levels count.
        ("a//b", "a//b", true),
        ("a/+/b", "a//b", true),
        ("a/b", "a/b/", false),
        ("a/b/", "a/b", false),
        ("#", "/", true),
        ("+/+", "/", true),
        ("/#", "/", true),
        ("/#", "a", false),
        // Names that only begin alike.
        ("sport/#", "sports", false),
        ("sport/#", "sports/tennis", false),
        ("a", "ab", false),
        ("ab", "a", false),
        ("a/+/c/#", "a/b/c", true),
        ("a/+/c/#", "a/b/d", false),
        ("a/+/#", "a", false),
        // Case and normalisation forms differ. [MQTT-4.7.3-4]
        ("ACCOUNTS", "Accounts", false),
        ("\u{e9}", "e\u{301}", false),
        ("+/\u{6e29}\u{5ea6}", "\u{1f321}/\u{6e29}\u{5ea6}", true),
        // [MQTT-4.7.2-1]
        ("#", "$SYS/uptime", false),
        ("+/uptime", "$SYS/uptime", false),
        ("$SYS/#", "$SYS/uptime", true),
        ("$SYS/+", "$SYS/uptime", true),
        ("+", "$", false),
        ("a/+", "a/$b", true),
        ("a/#", "a/$b", true),
    ];
    for (filter, topic, expected) in cases {
        assert_eq!(
            matches(filter, topic),
            expected,
            "`{filter}` against `{topic}`"
        );
        if expected {
            assert!(
                topic.starts_with(literal_prefix(filter)),
                "`{filter}`, `{topic}`"
            );
        }
    }
}

#[test]
fn filters_are_valid_only_with_wildcards_in_their_place() {
    let valid = [
        "#",
        "+",
        "/",
        "//",
        "a",
        "a/b",
        "a/#",
        "/#",
        "+/a/+",
        "+/#",
        "+/+/+",
        "a b",
        "$SYS/#",
        "$share",
        "$shared/x",
        "\u{1f321}/+",
        "sensor/{id}",
    ];
    for filter in valid {
        let parsed = Filter {
            share: None,
            filter,
        };
        assert_eq!(Filter::parse(filter), Ok(parsed), "`{filter}`");
        assert!(valid_filter(filter));
    }
    let invalid = [
        ("", TopicError::Empty),
        ("a#", TopicError::MisplacedHash),
        ("a/#/b", TopicError::MisplacedHash),
        ("#/", TopicError::MisplacedHash),
        ("##", TopicError::MisplacedHash),
        ("a/b#", TopicError::MisplacedHash),
        ("#a", TopicError::MisplacedHash),
        ("a+", TopicError::PartialPlus),
        ("+a/b", TopicError::PartialPlus),
        ("a/++", TopicError::PartialPlus),
        ("a/b+/c", TopicError::PartialPlus),
        ("a\0b", TopicError::Nul),
        ("$share/", TopicError::BadShare),
        ("$share/g", TopicError::BadShare),
        ("$share/g/", TopicError::BadShare),
        ("$share//a", TopicError::BadShare),
        ("$share/+/a", TopicError::BadShare),
        ("$share/#", TopicError::BadShare),
        ("$share/a+b/c", TopicError::BadShare),
        ("$share/g\0/a", TopicError::Nul),
        ("$share/g/a#", TopicError::MisplacedHash),
    ];
    for (filter, error) in invalid {
        assert_eq!(Filter::parse(filter), Err(error), "`{filter}`");
        assert!(!valid_filter(filter));
    }
}

#[test]
fn shared_subscriptions_are_taken_apart() {
    let cases = [
        ("$share/consumers/a/b", "consumers", "a/b"),
        ("$share/g/#", "g", "#"),
        ("$share/g//a", "g", "/a"),
        ("$share/g/$SYS/#", "g", "$SYS/#"),
        ("$share/g/$share/h/a", "g", "$share/h/a"),
    ];
    for (name, group, filter) in cases {
        let expected = Filter {
            share: Some(group),
            filter,
        };
        assert_eq!(Filter::parse(name), Ok(expected), "`{name}`");
    }
}

#[test]
fn topics_are_valid_without_wildcards() {
    for topic in [
        "a",
        "/",
        "a/b",
        "$SYS/x",
        " ",
        "\u{1f321}",
        "a//b",
        "$share/g/a",
    ] {
        assert!(valid_topic(topic), "`{topic}`");
    }
    for topic in ["", "a/+", "#", "a#b", "a\0"] {
        assert!(!valid_topic(topic), "`{topic}`");
    }
    assert!(valid_topic(&"x".repeat(65_535)));
    assert!(!valid_topic(&"x".repeat(65_536)));
    assert!(!valid_filter(&"x".repeat(65_536)));
}

#[test]
fn literal_prefixes_stop_before_the_first_wildcard() {
    let cases = [
        ("a/b", "a/b"),
        ("a/+/c", "a/"),
        ("a/+", "a/"),
        ("a/#", "a"),
        ("a/b/#", "a/b"),
        ("a/+/#", "a/"),
        ("#", ""),
        ("+", ""),
        ("+/a", ""),
        ("/#", ""),
        ("//#", "/"),
        ("\u{e9}/+", "\u{e9}/"),
    ];
    for (filter, prefix) in cases {
        assert_eq!(literal_prefix(filter), prefix, "`{filter}`");
        assert_eq!(is_wildcard(filter), prefix != filter, "`{filter}`");
    }
}

#[test]
fn limits_count_bytes_and_levels() {
    let limits = TopicLimits {
        bytes_max: 8,
        levels_max: 3,
    };
    assert_eq!(limits.check_topic("a/b/cdef"), Ok(()));
    let too_long = TopicError::TooLong {
        bytes: 9,
        bytes_max: 8,
    };
    assert_eq!(limits.check_topic("a/b/cdefg"), Err(too_long));
    let too_deep = TopicError::TooDeep {
        levels: 4,
        levels_max: 3,
    };
    assert_eq!(limits.check_topic("a/b/c/"), Err(too_deep));
    assert_eq!(limits.check_filter("a/b/c/#"), Err(too_deep));
    assert_eq!(
        limits.check_filter("a/+/#").map(|found| found.filter),
        Ok("a/+/#")
    );
    assert_eq!(limits.check_topic("a/+"), Err(TopicError::WildcardInTopic));
    let deep = vec!["x"; 201].join("/");
    assert!(TopicLimits::default().check_topic(&deep[2..]).is_ok());
    assert!(TopicLimits::default().check_topic(&deep).is_err());
    assert_eq!(
        too_deep.to_string(),
        "has `4` levels, more than the `3` allowed"
    );
}

#[test]
fn any_name_becomes_a_single_level() {
    for (name, level) in [
        ("boiler-1", "boiler-1"),
        ("pump/7", "pump%2F7"),
        ("a+b#c", "a%2Bb%23c"),
        ("100%", "100%25"),
        ("pump%2F7", "pump%252F7"),
        ("nul\0tab\t", "nul%00tab%09"),
        ("\u{85}", "%C2%85"),
        ("Kühler 3 温度", "Kühler 3 温度"),
        ("$odd", "$odd"),
    ] {
        let mut topic = String::from("a/");
        push_level(&mut topic, name);
        assert_eq!(topic, format!("a/{level}"));
    }
}
