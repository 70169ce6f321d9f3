//! Totals by reason.

use store::Reason;
use store::{Reasons, Unstored};

use crate::backend::Backend;
use crate::batches::{batch, journal};
use crate::contract::{assert_fatal, assert_rejected, loaded};

pub(crate) fn totals_by_reason_grow_with_the_position(backend: &dyn Backend) {
    let mut store = loaded(backend);
    let first = batch(0)
        .filtered_for(Reason::TooOld, 3)
        .filtered_for(Reason::Duplicate, 1)
        .dead("t", b"{", "eof")
        .build();
    store.commit(journal(1), &first).expect("committed");
    let second = batch(3).filtered_for(Reason::TooOld, 4).build();
    store.commit(journal(1), &second).expect("committed");
    let expected = reasons(
        &[("duplicate", 1, 1), ("too_old", 2, 7)],
        &[("not_json", 1)],
    );
    assert_eq!(store.load(journal(1)).expect("loaded").reasons, expected);
    // What is refused counts nothing, and another journal has its own.
    let poisoned = batch(4)
        .series(0, "a", "m")
        .filtered()
        .sample(0, i64::MAX, 1.0)
        .build();
    assert_rejected(store.commit(journal(1), &poisoned));
    assert_fatal(store.commit(journal(1), &second), "somebody else");
    assert_eq!(
        backend.store().load(journal(1)).expect("loaded").reasons,
        expected
    );
    let other = backend.store().load(journal(2)).expect("loaded");
    assert_eq!(other.reasons, Reasons::default());
}

pub(crate) fn what_was_counted_before_there_were_reasons_is_kept(backend: &dyn Backend) {
    backend.execute(
        "CREATE TABLE schema_version (version integer PRIMARY KEY, name text NOT NULL);
         INSERT INTO schema_version (version, name) VALUES (1, 'rows')",
    );
    backend.execute(backend.first_migration());
    let (received_at, nothing) = if backend.config().url.starts_with("sqlite") {
        ("0", "x''")
    } else {
        ("now()", "''::bytea")
    };
    // One of the three dead letters has been removed.
    let letter = |position: u8, reason: &str| {
        format!(
            "INSERT INTO dead_letters
                 (journal, position, received_at, client_id, topic, payload, reason, detail)
             SELECT journal, {position}, {received_at}, 'c', 't', {nothing}, '{reason}', ''
             FROM ingest_position;"
        )
    };
    let account =
        "INSERT INTO ingest_position (journal, rows_position, stored, filtered, dead_lettered)
         VALUES ('00000000-0000-0000-0000-000000000001', 12, 4, 5, 3);";
    backend.execute(&[account, &letter(0, "not_json"), &letter(1, "empty")].concat());
    let checkpoint = backend
        .store()
        .load(journal(1))
        .expect("brought up to date");
    assert_eq!(
        checkpoint.reasons,
        reasons(
            &[("unknown", 5, 0)],
            &[("empty", 1), ("not_json", 1), ("unknown", 1)]
        )
    );
}

/// (reason, messages, values) and (reason, messages).
pub(crate) fn reasons(
    filtered: &[(&'static str, u64, u64)],
    dead: &[(&'static str, u64)],
) -> Reasons {
    let filtered = filtered.iter().map(|(reason, messages, values)| {
        let (messages, values) = (*messages, *values);
        ((*reason).into(), Unstored { messages, values })
    });
    let dead = dead.iter().map(|(reason, messages)| {
        let (messages, values) = (*messages, 0);
        ((*reason).into(), Unstored { messages, values })
    });
    Reasons {
        filtered: filtered.collect(),
        dead_lettered: dead.collect(),
    }
}
