use std::collections::BTreeSet;

use expect_test::{Expect, expect};

use super::*;
use crate::diagnostics::tests::plain;

/// A working folder with a configuration file, and what else may say something.
struct Case {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl Case {
    fn new(file: &str) -> Case {
        let folder = tempfile::tempdir().expect("temp folder");
        std::fs::write(folder.path().join(DEFAULT_FILE), file).expect("written");
        let sources = Sources {
            working_folder: folder.path().into(),
            ..Sources::default()
        };
        Case { folder, sources }
    }

    fn variable(mut self, name: &str, value: &str) -> Case {
        self.sources.environment.push((name.into(), value.into()));
        self
    }

    fn flag(mut self, flag: &str, key: &str, value: &str) -> Case {
        self.sources.flags.push(Override::flag(flag, key, value));
        self
    }

    fn settings(&self) -> Settings {
        load(&self.sources).unwrap_or_else(|failure| panic!("{}", plain(&failure)))
    }

    fn check(&self, expected: Expect) {
        let folder = format!("{}/", self.folder.path().display());
        expected.assert_eq(&self.told().replace(&folder, ""));
    }

    fn told(&self) -> String {
        plain(&load(&self.sources).err().expect("something is wrong"))
    }
}

#[test]
fn defaults_need_no_file() {
    let settings = load(&Sources::default()).expect("defaults are right");
    assert_eq!(settings.data, Path::new("millrace-data"));
    assert_eq!(settings.file, None);
}

#[test]
fn the_file_in_the_working_folder_is_read() {
    let case = Case::new("data = '/srv/m'\n");
    let settings = case.settings();
    assert_eq!(settings.data, Path::new("/srv/m"));
    assert_eq!(settings.file, Some(case.folder.path().join(DEFAULT_FILE)));
}

#[test]
fn a_named_file_replaces_the_one_in_the_working_folder() {
    let mut case = Case::new("data = '/srv/wrong'\n");
    let named = case.folder.path().join("other.toml");
    std::fs::write(&named, "data = '/srv/right'\n").expect("written");
    case.sources.file = Some(named);
    assert_eq!(case.settings().data, Path::new("/srv/right"));
}

#[test]
fn a_named_file_that_is_missing_is_an_error() {
    let mut case = Case::new("");
    case.sources.file = Some(case.folder.path().join("other.toml"));
    case.check(expect![[r#"
        error: cannot read the configuration file `other.toml`
          caused by: No such file or directory (os error 2)
          hint: without `--config`, Millrace starts with defaults that need no file
    "#]]);
}

#[test]
fn a_later_source_wins() {
    let case = Case::new("data = '/file'\n");
    assert_eq!(case.settings().data, Path::new("/file"));
    let case = case.variable("MILLRACE_DATA", "/environment");
    assert_eq!(case.settings().data, Path::new("/environment"));
    let case = case.flag("--data", "data", "/flag");
    assert_eq!(case.settings().data, Path::new("/flag"));
}

#[test]
fn a_path_starts_where_it_was_written() {
    let case = Case::new("data = 'd'\n");
    assert_eq!(case.settings().data, case.folder.path().join("d"));
    // The environment and flags are written in a shell, so their paths start from its folder.
    let case = case.variable("MILLRACE_DATA", "e");
    assert_eq!(case.settings().data, Path::new("e"));
}

#[test]
fn mistakes_of_all_sources_are_told_at_once() {
    Case::new("dta = 'x'\nlog = 'loud'\n[journl]\n")
        .variable("MILLRACE_DATAA", "x")
        .check(expect![[r#"
            error: unknown key `dta`
             --> millrace.toml:1:1
              |
            1 | dta = 'x'
              | ^^^ not a known key
              hint: did you mean `data`?

            error: unknown key `journl`
             --> millrace.toml:3:2
              |
            3 | [journl]
              |  ^^^^^^ not a known key
              hint: did you mean `journal`?

            error: environment variable `MILLRACE_DATAA` names no key of the configuration
              hint: did you mean `MILLRACE_DATA`?

            error: `log`: `loud` is not a log level
             --> millrace.toml:2:7
              |
            2 | log = 'loud'
              |       ^^^^^^
              hint: write a level such as "debug", or targets such as "info,broker=trace"
        "#]]);
}

#[test]
fn a_wrong_value_is_shown_with_who_set_it() {
    let case = Case::new("log = 'info,a=b=c'\n");
    case.check(expect![[r#"
        error: `log`: `info,a=b=c` is not a log filter
         --> millrace.toml:1:7
          |
        1 | log = 'info,a=b=c'
          |       ^^^^^^^^^^^^
          hint: write a level such as "debug", or targets such as "info,broker=trace"
    "#]]);
    let case = case.variable("MILLRACE_LOG", "a=b=c");
    case.check(expect![[r#"
        error: `log`: `a=b=c` is not a log filter (set by `MILLRACE_LOG`)
          hint: write a level such as "debug", or targets such as "info,broker=trace"
    "#]]);
    case.flag("--log", "log", "x=y=z").check(expect![[r#"
        error: `log`: `x=y=z` is not a log filter (set by `--log`)
          hint: write a level such as "debug", or targets such as "info,broker=trace"
    "#]]);
}

#[test]
fn a_variable_with_too_few_underscores_suggests_the_key_itself() {
    for (name, meant) in [
        ("MILLRACE_BROKER_LISTEN", "MILLRACE_BROKER__LISTEN"),
        ("MILLRACE_BROKER_LISTN", "MILLRACE_BROKER__LISTEN"),
        (
            "MILLRACE_BROKER__MAX__CONNECTIONS",
            "MILLRACE_BROKER__MAX_CONNECTIONS",
        ),
        ("MILLRACE_STORE_URL", "MILLRACE_STORE__URL"),
        ("MILLRACE_JOURNAL_MAXSIZE", "MILLRACE_JOURNAL__MAX_SIZE"),
        ("MILLRACE_BROKER_AUTH_USERS", "MILLRACE_BROKER__AUTH__USERS"),
    ] {
        let told = Case::new("").variable(name, "x").told();
        let hint = format!("hint: did you mean `{meant}`?");
        assert!(told.contains(&hint), "{name}: {told}");
    }
}

#[test]
fn no_part_of_a_password_is_shown() {
    for url in [
        "postgres://me:p@hunter2@host/db",
        "postgres://me:hunter2@host/db?sslmode=require",
        "postgres://me:hunter2@host:port/db",
        "postgre://me:hunter2@host/db",
    ] {
        for file in [
            format!("[store]\nurl = \"{url}\"\n"),
            format!("[store]\nurl = \"{url}\n"),
            format!("[store]\nur = \"{url}\"\n"),
            format!("store = \"{url}\"\n"),
            format!("store = {{ url = \"{url}\", statement_timeout = 1 }}\n"),
        ] {
            let told = Case::new(&file).told();
            assert!(!told.contains("hunter2"), "{told}");
        }
        for variable in ["MILLRACE_STORE__URL", "MILLRACE_STORE"] {
            let told = Case::new("").variable(variable, url).told();
            assert!(!told.contains("hunter2"), "{told}");
        }
        let told = Case::new("").flag("--store", "store.url", url).told();
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn a_log_target_that_does_not_exist_is_a_mistake() {
    Case::new("log = 'info,borker=debug'\n").check(expect![[r#"
        error: `log`: nothing called `borker` writes to the log
         --> millrace.toml:1:7
          |
        1 | log = 'info,borker=debug'
          |       ^^^^^^^^^^^^^^^^^^^
          hint: did you mean `broker`?
    "#]]);
    Case::new("")
        .flag("--log", "log", "info,nobody=debug")
        .check(expect![[r#"
            error: `log`: nothing called `nobody` writes to the log (set by `--log`)
              hint: these can be named: access, millrace, broker, devices, ingest, journal, router, simulator, store, telemetry, axum, hyper, jiff, mio, rumqttc, rumqttd, rustls, tokio, tokio_postgres, tokio_tungstenite, tungstenite
        "#]]);
}

#[test]
fn variables_that_are_not_keys_are_left_alone() {
    let case = Case::new("")
        .variable("MILLRACE_CONFIG", "elsewhere.toml")
        .variable("MILLRACE_TEST_HOOK", "1")
        .variable("OTHER", "1");
    assert_eq!(case.settings().data, Path::new("millrace-data"));
}

#[test]
fn a_section_in_a_variable_must_be_known() {
    Case::new("")
        .variable("MILLRACE_DATA__PATH", "x")
        .check(expect![[r#"
        error: environment variable `MILLRACE_DATA__PATH` names no key of the configuration
          hint: keys are written `MILLRACE_SECTION__KEY`, with two underscores
    "#]]);
    Case::new("")
        .variable("MILLRACE_NOWHERE__KEY", "x")
        .check(expect![[r#"
        error: environment variable `MILLRACE_NOWHERE__KEY` names no key of the configuration
          hint: keys are written `MILLRACE_SECTION__KEY`, with two underscores
    "#]]);
}

/// The shipped file explains every key, each as it is by default; keys that are off by default
/// stand in comments.
#[test]
fn the_shipped_file_is_the_defaults() {
    let text = include_str!("../../config/millrace.toml");
    let document = Document::new("config/millrace.toml", text);
    let (config, problems) = document.deserialize::<Config>();
    let shown = Failure::from_problems(problems).map_or(String::new(), |found| plain(&found));
    assert_eq!(shown, "");
    assert_eq!(config, Some(Config::default()));
}

/// What is off by default stands there as `#key = value`, without a space; it must be right as
/// well.
#[test]
fn the_shipped_file_names_every_key() {
    let lines = include_str!("../../config/millrace.toml")
        .lines()
        .map(|line| {
            let key = line
                .strip_prefix('#')
                .filter(|rest| !rest.is_empty() && !rest.starts_with(' '));
            key.unwrap_or(line)
        });
    let text = lines.collect::<Vec<_>>().join("\n");
    let document = Document::new("config/millrace.toml", text);
    let (_, problems) = document.deserialize::<Config>();
    let shown = Failure::from_problems(problems).map_or(String::new(), |found| plain(&found));
    assert_eq!(shown, "");

    let mut named = BTreeSet::new();
    name_keys("", &Value::Table(document.values()), &mut named);
    let known: BTreeSet<String> = documents::Keys::of::<Config>().names().collect();
    let missing: Vec<_> = known.difference(&named).collect();
    assert!(missing.is_empty(), "not in the shipped file: {missing:?}");
}

fn name_keys(prefix: &str, value: &Value, named: &mut BTreeSet<String>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let name = join(prefix, key);
                name_keys(&name, value, named);
                named.insert(name);
            }
        }
        Value::Array(elements) => {
            elements
                .iter()
                .for_each(|element| name_keys(prefix, element, named));
        }
        _ => {}
    }
}

fn join(section: &str, key: &str) -> String {
    match section {
        "" => key.to_owned(),
        _ => format!("{section}.{key}"),
    }
}

#[test]
fn a_journal_too_small_for_a_packet_is_refused() {
    let case = Case::new("[broker]\nmax_packet_size = '2MB'\n[journal]\nmax_size = '3MB'\n");
    case.check(expect![[r#"
        error: `journal.max_size` holds fewer than 2 packets of `broker.max_packet_size`
         --> millrace.toml:4:12
          |
        4 | max_size = '3MB'
          |            ^^^^^
          hint: make the journal larger or the packets smaller
    "#]]);
}
