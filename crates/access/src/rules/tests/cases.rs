//! What rules mean, as tables: `decision | who | client id | action | topic`.
//!
//! Who: a user or `-`, then `in GROUP…`, `by CERTIFICATE`, `with NAME=VALUE`. Actions are `p` and
//! `s`.

use super::*;

/// A client in the words of the tables.
fn subject(who: &str, client_id: &str) -> Subject {
    let mut words = who.split_whitespace();
    let mut subject = Subject {
        user: words
            .next()
            .filter(|user| *user != "-")
            .unwrap_or_default()
            .to_owned(),
        client_id: client_id.to_owned(),
        ..Subject::default()
    };
    let mut kind = "";
    for word in words {
        match (kind, word) {
            (_, "in" | "by" | "with") => kind = word,
            ("in", group) => subject.groups.push(group.to_owned()),
            ("by", certificate) => subject.certificate = Some(certificate.to_owned()),
            ("with", pair) => {
                let (name, value) = pair.split_once('=').expect("NAME=VALUE");
                subject.variables.insert(name.to_owned(), value.to_owned());
            }
            _ => panic!("`{word}` of `{who}`"),
        }
    }
    subject
}

/// Holds each line of the table against the rules.
#[track_caller]
fn check_policy(policy: &Policy, table: &str) {
    let mut wrong = Vec::new();
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [expected, who, client_id, action, topic] = cells[..] else {
            panic!("five cells: {line}");
        };
        let action = match action {
            "p" => Action::Publish,
            "s" => Action::Subscribe,
            other => panic!("`{other}` of {line}"),
        };
        let seen = policy.explain(&subject(who, client_id), action, topic);
        let decision = match seen.decision {
            Decision::Allow => "allow",
            Decision::Partly => "part",
            Decision::Deny => "deny",
        };
        if decision != expected {
            wrong.push(format!("{decision}, not as expected: {line}\n  {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[track_caller]
fn check(rules: &str, table: &str) {
    let policy = Policy::parse(rules).unwrap_or_else(|errors| panic!("{errors:?}"));
    check_policy(&policy, table);
}

#[test]
fn the_built_in_roles() {
    check_policy(
        &Policy::built_in(),
        "
        allow | -                 | any     | p | devices/a/telemetry
        allow | -                 | any     | p | anything
        allow | -                 | any     | s | #
        allow | -                 | any     | s | $SYS/#
        deny  | -                 | any     | p | $SYS/broker/uptime
        deny  | -                 | any     | p | alerts/active/a/hot
        allow | -                 | any     | p | alerts/command/a/hot

        allow | root in admins    | tool    | p | devices/a/telemetry
        allow | root in admins    | tool    | p | alerts/command/a/hot
        allow | root in admins    | tool    | s | #
        allow | root in admins    | tool    | s | $SYS/broker/+
        allow | root in x admins  | tool    | p | plant/1
        deny  | root in admins    | tool    | p | alerts/critical/a/hot
        deny  | root in admins    | tool    | p | $clients/a/status
        deny  | root in admins    | tool    | p | $SYS/x

        allow | ann in consoles   | browser | s | alerts/#
        allow | ann in consoles   | browser | s | alerts/active/+/hot
        allow | ann in consoles   | browser | s | devices/#
        allow | ann in consoles   | browser | s | $clients/+/status
        allow | ann in consoles   | browser | s | $SYS/broker/#
        allow | ann in consoles   | browser | s | $share/wall/devices/#
        deny  | ann in consoles   | browser | s | #
        deny  | ann in consoles   | browser | s | plant/#
        deny  | ann in consoles   | browser | s | +/ann/telemetry
        deny  | ann in consoles   | browser | p | devices/ann/telemetry
        deny  | ann in consoles   | browser | p | alerts/command/a/hot
        deny  | ann in consoles   | ann     | p | v1/devices/me/telemetry

        allow | bo in operators   | browser | s | alerts/#
        allow | bo in operators   | browser | p | alerts/command/a/hot
        deny  | bo in operators   | browser | p | devices/bo/telemetry
        deny  | bo in operators   | browser | p | alerts/active/a/hot
        allow | bo in consoles operators | x | p | alerts/command/a/hot

        allow | press-1 in devices | press-1 | p | devices/press-1/telemetry
        allow | press-1 in devices | other   | p | devices/press-1/telemetry/temperature
        allow | press-1            | x       | p | devices/press-1/telemetry
        allow | press-1            | x       | s | devices/press-1/commands/#
        allow | press-1            | x       | s | devices/press-1/#
        deny  | press-1            | x       | s | devices/+/commands
        deny  | press-1            | x       | s | devices/#
        deny  | press-1            | press-2 | p | devices/press-2/telemetry
        deny  | press-1            | press-2 | s | devices/press-2/commands
        allow | press-1            | press-1 | p | v1/devices/me/telemetry
        deny  | press-1            | press-2 | p | v1/devices/me/telemetry
        deny  | press-1            | press-1 | p | alerts/command/press-1/hot
        deny  | press-1            | press-1 | s | alerts/#
        deny  | press-1            | press-1 | s | $SYS/#
        deny  | a/b                | a/b     | p | devices/a/b/telemetry
        deny  | +                  | x       | s | devices/+/telemetry
        deny  | #                  | x       | s | devices/#
        allow | +                  | +       | p | v1/devices/me/telemetry
        ",
    );
}

#[test]
fn the_first_rule_that_fits_decides() {
    check(
        r##"
        [[rule]]
        deny = "publish"
        topics = "plant/secret"
        [[rule]]
        allow = "publish"
        topics = ["plant/#", "hall/+/x"]
        [[rule]]
        deny = "both"
        topics = "hall/#"
        [[rule]]
        allow = "both"
        topics = "#"
        "##,
        "
        deny  | - | c | p | plant/secret
        allow | - | c | p | plant/open
        allow | - | c | p | plant
        allow | - | c | p | hall/1/x
        deny  | - | c | p | hall/1/y
        deny  | - | c | p | hall
        allow | - | c | p | elsewhere
        allow | - | c | s | plant/#
        allow | - | c | s | plant/secret
        deny  | - | c | s | hall/1/x
        part  | - | c | s | #
        part  | - | c | s | +/1/x
        part  | - | c | s | +
        allow | - | c | s | other/+
        ",
    );
}

#[test]
fn a_subscription_is_covered_entirely_or_denied_or_denied_in_part() {
    check(
        r##"
        [[rule]]
        deny = "subscribe"
        topics = ["a/secret/#", "+/+/keys"]
        [[rule]]
        allow = "subscribe"
        topics = ["a/+", "b/#", "+/x/#", "$SYS/broker/+"]
        "##,
        "
        allow | - | c | s | a/b
        part  | - | c | s | b/#
        allow | - | c | s | b/x/y/#
        allow | - | c | s | b
        allow | - | c | s | b/+
        part  | - | c | s | a/+
        deny  | - | c | s | a/#
        deny  | - | c | s | a/secret
        deny  | - | c | s | a
        part  | - | c | s | b/+/+
        part  | - | c | s | b/+/#
        deny  | - | c | s | b/q/keys
        allow | - | c | s | b/q/doors
        allow | - | c | s | c/x
        part  | - | c | s | +/x/#
        allow | - | c | s | z/x/a
        deny  | - | c | s | #
        allow | - | c | s | $SYS/broker/uptime
        allow | - | c | s | $SYS/broker/+
        deny  | - | c | s | $SYS/#
        deny  | - | c | s | $SYS/x/y
        allow | - | c | s | $share/g/b/+
        part  | - | c | s | $share/g/b/#
        deny  | - | c | s | $share/g/a/#
        deny  | - | c | s | $share/b/c
        ",
    );
}

#[test]
fn wildcards_do_not_reach_the_servers_own_topics() {
    check(
        r##"
        [[rule]]
        deny = "subscribe"
        topics = "$SYS/secret"
        [[rule]]
        allow = "both"
        topics = ["#", "+/b"]
        "##,
        "
        allow | - | c | s | #
        allow | - | c | s | +/#
        allow | - | c | s | +/secret
        deny  | - | c | s | $SYS/#
        deny  | - | c | s | $SYS
        deny  | - | c | s | $x/b
        ",
    );
    check(
        "[[rule]]\nallow = 'both'\ntopics = '+/#'\n",
        "
        allow | - | c | s | #
        allow | - | c | p | a
        allow | - | c | p | a/b
        deny  | - | c | s | $SYS/#
        ",
    );
}

#[test]
fn names_lists_and_globs() {
    check(
        r#"
        [[rule]]
        user = ["ann", "press-*"]
        allow = "publish"
        topics = "by/user"
        [[rule]]
        group = ["ops", "team-*"]
        allow = "publish"
        topics = "by/group"
        [[rule]]
        client = "panel-*"
        allow = "publish"
        topics = "by/client"
        [[rule]]
        certificate = ["gateway-7", "*.plant"]
        allow = "publish"
        topics = "by/certificate"
        [[rule]]
        user = "*"
        allow = "publish"
        topics = "by/anyone"
        [[rule]]
        anonymous = true
        allow = "publish"
        topics = "by/nobody"
        "#,
        "
        allow | ann                | c       | p | by/user
        allow | press-9            | c       | p | by/user
        deny  | Ann                | c       | p | by/user
        deny  | annx               | c       | p | by/user
        deny  | -                  | ann     | p | by/user
        deny  | x in ann           | ann     | p | by/user
        allow | x in ops           | c       | p | by/group
        allow | x in a team-b      | c       | p | by/group
        deny  | ops                | c       | p | by/group
        deny  | x                  | c       | p | by/group
        allow | -                  | panel-1 | p | by/client
        deny  | panel-1            | c       | p | by/client
        allow | x by gateway-7     | c       | p | by/certificate
        allow | - by press.plant   | c       | p | by/certificate
        deny  | gateway-7          | c       | p | by/certificate
        allow | x                  | c       | p | by/anyone
        deny  | -                  | c       | p | by/anyone
        allow | -                  | c       | p | by/nobody
        allow | - by press.plant   | c       | p | by/nobody
        deny  | x                  | c       | p | by/nobody
        ",
    );
}

#[test]
fn keys_of_one_rule_must_all_fit() {
    check(
        r##"
        [[rule]]
        user = ["ann", "bo"]
        group = "ops"
        client = "desk-*"
        allow = "both"
        topics = "a/#"
        [[rule]]
        anonymous = true
        client = "kiosk"
        allow = "subscribe"
        topics = "a/#"
        [[rule]]
        user = "ann"
        client = "%u"
        certificate = "ann"
        allow = "both"
        topics = "b"
        "##,
        "
        allow | ann in ops    | desk-1 | p | a/b
        allow | bo in x ops   | desk-2 | s | a/+
        deny  | ann           | desk-1 | p | a/b
        deny  | ann in ops    | sofa   | p | a/b
        deny  | cy in ops     | desk-1 | p | a/b
        allow | -             | kiosk  | s | a/b
        deny  | -             | kiosk  | p | a/b
        deny  | -             | other  | s | a/b
        deny  | ann           | kiosk  | s | a/b
        allow | ann by ann    | ann    | p | b
        deny  | ann by bo     | ann    | p | b
        deny  | ann by ann    | bo     | p | b
        ",
    );
}

#[test]
fn placeholders_stand_for_one_level() {
    check(
        r##"
        [[rule]]
        deny = "both"
        topics = "home/%u/locked"
        [[rule]]
        allow = "both"
        topics = ["home/%u/#", "c/%c", "%c/x", "sites/%{site}/+", "both/%u/%c"]
        "##,
        "
        allow | ann                 | c1   | p | home/ann/x
        allow | ann                 | c1   | s | home/ann/x/#
        part  | ann                 | c1   | s | home/ann/#
        part  | ann                 | c1   | s | home/ann/+
        deny  | ann                 | c1   | p | home/ann/locked
        deny  | ann                 | c1   | p | home/bo/x
        deny  | ann                 | c1   | s | home/+/x
        deny  | ann                 | c1   | p | home/%u/x
        deny  | -                   | c1   | p | home//x
        allow | -                   | c1   | p | c/c1
        allow | -                   | c1   | p | c1/x
        deny  | -                   | c2   | p | c/c1
        deny  | -                   | a/b  | p | c/a/b
        deny  | -                   | +    | s | c/+
        deny  | -                   | #    | s | c/#
        deny  | -                   | $SYS | s | $SYS/x
        deny  | -                   | +    | s | +/x
        allow | ann                 | $x   | p | c/$x
        allow | - with site=north   | c    | p | sites/north/t
        allow | - with site=north   | c    | s | sites/north/+
        deny  | - with site=north   | c    | s | sites/north/#
        deny  | - with site=north   | c    | p | sites/south/t
        deny  | -                   | c    | p | sites/north/t
        deny  | - with site=+       | c    | s | sites/+/t
        deny  | - with hall=north   | c    | p | sites/north/t
        allow | ann                 | c    | p | both/ann/c
        deny  | ann                 | c    | p | both/c/ann
        ",
    );
}

#[test]
fn only_millrace_publishes_its_own_topics() {
    check(
        "[[rule]]\nallow = 'both'\ntopics = ['#', '$SYS/#', '$clients/#']\n",
        "
        deny  | root in admins | c | p | alerts
        deny  | root in admins | c | p | alerts/active/a/hot
        allow | root in admins | c | p | alerts/command/a/hot
        allow | root in admins | c | p | alerts/command
        deny  | root in admins | c | p | alerts/commands
        allow | root in admins | c | p | alertsx/y
        deny  | root in admins | c | p | $clients/a/status
        allow | root in admins | c | p | clientsx
        deny  | root in admins | c | p | $SYS/broker
        deny  | root in admins | c | p | $x
        allow | root in admins | c | s | alerts/#
        allow | root in admins | c | s | $clients/#
        allow | root in admins | c | s | $SYS/#
        ",
    );
}

#[test]
fn many_names_and_many_filters_mean_the_same() {
    let names: Vec<_> = (0..60).map(|n| format!("'user-{n}'")).collect();
    let topics: Vec<_> = (0..60).map(|n| format!("'t/{n}/#'")).collect();
    let rules = format!(
        "[[rule]]\nuser = [{}]\nallow = 'publish'\ntopics = [{}]\n",
        names.join(", "),
        topics.join(", ")
    );
    check(
        &rules,
        "
        allow | user-0  | c | p | t/0/x
        allow | user-59 | c | p | t/59
        deny  | user-60 | c | p | t/0/x
        deny  | user-1  | c | p | t/60
        deny  | -       | c | p | t/1
        ",
    );
}
