//! What the broker tells of ingest below `$SYS/broker/`.
//!
//! Owns: the names. Never: counts. Invariant: what stands under `ingest` counts since the journal began, as the tables do, so
//! received = stored + filtered + dead-lettered + pending.

use std::sync::Arc;

use broker::SystemValues;
use ingest::rows::Observer;

/// Nothing until the database was reached for the first time: what it holds is not known before.
pub(super) fn values(rows: Observer) -> SystemValues {
    Arc::new(move |show| show_account(&rows, show))
}

fn show_account(rows: &Observer, show: &mut dyn FnMut(&str, String)) {
    let Some((account, reasons)) = rows.account_by_reason() else {
        return;
    };
    for (name, count) in [
        ("received", account.received),
        ("stored", account.stored),
        ("filtered", account.filtered),
        ("dead-lettered", account.dead_lettered),
        ("pending", account.pending),
    ] {
        show(&format!("ingest/{name}"), count.to_string());
    }
    for (reason, unstored) in &reasons.filtered {
        let (messages, values) = (unstored.messages, unstored.values);
        show(&format!("ingest/filtered/{reason}"), messages.to_string());
        show(
            &format!("ingest/samples/filtered/{reason}"),
            values.to_string(),
        );
    }
    for (reason, unstored) in &reasons.dead_lettered {
        let messages = unstored.messages.to_string();
        show(&format!("ingest/dead-lettered/{reason}"), messages);
    }
}
