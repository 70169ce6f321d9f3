//! What is told about a wrong file.

use super::*;

/// Errors as `line | marked text | message | hint`, one a line.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let errors = match Policy::parse(text) {
        Ok(policy) => panic!("{} rules without an error", policy.rules()),
        Err(errors) => errors,
    };
    let seen: Vec<String> = errors
        .iter()
        .map(|error| {
            let marked = text[error.span.clone()].lines().next().unwrap_or_default();
            let hint = error.hint.as_deref().unwrap_or("-");
            let line = error::line_at(text, error.span.start);
            format!("{line} | {marked} | {} | {hint}", error.message)
        })
        .collect();
    assert_eq!(seen, expected, "{seen:#?}");
}

/// A rule with these lines, which begin in line 2.
#[track_caller]
fn check_rule(lines: &str, expected: &[&str]) {
    check(&format!("[[rule]]\n{lines}\n"), expected);
}

#[test]
fn every_mistake_is_told_with_its_place() {
    check_rule(
        "allow = \"publish\"\ngruop = \"a\"\nuser = 5\ntopics = [\"a/%u\", \"a/#/b\", \"x-%c\", 1]",
        &[
            "3 | gruop | unknown key `gruop` | did you mean `group`?",
            "4 | 5 | wrong type of `user`, expected a string or a list of them | -",
            "5 | \"a/#/b\" | the filter `a/#/b` has a `#` that is not the whole last level | -",
            "5 | \"x-%c\" | the level `x-%c` is not a placeholder | a placeholder is a whole level: `%u` the \
             user, `%c` the client id, `%{name}` a variable of the credentials",
            "5 | 1 | wrong type in `topics`, expected a string | -",
        ],
    );
}

#[test]
fn a_rule_says_what_it_does() {
    let needs = "write what it is about: \"publish\", \"subscribe\" or \"both\"";
    check_rule(
        "topics = \"#\"",
        &[&format!(
            "1 | [[rule]] | a rule needs the key `allow` or `deny` | {needs}"
        )],
    );
    check_rule(
        "allow = \"both\"\ndeny = \"publish\"\ntopics = \"#\"",
        &[
            "3 | \"publish\" | a rule cannot both allow and deny | write two rules: the first that \
           fits decides",
        ],
    );
    check_rule(
        "allow = \"write\"\ntopics = \"#\"",
        &[
            "2 | \"write\" | `write` is nothing that can be done with a topic | write \"publish\", \
           \"subscribe\" or \"both\"",
        ],
    );
    check_rule(
        "deny = [\"publish\"]\ntopics = \"#\"",
        &[
            "2 | [\"publish\"] | wrong type of `deny` | write \"publish\", \"subscribe\" or \"both\"",
        ],
    );
    check_rule(
        "allow = \"both\"",
        &[
            "1 | [[rule]] | a rule needs the key `topics` | list topic filters, such as \
           [\"devices/%u/#\"]",
        ],
    );
}

#[test]
fn names_are_names() {
    let rest = "allow = \"both\"\ntopics = \"a\"";
    check_rule(
        &format!("user = \"\"\n{rest}"),
        &[
            "2 | \"\" | an empty name in `user` | clients without a user are meant by `anonymous = true`",
        ],
    );
    check_rule(
        &format!("group = [\"a\", \"\"]\nclient = []\n{rest}"),
        &[
            "2 | \"\" | an empty name in `group` | leave the key out to mean everybody",
            "3 | [] | `client` is an empty list | -",
        ],
    );
    check_rule(
        &format!("client = \"%c\"\n{rest}"),
        &[
            "2 | \"%c\" | `%c` is not a client id | `client` knows `%u` alone: the client id is the \
           name of the user",
        ],
    );
    check_rule(
        &format!("anonymous = false\n{rest}"),
        &[
            "2 | false | `anonymous` can only be true | clients that have a user are meant by \
           `user = \"*\"`",
        ],
    );
    check_rule(
        &format!("anonymous = true\nuser = \"a\"\n{rest}"),
        &[
            "2 | true | a client without a user cannot have one of `user` | leave out one of the two",
        ],
    );
    check_rule(
        &format!("anonymous = \"yes\"\n{rest}"),
        &["2 | \"yes\" | wrong type of `anonymous`, expected true | -"],
    );
}

#[test]
fn filters_are_filters() {
    let placeholder = "a placeholder is a whole level: `%u` the user, `%c` the client id, `%{name}` a \
                       variable of the credentials";
    for level in ["%", "%x", "%{}", "%{a", "%u%c", "%{a}b", "a%{b}", "%%u"] {
        check_rule(
            &format!("allow = \"both\"\ntopics = \"a/{level}\""),
            &[&format!(
                "3 | \"a/{level}\" | the level `{level}` is not a placeholder | {placeholder}"
            )],
        );
    }
    check_rule(
        "allow = \"both\"\ntopics = [\"$share/g/a\", \"\"]",
        &[
            "3 | \"$share/g/a\" | a rule cannot name a share group | write the filter behind the \
             group: shared subscriptions are judged by it",
            "3 | \"\" | the filter `` is empty | -",
        ],
    );
    assert!(Policy::parse("[[rule]]\nallow = \"both\"\ntopics = \"load/50%\"").is_ok());
}

#[test]
fn a_file_holds_rules() {
    let none = "there are no rules, so nobody could publish or subscribe | write at least one \
                `[[rule]]`; without a file the rules of config/acl.toml hold";
    check("", &[&format!("1 |  | {none}")]);
    check("# to do\n", &[&format!("1 |  | {none}")]);
    check(
        "[[rules]]\nallow = \"both\"\n",
        &["1 | rules | unknown key `rules` | rules begin with `[[rule]]`"],
    );
    check(
        "allow = \"both\"\n",
        &["1 | allow | unknown key `allow` | rules begin with `[[rule]]`"],
    );
    check(
        "users = 5\n",
        &["1 | users | unknown key `users` | the file holds `[[rule]]` tables and nothing else"],
    );
    check(
        "rule = 5\n",
        &["1 | rule | not a list of rules | rules begin with `[[rule]]`"],
    );
}

#[test]
fn what_is_not_toml_is_told_with_its_line() {
    let text = "[[rule]]\nallow = \"both\ntopics = \"a\"\n";
    let errors = Policy::parse(text).expect_err("no TOML");
    assert!(
        errors[0].message.starts_with("not valid TOML: "),
        "{errors:?}"
    );
    assert_eq!(error::line_at(text, errors[0].span.start), 2, "{errors:?}");
}

#[test]
fn a_log_line_names_the_file_and_the_first_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("acl.toml");
    std::fs::write(&path, "[[rule]]\nalow = \"both\"\ntopics = 5\n").expect("written");
    let error = Policy::load(&path).expect_err("wrong").to_string();
    let expected = format!(
        "the access rules `{}` are wrong: line 2: unknown key `alow` (did you mean `allow`?); and one \
         error more",
        path.display()
    );
    assert_eq!(error, expected);
    let missing = Policy::load(&folder.path().join("none")).expect_err("missing");
    assert!(
        missing
            .to_string()
            .starts_with("cannot read the access rules `")
    );
}
