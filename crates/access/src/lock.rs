//! Locks that outlive a panic elsewhere.
//!
//! Invariant: what a lock of this crate protects is changed in single steps that leave it
//! consistent, so a lock that a panic has poisoned is entered all the same.

use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
