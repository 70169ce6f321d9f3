use std::fs;

use clap::Parser as _;
use expect_test::{Expect, expect};

use super::super::{Cli, Command as Any};
use super::*;
use crate::config::Sources;
use crate::diagnostics::tests::plain;

const RULES: &str = r#"# The plant.
[[rule]]
group = ["admins", "night-*"]
allow = "both"
topics = ["plant/#", "devices/#"]

[[rule]]
user = "*"
deny = "publish"
topics = "plant/+/locked"    # whoever it is

[[rule]]
client = "%u"
allow = "both"
topics = [
    "devices/%u/#",
    "sites/%{site}/#",
]

[[rule]]
anonymous = true
certificate = "gateway-7"
allow = "subscribe"
topics = "gateways/#"
"#;

const RULES_IN_PART: &str = r##"
[[rule]]
deny = "subscribe"
topics = "plant/secret/#"

[[rule]]
allow = "both"
topics = "#"
"##;

/// What `millrace acl explain` prints for these arguments, and its decision.
fn explain(rules: Option<&str>, arguments: &str, expected: Expect) {
    let folder = tempfile::tempdir().expect("temp folder");
    let write =
        |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    let mut config = "[broker.auth]\nusers = 'users.toml'\n".to_owned();
    if let Some(rules) = rules {
        write("acl.toml", rules);
        config.push_str("[broker.acl]\nfile = 'acl.toml'\n");
    }
    write("millrace.toml", &config);
    write(
        "users.toml",
        "[user.ann]\ngroups = ['night-2']\n[user.old]\ndisabled = true\n",
    );
    let sources = Sources {
        working_folder: folder.path().into(),
        ..Sources::default()
    };
    let line = format!("millrace acl explain {arguments}");
    let cli = Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{error}"));
    let Any::Acl(Args {
        command: Command::Explain(explain),
    }) = cli.command
    else {
        panic!("not `acl explain`");
    };
    let settings = config::load(&sources).unwrap_or_else(|failure| panic!("{}", plain(&failure)));
    let users = Users::load_if_there(&settings.users_file).expect("good users");
    let shown = match explain.answer(&settings.access, &users) {
        Ok((decision, text)) => format!("{decision:?}: {text}"),
        Err(failure) => plain(&failure),
    };
    expected.assert_eq(&shown.replace(&format!("{}/", folder.path().display()), ""));
}

