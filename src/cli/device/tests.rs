use devices::credentials::{Credential, Previous};
use expect_test::expect;

use super::*;
use crate::diagnostics::tests::plain;

const NOON: i64 = 1_767_268_800_000_000;
const HOUR: i64 = 3_600_000_000;

fn names(text: &str) -> Result<Vec<String>, String> {
    names::parse("devices.csv", text).map_err(|failure| plain(&failure))
}

#[test]
fn names_come_a_line_or_in_a_column() {
    for (text, expected) in [
        ("a\nb\n", &["a", "b"][..]),
        ("a\r\n\n# a comment\n  b  \na\n", &["a", "b"]),
        ("\u{feff}device,metric\na,\na,t\n\"b,c\",\n", &["a", "b,c"]),
        ("site,device\nnorth,a\n# x,y\nsouth,boiler-*\n", &["a"]),
        ("a,north\n", &["a"]),
        ("boiler-*\n", &["boiler-*"]),
    ] {
        assert_eq!(
            names(text).as_deref(),
            Ok(&*expected
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()),
            "{text:?}"
        );
    }
}

#[test]
fn names_that_cannot_be_are_told_with_their_line() {
    let told = names("device\na\nb/c\n\n#\n,\"\"\n d+\n").expect_err("wrong");
    expect![[r#"
        error: devices.csv:3: the name `b/c` holds `/`, which has a meaning of its own in topics
          hint: a device is called as in its topic, devices/NAME/telemetry

        error: devices.csv:7: the name `d+` holds `+`, which has a meaning of its own in topics
          hint: a device is called as in its topic, devices/NAME/telemetry
    "#]]
    .assert_eq(&told);
    let told = names("# nothing\n").expect_err("empty");
    assert_eq!(told, "error: `devices.csv` names no device\n");
    let wrong = check_names(&["a", "", "x\ny"]).expect_err("wrong");
    expect![[r#"
        error: the name `` is empty
          hint: a device is called as in its topic, devices/NAME/telemetry

        error: the name `x\ny` holds a control character
          hint: a device is called as in its topic, devices/NAME/telemetry
    "#]]
    .assert_eq(&plain(&wrong));
}

fn check_names(devices: &[&str]) -> Result<Vec<String>, Failure> {
    let devices: Vec<_> = devices.iter().map(|&device| device.to_owned()).collect();
    names::check(&devices)
}

#[test]
fn a_list_says_who_is_let_in_and_since_when() {
    let credential = |device: &str| Credential {
        device: device.into(),
        digest: [1; 32],
        previous: None,
        created_at: NOON,
        rotated_at: None,
        revoked_at: None,
    };
    let rotated = |device: &str, until| Credential {
        rotated_at: Some(NOON + HOUR),
        previous: Some(Previous {
            digest: [2; 32],
            until,
        }),
        ..credential(device)
    };
    let all = [
        credential("boiler-1"),
        rotated("größe", NOON + 3 * HOUR),
        rotated("over", NOON + 2 * HOUR),
        Credential {
            revoked_at: Some(NOON + HOUR),
            ..credential("z")
        },
    ];
    let lines = all
        .each_ref()
        .map(|one| list::Line::of(one, NOON + 2 * HOUR));
    expect![[r#"
        boiler-1  active since 2026-01-01T12:00:00Z
        größe     active since 2026-01-01T12:00:00Z, rotated 2026-01-01T13:00:00Z, the old secret is good until 2026-01-01T15:00:00Z
        over      active since 2026-01-01T12:00:00Z, rotated 2026-01-01T13:00:00Z
        z         revoked 2026-01-01T13:00:00Z
    "#]]
    .assert_eq(&list::text(&lines));
    assert_eq!(list::text(&[]), "no device has a secret\n");
    expect![[r#"{"device":"größe","active":true,"created_at":"2026-01-01T12:00:00Z","rotated_at":"2026-01-01T13:00:00Z","old_secret_until":"2026-01-01T15:00:00Z"}"#]]
    .assert_eq(&serde_json::to_string(&lines[1]).expect("JSON"));
}

#[test]
fn a_grace_is_written_as_people_do() {
    for (text, seconds) in [("0s", 0), ("1h", 3_600), ("7d", 604_800), ("1h 30m", 5_400)] {
        assert_eq!(grace(text), Ok(Duration::from_secs(seconds)), "{text}");
    }
    for text in ["", "-1h", "400d", "soon"] {
        assert!(grace(text).is_err(), "{text}");
    }
}

#[test]
fn no_database_is_made_by_mistake() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let add = |create| {
        let common = Common {
            json: false,
            file: ConfigFile::default(),
            data: Some(data.display().to_string()),
            store: None,
        };
        run(&Args {
            command: Command::Add(Add {
                devices: vec!["a".into()],
                from: None,
                skip_existing: false,
                create,
                common,
            }),
        })
    };
    let refused = add(false).expect_err("there is no database");
    assert!(!data.exists(), "nothing is made");
    let told = plain(&refused).replace(&display(&data), "DATA");
    expect![[r#"
        error: there is no database `DATA/millrace.db`
          caused by: there is no `millrace.toml` in this folder, and the data folder is `DATA`
          hint: name the data folder with `--data`, the configuration with `--config`, or the database with `--store`; before the first start, `--create` makes the database
    "#]].assert_eq(&told);
    add(true).expect("made");
    assert!(data.join("millrace.db").exists());
    let again = plain(&add(false).expect_err("has one already"));
    assert!(again.contains("`a` has a credential already"), "{again}");
}
