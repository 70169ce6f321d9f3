//! What to do about errors of other crates and of the system.
//!
//! Owns: the mapping from a kind of error to one sentence of advice. Never: changes the message.
//! Invariant: a hint says what a person can do, and is absent where we do not know.

use std::error::Error;
use std::io;

use ingest::store::StoreError;

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
    error
        .downcast_ref::<io::Error>()
        .and_then(|error| of_io(error.kind()))
        .map(str::to_owned)
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
