use super::file::KEYS;
use super::*;

/// Errors as `marked text | message | hint`, one a line.
#[track_caller]
fn check_errors(text: &str, expected: &[&str]) {
    let errors = match Rules::parse(&Document::new("alerts.toml", text)) {
        Ok(rules) => panic!("{} rules without an error", rules.len()),
        Err(errors) => errors,
    };
    let seen: Vec<String> = errors
        .iter()
        .map(|error| {
            let hint = error.hint.as_deref().unwrap_or("-");
            format!("{} | {} | {hint}", marked(error), error.message)
        })
        .collect();
    assert_eq!(seen, expected);
}

fn marked(error: &Problem) -> &str {
    let place = error.place.as_ref().expect("a place");
    &place.text[place.span.clone()]
}

/// A rule with these lines besides a name.
fn rule(lines: &str) -> String {
    format!("[[rule]]\nname = \"r\"\n{lines}\n")
}

#[track_caller]
fn check_rule_errors(lines: &str, expected: &[&str]) {
    check_errors(&rule(lines), expected);
}

fn one(text: &str) -> Rule {
    let rules = Rules::of_text(text);
    assert_eq!(rules.len(), 1);
    rules.get(0).unwrap().clone()
}

#[test]
fn a_whole_rule_is_understood() {
    let rule = one(r#"
        [[rule]]
        name = "boiler-hot"
        device = "boiler-*"
        metric = "temperature"
        labels = { site = "north", line = "{1,2}" }
        above = 90
        clear = 85
        for = "1m 30s"
        severity = "critical"
        message = "{device} at {value} {unit}, limit {threshold}"
    "#);
    assert_eq!(rule.name, "boiler-hot");
    assert_eq!(rule.severity, Severity::Critical);
    assert!(rule.message.is_some());
    let limit = Limit::Above {
        at: 90.0,
        clear: 85.0,
    };
    let hold = 90_000_000;
    assert_eq!(
        rule.condition,
        Condition::Threshold(Threshold { limit, hold })
    );
    let scope = &rule.scope;
    assert!(scope.covers_device("boiler-7") && !scope.covers_device("pump-7"));
    assert!(scope.covers_metric("temperature") && !scope.covers_metric("temperature2"));
    for (labels, covered) in [
        (r#"{"site":"north","line":"2","x":"y"}"#, true),
        (r#"{"site":"north","line":"3"}"#, false),
        (r#"{"site":"north"}"#, false),
        ("{}", false),
    ] {
        let found = scope.covers_labels(&Labels::from_json(labels));
        assert_eq!(found, covered, "{labels}");
    }
}

use crate::alert::threshold::Limit;

#[test]
fn conditions_and_their_defaults() {
    let limit = |lines: &str| match one(&rule(lines)).condition {
        Condition::Threshold(threshold) => threshold.limit,
        Condition::Silence(silence) => panic!("{silence:?}"),
    };
    let above = Limit::Above {
        at: 1.5,
        clear: 1.5,
    };
    assert_eq!(limit("metric = \"m\"\nabove = 1.5"), above);
    let below = Limit::Below {
        at: -1.0,
        clear: 2.0,
    };
    assert_eq!(limit("metric = \"m\"\nbelow = -1\nclear = 2"), below);
    let outside = |clear_low, clear_high| Limit::Outside {
        low: 1.0,
        high: 9.0,
        clear_low,
        clear_high,
    };
    assert_eq!(
        limit("metric = \"m\"\noutside = [1, 9.0]"),
        outside(1.0, 9.0)
    );
    let lines = "metric = \"m\"\noutside = [1, 9]\nclear = [2, 8]";
    assert_eq!(limit(lines), outside(2.0, 8.0));

    let silence = one(&rule("silent_for = \"5m\""));
    assert!(silence.is_about_device());
    assert_eq!(silence.silence(), Some(300_000_000));
    assert_eq!(silence.severity, Severity::Warning);
    assert!(!one(&rule("silent_for = \"5m\"\nmetric = \"m\"")).is_about_device());
}

#[test]
fn patterns_go_through_every_character() {
    let rule = one(&rule("device = \"plant/*\"\nsilent_for = \"5m\""));
    assert!(rule.scope.covers_device("plant/a/b"));
    let rule = one("[[rule]]\nname='r'\ndevice='a\\*b'\nsilent_for='5m'");
    assert!(rule.scope.covers_device("a*b") && !rule.scope.covers_device("axb"));
}

#[test]
fn no_rules_are_valid_rules() {
    assert!(Rules::of_text("").is_empty());
    assert!(Rules::of_text("# nothing yet\n").is_empty());
}

#[test]
fn what_is_not_the_right_shape() {
    check_errors(
        "[[rules]]\nname = \"r\"",
        &["rules | unknown key `rules` | rules begin with `[[rule]]`"],
    );
    check_rule_errors(
        "abov = 9",
        &["abov | unknown key `abov` | did you mean `above`?"],
    );
    check_rule_errors(
        "frobnicate = 9",
        &[
            "frobnicate | unknown key `frobnicate` | a rule knows the keys `name`, `device`, `metric`, `labels`, `above`, `below`, `outside`, `clear`, `for`, `silent_for`, `severity`, `message`",
        ],
    );
    check_errors(
        "[[rule]]\nabove = 9",
        &["[[rule]] | a rule needs the key `name` | -"],
    );
    check_rule_errors(
        "above = \"9\"",
        &["\"9\" | `above` must be a number, such as 80 | leave out the quotes: 9"],
    );
    check_rule_errors(
        "outside = [1, 2]\nclear = \"x\"",
        &["\"x\" | `clear` must be a number, such as 75, or a range, such as [20, 70] | -"],
    );
    check_rule_errors(
        "for = \"soon\"",
        &["\"soon\" | `for` must be a duration in quotes, such as \"5m\" or \"1h 30m\" | -"],
    );
    check_rule_errors(
        "silent_for = 60\nseverity = 3\nmessage = [1]",
        &[
            "60 | `silent_for` must be a duration in quotes, such as \"5m\" or \"1h 30m\" | -",
            "3 | `severity` must be a text in quotes | -",
            "[1] | `message` must be a text in quotes | -",
        ],
    );
    check_rule_errors(
        "outside = [1, 2, 3]\nclear = [1]\nlabels = { a = 1, b = \"x\" }",
        &[
            "[1, 2, 3] | `outside` must be a range of two numbers, such as [10, 80] | -",
            "[1] | `clear` must be a number, such as 75, or a range, such as [20, 70] | -",
            "1 | `labels.a` must be a text in quotes | -",
        ],
    );
    check_errors(
        "rule = 1",
        &["rule | `rule` is not a list of rules | rules begin with `[[rule]]`"],
    );
}

#[test]
fn names_must_be_levels_of_a_topic_and_unique() {
    let named = |name: &str| format!("[[rule]]\nname = {name}\nsilent_for = \"5m\"\n");
    check_errors(
        &named("\"\""),
        &["\"\" | the name is empty | it becomes a level of the alert's topics"],
    );
    check_errors(
        &named("\"$x\""),
        &["\"$x\" | the name `$x` begins with `$` | such names belong to the broker"],
    );
    for (name, found) in [
        ("\"a/b\"", "/"),
        ("\"a+\"", "+"),
        ("\"#\"", "#"),
        ("\"a\\nb\"", "\\n"),
    ] {
        check_errors(
            &named(name),
            &[&format!(
                "{name} | the name contains `{found}` | it becomes a level of the alert's topics, so it must not contain `/`, `+`, `#` or control characters"
            )],
        );
    }
    let long = format!("\"{}\"", "x".repeat(129));
    check_errors(
        &named(&long),
        &[&format!("{long} | the name is longer than 128 bytes | -")],
    );
    check_errors(
        &(named("\"a\"") + &named("\"b\"") + &named("\"a\"")),
        &["\"a\" | a second rule is called `a` | the first one is in line 2"],
    );
}

#[test]
fn a_rule_has_exactly_one_condition() {
    check_rule_errors(
        "metric = \"m\"",
        &[
            "\"r\" | the rule `r` has no condition | add one of `above`, `below`, `outside` and `silent_for`",
        ],
    );
    check_rule_errors(
        "metric = \"m\"\nbelow = 1\nabove = 9",
        &["9 | a rule has one condition, this is the second | write another `[[rule]]` for it"],
    );
    check_rule_errors(
        "above = 9",
        &[
            "\"r\" | the rule `r` has a threshold and no `metric` | say which metric is compared; `metric = \"*\"` for all of them",
        ],
    );
    check_rule_errors(
        "silent_for = \"5m\"\nclear = 1\nfor = \"1s\"",
        &[
            "1 | `clear` needs a threshold | silence ends with the next message",
            "\"1s\" | `for` needs a threshold | `silent_for` itself says how long",
        ],
    );
}

#[test]
fn clear_lies_on_the_good_side() {
    let hint = "it is where the alert ends, on the good side of where it begins";
    let metric = |lines: &str| format!("metric = \"m\"\n{lines}");
    check_rule_errors(
        &metric("above = 90\nclear = 95"),
        &[&format!("95 | `clear` must not lie above `above` | {hint}")],
    );
    check_rule_errors(
        &metric("below = 10\nclear = 9.5"),
        &[&format!(
            "9.5 | `clear` must not lie below `below` | {hint}"
        )],
    );
    check_rule_errors(
        &metric("outside = [10, 20]\nclear = [9, 18]"),
        &[&format!(
            "[9, 18] | `clear` must lie within `outside` | {hint}"
        )],
    );
    check_rule_errors(
        &metric("outside = [10, 20]\nclear = 2"),
        &[
            "2 | `clear` is a single number, and `outside` has two limits | write the inner range in which all is well again: `clear = [low, high]`",
        ],
    );
    check_rule_errors(
        &metric("above = 10\nclear = [2, 3]"),
        &["[2, 3] | `clear` is a range, and the condition has one limit | write a single number"],
    );
    check_rule_errors(
        &metric("outside = [20, 10]"),
        &["[20, 10] | the range begins at `20` and ends at `10` | write the lower number first"],
    );
    check_rule_errors(
        &metric("above = nan"),
        &["nan | `NaN` is not a number to compare with | -"],
    );
    check_rule_errors(
        &metric("below = -inf"),
        &["-inf | `-inf` is not a number to compare with | -"],
    );
}

#[test]
fn durations_are_sane() {
    check_rule_errors(
        "silent_for = \"500ms\"",
        &["\"500ms\" | `silent_for` must be at least one second | -"],
    );
    check_rule_errors(
        "metric = \"m\"\nabove = 1\nfor = \"20M\"",
        &["\"20M\" | longer than a year | `m` is minutes and `M` is months"],
    );
}

#[test]
fn words_and_patterns() {
    check_rule_errors(
        "silent_for = \"5m\"\nseverity = \"fatal\"",
        &["\"fatal\" | unknown severity `fatal` | it is one of `info`, `warning` and `critical`"],
    );
    check_rule_errors(
        "silent_for = \"5m\"\ndevice = \"boiler-[\"",
        &[
            "\"boiler-[\" | the pattern cannot be read: unclosed character class; missing ']' | `*`, `?`, `[abc]` and `{a,b}` are special",
        ],
    );
    check_rule_errors(
        "silent_for = \"5m\"\nlabels = { site = \"\" }",
        &["\"\" | the pattern is empty | leave the key out to cover everything"],
    );
}

#[test]
fn placeholders_are_known_and_make_sense() {
    let message = |text: &str| rule(&format!("metric = \"m\"\nabove = 1\nmessage = {text}"));
    check_errors(
        &message("\"is {valu} now\""),
        &["{valu} | unknown placeholder `{valu}` | did you mean `{value}`?"],
    );
    check_errors(
        &message("'{nothing.like.it}'"),
        &[
            "{nothing.like.it} | unknown placeholder `{nothing.like.it}` | placeholders are `{rule}`, `{device}`, `{metric}`, `{value}`, `{unit}`, `{threshold}`, `{severity}`, `{state}` and `{labels.NAME}`; `{{` stands for a brace",
        ],
    );
    check_errors(
        &message("'{labels.}'"),
        &[
            "{labels.} | unknown placeholder `{labels.}` | placeholders are `{rule}`, `{device}`, `{metric}`, `{value}`, `{unit}`, `{threshold}`, `{severity}`, `{state}` and `{labels.NAME}`; `{{` stands for a brace",
        ],
    );
    check_errors(
        &message("\"open {value\""),
        &["{ | this `{` has no counterpart | write `{{` for a brace in the text"],
    );
    check_errors(
        &message("\"shut }\""),
        &["} | this `}` has no counterpart | write `}}` for a brace in the text"],
    );
    // With an escape the place within the string is not known, so all of it is marked.
    check_errors(
        &message("\"\\t{valu}\""),
        &["\"\\t{valu}\" | unknown placeholder `{valu}` | did you mean `{value}`?"],
    );
    let long = format!("\"{}\"", "x".repeat(1001));
    check_errors(
        &message(&long),
        &[&format!(
            "{long} | the message is longer than 1000 bytes | -"
        )],
    );
    check_rule_errors(
        "silent_for = \"5m\"\nmessage = \"{metric}: {value}\"",
        &[
            "\"{metric}: {value}\" | the message speaks of `{value}` or `{unit}`, and silence has neither | `{threshold}` says how long the device may be silent",
            "\"{metric}: {value}\" | the message speaks of `{metric}`, and the rule has none | leave the placeholder out, or give the rule a `metric`",
        ],
    );
}

#[test]
fn all_errors_of_all_rules_are_found() {
    let text = format!(
        "{}{}{}",
        rule("metric = \"m\"\nabove = inf\nseverity = \"bad\""),
        "[[rule]]\nname = \"b\"\n",
        "[[rule]]\nname = \"c/\"\nsilent_for = \"1ms\"\n"
    );
    let document = Document::new("alerts.toml", &*text);
    let errors = Rules::parse(&document).unwrap_err();
    let marked: Vec<_> = errors.iter().map(marked).collect();
    assert_eq!(marked, ["inf", "\"bad\"", "\"b\"", "\"c/\"", "\"1ms\""]);
}

#[test]
fn a_value_that_cannot_be_read_hides_no_other_mistake() {
    let text = format!(
        "{}{}{}",
        rule("metric = \"m\"\nabove = \"hot\"\nseverity = \"bad\"\nabov = 1"),
        "[[rule]]\nname = 7\nbelow = 1\n",
        "[[rule]]\nname = \"c/\"\nsilent_for = \"1ms\"\n"
    );
    check_errors(
        &text,
        &[
            "\"hot\" | `above` must be a number, such as 80 | -",
            "\"bad\" | unknown severity `bad` | it is one of `info`, `warning` and `critical`",
            "abov | unknown key `abov` | did you mean `above`?",
            "7 | `name` must be a text in quotes | -",
            "\"c/\" | the name contains `/` | it becomes a level of the alert's topics, so it must not contain `/`, `+`, `#` or control characters",
            "\"1ms\" | `silent_for` must be at least one second | -",
        ],
    );
}

#[test]
fn too_many_rules_are_refused() {
    let text: String = (0..=RULES_MAX)
        .map(|number| format!("[[rule]]\nname = \"r{number}\"\nsilent_for = \"5m\"\n"))
        .collect();
    check_errors(&text, &["\"r1000\" | more than 1000 rules | -"]);
}

#[test]
fn a_file_is_read_and_its_mistakes_carry_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alerts.toml");
    let missing = Rules::load(&path).unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with("cannot read the alert rules")
    );
    std::fs::write(&path, "[[rule]]\nname = \"r\"\n").unwrap();
    match Rules::load(&path).unwrap_err() {
        FileError::Wrong { problems, .. } => {
            assert_eq!((problems.len(), marked(&problems[0])), (1, "\"r\""));
        }
        other => panic!("{other}"),
    }
}

/// The shipped example is valid and explains every key and every placeholder.
#[test]
fn the_example_is_complete() {
    let example = include_str!("../../../../config/alerts.toml");
    let rules = Rules::of_text(example);
    assert!(rules.len() >= 4);
    for key in KEYS {
        let written = example.lines().any(|line| {
            line.trim_start_matches(['#', ' '])
                .starts_with(&format!("{key} = "))
        });
        assert!(written, "`{key}` is missing");
    }
    for placeholder in super::template::PLACEHOLDERS {
        assert!(
            example.contains(&format!("{{{placeholder}}}")),
            "{placeholder}"
        );
    }
}
