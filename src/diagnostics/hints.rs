//! What to do about errors of other crates and of the system.
//!
//! Owns: the mapping from a kind of error to one sentence of advice. Never: changes the message.
//! Invariant: a hint says what a person can do, and is absent where we do not know.

use std::error::Error;
use std::io;
use std::path::Path;

use broker::verify::SESSIONS_FOLDER;
use journal::Damage;
use store::StoreError;

use crate::config::JOURNAL_FOLDER;
use crate::lock::LockError;

/// The hint for this very error; its sources are asked by the caller.
pub(super) fn of(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(StoreError::Fatal { hint, .. }) = error.downcast_ref::<StoreError>() {
        return (!hint.is_empty()).then(|| hint.clone());
    }
    if let Some(error) = error.downcast_ref::<LockError>() {
        return of_lock(error).map(str::to_owned);
    }
    if let Some(error) = error.downcast_ref::<simulator::Error>() {
        return error.hint().map(str::to_owned);
    }
    if let Some(journal::OpenError::Damaged(damage)) = error.downcast_ref() {
        return Some(of_damage(damage));
    }
    error
        .downcast_ref::<io::Error>()
        .and_then(|error| of_io(error.kind()))
        .map(str::to_owned)
}

/// Two folders hold journals, and moving the wrong one away loses what is intact.
fn of_damage(damage: &Damage) -> String {
    let folder = damage.path.parent().and_then(Path::file_name);
    let cost = match folder.and_then(|name| name.to_str()) {
        Some(SESSIONS_FOLDER) => {
            "it holds the sessions of clients and the messages that wait for them, and these are \
             forgotten; telemetry is in another folder and stays"
        }
        Some(JOURNAL_FOLDER) => {
            "it holds telemetry on its way to the database, and what is not stored yet is lost; \
             sessions are in another folder and stay"
        }
        _ => "what it holds is lost",
    };
    damage.advice(cost)
}

fn of_lock(error: &LockError) -> Option<&'static str> {
    match error {
        LockError::InUse { .. } => {
            Some("stop that process first, or choose another folder with `--data`")
        }
        LockError::Create { .. } | LockError::NotWritable { .. } => {
            Some("choose another folder with `--data`, or let this user write there")
        }
        LockError::Lock { .. } => {
            Some("this disk keeps no locks, as some network disks: choose another with `--data`")
        }
    }
}

fn of_io(kind: io::ErrorKind) -> Option<&'static str> {
    use io::ErrorKind::*;
    match kind {
        AddrInUse => Some(
            "another process listens on this port: stop it, or choose another with \
             `--listen 127.0.0.1:PORT`",
        ),
        AddrNotAvailable => Some("this machine has no such address: see `ip address`"),
        StorageFull => Some("free some space, or choose another disk with `--data`"),
        ReadOnlyFilesystem => Some("choose a folder on a writable disk with `--data`"),
        _ => None,
    }
}