#[test]
fn the_rule_that_allows_is_shown_with_its_line() {
    explain(
        Some(RULES),
        "press-1 press-1 publish devices/press-1/telemetry",
        expect![[r#"
            Allow: user `press-1` as client `press-1` may publish to `devices/press-1/telemetry`
            because `devices/%u/#` fits in acl.toml:12

                [[rule]]
                client = "%u"
                allow = "both"
                topics = [
                    "devices/%u/#",
                    "sites/%{site}/#",
                ]

            rules in their order:
              acl.toml:2   allow both `plant/#`, `devices/#`
                             the client is in no group, not in `admins`, `night-*`
              acl.toml:7   deny publish `plant/+/locked`
                             no filter fits
              acl.toml:12  allow both `devices/%u/#`, `sites/%{site}/#`
                             fits by `devices/%u/#`

            note: `press-1` is not in the users file, so no groups are known; devices are in `--group devices`
        "#]],
    );
}

#[test]
fn the_rule_that_denies_is_shown_with_its_line() {
    explain(
        Some(RULES),
        "bo desk publish plant/1/locked --group ops --group day-1",
        expect![[r#"
            Deny: user `bo` as client `desk` in `ops`, `day-1` may not publish to `plant/1/locked`
            because `plant/+/locked` fits in acl.toml:7

                [[rule]]
                user = "*"
                deny = "publish"
                topics = "plant/+/locked"

            rules in their order:
              acl.toml:2   allow both `plant/#`, `devices/#`
                             the client is in `ops`, `day-1`, not in `admins`, `night-*`
              acl.toml:7   deny publish `plant/+/locked`
                             fits by `plant/+/locked`
        "#]],
    );
}

#[test]
fn the_rules_before_are_shown_with_what_does_not_fit() {
    explain(
        Some(RULES),
        "press-1 other publish devices/press-1/telemetry",
        expect![[r#"
            Deny: user `press-1` as client `other` may not publish to `devices/press-1/telemetry`
            because no rule allows it

            rules in their order:
              acl.toml:2   allow both `plant/#`, `devices/#`
                             the client is in no group, not in `admins`, `night-*`
              acl.toml:7   deny publish `plant/+/locked`
                             no filter fits
              acl.toml:12  allow both `devices/%u/#`, `sites/%{site}/#`
                             the client has the id `other`, not `%u`
              acl.toml:20  allow subscribe `gateways/#`
                             is about subscribing alone

            note: `press-1` is not in the users file, so no groups are known; devices are in `--group devices`
        "#]],
    );
}

#[test]
fn a_filter_that_is_covered_in_part_is_told() {
    explain(
        Some(RULES),
        "press-1 press-1 subscribe devices/# --var site=north --certificate press-1",
        expect![[r#"
            Deny: user `press-1` as client `press-1` with the certificate `press-1` may not subscribe to `devices/#`
            because no rule allows it

            rules in their order:
              acl.toml:2   allow both `plant/#`, `devices/#`
                             the client is in no group, not in `admins`, `night-*`
              acl.toml:7   deny publish `plant/+/locked`
                             is about publishing alone
              acl.toml:12  allow both `devices/%u/#`, `sites/%{site}/#`
                             `devices/%u/#` allows only a part of what is asked for
              acl.toml:20  allow subscribe `gateways/#`
                             the client has a user, `press-1`

            note: `press-1` is not in the users file, so no groups are known; devices are in `--group devices`
        "#]],
    );
}

#[test]
fn a_filter_that_is_denied_in_part_is_told() {
    explain(
        Some(RULES_IN_PART),
        "- reader subscribe #",
        expect![[r##"
            Partly: a client `reader` without a user may subscribe to `#` in part: what rules deny of it is not delivered
            because `#` fits in acl.toml:6

                [[rule]]
                allow = "both"
                topics = "#"

            rules in their order:
              acl.toml:2   deny subscribe `plant/secret/#`
                             `plant/secret/#` denies a part, whose messages are not delivered
              acl.toml:6   allow both `#`
                             fits by `#`
        "##]],
    );
}

#[test]
fn a_shared_subscription_is_judged_by_its_filter() {
    explain(
        Some(RULES),
        "- x subscribe $share/g/gateways/+ --certificate gateway-7",
        expect![[r#"
            Allow: a client `x` without a user with the certificate `gateway-7` may subscribe to `$share/g/gateways/+`
            because `gateways/#` fits in acl.toml:20

                [[rule]]
                anonymous = true
                certificate = "gateway-7"
                allow = "subscribe"
                topics = "gateways/#"

            rules in their order:
              acl.toml:2   allow both `plant/#`, `devices/#`
                             the client is in no group, not in `admins`, `night-*`
              acl.toml:7   deny publish `plant/+/locked`
                             is about publishing alone
              acl.toml:12  allow both `devices/%u/#`, `sites/%{site}/#`
                             the client has the id `x`, not `%u`
              acl.toml:20  allow subscribe `gateways/#`
                             fits by `gateways/#`
        "#]],
    );
}

#[test]
fn variables_fill_in_filters() {
    explain(
        Some(RULES),
        "p p publish sites/north/1 --var site=north",
        expect![[r#"
            Allow: user `p` as client `p` may publish to `sites/north/1`
            because `sites/%{site}/#` fits in acl.toml:12

                [[rule]]
                client = "%u"
                allow = "both"
                topics = [
                    "devices/%u/#",
                    "sites/%{site}/#",
                ]

            rules in their order:
              acl.toml:2   allow both `plant/#`, `devices/#`
                             the client is in no group, not in `admins`, `night-*`
              acl.toml:7   deny publish `plant/+/locked`
                             no filter fits
              acl.toml:12  allow both `devices/%u/#`, `sites/%{site}/#`
                             fits by `sites/%{site}/#`

            note: `p` is not in the users file, so no groups are known; devices are in `--group devices`
        "#]],
    );
    explain(
        Some(RULES),
        "a/b a/b publish sites/north/1",
        expect![[r#"
            Deny: user `a/b` as client `a/b` may not publish to `sites/north/1`
            because no rule allows it

            rules in their order:
              acl.toml:2   allow both `plant/#`, `devices/#`
                             the client is in no group, not in `admins`, `night-*`
              acl.toml:7   deny publish `plant/+/locked`
                             no filter fits
              acl.toml:12  allow both `devices/%u/#`, `sites/%{site}/#`
                             `devices/%u/#` has no meaning for this client
              acl.toml:20  allow subscribe `gateways/#`
                             is about subscribing alone

            note: `a/b` is not in the users file, so no groups are known; devices are in `--group devices`
        "#]],
    );
}

#[test]
fn groups_come_from_the_users_file() {
    explain(
        Some(RULES),
        "ann desk publish plant/1",
        expect![[r#"
        Allow: user `ann` as client `desk` in `night-2` may publish to `plant/1`
        because `plant/#` fits in acl.toml:2

            [[rule]]
            group = ["admins", "night-*"]
            allow = "both"
            topics = ["plant/#", "devices/#"]

        rules in their order:
          acl.toml:2   allow both `plant/#`, `devices/#`
                         fits by `plant/#`
    "#]],
    );
    explain(
        Some(RULES),
        "ann desk publish plant/1 --group night-2 --group x",
        expect![[r#"
            Allow: user `ann` as client `desk` in `night-2`, `x` may publish to `plant/1`
            because `plant/#` fits in acl.toml:2

                [[rule]]
                group = ["admins", "night-*"]
                allow = "both"
                topics = ["plant/#", "devices/#"]

            rules in their order:
              acl.toml:2   allow both `plant/#`, `devices/#`
                             fits by `plant/#`
        "#]],
    );
    explain(
        Some(RULES),
        "old old publish devices/old/x",
        expect![[r#"
        Allow: user `old` as client `old` may publish to `devices/old/x`
        because `devices/%u/#` fits in acl.toml:12

            [[rule]]
            client = "%u"
            allow = "both"
            topics = [
                "devices/%u/#",
                "sites/%{site}/#",
            ]

        rules in their order:
          acl.toml:2   allow both `plant/#`, `devices/#`
                         the client is in no group, not in `admins`, `night-*`
          acl.toml:7   deny publish `plant/+/locked`
                         no filter fits
          acl.toml:12  allow both `devices/%u/#`, `sites/%{site}/#`
                         fits by `devices/%u/#`

        note: the user `old` is disabled, and not let in
    "#]],
    );
}

#[test]
fn what_no_rule_can_change_is_told() {
    explain(
        Some(RULES),
        "root c publish alerts/active/a/hot --group admins",
        expect![[r#"
            Deny: user `root` as client `c` in `admins` may not publish to `alerts/active/a/hot`
            because `alerts/#` is published by Millrace alone, but for `alerts/command/#`, whatever the rules say
        "#]],
    );
}

#[test]
fn without_a_file_the_built_in_rules_are_asked() {
    explain(
        None,
        "- c publish plant/1",
        expect![[r##"
            Allow: a client `c` without a user may publish to `plant/1`
            because `#` fits in built-in rules:43

                [[rule]]
                anonymous = true
                allow = "both"
                topics = ["#", "$SYS/#", "$clients/#"]

            rules in their order:
              line 43      allow both `#`, `$SYS/#`, `$clients/#`
                             fits by `#`
        "##]],
    );
    explain(
        None,
        "press-1 c publish devices/press-2/telemetry",
        expect![[r#"
            Deny: user `press-1` as client `c` may not publish to `devices/press-2/telemetry`
            because no rule allows it

            rules in their order:
              line 43      allow both `#`, `$SYS/#`, `$clients/#`
                             the client has a user, `press-1`
              line 49      allow both `#`, `$SYS/#`, `$clients/#`
                             the client is in no group, not in `admins`
              line 55      allow publish `alerts/command/#`
                             the client is in no group, not in `operators`
              line 61      allow subscribe `alerts/#`, `devices/#`, `$clients/#` and 1 more
                             is about subscribing alone
              line 66      deny both `#`, `$SYS/#`, `$clients/#`
                             the client is in no group, not in `consoles`, `operators`
              line 72      allow both `devices/%u/#`
                             no filter fits
              line 78      allow both `v1/devices/me/#`
                             the client has the id `c`, not `%u`

            note: `press-1` is not in the users file, so no groups are known; devices are in `--group devices`
        "#]],
    );
}

#[test]
fn a_topic_that_is_none_is_a_wrong_command_line() {
    explain(
        Some(RULES),
        "a c publish a/#",
        expect![[r#"
        error: the topic `a/#` has a wildcard in a topic name
    "#]],
    );
    explain(
        Some(RULES),
        "a c subscribe a/#/b",
        expect![[r#"
        error: the filter `a/#/b` has a `#` that is not the whole last level
    "#]],
    );
}
