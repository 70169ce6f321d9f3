use std::task::Waker;
use std::time::Duration;

use expect_test::expect;
use journal::{Journal as _, LocalJournal, Record, RecordBatch};

use super::*;
use crate::diagnostics::tests::plain;

const RECEIVED_AT: i64 = 1_767_225_600_123_456;

fn record<'a>(topic: &'a str, payload: &'a [u8]) -> Record<'a> {
    Record {
        received_at: RECEIVED_AT,
        qos: 1,
        packet_id: None,
        content_type: "",
        client_id: "client-1",
        user: "",
        topic,
        payload,
    }
}

/// A journal of two records, closed.
fn two_records() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("temp folder");
    let (journal, _) =
        LocalJournal::open_dir(folder.path(), journal::Settings::default()).expect("new journal");
    let mut batch = RecordBatch::new();
    batch.push(&record("devices/a/telemetry", br#"{"t":1}"#));
    batch.push(&record("devices/b/telemetry", b"\xff\x00"));
    let end = journal.append(&mut batch, Waker::noop()).expect("room");
    journal
        .wait_durable(end, Duration::from_secs(30))
        .expect("a working disk");
    journal.close();
    folder
}

#[test]
fn a_summary_shows_positions_and_segments() {
    let folder = two_records();
    let summary = inspect::inspect(folder.path()).expect("readable");
    let text = summary_text("here", &summary);
    let identity = summary.identity.expect("an identity");
    expect![[r#"
        journal    IDENTITY in `here`
        positions  0 to 2
        records    2 in 1 frame
        size       199 B in 1 segment

        segment                       records          end       size  received
        00000000000000000000.log            2            2      199 B  2026-01-01T00:00:00.123Z to 2026-01-01T00:00:00.123Z
    "#]].assert_eq(&text.replace(&identity, "IDENTITY"));
}

#[test]
fn an_empty_folder_is_an_empty_journal() {
    let folder = tempfile::tempdir().expect("temp folder");
    let summary = inspect::inspect(folder.path()).expect("readable");
    assert_eq!(
        summary_text("here", &summary),
        "the journal in `here` is empty\n"
    );
}

#[test]
fn an_intact_journal_is_told_in_one_sentence() {
    let folder = two_records();
    let report = inspect::verify(folder.path()).expect("intact");
    expect![[r#"
        the journal in `here` is intact: 2 records at positions 0 to 2, 199 B in 1 segment
    "#]]
    .assert_eq(&verify::report_text("here", &report));
}

#[test]
fn damage_ends_with_an_error_that_says_where() {
    let folder = two_records();
    let file = std::fs::read_dir(folder.path())
        .expect("folder")
        .map(|entry| entry.expect("entry").path())
        .find(|path| path.extension().is_some_and(|extension| extension == "log"))
        .expect("a segment");
    let mut bytes = std::fs::read(&file).expect("segment");
    bytes[0] ^= 0xff;
    std::fs::write(&file, bytes).expect("written");
    for command in [
        Command::Verify(Verify {
            place: place(folder.path()),
            json: false,
        }),
        Command::Inspect(Inspect {
            place: place(folder.path()),
            records: false,
            from: 0,
            limit: None,
            json: false,
        }),
    ] {
        let shown = plain(&run(&Args { command }).expect_err("damaged"));
        assert!(shown.starts_with("error: damaged: `"), "{shown}");
        assert!(shown.contains("byte 0, position 0"), "{shown}");
    }
}

#[test]
fn a_folder_without_a_journal_is_named() {
    let error = place("/nowhere".as_ref())
        .folder()
        .expect_err("nothing there");
    assert_eq!(
        plain(&error),
        "error: there is no journal in `/nowhere`\n  hint: name its folder, or the data folder with \
         `--data`\n"
    );
}

#[test]
fn a_record_is_one_line_whatever_it_holds() {
    let long = "x".repeat(500);
    let mut out = String::new();
    for payload in [
        &b"{\"t\": 1}"[..],
        b"two\nlines\x1b[31m\xff",
        "größe".as_bytes(),
        long.as_bytes(),
    ] {
        records::text_line(
            &mut out,
            Position(7),
            &record("devices/a\nb/telemetry", payload),
        );
    }
    expect![[r#"
        7  2026-01-01T00:00:00.123Z  q1  client-1  devices/a\nb/telemetry  {"t": 1}
        7  2026-01-01T00:00:00.123Z  q1  client-1  devices/a\nb/telemetry  two\nlines\u{1b}[31m�
        7  2026-01-01T00:00:00.123Z  q1  client-1  devices/a\nb/telemetry  größe
        7  2026-01-01T00:00:00.123Z  q1  client-1  devices/a\nb/telemetry  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
    "#]].assert_eq(&out);
}

fn place(folder: &std::path::Path) -> Place {
    Place {
        folder: Some(folder.into()),
        file: ConfigFile::default(),
        data: None,
    }
}
